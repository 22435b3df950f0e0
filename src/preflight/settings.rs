//! Check of what kubelet's configuration must have in common with the cluster: DNS, domain, CA, control groups.

use std::net::IpAddr;

use serde_json::Value;

use super::facts::Facts;
use super::kubelet::wanted::{RESTART, Wanted};
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::NAMESPACE;
use crate::assets::corefile::zones;
use crate::assets::object::Object;
use crate::kubelet::{Kubelet, Runtime};
use crate::pki::descent::{describe, is_signed_by};

/// kubelet's default.
const CGROUPFS: &str = "cgroupfs";
const SYSTEMD: &str = "systemd";
/// Where the cures put this cluster's CA: a file of the user's may hold more than one CA, and is not overwritten.
const OWN_CA: &str = "/etc/kubernetes/bootkube-ca.crt";
/// The DNS servers of kubeadm's clusters, of k3s', of MicroK8s' and of bootkube's, unless they were told otherwise.
const DEFAULTS: [&str; 4] = ["10.96.0.10", "10.43.0.10", "10.152.183.10", "10.3.0.10"];

pub fn settings(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let Some(kubelet) = &facts.kubelet else { return Outcome::Unknown(super::kubelet::UNSEEN.into()) };
    if let Err(why) = &kubelet.config {
        return Outcome::Unknown(format!("kubelet's configuration cannot be read: {why}"));
    }
    let dns = dns(subject, kubelet);
    let others = [domain(subject, kubelet), authority(subject, kubelet), cgroups(facts, kubelet)];
    let problems: Vec<Problem> = dns.problems().iter().cloned().chain(others.into_iter().flatten()).collect();
    let warnings = dns.warnings().iter().cloned().chain(stale(kubelet)).collect();
    match problems.is_empty() {
        true => Outcome::from_warnings(warnings, "they are those of the cluster"),
        false => Outcome::Fail(problems),
    }
}

/// kubelet reads its files once. What it runs with is then not what they say.
fn stale(kubelet: &Kubelet) -> Option<Problem> {
    let files = kubelet.changed.join(", ");
    (!files.is_empty()).then(|| {
        Problem::new(
            format!("kubelet has not read {files} as it is now"),
            format!("process {} was started before that was written", kubelet.process.pid),
            RESTART,
        )
    })
}

/// kubelet names this server to pods. A cache on each machine has an address of its own, which is link-local or, as
/// NodeLocal DNS with IPv6, one of those that [`may_be_own`] describes.
fn dns(subject: &Subject<'_>, kubelet: &Kubelet) -> Outcome {
    let fine = || Outcome::Pass("it is the cluster's".into());
    let Some(service) = object(subject, "Service", "kube-dns") else { return fine() };
    let cluster = addresses(&service.value);
    let given = kubelet.list("cluster-dns", "clusterDNS");
    let is_right = |address: &String| {
        address.parse().is_ok_and(|address: IpAddr| cluster.contains(&address) || is_link_local(address))
    };
    if cluster.is_empty() || given.iter().any(is_right) {
        return fine();
    }
    let is_guess =
        given.iter().any(|address| address.parse().is_ok_and(|address| may_be_own(subject, address)));
    let shown: Vec<String> = cluster.iter().map(ToString::to_string).collect();
    let wanted =
        Wanted { flag: "cluster-dns", field: "clusterDNS", value: format!("[{}]", shown.join(", ")) };
    let given = if given.is_empty() { "not set".to_owned() } else { given.join(", ") };
    let problem = |cure| {
        Problem::new(
            "kubelet gives pods another DNS server than this cluster's",
            format!("{} is {given}, and {} has {}", wanted.place(kubelet), service.file, shown.join(", ")),
            cure,
        )
    };
    let cure = wanted.cure(kubelet);
    match is_guess {
        true => Outcome::Warn(vec![problem(format!(
            "make sure that a server there answers for this cluster's Services; else {cure}"
        ))]),
        false => Outcome::Fail(vec![problem(cure)]),
    }
}

