//! A kubelet that agrees with the cluster is changed in one respect, and the difference is named with both values,
//! its place and its cure.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use time::macros::datetime;

use super::causes_tests::*;
use super::checks::CHECKS;

use super::facts::{ApiListener, Facts};
use super::outcome::Outcome;
use super::subject::Subject;
use crate::assets::load::Layout;
use crate::assets::object::Object;
use crate::cluster::connect::Readyz;
use crate::kubelet::config::Config;
use crate::kubelet::{Kubeconfig, Kubelet, Runtime};
use crate::yaml;

/// The checks that this is about.
const OURS: [&str; 3] = ["kubelet-settings", "kubelet-credentials", "pod-network"];
const FROM: time::OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
/// A token of the kind that `--token-auth-file` has. All of it is secret.
const OF_A_FILE: &str = "31ada4fd-adec-460c-809a-9e56ceb75269";
const UNTIL: time::OffsetDateTime = datetime!(2027-01-01 0:00 UTC);

/// A CA, and what it has signed: for the apiserver, its client, and kubelet.
struct Pki {
    ca: Vec<u8>,
    server: Vec<u8>,
    client: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

fn pki(from: time::OffsetDateTime) -> Pki {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "kubernetes-ca");
    (params.not_before, params.not_after) = (from, UNTIL);
    let ca = params.self_signed(&key).unwrap().pem().into_bytes();
    let issuer = Issuer::new(params, key);
    let (server, client) = (leaf(&issuer, UNTIL), leaf(&issuer, UNTIL));
    Pki { ca, server, client, issuer }
}

fn leaf(issuer: &Issuer<'static, KeyPair>, until: time::OffsetDateTime) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["api.example.test".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (FROM, until);
    params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().pem().into_bytes()
}

fn object(file: &str, value: &Value) -> Object {
    let document = yaml::documents(&value.to_string(), file).unwrap().remove(0);
    Object::from_document(document, file).unwrap().remove(0)
}

/// A cluster with DNS, a bootstrap token and flannel.
fn cluster(pki: &Pki) -> Layout {
    let mut layout = layout();
    let flags = [
        "kube-apiserver",
        SERVICES,
        "--tls-cert-file=/etc/kubernetes/secrets/apiserver.crt",
        "--client-ca-file=/etc/kubernetes/secrets/ca.crt",
        "--kubelet-client-certificate=/etc/kubernetes/secrets/client.crt",
    ];
    layout.bootstrap_manifests[0] = pod("bootstrap-apiserver", &flags);
    layout.bootstrap_manifests[1] = pod("bootstrap-controller-manager", &["x", "--cluster-cidr=10.2.0.0/16"]);
    for (name, pem) in [("ca.crt", &pki.ca), ("apiserver.crt", &pki.server), ("client.crt", &pki.client)] {
        layout.tls.insert(name.to_owned(), pem.clone());
    }
    let of = |kind: &str, name: &str, more: Value| {
        let mut value =
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "kube-system"}});
        json_patch::merge(&mut value, &more);
        value
    };
    let token = json!({"type": "bootstrap.kubernetes.io/token", "stringData": {
        "token-id": "abcdef", "token-secret": "0123456789abcdef", "expiration": "2026-06-02T00:00:00Z"}});
    let init = json!([{"name": "i", "command": ["cp", "/conf", "/etc/cni/net.d/10-flannel.conflist"]}]);
    let mut template = pod("x", &["/opt/bin/flanneld"]).value;
    template["spec"]["initContainers"] = init;
    let flannel = json!({"apiVersion": "apps/v1", "spec": {"template": template}});
    let corefile = ".:53 {\n    kubernetes cluster.local in-addr.arpa ip6.arpa {\n    }\n}\n";
    layout.objects = vec![
        object(
            "manifests/coredns-service.yaml",
            &of("Service", "kube-dns", json!({"spec": {"clusterIP": "10.3.0.10"}})),
        ),
        object(
            "manifests/coredns-config.yaml",
            &of("ConfigMap", "coredns", json!({"data": {"Corefile": corefile}})),
        ),
        object("manifests/kubelet-bootstrap-token.yaml", &of("Secret", "bootstrap-token-abcdef", token)),
        object("flannel.yaml", &of("DaemonSet", "flannel", flannel)),
    ];
    layout
}

