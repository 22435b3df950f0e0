//! Which pods must be Ready before the bootstrap control plane goes.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::NAMESPACE;
use crate::assets::object::Object;
use crate::cluster::pods;
use crate::cluster::wait::{Progress, Workloads};
use crate::cluster::workload::{self, Kind, Need, Proof, Wanted};

/// The default of v0.14. Those that the manifests contain are required.
const DEFAULT: [&str; 4] = [CHECKPOINTER, APISERVER, "kube-scheduler", "kube-controller-manager"];
const CHECKPOINTER: &str = "pod-checkpointer";
const APISERVER: &str = "kube-apiserver";
/// Kinds whose pods can be required.
const WORKLOADS: [(&str, Kind); 2] = [("DaemonSet", Kind::DaemonSet), ("Deployment", Kind::Deployment)];

/// Pods of a namespace whose names begin alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Required {
    /// Namespace.
    pub namespace: String,
    /// Beginning of the name: that of the workload.
    pub prefix: String,
    /// Kind of the workload, if the manifests have it. Then only its own pods are evidence.
    pub workload: Option<Kind>,
    /// What those pods must be.
    evidence: Evidence,
}

/// What a pod must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// Ready.
    Ready,
    /// Started. While its port is taken an apiserver ends over and over, Ready or not.
    Running,
}

/// What the user writes: `namespace/name`, where pods' names begin with `name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredPod {
    namespace: String,
    prefix: String,
}

impl FromStr for RequiredPod {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split('/').collect::<Vec<_>>().as_slice() {
            [namespace, prefix] if !namespace.is_empty() && !prefix.is_empty() => {
                Ok(Self { namespace: (*namespace).to_owned(), prefix: (*prefix).to_owned() })
            }
            _ => Err("write namespace/name, such as kube-system/kube-apiserver"),
        }
    }
}

/// The pods that the user names, or the default ones that the manifests contain. If these contain
/// no control plane, it must be in etcd already, and its pods are known by name.
pub fn resolve(asked: Option<&[RequiredPod]>, objects: &[Object]) -> Vec<Required> {
    match asked {
        Some(asked) => asked.iter().map(|pod| required(&pod.namespace, &pod.prefix, objects)).collect(),
        None => {
            let all = DEFAULT.map(|name| required(NAMESPACE, name, objects));
            let has_apiserver = all.iter().any(|found| found.prefix == APISERVER && found.workload.is_some());
            let is_named = |found: &Required| !has_apiserver && found.prefix != CHECKPOINTER;
            all.into_iter().filter(|found| found.workload.is_some() || is_named(found)).collect()
        }
    }
}

fn required(namespace: &str, prefix: &str, objects: &[Object]) -> Required {
    let is_there = |kind: &str| {
        let mut same = objects.iter().filter(|object| object.kind() == kind && object.name() == prefix);
        same.any(|object| object.namespace() == Some(namespace))
    };
    let workload = WORKLOADS.into_iter().find(|(kind, _)| is_there(kind)).map(|(_, kind)| kind);
    let (namespace, prefix) = (namespace.to_owned(), prefix.to_owned());
    Required { namespace, prefix, workload, evidence: Evidence::Ready }
}

impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.prefix)
    }
}

impl Required {
    /// The same, while the bootstrap apiserver has the port.
    pub fn without_the_port(self) -> Self {
        match self.namespace == NAMESPACE && self.prefix == APISERVER {
            true => Self { evidence: Evidence::Running, ..self },
            false => self,
        }
    }

    /// Whether it is as required on `node` (a DaemonSet) or anywhere. The error says why not.
    pub fn is_ready(&self, node: &str, seen: &Workloads) -> Result<(), String> {
        match self.workload {
            Some(kind) => match workload::is_proved(&self.wanted(kind, node), seen, self.proof()) {
                Progress::Done(_) => Ok(()),
                Progress::Not(why) => Err(why),
            },
            None => self.is_ready_by_name(seen),
        }
    }

    /// Whether the workload exists. If none is known, nothing is missing.
    pub fn is_there(&self, seen: &Workloads) -> bool {
        let Self { namespace, prefix, workload, .. } = self;
        match workload {
            Some(Kind::DaemonSet) => seen.daemon_sets.get(namespace, prefix).is_some(),
            Some(Kind::Deployment) => seen.deployments.get(namespace, prefix).is_some(),
            None => true,
        }
    }

    /// Whether the name of `pod`, which is in its namespace, is one of its pods'.
    pub fn names(&self, pod: &Pod) -> bool {
        pod.name_any().starts_with(&self.prefix) && !pods::is_mirror(pod)
    }

    /// Whether `label` (`Kind namespace/name`) is the workload's.
    pub fn is_object(&self, label: &str) -> bool {
        self.workload.is_some_and(|kind| label == format!("{kind:?} {self}"))
    }

    fn proof(&self) -> Proof {
        match self.evidence {
            Evidence::Ready => pods::is_ready_pod,
            Evidence::Running => pods::is_started_pod,
        }
    }

    fn wanted(&self, kind: Kind, node: &str) -> Wanted {
        let need = match kind {
            Kind::DaemonSet => Need::OnNode(node.to_owned()),
            Kind::Deployment => Need::One,
        };
        Wanted { kind, namespace: self.namespace.clone(), name: self.prefix.clone(), need }
    }

    /// If no workload is known: any pod of that name, except static ones.
    fn is_ready_by_name(&self, seen: &Workloads) -> Result<(), String> {
        let Self { namespace, prefix, .. } = self;
        let mut why = format!("no pod {namespace}/{prefix}… yet");
        for pod in seen.pods.iter().filter(|pod| self.names(pod)) {
            match self.proof()(pod) {
                Ok(()) => return Ok(()),
                Err(reason) => why = format!("pod {namespace}/{} {reason}", pod.name_any()),
            }
        }
        Err(why)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml::Source;

    fn object(kind: &str, name: &str) -> Object {
        let metadata = json!({"name": name, "namespace": NAMESPACE});
        Object {
            value: json!({"kind": kind, "metadata": metadata}),
            file: "f".into(),
            place: "document 1".into(),
            source: Source::default(),
        }
    }

    fn resolved(asked: Option<&[RequiredPod]>, objects: &[Object]) -> Vec<String> {
        let kind = |required: &Required| required.workload.map_or("?".to_owned(), |kind| format!("{kind:?}"));
        resolve(asked, objects).iter().map(|required| format!("{} {required}", kind(required))).collect()
    }

    #[test]
    fn of_the_default_pods_those_are_required_that_the_manifests_hold() {
        let objects = [object("Deployment", "kube-apiserver"), object("ConfigMap", "kube-scheduler")];
        assert_eq!(resolved(None, &objects), ["Deployment kube-system/kube-apiserver"]);
        let objects = [object("DaemonSet", "pod-checkpointer"), object("DaemonSet", "kube-apiserver")];
        let expected = ["DaemonSet kube-system/pod-checkpointer", "DaemonSet kube-system/kube-apiserver"];
        assert_eq!(resolved(None, &objects), expected);
    }

    #[test]
    fn without_a_control_plane_in_the_manifests_there_must_be_one_already() {
        let expected = ["kube-apiserver", "kube-scheduler", "kube-controller-manager"];
        assert_eq!(resolved(None, &[]), expected.map(|name| format!("? kube-system/{name}")));
    }

    #[test]
    fn what_is_asked_for_wins() {
        let asked: RequiredPod = "shop/web".parse().unwrap();
        let objects = [object("DaemonSet", "kube-apiserver")];
        assert_eq!(resolved(Some(&[asked]), &objects), ["? shop/web"]);
    }
}
