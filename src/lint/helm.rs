//! What only Helm could do with its own output. `start` applies such objects as they come, as
//! `kubectl apply` does.

use serde_json::Value;

use super::finding::{Finding, Rule};
use crate::assets::object::Object;

const HOOK: &str = "helm.sh/hook";
const POLICY: &str = "helm.sh/resource-policy";
/// What Helm's templates call, in text that was not rendered.
const TEMPLATES: [&str; 6] = [".Values.", ".Release.", ".Chart.", ".Files.", "include \"", "template \""];

/// Objects that Helm applies at a time of its own.
pub fn hooks(objects: &[Object]) -> Vec<Finding> {
    objects.iter().filter_map(hook).collect()
}

/// Objects that Helm would keep, and objects that are no output of Helm's yet.
pub fn policies_and_templates(objects: &[Object]) -> Vec<Finding> {
    objects.iter().flat_map(|object| [policy(object), template(object)]).flatten().collect()
}

fn annotation<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    object.value["metadata"]["annotations"][name].as_str()
}

fn place(name: &str) -> String {
    format!("/metadata/annotations/{}", name.replace('/', "~1"))
}

fn hook(object: &Object) -> Option<Finding> {
    let hooks: Vec<&str> = annotation(object, HOOK)?.split(',').map(str::trim).collect();
    let (reason, cure) = told(&hooks)?;
    let reason = format!("{HOOK}: {}: {reason}", hooks.join(","));
    Some(Finding::new(Rule::HelmHook, object, &place(HOOK), reason, cure))
}

/// What is different without Helm. Of several hooks, an install is the one that happens.
fn told(hooks: &[&str]) -> Option<(&'static str, &'static str)> {
    let has = |name: &str| hooks.contains(&name);
    Some(match () {
        () if has("pre-install") => (
            "Helm lets it end before it applies anything else; start applies it at the same time as \
             everything else",
            "let the workload wait until it is done, or apply it yourself before start",
        ),
        () if has("post-install") => (
            "Helm applies it after everything else is there; start applies it at the same time",
            "let it try again until what it needs is there, or apply it yourself after start",
        ),
        () if has("crd-install") => return None, // definitions are applied first in any case
        () if hooks.iter().any(|hook| hook.starts_with("test")) => (
            "Helm applies it only for `helm test`; start applies it, and it runs at once",
            "remove the object, or render without tests (`helm template --skip-tests`)",
        ),
        () if hooks.iter().any(|hook| hook.ends_with("-delete")) => (
            "Helm applies it only when the release is deleted; start applies it, and it runs at once",
            "remove the object, or render without hooks (`helm template --no-hooks`)",
        ),
        () => (
            "Helm applies it only in an upgrade or a rollback; start applies it, and it runs at once",
            "remove the object, or render without hooks (`helm template --no-hooks`)",
        ),
    })
}

fn policy(object: &Object) -> Option<Finding> {
    let value = annotation(object, POLICY)?;
    let reason =
        format!("{POLICY}: {value}: only Helm reads it; `kubectl delete` deletes the object as any other");
    let cure = "remove the annotation, unless Helm is to manage the object later";
    Some(Finding::new(Rule::HelmResourcePolicy, object, &place(POLICY), reason, cure))
}

/// Of the data of a ConfigMap or a Secret it is not known which program reads it.
fn template(object: &Object) -> Option<Finding> {
    let fields = object.value.as_object()?.iter();
    let is_data = |key: &str| ["data", "stringData", "binaryData"].contains(&key);
    let pointer = fields
        .filter(|(key, _)| !is_data(key))
        .find_map(|(key, value)| unrendered(value).map(|below| format!("/{key}{below}")))?;
    let reason = "it has text of a template that was not rendered";
    let cure = "put what `helm template` makes of the chart into this folder instead";
    Some(Finding::new(Rule::Template, object, &pointer, reason, cure))
}

/// Where in `value` such a text is: a JSON pointer.
fn unrendered(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => is_template(text).then(String::new),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(i, item)| Some(format!("/{i}{}", unrendered(item)?)))
        }
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let label = || key.replace('~', "~0").replace('/', "~1");
            Some(format!("/{}{}", label(), unrendered(value)?))
        }),
        _ => None,
    }
}

fn is_template(text: &str) -> bool {
    let mut calls = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}").map(|(call, _)| call));
    calls.any(|call| TEMPLATES.iter().any(|known| call.contains(known)))
}
