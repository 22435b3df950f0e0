//! Observes the machine. Nothing here judges, and nothing is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use time::OffsetDateTime;

use super::credentials::foreign_token;
use super::etcd::probe_members;
use super::facts::{
    DataFolder, Facts, Kernel, Manifest, PodNetwork, Registry, Room, Setting, Swap, Taken, Volume,
};
use super::kernel::SETTINGS;
use super::subject::{KUBELET_KUBECONFIG, Subject, full_reference, registry};
use crate::error::chain;
use crate::host::programs::{self, Program};
use crate::host::{addresses, kernel, rooted, routes, sockets, static_pods, swap};
use crate::journal::digest;
use crate::kubelet::{Kubelet, Machine, Runtime, at_rest, find_kubelet, health, runtime};
use crate::living;
use crate::{BOOTSTRAP_SECRETS, CONTROL_PLANE_KEYS, ETCD_KEYS};

/// The port of kubelet's own API.
const KUBELET_PORT: u16 = 10250;
const KUBERNETES: &str = "/etc/kubernetes";
/// Files that kubeadm alone writes on a controller.
const KUBEADM: [&str; 3] = ["admin.conf", "super-admin.conf", "controller-manager.conf"];
/// Manifests, keys and a journal: kilobytes.
const KUBERNETES_NEEDS: u64 = 16 << 20;
/// etcd preallocates a log of 64 MiB twice, and grows to 2 GiB by default.
const ETCD_NEEDS: u64 = 512 << 20;
/// Where the runtime looks for network configurations, and which names those have (`libcni`).
const NETWORKS: &str = "/etc/cni/net.d";
const NETWORK_FILES: [&str; 3] = ["conf", "conflist", "json"];
/// Interfaces that flannel makes: the bridge of its pods, and the tunnels to other machines.
const OF_FLANNEL: [&str; 3] = ["cni0", "flannel.1", "flannel-v6.1"];
/// The module without which packets between pods on one bridge pass no rules.
const BRIDGE_MODULE: &str = "br_netfilter";

/// Everything, at once.
pub async fn observe(subject: &Subject<'_>) -> Facts {
    let processes = programs::all().unwrap_or_default();
    let kubelet = find_kubelet(&processes, &subject.options.pod_manifest_path);
    let root = kubelet.as_ref().map(|kubelet| kubelet.process.root());
    let local = addresses::local().unwrap_or_default();
    let ports = taken(subject, &processes);
    let (health, (runtime, registries), living::Found { api, admission, living }, etcd, api_host) = futures::join!(
        health(kubelet.as_ref()),
        runtime_and_registries(subject, kubelet.as_ref().map(|kubelet| &kubelet.process), &processes),
        look_at_api(subject, kubelet.as_ref(), &processes),
        probe_members(subject),
        resolve(subject),
    );
    Facts {
        is_root: rustix::process::geteuid().is_root(),
        newest: newest(&subject.options.asset_dir),
        has_kubelet_kubeconfig: subject.options.asset_dir.join(KUBELET_KUBECONFIG).exists(),
        health,
        kubelet_listens: sockets::on_port(KUBELET_PORT).is_ok_and(|found| !found.is_empty()),
        runtime,
        registries,
        taken: ports.map_err(|error| error.to_string()),
        api,
        admission,
        living,
        pod_network: pod_network(root.as_deref()),
        etcd,
        api_host,
        routes: routes::routes().map_err(|error| error.to_string()),
        addresses: local,
        volumes: volumes(subject),
        manifests: manifests(&subject.options.pod_manifest_path).map_err(|error| error.to_string()),
        key_folders: key_folders(),
        etcd_data: etcd_data(subject),
        kubeadm: kubeadm(),
        swap: observe_swap(root.as_deref().unwrap_or(Path::new("/"))),
        kernel: observe_kernel(root.as_deref()),
        services: Vec::new(),
        at_rest: kubelet.is_none().then(at_rest).flatten(),
        kubelet,
    }
}

