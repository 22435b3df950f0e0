//! Observes the machine. Nothing here judges, and nothing is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use futures::future::join_all;
use time::OffsetDateTime;

use super::etcd::probe_members;
use super::facts::{ApiListener, DataFolder, Facts, Manifest, Registry, Room, Runtime, Taken, Volume};
use super::kubelet::observe::{find_kubelet, health, runtime};
use super::local_api::probe_local_api;
use super::plain;
use super::subject::{Subject, registry};
use crate::cluster::connect::Readyz;
use crate::error::chain;
use crate::host::programs::{self, Program};
use crate::host::{addresses, routes, sockets, static_pods};
use crate::journal::digest;
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
/// Environment variables that make a program use a proxy.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Everything, at once.
pub async fn observe(subject: &Subject<'_>) -> Facts {
    let processes = programs::all().unwrap_or_default();
    let kubelet = find_kubelet(&processes, &subject.options.pod_manifest_path);
    let local = addresses::local().unwrap_or_default();
    let ports = taken(subject, &processes);
    let (health, (runtime, registries), api, etcd, api_host) = futures::join!(
        health(kubelet.as_ref()),
        runtime_and_registries(subject, kubelet.as_ref().map(|kubelet| &kubelet.process), &processes),
        api_listener(subject),
        probe_members(subject),
        resolve(subject),
    );
    Facts {
        is_root: rustix::process::geteuid().is_root(),
        newest: newest(&subject.options.asset_dir),
        health,
        kubelet_listens: sockets::on_port(KUBELET_PORT).is_ok_and(|found| !found.is_empty()),
        runtime,
        registries,
        taken: ports.map_err(|error| error.to_string()),
        api,
        etcd,
        api_host,
        routes: routes::routes().map_err(|error| error.to_string()),
        addresses: local,
        volumes: volumes(subject),
        manifests: manifests(&subject.options.pod_manifest_path).map_err(|error| error.to_string()),
        key_folders: key_folders(),
        etcd_data: etcd_data(subject),
        kubeadm: kubeadm(),
        kubelet,
    }
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

/// What answers on the API's port, verified by this cluster's CA.
async fn api_listener(subject: &Subject<'_>) -> ApiListener {
    match probe_local_api(&subject.access, subject.api_port()).await {
        None => ApiListener::Nothing,
        Some((_, Readyz::Ready | Readyz::NotReady { .. })) => ApiListener::Ours,
        Some((_, Readyz::Unreachable(why))) => ApiListener::Other(why),
    }
}

async fn runtime_and_registries(
    subject: &Subject<'_>,
    kubelet: Option<&Program>,
    processes: &[Program],
) -> (Runtime, BTreeMap<String, Registry>) {
    let runtime = runtime(kubelet).await;
    let Runtime::Answers { images: Ok(present), .. } = &runtime else { return (runtime, BTreeMap::new()) };
    let images = subject.images();
    let missing = images.iter().filter(|wanted| !wanted.never_pulled && !present.contains(&wanted.reference));
    let hosts: BTreeMap<&str, ()> = missing.map(|wanted| (registry(&wanted.reference), ())).collect();
    let root = kubelet.map_or_else(|| PathBuf::from("/"), Program::root);
    let asked = hosts.keys().map(async |host| {
        let reached = reach_registry(host).await;
        let found = reached.map_or_else(|why| detour(&root, host, processes, why), |()| Registry::Reached);
        ((*host).to_owned(), found)
    });
    let registries = join_all(asked).await.into_iter().collect();
    (runtime, registries)
}

async fn reach_registry(host: &str) -> Result<(), String> {
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:443") };
    plain::reach(address).await.map_err(|error| error.to_string())
}

/// Whether the runtime may use a mirror or a proxy for a registry that cannot be reached.
fn detour(root: &Path, host: &str, processes: &[Program], why: String) -> Registry {
    let has = |path: &str| root.join(path).exists();
    let config = fs::read_to_string(root.join("etc/containerd/config.toml")).unwrap_or_default();
    let runtimes = || processes.iter().filter(|process| ["containerd", "crio"].contains(&process.name()));
    let is_mirrored = ["etc/containerd/certs.d/_default", "etc/containers/registries.conf"].map(has);
    let has_detour = is_mirrored.contains(&true)
        || has(&format!("etc/containerd/certs.d/{host}"))
        || config.contains("mirrors")
        || config.contains("config_path")
        || runtimes().any(|process| process.has_variable(&PROXY_VARIABLES))
        || runtimes().next().is_none();
    if has_detour { Registry::Detour(why) } else { Registry::Unreached(why) }
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

/// Free room where `path` is or will be. If only the root exists, this is a container without that folder.
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

/// Data is this cluster's if etcd's keys on the machine are of the rendered CA, or were so when bootkube placed
/// that etcd.
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

fn kubeadm() -> Vec<PathBuf> {
    let paths = KUBEADM.into_iter().map(|name| Path::new(KUBERNETES).join(name));
    paths.filter(|path| path.exists()).collect()
}
