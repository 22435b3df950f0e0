//! Every rule by example: one table of mistakes, each with the finding it must make.

use super::*;

/// Resolves a file that holds `fields` besides its header.
fn file(fields: &str) -> Result<(ClusterConfig, Vec<String>), Findings> {
    let text = format!("apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n{fields}\n");
    resolve(Flags::default(), Some(("clusters/one.yaml", &text)))
}

#[test]
fn every_mistake_in_a_file_is_refused_with_its_path() {
    for (fields, wanted) in [
        ("podCIDR: [10.0.0.0/8]", "podCIDR: is not a known key; did you mean `podCIDRs`?"),
        ("podCIDRs: 10.2.0.0/16", "podCIDRs: \"10.2.0.0/16\": is a text, not a list of texts"),
        ("podCIDRs: []", "podCIDRs: is an empty list"),
        ("podCIDRs: [10.2.0.0]", "podCIDRs[0]: 10.2.0.0: has no prefix length; write 10.2.0.0/16"),
        ("podCIDRs: [pods]", "podCIDRs[0]: pods: is not a CIDR"),
        (
            "podCIDRs: [10.3.0.0/16]",
            "podCIDRs[0]: 10.3.0.0/16: overlaps 10.3.0.0/24 of serviceCIDRs (default)",
        ),
        (
            "serviceCIDRs: [10.2.9.0/24]",
            "serviceCIDRs[0]: 10.2.9.0/24: overlaps 10.2.0.0/16 of podCIDRs (default)",
        ),
        ("podCIDRs: [10.4.0.0/16, 10.5.0.0/16]", "podCIDRs[1]: 10.5.0.0/16: is a second IPv4 CIDR"),
        (
            "podCIDRs: [10.4.0.0/16, 10.4.0.0/17]",
            "podCIDRs[1]: 10.4.0.0/17: overlaps 10.4.0.0/16 of podCIDRs[0]",
        ),
        ("podCIDRs: [10.4.0.0/16, 'fd01::/56', 'fd02::/56']", "podCIDRs: has 3 CIDRs"),
        ("podCIDRs: [10.4.0.0/16, 'fd01::/56']", "podCIDRs: pods have IPv4 then IPv6 and Services IPv4"),
        (
            "podCIDRs: [10.4.0.0/16, 'fd01::/56']\nserviceCIDRs: ['fd02::/112', 10.3.0.0/24]",
            "serviceCIDRs: pods have IPv4 then IPv6 and Services IPv6 then IPv4",
        ),
        ("serviceCIDRs: [10.3.0.0/29]", "serviceCIDRs[0]: 10.3.0.0/29: is too small for cluster DNS"),
        ("podCIDRs: ['fd01::/56']\nserviceCIDRs: ['fd02::/125']", "fd02::/125: is too small for cluster DNS"),
        ("podCIDRs: [10.4.0.0/25]", "is too small: each of 1 controllers needs a /24; use /24"),
        (
            "podCIDRs: [10.4.0.0/23]\ncontrolPlane: {controllers: 3}",
            "is too small: each of 3 controllers needs a /24; use /22",
        ),
        ("podCIDRs: ['::/0']", "is larger than the controller manager can divide"),
        (
            "podCIDRs: ['fd01::/40']\nserviceCIDRs: ['fd02::/112']",
            "is larger than the controller manager can",
        ),
        ("apiServers: []", "apiServers: is an empty list"),
        ("apiServers: ['https://']", "apiServers[0]: https://: has no host"),
        ("apiServers: ['https://a/x']", "apiServers[0]: https://a/x: has a path; write https://a:443"),
        ("apiServers: ['https://a', 'https://a:443/']", "apiServers[1]: https://a:443: is given twice"),
        (
            "apiServerAltNames: ['a b']",
            "apiServerAltNames[0]: a b: is several names; write each as an item of its own",
        ),
        ("etcd: {servers: ['https://e']}", "etcd.servers[0]: https://e: has no port; write https://e:2379"),
        (
            "etcd: {caFile: ca}",
            "etcd.caFile: clusters/ca: is part of an etcd client identity: \
            etcd.certificateFile and etcd.privateKeyFile are missing",
        ),
        ("etcd: {mode: inside}", "etcd.mode: inside: is not known; use one of external, staticPod"),
        (
            "etcd: {mode: staticPod, servers: ['https://e:1']}",
            "etcd.servers: https://e:1: belongs to an external etcd, but etcd.mode is staticPod",
        ),
        ("etcd: {mode: staticPod, caFile: ca}", "etcd.caFile: clusters/ca: belongs to an external etcd"),
        (
            "etcd: {mode: staticPod}\ncontrolPlane: {controllers: 3}",
            "etcd.mode: staticPod: gives one controller an etcd of its own",
        ),
        ("kubernetesVersion: v1.33.2", "kubernetesVersion: v1.33.2: is not a version that this bootkube"),
        (
            "kubernetesVersion: v1.36",
            "kubernetesVersion: v1.36: has no patch version; write all three numbers",
        ),
        ("kubernetesVersion: 1.36", "kubernetesVersion: 1.36: is a number, not a text; put it in quotes"),
        ("networking: calico", "networking: calico: is not rendered"),
        ("networking: cilium", "networking: cilium: is not known; use one of flannel, none"),
        (
            "images: {kube_proxy: 'a.b/c:1'}",
            "images.kube_proxy: is not a known key; did you mean `kube-proxy`?",
        ),
        ("images: {etcd: 'etcd:3'}", "images.etcd: etcd:3: names no registry"),
        ("components: {apiserver: {}}", "components.apiserver: is not a known key"),
        (
            "components: {kube-proxy: {extraArg: {}}}",
            "components.kube-proxy.extraArg: is not a known key; did you mean `extraArgs`?",
        ),
        (
            "components: {kube-proxy: {extraArgs: {--v: '4'}}}",
            "components.kube-proxy.extraArgs.--v: is not a bare flag name; write `v: \"value\"`",
        ),
        (
            "components: {kube-proxy: {extraArgs: {v: 4}}}",
            "extraArgs.v: 4: is not a text; put it in quotes: \"4\"",
        ),
        (
            "components: {kube-apiserver: {extraArgs: {bind-address: '::'}}}",
            "components.kube-apiserver.extraArgs.bind-address: is set by bootkube",
        ),
        (
            "components: {etcd: {extraVolumes: [{name: A, hostPath: a, pathType: Dir}]}}\netcd: {mode: staticPod}",
            "components.etcd.extraVolumes[0].name: A: is not a DNS label",
        ),
        ("components: {coredns: {extraVolumes: [{name: a}]}}", "extraVolumes[0].hostPath: is missing"),
        (
            "components: {coredns: {extraVolumes: [{name: a, hostPath: /a, mountPath: /a}, \
             {name: a, hostPath: /b, mountPath: /a}]}}",
            "extraVolumes[1].name: a: names two volumes",
        ),
        ("components: {coredns: {patches: [{patch: {}}]}}", "patches[0].kind: is missing"),
        (
            "components: {coredns: {patches: [{kind: Pod, type: json, patch: {}}]}}",
            "patches[0].patch: is not a JSON patch",
        ),
        ("controlPlane: {controllers: 0}", "controlPlane.controllers: 0: leaves no controller"),
        (
            "controlPlane: {controllers: -1}",
            "controlPlane.controllers: -1: is a number, not a whole number from 0",
        ),
        ("controlPlane: {label: 'a b'}", "controlPlane.label: a b: is not a Kubernetes key"),
        (
            "controlPlane: {workers: true, taint: 'a=b:NoSchedule'}",
            "controlPlane.taint: a=b:NoSchedule: is more",
        ),
        ("cloudProvider: aws", "cloudProvider: aws: is no longer built into Kubernetes; use external"),
        ("trustedCertsDir: certs", "trustedCertsDir: certs: is not an absolute path"),
        ("certificates: {keyAlgorithm: dsa}", "certificates.keyAlgorithm: dsa: is not known"),
        ("certificates: {validity: soon}", "certificates.validity: soon: is not a duration"),
        ("certificates: {validity: 20y}", "certificates.validity: 20y: certificates would outlive"),
        (
            "ca: {certificateFile: ca.crt}",
            "ca.certificateFile: clusters/ca.crt: is half a CA: ca.privateKeyFile",
        ),
        ("bootstrapToken: {expiry: 0s}", "bootstrapToken.expiry: 0s: is zero"),
        ("serviceAccountIssuer: http://a", "serviceAccountIssuer: http://a: is not an https URL"),
        ("clusterDomain: Cluster_Local", "clusterDomain: Cluster_Local: is not a DNS name"),
        ("clusterDomain: cluster.1", "clusterDomain: cluster.1: cannot be a domain of host names"),
        ("clusterName: ''", "clusterName: is not a DNS name"),
        ("aggregation: 'yes'", "aggregation: \"yes\": is a text, not true or false"),
        ("coreDNS: {replicas: 0}", "coreDNS.replicas: 0: leaves the cluster without DNS"),
        (
            "coreDNS: {upstream: [resolver]}",
            "coreDNS.upstream[0]: resolver: is neither an address nor a path",
        ),
        ("coreDNS: {upstream: []}", "coreDNS.upstream: has 0 entries"),
    ] {
        let findings = file(fields).expect_err(fields).to_string();
        assert!(findings.contains(wanted), "{fields}\nmakes\n{findings}\nwithout\n{wanted}");
    }
}

