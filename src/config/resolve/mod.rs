//! Resolves the user's input into a [`ClusterConfig`]: flags override the file, the file overrides
//! defaults, and every mistake is reported at once.
//!
//! Each part interprets its values. How they fit together is checked at the end, in `consistency`,
//! which skips values that were already refused, so that one typing error makes one finding. Nothing
//! here reads a file, the machine or the clock.

mod arguments;
mod components;
mod network;
mod nodes;
mod servers;
#[cfg(test)]
mod tests;

pub(super) use arguments::Argument;
pub(super) use network::Ranges;

use ipnet::IpNet;

use super::consistency::{self, Input};
use super::settings::{CertificateSettings, ControlPlaneSettings, Settings};
use super::{
    CaFiles, Certificates, ClusterConfig, ControlPlane, CoreDns, Etcd, Flags, Images, KeyAlgorithm,
    Networking, Node, defaults, file,
};
use crate::finding::Findings;
use crate::limits::table::UPSTREAMS;
use crate::nodes::Listed;
use crate::values::mistakes::{Checked, Given, Mistakes, fault, is_in};
use crate::values::{endpoint, scalar};

/// Merges `flags` over the file (its name and text) over defaults.
///
/// # Errors
/// Every mistake in flags and file. Each names the flag, or the file and the field, that it is in.
pub fn resolve(flags: Flags, file: Option<(&str, &str)>) -> Result<(ClusterConfig, Vec<String>), Findings> {
    let mut mistakes = Mistakes::default();
    let mut settings = file.map(|(name, text)| file::read(name, text, &mut mistakes)).unwrap_or_default();
    let list = flags.nodes.as_ref().map(|list| list.name.clone());
    flags.overlay(&mut settings, &mut mistakes);
    let mut config = build(settings, &mut mistakes);
    if let Some(list) = &list {
        mistakes.name_file(list, |place| place.starts_with("nodes[") || place.starts_with("line "));
    }
    if let Some((name, _)) = file {
        mistakes.name_file(name, |place| list.as_ref().is_none_or(|list| !is_in(place, list)));
        config.user_files_mut().for_each(|user_file| user_file.name_file(name));
    }
    match mistakes.findings.is_empty() {
        true => Ok((config, mistakes.warnings)),
        false => Err(Findings(mistakes.findings)),
    }
}

/// The configuration, with defaults in place of wrong values. It is valid only if `mistakes` has no
/// findings.
fn build(settings: Settings, mistakes: &mut Mistakes) -> ClusterConfig {
    let cluster_name =
        mistakes.check_or(settings.cluster_name.as_ref(), defaults::CLUSTER_NAME.into(), scalar::dns_name);
    let given_domain = settings.cluster_domain.as_ref();
    let cluster_domain =
        mistakes.check_or(given_domain, defaults::CLUSTER_DOMAIN.into(), scalar::cluster_domain);
    let given_version = settings.kubernetes_version.as_ref();
    let kubernetes_version =
        mistakes.check_or(given_version, defaults::KUBERNETES_VERSION.into(), kubernetes_version);
    let listed = settings.nodes.machines(mistakes);
    let api_servers = servers::api(settings.api_servers.as_ref(), &nodes::api_servers(&listed), mistakes);
    let etcd = servers::etcd(&settings.etcd, &nodes::etcd_servers(&listed), mistakes);
    let networking = mistakes.check_or(settings.networking.as_ref(), Networking::Flannel, networking);
    let control_plane = control_plane(&settings.control_plane, &listed, mistakes);
    if etcd == Etcd::StaticPod && control_plane.controllers > 1 && listed.is_empty() {
        refuse_lonely_etcd(&settings, mistakes);
    }
    if control_plane.controllers > 1 && settings.api_servers.is_none() && !listed.is_empty() {
        let text = "is not given: kubeconfigs name the first controller, without which kubelets lose the API; \
                    name an address that leads to all of them";
        mistakes.warn("apiServers", text);
    }
    let has_other_machines = control_plane.workers || control_plane.controllers > 1;
    if has_other_machines && super::is_loopback(&api_servers[0]) {
        let at = settings.api_servers.as_ref().map_or("apiServers", |list| list.at.as_str());
        mistakes.warn(at, "is a loopback address: every other machine needs a proxy of its own there");
    }
    let ranges = network::read(&settings, mistakes);
    let values = |ranges: &[Given<IpNet>]| ranges.iter().map(|range| range.value).collect();
    let is_rendered = |part| components::without_effect(part, &etcd, networking).is_none();
    let arguments = arguments::read(&settings.components, is_rendered, mistakes);
    let trusted_certs_dir = settings.trusted_certs_dir.as_ref();
    let machines: Vec<Node> = listed.iter().map(Listed::node).collect();
    let mut api_alt_names = servers::alt_names(settings.api_alt_names.as_ref(), mistakes);
    nodes::add_alt_names(&mut api_alt_names, &machines);
    let config = ClusterConfig {
        secure_port: endpoint::port(&api_servers[0]),
        api_servers,
        api_alt_names,
        pod_cidrs: values(&ranges.pods),
        service_cidrs: values(&ranges.services),
        images: images(&settings, &kubernetes_version, mistakes),
        components: components::read(&settings.components, &arguments, &etcd, networking, mistakes),
        control_plane,
        nodes: machines,
        cloud_provider: mistakes.check_or(settings.cloud_provider.as_ref(), String::new(), cloud_provider),
        trusted_certs_dir: mistakes.check_or(
            trusted_certs_dir,
            defaults::TRUSTED_CERTS_DIR.into(),
            scalar::absolute_path,
        ),
        certificates: certificates(&settings.certificates, mistakes),
        ca: ca(&settings, mistakes),
        bootstrap_token_expiry: bootstrap_token_expiry(&settings, mistakes),
        service_account_issuer: mistakes.check_or(
            settings.service_account_issuer.as_ref(),
            defaults::service_account_issuer(&cluster_domain),
            endpoint::issuer,
        ),
        aggregation: settings.aggregation.as_ref().is_none_or(|given| given.value),
        checkpoint_workers: settings.checkpoint_workers.as_ref().is_some_and(|given| given.value),
        core_dns: core_dns(&settings, mistakes),
        cluster_name,
        cluster_domain,
        kubernetes_version,
        etcd,
        networking,
    };
    let input = Input {
        settings: &settings,
        listed: &listed,
        ranges: &ranges,
        arguments: &arguments,
        config: &config,
    };
    consistency::check(&input, mistakes);
    config
}

