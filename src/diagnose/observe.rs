//! Observes the machine: its checks, and its static pods as the runtime knows them. Nothing here
//! judges, and nothing is changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::Value;
use time::OffsetDateTime;

use super::evidence::{Cluster, Container, End, Evidence, Life, Observed, StaticPod};
use super::subject::Subject;
use super::underway::Underway;
use super::{observe_api, pods};
use crate::assets::command::containers;
use crate::error::chain;
use crate::host::cri::{self, Sandbox, State};
use crate::host::log;
use crate::kubelet;
use crate::preflight;

/// File times and the runtime's times come from one clock, but are taken at different moments.
const SLACK: time::Duration = time::Duration::seconds(2);
/// Kubernetes' default of terminationGracePeriodSeconds.
const GRACE: i64 = 30;

/// Everything, at once.
pub async fn observe(subject: &Subject, underway: Underway) -> Evidence {
    let begun = Instant::now();
    let runtime = Runtime::query().await;
    let runtime_took = begun.elapsed().try_into().unwrap_or(time::Duration::MAX);
    let (checks, static_pods, (api, mut cluster)) =
        futures::join!(checks(subject), static_pods(subject, &runtime), observe_api::observe_api(subject));
    if let Some(cluster) = &mut cluster {
        last_words(subject, cluster, &runtime, api.answer.as_ref().map(|(endpoint, _)| endpoint)).await;
    }
    let now = OffsetDateTime::now_utc();
    Evidence { now, checks, runtime_took, static_pods, api, cluster, underway }
}

async fn checks(subject: &Subject) -> Observed<Vec<preflight::Check>> {
    let now = OffsetDateTime::now_utc();
    let options = preflight::CheckOptions { now, asks_cluster: false, ..subject.checks.clone() };
    match preflight::run(&subject.layout, &options, |_| {}).await {
        Ok(checks) => Observed::Seen(checks),
        Err(error) => Observed::Unknown(chain(&error)),
    }
}

/// What the container runtime knows.
struct Runtime {
    socket: PathBuf,
    /// The folder under which this process sees its files.
    root: PathBuf,
    sandboxes: Vec<Sandbox>,
    containers: Vec<cri::Container>,
    images: Vec<String>,
    /// The image of sandboxes, if it says.
    sandbox_image: Option<String>,
}

impl Runtime {
    async fn query() -> Observed<Self> {
        let (socket, root) = match kubelet::locate_runtime() {
            Ok(place) => place,
            Err(why) => return Observed::Unknown(why),
        };
        let asked = futures::try_join!(
            cri::sandboxes(&socket),
            cri::containers(&socket),
            cri::images(&socket),
            kubelet::sandbox_image(&socket, &root)
        );
        match asked {
            Ok((sandboxes, containers, images, sandbox_image)) => {
                Observed::Seen(Self { socket, root, sandboxes, containers, images, sandbox_image })
            }
            Err(error) => Observed::Unknown(chain(&error)),
        }
    }

    /// The image of sandboxes, if it is not there.
    fn lacks(&self) -> Option<String> {
        let image = self.sandbox_image.as_ref()?;
        (!self.images.contains(&preflight::full_reference(image))).then(|| image.clone())
    }

    /// Containers called `name` in a pod, the newest first.
    fn containers(&self, is_of_pod: impl Fn(&cri::Container) -> bool, name: &str) -> Vec<&cri::Container> {
        let mut found: Vec<_> = self
            .containers
            .iter()
            .filter(|container| container.name == name && is_of_pod(container))
            .collect();
        found.sort_by_key(|container| std::cmp::Reverse((container.attempt, container.created)));
        found
    }

    /// Whether a sandbox belongs to the present file: it is newer, or it runs, or a container was
    /// started since. Any other is left over from an earlier file.
    fn is_of_file(&self, sandbox: &Sandbox, placed: Option<OffsetDateTime>) -> bool {
        let Some(placed) = placed else { return true };
        let mut containers = self.containers.iter().filter(|container| container.sandbox == sandbox.id);
        sandbox.created + SLACK > placed
            || containers.any(|container| container.state == State::Running || container.created > placed)
    }

    /// How a container ended, if it did.
    async fn end(&self, container: &cri::Container) -> Option<End> {
        if container.state != State::Exited {
            return None;
        }
        let status = cri::container_status(&self.socket, &container.id).await.ok()?;
        let log = status.log_path;
        let lines = match &log {
            Some(path) => self.lines(path),
            None => Observed::Unknown("the runtime keeps no log".to_owned()),
        };
        let (exit_code, reason, attempt) = (status.exit_code, status.reason, container.attempt);
        Some(End { exit_code, reason, attempt, lines, log })
    }

    fn lines(&self, path: &Path) -> Observed<Vec<String>> {
        let seen = self.root.join(path.strip_prefix("/").unwrap_or(path));
        match log::last_lines(&seen) {
            Ok(lines) => Observed::Seen(lines),
            Err(error) => Observed::Unknown(format!("{}: {error}", path.display())),
        }
    }
}

