//! Changes to single components: volumes and patches, and the flags that `arguments` has read.
//!
//! Only what cannot be rendered is refused here. What a patch makes of an object is looked at when
//! the object is finished (`render/finished`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::settings::{ComponentSettings, PatchSettings, VolumeSettings};
use super::super::{Component, ComponentConfig, Etcd, ExtraVolume, Networking, Patch, PatchType};
use super::arguments::{self, Argument};
use crate::values::mistakes::{Checked, Given, Mistakes, fault};
use crate::values::scalar;

/// Every component that the user changes.
pub(super) fn read(
    settings: &BTreeMap<Component, ComponentSettings>,
    arguments: &[Argument],
    etcd: &Etcd,
    networking: Networking,
    mistakes: &mut Mistakes,
) -> BTreeMap<Component, ComponentConfig> {
    let mut components = BTreeMap::new();
    for (&part, given) in settings {
        if let Some(reason) = without_effect(part, etcd, networking) {
            mistakes.warn(&given.at, reason);
        }
        let config = ComponentConfig {
            extra_args: arguments::of(part, arguments),
            extra_volumes: given.extra_volumes.iter().filter_map(|each| volume(each, mistakes)).collect(),
            patches: given.patches.iter().filter_map(|each| patch(each, mistakes)).collect(),
        };
        if config != ComponentConfig::default() {
            components.insert(part, config);
        }
    }
    components
}

/// Why a component is not rendered.
pub(super) fn without_effect(part: Component, etcd: &Etcd, networking: Networking) -> Option<&'static str> {
    match part {
        _ if part.is_rendered(etcd, networking) => None,
        Component::Etcd => Some("has no effect, because etcd.mode is external"),
        _ => Some("has no effect, because networking is not flannel"),
    }
}

fn volume(given: &VolumeSettings, mistakes: &mut Mistakes) -> Option<ExtraVolume> {
    let VolumeSettings { at, name, host_path, mount_path, read_only, path_type } = given;
    let name = required(at, "name", name, mistakes).and_then(|name| mistakes.check(name, scalar::dns_label));
    let host_path = required(at, "hostPath", host_path, mistakes)
        .and_then(|path| mistakes.check(path, scalar::absolute_path));
    let mount_path = required(at, "mountPath", mount_path, mistakes)
        .and_then(|path| mistakes.check(path, scalar::absolute_path));
    let path_type = mistakes.check_or(path_type.as_ref(), String::new(), scalar::host_path_type);
    Some(ExtraVolume {
        name: name?,
        host_path: host_path?,
        mount_path: mount_path?,
        read_only: read_only.as_ref().is_none_or(|given| given.value),
        path_type,
    })
}

fn patch(given: &PatchSettings, mistakes: &mut Mistakes) -> Option<Patch> {
    let PatchSettings { at, kind, patch_type, patch } = given;
    let kind = required(at, "kind", kind, mistakes).and_then(|kind| mistakes.check(kind, object_kind));
    let patch_type = match patch_type {
        Some(given) => mistakes.check(given, scalar::word),
        None => Some(PatchType::Strategic),
    };
    let patch = required(at, "patch", patch, mistakes);
    let (kind, patch_type, patch) = (kind?, patch_type?, patch?);
    if let Err(fault) = fits(patch_type, &patch.value) {
        mistakes.refuse(&patch.at, "", fault.problem, fault.cure);
        return None;
    }
    Some(Patch { kind, patch_type, patch: patch.value.clone() })
}

fn object_kind(text: &str) -> Checked<String> {
    let good =
        text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(|c| c.is_ascii_alphanumeric());
    match good {
        true => Ok(text.into()),
        false => fault("is not a kind", "write one such as DaemonSet, Deployment or Pod"),
    }
}

/// Whether a patch has the shape that its type asks for.
fn fits(patch_type: PatchType, patch: &Value) -> Checked<()> {
    match patch_type {
        PatchType::Strategic | PatchType::Merge if patch.is_object() => Ok(()),
        PatchType::Strategic | PatchType::Merge => {
            fault("is not a mapping", "write the part of the object that changes, or use `type: json`")
        }
        PatchType::Json => match serde_json::from_value::<json_patch::Patch>(patch.clone()) {
            Ok(_) => Ok(()),
            Err(error) => fault(
                format!("is not a JSON patch ({error})"),
                "write a list of operations, each with op, path and value",
            ),
        },
    }
}

fn required<'a, T>(
    at: &str,
    name: &str,
    given: &'a Option<Given<T>>,
    mistakes: &mut Mistakes,
) -> Option<&'a Given<T>> {
    if given.is_none() {
        mistakes.refuse(&format!("{at}.{name}"), "", "is missing", format!("add `{name}`"));
    }
    given.as_ref()
}
