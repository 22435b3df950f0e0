//! The environment, with every reference to an object of the API replaced by its value.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvFromSource, EnvVar, EnvVarSource, Pod, PodSpec, Secret,
};
use kube::ResourceExt as _;

use super::{Draft, Note};

/// Makes the environment of every container literal.
pub fn literal(draft: &mut Draft, spec: &mut PodSpec) {
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        let mut result = Vec::new();
        // First these: kubelet lets the variables of `env` stand above them.
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
    let prefix = from.prefix.as_deref().unwrap_or_default();
    let entries = if let Some(source) = &from.secret_ref {
        note_secret(draft, container, &source.name, |_| true);
        draft.sources.secrets.get(&source.name).map(secret_entries).ok_or((&source.name, source.optional))
    } else if let Some(source) = &from.config_map_ref {
        draft.sources.config_maps.get(&source.name).map(config_entries).ok_or((&source.name, source.optional))
    } else {
        Ok(BTreeMap::new())
    };
    match entries {
        Ok(entries) => entries
            .into_iter()
            .filter_map(|(key, value)| variable(draft, container, &format!("{prefix}{key}"), value))
            .collect(),
        Err((_, Some(true))) => Vec::new(),
        Err((name, _)) => {
            draft.problem(format!(
                "container `{}` takes its environment from `{name}`, which does not exist",
                container.name
            ));
            Vec::new()
        }
    }
}

/// Tells of a Secret that has what is asked for.
fn note_secret(draft: &mut Draft, container: &Container, name: &str, has: impl FnOnce(&Secret) -> bool) {
    if draft.sources.secrets.get(name).is_some_and(has) {
        draft.note(Note::SecretInEnvironment { secret: name.to_owned(), container: container.name.clone() });
    }
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
    let EnvVarSource {
        config_map_key_ref,
        field_ref,
        secret_key_ref,
        file_key_ref: _,
        resource_field_ref: _,
    } = source;
    let (name, key, optional, entry) = if let Some(key) = secret_key_ref {
        note_secret(draft, container, &key.name, |secret| secret_entries(secret).contains_key(&key.key));
        let entry =
            draft.sources.secrets.get(&key.name).and_then(|secret| secret_entries(secret).remove(&key.key));
        (&key.name, &key.key, key.optional, entry)
    } else if let Some(key) = config_map_key_ref {
        let entry =
            draft.sources.config_maps.get(&key.name).and_then(|map| config_entries(map).remove(&key.key));
        (&key.name, &key.key, key.optional, entry)
    } else if let Some(field) = field_ref {
        return match identity(draft.pod, &field.field_path) {
            Some(value) => Some(EnvVar { value: Some(escape(&value)), value_from: None, ..variable }),
            None => Some(variable), // kubelet knows it
        };
    } else {
        return Some(variable); // of this machine, or of a volume
    };
    match entry {
        Some(bytes) => self::variable(draft, container, &variable.name, bytes),
        None if optional == Some(true) => None,
        None => {
            draft.problem(format!(
                "variable `{}` of container `{}` takes `{key}` of `{name}`, which does not exist",
                variable.name, container.name
            ));
            None
        }
    }
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

/// Kubelet expands `$(NAME)` in literal values, and not in those that it looks up.
fn escape(value: &str) -> String {
    value.replace('$', "$$")
}

/// What a pod says of itself that would be another in its copy.
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

/// As kubelet writes labels and annotations into a file.
pub fn pairs(pairs: &BTreeMap<String, String>) -> String {
    let line =
        |(key, value): (&String, &String)| format!("{key}={}", serde_json::Value::from(value.as_str()));
    pairs.iter().map(line).collect::<Vec<_>>().join("\n")
}
