//! What people bring, through the built program: exit code, file, field and cure.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::command::bootkube;
use crate::support::openssl;

const HEADER: &str =
    "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\napiServers: [\"https://192.0.2.10:6443\"]\n";
/// A configuration with a Kubernetes CA of the user's.
const CA: &str = "etcd: {mode: staticPod}\nca: {certificateFile: ca.crt, privateKeyFile: ca.key}";
/// A configuration with an etcd client of the user's.
const CLIENT: &str = "etcd: {servers: [\"https://192.0.2.20:2379\"], caFile: ca.crt, \
                      certificateFile: client.crt, privateKeyFile: client.key}";
const P256: &str = "ecparam -name prime256v1 -genkey -noout";
const AUTHORITY: &str = "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign";
const CLIENT_AUTH: &str = "extendedKeyUsage = clientAuth";

/// A folder with keys of two pairs and one more.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["ca", "client", "other"] {
        openssl(folder.path(), &format!("{P256} -out {name}.key"));
    }
    folder
}

/// NAME.crt for NAME.key with `extensions`, signed by `signer` or by itself.
fn certificate(folder: &Path, name: &str, extensions: &str, signer: Option<&str>, request: &str) {
    let config = format!("[req]\ndistinguished_name = dn\n[dn]\n[extensions]\n{extensions}\n");
    fs::write(folder.join("openssl.cnf"), config).unwrap();
    let by = signer.map(|ca| format!(" -CA {ca}.crt -CAkey {ca}.key")).unwrap_or_default();
    let request = if request.is_empty() { "-days 3000" } else { request };
    openssl(
        folder,
        &format!(
            "req -new -x509 -config openssl.cnf -extensions extensions -key {name}.key -subj /CN=their-{name} \
             {request}{by} -out {name}.crt"
        ),
    );
}

/// Exit code and standard error of `render`, and of `config validate` with the same input.
fn both(folder: &Path, fields: &str, flags: &[&str]) -> [(Option<i32>, String); 2] {
    fs::write(folder.join("cluster.yaml"), format!("{HEADER}{fields}\n")).unwrap();
    [&["render", "--asset-dir=assets"][..], &["config", "validate"]].map(|command| {
        let line = [command, &["--config=cluster.yaml"], flags].concat();
        let output = bootkube(folder, &line, "");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    })
}

/// Both commands refuse, and say all of `wanted` in one line.
fn refused(folder: &Path, fields: &str, flags: &[&str], wanted: &[&str]) {
    for (code, said) in both(folder, fields, flags) {
        assert_eq!(code, Some(3), "{wanted:?}\n{said}");
        let has_all = |line: &str| wanted.iter().all(|word| line.contains(word));
        assert!(said.lines().any(has_all), "{wanted:?} in\n{said}");
    }
    assert!(!folder.join("assets").exists(), "{wanted:?}: something was written");
}

#[test]
fn a_ca_whose_certificates_kubernetes_would_refuse_is_refused_with_the_reason() {
    let unconstrained = "without nameConstraints";
    let table: [(&str, &[&str]); 12] = [
        (
            "nameConstraints = critical, permitted;DNS:example.com",
            &[
                "(here apiserver.crt)",
                "do not allow kubernetes, kubernetes.default,",
                "localhost",
                unconstrained,
            ],
        ),
        ("nameConstraints = excluded;IP:127.0.0.0/255.0.0.0", &["do not allow 127.0.0.1;", unconstrained]),
        (
            "nameConstraints = permitted;IP:192.0.2.0/255.255.255.0",
            &["do not allow 127.0.0.1, ::1, 10.3.0.1", unconstrained],
        ),
        (
            "nameConstraints = excluded;DNS:cluster.local",
            &["kubernetes.default.svc.cluster.local", unconstrained],
        ),
        (
            "nameConstraints = critical, permitted;dirName:dn",
            &["critical extension 2.5.29.30", "not critical"],
        ),
        ("nameConstraints = permitted;IP:10.0.0.0/255.0.255.0", &["mask has holes", "without it"]),
        ("1.2.3.4 = critical, ASN1:UTF8String:x", &["critical extension 1.2.3.4", "not critical"]),
        ("extendedKeyUsage = serverAuth", &["extendedKeyUsage forbids", "serverAuth and clientAuth"]),
        ("2.5.29.14 = critical, DER:04:03:01:02:03", &["extension 2.5.29.14 as critical", "without it"]),
        ("keyUsage = critical, cRLSign", &["lacks keyCertSign", "keyUsage has keyCertSign"]),
        ("basicConstraints = CA:FALSE", &["is not a CA", "CA:TRUE"]),
        ("basicConstraints = DER:30:03:01:01:07", &["malformed extension 2.5.29.19", "without it"]),
    ];
    for (extension, wanted) in table {
        let folder = folder();
        let name = extension.split(' ').next().unwrap();
        let others = AUTHORITY.lines().filter(|line| !line.starts_with(name)).collect::<Vec<_>>().join("\n");
        certificate(folder.path(), "ca", &format!("{others}\n{extension}"), None, "");
        let wanted = [&["cluster.yaml: ca.certificateFile: ca.crt: "], wanted].concat();
        refused(folder.path(), CA, &[], &wanted);
    }
}

