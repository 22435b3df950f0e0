//! What tests ask a cluster and change in it with kubectl: which pods there are, which workload
//! each belongs to, whether it is Ready.

use k8s_openapi::jiff::Timestamp;
use lab::Machine;
use serde_json::Value;

use crate::checks::eventually;
use crate::world::World;

/// Owner and name of the control plane's workloads.
pub const WORKLOADS: [(&str, &str); 4] = [
    ("DaemonSet", "kube-apiserver"),
    ("DaemonSet", "pod-checkpointer"),
    ("Deployment", "kube-controller-manager"),
    ("Deployment", "kube-scheduler"),
];

/// What tests compare of a pod.
#[derive(Debug)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub node: String,
    /// `Kind/name` of the workload at the end of its owners.
    pub owner: String,
    /// Whether it is Ready.
    pub ready: bool,
    /// Command lines of its containers.
    pub words: Vec<String>,
    /// Its address.
    pub ip: String,
    /// Image of its first container.
    pub image: String,
}

impl World {
    /// kubectl on the first controller, as administrator, which must succeed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(arguments).unwrap()
    }

    /// kubectl on the first controller, where the API may be away.
    pub fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        try_kubectl(&self.n1(), arguments)
    }

    /// Whether the API is ready.
    pub fn answers(&self) -> Result<(), String> {
        self.try_kubectl(&["get", "--raw", "/readyz"]).map(drop)
    }

    /// Whether `count` apiservers listen on the first controller.
    pub fn apiservers(&self, count: usize) -> Result<(), String> {
        let listeners = self.shell("ss -Hltn sport = :6443").lines().count();
        (listeners == count).then_some(()).ok_or(format!("{listeners} apiservers"))
    }

    /// Changes an object of kube-system by a JSON patch.
    pub fn patch(&self, object: &str, patch: &Value) {
        self.kubectl(&["-n", "kube-system", "patch", object, "--type=json", "-p", &patch.to_string()]);
    }

    /// The controller manager works: it makes a service account in a new namespace.
    pub fn controller_manager_works(&self, namespace: &str) {
        self.kubectl(&["create", "namespace", namespace]);
        eventually(40, || {
            let accounts = self.kubectl(&["get", "serviceaccounts", "-n", namespace, "-o", "name"]);
            (!accounts.is_empty())
                .then_some(())
                .ok_or("the controller manager makes no service account".into())
        });
    }

    /// `kubectl get`, parsed.
    pub fn get(&self, arguments: &[&str]) -> Value {
        let words = [&["get", "-o", "json"], arguments].concat();
        serde_json::from_str(&self.kubectl(&words)).unwrap()
    }

    /// Applies objects, as a user does.
    pub fn apply(&self, manifest: &str) {
        self.n1().write("/root/manifest.yaml", manifest.as_bytes(), 0o600).unwrap();
        self.kubectl(&["apply", "-f", "/root/manifest.yaml"]);
    }

    /// Waits for a rollout in kube-system.
    pub fn rolled_out(&self, workload: &str) {
        self.kubectl(&["-n", "kube-system", "rollout", "status", "--timeout=120s", workload]);
    }

    /// The pods of a namespace.
    pub fn pods(&self, namespace: &str) -> Vec<Pod> {
        let sets = self.get(&["replicasets", "-n", namespace]);
        let pods = self.get(&["pods", "-n", namespace]);
        pods["items"].as_array().unwrap().iter().map(|pod| Pod::of(pod, &sets)).collect()
    }

    /// Pods of kube-system that belong to a workload.
    pub fn pods_of(&self, workload: &str) -> Vec<Pod> {
        self.pods("kube-system").into_iter().filter(|pod| pod.owner == workload).collect()
    }

    /// A pod of the default namespace, once it is Ready.
    pub fn ready_pod(&self, name: &str) -> Pod {
        self.kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", &format!("pod/{name}")]);
        self.pods("default").into_iter().find(|pod| pod.name == name).unwrap()
    }
}

impl Pod {
    fn of(pod: &Value, sets: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        let words = containers.filter_map(|container| container["command"].as_array()).flatten();
        Self {
            name: text(&pod["metadata"]["name"]),
            node: text(&pod["spec"]["nodeName"]),
            owner: owner(pod, sets),
            ready: condition(pod, "Ready"),
            words: words.map(text).collect(),
            ip: text(&pod["status"]["podIP"]),
            image: text(&pod["spec"]["containers"][0]["image"]),
        }
    }
}

/// kubectl on a machine. The API may be away.
pub fn try_kubectl(machine: &Machine, words: &[&str]) -> Result<String, String> {
    let words = [&["kubectl", "--request-timeout=5s"], words].concat();
    let output = machine.exec(&words).map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The last owner in the chain: a Deployment, if the owner is its ReplicaSet.
fn owner(object: &Value, sets: &Value) -> String {
    let owner = &object["metadata"]["ownerReferences"][0];
    let (kind, name) =
        (owner["kind"].as_str().unwrap_or_default(), owner["name"].as_str().unwrap_or_default());
    let mut sets = sets["items"].as_array().into_iter().flatten();
    match sets.find(|set| kind == "ReplicaSet" && set["metadata"]["uid"] == owner["uid"]) {
        Some(set) => owner_of_set(set),
        None => format!("{kind}/{name}"),
    }
}

fn owner_of_set(set: &Value) -> String {
    owner(set, &Value::Null)
}

/// Whether a condition of an object is True.
pub fn condition(object: &Value, kind: &str) -> bool {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// Each workload of the control plane has a pod in the list, on `node` or anywhere, that is Ready
/// and whose containers started after `since`.
pub fn ready_since(pods: &Value, since: Timestamp, node: Option<&str>) -> Result<(), String> {
    for (kind, name) in WORKLOADS {
        let kind = if kind == "Deployment" { "ReplicaSet" } else { kind };
        let is_its = |pod: &&Value| {
            let owner = &pod["metadata"]["ownerReferences"][0];
            let is_here = node.is_none_or(|node| pod["spec"]["nodeName"] == node);
            is_here
                && owner["kind"] == kind
                && owner["name"].as_str().is_some_and(|owner| owner.starts_with(name))
        };
        let its: Vec<&Value> = pods["items"].as_array().unwrap().iter().filter(is_its).collect();
        let is_good = |pod: &&&Value| {
            let is_leaving = pod["metadata"]["deletionTimestamp"].is_string();
            condition(pod, "Ready") && !is_leaving && started(pod).is_some_and(|at| at >= since)
        };
        if !its.iter().any(|pod| is_good(&pod)) {
            let status: Vec<&Value> = its.iter().map(|pod| &pod["status"]["conditions"]).collect();
            return Err(format!("{name}: {status:?}"));
        }
    }
    Ok(())
}

fn started(pod: &Value) -> Option<Timestamp> {
    pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"].as_str()?.parse().ok()
}
