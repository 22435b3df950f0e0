//! The temporary control plane: static pods, each derived from the self-hosted pod that replaces
//! it, so that the two cannot drift apart.
//!
//! What differs is data: `bootstrap-manifests/` at the top of the repository holds a patch for all
//! of these pods and one for each component. This file only applies them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::base::{self, Base};
use super::manifests::Manifests;
use super::{Error, customize};
use crate::config::Component;

/// One file of `bootstrap-manifests/`. `spec`, `eachContainer` and `eachSecretVolume` are JSON
/// merge patches (RFC 7386).
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Patch {
    /// Replaces the metadata of the pod template.
    metadata: ObjectMeta,
    spec: Map<String, Value>,
    each_container: Map<String, Value>,
    each_secret_volume: Map<String, Value>,
    /// Flags of the first container; `null` removes one.
    flags: BTreeMap<String, Option<FlagValue>>,
    add_volumes: Vec<Volume>,
    /// Mounts that are added to the first container.
    add_volume_mounts: Vec<VolumeMount>,
}

/// The value of a flag. The elements of a list are joined by commas, as Kubernetes' flags take
/// them.
#[derive(Deserialize)]
#[serde(untagged)]
enum FlagValue {
    Single(String),
    List(Vec<String>),
}

/// Adds the bootstrap pod of `component`, derived from its pod template.
pub fn add(component: Component, template: &PodTemplateSpec, manifests: &mut Manifests) -> Result<(), Error> {
    let pod = static_pod(component, template.spec.clone().unwrap_or_default());
    manifests.add(file(component), component, pod)
}

/// Where the bootstrap pod of a component is in an asset directory.
pub fn file(component: Component) -> &'static str {
    match component {
        Component::Apiserver => "bootstrap-manifests/bootstrap-apiserver.yaml",
        Component::ControllerManager => "bootstrap-manifests/bootstrap-controller-manager.yaml",
        _ => "bootstrap-manifests/bootstrap-scheduler.yaml",
    }
}

/// The bootstrap pod for self-hosted pods of `spec`.
pub fn static_pod(component: Component, spec: PodSpec) -> Pod {
    patched(spec, &patches(component))
}

/// The bootstrap pod for pods of `spec` that `recover` found in a cluster, which another tool may
/// have rendered.
pub fn recovered_pod(component: Component, spec: PodSpec) -> Pod {
    let mut patches = patches(component);
    if component != Component::Apiserver {
        patches.push(base::BOOTSTRAP_RECOVERED_LEADER);
    }
    patched(spec, &patches)
}

fn patches(component: Component) -> Vec<Base> {
    let own = match component {
        Component::Apiserver => base::BOOTSTRAP_APISERVER,
        Component::ControllerManager => base::BOOTSTRAP_CONTROLLER_MANAGER,
        _ => base::BOOTSTRAP_SCHEDULER,
    };
    vec![base::BOOTSTRAP_EVERY_POD, own]
}

fn patched(spec: PodSpec, patches: &[Base]) -> Pod {
    let pod = Pod { spec: Some(spec), ..Pod::default() };
    patches.iter().fold(pod, |pod, patch| apply(pod, patch.parse()))
}

fn apply(pod: Pod, patch: Patch) -> Pod {
    let Patch { metadata, spec, each_container, each_secret_volume, flags, add_volumes, add_volume_mounts } =
        patch;
    let metadata = if metadata == ObjectMeta::default() { pod.metadata } else { metadata };
    let mut spec = merged(pod.spec.unwrap_or_default(), spec);
    for container in &mut spec.containers {
        *container = merged(std::mem::take(container), each_container.clone());
    }
    let volumes = spec.volumes.iter_mut().flatten();
    for volume in volumes.filter(|volume| volume.secret.is_some()) {
        *volume = merged(std::mem::take(volume), each_secret_volume.clone());
    }
    if !flags.is_empty() {
        customize::edit_args(&mut spec, |args| {
            for (flag, value) in flags {
                match value {
                    Some(value) => args.set(&flag, value.text()),
                    None => args.remove(&flag),
                };
            }
        });
    }
    if !add_volumes.is_empty() {
        spec.volumes.get_or_insert_default().extend(add_volumes);
    }
    if let Some(container) = spec.containers.first_mut().filter(|_| !add_volume_mounts.is_empty()) {
        container.volume_mounts.get_or_insert_default().extend(add_volume_mounts);
    }
    Pod { metadata, spec: Some(spec), ..Pod::default() }
}

/// Applies a merge patch.
fn merged<T: serde::Serialize + DeserializeOwned>(object: T, patch: Map<String, Value>) -> T {
    let mut value = customize::to_value(&object);
    json_patch::merge(&mut value, &Value::Object(patch));
    serde_json::from_value(value).unwrap_or_else(|error| {
        panic!("invariant: the tests have applied every embedded patch to the pods it is for: {error}")
    })
}

impl FlagValue {
    fn text(self) -> String {
        match self {
            Self::Single(value) => value,
            Self::List(values) => values.join(","),
        }
    }
}

#[cfg(test)]
#[path = "bootstrap_tests.rs"]
mod tests;