/// An etcd of one member on one of several controllers would be lost with it, and the others could
/// not reach it.
fn refuse_lonely_etcd(settings: &Settings, mistakes: &mut Mistakes) {
    if let Some(mode) = &settings.etcd.mode {
        let problem = "gives one controller an etcd of its own, but controlPlane.controllers is more than 1";
        let cure = "write `mode: external` and run etcd on its own, or keep one controller";
        mistakes.refuse(&mode.at, &mode.value, problem, cure);
    }
}

/// With its `v` it is the tag of images, which has 128 characters at most.
const LONGEST_VERSION: usize = 127;

/// `v1.36.3`, the `v` being optional.
fn kubernetes_version(text: &str) -> Checked<String> {
    let range = defaults::KUBERNETES_MINORS;
    let cure =
        format!("use v1.{} to v1.{}, such as {}", range.start(), range.end(), defaults::KUBERNETES_VERSION);
    let number = text.strip_prefix('v').unwrap_or(text);
    let (core, pre_release) = number.split_once('-').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let plain = |part: &&str| digits(part) && (part.len() == 1 || !part.starts_with('0'));
    let parts: Vec<&str> = core.split('.').collect();
    let tagged = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-');
    if parts.len() == 2 && parts.iter().all(plain) {
        let cure = format!("write all three numbers, such as {}", defaults::KUBERNETES_VERSION);
        return fault("has no patch version", cure);
    }
    if parts.len() != 3
        || !parts.iter().all(plain)
        || pre_release.is_empty()
        || number.len() > LONGEST_VERSION
        || !pre_release.bytes().all(tagged)
    {
        return fault("is not a version of Kubernetes", cure);
    }
    let supported = parts[0] == "1" && parts[1].parse().is_ok_and(|minor: u32| range.contains(&minor));
    match supported {
        true => Ok(format!("v{number}")),
        false => fault("is not a version that this bootkube supports", cure),
    }
}

fn networking(text: &str) -> Checked<Networking> {
    match text {
        "calico" | "canal" | "experimental-calico" | "experimental-canal" => fault(
            "is not rendered: its own project publishes its manifests",
            "use none and put the project's manifests into manifests/ before `start`, which applies them",
        ),
        _ => scalar::word(text),
    }
}

fn cloud_provider(text: &str) -> Checked<String> {
    match text {
        "" | "external" => Ok(text.into()),
        _ => fault(
            "is no longer built into Kubernetes",
            "use external and put the provider's own controller manager into manifests/",
        ),
    }
}

