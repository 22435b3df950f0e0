//! The base manifests and the patches of bootstrap pods: embedded, and read as typed objects.

use serde::de::DeserializeOwned;

/// An embedded file: its path, for errors, and its text.
#[derive(Clone, Copy)]
pub struct Base(pub &'static str, pub &'static str);

macro_rules! base {
    ($name:ident, $file:literal) => {
        #[doc = $file]
        pub const $name: Base = Base($file, include_str!(concat!("../../", $file)));
    };
}

base!(APISERVER, "manifests/kube-apiserver.yaml");
base!(CONTROLLER_MANAGER, "manifests/kube-controller-manager.yaml");
base!(SCHEDULER, "manifests/kube-scheduler.yaml");
base!(PROXY, "manifests/kube-proxy.yaml");
base!(COREDNS, "manifests/coredns.yaml");
base!(COREDNS_SERVICE, "manifests/coredns-service.yaml");
base!(COREDNS_CLUSTER_ROLE, "manifests/coredns-cluster-role.yaml");
base!(COREDNS_CLUSTER_ROLE_BINDING, "manifests/coredns-cluster-role-binding.yaml");
base!(FLANNEL, "manifests/flannel.yaml");
base!(FLANNEL_CLUSTER_ROLE, "manifests/flannel-cluster-role.yaml");
base!(FLANNEL_CLUSTER_ROLE_BINDING, "manifests/flannel-cluster-role-binding.yaml");
base!(CSR_BOOTSTRAP, "manifests/csr-bootstrap-role-binding.yaml");
base!(CSR_APPROVER, "manifests/csr-approver-role-binding.yaml");
base!(CSR_RENEWAL, "manifests/csr-renewal-role-binding.yaml");
base!(KUBELET_CLIENT, "manifests/kube-apiserver-kubelet-client-role-binding.yaml");
base!(AGENT, "manifests/pod-checkpointer.yaml");
base!(AGENT_WORKER, "manifests/pod-checkpointer-worker.yaml");
base!(AGENT_ROLE, "manifests/pod-checkpointer-role.yaml");
base!(AGENT_ROLE_BINDING, "manifests/pod-checkpointer-role-binding.yaml");
base!(AGENT_CLUSTER_ROLE, "manifests/pod-checkpointer-cluster-role.yaml");
base!(AGENT_CLUSTER_ROLE_BINDING, "manifests/pod-checkpointer-cluster-role-binding.yaml");
base!(ETCD, "controller-manifests/etcd.yaml");
base!(BOOTSTRAP_EVERY_POD, "bootstrap-manifests/every-pod.yaml");
base!(BOOTSTRAP_APISERVER, "bootstrap-manifests/kube-apiserver.yaml");
base!(BOOTSTRAP_CONTROLLER_MANAGER, "bootstrap-manifests/kube-controller-manager.yaml");
base!(BOOTSTRAP_SCHEDULER, "bootstrap-manifests/kube-scheduler.yaml");
base!(BOOTSTRAP_RECOVERED_LEADER, "bootstrap-manifests/recovered-leader.yaml");

impl Base {
    /// The file's own name, such as `kube-apiserver.yaml`.
    pub fn file_name(&self) -> &'static str {
        self.0.rsplit('/').next().unwrap_or(self.0)
    }

    /// The object.
    pub fn parse<T: DeserializeOwned>(&self) -> T {
        serde_saphyr::from_str(self.1).unwrap_or_else(|error| {
            panic!("invariant: the embedded {} is what the tests have read: {error}", self.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::limits::volumes::VOLUMES;

    #[test]
    fn the_table_of_volumes_is_that_of_the_manifests() {
        let mut found = BTreeSet::new();
        for (component, base) in [
            ("coredns", COREDNS),
            ("etcd", ETCD),
            ("flannel", FLANNEL),
            ("kube-apiserver", APISERVER),
            ("kube-controller-manager", CONTROLLER_MANAGER),
            ("kube-proxy", PROXY),
            ("kube-scheduler", SCHEDULER),
            ("pod-checkpointer", AGENT),
            ("pod-checkpointer", AGENT_WORKER),
        ] {
            let object: Value = base.parse();
            let pod = if component == "etcd" { &object } else { &object["spec"]["template"] };
            let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
            for volume in pod["spec"]["volumes"].as_array().unwrap() {
                let name = volume["name"].as_str().unwrap().to_owned();
                let mount = mounts.iter().find(|mount| mount["name"] == *name);
                let path =
                    mount.map_or(String::new(), |mount| mount["mountPath"].as_str().unwrap().to_owned());
                let is_of_the_api = volume.get("secret").or(volume.get("configMap")).is_some();
                found.insert((component, name, path, is_of_the_api));
            }
        }
        let table = VOLUMES
            .iter()
            .map(|own| (own.component, own.name.to_owned(), own.mount_path.to_owned(), own.is_of_the_api));
        assert_eq!(table.collect::<BTreeSet<_>>(), found);
    }
}
