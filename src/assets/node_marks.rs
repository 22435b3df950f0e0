//! What makes a node a controller, by the objects of the control plane.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::Object;

/// The label, and perhaps the taint, that make a node a controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeMarks {
    /// Labels that the self-hosted apiserver's node selector names.
    pub labels: BTreeMap<String, String>,
    /// Key of a NoSchedule taint.
    pub taint: Option<String>,
}

impl NodeMarks {
    /// The label that the apiserver's manifest selects, and the recorded configuration's taint.
    pub fn of(objects: &[Object]) -> Self {
        let find = |kind: &str, name: &str| {
            objects
                .iter()
                .find(|object| object.kind() == kind && object.name() == name)
                .map(|object| &object.value)
        };
        let apiserver = ["DaemonSet", "Deployment"].into_iter().find_map(|kind| find(kind, "kube-apiserver"));
        let selector = apiserver.map(|object| &object["spec"]["template"]["spec"]["nodeSelector"]);
        let pairs = selector.and_then(Value::as_object).into_iter().flatten();
        let labels =
            pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        let taint = find("ConfigMap", "bootkube-config")
            .and_then(|map| map["data"]["controller-taint"].as_str())
            .filter(|taint| !taint.is_empty())
            .map(str::to_owned);
        Self { labels, taint }
    }
}
