//! The configuration file: versioned YAML, read into [`Settings`].
//!
//! Unknown keys and wrong types become findings with their path. `resolve` interprets the values.

use std::path::Path;

use serde_json::{Map, Value};

use super::settings::{
    CertificateSettings, ComponentSettings, ControlPlaneSettings, EtcdSettings, PatchSettings, Settings,
    VolumeSettings,
};
use super::{Component, Images};
use crate::nodes::{List, NodesFile, lines};
use crate::values::fields::Fields;
use crate::values::mistakes::{Given, Mistakes};
use crate::yaml;

/// `apiVersion` of the file.
pub const API_VERSION: &str = "bootkube.dev/v1alpha1";
/// `kind` of the file.
pub const KIND: &str = "ClusterConfig";

/// Reads the file called `name`. Relative paths in it are relative to its folder.
pub(super) fn read(name: &str, text: &str, mistakes: &mut Mistakes) -> Settings {
    let Some(entries) = mapping(name, text, mistakes) else { return Settings::default() };
    let mut settings = Fields::read(String::new(), &entries, mistakes, document);
    start_at(Path::new(name).parent().unwrap_or(Path::new("")), &mut settings);
    settings
}

/// Reads the list of machines in a file of its own: lines, or YAML.
pub(super) fn read_nodes(NodesFile { name, text }: &NodesFile, mistakes: &mut Mistakes) -> List {
    let before = mistakes.findings.len();
    let machines = match lines::are_lines(text) {
        true => lines::read(text, mistakes),
        false => document_of(name, text, mistakes)
            .map(|document| List::of_document(name, document, mistakes))
            .unwrap_or_default(),
    };
    List::of_file(name, machines, before, mistakes)
}

/// The mapping that a configuration is.
fn mapping(name: &str, text: &str, mistakes: &mut Mistakes) -> Option<Map<String, Value>> {
    match document_of(name, text, mistakes)? {
        Value::Object(entries) => Some(entries),
        _ => {
            let cure = "see `bootkube config defaults` for its shape";
            mistakes.refuse(name, "", "holds no mapping of fields to values", cure);
            None
        }
    }
}

/// The one document of a file; an empty file is an empty mapping.
fn document_of(name: &str, text: &str, mistakes: &mut Mistakes) -> Option<Value> {
    let mut documents = match yaml::parse(text, name) {
        Ok(documents) => documents,
        Err(yaml::Error { file, line, column, problem }) => {
            let place = format!("{file}:{line}:{column}");
            mistakes.refuse(&place, "", format!("is not YAML: {problem}"), "correct it at that place");
            return None;
        }
    };
    match (documents.pop(), documents.len()) {
        (None, _) => Some(Value::Object(Map::new())),
        (only, 0) => only,
        (Some(_), others) => {
            let problem = format!("holds {} documents", others + 1);
            mistakes.refuse(name, "", problem, "keep one; a cluster has one configuration");
            None
        }
    }
}

fn document(fields: &mut Fields<'_>) -> Settings {
    header(fields, "apiVersion", API_VERSION);
    header(fields, "kind", KIND);
    let (ca_certificate, ca_private_key) = fields
        .section("ca", |ca| (path(ca, "certificateFile"), path(ca, "privateKeyFile")))
        .unwrap_or_default();
    let (core_dns_replicas, core_dns_upstream) =
        fields.section("coreDNS", |dns| (dns.count("replicas"), dns.strings("upstream"))).unwrap_or_default();
    Settings {
        from_file: true,
        cluster_name: fields.string("clusterName"),
        cluster_domain: fields.string("clusterDomain"),
        kubernetes_version: fields.string("kubernetesVersion"),
        api_servers: fields.strings("apiServers"),
        api_alt_names: fields.strings("apiServerAltNames"),
        etcd: fields.section("etcd", etcd).unwrap_or_default(),
        pod_cidrs: fields.strings("podCIDRs"),
        service_cidrs: fields.strings("serviceCIDRs"),
        networking: fields.string("networking"),
        images: fields.section("images", images).unwrap_or_default(),
        components: fields.section("components", components).unwrap_or_default(),
        control_plane: fields.section("controlPlane", control_plane).unwrap_or_default(),
        nodes: List::read(fields),
        cloud_provider: fields.string("cloudProvider").filter(|provider| !provider.value.is_empty()),
        trusted_certs_dir: fields.string("trustedCertsDir"),
        certificates: fields.section("certificates", certificates).unwrap_or_default(),
        ca_certificate,
        ca_private_key,
        bootstrap_token_expiry: fields.section("bootstrapToken", |token| token.string("expiry")).flatten(),
        service_account_issuer: fields.string("serviceAccountIssuer"),
        aggregation: fields.boolean("aggregation"),
        checkpoint_workers: fields.boolean("checkpointWorkers"),
        core_dns_replicas,
        core_dns_upstream,
    }
}

