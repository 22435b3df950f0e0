//! A supplied CA, made by openssl: it signs, or the message says what is wrong with it.

use std::fs;
use std::path::Path;

use bootkube::config::*;
use bootkube::finding::Findings;
use bootkube::pki::{
    Action, Bundle, Error, NamedFile, Note, Previous, Supplied, SuppliedFiles, check_supplied, issue,
};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::*;

/// Subjects that a map of attributes cannot hold, and strings that UTF-8 would replace.
const OPENSSL_CONFIG: &str = "
[req]
string_mask = pkix
distinguished_name = dn
x509_extensions = ca
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[bare]
basicConstraints = CA:TRUE
[no_sign]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature
[other_id]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = 01:02:03
[mail]
basicConstraints = critical, CA:TRUE
extendedKeyUsage = emailProtection
";

struct Maker(TempDir);

impl Maker {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("openssl.cnf"), OPENSSL_CONFIG).unwrap();
        Self(folder)
    }

    fn run(&self, words: &str) -> String {
        openssl(self.0.path(), words)
    }

    /// `ca.key` as `genkey` makes it, converted by `convert`, and `ca.crt` for it.
    fn ca(&self, genkey: &str, convert: &str, request: &str) -> &Self {
        self.run(&format!("{genkey} -out ca.key"));
        if !convert.is_empty() {
            self.run(&format!("{convert} -in ca.key -out converted.key"));
            fs::rename(self.0.path().join("converted.key"), self.0.path().join("ca.key")).unwrap();
        }
        self.run(&format!("req -new -x509 -config openssl.cnf -key ca.key -days 30 -out ca.crt {request}"));
        self
    }

    fn file(&self, field: &str, name: &str) -> NamedFile {
        let pem = fs::read(self.0.path().join(name)).unwrap();
        NamedFile { field: field.into(), path: name.into(), pem }
    }

    fn files(&self) -> SuppliedFiles {
        let ca = (self.file("--ca-certificate-path", "ca.crt"), self.file("--ca-private-key-path", "ca.key"));
        SuppliedFiles { ca: Some(ca), ..SuppliedFiles::default() }
    }

    fn check(&self, after: Duration) -> Result<Supplied, Findings> {
        check_supplied(&self.files(), OffsetDateTime::now_utc() + after)
    }

    fn refusal(&self, after: Duration) -> String {
        self.check(after).map(|_| ()).unwrap_err().to_string()
    }

    fn issue(&self, previous: &Previous) -> Result<(Bundle, Vec<Note>), Error> {
        let supplied = self.check(Duration::ZERO).unwrap();
        issue(&config(), supplied, previous, OffsetDateTime::now_utc())
    }
}

const P256: &str = "ecparam -name prime256v1 -genkey -noout";
const SUBJECT: &str = "-subj /CN=my-ca";

/// Name, key, conversion, request.
const KINDS: [(&str, &str, &str, &str); 11] = [
    ("RSA PKCS#1", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "rsa -traditional", SUBJECT),
    ("RSA PKCS#8", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "pkcs8 -topk8 -nocrypt", SUBJECT),
    (
        "RSA 4096, SHA-512",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096",
        "",
        "-subj /CN=my-ca -sha512",
    ),
    ("EC SEC1", P256, "", SUBJECT),
    ("EC SEC1 after its parameters", "ecparam -name prime256v1 -genkey", "", SUBJECT),
    ("EC PKCS#8", P256, "pkcs8 -topk8 -nocrypt", SUBJECT),
    ("EC P-384", "ecparam -name secp384r1 -genkey -noout", "", SUBJECT),
    ("EC P-521", "ecparam -name secp521r1 -genkey -noout", "", SUBJECT),
    ("two OUs", P256, "", "-subj /C=DE/O=Example/OU=one/OU=two/CN=my-ca/emailAddress=ca@demo.example"),
    (
        "UTF-8 and two attributes in one",
        P256,
        "",
        "-utf8 -multivalue-rdn -subj /O=Beispiel+OU=Größe/CN=my-ca",
    ),
    ("neither key usage nor key id", P256, "", "-subj /CN=my-ca -extensions bare"),
];

#[test]
fn every_ca_that_openssl_makes_signs_what_openssl_and_go_verify() {
    let mut go = Vec::new();
    let mut folders = Vec::new();
    for (kind, genkey, convert, request) in KINDS {
        let maker = Maker::new();
        let (bundle, notes) = maker.ca(genkey, convert, request).issue(&Previous::default()).unwrap();
        assert_eq!(
            notes[0],
            Note { path: "ca.crt".into(), action: Action::Created, reason: "as supplied".into() }
        );
        assert_eq!(issuer(bundle.get("admin.crt")), subject(bundle.get("ca.crt")), "{kind}");
        let folder = folder(&bundle.files);
        // The strict rules demand key usage and key id of a CA, which the bare one lacks.
        let strict = if request.contains("bare") { "" } else { "-x509_strict " };
        for (file, usage, host) in [
            ("apiserver.crt", "server", "kubernetes.default.svc.cluster.local"),
            ("admin.crt", "client", "-"),
            ("kube-proxy.crt", "client", "-"),
        ] {
            openssl(folder.path(), &format!("verify {strict}-purpose ssl{usage} -CAfile ca.crt {file}"));
            go.extend([path(folder.path(), "ca.crt"), path(folder.path(), file), usage.into(), host.into()]);
        }
        let (again, notes) = maker.issue(&previous(&bundle)).unwrap();
        assert_eq!(again.files, bundle.files, "{kind}");
        assert!(notes.iter().all(|note| note.action == Action::Kept), "{kind}: {notes:?}");
        folders.push(folder);
    }
    verify_with_go(OffsetDateTime::now_utc(), &go);
}

