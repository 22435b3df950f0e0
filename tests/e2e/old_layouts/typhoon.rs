//! The tree of Typhoon v1.15. Everything has a name and a service account, kubelets have a
//! certificate, and CoreDNS is in a folder of its own. The network is beside `manifests/`, unless a
//! wrapper moved it.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::pki::{self, Files, Subjects};
use super::tree::{self, Tree, object, service_account};

const SUBJECTS: Subjects<'_> = Subjects {
    ca: ("kubernetes-ca", "bootkube"),
    apiserver: ("kube-apiserver", "system:masters"),
    admin: ("kubernetes-admin", "system:masters"),
    kubelet: Some(("kubelet", "system:nodes")),
};
/// Manifest of the self-hosted apiserver, which a test edits.
pub const APISERVER: &str = "manifests/kube-apiserver.yaml";
/// Its Secret. Aggregation is off, so three values are null.
const NULLS: [&str; 3] = ["aggregation-ca.crt", "aggregation-client.crt", "aggregation-client.key"];
const CHECKPOINTER: &str = "pod-checkpointer";

/// The tree for a machine of this address, whose API is known as `host`.
pub fn tree(host: &str, ip: Ipv4Addr) -> Tree {
    let (server, etcd) = (format!("https://{host}:6443"), format!("https://{ip}:2379"));
    let files = pki::files(&SUBJECTS, host, ip.into());
    let mut tree = Tree::default();
    tree.put_secrets(&files);
    let admin =
        tree::kubeconfig(&server, &files, &tree::by_certificate(&files, "admin"), Some("lab-context"));
    tree.put("auth/kubeconfig", &admin);
    tree.put("auth/lab-config", &admin);
    let kubelet = tree::by_certificate(&files, "kubelet");
    tree.put(
        "auth/kubeconfig-kubelet",
        &tree::kubeconfig(&server, &files, &kubelet, Some("kubelet-context")),
    );
    tree.put_bootstrap(&etcd);
    put_control_plane(&mut tree, &files, &etcd);
    put_access(&mut tree, &server);
    put_checkpointer(&mut tree);
    for (file, object) in tree::coredns() {
        tree.put(&format!("manifests/coredns/{file}.yaml"), &object);
    }
    put_network(&mut tree);
    tree
}

fn put_control_plane(tree: &mut Tree, files: &Files, etcd: &str) {
    let mut put = |file: &str, object: Value| tree.put(&format!("manifests/{file}.yaml"), &object);
    put("kube-apiserver", tree::apiserver_set(etcd, Some("kube-apiserver"), &Value::Null));
    put("kube-apiserver-sa", service_account("kube-apiserver"));
    put("kube-apiserver-role-binding", tree::binding("kube-apiserver", "cluster-admin", "kube-apiserver"));
    put("kube-apiserver-secret", tree::secret("kube-apiserver", files, &pki::OF_APISERVER, &NULLS));
    let manager = tree::manager(&["--use-service-account-credentials=true"]);
    let scheduler = tree::SCHEDULER.map(str::to_owned);
    for (name, flags, port) in
        [("kube-controller-manager", &manager[..], 10257), ("kube-scheduler", &scheduler[..], 10259)]
    {
        put(name, tree::elected(name, flags, port, 1, Some(name)));
        put(&format!("{name}-sa"), service_account(name));
        put(&format!("{name}-role-binding"), tree::binding(name, &format!("system:{name}"), name));
        put(&format!("{name}-disruption"), tree::disruption(name));
    }
    put(
        "kube-controller-manager-secret",
        tree::secret("kube-controller-manager", files, &pki::OF_MANAGER, &[]),
    );
    let volumes = tree::binding("kube-scheduler-volumes", "system:volume-scheduler", "kube-scheduler");
    put("kube-scheduler-volume-scheduler-role-binding", volumes);
    for (file, object) in tree::proxy() {
        put(file, object);
    }
}

fn put_access(tree: &mut Tree, server: &str) {
    let mut put = |file: &str, object| tree.put(&format!("manifests/{file}.yaml"), &object);
    put("kubeconfig-in-cluster", tree::kubeconfig_in_cluster(server));
    let rules = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["delete"]}]);
    let role =
        object("rbac.authorization.k8s.io/v1", "ClusterRole", "kubelet-delete", &json!({"rules": rules}));
    put("kubelet-delete-cluster-role", role);
    let nodes = tree::group("system:nodes");
    put(
        "kubelet-delete-cluster-role-binding",
        tree::group_binding("kubelet-delete", "kubelet-delete", &nodes),
    );
    put("kubelet-nodes-cluster-role-binding", tree::group_binding("kubelet-nodes", "system:node", &nodes));
}

/// A pod that sleeps: the program of that time does not run on a kubelet of today, and `start` only
/// waits for the pod.
fn put_checkpointer(tree: &mut Tree) {
    let labels = json!({"k8s-app": CHECKPOINTER});
    let spec = json!({
        "containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10.2"}],
        "hostNetwork": true,
        "nodeSelector": {"node-role.kubernetes.io/master": ""},
        "serviceAccountName": CHECKPOINTER,
        "tolerations": [{"operator": "Exists"}],
    });
    let template = json!({"metadata": {"labels": labels, "annotations": {"checkpointer.alpha.coreos.com/checkpoint": "true"}}, "spec": spec});
    let set = json!({"spec": {"selector": {"matchLabels": labels}, "template": template}});
    let rules =
        json!({"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "watch", "list"]}]});
    let subject = json!([{"kind": "ServiceAccount", "name": CHECKPOINTER, "namespace": "kube-system"}]);
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": CHECKPOINTER});
    let mut put =
        |file: &str, object: Value| tree.put(&format!("manifests/{CHECKPOINTER}{file}.yaml"), &object);
    let rbac = |kind: &str, rest: &Value| object("rbac.authorization.k8s.io/v1", kind, CHECKPOINTER, rest);
    put("", object("apps/v1", "DaemonSet", CHECKPOINTER, &set));
    put("-sa", service_account(CHECKPOINTER));
    put("-role", rbac("Role", &rules));
    put("-role-binding", rbac("RoleBinding", &json!({"roleRef": role, "subjects": subject})));
    put("-cluster-role", rbac("ClusterRole", &rules));
    put("-cluster-role-binding", tree::binding(CHECKPOINTER, CHECKPOINTER, CHECKPOINTER));
}

/// As networks had it: a resource before its definition, several documents in a file, nulls, and a
/// namespace on objects that have none.
fn put_network(tree: &mut Tree) {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let names = json!({"kind": "IPPool", "plural": "ippools", "singular": "ippool"});
    let versions = json!([{"name": "v1", "served": true, "storage": true, "schema": schema}]);
    let definition = json!({"spec": {"scope": "Cluster", "group": "crd.projectcalico.org", "names": names, "versions": versions}});
    let pool = object(
        "crd.projectcalico.org/v1",
        "IPPool",
        "default-ipv4-ippool",
        &json!({"spec": {"cidr": "10.2.0.0/16"}}),
    );
    let mut config =
        object("v1", "ConfigMap", "calico-config", &json!({"data": {"typha_service_name": "none"}}));
    config["data"]["veth_mtu"] = Value::Null;
    config["metadata"]["annotations"] = Value::Null;
    let definition = object(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "ippools.crd.projectcalico.org",
        &definition,
    );
    tree.put_all("manifests-networking/00-pool-and-config.yaml", &[pool, config]);
    tree.put_all("manifests-networking/ippools-crd.yaml", &[definition, service_account("calico-node")]);
}