#[test]
fn keys_and_numbers_that_go_does_not_read_are_refused() {
    let cases = [
        ("ecparam -name prime256v1 -genkey -noout -param_enc explicit", "", "explicit parameters"),
        ("ecparam -name secp256k1 -genkey -noout", "", "curve 1.3.132.0.10"),
        (P256, "-days 9 -set_serial -5", "negative serial number"),
    ];
    for (genkey, request, wanted) in cases {
        let folder = folder();
        openssl(folder.path(), &format!("{genkey} -out ca.key"));
        certificate(folder.path(), "ca", AUTHORITY, None, request);
        refused(
            folder.path(),
            CA,
            &[],
            &["cluster.yaml: ca.certificateFile: ca.crt: ", wanted, "without it"],
        );
    }
}

#[test]
fn an_etcd_client_is_refused_unless_etcd_and_the_apiserver_can_use_it() {
    let client = "cluster.yaml: etcd.certificateFile: client.crt: ";
    let ca = "cluster.yaml: etcd.caFile: ca.crt: ";
    let table: [(&str, &str, &str, &[&str]); 9] = [
        (AUTHORITY, "extendedKeyUsage = serverAuth", "", &[client, "not made for clients", "has clientAuth"]),
        (
            AUTHORITY,
            "extendedKeyUsage = codeSigning",
            "",
            &[client, "not made for clients", "has clientAuth"],
        ),
        (AUTHORITY, CLIENT_AUTH, "-days 9 -sha1", &[client, "SHA-1", "SHA-256"]),
        (
            AUTHORITY,
            "1.2.3.4 = critical, ASN1:UTF8String:x",
            "",
            &[client, "critical extension", "without it"],
        ),
        ("basicConstraints = CA:FALSE", CLIENT_AUTH, "", &[ca, "is no CA", "CA:TRUE"]),
        (
            "basicConstraints = CA:TRUE\nkeyUsage = cRLSign",
            CLIENT_AUTH,
            "",
            &[ca, "may not sign", "keyCertSign"],
        ),
        (
            "basicConstraints = CA:TRUE\nextendedKeyUsage = clientAuth",
            CLIENT_AUTH,
            "",
            &[
                ca,
                "holds no CA that can stand above etcd's server 192.0.2.20: its extendedKeyUsage lacks serverAuth;",
                "CA that signed",
            ],
        ),
        (
            "basicConstraints = CA:TRUE\nextendedKeyUsage = serverAuth",
            CLIENT_AUTH,
            "",
            &[ca, "\"their-ca\" is not made for clients", "has clientAuth"],
        ),
        (
            "basicConstraints = CA:TRUE\nnameConstraints = permitted;IP:10.0.0.0/255.0.0.0",
            CLIENT_AUTH,
            "",
            &[
                ca,
                "holds no CA that can stand above etcd's server 192.0.2.20: its nameConstraints do not allow",
                "CA that signed",
            ],
        ),
    ];
    for (authority, leaf, request, wanted) in table {
        let folder = folder();
        certificate(folder.path(), "ca", authority, None, "");
        certificate(folder.path(), "client", leaf, Some("ca"), request);
        refused(folder.path(), CLIENT, &[], wanted);
    }
}

