//! Kinds that Kubernetes does not have itself, and selectors that do not fit.

use std::collections::BTreeSet;

use super::finding::{Finding, Rule};
use super::labels::matches;
use super::text::list;
use super::workload::{Workload, workloads};
use crate::assets::object::Object;
use crate::assets::{kinds, removed};

/// Objects whose kind no file defines, and workloads that the API refuses.
pub fn find(objects: &[Object]) -> Vec<Finding> {
    let custom = objects.iter().filter(|object| !kinds::is_built_in_group(object.group()));
    let undefined = custom.filter_map(|object| undefined(object, objects));
    undefined.chain(objects.iter().filter_map(soon_removed)).chain(selectors(objects)).collect()
}

/// A kind is named once, where it is first.
fn undefined(object: &Object, objects: &[Object]) -> Option<Finding> {
    let key = |object: &Object| (object.api_version().to_owned(), object.kind().to_owned());
    let first = objects.iter().find(|other| key(other) == key(object))?;
    let is_aggregated = objects.iter().any(|other| {
        let spec = &other.value["spec"];
        other.kind() == "APIService" && spec["group"] == object.group() && spec["service"].is_object()
    });
    if is_aggregated || !std::ptr::eq(first, object) {
        return None;
    }
    let (reason, cure) = match definition(object, objects) {
        Some(definition) => (unserved(object, definition)?, "write one of these versions"),
        None => (
            format!(
                "no file here defines {} of {}: start waits for a definition, and then goes on without the object",
                object.kind(),
                object.api_version()
            ),
            "add it (of a chart: `helm template --include-crds`), unless the cluster or an operator has it",
        ),
    };
    Some(Finding::new(Rule::MissingDefinition, object, "/apiVersion", reason, cure))
}

fn definition<'a>(object: &Object, objects: &'a [Object]) -> Option<&'a Object> {
    let definitions = objects.iter().filter(|other| other.kind() == "CustomResourceDefinition");
    definitions.into_iter().find(|definition| {
        let spec = &definition.value["spec"];
        spec["group"] == object.group() && spec["names"]["kind"] == object.kind()
    })
}

/// That a definition does not serve the version of `object`.
fn unserved(object: &Object, definition: &Object) -> Option<String> {
    let served = list(&definition.value["spec"]["versions"]).filter(|version| version["served"] == true);
    let served: BTreeSet<&str> = served.filter_map(|version| version["name"].as_str()).collect();
    let (_, version) = object.api_version().split_once('/')?;
    let at = format!("{}:{}", definition.file, definition.line(""));
    let all = || served.iter().copied().collect::<Vec<_>>().join(", ");
    (!served.contains(version)).then(|| format!("its definition ({at}) serves {}, and not {version}", all()))
}

/// A version that one of the supported versions of Kubernetes still serves.
fn soon_removed(object: &Object) -> Option<Finding> {
    let removed = removed::find(object.api_version(), object.kind())?;
    Some(Finding::new(Rule::RemovedApi, object, "/apiVersion", removed.problem(), removed.cure()?))
}

/// Workloads whose selector does not match their own pods: the API refuses them.
fn selectors(objects: &[Object]) -> Vec<Finding> {
    let of_apps = workloads(objects).into_iter().filter(|workload| workload.object.group() == "apps");
    let finding = |workload: Workload<'_>| {
        let selector = &workload.object.value["spec"]["selector"];
        let reason = match selector.is_null() {
            true => "it has no selector, and the API refuses it",
            false if !matches(selector, &workload.labels()) => {
                "its selector does not match the labels of its pods, and the API refuses it"
            }
            false => return None,
        };
        let cure = "write the labels of the pod template in spec.selector.matchLabels";
        Some(Finding::new(Rule::Workload, workload.object, "/spec/selector", reason, cure))
    };
    of_apps.into_iter().filter_map(finding).collect()
}