#[test]
fn go_verifies_what_our_own_cas_sign() {
    for etcd in [Etcd::StaticPod, config().etcd] {
        let bundle = fresh(&ClusterConfig { etcd, ..config() });
        let folder = folder(&bundle.files);
        let rows = [
            ("ca.crt", "apiserver.crt", "server", "10.3.0.1"),
            ("ca.crt", "apiserver.crt", "server", "kubernetes.default.svc"),
            ("ca.crt", "apiserver.crt", "server", "::1"),
            ("ca.crt", "apiserver-kubelet-client.crt", "client", "-"),
            ("ca.crt", "controller-manager.crt", "client", "-"),
            ("front-proxy-ca.crt", "front-proxy-client.crt", "client", "-"),
            ("etcd-ca.crt", "etcd/server.crt", "server", "localhost"),
            ("etcd-ca.crt", "etcd/server.crt", "client", "-"),
            ("etcd-ca.crt", "etcd/peer.crt", "server", "127.0.0.1"),
            ("etcd-client-ca.crt", "etcd-client.crt", "client", "-"),
        ];
        let args = rows.map(|(ca, file, usage, host)| {
            [path(folder.path(), ca), path(folder.path(), file), usage.into(), host.into()]
        });
        verify_with_go(NOW, args.as_flattened());
    }
}

