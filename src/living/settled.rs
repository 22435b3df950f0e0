//! The values that a cluster keeps for life, read from objects. Pure.
//!
//! Assets, the API and processes are read by the same code, so that a difference between two of
//! them is one of values and not of reading.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;

use super::field::{Field, minor};
use crate::NAMESPACE;
use crate::assets::command::{self, container_words, containers, runs};
use crate::assets::corefile::zones;
use crate::assets::load::Layout;
use crate::yaml;

/// Where an apiserver without `--secure-port` listens, and below what etcd has its objects.
const PORT: &str = "6443";
const PREFIX: &str = "/registry";
/// The ConfigMap in which `render` records the configuration.
const FACTS: &str = "bootkube-config";

/// A value, and where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub(super) values: Vec<String>,
    pub(super) from: String,
}

/// What one source says of a cluster: assets, an API or a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    held: BTreeMap<Field, Held>,
    /// The Nodes of a cluster that was asked.
    pub(super) nodes: Option<Vec<Node>>,
}

/// What of a Node counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) ranges: Vec<String>,
    pub(super) is_ready: bool,
}

impl Settled {
    /// What `objects` say, each with its place. Of several that know a value the first one counts.
    pub fn read<'a>(objects: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Self {
        let mut settled = Self::default();
        objects.into_iter().for_each(|(from, object)| settled.object(from, object));
        settled
    }

    /// What an asset directory says.
    pub fn of_assets(layout: &Layout) -> Self {
        let objects = layout.objects.iter().map(|object| (object.file.as_str(), &object.value));
        let mut settled = Self::read(objects);
        let staying = layout.controller_manifests.iter().map(|pod| ("controller-manifests", pod));
        let bootstrap = layout.bootstrap_manifests.iter().map(|pod| ("bootstrap-manifests", pod));
        for (folder, pod) in staying.chain(bootstrap) {
            settled.pod(&format!("{folder}/{}", pod.path), &pod.value);
        }
        settled
    }

    /// What rendered files say, by path. A file that cannot be read as YAML says nothing.
    pub fn of_files(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let is_manifest = |path: &str| path.contains("manifests/");
        let texts = files.iter().filter(|(path, _)| is_manifest(path));
        let parsed = texts.filter_map(|(path, bytes)| {
            Some((path, yaml::parse(std::str::from_utf8(bytes).ok()?, path).ok()?))
        });
        let mut parsed: Vec<(&String, Vec<Value>)> = parsed.collect();
        parsed.sort_by_key(|(path, _)| !path.starts_with("manifests/")); // what `start` applies counts first
        Self::read(parsed.iter().flat_map(|(path, values)| values.iter().map(|value| (path.as_str(), value))))
    }

    /// What a static pod says.
    pub fn of_static_pod(from: &str, pod: &Value) -> Self {
        let mut settled = Self::default();
        settled.pod(from, pod);
        settled
    }

    /// What the command line of a running program says.
    pub fn of_process(from: &str, words: &[String]) -> Self {
        Self::of_static_pod(from, &json!({"spec": {"containers": [{"command": words}]}}))
    }

    /// The same, with the Nodes of the cluster.
    #[must_use]
    pub fn with_nodes<'a>(self, nodes: impl IntoIterator<Item = &'a Value>) -> Self {
        Self { nodes: Some(nodes.into_iter().map(node).collect()), ..self }
    }

    pub(super) fn get(&self, field: Field) -> Option<&Held> {
        self.held.get(&field)
    }

    pub(super) fn values(&self, field: Field) -> &[String] {
        self.held.get(&field).map_or(&[], |held| held.values.as_slice())
    }

    fn hold(&mut self, field: Field, values: Vec<String>, from: &str) {
        if !values.is_empty() {
            self.held.entry(field).or_insert_with(|| Held { values, from: from.to_owned() });
        }
    }

    fn object(&mut self, from: &str, object: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        let is_system = object["metadata"]["namespace"] == NAMESPACE;
        match (kind.as_str(), name.as_str()) {
            ("ServiceCIDR", "kubernetes") => {
                self.hold(Field::ServiceRanges, texts(&object["spec"]["cidrs"]), from);
            }
            _ if !is_system => {}
            ("DaemonSet" | "Deployment", _) => self.pod(from, &object["spec"]["template"]),
            ("Pod", _) => self.pod(from, object),
            ("ConfigMap", "coredns") => {
                let zones = zones(object["data"]["Corefile"].as_str().unwrap_or_default());
                self.hold(Field::Domain, zones.into_iter().map(str::to_owned).collect(), from);
            }
            ("ConfigMap", FACTS) => self.facts(from, object),
            ("Service", "kube-dns") => self.hold(Field::Dns, texts(&object["spec"]["clusterIPs"]), from),
            ("Secret", "kube-apiserver") => self.secret(from, object),
            _ => {}
        }
    }

    fn pod(&mut self, from: &str, pod: &Value) {
        for container in containers(pod) {
            let words: Vec<&str> = container_words(container).collect();
            let runs = |program| runs(words.iter().copied(), program);
            if runs("kube-apiserver") {
                self.apiserver(from, &words, container["image"].as_str());
            } else if runs("kube-controller-manager") {
                self.hold(Field::PodRanges, list(&words, "cluster-cidr"), from);
            } else if runs("etcd") {
                let folder = data_folder(pod, container, &words);
                self.hold(Field::EtcdData, folder.into_iter().collect(), from);
            }
        }
    }

    fn apiserver(&mut self, from: &str, words: &[&str], image: Option<&str>) {
        let flag = |name| command::flag(words.iter().copied(), name);
        let or = |value: Option<String>, default: &str| vec![value.unwrap_or_else(|| default.to_owned())];
        self.hold(Field::ServiceRanges, list(words, "service-cluster-ip-range"), from);
        self.hold(Field::Etcd, list(words, "etcd-servers"), from);
        self.hold(Field::EtcdPrefix, or(flag("etcd-prefix"), PREFIX), from);
        self.hold(Field::Port, or(flag("secure-port"), PORT), from);
        self.hold(Field::Issuer, every(words, "service-account-issuer"), from);
        self.hold(Field::Encryption, every(words, "encryption-provider-config"), from);
        self.hold(Field::Version, image.and_then(version).into_iter().collect(), from);
    }

    fn facts(&mut self, from: &str, map: &Value) {
        let text = map["data"]["config.yaml"].as_str().unwrap_or_default();
        let config = yaml::parse(text, "config.yaml").ok().and_then(|mut documents| documents.pop());
        let config = config.unwrap_or_default();
        let host = config["apiServers"][0].as_str().and_then(|url| Url::parse(url).ok());
        let host = host.and_then(|url| url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()));
        self.hold(Field::Host, host.into_iter().collect(), from);
        let networking = config["networking"].as_str().map(str::to_owned);
        self.hold(Field::Networking, networking.into_iter().collect(), from);
    }

    fn secret(&mut self, from: &str, secret: &Value) {
        for (field, key) in [
            (Field::Authority, "ca.crt"),
            (Field::Certificate, "apiserver.crt"),
            (Field::ServiceAccountKey, "service-account.pub"),
        ] {
            let decoded = secret["data"][key].as_str().and_then(|text| STANDARD.decode(text).ok());
            let content = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
            self.hold(field, content.into_iter().filter(|text| !text.is_empty()).collect(), from);
        }
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

/// The parts of a flag that is a list between commas.
fn list(words: &[&str], flag: &str) -> Vec<String> {
    let text = command::flag(words.iter().copied(), flag).unwrap_or_default();
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Every value of a flag that is given once for each.
fn every(words: &[&str], flag: &str) -> Vec<String> {
    let values = words.iter().enumerate().filter_map(|(at, word)| match command::split(word) {
        Some((name, Some(value))) if name == flag => Some(value.to_owned()),
        Some((name, None)) if name == flag => words.get(at + 1).map(|value| (*value).to_owned()),
        _ => None,
    });
    values.filter(|value| !value.is_empty()).collect()
}

/// The tag of an image, if it is a version such as `v1.36.3`.
fn version(image: &str) -> Option<String> {
    let tag = image.split('@').next()?.rsplit('/').next()?.split_once(':')?.1;
    minor(tag).map(|_| tag.to_owned())
}

/// The folder of the machine that holds etcd's data.
fn data_folder(pod: &Value, container: &Value, words: &[&str]) -> Option<String> {
    let folder = command::flag(words.iter().copied(), "data-dir")?;
    let mut mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let mount = mounts.find(|mount| mount["mountPath"].as_str() == Some(folder.trim_end_matches('/')))?;
    let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let volume = volumes.find(|volume| volume["name"] == mount["name"])?;
    volume["hostPath"]["path"].as_str().map(|path| path.trim_end_matches('/').to_owned())
}

fn node(node: &Value) -> Node {
    let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    Node {
        name: node["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        ranges: texts(&node["spec"]["podCIDRs"]),
        is_ready: conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tag_that_is_a_version_is_one() {
        assert_eq!(version("registry.k8s.io/kube-apiserver:v1.36.3").as_deref(), Some("v1.36.3"));
        assert_eq!(version("localhost:5000/a:v1.34.0@sha256:00").as_deref(), Some("v1.34.0"));
        for image in ["localhost:5000/a", "a:latest", "a@sha256:00", "a:v2.1.0"] {
            assert_eq!(version(image), None, "{image}");
        }
    }

    #[test]
    fn a_flag_is_read_in_each_of_its_forms_and_each_time_it_stands() {
        let words = ["kube-apiserver", "--i=a", "--i", "b", "--j=x,y", "--i=", "--k"];
        assert_eq!(every(&words, "i"), ["a", "b"]);
        assert_eq!(list(&words, "j"), ["x", "y"]);
        assert!(every(&words, "k").is_empty() && list(&words, "l").is_empty());
    }

    #[test]
    fn the_data_of_etcd_is_where_the_machine_has_it() {
        let pod = json!({"spec": {
            "containers": [{"command": ["etcd", "--data-dir=/data/"], "volumeMounts": [{"name": "d", "mountPath": "/data"}]}],
            "volumes": [{"name": "d", "hostPath": {"path": "/srv/etcd/"}}]}});
        assert_eq!(Settled::of_static_pod("f", &pod).values(Field::EtcdData), ["/srv/etcd"]);
    }
}