/// Whether an address may be that of a server of the cluster's own: it is private, not in the Service range, where
/// the Service `kube-dns` would have it, and not the default of a tool, which another cluster has left.
fn may_be_own(subject: &Subject<'_>, address: IpAddr) -> bool {
    let is_private = match address {
        IpAddr::V4(address) => address.is_private() && !DEFAULTS.contains(&&*address.to_string()),
        IpAddr::V6(address) => address.is_unique_local(),
    };
    let is_service = |(whose, range): (&str, ipnet::IpNet)| whose == "services" && range.contains(&address);
    is_private && !subject.networks().into_iter().any(is_service)
}

fn object<'a>(subject: &Subject<'a>, kind: &str, name: &str) -> Option<&'a Object> {
    let mut objects = subject.layout.objects.iter();
    objects.find(|object| {
        object.kind() == kind && object.namespace() == Some(NAMESPACE) && object.name() == name
    })
}

fn addresses(service: &Value) -> Vec<IpAddr> {
    let spec = &service["spec"];
    let list = spec["clusterIPs"].as_array().into_iter().flatten().chain([&spec["clusterIP"]]);
    let mut found: Vec<IpAddr> = list.filter_map(|address| address.as_str()?.parse().ok()).collect();
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|address| seen.insert(*address));
    found
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Names such as `kubernetes.default` are looked up in this domain, in which the cluster's DNS answers.
fn domain(subject: &Subject<'_>, kubelet: &Kubelet) -> Option<Problem> {
    let map = object(subject, "ConfigMap", "coredns")?;
    let zones = zones(map.value["data"]["Corefile"].as_str()?);
    let given = kubelet.setting("cluster-domain", "clusterDomain").unwrap_or_default();
    let zone = zones.first()?;
    let is_right = zones.iter().any(|zone| *zone == given.trim_end_matches('.'));
    let wanted = Wanted { flag: "cluster-domain", field: "clusterDomain", value: (*zone).to_owned() };
    let given = if given.is_empty() { "not set" } else { &given };
    (!is_right).then(|| {
        Problem::new(
            "kubelet gives pods another domain than this cluster's",
            format!("{} is {given}, and the DNS of {} answers for {zone}", wanted.place(kubelet), map.file),
            wanted.cure(kubelet),
        )
    })
}

/// By this CA kubelet verifies the apiserver, which asks it for logs and commands.
fn authority(subject: &Subject<'_>, kubelet: &Kubelet) -> Option<Problem> {
    let (file, client) = subject.key_file(&subject.api_flag("kubelet-client-certificate")?)?;
    let (what, given) = refusal(kubelet, client)?;
    let ours = subject.api_flag("client-ca-file").and_then(|path| subject.key_file(&path));
    let (name, ours) = ours.map_or(("ca.crt", "another CA".to_owned()), |(name, pem)| (name, describe(pem)));
    let field = "authentication.x509.clientCAFile";
    let wanted = Wanted { flag: "client-ca-file", field, value: OWN_CA.to_owned() };
    let next = match kubelet.client_authority().is_some_and(|given| given == OWN_CA) {
        true => RESTART.to_owned(),
        false => wanted.cure(kubelet),
    };
    let ca = subject.options.asset_dir.join("tls").join(name);
    Some(Problem::new(
        format!("kubelet would refuse this cluster's apiserver: {what}"),
        format!("{} is {given}; tls/{file} is signed by {ours}", wanted.place(kubelet)),
        format!("run install -m 644 {} {OWN_CA}, and {next}", ca.display()),
    ))
}

/// Why kubelet would refuse `client`, and its CA for clients.
fn refusal(kubelet: &Kubelet, client: &[u8]) -> Option<(&'static str, String)> {
    const OTHER: &str = "its CA for clients is another one";
    let Some(file) = kubelet.client_authority() else {
        return (!kubelet.serves_all()).then(|| ("it has no CA for clients", "not set".to_owned()));
    };
    match kubelet.authority.as_ref()? {
        Err(why) => Some((OTHER, format!("{file}, it cannot be read: {why}"))),
        Ok(pem) if is_signed_by(client, pem) != Some(false) => None,
        Ok(pem) => Some((OTHER, format!("{file}, it holds {}", describe(pem)))),
    }
}

