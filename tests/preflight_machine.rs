//! The checks of a machine's runtime, swap and kernel, on machines of namespaces: each has its own containerd, files
//! and network, and no kubelet. What is said of a kubelet that runs is tested on machines of the lab.
//!
//! Tier: binary. Needs root, and Debian's containerd.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// What comes before a test's own lines: a machine of its own, and `check NAME`, which keeps a report.
const PRELUDE: &str = r#"
set -eu
mount -t tmpfs run /run
mount -t tmpfs none /var/lib
mkdir /run/etc /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work etc /etc
ip link set lo up
rm -f /etc/fstab /etc/systemd/system/*/*.swap
mkdir -p /etc/containerd /etc/kubernetes/manifests /var/lib/kubelet
containerd config default >/etc/containerd/config.toml
echo 'containerRuntimeEndpoint: unix:///run/containerd/containerd.sock' >/var/lib/kubelet/config.yaml
check() {
  "$BOOTKUBE" preflight --asset-dir="$FOLDER/assets" -o json >"$FOLDER/$1.json" || [ $? = 4 ]
}
containerd() {
  command containerd "$@" >>"$FOLDER/containerd.log" 2>&1 &
  for n in $(seq 200); do if ctr version >/dev/null 2>&1; then return; fi; sleep 0.1; done
  cat "$FOLDER/containerd.log" >&2
  return 1
}
"#;

/// Assets, and the reports that were made of them.
struct Machine {
    folder: TempDir,
}

impl Machine {
    /// Runs `script` on a machine with assets of a configuration of `fields`.
    fn run(fields: &str, script: &str) -> Self {
        let folder = TempDir::new().unwrap();
        support::render(folder.path(), fields);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["--propagation", "private", "bash", "-c", &format!("{PRELUDE}{script}")]);
        command.env("FOLDER", folder.path()).env("BOOTKUBE", env!("CARGO_BIN_EXE_bootkube"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { folder }
    }

    /// What check `name` found in a report.
    fn found(&self, report: &str, name: &str) -> Value {
        let text = fs::read_to_string(self.folder.path().join(format!("{report}.json"))).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        let is_it = |check: &&Value| check["name"] == name;
        report["checks"].as_array().unwrap().iter().find(is_it).unwrap().clone()
    }

    /// The words of a check that failed.
    fn failure(&self, report: &str, name: &str) -> String {
        let found = self.found(report, name);
        assert_eq!(found["result"], "fail", "{found:#}");
        found["problems"].to_string()
    }
}

#[test]
fn images_are_missed_under_containerds_default_configuration_and_one_is_that_of_sandboxes() {
    let machine = Machine::run(
        "",
        r#"
        containerd
        check default
        sed -i 's,config_path = "",config_path = "/etc/containerd/certs.d",' /etc/containerd/config.toml
        mkdir -p /etc/containerd/certs.d/_default
        check folder
        printf '[host."https://mirror.example.test"]\n' >/etc/containerd/certs.d/_default/hosts.toml
        check mirror
        grep sandbox_image /etc/containerd/config.toml >"$FOLDER/sandbox"
        "#,
    );
    let line = fs::read_to_string(machine.folder.path().join("sandbox")).unwrap();
    let image = line.split('"').nth(1).unwrap();
    for report in ["default", "folder"] {
        let said = machine.failure(report, "images");
        assert!(said.contains("kube-apiserver") && said.contains("cannot be reached"), "{said}");
        assert!(said.contains(&format!("image {image} is not on this machine")), "{said}");
        assert!(said.contains("makes the sandbox of every pod from it"), "{said}");
    }
    let found = machine.found("mirror", "images");
    assert_eq!(found["result"], "unknown", "{found:#}");
    assert!(
        found["detail"].as_str().unwrap().contains("/etc/containerd/certs.d/_default/hosts.toml"),
        "{found:#}"
    );
}

#[test]
fn a_containerd_that_is_stopped_and_one_without_cri_are_told_apart() {
    let machine = Machine::run(
        "",
        r#"
        check stopped
        sed -i 's,^disabled_plugins = .*,disabled_plugins = ["io.containerd.grpc.v1.cri"],' /etc/containerd/config.toml
        containerd
        check without
        "#,
    );
    let said = machine.failure("stopped", "container-runtime");
    assert!(said.contains("does not answer at /run/containerd/containerd.sock"), "{said}");
    assert!(said.contains("systemctl start containerd"), "{said}");
    let said = machine.failure("without", "container-runtime");
    assert!(said.contains("does not offer CRI") && said.contains("disabled_plugins"), "{said}");
}

#[test]
fn swap_that_is_on_and_swap_that_comes_back_fail_unless_kubelet_takes_it() {
    let machine = Machine::run(
        "",
        r#"
        check off
        printf '/dev/vda1 / ext4 defaults 0 1\n/dev/vda2 none swap sw 0 0\n' >/etc/fstab
        check fstab
        printf 'Filename Type Size Used Priority\n/dev/vda2 partition 1 0 -2\n' >/run/swaps
        mount --bind /run/swaps /proc/swaps
        check on
        echo 'failSwapOn: false' >>/var/lib/kubelet/config.yaml
        check taken
        "#,
    );
    assert_eq!(machine.found("off", "swap")["result"], "pass");
    let said = machine.failure("fstab", "swap");
    assert!(
        said.contains("comes back at the next boot") && said.contains("line 2 of /etc/fstab (/dev/vda2)"),
        "{said}"
    );
    assert!(said.contains("run sed -Ei") && said.contains("failSwapOn: false"), "{said}");
    let said = machine.failure("on", "swap");
    assert!(said.contains("swap is on (/dev/vda2)") && said.contains("run swapoff -a; sed -Ei"), "{said}");
    assert_eq!(machine.found("taken", "swap")["result"], "pass");
}

#[test]
fn a_kernel_that_does_not_forward_fails_for_the_families_of_the_cluster() {
    let script = r"
        echo 0 >/proc/sys/net/ipv4/ip_forward
        echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
        check off
        echo 1 >/proc/sys/net/ipv4/ip_forward
        check v4
        echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
        check both
    ";
    let single = Machine::run("", script);
    let said = single.failure("off", "forwarding");
    assert!(said.contains("net.ipv4.ip_forward is 0") && !said.contains("IPv6"), "{said}");
    assert_eq!(single.found("v4", "forwarding")["result"], "pass");
    let dual = Machine::run(
        "podCIDRs: [10.2.0.0/16, 'fd00:2::/56']\nserviceCIDRs: [10.3.0.0/24, 'fd00:3::/112']",
        script,
    );
    assert!(dual.failure("v4", "forwarding").contains("net.ipv6.conf.all.forwarding is 0"));
    assert_eq!(dual.found("both", "forwarding")["result"], "pass");
}

#[test]
fn flannel_needs_the_rules_of_services_on_bridges_and_a_cluster_without_it_may_not() {
    let script = r"
        check as_it_is
        if [ -e /proc/sys/net/bridge ]; then echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi
        check off
    ";
    let flannel = Machine::run("", script);
    let said = flannel.failure("off", "bridge-netfilter");
    match Path::new("/proc/sys/net/bridge").exists() {
        true => {
            assert!(said.contains("net.bridge.bridge-nf-call-iptables is 0"), "{said}");
            assert_eq!(flannel.found("as_it_is", "bridge-netfilter")["result"], "pass");
        }
        false => assert!(said.contains("br_netfilter is not loaded"), "{said}"),
    }
    let none = Machine::run("networking: none", "check off");
    assert_eq!(none.found("off", "bridge-netfilter")["result"], "pass");
}

#[test]
fn a_user_who_may_not_read_the_assets_is_told_to_be_root() {
    let folder = TempDir::new().unwrap();
    support::render(folder.path(), "");
    let program = folder.path().join("bootkube");
    fs::copy(env!("CARGO_BIN_EXE_bootkube"), &program).unwrap();
    let opened = Command::new("chmod").arg("755").args([folder.path(), &program]).status().unwrap();
    assert!(opened.success());
    let nobody = |arguments: &[&str]| -> Output {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).args(arguments);
        command.current_dir(folder.path()).output().unwrap()
    };
    let checked = nobody(&["preflight", "--asset-dir=assets", "-o", "json"]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((checked.status.code(), &report["ready"]), (Some(4), &false.into()));
    let checks = report["checks"].as_array().unwrap();
    assert_eq!((&checks[0]["name"], &checks[0]["result"]), (&"root".into(), &"fail".into()));
    assert!(checks[1..].iter().all(|check| check["result"] == "unknown"), "{report:#}");

    let started = nobody(&["start", "--asset-dir=assets"]);
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    assert_eq!(started.status.code(), Some(3), "{said}");
    assert!(
        said.contains("it cannot be read: Permission denied") && said.contains("as root (sudo)"),
        "{said}"
    );
    assert!(!said.contains("bootstrap-manifests"), "{said}");

    let assets = folder.path().join("assets");
    let opened = Command::new("chmod").arg("755").arg(assets).status().unwrap();
    assert!(opened.success());
    let said = String::from_utf8_lossy(&nobody(&["start", "--asset-dir=assets"]).stderr).into_owned();
    assert!(said.contains("bootstrap-manifests: it cannot be read: Permission denied"), "{said}");
    assert!(!said.contains("there is no static pod in it") && !said.contains("it is missing"), "{said}");
}
