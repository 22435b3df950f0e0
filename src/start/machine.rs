//! The machine's side of a pivot: static pods and keys in their folders, listeners on the API port.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use super::Error;
use super::plan::{Placement, Plan};
use super::runner::Progress;
use crate::assets::yaml;
use crate::cluster::connect::{self, Readyz};
use crate::host::{addresses, sockets, static_pods};
use crate::{BOOTSTRAP_SECRETS, ETCD_KEYS, LOCAL_KUBECONFIG};

/// Answered when an apiserver has done all it does at its start.
pub const READY: &str = "/readyz";
/// Answered, to an administrator, about two seconds before that: enough to apply objects to it.
pub const USABLE: &str = "/api/v1/namespaces/kube-system";
/// Between two looks at what cannot be watched: a port, a process.
pub const PROBE: Duration = Duration::from_millis(50);

/// Only root may write where kubelet reads.
pub fn check_root() -> Result<(), Error> {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(Error::NotRoot),
    }
}

/// Finds everything in the way before anything is placed.
pub fn check(plan: &Plan) -> Result<(), Error> {
    for pod in plan.staying.iter().chain(plan.temporary()) {
        static_pods::check_free(&pod.path, &pod.content)?;
    }
    static_pods::check_key_folder(Path::new(BOOTSTRAP_SECRETS))?;
    if !plan.staying.is_empty() {
        static_pods::check_key_folder(Path::new(ETCD_KEYS))?;
    }
    Ok(())
}

