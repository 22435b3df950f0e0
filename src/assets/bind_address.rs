//! The address on which the bootstrap apiserver listens, set in its manifest by flags as Kubernetes
//! reads them.

use serde_json::{Value, json};

use super::command::{container_words, runs};
use crate::yaml;

/// What kubelet replaces by this machine's address, where the container has a variable of this
/// name.
pub const NODE_ADDRESS: &str = "$(HOST_IP)";
const VARIABLE: &str = "HOST_IP";
const FLAG: &str = "--bind-address";

/// `manifest` with the apiserver bound to [`NODE_ADDRESS`], whichever way it named an address
/// before, or none. None if `manifest` has no apiserver.
pub fn set(manifest: &[u8]) -> Option<Vec<u8>> {
    let mut pod = yaml::parse(&String::from_utf8_lossy(manifest), "").ok()?.into_iter().next()?;
    let containers = pod["spec"]["containers"].as_array_mut()?;
    let container = containers.iter_mut().find(|one| runs(container_words(one), "kube-apiserver"))?;
    set_flag(container);
    set_variable(container);
    Some(yaml::write(&pod).into_bytes())
}

/// Removes every occurrence, since the last one counts, and adds one. The value of the last word of
/// `command` may be the first of `args`.
fn set_flag(container: &mut Value) {
    let (mut last, mut is_value) = ("command", false);
    for list in ["command", "args"] {
        let Some(words) = container[list].as_array_mut() else { continue };
        words.retain(|word| {
            let word = word.as_str().unwrap_or_default();
            let is_flag = [FLAG, &FLAG[1..]].contains(&word);
            let is_whole = word.trim_start_matches('-').starts_with("bind-address=") && word.starts_with('-');
            let stays = !is_value && !is_flag && !is_whole;
            is_value = is_flag && !is_value;
            stays
        });
        if !words.is_empty() {
            last = list;
        }
    }
    if let Some(words) = container[last].as_array_mut() {
        words.push(json!(format!("{FLAG}={NODE_ADDRESS}")));
    }
}

fn set_variable(container: &mut Value) {
    if !container["env"].is_array() {
        container["env"] = json!([]);
    }
    let Some(env) = container["env"].as_array_mut() else { return };
    if env.iter().all(|variable| variable["name"] != VARIABLE) {
        env.push(json!({"name": VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::command::{flag, words};

    #[test]
    fn the_address_is_set_whichever_way_the_manifest_names_one() {
        for command in [
            "command: [kube-apiserver, --bind-address=0.0.0.0, --v=2]",
            "command: [kube-apiserver, --bind-address, 0.0.0.0, --v=2]",
            "command: [kube-apiserver, -bind-address, 0.0.0.0, --v=2]",
            "command: [kube-apiserver, --bind-address=0.0.0.0, '--bind-address=::', --v=2]",
            "command: [kube-apiserver, --v=2]",
            "command: [kube-apiserver], args: [--v=2, --bind-address, 0.0.0.0]",
            "command: [kube-apiserver, --v=2, --bind-address], args: [0.0.0.0]",
        ] {
            let manifest = format!("spec: {{containers: [{{name: other}}, {{{command}}}]}}");
            let written = String::from_utf8(set(manifest.as_bytes()).unwrap()).unwrap();
            let pod = yaml::parse(&written, "").unwrap().remove(0);
            let found: Vec<&str> =
                words(&pod).filter(|word| word.contains("0.0.0.0") || word.contains("::")).collect();
            assert_eq!(
                (flag(words(&pod), "bind-address").as_deref(), found),
                (Some(NODE_ADDRESS), vec![]),
                "{command}"
            );
            assert_eq!(flag(words(&pod), "v").as_deref(), Some("2"), "{command}: the other flags stay");
            let variable = &pod["spec"]["containers"][1]["env"][0];
            assert_eq!(variable["valueFrom"]["fieldRef"]["fieldPath"], "status.hostIP");
        }
    }

    #[test]
    fn a_manifest_without_an_apiserver_has_no_address_to_set() {
        assert_eq!(set(b"spec: {containers: [{command: [etcd]}]}"), None);
        assert_eq!(set(b"{broken"), None);
    }
}
