//! Kubeconfigs. All but those of listed machines have everything embedded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::bundle::AUTHORITY;
use crate::config::{self, ClusterConfig};
use crate::pki::{BootstrapToken, Bundle};
use crate::yaml;

/// Where a kubelet that joined with a token has its current certificate and key.
const KUBELET_IDENTITY: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";

/// For administrators and for `start`: the first API URL.
pub fn admin(config: &ClusterConfig, bundle: &Bundle) -> String {
    with_certificate(config, bundle, &api(config), "admin")
}

/// For a joining kubelet: the first API URL, with the bootstrap token.
pub fn kubelet(config: &ClusterConfig, bundle: &Bundle) -> String {
    kubeconfig(config, embedded(bundle), &api(config), "kubelet", &bearer(&bundle.bootstrap_token))
}

/// For the kubelet of one machine that joins: it names the file of the CA, and so does the kubeconfig
/// that kubelet then makes of it. A new CA reaches both with the file.
pub fn of_node(config: &ClusterConfig, token: &BootstrapToken) -> String {
    let authority = ("certificate-authority", AUTHORITY.to_owned());
    kubeconfig(config, authority, &api(config), "kubelet", &bearer(token))
}

fn bearer(token: &BootstrapToken) -> Value {
    json!({"token": format!("{}.{}", token.id, token.secret)})
}

/// The first URL of the API.
fn api(config: &ClusterConfig) -> String {
    config::endpoint(&config.api_servers[0])
}

/// The CA within the kubeconfig.
fn embedded(bundle: &Bundle) -> (&'static str, String) {
    ("certificate-authority-data", STANDARD.encode(bundle.get("ca.crt")))
}

/// For components on controllers: the apiserver of their own machine. Not `::1`, where an apiserver
/// that is starting calls itself.
pub fn of_this_machine(config: &ClusterConfig, bundle: &Bundle, identity: &str) -> String {
    with_certificate(config, bundle, &format!("https://127.0.0.1:{}", config.secure_port), identity)
}

/// For kube-proxy, which runs on every machine: the first API URL.
pub fn of_any_machine(config: &ClusterConfig, bundle: &Bundle, identity: &str) -> String {
    with_certificate(config, bundle, &api(config), identity)
}

/// For the agent on other machines: the first API URL, with the credentials of the kubelet there.
/// It holds no secret.
pub fn of_kubelet(config: &ClusterConfig, bundle: &Bundle) -> String {
    let user = json!({"client-certificate": KUBELET_IDENTITY, "client-key": KUBELET_IDENTITY});
    kubeconfig(config, embedded(bundle), &api(config), "kubelet", &user)
}

fn with_certificate(config: &ClusterConfig, bundle: &Bundle, server: &str, identity: &str) -> String {
    let user = json!({
        "client-certificate-data": STANDARD.encode(bundle.get(&format!("{identity}.crt"))),
        "client-key-data": STANDARD.encode(bundle.get(&format!("{identity}.key"))),
    });
    kubeconfig(config, embedded(bundle), server, identity, &user)
}

fn kubeconfig(
    config: &ClusterConfig,
    (field, authority): (&str, String),
    server: &str,
    name: &str,
    user: &Value,
) -> String {
    let cluster = &config.cluster_name;
    let context = format!("{name}@{cluster}");
    yaml::write(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server, field: authority}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": context, "context": {"cluster": cluster, "user": name}}],
        "current-context": context,
    }))
}
