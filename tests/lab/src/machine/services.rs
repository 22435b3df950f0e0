//! The services of a machine: one executable file each, run by process 1 and again whenever it
//! ends.

use std::io::Write;

use serde_json::{Value, json};

use super::Machine;
use crate::error::{Error, Result};
use crate::families::Families;
use crate::kubeconfig::Kubeconfig;
use crate::programs::PAUSE;
use crate::quirks;

const CONTAINERD: &str = include_str!("containerd.toml");
const FOLDER: &str = "/etc/lab/services";

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
    machine.write("/etc/containerd/config.toml", config.as_bytes(), 0o644)?;
    write_service(
        machine,
        "containerd",
        &["containerd".into(), "--config=/etc/containerd/config.toml".into()],
    )
}

pub(super) fn write_kubelet(machine: &Machine, families: Families) -> Result<()> {
    let path = machine.path("/etc/kubernetes/kubeconfig");
    let kubeconfig = Kubeconfig::read(&path)?;
    machine.write("/etc/kubernetes/ca.crt", &kubeconfig.authority, 0o644)?;
    machine.write("/var/lib/kubelet/config.yaml", kubelet_config(families).to_string().as_bytes(), 0o600)?;
    let addresses: Vec<_> = families.addresses(machine).iter().map(ToString::to_string).collect();
    let flags = [
        "kubelet".to_owned(),
        "--config=/var/lib/kubelet/config.yaml".into(),
        "--bootstrap-kubeconfig=/etc/kubernetes/kubeconfig".into(),
        "--kubeconfig=/var/lib/kubelet/kubeconfig".into(),
        format!("--hostname-override={}", machine.name()),
        format!("--node-ip={}", addresses.join(",")),
        "--v=2".into(),
    ];
    write_service(machine, "kubelet", &flags)
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
        "clusterDNS": [families.dns()],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "readOnlyPort": 0,
        "rotateCertificates": true,
        "serializeImagePulls": false,
        "staticPodPath": "/etc/kubernetes/manifests",
    });
    if let (Value::Object(config), Value::Object(quirks)) = (&mut config, quirks::kubelet_config()) {
        config.extend(quirks);
    }
    config
}

pub(super) fn write_etcd(machine: &Machine, tls: &EtcdTls, members: &[Machine]) -> Result<()> {
    let EtcdTls { ca, server_certificate, server_key, peer_certificate, peer_key } = tls;
    let (name, ip) = (machine.name(), machine.ip());
    let cluster = members.iter().map(|member| format!("{}=https://{}:2380", member.name(), member.ip()));
    let flags = [
        "etcd".to_owned(),
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
    write_service(machine, "etcd", &flags)
}

pub(super) fn write_service(machine: &Machine, name: &str, words: &[String]) -> Result<()> {
    let script = format!("#!/bin/sh\nexec {}\n", words.join(" "));
    machine.write(&format!("{FOLDER}/{name}"), script.as_bytes(), 0o755)
}

/// Starts every service that the machine has.
pub(super) fn start_all(machine: &Machine) -> Result<()> {
    let folder = machine.path(FOLDER);
    for entry in std::fs::read_dir(&folder).map_err(Error::file("list", &folder))? {
        let name = entry.map_err(Error::file("list", &folder))?.file_name();
        start(machine, &name.to_string_lossy())?;
    }
    Ok(())
}

/// Tells process 1 to run a service; one that runs goes on running.
pub(super) fn start(machine: &Machine, name: &str) -> Result<()> {
    machine.process()?; // fails if process 1 does not run, which reads the pipe
    let pipe = machine.path("/run/lab/start");
    let opened = std::fs::OpenOptions::new().write(true).open(&pipe);
    opened.and_then(|mut pipe| writeln!(pipe, "{name}")).map_err(Error::file("write to", &pipe))
}