/// A kubelet that agrees.
fn agreeing(pki: &Pki) -> Facts {
    let mut facts = good();
    let kubelet = facts.kubelet.as_mut().unwrap();
    set_fields(kubelet, json!({}));
    kubelet.authority = Some(Ok(pki.ca.clone()));
    kubelet.bootstrap = Some(Ok(Kubeconfig { authority: Some(pki.ca.clone()), ..joining() }));
    facts
}

fn set_fields(kubelet: &mut Kubelet, more: Value) {
    let mut value = json!({
        "clusterDNS": ["10.3.0.10"], "clusterDomain": "cluster.local", "cgroupDriver": "systemd",
        "authentication": {"x509": {"clientCAFile": "/etc/kubernetes/ca.crt"}},
    });
    json_patch::merge(&mut value, &more);
    kubelet.config = configured(value);
}

fn set_client_ca(kubelet: &mut Kubelet, file: Value) {
    set_fields(kubelet, json!({"authentication": {"x509": {"clientCAFile": file}}}));
}

fn set_flag(kubelet: &mut Kubelet, flag: &str) {
    kubelet.process.words.push(flag.to_owned());
}

fn runtime_uses(facts: &mut Facts, systemd: bool) {
    let Runtime::Answers { uses_systemd, .. } = &mut facts.runtime else { unreachable!("it answers") };
    *uses_systemd = Some(systemd);
}

/// kubelet's own kubeconfig, with a certificate that `by` has signed and that ends then.
fn joined(by: &Pki, until: time::OffsetDateTime) -> Kubeconfig {
    Kubeconfig {
        file: "/k".into(),
        authority: Some(by.ca.clone()),
        certificate: Some(leaf(&by.issuer, until)),
        token: None,
        ..joining()
    }
}

/// A machine of this cluster, and the remains of another one.
struct World<'a> {
    facts: Facts,
    ours: &'a Pki,
    other: &'a Pki,
}

impl World<'_> {
    fn kubelet(&mut self) -> &mut Kubelet {
        self.facts.kubelet.as_mut().unwrap()
    }

    fn bootstrap(&mut self) -> &mut Kubeconfig {
        self.kubelet().bootstrap.as_mut().unwrap().as_mut().unwrap_or_else(|why| panic!("{why}"))
    }

    /// The API runs, and does not know kubelet's token.
    fn refuse(&mut self, token: &str) {
        self.bootstrap().token = Some(token.into());
        self.facts.api = ApiListener::Ours;
        self.facts.admission = Some(Readyz::NotReady { status: 401, lines: vec!["Unauthorized".into()] });
    }

    fn interface(&mut self, name: &str, address: &str) {
        self.facts.pod_network.interfaces.push((name.to_owned(), address.parse().unwrap()));
    }

    fn configurations(&mut self, names: &[&str]) {
        let folder = std::path::Path::new("/etc/cni/net.d");
        self.facts.pod_network.configurations = Ok(names.iter().map(|name| folder.join(name)).collect());
    }
}