/// The static pods of the assets whose files are in kubelet's folder.
async fn static_pods(subject: &Subject, runtime: &Observed<Runtime>) -> Observed<Vec<StaticPod>> {
    let runtime = match runtime {
        Observed::Seen(runtime) => runtime,
        Observed::Unknown(why) => return Observed::Unknown(why.clone()),
    };
    let layout = &subject.layout;
    let staying = layout.controller_manifests.iter().map(|pod| (pod, true));
    let all = staying.chain(layout.bootstrap_manifests.iter().map(|pod| (pod, false)));
    let mut pods = Vec::new();
    for (pod, stays) in all {
        let file = subject.checks.pod_manifest_path.join(pod.file_name());
        if let Ok(found) = fs::metadata(&file) {
            let placed = found.modified().ok().map(OffsetDateTime::from);
            pods.push(static_pod(&pod.value, file, placed, stays, runtime).await);
        }
    }
    Observed::Seen(pods)
}

async fn static_pod(
    pod: &Value,
    file: PathBuf,
    placed: Option<OffsetDateTime>,
    stays: bool,
    runtime: &Runtime,
) -> StaticPod {
    let text = |field: &str| pod["metadata"][field].as_str();
    let name = text("name").unwrap_or_default().to_owned();
    let there = sandbox(text("namespace").unwrap_or("default"), &name, placed, &runtime.sandboxes);
    let sandbox = there.filter(|sandbox| runtime.is_of_file(sandbox, placed));
    let lingers = there.is_some() && sandbox.is_none();
    let mut found = Vec::new();
    for container in containers(pod) {
        found.push(container_of(container, sandbox, runtime).await);
    }
    StaticPod {
        name,
        file,
        stays,
        placed,
        grace: time::Duration::seconds(
            pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(GRACE),
        ),
        lingers,
        started: sandbox.map(|sandbox| sandbox.created),
        lacks: runtime.lacks(),
        containers: found,
    }
}

/// The sandbox of a static pod: the newest one made after the file, else one that is ready.
fn sandbox<'a>(
    namespace: &str,
    name: &str,
    placed: Option<OffsetDateTime>,
    all: &'a [Sandbox],
) -> Option<&'a Sandbox> {
    let prefix = format!("{name}-"); // kubelet adds the node's name
    let is_it = |sandbox: &&Sandbox| {
        sandbox.namespace == namespace && sandbox.name.starts_with(&prefix) && sandbox.is_static()
    };
    let is_newer = |sandbox: &Sandbox| placed.is_none_or(|placed| sandbox.created + SLACK > placed);
    let present = all.iter().filter(is_it).filter(|sandbox| sandbox.is_ready || is_newer(sandbox));
    present.max_by_key(|sandbox| (is_newer(sandbox), sandbox.is_ready, sandbox.created))
}

async fn container_of(container: &Value, sandbox: Option<&Sandbox>, runtime: &Runtime) -> Container {
    let name = container["name"].as_str().unwrap_or_default();
    let image = container["image"].as_str().unwrap_or_default();
    let made = match sandbox {
        Some(sandbox) => runtime.containers(|container| container.sandbox == sandbox.id, name),
        None => Vec::new(),
    };
    let newest = made.first();
    let ended = match newest {
        Some(newest) => runtime.end(newest).await,
        None => None,
    };
    let before = match made.get(1) {
        Some(before) => runtime.end(before).await,
        None => None,
    };
    let life = match (newest, ended) {
        (None, _) => Life::Missing,
        (Some(_), Some(end)) => Life::Ended(end),
        (Some(newest), None) => Life::Running(newest.created),
    };
    let has_image = Some(runtime.images.contains(&preflight::full_reference(image)));
    Container { name: name.to_owned(), image: image.to_owned(), has_image, life, before }
}

/// Adds the last log lines of containers that ended: from this machine's files, else through the
/// API.
async fn last_words(
    subject: &Subject,
    cluster: &mut Cluster,
    runtime: &Observed<Runtime>,
    endpoint: Option<&String>,
) {
    let crashed: Vec<(Pod, String)> = cluster
        .pods
        .iter()
        .flat_map(|pod| pods::crashed(pod).into_iter().map(|crashed| (pod.clone(), crashed.container)))
        .collect();
    let client = endpoint.and_then(|endpoint| observe_api::client(subject, endpoint));
    for (pod, container) in crashed {
        let lines = match (local_lines(&pod, &container, runtime).await, &client) {
            (None, Some(client)) => observe_api::last_lines(client, &pod, &container).await,
            (lines, _) => lines,
        };
        if let Some(lines) = lines {
            cluster.lines.insert((pod.name_any(), container), lines);
        }
    }
}

async fn local_lines(pod: &Pod, container: &str, runtime: &Observed<Runtime>) -> Option<Vec<String>> {
    let Observed::Seen(runtime) = runtime else { return None };
    let uid = pod.uid()?;
    let made = runtime.containers(|container| container.pod_uid == uid, container);
    let ended = made.into_iter().find(|container| container.state == State::Exited)?;
    match runtime.end(ended).await?.lines {
        Observed::Seen(lines) => Some(lines),
        Observed::Unknown(_) => None,
    }
}