#[test]
fn an_etcd_client_of_another_ca_is_accepted_with_a_warning_unless_etcd_itself_would_refuse_it() {
    let folder = folder();
    let here = folder.path();
    certificate(here, "ca", AUTHORITY, None, "");
    certificate(here, "other", AUTHORITY, None, "");
    certificate(here, "client", CLIENT_AUTH, Some("other"), "");
    let warning = "warning: cluster.yaml: etcd.certificateFile: client.crt: etcd must trust the CA that signed it \
                   (--trusted-ca-file); cluster.yaml: etcd.caFile: ca.crt holds another one\n";
    for (code, said) in both(here, CLIENT, &[]) {
        assert_eq!((code, said.as_str()), (Some(0), warning));
    }
    let rendered = |name| fs::read(here.join("assets/tls").join(name)).unwrap();
    assert_eq!(rendered("etcd-client.crt"), fs::read(here.join("client.crt")).unwrap());
    assert_eq!(rendered("etcd-client-ca.crt"), fs::read(here.join("ca.crt")).unwrap());
    fs::remove_dir_all(here.join("assets")).unwrap();
    let client = "cluster.yaml: etcd.certificateFile: client.crt: ";
    let table: [(&str, &str, &str); 3] = [
        ("extendedKeyUsage = serverAuth", "", "not made for clients"),
        ("1.2.3.4 = critical, ASN1:UTF8String:x", "", "critical extension 1.2.3.4"),
        (CLIENT_AUTH, "-days 9 -sha1", "SHA-1"),
    ];
    for (leaf, request, wanted) in table {
        certificate(here, "client", leaf, Some("other"), request);
        refused(here, CLIENT, &[], &[client, wanted]);
    }
}

#[test]
fn the_own_certificate_of_an_etcd_server_may_stand_for_its_ca() {
    let client =
        "cluster.yaml: etcd.caFile: ca.crt: holds no CA that can stand above etcd's server 192.0.2.20: ";
    let table = [
        ("subjectAltName = IP:192.0.2.20", true),
        ("subjectAltName = IP:192.0.2.20\nextendedKeyUsage = serverAuth", true),
        ("subjectAltName = IP:192.0.2.20\nextendedKeyUsage = clientAuth", false),
        ("subjectAltName = IP:192.0.2.21\nextendedKeyUsage = serverAuth", false),
    ];
    for (extensions, is_accepted) in table {
        let folder = folder();
        let here = folder.path();
        certificate(here, "ca", &format!("basicConstraints = CA:FALSE\n{extensions}"), None, "");
        certificate(here, "other", AUTHORITY, None, "");
        certificate(here, "client", CLIENT_AUTH, Some("other"), "");
        if !is_accepted {
            refused(here, CLIENT, &[], &[client, "its basicConstraints lack CA:TRUE; ", "CA that signed"]);
            continue;
        }
        for (code, said) in both(here, CLIENT, &[]) {
            assert_eq!(code, Some(0), "{extensions}: {said}");
        }
    }
}

#[test]
fn an_etcd_client_with_another_key_is_refused() {
    let folder = folder();
    let here = folder.path();
    certificate(here, "ca", AUTHORITY, None, "");
    certificate(here, "other", AUTHORITY, None, "");
    certificate(here, "client", CLIENT_AUTH, Some("other"), "");
    let key = "cluster.yaml: etcd.privateKeyFile: ";
    let with = |field: &str, file: &str| {
        CLIENT.replace(
            &format!("{field}: {}", if field == "privateKeyFile" { "client.key" } else { "ca.crt" }),
            &format!("{field}: {file}"),
        )
    };
    let wanted = [key, "ca.key: ", "does not belong", "client.crt, but to that in", "etcd.caFile (ca.crt)"];
    refused(here, &with("privateKeyFile", "ca.key"), &[], &wanted);
    // A bundle may hold more than the CA that is needed.
    let both_cas =
        [fs::read(here.join("ca.crt")).unwrap(), fs::read(here.join("other.crt")).unwrap()].concat();
    fs::write(here.join("bundle.crt"), both_cas).unwrap();
    for (code, said) in both(here, &with("caFile", "bundle.crt"), &[]) {
        assert_eq!((code, said.as_str()), (Some(0), ""));
    }
}

