//! What every certificate holds, and that openssl takes it.

use std::collections::BTreeSet;

use bootkube::config::*;
use bootkube::pki::{NamedFile, Previous, SuppliedFiles, check_supplied, issue};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::*;

const API: &str = "alt.demo.example api.demo.example kubernetes kubernetes.default kubernetes.default.svc \
                   kubernetes.default.svc.cluster.local localhost 10.0.0.7 10.3.0.1 127.0.0.1 192.0.2.9 ::1";
const ETCD: &str = "etcd1.demo.example localhost 127.0.0.1 ::1";
const LOOPBACK: &str = "localhost 127.0.0.1 ::1";

/// Path, subject, issuer's CN, extended key usages, names. `+` marks a CA.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

const KUBERNETES: [Row; 8] = [
    ("ca.crt", "O=demo, CN=kubernetes-ca", "kubernetes-ca", "+", ""),
    ("apiserver.crt", "CN=kube-apiserver", "kubernetes-ca", "server", API),
    ("apiserver-kubelet-client.crt", "CN=kube-apiserver-kubelet-client", "kubernetes-ca", "client", ""),
    ("admin.crt", "O=system:masters, CN=kubernetes-admin", "kubernetes-ca", "client", ""),
    ("controller-manager.crt", "CN=system:kube-controller-manager", "kubernetes-ca", "client", ""),
    ("scheduler.crt", "CN=system:kube-scheduler", "kubernetes-ca", "client", ""),
    ("kube-proxy.crt", "CN=system:kube-proxy", "kubernetes-ca", "client", ""),
    ("agent.crt", "CN=bootkube-agent", "kubernetes-ca", "client", ""),
];
const FRONT_PROXY: [Row; 2] = [
    ("front-proxy-ca.crt", "O=demo, CN=front-proxy-ca", "front-proxy-ca", "+", ""),
    ("front-proxy-client.crt", "CN=front-proxy-client", "front-proxy-ca", "client", ""),
];

fn etcd(names: &'static str) -> [Row; 7] {
    let ca = |path| (path, "O=demo, CN=etcd-ca", "etcd-ca", "+", "");
    [
        ca("etcd-ca.crt"),
        ca("etcd-client-ca.crt"),
        ca("etcd/server-ca.crt"),
        ca("etcd/peer-ca.crt"),
        ("etcd-client.crt", "O=etcd, CN=etcd-client", "etcd-ca", "client", ""),
        ("etcd/server.crt", "O=etcd, CN=etcd-server", "etcd-ca", "server client", names),
        ("etcd/peer.crt", "O=etcd, CN=etcd-peer", "etcd-ca", "server client", names),
    ]
}

/// Every certificate and key there is, and nothing else.
fn check(config: &ClusterConfig, rows: &[Row]) {
    let bundle = fresh(config);
    let mut expected: BTreeSet<String> = rows.iter().map(|row| row.0.to_owned()).collect();
    for (path, ..) in rows.iter().filter(|row| row.0.ends_with("etcd-ca.crt") || !row.0.ends_with("-ca.crt"))
    {
        expected.insert(path.replace(".crt", ".key"));
    }
    if config.aggregation {
        expected.insert("front-proxy-ca.key".into());
    }
    expected.extend(["service-account.key", "service-account.pub"].map(str::to_owned));
    assert_eq!(bundle.files.keys().cloned().collect::<BTreeSet<_>>(), expected);
    let rsa = config.certificates.key_algorithm != KeyAlgorithm::EcdsaP256;
    let mut serials = BTreeSet::new();
    for row in rows {
        let serial = check_row(bundle.get(row.0), row, rsa);
        assert!(serials.insert(serial) || row.0.ends_with("-ca.crt"), "{} repeats a serial number", row.0);
    }
    verify_with_openssl(&bundle.files, rows);
    keys_are_of_their_certificates_and_never_shared(&bundle.files);
}

