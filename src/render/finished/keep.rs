//! What a patch leaves as it is: how the object is found, which pods are its own, and the
//! namespaces of the machine that the pods share.

use serde_json::Value;

use super::problem::{Part, Problem};

/// Fields that stay, with the reason.
const KEPT: [(&str, &str); 5] = [
    ("/metadata/name", "bootkube finds the object by it"),
    ("/metadata/namespace", "bootkube finds the object by it"),
    ("/spec/selector", "it selects the pods of the running object and cannot be changed"),
    ("/spec/template/spec/hostNetwork", "the pod needs the machine's network"),
    ("/spec/template/spec/hostPID", "the pod needs the machine's processes"),
];
/// The same of a static pod.
const KEPT_IN_POD: [(&str, &str); 1] = [("/spec/hostNetwork", "the pod needs the machine's network")];

pub(super) fn check(first: &Value, now: &Value) -> Vec<Problem> {
    let of_pod: &[_] = if now["kind"] == "Pod" { &KEPT_IN_POD } else { &[] };
    let kept = KEPT.iter().chain(of_pod);
    let changed =
        kept.filter(|(path, _)| is_set(first.pointer(path)) && first.pointer(path) != now.pointer(path));
    let mut found: Vec<Problem> = changed
        .map(|(path, why)| {
            let field = path[1..].replace('/', ".");
            let value = now.pointer(path).map(text).unwrap_or_default();
            Problem::new(
                Part::Object,
                &value,
                format!("changes {field}: {why}"),
                format!("leave {field} as it is"),
            )
        })
        .collect();
    found.extend(no_replica(now));
    found.extend(other_labels(now));
    found
}

fn is_set(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !value.is_null() && *value != Value::Bool(false))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn no_replica(now: &Value) -> Option<Problem> {
    let none = now["kind"] == "Deployment" && now["spec"]["replicas"].as_i64().is_some_and(|count| count < 1);
    none.then(|| {
        let problem = "leaves the Deployment without pods (spec.replicas)";
        Problem::new(
            Part::Object,
            &now["spec"]["replicas"].to_string(),
            problem,
            "write 1 or more, or leave it out",
        )
    })
}

/// The API refuses a workload whose selector does not select its own pods.
fn other_labels(now: &Value) -> Option<Problem> {
    let wanted = now.pointer("/spec/selector/matchLabels")?.as_object()?;
    let labels = now.pointer("/spec/template")?.pointer("/metadata/labels").unwrap_or(&Value::Null);
    let (key, value) = wanted.iter().find(|(key, value)| labels.get(key.as_str()) != Some(*value))?;
    let problem =
        format!("takes the label {key}={} from the pods, by which the workload selects them", text(value));
    Some(Problem::new(
        Part::Object,
        "",
        problem,
        "leave that label of spec.template.metadata.labels as it is",
    ))
}