#[test]
fn one_mistake_makes_one_finding() {
    for fields in [
        "podCIDRs: [oops]",
        "serviceCIDRs: [10.3.0.0/29]",
        "apiServers: ['http://a:6443']",
        "etcd: {mode: inside}",
        "certificates: {validity: soon}",
        "podCIDRs: [10.4.0.0/16, 'fd01::/56']",
    ] {
        let Findings(findings) = file(fields).expect_err(fields);
        assert_eq!(findings.len(), 1, "{findings:?}");
    }
}

#[test]
fn a_file_that_is_no_configuration_says_so() {
    let of = |text| resolve(Flags::default(), Some(("c.yaml", text))).unwrap_err().to_string();
    assert!(of("").contains("apiVersion: is missing; write `apiVersion: bootkube.dev/v1alpha1`"));
    assert!(of("").contains("kind: is missing"));
    assert!(of("a: 1\n---\nb: 1").contains("c.yaml: holds 2 documents"));
    assert!(of("- a").contains("c.yaml: holds no mapping"));
    assert!(of("apiVersion: v1\nkind: Pod").contains("kind: Pod: is not one that bootkube reads"));
    assert!(of("a: [").contains("c.yaml:1:"));
    assert!(of("a: 1\na: 2").contains("is not YAML: the key `a` is given twice"));
}