fn check_row(pem: &[u8], (path, subject, issuer, usage, names): &Row, rsa: bool) -> Vec<u8> {
    let der = pem::parse(pem).unwrap().into_contents();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.subject().to_string(), *subject, "{path}");
    let issued_by = certificate.issuer().iter_common_name().next().unwrap().as_str().unwrap();
    assert_eq!(issued_by, *issuer, "{path}");
    let names_found =
        certificate.subject_alternative_name().unwrap().map(|ext| ext.value.general_names.clone());
    let found: BTreeSet<String> = names_found.iter().flatten().map(name).collect();
    assert_eq!(found, names.split_whitespace().map(str::to_owned).collect(), "{path}");
    let key_usage = certificate.key_usage().unwrap().unwrap();
    assert!(key_usage.critical);
    let key_usage = key_usage.value;
    assert!(key_usage.digital_signature());
    let basic = certificate.basic_constraints().unwrap().unwrap().value;
    assert_eq!(basic.ca, *usage == "+", "{path}");
    assert_eq!(key_usage.key_cert_sign() && key_usage.crl_sign(), basic.ca, "{path}");
    assert_eq!(key_usage.key_encipherment(), rsa && !basic.ca, "{path}");
    let extended = certificate.extended_key_usage().unwrap().map(|ext| ext.value);
    let on = |word: &str| usage.contains(word);
    assert_eq!(
        extended.map_or((false, false), |e| (e.server_auth, e.client_auth)),
        (on("server"), on("client"))
    );
    let serial = certificate.raw_serial().to_vec();
    assert!(serial.len() <= 20 && serial[0] < 0x80 && serial.len() > 8, "{path}: {serial:?}");
    let validity = certificate.validity();
    let days = if basic.ca { 3650 } else { 365 };
    assert_eq!(validity.not_before.to_datetime(), NOW - time::Duration::minutes(5), "{path}");
    assert_eq!(validity.not_after.to_datetime(), NOW + time::Duration::days(days), "{path}");
    serial
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(octets) => match <[u8; 4]>::try_from(*octets) {
            Ok(v4) => std::net::IpAddr::from(v4).to_string(),
            Err(_) => std::net::IpAddr::from(<[u8; 16]>::try_from(*octets).unwrap()).to_string(),
        },
        other => panic!("unexpected name {other:?}"),
    }
}

fn verify_with_openssl(files: &std::collections::BTreeMap<String, Vec<u8>>, rows: &[Row]) {
    let folder = folder(files);
    let at = NOW.unix_timestamp();
    for (path, _, issuer, usage, _) in rows {
        let ca = match *issuer {
            "kubernetes-ca" => "ca.crt",
            "front-proxy-ca" => "front-proxy-ca.crt",
            _ => "etcd-ca.crt",
        };
        for purpose in usage.split_whitespace() {
            let purpose = if purpose == "+" { String::new() } else { format!("-purpose ssl{purpose} ") };
            openssl(folder.path(), &format!("verify -x509_strict {purpose}-attime {at} -CAfile {ca} {path}"));
        }
    }
}

fn keys_are_of_their_certificates_and_never_shared(files: &std::collections::BTreeMap<String, Vec<u8>>) {
    let folder = folder(files);
    let mut publics = BTreeSet::new();
    for key in files.keys().filter(|path| path.ends_with(".key")) {
        let public = openssl(folder.path(), &format!("pkey -in {key} -pubout"));
        let other = match key.as_str() {
            "service-account.key" => openssl(folder.path(), "pkey -pubin -in service-account.pub -pubout"),
            _ => openssl(folder.path(), &format!("x509 -noout -pubkey -in {}", key.replace(".key", ".crt"))),
        };
        assert_eq!(public, other, "{key}");
        assert!(publics.insert(public), "{key} is shared");
        assert!(files[key].starts_with(b"-----BEGIN PRIVATE KEY-----\n"));
    }
}

fn rows(parts: &[&[Row]]) -> Vec<Row> {
    parts.concat()
}

#[test]
fn external_etcd_by_default() {
    check(&config(), &rows(&[&KUBERNETES, &FRONT_PROXY, &etcd(ETCD)]));
}

