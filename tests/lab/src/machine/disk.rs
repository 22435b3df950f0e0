//! The disk of a machine: a folder that becomes its root. /usr is the host's, seen through an
//! overlay that takes the machine's changes; of the host's /etc a machine has copies of the few
//! files that programs expect.

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

const FOLDERS: &[&str] = &[
    "dev",
    "proc",
    "sys",
    "run",
    "tmp",
    "usr",
    "home",
    "mnt",
    "root",
    "srv",
    "etc/kubernetes/manifests",
    "etc/cni/net.d",
    "etc/containerd",
    "etc/lab/services",
    "opt/bootkube",
    "opt/cni/bin",
    "var/lib/cni",
    "var/lib/containerd",
    "var/lib/etcd",
    "var/lib/kubelet",
    "var/log/containers",
    "var/log/kubernetes",
    "var/log/lab",
    "var/log/pods",
    "var/tmp",
];
/// Copied from the host where it has them.
const FROM_HOST: &[&str] = &[
    "alternatives",
    "ca-certificates",
    "ethertypes",
    "group",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "nsswitch.conf",
    "passwd",
    "protocols",
    "rpc",
    "services",
    "ssl",
];
/// Links into /usr where the host has them so, else folders of the host.
const TOP_LEVEL: &[&str] = &["bin", "lib", "lib32", "lib64", "sbin"];

pub(super) fn create(machine: &Machine, plan: &Plan, machines: u8, store: Option<&Path>) -> Result<()> {
    let home = machine.home();
    if home.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b':' | b',')) {
        return Err(Error::UnmountablePath { path: home });
    }
    let root = home.join("root");
    files::make_dir(&home.join("usr"))?;
    files::make_dir(&home.join("work"))?;
    FOLDERS.iter().try_for_each(|folder| files::make_dir(&root.join(folder)))?;
    copy_top_level(&root)?;
    copy_etc(&root.join("etc"))?;
    write_identity(machine, plan, machines, &root.join("etc"))?;
    link_cni_plugins(&root.join("opt/cni/bin"))?;
    write_cni(machine, Families::default())?;
    store.map_or(Ok(()), |store| copy_store(store, &root.join("var/lib/containerd")))
}

fn copy_top_level(root: &Path) -> Result<()> {
    for name in TOP_LEVEL {
        let on_host = Path::new("/").join(name);
        if let Ok(target) = std::fs::read_link(&on_host) {
            files::link(&target.to_string_lossy(), &root.join(name))?;
        }
    }
    Ok(())
}

fn copy_etc(etc: &Path) -> Result<()> {
    let present = FROM_HOST.iter().map(|name| Path::new("/etc").join(name)).filter(|path| path.exists());
    run(Command::new("cp").args(["--archive", "--target-directory"]).arg(etc).args(present)).map(drop)
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
fn link_cni_plugins(bin: &Path) -> Result<()> {
    let debian = Path::new("/usr/lib/cni");
    for entry in std::fs::read_dir(debian).map_err(Error::file("list", debian))? {
        let path = entry.map_err(Error::file("list", debian))?.path();
        let name = path.file_name().unwrap_or_default();
        files::link(&path.to_string_lossy(), &bin.join(name))?;
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