#[test]
fn flags_override_the_file_and_the_file_overrides_defaults() {
    let text = "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n\
                clusterName: file\npodCIDRs: [10.8.0.0/16]\napiServers: ['https://file']\n";
    let flags = Flags {
        cluster_name: Some("flag".into()),
        api_servers: Some("https://flag:443, https://other:6443".into()),
        api_server_alt_names: Some("IP=10.0.0.1,DNS=x.example".into()),
        cloud_provider: Some(String::new()),
        ..Flags::default()
    };
    let (config, warnings) = resolve(flags, Some(("c.yaml", text))).unwrap();
    assert_eq!(config.cluster_name, "flag");
    assert_eq!(config.pod_cidrs, ["10.8.0.0/16".parse().unwrap()]);
    assert_eq!(config.service_cidrs, ["10.3.0.0/24".parse().unwrap()]);
    assert_eq!(config.secure_port, 443);
    assert_eq!(
        config.api_servers.iter().map(endpoint::endpoint).collect::<Vec<_>>(),
        ["https://flag:443", "https://other:6443"]
    );
    assert_eq!(config.api_alt_names.ips, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(config.api_alt_names.dns_names, ["x.example"]);
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn mistakes_in_flags_name_the_flag() {
    let flags = Flags {
        pod_cidr: Some("10.3.0.0/16".into()),
        service_cidr: Some("10.3.0.0/29".into()),
        api_servers: Some("https://,http://a".into()),
        api_server_alt_names: Some("IP=here,a".into()),
        ca_private_key_path: Some("ca.key".into()),
        etcd_certificate_path: Some("e.crt".into()),
        network_provider: Some("experimental-canal".into()),
        ..Flags::default()
    };
    let findings = resolve(flags, None).unwrap_err().to_string();
    for wanted in [
        "--service-cidr: 10.3.0.0/29: overlaps 10.3.0.0/16 of --pod-cidr",
        "--service-cidr: 10.3.0.0/29: is too small",
        "--api-servers: https://: has no host",
        "--api-servers: http://a: is plain http",
        "--api-server-alt-names: here: is not an IP address",
        "--api-server-alt-names: a: has no type",
        "--ca-private-key-path: ca.key: is half a CA: --ca-certificate-path is missing",
        "--etcd-certificate-path: e.crt: is part of an etcd client identity: --etcd-ca-path and",
        "--network-provider: experimental-canal: is not rendered",
    ] {
        assert!(findings.contains(wanted), "{wanted} in\n{findings}");
    }
}

#[test]
fn the_bootstrap_token_lasts_for_ever_with_flags_alone_and_a_day_with_a_file() {
    let (config, warnings) = resolve(Flags::default(), None).unwrap();
    assert_eq!(config.bootstrap_token_expiry, None);
    assert!(warnings[0].contains("never expires"), "{warnings:?}");
    let (config, warnings) = file("").unwrap();
    assert_eq!(config.bootstrap_token_expiry, Some(defaults::BOOTSTRAP_TOKEN_EXPIRY));
    assert!(warnings.is_empty());
}

#[test]
fn an_oddity_that_does_no_harm_is_a_warning() {
    for (fields, wanted) in [
        ("podCIDRs: [10.4.1.0/16]", "podCIDRs[0]: 10.4.1.0/16 is taken as 10.4.0.0/16"),
        ("components: {etcd: {}}", "components.etcd: has no effect, because etcd.mode is external"),
        ("networking: none\ncomponents: {flannel: {}}", "components.flannel: has no effect"),
        ("controlPlane: {taint: a}", "controlPlane.taint: no workers are declared"),
        (
            "etcd: {servers: ['http://e:1'], caFile: /a, certificateFile: b, privateKeyFile: c}",
            "etcd.caFile: is not used",
        ),
    ] {
        let (_, warnings) = file(fields).unwrap();
        assert!(warnings.iter().any(|warning| warning.contains(wanted)), "{fields}: {warnings:?}");
    }
}

#[test]
fn controllers_are_tainted_if_there_are_workers_unless_the_file_says_otherwise() {
    let taint = |fields| file(fields).unwrap().0.control_plane.taint;
    assert_eq!(taint("controlPlane: {workers: false}"), None);
    assert_eq!(taint("controlPlane: {workers: true}").as_deref(), Some(defaults::CONTROL_PLANE_LABEL));
    assert_eq!(taint("controlPlane: {workers: true, label: a/b=c}").as_deref(), Some("a/b"));
    assert_eq!(taint("controlPlane: {workers: true, taint: ''}"), None);
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let (config, _) = file("ca: {certificateFile: ca.crt, privateKeyFile: /keys/ca.key}").unwrap();
    let ca = config.ca.unwrap();
    assert_eq!(
        (ca.certificate.path.as_str(), ca.private_key.path.as_str()),
        ("clusters/ca.crt", "/keys/ca.key")
    );
}

#[test]
fn images_follow_the_version_unless_the_file_names_them() {
    let (config, _) = file("kubernetesVersion: 1.35.4\nimages: {etcd: 'quay.io/e/e:1'}").unwrap();
    assert_eq!(config.kubernetes_version, "v1.35.4");
    assert_eq!(config.images.kube_proxy, "registry.k8s.io/kube-proxy:v1.35.4");
    assert_eq!(config.images.etcd, "quay.io/e/e:1");
}
