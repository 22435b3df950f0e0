//! The disk of a machine: a folder that becomes its root, a copy of Debian's. Debian's /usr is seen
//! through an overlay that takes the machine's changes.

use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

use super::Machine;
use crate::cache::hex;
use crate::command::run;
use crate::error::{Error, Result};
use crate::families::Families;
use crate::files;
use crate::plan::Plan;
use crate::store::Parts;

const FOLDERS: &[&str] = &[
    "etc/kubernetes/manifests",
    "etc/cni/net.d",
    "opt/bootkube",
    "opt/cni/bin",
    "var/lib/etcd",
    "var/lib/kubelet",
    "var/log/kubernetes",
    "var/log/lab",
];
/// What a node of Kubernetes needs, as the README has it.
const SYSCTL: &str = "net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n";

pub(super) fn create(machine: &Machine, plan: &Plan, machines: u8, parts: &Parts) -> Result<()> {
    let home = machine.home();
    if home.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b':' | b',')) {
        return Err(Error::UnmountablePath { path: home });
    }
    let root = home.join("root");
    files::make_dir(&home.join("usr"))?;
    files::make_dir(&home.join("work"))?;
    run(Command::new("cp").arg("--archive").arg(parts.base.join("root")).arg(&root))?;
    FOLDERS.iter().try_for_each(|folder| files::make_dir(&root.join(folder)))?;
    write_identity(machine, plan, machines, &root.join("etc"))?;
    files::write(&root.join("etc/sysctl.d/k8s.conf"), SYSCTL.as_bytes(), 0o644)?;
    link_cni_plugins(&parts.base.join("usr/lib/cni"), &root.join("opt/cni/bin"))?;
    write_cni(machine, Families::default())?;
    let store = parts.store.as_deref();
    store.map_or(Ok(()), |store| copy_store(store, &root.join("var/lib/containerd")))
}

fn write_identity(machine: &Machine, plan: &Plan, machines: u8, etc: &Path) -> Result<()> {
    let name = machine.name();
    let mut hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n".to_owned();
    for number in 1..=machines {
        hosts += &format!("{} n{number}\n", plan.machine(number));
    }
    let id = hex(&Sha256::digest(format!("{} {name}", plan.id())))[..32].to_owned();
    let resolv = format!("nameserver {}\noptions timeout:1 attempts:1\n", plan.gateway());
    let files = [("hosts", hosts), ("resolv.conf", resolv), ("hostname", name), ("machine-id", id)];
    files.iter().try_for_each(|(file, text)| {
        files::write(&etc.join(file), format!("{}\n", text.trim_end()).as_bytes(), 0o644)
    })
}

/// Where container runtimes look for them, and where an installer may add its own.
fn link_cni_plugins(debian: &Path, bin: &Path) -> Result<()> {
    for entry in std::fs::read_dir(debian).map_err(Error::file("list", debian))? {
        let name = entry.map_err(Error::file("list", debian))?.file_name();
        files::link(&format!("/usr/lib/cni/{}", name.to_string_lossy()), &bin.join(&name))?;
    }
    Ok(())
}

/// A pod network for clusters that bring none: a bridge on each machine, routes between them.
pub(super) fn write_cni(machine: &Machine, families: Families) -> Result<()> {
    let (plan, number) = (&machine.plan, machine.number);
    let ranges: Vec<_> = families
        .choose(plan.pods(number), plan.pods6(number))
        .into_iter()
        .map(|range| serde_json::json!([{"subnet": range}]))
        .collect();
    let routes: Vec<_> =
        families.choose("0.0.0.0/0", "::/0").into_iter().map(|to| serde_json::json!({"dst": to})).collect();
    let ipam = serde_json::json!({"type": "host-local", "ranges": ranges, "routes": routes});
    let list = serde_json::json!({"cniVersion": "0.4.0", "name": "lab", "plugins": [
        {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]});
    files::write(&machine.path(CNI_CONFIG), list.to_string().as_bytes(), 0o644)
}

/// A machine whose cluster brings its own network removes this file before kubelet starts.
pub(super) const CNI_CONFIG: &str = "etc/cni/net.d/90-lab.conflist";

/// Images are never written to once they are there, so they are linked; the databases beside them
/// are copied.
fn copy_store(store: &Path, to: &Path) -> Result<()> {
    let from = store.join(".");
    let linked =
        run(Command::new("cp").args(["--archive", "--link", "--no-target-directory"]).arg(&from).arg(to));
    if linked.is_err() {
        return run(Command::new("cp").args(["--archive", "--no-target-directory"]).arg(&from).arg(to))
            .map(drop); // another disk
    }
    let databases = run(Command::new("find").arg(store).args(["-name", "*.db", "-printf", "%P\\n"]))?;
    databases.lines().try_for_each(|database| {
        let copy = to.join(database);
        files::remove(&copy)?;
        std::fs::copy(store.join(database), &copy).map(drop).map_err(Error::file("copy", &copy))
    })
}
