//! Static pods: what kubelet would not run, and what two of them cannot both have.
//!
//! kubelet takes every file of its folder for a pod whose name does not begin with a dot, whatever
//! its extension, and runs each beside the others.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::command::{container_words, containers, flag};
use super::kinds::Mistake;
use super::listeners::claims_of;
use crate::finding::Finding;

/// A static pod and its file.
#[derive(Clone, PartialEq)]
pub struct StaticPod {
    /// Path under its folder, such as `bootstrap-apiserver.yaml`.
    pub path: String,
    /// The file, byte for byte, as it is placed.
    pub bytes: Vec<u8>,
    /// The same, parsed.
    pub value: Value,
}

impl StaticPod {
    /// The name of its file in kubelet's folder.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// `namespace/name` of the pod.
    pub fn pod_name(&self) -> String {
        let metadata = &self.value["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or("default"); // kubelet's
        format!("{namespace}/{}", metadata["name"].as_str().unwrap_or_default())
    }
}

impl fmt::Debug for StaticPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

/// Why kubelet would run no pod from a file of this content.
pub fn no_pod(value: &Value) -> Option<Mistake> {
    let away = "move the file out of this folder: kubelet takes every file in it for a pod";
    let text = |pointer| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (problem, cure) = match (text("/apiVersion"), text("/kind"), text("/metadata/name")) {
        ("v1", "Pod", "") => ("its pod has no name".to_owned(), "give it metadata.name"),
        ("v1", "Pod", _) => return None,
        (_, "Pod", _) => ("its pod is not of apiVersion v1".to_owned(), "write apiVersion: v1"),
        (_, "", _) => ("it holds no pod".to_owned(), away),
        (_, kind, _) => (
            format!("it holds no pod, but kind {kind}"),
            "move the file to manifests/ if the API is to have the object, or away: kubelet takes every file for a pod",
        ),
    };
    Some(Mistake { problem, cure: cure.to_owned() })
}

/// Something on the machine of which there is one.
#[derive(Debug, PartialEq)]
enum Claim {
    File(String),
    Pod(String),
    DataFolder(PathBuf),
    Port { number: u16, protocol: String, addresses: BTreeSet<IpAddr> },
}

impl Claim {
    fn collides_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::DataFolder(one), Self::DataFolder(other)) => {
                one.starts_with(other) || other.starts_with(one)
            }
            (
                Self::Port { number, protocol, addresses },
                Self::Port { number: other, protocol: of_other, addresses: at_other },
            ) => {
                let is_apart =
                    !addresses.is_empty() && !at_other.is_empty() && addresses.is_disjoint(at_other);
                (number, protocol) == (other, of_other) && !is_apart
            }
            _ => self == other,
        }
    }

    /// What both files claim, and the cure.
    fn and_cure(&self) -> (String, &'static str) {
        match self {
            Self::File(name) => {
                (format!("the file name {name} in kubelet's folder"), "rename one of the two")
            }
            Self::Pod(name) => (format!("the pod name {name}"), "remove one of the two, or rename its pod"),
            Self::DataFolder(path) => (
                format!("the data folder {} of the machine", path.display()),
                "remove one of the two, or give its pod another folder",
            ),
            Self::Port { number, protocol, .. } => (
                format!("port {number} ({protocol}) of the machine"),
                "remove one of the two, or give its pod another port",
            ),
        }
    }
}

/// A finding for each pod that claims what one before it claims. `pods` come with their paths.
pub fn collisions(pods: &[(String, &StaticPod)]) -> Vec<Finding> {
    let claims: Vec<Vec<Claim>> = pods.iter().map(|(_, pod)| claims(pod)).collect();
    let mut findings = Vec::new();
    for (at, (path, _)) in pods.iter().enumerate() {
        let earlier = claims[..at].iter().zip(pods);
        let pairs =
            earlier.flat_map(|(theirs, (other, _))| claims[at].iter().map(move |own| (own, theirs, other)));
        // Of two copies of one pod everything collides: the first thing says enough.
        let mut collided = BTreeSet::new();
        for (own, theirs, other) in pairs {
            if theirs.iter().any(|claim| claim.collides_with(own)) && collided.insert(other) {
                let (what, cure) = own.and_cure();
                let problem = format!("it claims {what}, as {other} does");
                let (field, cure) = (path.clone(), cure.to_owned());
                findings.push(Finding { field, value: String::new(), problem, cure });
            }
        }
    }
    findings
}

fn claims(pod: &StaticPod) -> Vec<Claim> {
    let mut claims = vec![Claim::File(pod.file_name().to_owned()), Claim::Pod(pod.pod_name())];
    for container in containers(&pod.value) {
        claims.extend(data_folder(&pod.value, container).map(Claim::DataFolder));
        if pod.value["spec"]["hostNetwork"] == true {
            let port = |claim: super::listeners::Claim| Claim::Port {
                number: claim.port,
                protocol: "TCP".to_owned(),
                addresses: claim.addresses,
            };
            claims.extend(claims_of(container).into_iter().map(port));
        }
        claims.extend(container["ports"].as_array().into_iter().flatten().filter_map(host_port));
    }
    claims
}

