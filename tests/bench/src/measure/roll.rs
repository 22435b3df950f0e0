//! Rolls of the apiserver by kubectl, as an administrator makes them: a flag, an image, a Secret.

use serde_json::{Value, json};

use super::cluster::Rendered;
use crate::error::{Error, Result};
use crate::kube::is_ready;

const DAEMON_SET: &str = "daemonset/kube-apiserver";
const REVISION: &str = "/metadata/labels/controller-revision-hash";
const NAMESPACE: [&str; 2] = ["-n", "kube-system"];

/// One way to roll.
#[derive(Clone, Copy)]
pub struct Roll {
    /// In the plot.
    pub name: &'static str,
    change: fn(&Rendered) -> Result<()>,
}

/// The three that are measured.
pub const ROLLS: [Roll; 3] = [
    Roll { name: "roll: flag", change: flag },
    Roll { name: "roll: image", change: image },
    Roll { name: "roll: Secret", change: secret },
];

/// Makes the change and waits until the new pod alone is there and Ready.
pub fn run(roll: Roll, rendered: &Rendered) -> Result<()> {
    let before = revisions(rendered)?;
    (roll.change)(rendered)?;
    let words = [&["pods", "-l", "k8s-app=kube-apiserver"], &NAMESPACE[..]].concat();
    let is_done = |pods: &crate::kube::Seen| {
        let is_new = |pod: &Value| !before.contains(&pod.pointer(REVISION).cloned().unwrap_or_default());
        pods.len() == 1 && pods.values().all(|pod| is_new(pod) && is_ready(pod))
    };
    rendered.kubectl.wait(&words, is_done).map(drop)
}

/// Waits until the DaemonSet says that it is done, so that the next roll meets a cluster at rest.
pub fn settle(rendered: &Rendered) -> Result<()> {
    let words = [&["daemonsets", "--field-selector=metadata.name=kube-apiserver"], &NAMESPACE[..]].concat();
    let is_done = |sets: &crate::kube::Seen| {
        let status = |set: &Value, field: &str| set["status"][field].as_u64().unwrap_or_default();
        sets.values().any(|set| {
            set["metadata"]["generation"] == set["status"]["observedGeneration"]
                && status(set, "updatedNumberScheduled") == 1
                && status(set, "numberAvailable") == 1
        })
    };
    rendered.kubectl.wait(&words, is_done).map(drop)
}

fn revisions(rendered: &Rendered) -> Result<Vec<Value>> {
    let pods = rendered.kubectl.get(&[&["pods", "-l", "k8s-app=kube-apiserver"], &NAMESPACE[..]].concat())?;
    let pods = pods["items"].as_array().into_iter().flatten();
    Ok(pods.filter_map(|pod| pod.pointer(REVISION).cloned()).collect())
}

/// A flag whose value is the default.
fn flag(rendered: &Rendered) -> Result<()> {
    let path = "/spec/template/spec/containers/0/command/-";
    patch(rendered, DAEMON_SET, &json!([{"op": "add", "path": path, "value": "--max-requests-inflight=400"}]))
}

/// The same image under another tag.
fn image(rendered: &Rendered) -> Result<()> {
    let set = rendered.kubectl.get(&[&[DAEMON_SET], &NAMESPACE[..]].concat())?;
    let image = set["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
    let image = image.ok_or_else(|| Error::parse(DAEMON_SET, "it names no image"))?;
    let other = format!("{image}-again");
    rendered.machine.run(&["ctr", "-n", "k8s.io", "images", "tag", image, &other])?;
    let change = format!("kube-apiserver={other}");
    rendered.kubectl.run(&[&["set", "image", DAEMON_SET, &change], &NAMESPACE[..]].concat()).map(drop)
}

/// One more file in the Secret, and the annotation by which pods follow it.
fn secret(rendered: &Rendered) -> Result<()> {
    let add = |path: &str, value: &str| json!([{"op": "add", "path": path, "value": value}]);
    patch(rendered, "secret/kube-apiserver", &add("/data/note", "bm90ZQ=="))?;
    patch(rendered, DAEMON_SET, &add("/spec/template/metadata/annotations/bootkube.dev~1checksum", "another"))
}

fn patch(rendered: &Rendered, object: &str, operations: &Value) -> Result<()> {
    let text = operations.to_string();
    rendered.kubectl.run(&[&["patch", object, "--type=json", "-p", &text], &NAMESPACE[..]].concat()).map(drop)
}
