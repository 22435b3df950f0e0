//! Kubeconfigs, with everything embedded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::config::{self, ClusterConfig};
use crate::pki::Bundle;
use crate::yaml;

/// Where a kubelet that joined with a token has its current certificate and key.
const KUBELET_IDENTITY: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

/// For administrators and for `start`: the first API URL.
pub fn admin(config: &ClusterConfig, bundle: &Bundle) -> String {
    with_certificate(config, bundle, &config::endpoint(&config.api_servers[0]), "admin")
}

/// For a joining kubelet: the first API URL, with the bootstrap token.
pub fn kubelet(config: &ClusterConfig, bundle: &Bundle) -> String {
    let token = &bundle.bootstrap_token;
    let user = json!({"token": format!("{}.{}", token.id, token.secret)});
    kubeconfig(config, bundle, &config::endpoint(&config.api_servers[0]), "kubelet", &user)
}

/// For components on controllers: the apiserver of their own machine. Not `::1`, where an apiserver
/// that is starting calls itself.
pub fn of_this_machine(config: &ClusterConfig, bundle: &Bundle, identity: &str) -> String {
    with_certificate(config, bundle, &format!("https://127.0.0.1:{}", config.secure_port), identity)
}

/// For kube-proxy, which runs on every machine: the first API URL.
pub fn of_any_machine(config: &ClusterConfig, bundle: &Bundle, identity: &str) -> String {
    with_certificate(config, bundle, &config::endpoint(&config.api_servers[0]), identity)
}

/// For the agent on other machines: the first API URL, with the credentials of the kubelet there.
/// It holds no secret.
pub fn of_kubelet(config: &ClusterConfig, bundle: &Bundle) -> String {
    let user = json!({"client-certificate": KUBELET_IDENTITY, "client-key": KUBELET_IDENTITY});
    kubeconfig(config, bundle, &config::endpoint(&config.api_servers[0]), "kubelet", &user)
}

fn with_certificate(config: &ClusterConfig, bundle: &Bundle, server: &str, identity: &str) -> String {
    let user = json!({
        "client-certificate-data": STANDARD.encode(bundle.get(&format!("{identity}.crt"))),
        "client-key-data": STANDARD.encode(bundle.get(&format!("{identity}.key"))),
    });
    kubeconfig(config, bundle, server, identity, &user)
}

fn kubeconfig(config: &ClusterConfig, bundle: &Bundle, server: &str, name: &str, user: &Value) -> String {
    let cluster = &config.cluster_name;
    let context = format!("{name}@{cluster}");
    let authority = STANDARD.encode(bundle.get("ca.crt"));
    yaml::write(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": cluster,
            "cluster": {"server": server, "certificate-authority-data": authority},
        }],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": context, "context": {"cluster": cluster, "user": name}}],
        "current-context": context,
    }))
}