/// The folder of the machine where a container's program keeps its data.
fn data_folder(pod: &Value, container: &Value) -> Option<PathBuf> {
    let folder = flag(container_words(container), "data-dir")?;
    let folder = Path::new(&folder);
    let mounts = container["volumeMounts"].as_array()?.iter();
    let above =
        mounts.filter(|mount| mount["mountPath"].as_str().is_some_and(|path| folder.starts_with(path)));
    let mount = above.max_by_key(|mount| mount["mountPath"].as_str().map_or(0, str::len))?;
    let volume = pod["spec"]["volumes"].as_array()?.iter().find(|volume| volume["name"] == mount["name"])?;
    let path = Path::new(volume["hostPath"]["path"].as_str()?);
    let below = folder.strip_prefix(mount["mountPath"].as_str()?).ok()?;
    Some(path.join(mount["subPath"].as_str().unwrap_or_default()).join(below).components().collect())
}

/// A port of the machine that the pod has by its manifest.
fn host_port(port: &Value) -> Option<Claim> {
    let number = u16::try_from(port["hostPort"].as_u64()?).ok()?;
    let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
    let address = port["hostIP"].as_str().and_then(|address| address.parse::<IpAddr>().ok());
    let addresses = address.into_iter().filter(|address| !address.is_unspecified()).collect();
    Some(Claim::Port { number, protocol, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn pod(path: &str, spec: &str) -> (String, StaticPod) {
        let name = path.trim_end_matches(".yaml");
        let text = format!("{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{{spec}}}}}");
        let value = yaml::parse(&text, path).unwrap().remove(0);
        (format!("x/{path}"), StaticPod { path: path.to_owned(), bytes: text.into_bytes(), value })
    }

    fn between(one: &str, other: &str) -> Vec<String> {
        let pods = [pod("a.yaml", one), pod("b.yaml", other)];
        let pods: Vec<(String, &StaticPod)> = pods.iter().map(|(path, pod)| (path.clone(), pod)).collect();
        collisions(&pods).iter().map(ToString::to_string).collect()
    }

    const NODE: &str = "hostNetwork: true, containers";

    fn etcd(folder: &str, mount: &str, port: u16) -> String {
        format!(
            "{NODE}: [{{command: [etcd, --data-dir=/data/member, '--listen-client-urls=https://127.0.0.1:{port}'], \
             volumeMounts: [{{name: data, mountPath: {mount}}}]}}], volumes: [{{name: data, hostPath: {{path: {folder}}}}}]"
        )
    }

    #[test]
    fn what_two_pods_of_one_machine_both_claim_is_named_once() {
        for (one, other, claim) in [
            (
                etcd("/var/lib/etcd", "/data", 2379),
                etcd("/var/lib/etcd/", "/data", 2479),
                "data folder /var/lib/etcd/member",
            ),
            (etcd("/var/lib", "/data", 2379), etcd("/var/lib/member", "/data/member", 2479), "data folder"),
            (etcd("/a", "/data", 2379), etcd("/b", "/data", 2379), "port 2379 (TCP)"),
            (
                format!("{NODE}: [{{command: [kube-scheduler]}}]"),
                format!("{NODE}: [{{command: [/hyperkube, scheduler, '--secure-port=10259']}}]"),
                "port 10259 (TCP)",
            ),
            (
                format!("{NODE}: [{{command: [kube-scheduler, --bind-address=127.0.0.1]}}]"),
                "containers: [{ports: [{hostPort: 10259}]}]".to_owned(),
                "port 10259 (TCP)",
            ),
        ] {
            let said = between(&one, &other);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].starts_with("x/b.yaml: it claims") && said[0].contains(claim), "{said:?}");
            assert!(
                said[0].contains("as x/a.yaml does; remove one of the two, or give its pod another"),
                "{said:?}"
            );
        }
    }

    #[test]
    fn pods_that_keep_apart_are_no_collision() {
        for (one, other) in [
            (etcd("/a", "/data", 2379), etcd("/b", "/data", 2479)),
            (etcd("/var/lib/etcd", "/data", 2379), etcd("/var/lib/etcd-2", "/data", 2479)),
            (
                format!("{NODE}: [{{command: [kube-scheduler, --bind-address=127.0.0.1]}}]"),
                format!("{NODE}: [{{command: [kube-scheduler, --bind-address=127.0.0.2]}}]"),
            ),
            (
                "containers: [{ports: [{hostPort: 53, protocol: UDP}]}]".to_owned(),
                "containers: [{ports: [{hostPort: 53}, {containerPort: 80}]}]".to_owned(),
            ),
            (
                "containers: [{command: [kube-scheduler]}]".to_owned(),
                "containers: [{command: [kube-scheduler]}]".to_owned(),
            ),
        ] {
            assert_eq!(between(&one, &other), [] as [&str; 0], "{one}\n{other}");
        }
    }

    #[test]
    fn what_kubelet_would_not_run_is_told() {
        for (text, problem, cure) in [
            ("just a text", "holds no pod", "kubelet takes every file in it"),
            ("[1, 2]", "holds no pod", "move the file out"),
            ("{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", "but kind ConfigMap", "manifests/"),
            ("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}", "kind Deployment", "manifests/"),
            ("{apiVersion: v1, kind: PodList, items: []}", "kind PodList", "manifests/"),
            (
                "{apiVersion: v1beta1, kind: Pod, metadata: {name: a}}",
                "not of apiVersion v1",
                "apiVersion: v1",
            ),
            ("{apiVersion: v1, kind: Pod, metadata: {generateName: a-}}", "no name", "metadata.name"),
        ] {
            let Mistake { problem: found, cure: advice } =
                no_pod(&yaml::parse(text, "f").unwrap().remove(0)).unwrap();
            assert!(found.contains(problem) && advice.contains(cure), "{found}; {advice}");
        }
        assert_eq!(no_pod(&pod("a.yaml", "").1.value), None);
    }
}