/// The lab needs Go, and so do these tests.
fn verify_with_go(at: OffsetDateTime, args: &[String]) {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pki/verify.go");
    let output =
        lab::go(".").args(["run", program, &at.unix_timestamp().to_string()]).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn path(folder: &Path, file: &str) -> String {
    folder.join(file).to_str().unwrap().to_owned()
}

fn subject(pem: &[u8]) -> Vec<u8> {
    let der = pem::parse(pem).unwrap().into_contents();
    X509Certificate::from_der(&der).unwrap().1.subject().as_raw().to_vec()
}

fn issuer(pem: &[u8]) -> Vec<u8> {
    let der = pem::parse(pem).unwrap().into_contents();
    X509Certificate::from_der(&der).unwrap().1.issuer().as_raw().to_vec()
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let maker = Maker::new();
    maker.ca(P256, "", SUBJECT).run(&format!("{P256} -out ca.key"));
    assert_eq!(
        maker.refusal(Duration::ZERO),
        "--ca-private-key-path: ca.key: holds a private key that does not belong to the certificate in ca.crt; \
         give the key that the certificate was made with"
    );
}

#[test]
fn a_ca_outside_its_time_is_refused() {
    let maker = Maker::new();
    maker.ca(P256, "", SUBJECT);
    assert!(maker.refusal(Duration::days(31)).contains("ca.crt: holds a certificate that expired at"));
    assert!(
        maker.refusal(Duration::days(-1)).contains("ca.crt: holds a certificate that is not valid before")
    );
}

#[test]
fn a_leaf_is_no_ca() {
    let maker = Maker::new();
    let theirs = fresh(&config());
    fs::write(maker.0.path().join("ca.crt"), theirs.get("apiserver.crt")).unwrap();
    fs::write(maker.0.path().join("ca.key"), theirs.get("apiserver.key")).unwrap();
    let text = check_supplied(&maker.files(), NOW).map(|_| ()).unwrap_err().to_string();
    assert!(
        text.starts_with("--ca-certificate-path: ca.crt: holds a certificate that is not a CA"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn extensions_that_forbid_signing_are_refused() {
    let request = |section| format!("{SUBJECT} -extensions {section}");
    let maker = Maker::new();
    assert!(maker.ca(P256, "", &request("no_sign")).refusal(Duration::ZERO).contains("lacks keyCertSign"));
    assert!(
        maker.ca(P256, "", &request("mail")).refusal(Duration::ZERO).contains("extendedKeyUsage forbids")
    );
}

#[test]
fn keys_that_cannot_be_used_are_named_by_kind() {
    let cases = [
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
            "rsa -traditional -aes128 -passout pass:secret",
            "an encrypted private key",
        ),
        (
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
            "pkcs8 -topk8 -passout pass:secret",
            "an encrypted private key",
        ),
        ("genpkey -algorithm ed25519", "", "damaged or of an unsupported kind"),
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024", "", "damaged or of an unsupported kind"),
        ("ecparam -name secp256k1 -genkey -noout", "", "damaged or of an unsupported kind"),
    ];
    for (genkey, convert, message) in cases {
        let maker = Maker::new();
        maker.ca(genkey, "", SUBJECT);
        if !convert.is_empty() {
            maker.run(&format!("{convert} -in ca.key -out locked.key"));
            fs::rename(maker.0.path().join("locked.key"), maker.0.path().join("ca.key")).unwrap();
        }
        let text = maker.refusal(Duration::ZERO);
        let of_the_key: Vec<&str> =
            text.lines().filter(|line| line.starts_with("--ca-private-key")).collect();
        assert!(matches!(of_the_key[..], [line] if line.contains(message)), "{genkey}: {text}");
    }
}

#[test]
fn every_mistake_is_reported_at_once() {
    let file =
        |field: &str, pem: &[u8]| NamedFile { field: field.into(), path: "FILE".into(), pem: pem.to_vec() };
    let theirs = fresh(&config());
    let two = [theirs.get("ca.crt"), theirs.get("etcd-ca.crt")].concat();
    let files = SuppliedFiles {
        ca: Some((file("--ca-certificate-path", &two), file("--ca-private-key-path", theirs.get("ca.crt")))),
        etcd_client: Some((
            file("--etcd-ca-path", b""),
            file("--etcd-certificate-path", theirs.get("admin.key")),
            file("--etcd-private-key-path", b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----"),
        )),
        ..SuppliedFiles::default()
    };
    let text = check_supplied(&files, NOW).map(|_| ()).unwrap_err().to_string();
    let heads: Vec<&str> = text.lines().map(|line| line.split_once(';').unwrap().0).collect();
    assert_eq!(
        heads,
        [
            "--ca-certificate-path: FILE: holds 2 certificates",
            "--ca-private-key-path: FILE: holds no private key",
            "--etcd-ca-path: FILE: is not PEM",
            "--etcd-certificate-path: FILE: holds no certificate",
            "--etcd-private-key-path: FILE: is not PEM",
        ]
    );
}

#[test]
fn another_ca_than_that_of_the_existing_tree_is_refused() {
    let maker = Maker::new();
    let (bundle, _) = maker.ca(P256, "", SUBJECT).issue(&Previous::default()).unwrap();
    let same_key = "req -new -x509 -config openssl.cnf -key ca.key -days 20 -out ca.crt -subj /CN=my-ca";
    maker.run(same_key);
    let (renewed, notes) = maker.issue(&previous(&bundle)).unwrap();
    assert_eq!(paths_of(&notes, Action::Renewed), ["ca.crt"]);
    assert_eq!(renewed.get("admin.crt"), bundle.get("admin.crt"));
    maker.run(&same_key.replace("-days 20", "-days 60"));
    let (longer, notes) = maker.issue(&previous(&bundle)).unwrap();
    let admin = notes.iter().find(|note| note.path == "admin.crt").unwrap();
    let reason = "it ended with the earlier certificate of its CA";
    assert_eq!((admin.action, admin.reason.as_str()), (Action::Renewed, reason));
    openssl(folder(&longer.files).path(), "verify -x509_strict -CAfile ca.crt admin.crt");
    maker.run(&format!("{same_key} -extensions other_id"));
    let (renewed, notes) = maker.issue(&previous(&bundle)).unwrap();
    assert_eq!(actions(&notes)["admin.crt"], Action::Renewed);
    openssl(folder(&renewed.files).path(), "verify -x509_strict -CAfile ca.crt admin.crt");
    let error = maker.ca(P256, "", SUBJECT).issue(&previous(&bundle)).unwrap_err();
    assert!(
        error.to_string().starts_with("--ca-certificate-path: ca.crt: is another CA than tls/ca.crt"),
        "{error}"
    );
}

#[test]
fn files_are_read_as_configured_and_missing_ones_reported_together() {
    let maker = Maker::new();
    maker.ca(P256, "", SUBJECT);
    let at = |name| path(maker.0.path(), name);
    let with = |certificate, private_key| {
        let user_file = |name, field: &str| UserFile { path: at(name), field: field.to_owned() };
        let ca = Some(CaFiles {
            certificate: user_file(certificate, "--ca-certificate-path"),
            private_key: user_file(private_key, "cluster.yaml: ca.privateKeyFile"),
        });
        Supplied::read(&ClusterConfig { ca, ..config() }, OffsetDateTime::now_utc())
    };
    assert!(with("ca.crt", "ca.key").is_ok());
    let text = with("none.crt", "none.key").map(|_| ()).unwrap_err().to_string();
    assert_eq!(text.matches("cannot be read: No such file").count(), 2, "{text}");
    let heads = text.lines().map(|line| line.split(": /").next().unwrap());
    assert_eq!(heads.collect::<Vec<_>>(), ["--ca-certificate-path", "cluster.yaml: ca.privateKeyFile"]);
}
