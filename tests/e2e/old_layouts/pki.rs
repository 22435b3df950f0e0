//! Certificates as `render` of v0.14 and Typhoon of its time made them: RSA, each for servers and
//! clients, with few names.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, SanType, SerialNumber,
};

/// Keys of the self-hosted apiserver's Secret.
pub const OF_APISERVER: [&str; 8] = [
    "apiserver.crt",
    "apiserver.key",
    "ca.crt",
    "etcd-client-ca.crt",
    "etcd-client.crt",
    "etcd-client.key",
    "service-account.key",
    "service-account.pub",
];
/// Keys of the controller manager's Secret.
pub const OF_MANAGER: [&str; 3] = ["ca.crt", "ca.key", "service-account.key"];

/// Path under `tls/` to PEM.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A name and an organisation.
type Subject<'a> = (&'a str, &'a str);

/// The certificates to make.
pub struct Subjects<'a> {
    pub ca: Subject<'a>,
    pub apiserver: Subject<'a>,
    pub admin: Subject<'a>,
    /// Whether kubelets have a certificate instead of a token.
    pub kubelet: Option<Subject<'a>>,
}

/// The secrets of a cluster whose apiserver is called `host` and whose etcd is at `etcd`.
pub fn files(subjects: &Subjects<'_>, host: &str, etcd: IpAddr) -> Files {
    let (ca, etcd_ca) = (authority(subjects.ca), authority(("etcd-ca", "etcd")));
    let api = [
        host,
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "10.3.0.1",
    ];
    let etcd = [etcd.to_string(), "127.0.0.1".to_owned(), "localhost".to_owned()];
    let etcd: Vec<&str> = etcd.iter().map(String::as_str).collect();
    let mut files = Files::new();
    insert_ca(&mut files, "ca", &ca);
    files.insert("ca.key".to_owned(), ca.key().serialize_pem().into_bytes());
    insert(&mut files, "apiserver", leaf(&ca, subjects.apiserver, &api));
    insert(&mut files, "admin", leaf(&ca, subjects.admin, &[]));
    if let Some(kubelet) = subjects.kubelet {
        insert(&mut files, "kubelet", leaf(&ca, kubelet, &[]));
    }
    for path in ["etcd-client-ca", "etcd/server-ca", "etcd/peer-ca"] {
        insert_ca(&mut files, path, &etcd_ca);
    }
    for (path, name) in
        [("etcd-client", "etcd-client"), ("etcd/server", "etcd-server"), ("etcd/peer", "etcd-peer")]
    {
        insert(&mut files, path, leaf(&etcd_ca, (name, "etcd"), &etcd));
    }
    let account = key();
    files.insert("service-account.key".to_owned(), account.serialize_pem().into_bytes());
    files.insert("service-account.pub".to_owned(), account.public_key_pem().into_bytes());
    files
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap()
}

/// Serial number 0; may sign certificates, but no revocation lists.
fn authority(subject: Subject<'_>) -> Authority {
    let mut params = params(subject, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    params.distinguished_name.push(DnType::OrganizationalUnitName, "bootkube");
    params.serial_number = Some(SerialNumber::from(0));
    CertifiedIssuer::self_signed(params, key()).unwrap()
}

fn params((name, organisation): Subject<'_>, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.subject_alt_names = names.iter().map(|name| alt_name(name)).collect();
    let now = time::OffsetDateTime::now_utc();
    (params.not_before, params.not_after) =
        (now - time::Duration::minutes(5), now + time::Duration::days(365));
    params
}

fn alt_name(name: &str) -> SanType {
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

/// Certificate and key.
fn leaf(authority: &Authority, subject: Subject<'_>, names: &[&str]) -> (String, String) {
    let mut params = params(subject, names);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = key();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn insert(files: &mut Files, path: &str, (certificate, key): (String, String)) {
    files.insert(format!("{path}.crt"), certificate.into_bytes());
    files.insert(format!("{path}.key"), key.into_bytes());
}

fn insert_ca(files: &mut Files, path: &str, authority: &Authority) {
    files.insert(format!("{path}.crt"), authority.pem().into_bytes());
}
