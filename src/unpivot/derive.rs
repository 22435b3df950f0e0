//! The static pod that replaces a workload. Pure.
//!
//! It is the workload's pod without what needs the API. Flags, ports and probes stay, so monitoring
//! still finds the control plane. Its labels are those that kubeadm gives, which no controller of
//! ours selects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::error::Error;
use super::placed::{self, UNPIVOTED};
use crate::checkpoint::copy::{self, Copy};
use crate::checkpoint::{Id, Role};
use crate::config::Component;
use crate::journal::{self, Thing};
use crate::recover::find::Workload;
use crate::yaml;
use crate::{CONTROL_PLANE_KEYS, FIELD_MANAGER, NAMESPACE};

/// A static pod, with what it reads.
pub struct StaticPod {
    /// Which component.
    pub component: Component,
    /// Path of its manifest in kubelet's folder.
    pub path: PathBuf,
    /// Content of the manifest.
    pub content: Vec<u8>,
    /// Whether it is placed already. Then it stays as it is.
    pub is_placed: bool,
    /// Files below [`CONTROL_PLANE_KEYS`].
    pub files: BTreeMap<String, Vec<u8>>,
}

impl StaticPod {
    /// The same, as the journal records it.
    pub fn thing(&self) -> Thing {
        let pod = Some(format!("{NAMESPACE}/{}", self.component.name()));
        Thing { pod, ..Thing::file(&self.path, journal::Role::ControlPlanePod, &self.content) }
    }
}

/// The static pods of `placed`, and one for each of the `workloads` that has none yet.
pub fn static_pods(
    workloads: &[Workload],
    placed: Vec<placed::Placed>,
    folder: &Path,
) -> Result<Vec<StaticPod>, Error> {
    let mut pods: Vec<StaticPod> = Vec::new();
    for placed::Placed { component, path, content, .. } in placed {
        pods.push(StaticPod { component, path, content, is_placed: true, files: BTreeMap::new() });
    }
    for workload in workloads {
        if !pods.iter().any(|pod| pod.component == workload.component) {
            pods.push(static_pod(workload, folder)?);
        }
    }
    Ok(pods)
}

fn static_pod(workload: &Workload, folder: &Path) -> Result<StaticPod, Error> {
    let Workload { component, template, sources, .. } = workload;
    let name = component.name();
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        ..template.metadata.clone().unwrap_or_default()
    };
    let pod = Pod { metadata, spec: template.spec.clone(), status: None };
    let root = format!("{CONTROL_PLANE_KEYS}/{name}");
    let id = Id::new(NAMESPACE, name);
    let Copy { pod, folders, revision, .. } = copy::make(&pod, &id, Role::Exclusive, sources, &root)?;
    if folders.values().any(|folder| folder.owner.0 != 0) {
        return Err(Error::NotRootPod(name));
    }
    let mut spec = pod.spec.unwrap_or_default();
    for host_path in spec.volumes.iter_mut().flatten().filter_map(|volume| volume.host_path.as_mut()) {
        host_path.path = host_path.path.replace(&format!("/{revision}/"), "/");
    }
    for container in &mut spec.containers {
        container.lifecycle = None; // it only delays SIGTERM for the next pod of a rollout
    }
    let below = |(volume, folder): (String, copy::Folder)| {
        folder.files.into_iter().map(move |(path, file)| (format!("{name}/{volume}/{path}"), file.bytes))
    };
    spec.priority = spec.priority_class_name.as_deref().and_then(priority);
    let files = folders.into_iter().flat_map(below).collect();
    let pod = Pod { metadata: identity(name), spec: Some(spec), status: None };
    let value =
        serde_json::to_value(pod).unwrap_or_else(|error| unreachable!("a pod has string keys: {error}"));
    let (path, content) = (folder.join(placed::file_name(*component)), yaml::write(&value).into_bytes());
    Ok(StaticPod { component: *component, path, content, is_placed: false, files })
}

