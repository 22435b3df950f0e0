//! The self-hosted apiserver that waits for its port: its pod here, its log, a new pod for it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, LogParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};

use crate::NAMESPACE;
use crate::cluster::objects::Objects;
use crate::cluster::pods;
use crate::cluster::retry::{describe, within};
use crate::cluster::wait::{self, Scope, wait_for};
use crate::host::log;
use crate::patience::ANSWER;
use crate::phase::Progress;

/// Time between two looks at a log.
const LOOK: Duration = Duration::from_millis(500);
const LOG_LINES: i64 = 30;
const APISERVER: &str = "kube-apiserver";
/// Where kubelet has the logs of this machine: NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log.
const LOGS: &str = "/var/log/pods";
/// The kernel's error for a port on which another process listens.
const PORT_TAKEN: &str = "address already in use";

/// The self-hosted apiserver of a node, seen through the bootstrap one.
pub struct BlockedApiserver<'a> {
    pods: Objects<Pod>,
    logs: Api<Pod>,
    node: &'a str,
}

impl<'a> BlockedApiserver<'a> {
    /// The apiserver of `node`.
    pub fn new(client: &Client, node: &'a str) -> Self {
        Self {
            pods: Objects::namespaced(client, NAMESPACE),
            logs: Api::namespaced(client.clone(), NAMESPACE),
            node,
        }
    }

