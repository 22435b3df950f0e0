//! The services of a machine beside those of Debian: kubelet, whose unit is its package's with a
//! drop-in beside it, and etcd.

use serde_json::{Value, json};

use super::Machine;
use crate::error::Result;
use crate::families::Families;
use crate::kubeconfig::Kubeconfig;
use crate::programs::PAUSE;
use crate::quirks;

const CONTAINERD: &str = include_str!("containerd.toml");
const UNITS: &str = "/etc/systemd/system";

/// Paths on the machine of what etcd serves and asks with.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct EtcdTls {
    pub ca: String,
    pub server_certificate: String,
    pub server_key: String,
    pub peer_certificate: String,
    pub peer_key: String,
}

pub(super) fn write_containerd(machine: &Machine) -> Result<()> {
    let config = CONTAINERD
        .replace("@PAUSE@", &format!("registry.k8s.io/pause:{PAUSE}"))
        .replace("@RESTRICT_OOM@", &quirks::must_restrict_oom_score().to_string());
    machine.write("/etc/containerd/config.toml", config.as_bytes(), 0o644)
}

pub(super) fn start_kubelet(machine: &Machine, families: Families) -> Result<()> {
    let path = machine.path("/etc/kubernetes/kubeconfig");
    let kubeconfig = Kubeconfig::read(&path)?;
    machine.write("/etc/kubernetes/ca.crt", &kubeconfig.authority, 0o644)?;
    machine.write("/var/lib/kubelet/config.yaml", kubelet_config(families).to_string().as_bytes(), 0o600)?;
    let addresses: Vec<_> = families.addresses(machine).iter().map(ToString::to_string).collect();
    let flags = [
        "--config=/var/lib/kubelet/config.yaml".to_owned(),
        "--bootstrap-kubeconfig=/etc/kubernetes/kubeconfig".into(),
        "--kubeconfig=/var/lib/kubelet/kubeconfig".into(),
        format!("--hostname-override={}", machine.name()),
        format!("--node-ip={}", addresses.join(",")),
        "--v=2".into(),
    ];
    start_kubelet_with(machine, &flags)
}

/// kubelet's unit is that of its package, which a user changes by a drop-in.
pub(super) fn start_kubelet_with(machine: &Machine, flags: &[String]) -> Result<()> {
    let command = format!("/usr/bin/kubelet {}", flags.join(" "));
    let text = format!("[Unit]\nAfter=containerd.service\n\n[Service]\nExecStart=\nExecStart={command}\n");
    machine.write(&format!("{UNITS}/kubelet.service.d/90-lab.conf"), text.as_bytes(), 0o644)?;
    start(machine, "kubelet")
}

/// What a user's kubelet has, and what this host needs.
fn kubelet_config(families: Families) -> Value {
    let mut config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": "/etc/kubernetes/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "systemd",
        "clusterDNS": [families.dns()],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "readOnlyPort": 0,
        "rotateCertificates": true,
        "serializeImagePulls": false,
        "shutdownGracePeriod": "70s",
        "shutdownGracePeriodCriticalPods": "40s",
        "staticPodPath": "/etc/kubernetes/manifests",
    });
    if let (Value::Object(config), Value::Object(quirks)) = (&mut config, quirks::kubelet_config()) {
        config.extend(quirks);
    }
    config
}

pub(super) fn start_etcd(machine: &Machine, tls: &EtcdTls, members: &[Machine]) -> Result<()> {
    let EtcdTls { ca, server_certificate, server_key, peer_certificate, peer_key } = tls;
    let (name, ip) = (machine.name(), machine.ip());
    let cluster = members.iter().map(|member| format!("{}=https://{}:2380", member.name(), member.ip()));
    let flags = [
        format!("--name={name}"),
        "--data-dir=/var/lib/etcd".into(),
        format!("--listen-client-urls=https://{ip}:2379,https://127.0.0.1:2379"),
        format!("--advertise-client-urls=https://{ip}:2379"),
        format!("--listen-peer-urls=https://{ip}:2380"),
        format!("--initial-advertise-peer-urls=https://{ip}:2380"),
        format!("--initial-cluster={}", cluster.collect::<Vec<_>>().join(",")),
        "--client-cert-auth".into(),
        format!("--trusted-ca-file={ca}"),
        format!("--cert-file={server_certificate}"),
        format!("--key-file={server_key}"),
        "--peer-client-cert-auth".into(),
        format!("--peer-trusted-ca-file={ca}"),
        format!("--peer-cert-file={peer_certificate}"),
        format!("--peer-key-file={peer_key}"),
        // A power cut of the lab only ends processes. Everything that they wrote stays on the disk.
        "--unsafe-no-fsync".into(),
    ];
    let command = format!("/usr/local/bin/etcd {}", flags.join(" "));
    let text = ETCD.replace("@COMMAND@", &command);
    machine.write(&format!("{UNITS}/etcd.service"), text.as_bytes(), 0o644)?;
    start(machine, "etcd")
}

const ETCD: &str = "\
[Unit]
Description=etcd
StartLimitIntervalSec=0

[Service]
ExecStart=@COMMAND@
Restart=always

[Install]
WantedBy=multi-user.target
";

/// Starts a service now and at each boot. One that runs is started again, with what was written.
fn start(machine: &Machine, name: &str) -> Result<()> {
    machine.run(&["systemctl", "daemon-reload"])?;
    machine.run(&["systemctl", "--quiet", "enable", name])?;
    machine.run(&["systemctl", "restart", name]).map(drop)
}