/// A field that must have the value `wanted`.
fn header(fields: &mut Fields<'_>, name: &'static str, wanted: &str) {
    let found = fields.string(name);
    let cure = format!("write `{name}: {wanted}`");
    match found {
        Some(found) if found.value == wanted => {}
        Some(found) => {
            fields.mistakes().refuse(&found.at, &found.value, "is not one that bootkube reads", cure)
        }
        None => fields.mistakes().refuse(name, "", "is missing", cure),
    }
}

fn etcd(fields: &mut Fields<'_>) -> EtcdSettings {
    EtcdSettings {
        mode: fields.string("mode"),
        servers: fields.strings("servers"),
        ca: path(fields, "caFile"),
        certificate: path(fields, "certificateFile"),
        private_key: path(fields, "privateKeyFile"),
    }
}

fn images(fields: &mut Fields<'_>) -> std::collections::BTreeMap<&'static str, Given<String>> {
    Images::NAMES.into_iter().filter_map(|name| Some((name, fields.string(name)?))).collect()
}

fn components(fields: &mut Fields<'_>) -> std::collections::BTreeMap<Component, ComponentSettings> {
    let read = |part: Component| Some((part, fields.section(part.name(), component)?));
    Component::ALL.into_iter().filter_map(read).collect()
}

fn component(fields: &mut Fields<'_>) -> ComponentSettings {
    ComponentSettings {
        at: fields.path().to_owned(),
        extra_args: fields.entries("extraArgs"),
        extra_volumes: fields.sections("extraVolumes", volume),
        patches: fields.sections("patches", patch),
    }
}

fn volume(fields: &mut Fields<'_>) -> VolumeSettings {
    VolumeSettings {
        at: fields.path().to_owned(),
        name: fields.string("name"),
        host_path: fields.string("hostPath"),
        mount_path: fields.string("mountPath"),
        read_only: fields.boolean("readOnly"),
        path_type: fields.string("pathType"),
    }
}

fn patch(fields: &mut Fields<'_>) -> PatchSettings {
    PatchSettings {
        at: fields.path().to_owned(),
        kind: fields.string("kind"),
        patch_type: fields.string("type"),
        patch: fields.value("patch"),
    }
}

fn control_plane(fields: &mut Fields<'_>) -> ControlPlaneSettings {
    ControlPlaneSettings {
        controllers: fields.count("controllers"),
        workers: fields.boolean("workers"),
        label: fields.string("label"),
        taint: fields.string("taint"),
    }
}

fn certificates(fields: &mut Fields<'_>) -> CertificateSettings {
    CertificateSettings {
        key_algorithm: fields.string("keyAlgorithm"),
        validity: fields.string("validity"),
        ca_validity: fields.string("caValidity"),
    }
}

/// A path. An empty one counts as absent, as for the flags.
fn path(fields: &mut Fields<'_>, name: &'static str) -> Option<Given<String>> {
    fields.string(name).filter(|path| !path.value.is_empty())
}

/// Makes the paths of files that bootkube itself reads relative to `folder`.
fn start_at(folder: &Path, settings: &mut Settings) {
    let paths = [
        &mut settings.etcd.ca,
        &mut settings.etcd.certificate,
        &mut settings.etcd.private_key,
        &mut settings.ca_certificate,
        &mut settings.ca_private_key,
    ];
    for path in paths.into_iter().flatten() {
        path.value = folder.join(&path.value).to_string_lossy().into_owned();
    }
}
