//! How far pods are, by their status. Its timestamps are whole seconds, and so are these figures.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use time::OffsetDateTime;

use crate::cluster::pods::condition;
use crate::phase::Progress;
use crate::ui::PodLife;

/// Reports each pod that gets further.
#[derive(Default)]
pub struct PodProgress {
    reported: BTreeMap<String, PodLife>,
}

impl PodProgress {
    /// Looks at `pods`, and reports which of them got further.
    pub fn see<'a>(&mut self, pods: impl Iterator<Item = &'a Pod>, progress: &Progress<'_>) {
        for pod in pods {
            let life = life_of(pod);
            let before = self.reported.insert(pod.uid().unwrap_or_default(), life.clone());
            if before.as_ref() != Some(&life) {
                progress.pod(life);
            }
        }
    }
}

fn life_of(pod: &Pod) -> PodLife {
    let since = |kind| condition(pod, kind).filter(|condition| condition.status == "True");
    let since = |kind| moment(since(kind)?.last_transition_time.as_ref()?);
    PodLife {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        created: pod.creation_timestamp().as_ref().and_then(moment),
        scheduled: since("PodScheduled"),
        running: running(pod),
        ready: since("Ready"),
    }
}

/// When the last container started, once all of them run.
fn running(pod: &Pod) -> Option<OffsetDateTime> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let starts =
        containers.iter().map(|status| moment(status.state.as_ref()?.running.as_ref()?.started_at.as_ref()?));
    starts.collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn moment(time: &Time) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(time.0.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_as_far_as_its_conditions_and_all_of_its_containers_are() {
        let started = |at: &str| {
            json!({"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": at}}})
        };
        let mut pod = json!({
            "metadata": {"name": "p", "namespace": "n", "creationTimestamp": "2026-01-01T00:00:01Z"},
            "spec": {"nodeName": "n1", "containers": []},
            "status": {
                "conditions": [
                    {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:02Z"},
                    {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:03Z"}],
                "containerStatuses": [started("2026-01-01T00:00:05Z"), started("2026-01-01T00:00:04Z")]
            }
        });
        let life = life_of(&serde_json::from_value(pod.clone()).unwrap());
        let second = |at: Option<OffsetDateTime>| at.map(|at| at.second());
        assert_eq!([life.created, life.scheduled, life.running].map(second), [Some(1), Some(2), Some(5)]);
        assert_eq!(life.ready, None, "not yet");
        pod["status"]["containerStatuses"][1]["state"] = json!({"waiting": {}});
        assert_eq!(life_of(&serde_json::from_value(pod).unwrap()).running, None, "one of two runs");
    }
}
