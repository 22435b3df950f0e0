//! What a smoke test makes in the cluster. Pure.

use serde_json::{Value, json};

/// The label of the namespace, by which one that a killed run left can be found.
pub const LABEL: &str = "bootkube.dev/smoke-test";
/// Name of every object in the namespace.
pub const NAME: &str = "smoke-test";
/// Port of the pods, and of their Service.
pub const PORT: u16 = 8080;
/// Pods of the Deployment: two, so that a cluster of several nodes has them on two of them.
const REPLICAS: u8 = 2;
/// A user that no image gives a meaning to.
const USER: u32 = 65_534;

/// The namespace. The apiserver completes its name.
pub fn namespace() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"generateName": "bootkube-smoke-test-", "labels": {LABEL: "true"}},
    })
}

/// The Secret that is read back.
pub fn secret(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "stringData": {"value": value}})
}

/// Where pods can run, and what they run.
pub struct Place {
    /// Their image.
    pub image: String,
    /// Nodes that have it; empty: any.
    pub nodes: Vec<String>,
    /// Tolerations of what is on the nodes for good.
    pub tolerations: Vec<Value>,
}

/// The Deployment. Its pods need no right that a namespace could deny them.
pub fn deployment(place: &Place) -> Value {
    let Place { image, nodes, tolerations } = place;
    let is_node = |node: &String| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]});
    let terms: Vec<Value> = nodes.iter().map(is_node).collect();
    let affinity = match terms.is_empty() {
        true => json!({}),
        false => {
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}})
        }
    };
    let labels = json!({"app": NAME});
    let spread = json!({
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    });
    let container = json!({
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bootkube", "smoke-test", "serve", format!("--port={PORT}")],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
    });
    let pod = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 1,
        "topologySpreadConstraints": [spread],
        "affinity": affinity,
        "tolerations": tolerations,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    })
}

/// The Service in front of them, also at a port of every node.
pub fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"type": "NodePort", "selector": {"app": NAME}, "ports": [{"port": PORT}]},
    })
}
