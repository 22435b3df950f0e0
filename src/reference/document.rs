//! Writes a configuration in the form of the file: for the record in the cluster, and for `bootkube
//! config defaults`.
//!
//! The printed defaults are made from the resolved ones, so that they cannot drift. A configuration
//! holds no secret, only paths to secrets.

use serde_json::{Map, Value, json};

use super::fields::write_entries;
use crate::config::{
    API_VERSION, AltNames, Certificates, ClusterConfig, Component, ComponentConfig, ControlPlane, CoreDns,
    Etcd, Flags, Images, KIND, Patch, resolve,
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

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
