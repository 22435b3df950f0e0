//! The tree that `render` of v0.14 wrote, without its pod-checkpointer and its network: kubelets
//! join with a token, the scheduler is the default service account, which may do everything.

use std::net::Ipv4Addr;

use serde_json::json;

use super::pki::{self, Subjects};
use super::tree::{self, Tree, object, service_account};

const SUBJECTS: Subjects<'_> = Subjects {
    ca: ("kube-ca", "4d7b9a1e-3c62-4a0e-9d15-6b1a9e6f2c11"),
    apiserver: ("kube-apiserver", "kube-master"),
    admin: ("admin", "system:masters"),
    kubelet: None,
};
const TOKEN: (&str, &str) = ("abc123", "0123456789abcdef");
/// The group of kubelets that join with the token.
const BOOTSTRAPPERS: &str = "system:bootstrappers";

/// The tree for a machine at `ip`, which also runs etcd.
pub fn tree(ip: Ipv4Addr) -> Tree {
    let (host, etcd) = (ip.to_string(), format!("https://{ip}:2379"));
    let server = format!("https://{ip}:6443");
    let files = pki::files(&SUBJECTS, &host, ip.into());
    let mut tree = Tree::default();
    tree.put_secrets(&files);
    tree.put(
        "auth/kubeconfig",
        &tree::kubeconfig(&server, &files, &tree::by_certificate(&files, "admin"), None),
    );
    let token = json!({"token": format!("{}.{}", TOKEN.0, TOKEN.1)});
    tree.put("auth/kubeconfig-kubelet", &tree::kubeconfig(&server, &files, &token, None));
    tree.put_bootstrap(&etcd);
    put_control_plane(&mut tree, &files, &etcd);
    put_access(&mut tree, &server);
    for (file, object) in tree::coredns() {
        tree.put(&format!("manifests/coredns-{file}.yaml"), &object);
    }
    tree
}

fn put_control_plane(tree: &mut Tree, files: &pki::Files, etcd: &str) {
    let mut put = |file: &str, object| tree.put(&format!("manifests/{file}.yaml"), &object);
    // Its manifest names the port, which on the host's network is the machine's.
    let ports = json!([{"containerPort": 6443, "hostPort": 6443, "protocol": "TCP"}]);
    put("kube-apiserver", tree::apiserver_set(etcd, None, &ports));
    put("kube-apiserver-secret", tree::secret("kube-apiserver", files, &pki::OF_APISERVER, &[]));
    let manager = tree::manager(&["--use-service-account-credentials=true"]);
    put(
        "kube-controller-manager",
        tree::elected("kube-controller-manager", &manager, 10257, 2, Some("kube-controller-manager")),
    );
    put(
        "kube-controller-manager-secret",
        tree::secret("kube-controller-manager", files, &pki::OF_MANAGER, &[]),
    );
    put("kube-controller-manager-service-account", service_account("kube-controller-manager"));
    let name = "controller-manager";
    put(
        "kube-controller-manager-role-binding",
        tree::binding(name, "system:kube-controller-manager", "kube-controller-manager"),
    );
    put("kube-controller-manager-disruption", tree::disruption("kube-controller-manager"));
    let scheduler = tree::SCHEDULER.map(str::to_owned);
    put("kube-scheduler", tree::elected("kube-scheduler", &scheduler, 10259, 2, None));
    put("kube-scheduler-disruption", tree::disruption("kube-scheduler"));
    for (file, object) in tree::proxy() {
        put(file, object);
    }
}

fn put_access(tree: &mut Tree, server: &str) {
    let mut put = |file: &str, object| tree.put(&format!("manifests/{file}.yaml"), &object);
    put("kubeconfig-in-cluster", tree::kubeconfig_in_cluster(server));
    put("kube-system-rbac-role-binding", tree::binding("system:default-sa", "cluster-admin", "default"));
    let data =
        json!({"token-id": TOKEN.0, "token-secret": TOKEN.1, "usage-bootstrap-authentication": "true"});
    let token = json!({"type": "bootstrap.kubernetes.io/token", "stringData": data});
    put("kubelet-bootstrap-token", object("v1", "Secret", &format!("bootstrap-token-{}", TOKEN.0), &token));
    let signing = "system:certificates.k8s.io:certificatesigningrequests";
    for (file, name, role, group) in [
        (
            "bootstrap",
            "system-bootstrap-node-bootstrapper",
            "system:node-bootstrapper".to_owned(),
            BOOTSTRAPPERS,
        ),
        (
            "approver",
            "system-bootstrap-approve-node-client-csr",
            format!("{signing}:nodeclient"),
            BOOTSTRAPPERS,
        ),
        ("renewal", "system-bootstrap-node-renewal", format!("{signing}:selfnodeclient"), "system:nodes"),
    ] {
        put(&format!("csr-{file}-role-binding"), tree::group_binding(name, &role, &tree::group(group)));
    }
}
