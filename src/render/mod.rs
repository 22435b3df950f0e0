//! From a configuration and its secrets to the files of an asset directory. Pure: the same input gives the same bytes.
//!
//! Objects start as base YAML (`manifests/`, `controller-manifests/`), are parsed into typed objects, changed as types, and
//! written once by `Manifests`, which labels, checksums and patches them all alike. No object is ever made from a text template.

mod addons;
mod args;
mod base;
mod bootstrap;
mod control_plane;
mod customize;
mod kubeconfig;
mod manifests;
mod objects;

use crate::assets::Assets;
use crate::config::{ClusterConfig, Etcd, Networking};
use crate::pki::Bundle;
pub(crate) use bootstrap::{file as bootstrap_file, static_pod as bootstrap_pod};
use manifests::Manifests;
pub(crate) use objects::FACTS;
pub use objects::earlier_token;

/// Why rendering failed. The configuration is valid by now, so what is left are patches that do not fit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A patch cannot be applied, or says something the object has no field for.
    #[error("components.{component}.patches[{index}]: {problem}")]
    Patch {
        /// The component, as the config file names it.
        component: &'static str,
        /// Position in its list.
        index: usize,
        /// What is wrong, and the cure.
        problem: String,
    },
}

/// Every file of the asset directory.
pub fn render(config: &ClusterConfig, bundle: &Bundle) -> Result<Assets, Error> {
    let mut manifests = Manifests::new(config);
    credentials(config, bundle, &mut manifests);
    objects::kubelet_bootstrap(bundle, &mut manifests)?;
    control_plane::apiserver(config, bundle, &mut manifests)?;
    control_plane::controller_manager(config, bundle, &mut manifests)?;
    control_plane::scheduler(config, bundle, &mut manifests)?;
    control_plane::agent(config, bundle, &mut manifests)?;
    addons::proxy(config, bundle, &mut manifests)?;
    addons::core_dns(config, &mut manifests)?;
    if config.networking == Networking::Flannel {
        addons::flannel(config, &mut manifests)?;
    }
    if config.etcd == Etcd::StaticPod {
        control_plane::etcd(config, &mut manifests)?;
    }
    objects::cluster_facts(config, &mut manifests)?;
    manifests.finish()
}

/// Keys, certificates and kubeconfigs.
fn credentials(config: &ClusterConfig, bundle: &Bundle, manifests: &mut Manifests) {
    for (path, pem) in &bundle.files {
        manifests.file(format!("tls/{path}"), pem.clone());
    }
    manifests.file(format!("tls/{}", objects::AUTHENTICATION_FILE), objects::AUTHENTICATION);
    manifests.file("auth/kubeconfig", kubeconfig::admin(config, bundle));
    manifests.file("auth/kubeconfig-kubelet", kubeconfig::kubelet(config, bundle));
}