fn observe_swap(root: &Path) -> Swap {
    Swap {
        active: swap::active().map_err(|error| format!("/proc/swaps: {error}")),
        at_boot: swap::at_boot(root).map_err(|error| format!("/etc/fstab: {error}")),
    }
}

/// The kernel's settings, and what they will be: without a kubelet it is not known which files are
/// the machine's.
fn observe_kernel(root: Option<&Path>) -> Kernel {
    let setting = |name: &'static str| {
        let now = kernel::setting(name).map_err(|error| error.to_string());
        let at_boot = root.map(|root| kernel::setting_at_boot(root, name));
        (name, Setting { now, at_boot })
    };
    let comes_back =
        |root| !kernel::is_loadable(BRIDGE_MODULE) || kernel::is_loaded_at_boot(root, BRIDGE_MODULE);
    Kernel { settings: SETTINGS.map(setting).into(), bridges_at_boot: root.map(comes_back) }
}

fn taken(subject: &Subject<'_>, processes: &[Program]) -> io::Result<Vec<Taken>> {
    let mut taken = Vec::new();
    for claim in subject.claims() {
        let mut addresses = sockets::on_port(claim.port)?;
        addresses.retain(|address| claim.collides_with(*address));
        if !addresses.is_empty() {
            let holders = programs::listening(processes, claim.port)?;
            taken.push(Taken { port: claim.port, addresses, holders });
        }
    }
    Ok(taken)
}

/// The apiservers of this machine, and the cluster behind them.
async fn look_at_api(
    subject: &Subject<'_>,
    kubelet: Option<&Kubelet>,
    processes: &[Program],
) -> living::Found {
    let certificate = subject.api_flag("tls-cert-file").and_then(|path| subject.key_file(&path));
    let wanted = living::Wanted {
        access: &subject.access,
        port: subject.api_port(),
        certificate: certificate.map(|(_, pem)| pem),
        token: kubelet.and_then(|kubelet| foreign_token(subject, kubelet)),
        asks_cluster: subject.options.asks_cluster,
    };
    living::look(wanted, processes).await
}