/// Two drivers in one tree of control groups: kubelet's pods and the runtime's containers are not limited together.
fn cgroups(facts: &Facts, kubelet: &Kubelet) -> Option<Problem> {
    let Runtime::Answers { uses_systemd: Some(uses_systemd), version, .. } = &facts.runtime else {
        return None;
    };
    let given = kubelet.setting("cgroup-driver", "cgroupDriver").filter(|driver| !driver.is_empty());
    let driver = if *uses_systemd { SYSTEMD } else { CGROUPFS };
    let wanted = Wanted { flag: "cgroup-driver", field: "cgroupDriver", value: driver.to_owned() };
    let given = given.unwrap_or_else(|| CGROUPFS.to_owned());
    let cure = match *uses_systemd {
        true => wanted.cure(kubelet),
        false => "set SystemdCgroup = true in /etc/containerd/config.toml, and run systemctl restart containerd kubelet"
            .to_owned(),
    };
    (given != driver).then(|| {
        Problem::new(
            "kubelet and the container runtime use different drivers of control groups",
            format!("{} is {given}, and that of {version} is {driver}", wanted.place(kubelet)),
            cure,
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Flags, resolve};
    use crate::kubelet::Kubeconfig;
    use crate::kubelet::config::Config;
    use crate::pki::{Previous, Supplied, issue};
    use crate::preflight::causes_tests::{NOW, good, joining, options};
    use crate::preflight::credentials::credentials;
    use crate::preflight::options::CheckOptions;
    use crate::{assets, render, yaml};

    /// The bundle of a machine, and the checks of what kubelet must have in common with the cluster.
    #[test]
    fn a_kubelet_with_the_files_of_its_bundle_agrees_with_the_cluster() {
        let text = "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\netcd: {mode: staticPod}\n\
            clusterDomain: example.internal\npodCIDRs: [10.8.0.0/16, 'fd00:8::/48']\n\
            serviceCIDRs: [10.9.0.0/24, 'fd00:9::/112']\n\
            nodes: [{name: n1, role: controller, addresses: [192.0.2.10]}]\n";
        let (config, _) = resolve(Flags::default(), Some(("cluster.yaml", text))).unwrap();
        let (bundle, _) = issue(&config, Supplied::default(), &Previous::default(), NOW).unwrap();
        let rendered = render::render(&config, &bundle).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let asset_dir = folder.path().join("assets");
        assets::write::write(&asset_dir, &rendered).unwrap();
        let layout = assets::load::load(&asset_dir).unwrap();
        let options = CheckOptions { asset_dir, ..options() };
        let subject = Subject::new(&layout, &options).unwrap();
        let file = |path: &str| rendered.files[&format!("nodes/n1/files/{path}")].clone();
        let parsed = |path: &str| yaml::parse(str::from_utf8(&file(path)).unwrap(), path).unwrap().remove(0);
        let authority = file("etc/kubernetes/ca.crt");
        let kubeconfig = parsed("etc/kubernetes/kubeconfig");
        let mut facts = good();
        let kubelet = facts.kubelet.as_mut().unwrap();
        kubelet.config =
            Ok(Config::of("/var/lib/kubelet/config.yaml", parsed("var/lib/kubelet/config.yaml")));
        kubelet.authority = Some(Ok(authority.clone()));
        kubelet.bootstrap = Some(Ok(Kubeconfig {
            server: kubeconfig["clusters"][0]["cluster"]["server"].as_str().unwrap().into(),
            token: kubeconfig["users"][0]["user"]["token"].as_str().map(str::to_owned),
            authority: Some(authority),
            ..joining()
        }));
        for outcome in [settings(&subject, &facts), credentials(&subject, &facts)] {
            assert!(matches!(outcome, Outcome::Pass(_)), "{outcome:?}");
        }
    }

    #[test]
    fn the_addresses_of_a_service_are_taken_once_and_none_is_none() {
        let of = |spec: Value| addresses(&json!({"spec": spec})).len();
        assert_eq!(of(json!({"clusterIP": "10.3.0.10", "clusterIPs": ["10.3.0.10", "fd00::a"]})), 2);
        assert_eq!(of(json!({"clusterIP": "None"})), 0);
        assert_eq!(of(json!({})), 0);
    }
}
