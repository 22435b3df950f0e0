//! Writes a configuration in the form of the file: for the record in the cluster, and for `bootkube
//! config defaults`.
//!
//! The printed defaults are made from the resolved ones, so that they cannot drift. A configuration
//! holds no secret, only paths to secrets.

use serde_json::{Map, Value, json};

use super::file::{API_VERSION, KIND};
use super::{
    AltNames, Certificates, ClusterConfig, Component, ComponentConfig, ControlPlane, CoreDns, Etcd, Flags,
    Images, Patch, resolve,
};
use crate::finding::Findings;
use crate::nodes;
use crate::values::endpoint::endpoint;
use crate::values::scalar::format_duration;

/// `config` in the form of the file: every field, in the order of the documentation.
pub fn to_value(config: &ClusterConfig) -> Value {
    let ClusterConfig {
        cluster_name,
        cluster_domain,
        kubernetes_version,
        api_servers,
        api_alt_names: AltNames { ips, dns_names },
        secure_port: _, // the port of the first of apiServers
        etcd,
        pod_cidrs,
        service_cidrs,
        networking,
        images,
        components,
        control_plane,
        nodes,
        cloud_provider,
        trusted_certs_dir,
        certificates,
        ca,
        bootstrap_token_expiry,
        service_account_issuer,
        aggregation,
        checkpoint_workers,
        core_dns: CoreDns { replicas, upstream },
    } = config;
    let alt_names: Vec<String> =
        ips.iter().map(ToString::to_string).chain(dns_names.iter().cloned()).collect();
    let (ca_certificate, ca_key) = ca
        .as_ref()
        .map(|ca| (ca.certificate.path.as_str(), ca.private_key.path.as_str()))
        .unwrap_or_default();
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "clusterName": cluster_name,
        "clusterDomain": cluster_domain,
        "kubernetesVersion": kubernetes_version,
        "apiServers": api_servers.iter().map(endpoint).collect::<Vec<_>>(),
        "apiServerAltNames": alt_names,
        "etcd": etcd_value(etcd),
        "podCIDRs": pod_cidrs,
        "serviceCIDRs": service_cidrs,
        "networking": networking.name(),
        "images": images_value(images),
        "components": components_value(components),
        "controlPlane": control_plane_value(control_plane),
        "nodes": nodes::to_value(nodes),
        "cloudProvider": cloud_provider,
        "trustedCertsDir": trusted_certs_dir,
        "certificates": certificates_value(certificates),
        "ca": {"certificateFile": ca_certificate, "privateKeyFile": ca_key},
        "bootstrapToken": {"expiry": bootstrap_token_expiry.map_or("never".into(), format_duration)},
        "serviceAccountIssuer": service_account_issuer,
        "aggregation": aggregation,
        "checkpointWorkers": checkpoint_workers,
        "coreDNS": {"replicas": replicas, "upstream": upstream},
    })
}

fn etcd_value(etcd: &Etcd) -> Value {
    match etcd {
        Etcd::StaticPod => json!({"mode": "staticPod"}),
        Etcd::External { servers, client } => {
            let servers: Vec<String> = servers.iter().map(endpoint).collect();
            let files = client.as_ref().map(|client| [&client.ca, &client.certificate, &client.private_key]);
            let [ca, certificate, key] = files.map_or([""; 3], |files| files.map(|file| file.path.as_str()));
            json!({
                "mode": "external",
                "servers": servers,
                "caFile": ca,
                "certificateFile": certificate,
                "privateKeyFile": key,
            })
        }
    }
}

fn images_value(images: &Images) -> Value {
    images.entries().into_iter().map(|(name, image)| (name.to_owned(), Value::from(image))).collect()
}

fn components_value(components: &std::collections::BTreeMap<Component, ComponentConfig>) -> Value {
    components.iter().map(|(part, config)| (part.name().to_owned(), component_value(config))).collect()
}

fn component_value(config: &ComponentConfig) -> Value {
    let ComponentConfig { extra_args, extra_volumes, patches } = config;
    let argument = |values: &Vec<String>| match values.as_slice() {
        [] => Value::Null,
        [value] => json!(value),
        values => json!(values),
    };
    let extra_args: Map<String, Value> =
        extra_args.iter().map(|(flag, values)| (flag.clone(), argument(values))).collect();
    let volumes = extra_volumes.iter().map(|volume| {
        json!({
            "name": volume.name,
            "hostPath": volume.host_path,
            "mountPath": volume.mount_path,
            "readOnly": volume.read_only,
            "pathType": volume.path_type,
        })
    });
    let patches = patches.iter().map(
        |Patch { kind, patch_type, patch }| json!({"kind": kind, "type": patch_type.name(), "patch": patch}),
    );
    json!({
        "extraArgs": extra_args,
        "extraVolumes": volumes.collect::<Vec<_>>(),
        "patches": patches.collect::<Vec<_>>(),
    })
}