/// Static pods that stay whose file on the machine is another than the rendered one.
pub fn changed_staying(plan: &Plan) -> Result<Vec<PathBuf>, Error> {
    let mut changed = Vec::new();
    for pod in &plan.staying {
        match static_pods::check_free(&pod.path, &pod.content) {
            Ok(()) => {}
            Err(static_pods::Error::Foreign { path }) => changed.push(path),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(changed)
}

/// etcd, where it is a static pod that stays: its keys, which it reads again when they are renewed, and, where there is none yet,
/// the pod.
pub fn place_etcd(plan: &Plan, is_running: bool) -> Result<(), Error> {
    static_pods::write_key_folder(Path::new(ETCD_KEYS), &plan.etcd_keys)?;
    match is_running {
        true => Ok(()),
        false => place(&plan.staying),
    }
}

/// The keys of the bootstrap pods, then the apiserver.
pub fn place_apiserver(plan: &Plan) -> Result<(), Error> {
    static_pods::write_key_folder(Path::new(BOOTSTRAP_SECRETS), &plan.secrets)?;
    place(std::slice::from_ref(&plan.apiserver))
}

/// The other bootstrap pods, which are told where the bootstrap apiserver is. Started before it serves, they would be refused, exit,
/// and wait for kubelet's back-off.
pub fn place_others(plan: &Plan, endpoint: SocketAddr) -> Result<(), Error> {
    let kubeconfig = local_kubeconfig(plan, endpoint)?;
    static_pods::write_key(&Path::new(BOOTSTRAP_SECRETS).join(LOCAL_KUBECONFIG), kubeconfig.as_bytes())?;
    place(&plan.others)
}

fn place(pods: &[Placement]) -> Result<(), Error> {
    for pod in pods {
        static_pods::place(&pod.path, &pod.content)?;
    }
    Ok(())
}

/// The administrator's kubeconfig, leading to `endpoint` and verifying it under the name it had.
fn local_kubeconfig(plan: &Plan, endpoint: SocketAddr) -> Result<String, Error> {
    let text = String::from_utf8_lossy(&plan.kubeconfig);
    let mut documents = yaml::parse(&text, "auth/kubeconfig")?;
    let mut kubeconfig = documents.pop().unwrap_or_default();
    for entry in kubeconfig["clusters"].as_array_mut().into_iter().flatten() {
        if let Value::Object(cluster) = &mut entry["cluster"] {
            cluster.insert("server".to_owned(), json!(format!("https://{endpoint}")));
            cluster.insert("tls-server-name".to_owned(), json!(connect::server_name(&plan.access)));
        }
    }
    Ok(yaml::write(&kubeconfig))
}

/// Addresses of this machine at which somebody listens on the API port.
fn listening(plan: &Plan) -> Result<Vec<SocketAddr>, Error> {
    let local = addresses::local()
        .map_err(|source| Error::Host { act: "list the addresses of this machine", source })?;
    let port = plan.api_port();
    let bound = on_port(port)?;
    let reached = |address: &IpAddr| bound.iter().any(|bound| bound == address || bound.is_unspecified());
    Ok(local.into_iter().filter(reached).map(|address| SocketAddr::new(address, port)).collect())
}

/// An address of this machine at which the API is ready now; if there is none, why.
pub async fn serving(plan: &Plan) -> Result<Result<SocketAddr, String>, Error> {
    ask(plan, &listening(plan)?, READY).await
}

/// Whether an apiserver other than the bootstrap one is ready. Where that one holds the wildcard, any counts.
pub async fn is_served_by_another(plan: &Plan) -> Result<bool, Error> {
    let bound = on_port(plan.api_port())?;
    let another = bound.iter().any(|address| !plan.bootstrap_listens_at(*address));
    Ok((another || plan.bootstrap_holds_wildcard()) && serving(plan).await?.is_ok())
}

async fn ask(plan: &Plan, endpoints: &[SocketAddr], path: &str) -> Result<Result<SocketAddr, String>, Error> {
    let probes = endpoints.iter().map(|endpoint| connect::probe(&plan.access, Some(*endpoint), path));
    let mut reason = format!("no apiserver listens on port {} of this machine yet", plan.api_port());
    for (endpoint, answer) in endpoints.iter().zip(join_all(probes).await) {
        reason = match answer? {
            Readyz::Ready => return Ok(Ok(*endpoint)),
            Readyz::NotReady { lines, .. } => format!("{endpoint} is not ready: {}", lines.join("; ")),
            Readyz::Unreachable(why) => format!("{endpoint} does not answer: {why}"),
        };
    }
    Ok(Err(reason))
}

/// Waits until the self-hosted apiserver itself says that it is ready, asked where the bootstrap one does not listen. Where both
/// share every address, kubelet's word must do.
pub async fn wait_self_hosted(plan: &Plan, waiting: &dyn Fn(String)) -> Result<(), Error> {
    let bootstrap = bootstrap_listeners(plan)?;
    if bootstrap.iter().any(IpAddr::is_unspecified) {
        return Ok(());
    }
    loop {
        let mut own = listening(plan)?;
        own.retain(|endpoint| !bootstrap.contains(&endpoint.ip()));
        match ask(plan, &own, READY).await? {
            Ok(_) => return Ok(()),
            Err(reason) => waiting(format!("the self-hosted apiserver: {reason}")),
        }
        tokio::time::sleep(PROBE).await;
    }
}

/// Waits until an apiserver of this machine answers for `path`, [`READY`] or [`USABLE`], and says where.
pub async fn wait_api(plan: &Plan, path: &str, progress: &Progress<'_>) -> Result<SocketAddr, Error> {
    loop {
        match ask(plan, &listening(plan)?, path).await? {
            Ok(endpoint) => {
                progress.found(format!("the API answers at {endpoint}"));
                return Ok(endpoint);
            }
            Err(reason) => progress.waiting(reason),
        }
        tokio::time::sleep(PROBE).await;
    }
}

/// Removes the bootstrap pods other than the apiserver and waits until they have let go of their ports.
pub async fn remove_others(plan: &Plan, progress: &Progress<'_>) -> Result<(), Error> {
    progress.acts("remove the other bootstrap pods");
    let mut ports = Vec::new();
    for pod in &plan.others {
        // Static pods that `unpivot` placed share theirs with the self-hosted ones.
        ports.extend(pod.port.map(|port| on_port(port).map(|bound| (pod, port, bound.len()))).transpose()?);
        static_pods::remove(&pod.path, &pod.content)?;
    }
    for (pod, port, before) in ports {
        while before > 0 && on_port(port)?.len() >= before {
            progress.waiting(format!("{} has not ended yet", name(&pod.path)));
            tokio::time::sleep(PROBE).await;
        }
        progress.found(format!("{} has ended", name(&pod.path)));
    }
    Ok(())
}

/// Removes the bootstrap apiserver and waits until its listener is gone.
pub async fn remove_apiserver(plan: &Plan, progress: &Progress<'_>) -> Result<(), Error> {
    let before = bootstrap_listeners(plan)?.len();
    progress.acts("remove the bootstrap apiserver");
    static_pods::remove(&plan.apiserver.path, &plan.apiserver.content)?;
    if before == 1 && plan.bootstrap_holds_wildcard() {
        return Ok(()); // the other one takes the port in the moment it is free: who listens does not tell
    }
    while before > 0 && bootstrap_listeners(plan)?.len() >= before {
        progress.waiting("the bootstrap apiserver has not ended yet");
        tokio::time::sleep(PROBE).await;
    }
    progress.found("the bootstrap apiserver has ended");
    Ok(())
}

/// Removes what the bootstrap pods read.
pub fn remove_secrets() -> Result<(), Error> {
    Ok(static_pods::remove_key_folder(Path::new(BOOTSTRAP_SECRETS))?)
}

/// Addresses of the bootstrap apiserver's listeners.
fn bootstrap_listeners(plan: &Plan) -> Result<Vec<IpAddr>, Error> {
    let mut bound = on_port(plan.api_port())?;
    bound.retain(|address| plan.bootstrap_listens_at(*address));
    Ok(bound)
}

/// Addresses that `port` is listened on, one for each listener.
pub fn on_port(port: u16) -> Result<Vec<IpAddr>, Error> {
    sockets::on_port(port).map_err(|source| Error::Host { act: "list the listeners of this machine", source })
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
