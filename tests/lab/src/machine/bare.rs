//! A machine on which nothing of Kubernetes is configured: containerd and the packages of kubelet and
//! kubectl are as they were installed. And what the lab puts there for a reader of the documents,
//! who configures the rest by hand.

use serde_json::json;

use super::Machine;
use crate::error::Result;
use crate::files;
use crate::programs::PAUSE;
use crate::quirks;
use crate::state::State;

/// Takes away what the lab's machines have beyond their packages, and lets `modprobe` find a module
/// that the host has.
const STRIP: &str = include_str!("bare.sh");
const CONTAINERD: &str = "/etc/containerd/config.toml";
/// Reads what a reader wrote, with the one line changed that the host does not allow.
const RESTRICTED: &str = "\
[Service]
ExecStartPre=/bin/sh -c \"sed 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' \\
  /etc/containerd/config.toml > /run/containerd-of-the-lab.toml\"
ExecStart=
ExecStart=/usr/bin/containerd --config /run/containerd-of-the-lab.toml
";
const DROP_INS: &str = "/etc/lab/kubelet.d";

impl Machine {
    /// Makes a new machine a bare one.
    pub fn make_bare(&self) -> Result<()> {
        self.run(&["bash", "-c", STRIP])?;
        let debian = State::load(&self.lab)?.base.join("root").join(CONTAINERD.trim_start_matches('/'));
        self.write(CONTAINERD, &files::read(&debian)?, 0o644)?;
        if quirks::must_restrict_oom_score() {
            self.write("/etc/systemd/system/containerd.service.d/lab.conf", RESTRICTED.as_bytes(), 0o644)?;
        }
        self.run(&["systemctl", "daemon-reload"])?;
        self.run(&["systemctl", "restart", "containerd"])?;
        self.name_sandbox_image()?;
        self.write_kubelet_quirks()
    }

    /// The pod sandbox's image by the name that containerd's defaults have for it. A user's machine
    /// pulls it.
    fn name_sandbox_image(&self) -> Result<()> {
        let image = format!("registry.k8s.io/pause:{PAUSE}");
        let script = format!(
            "ctr -n k8s.io images tag --force {image} \
             \"$(containerd config default | sed -n 's/.*sandbox_image = \"\\(.*\\)\"/\\1/p')\""
        );
        self.run(&["bash", "-c", &script]).map(drop)
    }

    /// What this host needs of kubelet, beside the reader's configuration: the flags of a machine are
    /// in a file of kubelet's package.
    pub fn write_kubelet_quirks(&self) -> Result<()> {
        let mut config = quirks::kubelet_config();
        config["apiVersion"] = json!("kubelet.config.k8s.io/v1beta1");
        config["kind"] = json!("KubeletConfiguration");
        self.write(&format!("{DROP_INS}/lab.conf"), config.to_string().as_bytes(), 0o644)?;
        let flags = format!("KUBELET_EXTRA_ARGS=--config-dir={DROP_INS}\n");
        self.write("/etc/default/kubelet", flags.as_bytes(), 0o644)
    }
}