fn control_plane_value(control_plane: &ControlPlane) -> Value {
    let ControlPlane { controllers, workers, label: (key, value), taint } = control_plane;
    json!({
        "controllers": controllers,
        "workers": workers,
        "label": format!("{key}={value}"),
        "taint": taint.as_deref().unwrap_or_default(),
    })
}

fn certificates_value(certificates: &Certificates) -> Value {
    let Certificates { key_algorithm, validity, ca_validity } = certificates;
    json!({
        "keyAlgorithm": key_algorithm.name(),
        "validity": format_duration(*validity),
        "caValidity": format_duration(*ca_validity),
    })
}

/// What each field means, by path, and whether its default follows another field (then it is
/// printed as a comment, so that a copy of the file goes on following).
#[rustfmt::skip]
const COMMENTS: &[(&str, bool, &str)] = &[
    ("apiVersion", false, "Version of this file's format."),
    ("kind", false, ""),
    ("clusterName", false, "Name in kubeconfigs. Flag: --cluster-name."),
    ("clusterDomain", false, "DNS domain of Services; kubelets' clusterDomain must say the same."),
    ("kubernetesVersion", false, "v1.34 to v1.36. The default is what this release is tested with."),
    ("apiServers", true, "URLs of the API, https only; the first is written into kubeconfigs and its port is the one that \
        apiservers listen on (443 if none is given). Every host is in the certificate. Flag: --api-servers."),
    ("apiServerAltNames", false, "Further addresses and host names for the apiserver's certificate. \
        Flag: --api-server-alt-names."),
    ("etcd", false, "Cluster state."),
    ("etcd.mode", false, "external: it runs outside of bootkube. staticPod: bootkube runs it on the one controller, with its data \
        on that machine; then leave out the fields below."),
    ("etcd.servers", true, "Client URLs; https turns TLS on. Flag: --etcd-servers."),
    ("etcd.caFile", false, "Existing client identity, all three or none; none: new authorities are made, with certificates for \
        etcd itself in tls/etcd. Relative paths start at this file's folder. Flags: --etcd-ca-path, \
        --etcd-certificate-path, --etcd-private-key-path."),
    ("etcd.certificateFile", false, ""),
    ("etcd.privateKeyFile", false, ""),
    ("podCIDRs", false, "One range, or an IPv4 and an IPv6 one; every node gets a /24 or /64 of it. Flag: --pod-cidr."),
    ("serviceCIDRs", false, "As many, in the same order. The first address is the API's, the tenth that of DNS. \
        Flag: --service-cidr."),
    ("networking", false, "flannel, or none if you bring a CNI plugin. Flag: --network-provider."),
    ("images", false, "Images to replace. Left out, the first four follow kubernetesVersion, and the others are those that are \
        tested with this release."),
    ("images.kube-apiserver", true, ""),
    ("images.kube-controller-manager", true, ""),
    ("images.kube-scheduler", true, ""),
    ("images.kube-proxy", true, ""),
    ("images.coredns", true, ""),
    ("images.etcd", true, "Used with etcd.mode staticPod."),
    ("images.flannel", true, "Both used with networking flannel."),
    ("images.flannel-cni-plugin", true, ""),
    ("images.bootkube", true, "Runs on the cluster's machines."),
    ("components", false, "Changes to single components (kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, \
        coredns, etcd, flannel, pod-checkpointer), for example:\n\
        kube-apiserver:\n\
        \x20 extraArgs: {audit-log-path: /var/log/audit.log, profiling: null}  # null removes a flag, a list repeats it\n\
        \x20 extraVolumes: [{name: audit, hostPath: /var/log, mountPath: /var/log, readOnly: false, pathType: Directory}]\n\
        \x20 patches: [{kind: DaemonSet, type: strategic, patch: {metadata: {labels: {team: a}}}}]  # or merge, json"),
    ("controlPlane", false, "Machines that carry the control plane."),
    ("controlPlane.controllers", true, "How many there will be: replicas of controller manager and scheduler. \
        Default: those of the list nodes, else 1."),
    ("controlPlane.workers", true, "Whether other machines run workloads. Default: whether the list nodes has a worker."),
    ("controlPlane.label", false, "Label that control-plane pods select and `start` puts on its node. The default is the role \
        that kubectl shows."),
    ("controlPlane.taint", true, "Key of a NoSchedule taint for controllers. Default: the label's key if there are workers, \
        else \"\", which is none."),
    ("nodes", false, "The machines, if they are to be listed; docs/nodes.md. The list then decides controlPlane.controllers and \
        workers, and what follows from its controllers: the defaults of apiServers and etcd.servers, and the names in the \
        API's certificate. `render` writes what each machine needs into nodes/NAME. Flag: --nodes. For example:\n\
        \x20 - {name: n1, role: controller, addresses: [192.0.2.10]}\n\
        \x20 - {name: n2, role: worker, addresses: [192.0.2.11], labels: [disk=ssd], taints: ['dedicated=db:NoSchedule']}"),
    ("cloudProvider", false, "external if a cloud controller manager of your own runs, else empty. Flag: --cloud-provider."),
    ("trustedCertsDir", false, "Directory of CA certificates on the machines, mounted into apiserver and controller manager."),
    ("certificates", false, "How certificates are made."),
    ("certificates.keyAlgorithm", false, "ecdsa-p256, rsa-2048 or rsa-4096, for every key. The default is the fastest and \
        accepted by every client that Kubernetes supports."),
    ("certificates.validity", false, "Of leaves; as long as v0.14's and kubeadm's."),
    ("certificates.caValidity", false, "Of authorities."),
    ("ca", false, "An existing Kubernetes CA, both files or neither; its key signs and must be readable here. \
        Flags: --ca-certificate-path, --ca-private-key-path."),
    ("ca.certificateFile", false, ""),
    ("ca.privateKeyFile", false, ""),
    ("bootstrapToken", false, "What kubelets join with (auth/kubeconfig-kubelet)."),
    ("bootstrapToken.expiry", false, "A duration or never. Without a file it never expires, as in v0.14, since autoscaled \
        workers carry it."),
    ("serviceAccountIssuer", true, "Issuer of service-account tokens, an https URL. Follows clusterDomain."),
    ("aggregation", false, "Whether the aggregation layer is set up (front-proxy certificates), which metrics-server needs, for example."),
    ("checkpointWorkers", false, "Whether the agent also runs on other machines, and keeps copies of pods there that ask for it \
        (docs/checkpoints.md)."),
    ("coreDNS", false, "Cluster DNS."),
    ("coreDNS.replicas", false, "Two, so that one can be lost."),
    ("coreDNS.upstream", false, "Resolvers of other names: addresses, with or without port, or a resolv.conf."),
];