/// The number of a class that every cluster has. At the shutdown of its machine kubelet ends pods
/// by it, and for a static pod no API derives it from the class.
fn priority(class: &str) -> Option<i32> {
    match class {
        "system-node-critical" => Some(2_000_001_000),
        "system-cluster-critical" => Some(2_000_000_000),
        _ => None,
    }
}

fn identity(name: &str) -> ObjectMeta {
    let pairs =
        |pairs: [(&str, &str); 3]| pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let labels =
        [("component", name), ("tier", "control-plane"), ("app.kubernetes.io/managed-by", FIELD_MANAGER)];
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        labels: Some(pairs(labels)),
        annotations: Some([(UNPIVOTED.to_owned(), "true".to_owned())].into()),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::recover::find::{Objects, control_plane};

    fn workloads(user: i64) -> Vec<Workload> {
        let daemon_set = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "kube-apiserver", "namespace": "kube-system"},
            "spec": {"template": {"metadata": {"labels": {"k8s-app": "kube-apiserver"}}, "spec": {
                "serviceAccountName": "kube-apiserver", "hostNetwork": true, "securityContext": {"runAsUser": user},
                "priorityClassName": "system-node-critical",
                "readinessGates": [{"conditionType": "bootkube.dev/serving"}],
                "containers": [{"name": "kube-apiserver", "image": "i", "command": ["kube-apiserver", "--secure-port=6443"],
                    "lifecycle": {"preStop": {"sleep": {"seconds": 4}}},
                    "readinessProbe": {"httpGet": {"port": 6443}},
                    "volumeMounts": [{"name": "secrets", "mountPath": "/etc/kubernetes/secrets"}]}],
                "volumes": [{"name": "secrets", "secret": {"secretName": "kube-apiserver"}}],
            }}},
        });
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kube-apiserver", "namespace": "kube-system"},
            "data": {"ca.crt": "Y2E="}});
        control_plane(&Objects { present: vec![daemon_set, secret], deleted: Vec::new() }).workloads
    }

    #[test]
    fn a_workload_becomes_a_pod_that_needs_nothing_of_the_api() {
        let pods = static_pods(&workloads(0), Vec::new(), Path::new("/m")).unwrap();
        let [pod] = pods.as_slice() else { panic!("one") };
        assert_eq!(pod.path, Path::new("/m/kube-apiserver.yaml"));
        assert_eq!(pod.files["kube-apiserver/secrets/ca.crt"], b"ca");
        let value: Value = yaml::parse(std::str::from_utf8(&pod.content).unwrap(), "").unwrap().remove(0);
        let spec = &value["spec"];
        assert_eq!(
            spec["volumes"][0]["hostPath"]["path"],
            "/etc/kubernetes/control-plane/kube-apiserver/secrets"
        );
        for gone in ["serviceAccountName", "readinessGates"] {
            assert!(spec.get(gone).is_none(), "{gone}");
        }
        assert_eq!(spec["containers"][0]["readinessProbe"]["httpGet"]["port"], 6443);
        assert!(spec["containers"][0].get("lifecycle").is_none());
        assert_eq!(spec["priority"], 2_000_001_000, "or it would end first at a shutdown");
        assert_eq!(value["metadata"]["labels"]["component"], "kube-apiserver");
    }

    #[test]
    fn one_that_does_not_run_as_root_cannot_read_the_keys_and_is_refused() {
        let error = static_pods(&workloads(65534), Vec::new(), Path::new("/m")).err().unwrap();
        assert!(matches!(error, Error::NotRootPod("kube-apiserver")), "{error}");
    }

    #[test]
    fn what_is_placed_stays_as_it_is() {
        let placed = placed::Placed {
            component: Component::Apiserver,
            path: "/m/kube-apiserver.yaml".into(),
            content: b"placed".to_vec(),
            value: Value::Null,
        };
        let pods = static_pods(&workloads(0), vec![placed], Path::new("/m")).unwrap();
        assert!(matches!(pods.as_slice(), [pod] if pod.is_placed && pod.content == b"placed"));
    }
}