#[test]
fn etcd_as_a_static_pod_is_reached_on_loopback() {
    let config = ClusterConfig { etcd: Etcd::StaticPod, ..config() };
    check(&config, &rows(&[&KUBERNETES, &FRONT_PROXY, &etcd(LOOPBACK)]));
}

#[test]
fn no_front_proxy_without_aggregation() {
    let config = ClusterConfig { aggregation: false, ..config() };
    check(&config, &rows(&[&KUBERNETES, &etcd(ETCD)]));
}

#[test]
fn no_etcd_certificates_without_tls() {
    let servers = vec!["http://127.0.0.1:2379".parse().unwrap()];
    let config = ClusterConfig { etcd: Etcd::External { servers, client: None }, ..config() };
    check(&config, &rows(&[&KUBERNETES, &FRONT_PROXY]));
}

#[test]
fn rsa_keys_may_be_encrypted_to() {
    let mut config = ClusterConfig { etcd: Etcd::StaticPod, ..config() };
    config.certificates.key_algorithm = KeyAlgorithm::Rsa2048;
    check(&config, &rows(&[&KUBERNETES, &FRONT_PROXY, &etcd(LOOPBACK)]));
    let folder = folder(&fresh(&config).files);
    assert!(openssl(folder.path(), "x509 -noout -text -in scheduler.crt").contains("Public-Key: (2048 bit)"));
}

#[test]
fn both_service_addresses_are_named_with_dual_stack() {
    let service_cidrs = vec!["10.3.0.0/24".parse().unwrap(), "fd00:3::/112".parse().unwrap()];
    let api_servers = vec!["https://[2001:db8::7]:6443".parse().unwrap()];
    let config = ClusterConfig {
        service_cidrs,
        api_servers,
        api_alt_names: AltNames::default(),
        etcd: Etcd::StaticPod,
        ..config()
    };
    let mut kubernetes = KUBERNETES;
    kubernetes[1].4 = "kubernetes kubernetes.default kubernetes.default.svc localhost \
                       kubernetes.default.svc.cluster.local 10.3.0.1 127.0.0.1 2001:db8::7 ::1 fd00:3::1";
    check(&config, &rows(&[&kubernetes, &FRONT_PROXY, &etcd(LOOPBACK)]));
}

#[test]
fn a_supplied_etcd_client_is_all_there_is_of_etcd() {
    let theirs = fresh(&config());
    let file =
        |path: &str| NamedFile { field: path.into(), path: path.into(), pem: theirs.get(path).to_vec() };
    let files = SuppliedFiles {
        ca: None,
        etcd_client: Some((file("etcd-ca.crt"), file("etcd-client.crt"), file("etcd-client.key"))),
        etcd_hosts: vec!["etcd1.demo.example".into()],
    };
    let supplied = check_supplied(&files, NOW).unwrap();
    let user_file = |path: &str| UserFile { path: path.into(), field: path.into() };
    let client =
        EtcdClientFiles { ca: user_file("a"), certificate: user_file("b"), private_key: user_file("c") };
    let servers = vec!["https://10.0.0.5:2379".parse().unwrap()];
    let config = ClusterConfig { etcd: Etcd::External { servers, client: Some(client) }, ..config() };
    let (bundle, _) = issue(&config, supplied, &Previous::default(), NOW).unwrap();
    let etcd: Vec<&str> = bundle.files.keys().map(String::as_str).filter(|p| p.starts_with("etcd")).collect();
    assert_eq!(etcd, ["etcd-client-ca.crt", "etcd-client.crt", "etcd-client.key"]);
    assert_eq!(bundle.get("etcd-client-ca.crt"), theirs.get("etcd-ca.crt"));
    assert_eq!(bundle.get("etcd-client.key"), theirs.get("etcd-client.key"));
}

#[test]
fn debug_output_holds_no_secret() {
    let bundle = fresh(&config());
    let text = format!("{bundle:?}");
    assert!(!text.contains("BEGIN") && !text.contains(&bundle.bootstrap_token.secret), "{text}");
}