/// The file with every field, its default and what it means.
///
/// # Errors
/// None while the defaults are valid, which a test proves.
pub fn defaults_text() -> Result<String, Findings> {
    let header = format!("apiVersion: {API_VERSION}\nkind: {KIND}\n");
    let (config, _) = resolve(Flags::default(), Some(("defaults", &header)))?;
    let mut text =
        String::from("# Every field of a bootkube configuration with its default. Keep what you change.\n");
    if let Value::Object(entries) = to_value(&config) {
        write_entries(&entries, "", &mut text);
    }
    Ok(text)
}

fn write_entries(entries: &Map<String, Value>, path: &str, text: &mut String) {
    let indent = "  ".repeat(if path.is_empty() { 0 } else { path.split('.').count() });
    for (key, value) in entries {
        let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let comment = COMMENTS.iter().find(|(known, ..)| *known == at);
        let (follows, comment) = comment.map_or((false, ""), |(_, follows, comment)| (*follows, comment));
        if path.is_empty() && !comment.is_empty() {
            text.push('\n');
        }
        for line in comment.lines().flat_map(|line| wrap(line, 96)) {
            text.push_str(&format!("{indent}# {line}\n"));
        }
        let mark = if follows { "# " } else { "" };
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push_str(&format!("{indent}{key}:\n"));
                write_entries(inner, &at, text);
            }
            value => text.push_str(&format!("{indent}{mark}{key}: {}\n", scalar(value))),
        }
    }
}

/// A value on one line. JSON is YAML; quotes are left out if the text cannot be mistaken for
/// anything else.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    let harmless =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | ':' | '-' | '_' | '@' | '=');
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(harmless)
        && !text.ends_with(':')
        && !words.contains(&text.to_lowercase().as_str())
}

/// `line`, wrapped at `width`. An indented line is an example and is not wrapped.
fn wrap(line: &str, width: usize) -> Vec<String> {
    if line.starts_with(' ') {
        return vec![line.into()];
    }
    let mut lines = vec![String::new()];
    for word in line.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + word.len() >= width {
            lines.push(word.into());
        } else {
            let gap = if lines[last].is_empty() { "" } else { " " };
            lines[last].push_str(&format!("{gap}{word}"));
        }
    }
    lines
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
