//! The user's changes to single components: extra arguments, extra volumes, patches.

use k8s_openapi::api::core::v1::{HostPathVolumeSource, PodSpec, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{DeepMerge, Metadata, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::args::Args;
use crate::config::{ComponentConfig, ExtraVolume, Patch, PatchType};

/// What can be rendered and patched: a Kubernetes type with metadata.
pub trait Object: Resource + Metadata<Ty = ObjectMeta> + DeepMerge + Serialize + DeserializeOwned {}
impl<T: Resource + Metadata<Ty = ObjectMeta> + DeepMerge + Serialize + DeserializeOwned> Object for T {}

/// Applies extra arguments and volumes to the first container of a pod.
pub fn pod(spec: &mut PodSpec, changes: &ComponentConfig) {
    edit_args(spec, |args| {
        for (flag, values) in &changes.extra_args {
            args.set_all(flag, values);
        }
    });
    for volume in &changes.extra_volumes {
        mount(spec, volume);
    }
}

/// Changes the command (or, where the image has an entry point, the arguments) of a pod's first
/// container.
pub fn edit_args(spec: &mut PodSpec, edit: impl FnOnce(&mut Args)) {
    let Some(container) = spec.containers.first_mut() else { return };
    let words = if container.command.is_some() { &mut container.command } else { &mut container.args };
    let mut args = Args::parse(words.as_deref().unwrap_or_default());
    edit(&mut args);
    *words = Some(args.command());
}

fn mount(spec: &mut PodSpec, volume: &ExtraVolume) {
    let ExtraVolume { name, host_path, mount_path, read_only, path_type } = volume;
    let type_ = (!path_type.is_empty()).then(|| path_type.clone());
    spec.volumes.get_or_insert_default().push(Volume {
        name: name.clone(),
        host_path: Some(HostPathVolumeSource { path: host_path.clone(), type_ }),
        ..Volume::default()
    });
    if let Some(container) = spec.containers.first_mut() {
        container.volume_mounts.get_or_insert_default().push(VolumeMount {
            name: name.clone(),
            mount_path: mount_path.clone(),
            read_only: read_only.then_some(true),
            ..VolumeMount::default()
        });
    }
}

/// Applies a patch.
///
/// # Errors
/// If the patch cannot be applied, or sets a field that the type does not have.
pub fn patch<T: Object>(mut object: T, patch: &Patch) -> Result<T, String> {
    match patch.patch_type {
        PatchType::Strategic => {
            if let Some(path) = find_null(&patch.patch, "") {
                return Err(format!("a strategic patch cannot remove {path}; use type merge or json"));
            }
            object.merge_from(typed(&patch.patch)?);
            Ok(object)
        }
        PatchType::Merge => {
            let mut value = to_value(&object);
            json_patch::merge(&mut value, &patch.patch);
            typed(&value)
        }
        PatchType::Json => {
            let mut value = to_value(&object);
            let operations: json_patch::Patch = serde_json::from_value(patch.patch.clone())
                .map_err(|error| format!("it is not a list of RFC 6902 operations: {error}; correct it"))?;
            json_patch::patch(&mut value, &operations)
                .map_err(|error| format!("{error}; look the path up in the rendered {}", T::KIND))?;
            typed(&value)
        }
    }
}

/// As YAML that kubectl reads.
pub fn to_yaml(object: &impl Serialize) -> String {
    crate::yaml::write(&to_value(object))
}

/// The object as JSON.
pub fn to_value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).expect("invariant: Kubernetes objects have string keys")
}

/// Reads `value` as an object of type `T`. A field that `T` would drop silently is an error.
fn typed<T: Object>(value: &Value) -> Result<T, String> {
    let object: T = serde_json::from_value(with_type::<T>(value))
        .map_err(|error| format!("the result is not a {}: {error}; correct the value", T::KIND))?;
    match find_lost(value, &to_value(&object), "") {
        Some(path) => Err(format!("{} has no field {path}; correct its name", T::KIND)),
        None => Ok(object),
    }
}

/// A patch need not repeat apiVersion and kind, but the type insists on them.
fn with_type<T: Object>(value: &Value) -> Value {
    let mut value = value.clone();
    if let Value::Object(map) = &mut value {
        map.entry("apiVersion").or_insert_with(|| T::API_VERSION.into());
        map.entry("kind").or_insert_with(|| T::KIND.into());
    }
    value
}

