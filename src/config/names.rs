//! The names that files, flags and manifests use for the variants of enums.

use crate::values::scalar::Named;

use super::{Component, Images, KeyAlgorithm, Networking, PatchType};

impl Named for Networking {
    const WORDS: &'static [(&'static str, Self)] = &[("flannel", Self::Flannel), ("none", Self::None)];
}

impl Named for KeyAlgorithm {
    const WORDS: &'static [(&'static str, Self)] =
        &[("ecdsa-p256", Self::EcdsaP256), ("rsa-2048", Self::Rsa2048), ("rsa-4096", Self::Rsa4096)];
}

impl Named for PatchType {
    const WORDS: &'static [(&'static str, Self)] =
        &[("strategic", Self::Strategic), ("merge", Self::Merge), ("json", Self::Json)];
}

impl Networking {
    /// Its name in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Flannel => "flannel",
        }
    }
}

impl KeyAlgorithm {
    /// Its name in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa4096 => "rsa-4096",
        }
    }
}

impl PatchType {
    /// Its name in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strategic => "strategic",
            Self::Merge => "merge",
            Self::Json => "json",
        }
    }
}

impl Component {
    /// Every component.
    pub const ALL: [Self; 8] = [
        Self::Apiserver,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Proxy,
        Self::CoreDns,
        Self::Etcd,
        Self::Flannel,
        Self::Agent,
    ];

    /// Its name in files, images and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apiserver => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Proxy => "kube-proxy",
            Self::CoreDns => "coredns",
            Self::Etcd => "etcd",
            Self::Flannel => "flannel",
            Self::Agent => "pod-checkpointer",
        }
    }
}

impl Images {
    /// Keys of `images`, in the order of the struct's fields.
    pub const NAMES: [&'static str; 9] = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "coredns",
        "etcd",
        "flannel",
        "flannel-cni-plugin",
        "bootkube",
    ];

    /// The images that `pick` returns for every name.
    pub fn from_fn(mut pick: impl FnMut(&'static str) -> String) -> Self {
        Self {
            kube_apiserver: pick("kube-apiserver"),
            kube_controller_manager: pick("kube-controller-manager"),
            kube_scheduler: pick("kube-scheduler"),
            kube_proxy: pick("kube-proxy"),
            coredns: pick("coredns"),
            etcd: pick("etcd"),
            flannel: pick("flannel"),
            flannel_cni_plugin: pick("flannel-cni-plugin"),
            bootkube: pick("bootkube"),
        }
    }

    /// Every name with its image.
    pub fn entries(&self) -> [(&'static str, &str); 9] {
        let Self {
            kube_apiserver,
            kube_controller_manager,
            kube_scheduler,
            kube_proxy,
            coredns,
            etcd,
            flannel,
            flannel_cni_plugin,
            bootkube,
        } = self;
        let images = [
            kube_apiserver,
            kube_controller_manager,
            kube_scheduler,
            kube_proxy,
            coredns,
            etcd,
            flannel,
            flannel_cni_plugin,
            bootkube,
        ];
        std::array::from_fn(|index| (Self::NAMES[index], images[index].as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees<T: Named + PartialEq + std::fmt::Debug>(name: impl Fn(T) -> &'static str) {
        for (word, variant) in T::WORDS {
            assert_eq!(name(*variant), *word);
            assert_eq!(T::from_word(word), Some(*variant));
        }
    }

    #[test]
    fn every_word_names_its_variant_and_back() {
        agrees(Networking::name);
        agrees(KeyAlgorithm::name);
        agrees(PatchType::name);
    }

    #[test]
    fn every_image_is_listed_under_its_own_name() {
        let images = Images::from_fn(str::to_owned);
        assert!(images.entries().iter().all(|(name, image)| name == image));
    }
}
