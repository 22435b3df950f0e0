//! Whether the manifests let both apiservers of a pivot listen at the same time. Pure.
//!
//! In assets of v0.14 and its time, the self-hosted apiserver ends again and again until the
//! bootstrap one is gone. It also runs as another user, and the kernel lets only processes of one
//! user share a port.

use std::net::IpAddr;

use serde_json::Value;

use crate::NAMESPACE;
use crate::assets::command::{container_words, containers, flag, is_on, runs};
use crate::assets::object::Object;

const APISERVER: &str = "kube-apiserver";
/// Where an apiserver without `--secure-port` listens.
const PORT: u16 = 6443;

/// How an apiserver listens.
struct Listener {
    port: u16,
    /// None means every address.
    address: Option<String>,
    shares_port: bool,
    user: i64,
}

/// Why only one of them can listen at a time. None if both can, or if `objects` have no apiserver.
pub fn conflict(bootstrap: &Value, objects: &[Object]) -> Option<String> {
    let is_workload = |object: &&Object| {
        ["DaemonSet", "Deployment"].contains(&object.kind())
            && (object.namespace(), object.name()) == (Some(NAMESPACE), APISERVER)
    };
    let workload = objects.iter().find(is_workload)?;
    let (older, newer) = (listener(bootstrap)?, listener(&workload.value["spec"]["template"])?);
    let is_same_place = older.port == newer.port
        && (older.address.is_none() || newer.address.is_none() || older.address == newer.address);
    let unshared = [("bootstrap", &older), ("self-hosted", &newer)];
    let unshared = unshared.into_iter().find(|(_, listener)| !listener.shares_port);
    match unshared {
        _ if !is_same_place => None,
        Some((which, _)) => Some(format!("the {which} one does not say --permit-port-sharing")),
        None if older.user != newer.user => {
            Some(format!("they run as different users, {} and {}", older.user, newer.user))
        }
        None => None,
    }
}

/// How the apiserver in `pod` listens, if `pod` is on the host's network.
fn listener(pod: &Value) -> Option<Listener> {
    let spec = &pod["spec"];
    let container = containers(pod).find(|container| runs(container_words(container), APISERVER))?;
    let words = || container_words(container);
    let is_any = |address: &String| address.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
    let users = [container, spec].map(|at| at["securityContext"]["runAsUser"].as_i64());
    (spec["hostNetwork"] == true).then(|| Listener {
        port: flag(words(), "secure-port").and_then(|port| port.parse().ok()).unwrap_or(PORT),
        address: flag(words(), "bind-address").filter(|address| !is_any(address)),
        shares_port: is_on(words(), "permit-port-sharing"),
        user: users.into_iter().flatten().next().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml::Source;

    const SHARED: &str = "--permit-port-sharing=true";

    fn pod(flags: &[&str], user: Option<i64>) -> Value {
        let command: Vec<&str> = ["/hyperkube", "apiserver"].iter().chain(flags).copied().collect();
        let context = json!({"runAsUser": user});
        json!({"spec": {"hostNetwork": true, "securityContext": context, "containers": [{"command": command}]}})
    }

    fn between(older: &Value, newer: &Value) -> Option<String> {
        let metadata = json!({"name": "kube-apiserver", "namespace": "kube-system"});
        let set = json!({"kind": "DaemonSet", "metadata": metadata, "spec": {"template": newer}});
        let other = json!({"kind": "ConfigMap", "metadata": metadata});
        let object =
            |value| Object { value, file: "f".into(), place: "document 1".into(), source: Source::default() };
        conflict(older, &[object(other), object(set)])
    }

    #[test]
    fn apiservers_get_along_where_both_share_the_port_as_one_user() {
        assert_eq!(between(&pod(&[SHARED], None), &pod(&[SHARED], Some(0))), None);
        let bound = pod(&["--permit-port-sharing", "--bind-address=$(HOST_IP)"], None);
        assert_eq!(between(&bound, &pod(&[SHARED, "--bind-address=0.0.0.0"], None)), None);
    }

    #[test]
    fn what_keeps_them_apart_is_named() {
        let old = pod(&["--bind-address=0.0.0.0"], None);
        let said = between(&old, &pod(&[SHARED], Some(65534))).unwrap();
        assert_eq!(said, "the bootstrap one does not say --permit-port-sharing");
        let said = between(&pod(&[SHARED], None), &pod(&["--secure-port=6443"], None)).unwrap();
        assert!(said.contains("the self-hosted one"), "{said}");
        let said = between(&pod(&[SHARED], None), &pod(&[SHARED], Some(65534))).unwrap();
        assert_eq!(said, "they run as different users, 0 and 65534");
        let own = json!({"spec": {"hostNetwork": true, "securityContext": {"runAsUser": 0}, "containers": [
            {"command": ["kube-apiserver", SHARED], "securityContext": {"runAsUser": 7}}]}});
        assert!(between(&pod(&[SHARED], None), &own).unwrap().contains("0 and 7"), "a container's user wins");
    }

    #[test]
    fn apiservers_of_different_ports_addresses_or_networks_do_not_meet() {
        assert_eq!(between(&pod(&["--secure-port=443"], None), &pod(&[], None)), None);
        let at = |address: &str| pod(&[&format!("--bind-address={address}")], None);
        assert_eq!(between(&at("192.0.2.1"), &at("127.0.0.1")), None);
        assert!(between(&at("192.0.2.1"), &at("::")).is_some());
        let mut elsewhere = pod(&[], None);
        elsewhere["spec"]["hostNetwork"] = json!(false);
        assert_eq!(between(&pod(&[], None), &elsewhere), None);
        assert_eq!(conflict(&pod(&[], None), &[]), None);
    }
}