fn control_plane(
    settings: &ControlPlaneSettings,
    listed: &[Listed],
    mistakes: &mut Mistakes,
) -> ControlPlane {
    let ControlPlaneSettings { controllers, workers, label, taint } = settings;
    let of_list = || crate::nodes::controllers(listed).unwrap_or(defaults::CONTROLLERS);
    let count = controllers.as_ref().map_or_else(of_list, |given| given.value);
    if let Some(given) = controllers.as_ref().filter(|given| given.value == 0) {
        mistakes.refuse(&given.at, "0", "leaves no controller to run the control plane", "write 1 or more");
    }
    let has_worker = || listed.iter().any(|node| !node.is_controller());
    let workers = workers.as_ref().map_or_else(has_worker, |given| given.value);
    let label = mistakes.check_or(
        label.as_ref(),
        (defaults::CONTROL_PLANE_LABEL.into(), String::new()),
        scalar::label,
    );
    let taint = match taint {
        None => workers.then(|| label.0.clone()),
        Some(given) if given.value.is_empty() => None,
        Some(given) => {
            if !workers {
                mistakes.warn(&given.at, "no workers are declared, so workloads have nowhere to run");
            }
            mistakes.check(given, scalar::taint)
        }
    };
    ControlPlane { controllers: count, workers, label, taint }
}

fn images(settings: &Settings, version: &str, mistakes: &mut Mistakes) -> Images {
    Images::from_fn(|name| {
        mistakes.check_or(settings.images.get(name), defaults::image(name, version), scalar::image)
    })
}

fn certificates(settings: &CertificateSettings, mistakes: &mut Mistakes) -> Certificates {
    let CertificateSettings { key_algorithm, validity, ca_validity } = settings;
    let default = defaults::CERTIFICATES;
    let before = mistakes.findings.len();
    let read = Certificates {
        key_algorithm: mistakes.check_or(
            key_algorithm.as_ref(),
            default.key_algorithm,
            scalar::word::<KeyAlgorithm>,
        ),
        validity: mistakes.check_or(validity.as_ref(), default.validity, scalar::duration),
        ca_validity: mistakes.check_or(ca_validity.as_ref(), default.ca_validity, scalar::duration),
    };
    if mistakes.findings.len() == before && read.validity > read.ca_validity {
        let (at, value) = match validity.as_ref().or(ca_validity.as_ref()) {
            Some(given) => (given.at.as_str(), given.value.as_str()),
            None => ("certificates.validity", ""),
        };
        let authority = scalar::format_duration(read.ca_validity);
        mistakes.refuse(
            at,
            value,
            format!("certificates would outlive their authorities ({authority})"),
            "make certificates.validity no longer than certificates.caValidity",
        );
    }
    read
}

/// Both files of an authority or neither: half a pair cannot sign.
fn ca(settings: &Settings, mistakes: &mut Mistakes) -> Option<CaFiles> {
    let (given, missing) = match (&settings.ca_certificate, &settings.ca_private_key) {
        (None, None) => return None,
        (Some(certificate), Some(key)) => {
            return Some(CaFiles { certificate: certificate.into(), private_key: key.into() });
        }
        (Some(certificate), None) => (certificate, ["--ca-private-key-path", "ca.privateKeyFile"]),
        (None, Some(key)) => (key, ["--ca-certificate-path", "ca.certificateFile"]),
    };
    let missing = missing[usize::from(!given.at.starts_with("--"))];
    mistakes.refuse(
        &given.at,
        &given.value,
        format!("is half a CA: {missing} is missing"),
        "give both or neither",
    );
    None
}

fn bootstrap_token_expiry(settings: &Settings, mistakes: &mut Mistakes) -> Option<std::time::Duration> {
    match &settings.bootstrap_token_expiry {
        Some(given) if given.value == "never" => None,
        Some(given) => Some(mistakes.check_or(Some(given), defaults::BOOTSTRAP_TOKEN_EXPIRY, |text| {
            scalar::duration(text).map_err(|mut fault| {
                fault.cure.push_str(", or never");
                fault
            })
        })),
        None if settings.from_file => Some(defaults::BOOTSTRAP_TOKEN_EXPIRY),
        None => {
            mistakes.warn(
                "auth/kubeconfig-kubelet",
                "its bootstrap token never expires, as in v0.14, because autoscaled workers may carry it; \
                 with --config it lasts 24h, or what bootstrapToken.expiry says",
            );
            None
        }
    }
}

fn core_dns(settings: &Settings, mistakes: &mut Mistakes) -> CoreDns {
    let replicas = settings.core_dns_replicas.as_ref();
    if let Some(given) = replicas.filter(|given| given.value == 0) {
        mistakes.refuse(&given.at, "0", "leaves the cluster without DNS", "write 1 or more");
    }
    let upstream = match &settings.core_dns_upstream {
        None => vec![defaults::CORE_DNS_UPSTREAM.into()],
        Some(list) => {
            let (given, most) = (list.value.len(), UPSTREAMS);
            if given == 0 || given > most {
                let problem = format!("has {given} entries, CoreDNS takes 1 to {most}");
                mistakes.refuse(&list.at, "", problem, "write as many, or leave the field out");
            }
            mistakes.check_all(&list.value, scalar::upstream).into_iter().map(|given| given.value).collect()
        }
    };
    CoreDns { replicas: replicas.map_or(defaults::CORE_DNS_REPLICAS, |given| given.value), upstream }
}