/// Network configurations of the machine whose files are under `root`, and what flannel has made.
fn pod_network(root: Option<&Path>) -> PodNetwork {
    let unseen = || "kubelet's process cannot be seen from here".to_owned();
    let listed = root.ok_or_else(unseen).and_then(|root| {
        let mut names: Vec<PathBuf> = match fs::read_dir(rooted::path(root, Path::new(NETWORKS))) {
            Ok(entries) => entries.flatten().map(|entry| PathBuf::from(entry.file_name())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(format!("{NETWORKS}: {error}")),
        };
        names
            .retain(|name| name.extension().is_some_and(|kind| NETWORK_FILES.iter().any(|own| kind == *own)));
        names.sort();
        Ok(names.into_iter().map(|name| Path::new(NETWORKS).join(name)).collect())
    });
    PodNetwork {
        configurations: listed,
        interfaces: addresses::of_interfaces(&OF_FLANNEL).unwrap_or_default(),
    }
}

/// The runtime, and the registries of images that it lacks.
async fn runtime_and_registries(
    subject: &Subject<'_>,
    kubelet: Option<&Program>,
    processes: &[Program],
) -> (Runtime, BTreeMap<String, Registry>) {
    let machine = Machine { root: kubelet.map_or_else(|| PathBuf::from("/"), Program::root), processes };
    let mut runtime = runtime(kubelet).await;
    let Runtime::Answers { images: Ok(present), sandbox_image, .. } = &mut runtime else {
        return (runtime, BTreeMap::new());
    };
    if sandbox_image.is_none() {
        *sandbox_image = machine.sandbox_image();
    }
    let wanted = subject.images().into_iter().filter(|wanted| !wanted.never_pulled);
    let wanted = wanted.map(|wanted| wanted.reference).chain(sandbox_image.as_deref().map(full_reference));
    let missing = wanted.filter(|reference| !present.contains(reference));
    let registries = machine.reach(&missing.map(|reference| registry(&reference).to_owned()).collect()).await;
    (runtime, registries)
}

async fn resolve(subject: &Subject<'_>) -> Result<(), String> {
    match tokio::net::lookup_host((subject.api_host(), subject.api_port())).await {
        Ok(mut addresses) => addresses.next().map(drop).ok_or_else(|| "the name has no address".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The most recently changed file of the assets and of /etc/kubernetes.
fn newest(asset_dir: &Path) -> Option<(PathBuf, OffsetDateTime)> {
    let folders = [asset_dir.join("auth"), asset_dir.join("tls"), PathBuf::from(KUBERNETES)];
    let entries = folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let time = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    let files = entries.map(|entry| entry.path()).filter_map(|path| Some((time(&path)?, path)));
    files.max().map(|(time, path)| (path, time.into()))
}

fn volumes(subject: &Subject<'_>) -> Vec<Volume> {
    let etcd = subject.etcd_data().map(|path| (PathBuf::from(path), ETCD_NEEDS));
    let volumes = [(PathBuf::from(KUBERNETES), KUBERNETES_NEEDS)].into_iter().chain(etcd);
    volumes.map(|(path, needed)| Volume { room: room(&path), path, needed }).collect()
}

/// Free room where `path` is or will be. If only the root exists, this is a container without that
/// folder.
fn room(path: &Path) -> Result<Room, String> {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    if existing == Path::new("/") {
        return Err(format!("there is no {} here", path.display()));
    }
    let found = rustix::fs::statvfs(existing).map_err(|error| error.to_string())?;
    Ok(Room {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        has_inodes: found.f_files == 0 || found.f_favail > 0,
        is_read_only: found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

/// The files of kubelet's folder that kubelet reads: it skips names that begin with a dot.
fn manifests(folder: &Path) -> io::Result<Vec<Manifest>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.is_file() && !path.file_name().is_some_and(|name| is_hidden(&name.to_string_lossy()))
    });
    paths.sort();
    paths.into_iter().map(|path| Ok(Manifest { content: fs::read(&path)?, path })).collect()
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

fn key_folders() -> BTreeMap<PathBuf, Result<(), String>> {
    let folders = [BOOTSTRAP_SECRETS, ETCD_KEYS, CONTROL_PLANE_KEYS].into_iter().map(PathBuf::from);
    let check = |folder: &Path| static_pods::check_key_folder(folder).map_err(|error| chain(&error));
    folders.map(|folder| (folder.clone(), check(&folder))).collect()
}

/// Data is this cluster's if etcd's keys on the machine are of the rendered CA, or were so when
/// bootkube placed that etcd.
fn etcd_data(subject: &Subject<'_>) -> DataFolder {
    let Some(folder) = subject.etcd_data().map(PathBuf::from) else { return DataFolder::Free };
    if folder.ancestors().find(|path| path.exists()) == Some(Path::new("/")) {
        return DataFolder::Unseen;
    }
    match fs::read_dir(folder.join("member")).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            let authority = fs::read(Path::new(ETCD_KEYS).join("server-ca.crt")).ok();
            let ours = subject.layout.tls.get("etcd/server-ca.crt");
            let is_in_place = authority.is_some() && authority.as_ref() == ours;
            let began = subject.options.etcd_authority.as_ref();
            let is_known = ours.is_some_and(|ours| began == Some(&digest(ours)));
            DataFolder::Used { is_of_this_cluster: is_in_place || is_known }
        }
        Ok(false) => DataFolder::Free,
        Err(error) if error.kind() == io::ErrorKind::NotFound => DataFolder::Free,
        Err(_) => DataFolder::Unseen,
    }
}

fn kubeadm() -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for path in KUBEADM.into_iter().map(|name| Path::new(KUBERNETES).join(name)) {
        match path.try_exists() {
            Ok(true) => found.push(path),
            Ok(false) => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    Ok(found)
}
