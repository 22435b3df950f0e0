//! kubelet's configuration and its command line, those of the README with the values of this
//! cluster and machine.

use serde_json::{Value, json};

use crate::config::{ClusterConfig, Node, Taint};
use crate::yaml;

/// The CA of the cluster: kubelet trusts it as server and in its clients.
pub const AUTHORITY: &str = "/etc/kubernetes/ca.crt";
/// By this kubelet joins.
pub const KUBECONFIG: &str = "/etc/kubernetes/kubeconfig";
/// The drop-in of kubelet's unit, which the packages of kubelet bring.
pub const DROP_IN: &str = "/etc/systemd/system/kubelet.service.d/90-bootkube.conf";
/// Where the packages of kubelet expect its configuration.
pub const CONFIGURATION: &str = "/var/lib/kubelet/config.yaml";

/// `@MACHINE@` stands for the flags of one machine.
const COMMAND: &str = include_str!("../../assets/kubelet-drop-in.conf");
/// A link that [`COMMAND`] makes at each start, to what this machine resolves names with.
const RESOLVERS: &str = "/run/kubelet-resolv.conf";

/// KubeletConfiguration. docs/shutdown.md says why the grace periods are these.
pub fn configuration(config: &ClusterConfig, node: &Node) -> String {
    let mut value = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": AUTHORITY},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "systemd",
        "clusterDNS": config.dns_service_ips(),
        "clusterDomain": config.cluster_domain,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "resolvConf": RESOLVERS,
        "rotateCertificates": true,
        "shutdownGracePeriod": "70s",
        "shutdownGracePeriodCriticalPods": "40s",
        "staticPodPath": "/etc/kubernetes/manifests",
    });
    if !node.taints.is_empty() {
        value["registerWithTaints"] = node.taints.iter().map(taint).collect();
    }
    yaml::write(&value)
}

fn taint(taint: &Taint) -> Value {
    let mut value = json!({"key": taint.key, "effect": taint.effect.name()});
    if !taint.value.is_empty() {
        value["value"] = json!(taint.value);
    }
    value
}

/// The drop-in.
pub fn drop_in(node: &Node) -> String {
    let mut flags = vec![format!("--hostname-override={}", node.name)];
    let addresses: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
    if !addresses.is_empty() {
        flags.push(format!("--node-ip={}", addresses.join(",")));
    }
    let labels: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if !labels.is_empty() {
        flags.push(format!("--node-labels={}", labels.join(",")));
    }
    COMMAND.replace("@MACHINE@", &flags.join(" "))
}
