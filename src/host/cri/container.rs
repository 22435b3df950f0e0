//! Pods and their containers in the container runtime: of static pods, copies and controllers
//! alike, with or without an API.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use time::OffsetDateTime;

use super::Error;
use super::messages::{
    ContainerAnswer, ContainerQuestion, ListedContainer, ListedContainers, PodSandbox, PodSandboxes,
    Question, RawStatus, SandboxQuestion,
};
use super::rpc::ask;

/// Kubelet's label on a container with the name of its pod.
const POD_NAME: &str = "io.kubernetes.pod.name";
/// Kubelet's annotation on a pod with its source: `file` or `api`.
const SOURCE: &str = "kubernetes.io/config.source";
/// Kubelet's label with the namespace of the pod.
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Kubelet's label with the UID of the pod; of a static pod, the digest of its file.
const POD_UID: &str = "io.kubernetes.pod.uid";

/// State of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Created, but not started.
    Created,
    /// Its process runs.
    Running,
    /// Its process has ended.
    Exited,
    /// The runtime does not know.
    Unknown,
}

/// A pod sandbox in the runtime: the namespaces that the containers of a pod share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// Its id in the runtime.
    pub id: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod; of a static one, with the node's name appended.
    pub name: String,
    /// UID of the pod; of a static one, the digest of its file.
    pub uid: String,
    /// Whether containers can run in it.
    pub is_ready: bool,
    /// When it was created.
    pub created: OffsetDateTime,
    /// Labels of the pod, and kubelet's own.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pod, and kubelet's own. `kubernetes.io/config.source` is `file` for a
    /// static pod.
    pub annotations: BTreeMap<String, String>,
}

/// A container that runs or has ended. After a restart the runtime has one for each run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id in the runtime.
    pub id: String,
    /// Id of its pod sandbox.
    pub sandbox: String,
    /// Its name in the pod.
    pub name: String,
    /// How often it was restarted. Of containers of one name, the newest has the highest number.
    pub attempt: u32,
    /// Namespace of its pod.
    pub pod_namespace: String,
    /// Name of its pod.
    pub pod_name: String,
    /// UID of its pod; of a static one, the digest of its file.
    pub pod_uid: String,
    /// Its image, as the pod spec names it.
    pub image: String,
    /// Its state.
    pub state: State,
    /// When it was created.
    pub created: OffsetDateTime,
    /// Kubelet's labels.
    pub labels: BTreeMap<String, String>,
    /// Kubelet's annotations.
    pub annotations: BTreeMap<String, String>,
}

/// The status of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// Its state.
    pub state: State,
    /// When its process started, if it did.
    pub started: Option<OffsetDateTime>,
    /// When its process ended, if it did.
    pub finished: Option<OffsetDateTime>,
    /// Its exit code; 0 until it has ended.
    pub exit_code: i32,
    /// Why it is in this state, in a word: `Error`, `OOMKilled`.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// The file with its output, if there is one.
    pub log_path: Option<PathBuf>,
}

/// All pod sandboxes of the runtime behind `socket`, ready or not.
pub async fn sandboxes(socket: &Path) -> Result<Vec<Sandbox>, Error> {
    let found: PodSandboxes = ask(socket, "/runtime.v1.RuntimeService/ListPodSandbox", &Question {}).await?;
    Ok(found.sandboxes.into_iter().map(Sandbox::from).collect())
}

/// Stops a pod sandbox by its id, with every container in it. One that has stopped already is no
/// error.
pub async fn stop_sandbox(socket: &Path, id: &str) -> Result<(), Error> {
    let question = SandboxQuestion { id: id.to_owned() };
    let Question {} = ask(socket, "/runtime.v1.RuntimeService/StopPodSandbox", &question).await?;
    Ok(())
}

/// All containers of the runtime behind `socket`, in any state.
pub async fn containers(socket: &Path) -> Result<Vec<Container>, Error> {
    let found: ListedContainers =
        ask(socket, "/runtime.v1.RuntimeService/ListContainers", &Question {}).await?;
    Ok(found.containers.into_iter().map(Container::from).collect())
}

