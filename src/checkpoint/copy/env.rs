//! The environment, with every reference to an object of the API replaced by its value.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvFromSource, EnvVar, EnvVarSource, Pod, PodSpec, Secret,
};
use kube::ResourceExt as _;

use super::draft::{Draft, Note, Sources};

/// Makes the environment of every container literal.
pub fn literal(draft: &mut Draft, spec: &mut PodSpec) {
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        let mut result = Vec::new();
        // `envFrom` first, because kubelet lets `env` override it.
        for from in container.env_from.take().unwrap_or_default() {
            result.extend(whole(draft, container, &from));
        }
        for variable in container.env.take().unwrap_or_default() {
            result.extend(one(draft, container, variable));
        }
        container.env = (!result.is_empty()).then_some(result);
    }
}

/// Every entry of a Secret or ConfigMap.
fn whole(draft: &mut Draft, container: &Container, from: &EnvFromSource) -> Vec<EnvVar> {
    let (name, optional, entries) = if let Some(source) = &from.secret_ref {
        let entries = draft.sources.secrets.get(&source.name).map(secret_entries);
        if entries.is_some() {
            note_secret(draft, container, &source.name);
        }
        (&source.name, source.optional, entries)
    } else if let Some(source) = &from.config_map_ref {
        (&source.name, source.optional, draft.sources.config_maps.get(&source.name).map(config_entries))
    } else {
        return Vec::new();
    };
    if entries.is_none() && optional != Some(true) {
        let text = "takes its environment from";
        draft.problem(format!("container `{}` {text} `{name}`, which does not exist", container.name));
    }
    let prefix = from.prefix.as_deref().unwrap_or_default();
    let entries = entries.into_iter().flatten();
    entries.filter_map(|(key, value)| variable(draft, container, &format!("{prefix}{key}"), value)).collect()
}

fn note_secret(draft: &mut Draft, container: &Container, secret: &str) {
    draft.note(Note::SecretInEnvironment { secret: secret.to_owned(), container: container.name.clone() });
}

fn secret_entries(secret: &Secret) -> BTreeMap<String, &[u8]> {
    secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.as_slice())).collect()
}

/// Kubelet leaves binary entries out.
fn config_entries(map: &ConfigMap) -> BTreeMap<String, &[u8]> {
    map.data.iter().flatten().map(|(key, value)| (key.clone(), value.as_bytes())).collect()
}

/// One variable; `None` where it refers to something optional that is not there.
fn one(draft: &mut Draft, container: &Container, variable: EnvVar) -> Option<EnvVar> {
    let Some(source) = &variable.value_from else { return Some(variable) };
    let own = source.field_ref.as_ref().and_then(|field| identity(draft.pod, &field.field_path));
    if let Some(value) = own {
        return Some(EnvVar { value: Some(escape(&value)), value_from: None, ..variable });
    }
    // Kubelet resolves the rest itself, from the machine or a volume.
    let Some(entry) = look_up(draft.sources, source) else { return Some(variable) };
    match entry.value {
        Some(bytes) => {
            if source.secret_key_ref.is_some() {
                note_secret(draft, container, entry.object);
            }
            self::variable(draft, container, &variable.name, bytes)
        }
        None if entry.optional == Some(true) => None,
        None => {
            draft.problem(format!(
                "variable `{}` of container `{}` takes `{}` of `{}`, which does not exist",
                variable.name, container.name, entry.key, entry.object
            ));
            None
        }
    }
}

/// An entry of a Secret or ConfigMap.
struct Entry<'s> {
    object: &'s str,
    key: &'s str,
    optional: Option<bool>,
    value: Option<&'s [u8]>,
}

fn look_up<'s>(sources: &'s Sources, from: &'s EnvVarSource) -> Option<Entry<'s>> {
    if let Some(from) = &from.secret_key_ref {
        let object = sources.secrets.get(&from.name);
        let value = object.and_then(|secret| secret_entries(secret).remove(&from.key));
        return Some(Entry { object: &from.name, key: &from.key, optional: from.optional, value });
    }
    let from = from.config_map_key_ref.as_ref()?;
    let value = sources.config_maps.get(&from.name).and_then(|map| config_entries(map).remove(&from.key));
    Some(Entry { object: &from.name, key: &from.key, optional: from.optional, value })
}

fn variable(draft: &mut Draft, container: &Container, name: &str, bytes: &[u8]) -> Option<EnvVar> {
    match std::str::from_utf8(bytes) {
        Ok(value) if !value.contains('\0') => {
            Some(EnvVar { name: name.to_owned(), value: Some(escape(value)), value_from: None })
        }
        _ => {
            draft.problem(format!("variable `{name}` of container `{}` is not text", container.name));
            None
        }
    }
}

/// A value that kubelet looked up becomes literal here, and only in literals it expands `$(NAME)`.
fn escape(value: &str) -> String {
    value.replace('$', "$$")
}

/// A field of the pod that would be different in its copy.
pub fn identity(pod: &Pod, field: &str) -> Option<String> {
    match field {
        "metadata.name" => Some(pod.name_any()),
        "metadata.uid" => Some(pod.uid().unwrap_or_default()),
        "metadata.annotations" => Some(pairs(pod.annotations())),
        "spec.serviceAccountName" => {
            pod.spec.as_ref().map(|spec| spec.service_account_name.clone().unwrap_or_default())
        }
        _ => {
            let key = field.strip_prefix("metadata.annotations['")?.strip_suffix("']")?;
            Some(pod.annotations().get(key).cloned().unwrap_or_default())
        }
    }
}

/// The format in which kubelet writes labels and annotations into a file.
pub fn pairs(pairs: &BTreeMap<String, String>) -> String {
    let line =
        |(key, value): (&String, &String)| format!("{key}={}", serde_json::Value::from(value.as_str()));
    pairs.iter().map(line).collect::<Vec<_>>().join("\n")
}