#[test]
fn exchanged_files_are_named_as_the_user_named_them() {
    let folder = folder();
    let here = folder.path();
    certificate(here, "ca", AUTHORITY, None, "");
    certificate(here, "client", CLIENT_AUTH, Some("ca"), "");
    let etcd = |ca: &str, certificate: &str, key: &str| {
        CLIENT
            .replace("caFile: ca.crt", &format!("caFile: {ca}"))
            .replace("certificateFile: client.crt", &format!("certificateFile: {certificate}"))
            .replace("privateKeyFile: client.key", &format!("privateKeyFile: {key}"))
    };
    let ca = "etcd: {mode: staticPod}\nca: {certificateFile: ca.key, privateKeyFile: ca.crt}";
    let by_flags = ["--ca-certificate-path=ca.key", "--ca-private-key-path=ca.crt"];
    let half_by_flag = "etcd: {mode: staticPod}\nca: {certificateFile: ca.key, privateKeyFile: ca.key}";
    let table: [(&str, &[&str], &[&str]); 6] = [
        (
            ca,
            &[],
            &["cluster.yaml: ca.certificateFile: ca.key: ", "cluster.yaml: ca.privateKeyFile (ca.crt)"],
        ),
        (
            "etcd: {mode: staticPod}",
            &by_flags,
            &["--ca-certificate-path: ca.key: ", "--ca-private-key-path (ca.crt)"],
        ),
        (
            half_by_flag,
            &by_flags[1..],
            &["cluster.yaml: ca.certificateFile: ca.key: ", "--ca-private-key-path (ca.crt)"],
        ),
        (
            &etcd("ca.crt", "client.key", "client.crt"),
            &[],
            &["cluster.yaml: etcd.certificateFile: client.key: ", "etcd.privateKeyFile (client.crt)"],
        ),
        (
            &etcd("client.key", "client.crt", "ca.crt"),
            &[],
            &["cluster.yaml: etcd.caFile: client.key: ", "etcd.privateKeyFile (ca.crt)"],
        ),
        (
            &etcd("client.crt", "ca.crt", "client.key"),
            &[],
            &["cluster.yaml: etcd.caFile: client.crt: ", "etcd.certificateFile (ca.crt)"],
        ),
    ];
    for (fields, flags, wanted) in table {
        let wanted = [wanted, &["seem to be exchanged", "exchange the two"]].concat();
        refused(here, fields, flags, &wanted);
    }
}

#[test]
fn what_ends_soon_is_told_and_rendered() {
    let folder = folder();
    let here = folder.path();
    let ca_ends =
        ["cluster.yaml: ca.certificateFile: ca.crt: the CA ends at ", "in 2 d", "same subject and key"];
    let etcd_ca_ends =
        ["cluster.yaml: etcd.caFile: ca.crt: the CA ends at ", "in 20 d", "same subject and key"];
    let client_ends = [
        "cluster.yaml: etcd.certificateFile: client.crt: ends at ",
        "in 3 d; from then on the apiserver cannot reach etcd: give a newer one",
    ];
    let table: [(&str, &str, &str, &[&str]); 5] = [
        (CA, "-days 3", "", &ca_ends),
        (CLIENT, "-days 21", "-days 20", &etcd_ca_ends),
        (CLIENT, "-days 3000", "-days 4", &client_ends),
        (CA, "-days 3000", "", &[]),
        (CLIENT, "-days 3000", "-days 90", &[]),
    ];
    for (fields, ca, client, wanted) in table {
        certificate(here, "ca", AUTHORITY, None, ca);
        certificate(here, "client", CLIENT_AUTH, Some("ca"), client);
        for (code, said) in both(here, fields, &[]) {
            assert_eq!(code, Some(0), "{said}");
            let has_all =
                |line: &str| line.starts_with("warning: ") && wanted.iter().all(|word| line.contains(word));
            assert_eq!(said.lines().any(has_all), !wanted.is_empty(), "{wanted:?} in\n{said}");
        }
        fs::remove_dir_all(here.join("assets")).unwrap();
    }
    // A CA of an earlier render ends as well, and has no file of the user's.
    let short = "etcd: {mode: staticPod}\ncertificates: {validity: 2d, caValidity: 2d}";
    let [(_, said), _] = both(here, short, &[]);
    assert!(said.contains("warning: certificates.validity: what is issued now ends at "), "{said}");
    let [(code, said), _] = both(here, "etcd: {mode: staticPod}", &[]);
    assert_eq!(code, Some(0), "{said}");
    for file in ["tls/ca.crt", "tls/front-proxy-ca.crt", "tls/etcd-ca.crt"] {
        assert!(said.contains(&format!("warning: {file}: the CA ends at ")), "{file} in\n{said}");
    }
}

#[test]
fn a_ca_that_another_one_signed_is_taken_with_a_warning() {
    let folder = folder();
    let here = folder.path();
    certificate(here, "client", AUTHORITY, None, "-days 3000");
    certificate(here, "ca", AUTHORITY, Some("client"), "-days 3000");
    let [(code, said), _] = both(here, CA, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ca.certificateFile: ca.crt: another CA signed it"), "{said}");
}

#[test]
fn a_file_that_is_elsewhere_is_only_a_warning_for_validate() {
    let folder = folder();
    certificate(folder.path(), "ca", AUTHORITY, None, "");
    fs::remove_file(folder.path().join("ca.key")).unwrap();
    let [(render, _), (validate, said)] = both(folder.path(), CA, &[]);
    assert_eq!((render, validate), (Some(3), Some(0)), "{said}");
    assert!(said.contains("warning: cluster.yaml: ca.privateKeyFile: ca.key: cannot be read"), "{said}");
}