    /// Waits until its log shows only the problem of the port, or cannot be read. Returns its pod.
    pub async fn lacks_only_the_port(&self, progress: &Progress<'_>) -> Pod {
        loop {
            let why = match self.pod().await {
                Err(error) => format!("the pods of this node are not listed: {}", describe(&error)),
                Ok(None) => format!("no pod of the self-hosted apiserver is on node {}", self.node),
                Ok(Some(pod)) => match complaint(&self.log(&pod, false).await) {
                    None => return pod,
                    Some(why) => format!("pod {} lacks more than the port: {why}", pod.name_any()),
                },
            };
            progress.waiting(why);
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Replaces a pod that has failed. A failure is a warning: it only prolongs the gap.
    pub async fn renew(&self, old: &Pod, progress: &Progress<'_>) {
        if restarts(old) == 0 {
            return;
        }
        let name = old.name_any();
        let preconditions = Preconditions { uid: old.uid(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        progress.acts("make the pod of the self-hosted apiserver anew");
        match self.pods.bare.delete(&name, &params).await {
            Ok(_) => self.wait_for_successor(old.uid(), progress).await,
            Err(error) => {
                progress
                    .warn(format!("pod {name} is not made anew, and may start late: {}", describe(&error)));
            }
        }
    }

    async fn wait_for_successor(&self, uid: Option<String>, progress: &Progress<'_>) {
        let is_done = |seen: &wait::Watched<Pod>| {
            let mut others = seen.iter().filter(|pod| is_apiserver(pod) && pod.uid() != uid);
            match others.next().map(pods::is_started_pod) {
                Some(Ok(())) => wait::Progress::Done(()),
                Some(Err(why)) => {
                    wait::Progress::Not(format!("the new pod of the self-hosted apiserver {why}"))
                }
                None => {
                    wait::Progress::Not("there is no new pod of the self-hosted apiserver yet".to_owned())
                }
            }
        };
        let scope = Scope { fields: Some(self.here()), labels: None };
        wait_for(self.pods.clone(), scope, is_done, &mut |why| progress.waiting(why)).await;
        progress.observed("the new pod of the self-hosted apiserver was started");
    }

    /// The last complaint in its present or its previous log, other than the port.
    pub async fn last_complaint(&self) -> Option<String> {
        let pod = self.pod().await.ok()??;
        let complaint_of = async |is_previous| complaint(&self.log(&pod, is_previous).await);
        match complaint_of(false).await {
            Some(said) => Some(said),
            None => complaint_of(true).await,
        }
    }

    /// Its pod, unless that is being deleted.
    async fn pod(&self) -> Result<Option<Pod>, kube::Error> {
        let found = self.pods.list(&ListParams::default().fields(&self.here())).await?;
        Ok(found.into_iter().find(is_apiserver))
    }

    fn here(&self) -> String {
        format!("spec.nodeName={}", self.node)
    }

    /// The end of a pod's log; empty if it cannot be read.
    async fn log(&self, pod: &Pod, is_previous: bool) -> String {
        let params = LogParams { previous: is_previous, tail_lines: Some(LOG_LINES), ..LogParams::default() };
        let name = pod.name_any();
        // It comes through kubelet, which may not let the apiserver in.
        let why = match within(ANSWER, self.logs.logs(&name, &params)).await {
            Ok(log) => return log,
            Err(why) => why,
        };
        tracing::debug!(name, why, "the apiserver's log is not to be had");
        String::new()
    }
}

fn is_apiserver(pod: &Pod) -> bool {
    let is_leaving = pod.metadata.deletion_timestamp.is_some();
    pod.name_any().starts_with(APISERVER) && !pods::is_mirror(pod) && !is_leaving
}

fn restarts(pod: &Pod) -> i32 {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| container.restart_count).max().unwrap_or(0)
}

/// The last complaint in the newest log here. By now the API's logs may be about the port only.
pub fn complaint_here() -> Option<String> {
    complaint_in(Path::new(LOGS))
}

fn complaint_in(logs: &Path) -> Option<String> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let prefix = format!("{NAMESPACE}_{APISERVER}-");
    let pods = entries(logs).filter(|pod| pod.file_name().to_string_lossy().starts_with(&prefix));
    let files = pods.flat_map(|pod| entries(&pod.path().join(APISERVER)));
    let newest = files.max_by_key(|file| file.metadata().and_then(|file| file.modified()).ok())?;
    complaint(&log::tail(&newest.path()).ok()?)
}

/// The last complaint in a log, unless the log says that the port is taken.
fn complaint(log: &str) -> Option<String> {
    if log.contains(PORT_TAKEN) {
        return None;
    }
    let is_of_klog = |line: &str| {
        line.starts_with(['E', 'F']) && line.chars().nth(1).is_some_and(|second| second.is_ascii_digit())
    };
    let is_plain = |line: &str| ["Error: ", "error: ", "panic: "].iter().any(|start| line.starts_with(start));
    let line = log.lines().rfind(|line| is_of_klog(line) || is_plain(line))?;
    Some(line.split_once("] ").map_or(line, |(_, said)| said).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STARTED: &str = "I1121 10:00:00.000000       1 options.go:1] external host was not specified\n";

    #[test]
    fn an_apiserver_whose_port_is_taken_has_no_other_trouble() {
        let log = format!(
            "{STARTED}E1121 10:00:00.100000       1 run.go:72] \"command failed\" err=\"failed to create listener: failed to listen \
             on 0.0.0.0:6443: listen tcp 0.0.0.0:6443: bind: address already in use\"\n"
        );
        assert_eq!(complaint(&log), None);
        assert_eq!(complaint(STARTED), None, "one that has not come to its port yet");
        assert_eq!(complaint(""), None, "a log that is not to be had");
    }

    #[test]
    fn the_last_complaint_is_told_without_the_time() {
        let log = format!(
            "{STARTED}E1121 10:00:00.100000       1 run.go:72] \"command failed\" err=\"no etcd\"\n{STARTED}"
        );
        assert_eq!(complaint(&log).as_deref(), Some("\"command failed\" err=\"no etcd\""));
        assert_eq!(complaint("Error: unknown flag: --x\n").as_deref(), Some("Error: unknown flag: --x"));
        assert_eq!(complaint("Expected nothing\nFine\n"), None);
    }

    #[test]
    fn the_log_that_was_written_last_is_the_one_to_read_here() {
        let logs = tempfile::tempdir().unwrap();
        assert_eq!(complaint_in(logs.path()), None);
        assert_eq!(complaint_in(&logs.path().join("missing")), None);
        let write = |pod: &str, attempt: u32, said: &str, age: u64| {
            let folder = logs.path().join(pod).join(APISERVER);
            fs::create_dir_all(&folder).unwrap();
            let path = folder.join(format!("{attempt}.log"));
            fs::write(&path, format!("2026-11-21T10:00:00.1Z stderr F Error: {said}\n")).unwrap();
            let then = std::time::SystemTime::now() - Duration::from_secs(age);
            fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        };
        write("kube-system_kube-apiserver-aaaaa_1", 5, "of an older pod", 30);
        write("kube-system_kube-apiserver-bbbbb_2", 0, "missing.crt", 10);
        write("kube-system_kube-apiserver-bbbbb_2", 1, PORT_TAKEN, 20);
        write("kube-system_bootstrap-kube-apiserver-n1_3", 0, "of the bootstrap one", 0);
        assert_eq!(complaint_in(logs.path()).as_deref(), Some("Error: missing.crt"));
        write("kube-system_kube-apiserver-bbbbb_2", 2, PORT_TAKEN, 5);
        assert_eq!(complaint_in(logs.path()), None);
    }

    #[test]
    fn the_bootstrap_apiservers_mirror_and_a_pod_that_leaves_are_not_the_apiserver() {
        let pod =
            |metadata: serde_json::Value| serde_json::from_value(json!({"metadata": metadata})).unwrap();
        assert!(is_apiserver(&pod(json!({"name": "kube-apiserver-x7k2p"}))));
        assert!(!is_apiserver(&pod(json!({"name": "bootstrap-kube-apiserver-n1"}))));
        let mirror = json!({"kubernetes.io/config.mirror": "x"});
        assert!(!is_apiserver(&pod(json!({"name": "kube-apiserver-n1", "annotations": mirror}))));
        assert!(!is_apiserver(&pod(
            json!({"name": "kube-apiserver-x", "deletionTimestamp": "2026-01-01T00:00:00Z"})
        )));
    }

    #[test]
    fn a_pod_counts_as_failed_by_its_restarts() {
        let status =
            |count| json!({"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": count});
        let pod = |statuses: serde_json::Value| {
            serde_json::from_value(json!({"metadata": {}, "status": {"containerStatuses": statuses}}))
                .unwrap()
        };
        assert_eq!(restarts(&pod(json!([status(0), status(3)]))), 3);
        assert_eq!(restarts(&serde_json::from_value(json!({"metadata": {}})).unwrap()), 0);
    }
}