/// What each difference is: whether it fails, its check, and words of what is wrong, why, and what to do.
type Case = (bool, &'static str, [&'static str; 3], fn(&mut World<'_>));

#[rustfmt::skip]
const CASES: [Case; 43] = [
    (true, "kubelet-settings", ["another DNS server", "clusterDNS in /var/lib/kubelet/config.yaml is 10.96.0.10, and manifests/coredns-service.yaml has 10.3.0.10", "set clusterDNS: [10.3.0.10] in /var/lib/kubelet/config.yaml"],
        |world| set_fields(world.kubelet(), json!({"clusterDNS": ["10.96.0.10"]}))),
    (true, "kubelet-settings", ["another DNS server", "clusterDNS in /var/lib/kubelet/config.yaml is not set", "set clusterDNS: [10.3.0.10]"],
        |world| set_fields(world.kubelet(), json!({"clusterDNS": null}))),
    (true, "kubelet-settings", ["another DNS server", "kubelet's flag --cluster-dns is 10.96.0.10, 1.1.1.1", "give kubelet --cluster-dns=10.3.0.10, and run"],
        |world| { set_flag(world.kubelet(), "--cluster-dns=10.96.0.10"); set_flag(world.kubelet(), "--cluster-dns=1.1.1.1"); }),
    (true, "kubelet-settings", ["another DNS server", "kubelet's flag --cluster-dns is 10.3.0.11, and manifests/coredns-service.yaml has 10.3.0.10", "give kubelet --cluster-dns=10.3.0.10"],
        |world| set_flag(world.kubelet(), "--cluster-dns=10.3.0.11")),
    (true, "kubelet-settings", ["another DNS server", "is 1.1.1.1, and", "set clusterDNS: [10.3.0.10]"],
        |world| set_fields(world.kubelet(), json!({"clusterDNS": ["1.1.1.1"]}))),
    (false, "kubelet-settings", ["another DNS server", "is fd00::53, and manifests/coredns-service.yaml has 10.3.0.10", "make sure that a server there answers for this cluster's Services; else set clusterDNS: [10.3.0.10] in"],
        |world| set_fields(world.kubelet(), json!({"clusterDNS": ["fd00::53"]}))),
    (false, "kubelet-settings", ["another DNS server", "is 192.168.1.53, and", "make sure that a server there answers"],
        |world| set_fields(world.kubelet(), json!({"clusterDNS": ["192.168.1.53"]}))),
    (true, "kubelet-settings", ["another domain", "clusterDomain in /var/lib/kubelet/config.yaml is k8s.example, and the DNS of manifests/coredns-config.yaml answers for cluster.local", "set clusterDomain: cluster.local in"],
        |world| set_fields(world.kubelet(), json!({"clusterDomain": "k8s.example"}))),
    (true, "kubelet-settings", ["another domain", "is not set", "set clusterDomain: cluster.local in"],
        |world| set_fields(world.kubelet(), json!({"clusterDomain": null}))),
    (true, "kubelet-settings", ["its CA for clients is another one", "is /etc/kubernetes/ca.crt, it holds kubernetes-ca of 2025-01-01T00:00:00Z; tls/client.crt is signed by kubernetes-ca of 2026-01-01T00:00:00Z", "run install -m 644 /assets/tls/ca.crt /etc/kubernetes/bootkube-ca.crt, and set authentication.x509.clientCAFile: /etc/kubernetes/bootkube-ca.crt in /var/lib/kubelet/config.yaml, and run systemctl restart kubelet"],
        |world| world.kubelet().authority = Some(Ok(world.other.ca.clone()))),
    (true, "kubelet-settings", ["its CA for clients is another one", "is /etc/kubernetes/ca.crt, it cannot be read: no such file", "install -m 644 /assets/tls/ca.crt"],
        |world| world.kubelet().authority = Some(Err("no such file".into()))),
    (true, "kubelet-settings", ["its CA for clients is another one", "is /etc/kubernetes/bootkube-ca.crt, it holds kubernetes-ca of 2025", "run install -m 644 /assets/tls/ca.crt /etc/kubernetes/bootkube-ca.crt, and run systemctl restart kubelet"],
        |world| { world.kubelet().authority = Some(Ok(world.other.ca.clone())); set_client_ca(world.kubelet(), json!("/etc/kubernetes/bootkube-ca.crt")); }),
    (true, "kubelet-settings", ["it has no CA for clients", "authentication.x509.clientCAFile in /var/lib/kubelet/config.yaml is not set; tls/client.crt is signed by kubernetes-ca of 2026", "and set authentication.x509.clientCAFile: /etc/kubernetes/bootkube-ca.crt in"],
        |world| { world.kubelet().authority = None; set_client_ca(world.kubelet(), json!(null)); }),
    (true, "kubelet-settings", ["it has no CA for clients", "is not set", "and set authentication.x509.clientCAFile: "],
        |world| { world.kubelet().authority = None; set_client_ca(world.kubelet(), json!("")); }),
    (true, "kubelet-settings", ["it has no CA for clients", "kubelet's flag --client-ca-file is not set", "and give kubelet --client-ca-file=/etc/kubernetes/bootkube-ca.crt"],
        |world| { world.kubelet().authority = None; set_flag(world.kubelet(), "--client-ca-file="); }),
    (true, "kubelet-settings", ["different drivers of control groups", "cgroupDriver in /var/lib/kubelet/config.yaml is cgroupfs, and that of containerd 2 is systemd", "set cgroupDriver: systemd in"],
        |world| { set_fields(world.kubelet(), json!({"cgroupDriver": "cgroupfs"})); runtime_uses(&mut world.facts, true); }),
    (true, "kubelet-settings", ["different drivers of control groups", "is systemd, and that of containerd 2 is cgroupfs", "SystemdCgroup = true"],
        |world| runtime_uses(&mut world.facts, false)),
    (true, "kubelet-settings", ["different drivers of control groups", "is cgroupfs, and that of", "set cgroupDriver: systemd"],
        |world| { set_fields(world.kubelet(), json!({"cgroupDriver": null})); runtime_uses(&mut world.facts, true); }),
    (false, "kubelet-settings", ["kubelet has not read /etc/kubelet.d/1.conf as it is now", "was started before that was written", "systemctl restart kubelet"],
        |world| world.kubelet().changed = vec!["/etc/kubelet.d/1.conf".into()]),
    (true, "kubelet-credentials", ["the bootstrap token of kubelet ended at 2026-05-31T00:00:00Z", "/b has it from manifests/kubelet-bootstrap-token.yaml, and this machine's clock says 2026-06-01", "run bootkube render again, which makes a new one; then run install -m 600 /assets/auth/kubeconfig-kubelet /b, and run systemctl restart kubelet"],
        |_| {}),
    (false, "kubelet-credentials", ["kubelet may not be able to join: its token is not in the assets", "/b has a bootstrap token with ID ghijkl, and manifests/kubelet-bootstrap-token.yaml has ID abcdef", "make sure that it is in the cluster; else run install -m 600 /assets/auth/kubeconfig-kubelet /b"],
        |world| world.bootstrap().token = Some("ghijkl.0123456789abcdef".into())),
    (false, "kubelet-credentials", ["its token is not in the assets", "/b has a token that is no bootstrap token, and manifests/kubelet-bootstrap-token.yaml has ID abcdef", "make sure that it is one that the apiserver knows (--token-auth-file); else run install"],
        |world| world.bootstrap().token = Some(OF_A_FILE.into())),
    (false, "kubelet-credentials", ["its token is not in the assets", "/b has a bootstrap token with ID ghijkl", "else once the API runs, make a bootstrap token (https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/), and write it with the server and the CA of /assets/auth/kubeconfig to /b, and run systemctl restart kubelet"],
        |world| { world.facts.has_kubelet_kubeconfig = false; world.bootstrap().token = Some("ghijkl.0123456789abcdef".into()); }),
    (true, "kubelet-credentials", ["of another cluster or render", "its token has ID abcdef, and that of manifests/kubelet-bootstrap-token.yaml has another secret", "/assets/auth/kubeconfig-kubelet /b"],
        |world| world.bootstrap().token = Some("abcdef.fedcba9876543210".into())),
    (true, "kubelet-credentials", ["kubelet cannot join by /b, which is of another cluster or render", "the API answers 401 to a bootstrap token with ID ghijkl", "/assets/auth/kubeconfig-kubelet /b"],
        |world| world.refuse("ghijkl.0123456789abcdef")),
    (true, "kubelet-credentials", ["of another cluster or render", "the API answers 401 to a token that is no bootstrap token", "/assets/auth/kubeconfig-kubelet /b"],
        |world| world.refuse(OF_A_FILE)),
    (true, "kubelet-credentials", ["of another cluster or render", "its CA is kubernetes-ca of 2025-01-01T00:00:00Z, and tls/apiserver.crt is signed by", "/assets/auth/kubeconfig-kubelet /b"],
        |world| world.bootstrap().authority = Some(world.other.ca.clone())),
    (true, "kubelet-credentials", ["of another cluster or render", "its server is https://old.example.test:6443, and tls/apiserver.crt is for api.example.test", "/assets/auth/kubeconfig-kubelet /b"],
        |world| world.bootstrap().server = "https://old.example.test:6443".into()),
    (true, "kubelet-credentials", ["of another cluster or render", "its tls-server-name is old.example.test, and tls/apiserver.crt is for api.example.test", "/assets/auth/kubeconfig-kubelet /b"],
        |world| world.bootstrap().server_name = Some("old.example.test".into())),
    (false, "kubelet-credentials", ["kubelet looks for the API at https://127.0.0.1:7443", "/b says so", "make sure that it reaches this machine's apiserver"],
        |world| { world.bootstrap().server = "https://127.0.0.1:7443".into(); world.bootstrap().server_name = Some("api.example.test".into()); }),
    (false, "kubelet-credentials", ["kubelet looks for the API at https://127.0.0.1:7443", "/b says so", "make sure that it reaches this machine's apiserver"],
        |world| { world.bootstrap().server = "https://127.0.0.1:7443".into(); world.bootstrap().skips_verification = true; }),
    (false, "kubelet-credentials", ["kubelet looks for the API at https://api.example.test:8443, and not at https://api.example.test:6443", "/b says so", "make sure that it reaches this machine's apiserver; else run install"],
        |world| world.bootstrap().server = "https://api.example.test:8443".into()),
    (true, "kubelet-credentials", ["bootstrap kubeconfig /b cannot be used", "there is no /b", "install -m 600 /assets/auth/kubeconfig-kubelet /b"],
        |world| world.kubelet().bootstrap = Some(Err("there is no /b".into()))),
    (true, "kubelet-credentials", ["kubelet cannot join by /k, which is of another cluster", "its CA is kubernetes-ca of 2025-01-01T00:00:00Z", "run mv -n /k /var/lib/kubelet/pki/kubelet-client-* /root/, and run systemctl restart kubelet"],
        |world| world.kubelet().own = Some(Ok(joined(world.other, UNTIL)))),
    (true, "kubelet-credentials", ["kubelet cannot join by /k, which is of another cluster", "its CA is kubernetes-ca of 2025-01-01T00:00:00Z", "first run install -m 600 /assets/auth/kubeconfig-kubelet /b; then run mv -n /k /var/lib/kubelet/pki/kubelet-client-* /root/"],
        |world| { world.kubelet().own = Some(Ok(joined(world.other, UNTIL))); world.kubelet().bootstrap = Some(Err("there is no /b".into())); }),
    (true, "kubelet-credentials", ["kubelet cannot join by /k, which is of another cluster", "its client certificate is not signed by tls/ca.crt, kubernetes-ca of 2026", "run mv -n /k /var/lib/kubelet/pki/kubelet-client-* /root/"],
        |world| { let own = Kubeconfig { authority: Some(world.ours.ca.clone()), ..joined(world.other, UNTIL) }; world.kubelet().own = Some(Ok(own)); }),
    (true, "kubelet-credentials", ["kubelet cannot show who it is by /k", "its client certificate ended at 2026-03-01T00:00:00Z", "/assets/auth/kubeconfig-kubelet as --bootstrap-kubeconfig"],
        |world| { world.kubelet().own = Some(Ok(joined(world.ours, datetime!(2026-03-01 0:00 UTC)))); world.kubelet().bootstrap = None; }),
    (true, "kubelet-credentials", ["kubelet cannot show who it is by /k", "it holds no client certificate and no token", "as --bootstrap-kubeconfig"],
        |world| { world.kubelet().own = Some(Ok(Kubeconfig { certificate: None, ..joined(world.ours, UNTIL) })); world.kubelet().bootstrap = None; }),
    (true, "kubelet-credentials", ["kubelet joins no cluster", "no --kubeconfig with a file", "as --bootstrap-kubeconfig"],
        |world| world.kubelet().bootstrap = None),
    (true, "kubelet-credentials", ["kubelet joins no cluster", "no --kubeconfig with a file", "once the API runs, make a bootstrap token (https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/), and write it with the server and the CA of /assets/auth/kubeconfig to a file; start kubelet with --kubeconfig, and with it as --bootstrap-kubeconfig"],
        |world| { world.kubelet().bootstrap = None; world.facts.has_kubelet_kubeconfig = false; }),
    (true, "pod-network", ["/etc/cni/net.d/05-cilium.conflist configures another pod network", "takes the first file of that folder, and flannel's is /etc/cni/net.d/10-flannel.conflist", "mv -n /etc/cni/net.d/05-cilium.conflist /root/"],
        |world| world.configurations(&["05-cilium.conflist", "10-flannel.conflist"])),
    (false, "pod-network", ["/etc/cni/net.d/87-podman.conflist configures another pod network", "before flannel has written", "mv -n /etc/cni/net.d/87-podman.conflist"],
        |world| world.configurations(&["87-podman.conflist"])),
    (true, "pod-network", ["interface cni0 is of another cluster's pod network", "it has 10.244.0.1, and this cluster's pods are in 10.2.0.0/16", "ip link delete cni0"],
        |world| world.interface("cni0", "10.244.0.1")),
];

/// What the three checks find where `change` was made.
fn outcomes(
    ours: &Pki,
    other: &Pki,
    change: fn(&mut World<'_>),
    is_late: bool,
) -> Vec<(&'static str, Outcome)> {
    let mut world = World { facts: agreeing(ours), ours, other };
    change(&mut world);
    let facts = world.facts;
    let (mut layout, options) = (cluster(ours), options());
    if is_late {
        layout.objects[2].value["stringData"]["expiration"] = "2026-05-31T00:00:00Z".into();
    }
    let subject = Subject::new(&layout, &options).unwrap();
    let found = CHECKS.iter().filter(|check| OURS.contains(&check.name));
    found.map(|check| (check.name, (check.decide)(&subject, &facts))).collect()
}

/// The message of each case, for the golden file.
pub(super) fn told() -> Vec<(&'static str, Outcome)> {
    let (ours, other) = (pki(FROM), pki(datetime!(2025-01-01 0:00 UTC)));
    let found = CASES.iter().flat_map(|(_, name, words, change)| {
        let all = outcomes(&ours, &other, *change, words[0].contains("token of kubelet"));
        all.into_iter().filter(|(found, _)| found == name).collect::<Vec<_>>()
    });
    found.collect()
}

#[test]
fn each_difference_is_named_with_both_values_its_place_and_its_cure() {
    let (ours, other) = (pki(FROM), pki(datetime!(2025-01-01 0:00 UTC)));
    for (fails, name, [what, why, cure], change) in CASES {
        let all = outcomes(&ours, &other, change, what.contains("token of kubelet"));
        for (check, outcome) in all {
            let found = if fails { outcome.problems() } else { outcome.warnings() };
            if check != name {
                assert!(matches!(outcome, Outcome::Pass(_)), "{what}: {check}: {outcome:?}");
                continue;
            }
            let [found] = found else { panic!("{what}: {outcome:?}") };
            assert!(found.what.contains(what), "{what}: {found:?}");
            assert!(found.why.contains(why), "{what}: {found:?}");
            assert!(found.cure.contains(cure), "{what}: {found:?}");
        }
    }
}

#[test]
fn what_agrees_in_another_way_passes() {
    let (ours, other) = (pki(FROM), pki(datetime!(2025-01-01 0:00 UTC)));
    let changes: [fn(&mut World<'_>); 11] = [
        |_| {},
        |world| set_fields(world.kubelet(), json!({"clusterDNS": ["169.254.20.10"]})),
        |world| {
            set_fields(
                world.kubelet(),
                json!({"clusterDNS": ["10.3.0.10", "1.1.1.1"], "clusterDomain": "cluster.local."}),
            )
        },
        |world| runtime_uses(&mut world.facts, true),
        |world| {
            (world.kubelet().config, world.kubelet().authority) = (Ok(Config::default()), None);
            for flag in ["--cluster-dns=10.3.0.10", "--cluster-domain=cluster.local"] {
                set_flag(world.kubelet(), flag);
            }
        },
        |world| {
            set_flag(world.kubelet(), "--client-ca-file=");
            set_flag(world.kubelet(), "--anonymous-auth");
            set_flag(world.kubelet(), "--authorization-mode=AlwaysAllow");
        },
        |world| {
            world.bootstrap().token = Some("ghijkl.0123456789abcdef".into());
            (world.facts.api, world.facts.admission) = (ApiListener::Ours, Some(Readyz::Ready));
        },
        |world| {
            world.bootstrap().token = None;
            world.kubelet().own = Some(Ok(joined(world.ours, UNTIL)));
        },
        |world| world.kubelet().own = Some(Ok(joined(world.other, datetime!(2026-03-01 0:00 UTC)))),
        |world| {
            world.configurations(&["10-flannel.conflist"]);
            world.interface("cni0", "10.2.0.1");
        },
        |world| {
            world.facts.api = ApiListener::Ours;
            world.configurations(&["00-multus.conf", "10-flannel.conflist"]);
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let all = outcomes(&ours, &other, change, false);
        assert!(all.iter().all(|(_, outcome)| matches!(outcome, Outcome::Pass(_))), "{number}: {all:?}");
    }
}

#[test]
fn a_kubeconfig_that_is_given_up_is_named_with_what_is_doubtful_of_the_next() {
    let (ours, other) = (pki(FROM), pki(datetime!(2025-01-01 0:00 UTC)));
    let change = |world: &mut World<'_>| {
        world.kubelet().own = Some(Ok(joined(world.other, UNTIL)));
        world.bootstrap().token = Some(OF_A_FILE.into());
    };
    let all = outcomes(&ours, &other, change, false);
    let found: Vec<&str> =
        all.iter().flat_map(|(_, outcome)| outcome.problems()).map(|found| found.what.as_str()).collect();
    let next = "kubelet may not be able to join: its token is not in the assets";
    assert_eq!(found, ["kubelet cannot join by /k, which is of another cluster or render", next]);
}

#[test]
fn no_message_shows_the_secret_of_a_token() {
    let all: Vec<String> = told().into_iter().map(|(_, outcome)| format!("{outcome:?}")).collect();
    for secret in ["0123456789abcdef", "fedcba9876543210", OF_A_FILE] {
        assert!(!all.concat().contains(secret));
    }
}