/// The status of container `id` in the runtime behind `socket`.
pub async fn container_status(socket: &Path, id: &str) -> Result<ContainerStatus, Error> {
    const METHOD: &str = "/runtime.v1.RuntimeService/ContainerStatus";
    let answer: ContainerAnswer = ask(socket, METHOD, &ContainerQuestion { id: id.to_owned() }).await?;
    let malformed = || Error::Malformed { socket: socket.display().to_string(), method: METHOD };
    answer.status.map(ContainerStatus::from).ok_or_else(malformed)
}

impl Sandbox {
    /// Whether kubelet read the pod from a file.
    pub fn is_static(&self) -> bool {
        self.annotations.get(SOURCE).is_some_and(|source| source == "file")
    }
}

impl From<PodSandbox> for Sandbox {
    fn from(raw: PodSandbox) -> Self {
        let PodSandbox { id, name, state, created, labels, annotations } = raw;
        let name = name.unwrap_or_default();
        Self {
            id,
            namespace: name.namespace,
            name: name.name,
            uid: name.uid,
            is_ready: state == 0,
            created: moment(created),
            labels,
            annotations,
        }
    }
}

impl From<ListedContainer> for Container {
    fn from(raw: ListedContainer) -> Self {
        let ListedContainer { id, sandbox, name, image, state, created, labels, annotations } = raw;
        let name = name.unwrap_or_default();
        let image = image.unwrap_or_default();
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        Self {
            id,
            sandbox,
            name: name.name,
            attempt: name.attempt,
            pod_namespace: label(POD_NAMESPACE),
            pod_name: label(POD_NAME),
            pod_uid: label(POD_UID),
            image: Some(image.asked_for).filter(|asked| !asked.is_empty()).unwrap_or(image.name),
            state: state_of(state),
            created: moment(created),
            labels,
            annotations,
        }
    }
}

impl From<RawStatus> for ContainerStatus {
    fn from(raw: RawStatus) -> Self {
        let RawStatus { state, started, finished, exit_code, reason, message, log_path } = raw;
        let happened = |at: i64| (at > 0).then(|| moment(at));
        Self {
            state: state_of(state),
            started: happened(started),
            finished: happened(finished),
            exit_code,
            reason,
            message,
            log_path: Some(log_path).filter(|path| !path.is_empty()).map(PathBuf::from),
        }
    }
}

fn state_of(number: i32) -> State {
    match number {
        0 => State::Created,
        1 => State::Running,
        2 => State::Exited,
        _ => State::Unknown,
    }
}

/// A time in nanoseconds since 1970, as in CRI.
fn moment(nanoseconds: i64) -> OffsetDateTime {
    let since = Duration::from_nanos(nanoseconds.max(0).unsigned_abs());
    OffsetDateTime::UNIX_EPOCH + since
}

#[cfg(test)]
mod tests {
    use super::super::messages::{ContainerName, ImageName};
    use super::*;

    #[test]
    fn a_container_is_known_by_the_labels_that_kubelet_gives_it() {
        let labels = [(POD_NAMESPACE, "kube-system"), (POD_NAME, "etcd-n1"), (POD_UID, "0123")];
        let raw = ListedContainer {
            id: "c1".into(),
            sandbox: "s1".into(),
            name: Some(ContainerName { name: "etcd".into(), attempt: 3 }),
            image: Some(ImageName { name: "sha256:1".into(), asked_for: "example.com/etcd:1".into() }),
            state: 2,
            created: 1_000_000_000,
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            annotations: BTreeMap::new(),
        };
        let container = Container::from(raw);
        assert_eq!(
            (container.pod_namespace.as_str(), container.pod_name.as_str()),
            ("kube-system", "etcd-n1")
        );
        assert_eq!((container.state, container.attempt), (State::Exited, 3));
        assert_eq!(container.image, "example.com/etcd:1");
        assert_eq!(container.created.unix_timestamp(), 1);
    }

    #[test]
    fn what_has_not_happened_has_no_time() {
        let status = ContainerStatus::from(RawStatus { state: 1, started: 5, ..RawStatus::default() });
        assert!(status.started.is_some() && status.finished.is_none() && status.log_path.is_none());
    }
}