/// Path of the first field of `wanted` that `kept` lacks.
fn find_lost(wanted: &Value, kept: &Value, path: &str) -> Option<String> {
    match (wanted, kept) {
        (Value::Object(wanted), Value::Object(kept)) => wanted.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match kept.get(key) {
                Some(kept) => find_lost(value, kept, &path),
                None if is_empty(value) => None,
                None => Some(path),
            }
        }),
        (Value::Array(wanted), Value::Array(kept)) => {
            let pairs = wanted.iter().zip(kept).enumerate();
            pairs.into_iter().find_map(|(i, (wanted, kept))| find_lost(wanted, kept, &format!("{path}[{i}]")))
        }
        _ => None,
    }
}

/// Whether serialising may leave `value` out without loss.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn find_null(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Null => Some(path.to_owned()),
        Value::Object(map) => map.iter().find_map(|(key, value)| find_null(value, &format!("{path}.{key}"))),
        Value::Array(list) => {
            list.iter().enumerate().find_map(|(i, value)| find_null(value, &format!("{path}[{i}]")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::DaemonSet;
    use serde_json::json;

    use super::*;
    use crate::render::base;

    fn apply(patch_type: PatchType, value: Value) -> Result<DaemonSet, String> {
        let daemon_set: DaemonSet = base::PROXY.parse();
        patch(daemon_set, &Patch { kind: "DaemonSet".into(), patch_type, patch: value })
    }

    fn container(daemon_set: &DaemonSet) -> Value {
        to_value(daemon_set)["spec"]["template"]["spec"]["containers"][0].clone()
    }

    #[test]
    fn a_strategic_patch_merges_containers_by_name() {
        let resources = json!({"limits": {"memory": "1Gi"}});
        let containers = json!([{"name": "kube-proxy", "resources": resources}]);
        let patch = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let patched = container(&apply(PatchType::Strategic, patch).unwrap());
        assert_eq!(patched["resources"]["limits"]["memory"], "1Gi");
        assert_eq!(patched["resources"]["requests"]["cpu"], "50m");
        assert_eq!(patched["command"][0], "kube-proxy");
    }

    #[test]
    fn a_json_patch_edits_by_pointer() {
        let path = "/spec/template/spec/containers/0/resources/requests/cpu";
        let patched = apply(PatchType::Json, json!([{"op": "replace", "path": path, "value": "1"}])).unwrap();
        assert_eq!(container(&patched)["resources"]["requests"]["cpu"], "1");
    }

    #[test]
    fn a_patch_that_does_not_fit_names_the_cure() {
        let problem = apply(PatchType::Json, json!([{"op": "remove", "path": "/spec/x"}])).unwrap_err();
        assert!(problem.contains("look the path up in the rendered DaemonSet"), "{problem}");
        let problem = apply(PatchType::Merge, json!({"spec": {"minReadySeconds": "soon"}})).unwrap_err();
        assert!(problem.contains("correct the value"), "{problem}");
        let problem = apply(PatchType::Strategic, json!({"spec": {"tmplate": {"x": 1}}})).unwrap_err();
        assert!(problem.contains("correct its name"), "{problem}");
    }

    #[test]
    fn a_merge_patch_removes_with_null() {
        let patch = json!({"spec": {"updateStrategy": null}});
        assert!(apply(PatchType::Merge, patch).unwrap().spec.unwrap().update_strategy.is_none());
    }

    #[test]
    fn a_field_that_does_not_exist_is_an_error() {
        for patch_type in [PatchType::Strategic, PatchType::Merge] {
            let problem = apply(patch_type, json!({"spec": {"tmplate": {"x": 1}}})).unwrap_err();
            assert!(problem.contains(".spec.tmplate"), "{problem}");
        }
    }

    #[test]
    fn a_strategic_patch_that_would_remove_is_refused() {
        let problem = apply(PatchType::Strategic, json!({"spec": {"updateStrategy": null}})).unwrap_err();
        assert!(problem.contains(".spec.updateStrategy"), "{problem}");
    }
}
