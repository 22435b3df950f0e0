use proptest::prelude::*;

use super::*;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";

/// As `bootkube render` of v0.14 wrote it: an unnamed context, none of them current.
fn v014() -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster:\n    server: https://api.example.test:6443\n    \
         certificate-authority-data: {ca}\nusers:\n- name: admin\n  user:\n    client-certificate-data: {ca}\n    \
         client-key-data: {key}\ncontexts:\n- context:\n    cluster: local\n    user: admin\n",
        ca = STANDARD.encode(CERTIFICATE),
        key = STANDARD.encode(KEY),
    )
}

/// Two contexts, files, a token.
fn modern() -> String {
    "apiVersion: v1\nkind: Config\ncurrent-context: b\nclusters:\n- name: a\n  cluster: {server: 'https://wrong.example.test'}\n\
     - name: b\n  cluster:\n    server: https://[2001:db8::1]:6443\n    certificate-authority: ca.crt\n    tls-server-name: api\n\
     users:\n- name: b\n  user: {token: abcdef.0123456789abcdef}\ncontexts:\n- name: a\n  context: {cluster: a, user: a}\n\
     - name: b\n  context: {cluster: b, user: b}\n"
        .to_owned()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.crt"), CERTIFICATE).unwrap();
    std::fs::write(folder.path().join("token"), "file.token\n").unwrap();
    folder
}

fn parsed(text: &str, folder: &tempfile::TempDir) -> Result<Access, Error> {
    parse(text.as_bytes(), &folder.path().join("kubeconfig"))
}

#[test]
fn reads_what_v0_14_wrote() {
    let access = parsed(&v014(), &folder()).unwrap();
    assert_eq!(access.server.as_str(), "https://api.example.test:6443/");
    assert_eq!(access.ca, CERTIFICATE.as_bytes());
    let identity = Identity::Certificate { certificate: CERTIFICATE.into(), key: KEY.into() };
    assert_eq!(access.identity, identity);
}

#[test]
fn reads_the_current_context_and_the_files_beside_it() {
    let access = parsed(&modern(), &folder()).unwrap();
    assert_eq!(access.server.host_str(), Some("[2001:db8::1]"));
    assert_eq!(access.ca, CERTIFICATE.as_bytes());
    assert_eq!(access.tls_server_name.as_deref(), Some("api"));
    assert_eq!(access.identity, Identity::Token("abcdef.0123456789abcdef".into()));
}

#[test]
fn reads_a_token_from_a_file() {
    let text = modern().replace("token: abcdef.0123456789abcdef", "tokenFile: token");
    assert_eq!(parsed(&text, &folder()).unwrap().identity, Identity::Token("file.token".into()));
}

#[test]
fn an_empty_current_context_is_none() {
    let text = format!("current-context: ''\n{}", v014());
    assert!(parsed(&text, &folder()).is_ok());
}

#[test]
fn every_mistake_names_its_field() {
    let without = |text: &str, part: &str| text.replace(part, "");
    let table = [
        (without(&v014(), "    cluster: local\n"), "contexts[0].context.cluster is missing"),
        (v014().replace("user: admin", "user: nobody"), "users has no entry named `nobody`"),
        (format!("current-context: x\n{}", v014()), "contexts has no entry named `x`"),
        (
            v014().replace("https://api.example.test:6443", "http://api.example.test"),
            "clusters[0].cluster.server must start with https://",
        ),
        (
            v014().replace("api.example.test:6443", "api.example.test/k8s"),
            "clusters[0].cluster.server has a path",
        ),
        (v014().replace("https://api.example.test:6443", "'::'"), "clusters[0].cluster.server is no URL"),
        (
            v014().replace("certificate-authority-data", "x"),
            "clusters[0].cluster.certificate-authority-data is missing",
        ),
        (
            v014().replace("certificate-authority-data: ", "certificate-authority-data: '*'\n    x: "),
            "certificate-authority-data is not base64",
        ),
        (
            v014().replace(&STANDARD.encode(KEY), &STANDARD.encode("secret")),
            "users[0].user.client-key holds no PEM block",
        ),
        (v014().replace("client-key-data", "x"), "users[0].user.client-key-data is missing beside"),
        (
            v014().replace("client-certificate-data", "x"),
            "users[0].user.client-certificate-data is missing beside",
        ),
        (
            v014().replace("    server:", "    insecure-skip-tls-verify: true\n    server:"),
            "clusters[0].cluster.insecure-skip-tls-verify is not supported",
        ),
        (
            v014().replace("  user:\n    client", "  user:\n    exec: {command: x}\n    client"),
            "users[0].user.exec is not supported",
        ),
        (modern().replace("{token: abcdef.0123456789abcdef}", "{}"), "users[0].user holds neither"),
        (modern().replace("abcdef.0123456789abcdef", "[a]"), "users[0].user.token must be a string"),
        (
            modern().replace("abcdef.0123456789abcdef", "'a\\u0007 b'"),
            "users[0].user.token must be of visible",
        ),
        (modern().replace("ca.crt", "missing.crt"), "named by clusters[1].cluster.certificate-authority of"),
        (modern().replace("users:", "users: 7\nx:"), "users must be a list"),
        (String::new(), "is empty"),
        ("a: 1\n---\nb: 2\n".into(), "holds 2 documents"),
        ("a: [".into(), "kubeconfig"),
        ("7".into(), "contexts is missing or empty"),
    ];
    for (text, message) in table {
        let error = parsed(&text, &folder()).expect_err(message).to_string();
        assert!(error.contains(message) && error.contains("kubeconfig"), "{error:?} lacks {message:?}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let access = parsed(&modern(), &folder()).unwrap();
    assert!(!format!("{access:?}").contains("abcdef"), "{access:?}");
    let certificate = parsed(&v014(), &folder()).unwrap();
    assert!(!format!("{certificate:?}").contains("PRIVATE"), "{certificate:?}");
}

/// Bytes put in, taken out or repeated somewhere.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        prop::sample::select(vec![
            ":", "- ", "{", "[", "'", "&a ", "*a", "<<: ", "!!int ", "|\n", "\n---\n", "~", "#", "\t"
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
    ];
    let edit = (any::<prop::sample::Index>(), 0..40usize, piece);
    (prop::bool::ANY, prop::collection::vec(edit, 1..6)).prop_map(|(old, edits)| {
        let mut bytes = if old { v014() } else { modern() }.into_bytes();
        for (at, length, piece) in edits {
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, piece);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_kubeconfig_makes_it_panic(bytes in mutated()) {
        drop(parse(&bytes, Path::new("/nonexistent/kubeconfig")));
    }
}
