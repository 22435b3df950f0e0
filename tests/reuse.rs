//! Rendering again: what a running cluster depends on stays, what the user added or changed is not
//! lost, and mistakes are reported before anything is written. The rules for single certificates
//! are tested in `tests/pki`.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bootkube::assets::write;
use bootkube::config::{self, ClusterConfig, Flags};
use bootkube::pki::{Bundle, Previous, Supplied, issue};
use support::{bootkube, contents, render};
use tempfile::TempDir;
use time::OffsetDateTime;

const DAY: Duration = Duration::from_secs(86_400);

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

/// Renders into assets with `arguments`: exits 3, and returns what it said.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = bootkube(folder, &[&["render", "--asset-dir=assets"], arguments].concat(), "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty());
    said
}

/// What `arguments` differ in from what was rendered before: paths below assets.
fn changed(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let paths = before.keys().chain(after.keys().filter(|path| !before.contains_key(*path)));
    paths.filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}

#[test]
fn a_second_render_keeps_every_byte_and_says_what_it_kept() {
    let folder = folder();
    let first = render(folder.path(), "etcd: {mode: staticPod}");
    assert!(!first.contains("kept") && first.contains("bootkube start --asset-dir assets"), "{first}");
    let assets = folder.path().join("assets");
    let before = contents(&assets);
    let second = render(folder.path(), "etcd: {mode: staticPod}");
    assert_eq!(changed(&before, &contents(&assets)), Vec::<String>::new());
    for path in before.keys().filter(|path| path.starts_with("tls/") && path.ends_with(".key")) {
        let name = path.trim_start_matches("tls/").trim_end_matches(".key");
        let told = |ending: &str| second.contains(&format!("{name}{ending}: kept: "));
        assert!(told(".crt") || told(".key"), "{name} in\n{second}");
    }
    assert!(second.contains("bootstrap token: kept: valid until "), "{second}");
    let others = second.lines().filter(|line| !line.contains(": kept: "));
    assert_eq!(
        others.collect::<Vec<_>>(),
        first.lines().collect::<Vec<_>>(),
        "nothing else became of anything"
    );
}

#[test]
fn files_are_for_their_owner_only_after_either_render() {
    let folder = folder();
    for _ in 0..2 {
        render(folder.path(), "");
        let assets = folder.path().join("assets");
        for path in contents(&assets).keys() {
            for path in assets.join(path).ancestors().take_while(|path| path.starts_with(&assets)) {
                let mode = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
                assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
            }
        }
    }
}

fn resolved() -> ClusterConfig {
    let text = "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n";
    config::resolve(Flags::default(), Some(("cluster.yaml", text))).unwrap().0
}

/// What was issued `ago`, reusing `previous`.
fn issued(config: &ClusterConfig, previous: &Previous, ago: Duration) -> Bundle {
    issue(config, Supplied::default(), previous, OffsetDateTime::now_utc() - ago).unwrap().0
}

/// Writes what renders from `bundle`.
fn write(folder: &Path, bundle: &Bundle) {
    let assets = bootkube::render::render(&resolved(), bundle).unwrap();
    write::write(&folder.join("assets"), &assets).unwrap();
}

#[test]
fn only_the_expired_certificate_is_renewed_for_its_key_and_the_reason_is_reported() {
    let config = resolved();
    let old = issued(&config, &Previous::default(), 400 * DAY);
    let previous = Previous { files: old.files.clone(), ..Previous::default() };
    let mut bundle = issued(&config, &previous, Duration::ZERO);
    bundle.files.insert("scheduler.crt".to_owned(), old.files["scheduler.crt"].clone());
    let folder = folder();
    write(folder.path(), &bundle);
    let before = contents(&folder.path().join("assets"));
    let said = render(folder.path(), "");
    let after = contents(&folder.path().join("assets"));
    let changed = changed(&before, &after);
    let wanted = [
        "bootkube.json",
        "manifests/kube-scheduler-secret.yaml",
        "manifests/kube-scheduler.yaml",
        "tls/scheduler.crt",
    ];
    assert_eq!(changed, wanted);
    let line = said.lines().find(|line| line.starts_with("scheduler.crt: ")).unwrap();
    assert!(
        line.starts_with("scheduler.crt: renewed: it was valid from 20") && line.contains(" until "),
        "{said}"
    );
    assert_eq!(said.matches(": renewed: ").count(), 1, "{said}");
    assert!(verifies(&folder.path().join("assets/tls"), "scheduler.crt"));
}

#[test]
fn an_expired_ca_of_an_earlier_render_is_reported_and_never_replaced() {
    let mut config = resolved();
    config.certificates.ca_validity = 30 * DAY;
    let folder = folder();
    write(folder.path(), &issued(&config, &Previous::default(), 60 * DAY));
    let before = contents(&folder.path().join("assets"));
    let said = refused(folder.path(), &[]);
    assert!(
        said.contains("tls/ca.crt: holds a certificate that expired at ")
            && said.contains("same subject and key")
    );
    assert_eq!(changed(&before, &contents(&folder.path().join("assets"))), Vec::<String>::new());
}

#[test]
fn files_that_the_user_added_stay_and_an_edited_one_is_refused_by_name() {
    let folder = folder();
    render(folder.path(), "");
    let assets = folder.path().join("assets");
    let own = assets.join("manifests/own/app.yaml");
    fs::create_dir(own.parent().unwrap()).unwrap();
    fs::write(&own, "kind: Mine").unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o640)).unwrap();
    render(folder.path(), "coreDNS: {replicas: 3}");
    assert_eq!(fs::read_to_string(&own).unwrap(), "kind: Mine");
    assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o7777, 0o640);

    let edited = assets.join("manifests/coredns-deployment.yaml");
    let text = fs::read_to_string(&edited).unwrap();
    assert!(text.contains("replicas: 3"));
    fs::write(&edited, text.replace("replicas: 3", "replicas: 4")).unwrap();
    let before = contents(&assets);
    let said = refused(folder.path(), &["--config=cluster.yaml", "--cluster-name=other"]);
    assert!(said.contains("assets/manifests/coredns-deployment.yaml: it was changed by hand"), "{said}");
    assert!(said.contains("components.<name>.patches") && !said.contains("app.yaml"), "{said}");
    assert_eq!(changed(&before, &contents(&assets)), Vec::<String>::new());
}

#[test]
fn files_that_are_no_longer_rendered_are_removed_and_reported() {
    let folder = folder();
    render(folder.path(), "");
    fs::write(folder.path().join("assets/tls/own.txt"), "mine").unwrap();
    let said = render(folder.path(), "aggregation: false\nnetworking: none");
    let removed: Vec<&str> =
        said.lines().filter_map(|line| line.strip_suffix(": removed: no longer rendered")).collect();
    assert_eq!(removed.len(), 4 + 5, "{said}");
    assert!(
        removed.contains(&"tls/front-proxy-ca.key") && removed.contains(&"manifests/flannel.yaml"),
        "{said}"
    );
    assert!(removed.iter().all(|path| !folder.path().join("assets").join(path).exists()));
    assert!(folder.path().join("assets/tls/own.txt").exists() && !said.contains("own.txt"), "{said}");
}

/// Runs openssl in `folder`, with the words of `line`.
fn openssl(folder: &Path, line: &str) -> bool {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().unwrap();
    if !output.status.success() {
        println!("openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

fn verifies(tls: &Path, certificate: &str) -> bool {
    openssl(tls, &format!("verify -CAfile ca.crt {certificate}"))
}

/// Makes NAME.key with `line` and NAME.crt, a CA.
fn authority(folder: &Path, name: &str, line: &str) {
    assert!(openssl(folder, &format!("{line} -out {name}.key")));
    let request =
        format!("req -x509 -new -key {name}.key -subj /O=Example/CN={name} -days 30 -out {name}.crt");
    assert!(openssl(folder, &request));
}

const BY_FLAGS: [&str; 2] = ["--ca-certificate-path=own.crt", "--ca-private-key-path=own.key"];

#[test]
fn a_ca_made_by_openssl_signs_the_cluster_and_is_needed_only_once() {
    for (line, tag) in [
        ("genrsa -traditional", "-----BEGIN RSA PRIVATE KEY-----"),
        ("ecparam -name prime256v1 -genkey", "-----BEGIN EC PRIVATE KEY-----"),
        ("ecparam -name secp384r1 -genkey -noout", "-----BEGIN EC PRIVATE KEY-----"),
        ("genpkey -algorithm RSA", "-----BEGIN PRIVATE KEY-----"),
        ("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", "-----BEGIN PRIVATE KEY-----"),
    ] {
        let folder = folder();
        authority(folder.path(), "own", line);
        assert!(fs::read_to_string(folder.path().join("own.key")).unwrap().contains(tag), "{line}");
        let arguments = [&["render", "--asset-dir=assets"], &BY_FLAGS[..]].concat();
        let output = bootkube(folder.path(), &arguments, "");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        let assets = folder.path().join("assets");
        let before = contents(&assets);
        assert_eq!(before["tls/ca.crt"], fs::read(folder.path().join("own.crt")).unwrap());
        for name in ["apiserver", "admin", "apiserver-kubelet-client", "controller-manager"] {
            assert!(verifies(&assets.join("tls"), &format!("{name}.crt")), "{line}: {name}");
        }
        // The directory holds the CA now: the flags may be given again or left out.
        for arguments in [&arguments[..], &arguments[..2]] {
            assert!(bootkube(folder.path(), arguments, "").status.success());
            assert_eq!(changed(&before, &contents(&assets)), [""; 0], "{line}: {arguments:?}");
        }
    }
}

#[test]
fn a_ca_that_cannot_be_used_is_refused_with_file_and_cure_and_nothing_is_written() {
    let folder = folder();
    let here = folder.path();
    authority(here, "own", "genpkey -algorithm RSA");
    authority(here, "other", "genpkey -algorithm RSA");
    assert!(openssl(
        here,
        "req -x509 -new -key own.key -subj /CN=leaf -addext basicConstraints=critical,CA:FALSE -out leaf.crt"
    ));
    assert!(openssl(here, "pkey -in own.key -aes256 -passout pass:x -out encrypted.key"));
    let mut config = resolved();
    config.certificates.ca_validity = 30 * DAY;
    let expired = issued(&config, &Previous::default(), 60 * DAY);
    fs::write(here.join("expired.crt"), expired.get("ca.crt")).unwrap();
    fs::write(here.join("expired.key"), expired.get("ca.key")).unwrap();
    fs::write(here.join("empty"), "").unwrap();
    let table: [(&str, &str, &[&str]); 8] = [
        (
            "own.crt",
            "other.key",
            &["--ca-private-key-path: other.key: ", "own.crt", "the certificate was made with"],
        ),
        ("expired.crt", "expired.key", &["--ca-certificate-path: expired.crt: ", "expired at ", "valid now"]),
        ("own.crt", "", &["--ca-certificate-path: own.crt: ", "give both or neither"]),
        ("", "own.key", &["--ca-private-key-path: own.key: ", "give both or neither"]),
        ("leaf.crt", "own.key", &["--ca-certificate-path: leaf.crt: ", "is not a CA", "CA:TRUE"]),
        (
            "own.crt",
            "encrypted.key",
            &["--ca-private-key-path: encrypted.key: ", "encrypted", "openssl pkey"],
        ),
        (
            "missing.crt",
            "own.key",
            &["--ca-certificate-path: missing.crt: ", "cannot be read", "readable file"],
        ),
        (
            "own.key",
            "empty",
            &["--ca-certificate-path: own.key: holds no certificate", "--ca-private-key-path: empty: "],
        ),
    ];
    for (certificate, key, wanted) in table {
        let flags = [("--ca-certificate-path", certificate), ("--ca-private-key-path", key)];
        let flags: Vec<String> = flags.map(|(flag, file)| format!("{flag}={file}")).into();
        let said = refused(here, &flags.iter().map(String::as_str).collect::<Vec<_>>());
        for wanted in wanted {
            assert!(said.contains(wanted), "{certificate} {key}: {wanted} in\n{said}");
        }
        assert!(!here.join("assets").exists(), "{certificate} {key}");
    }
}

#[test]
fn another_ca_for_an_existing_cluster_is_refused() {
    let folder = folder();
    render(folder.path(), "");
    authority(folder.path(), "own", "genpkey -algorithm RSA");
    let before = contents(&folder.path().join("assets"));
    let said = refused(folder.path(), &BY_FLAGS);
    assert!(said.contains("--ca-certificate-path: own.crt: is another CA than tls/ca.crt"), "{said}");
    assert_eq!(changed(&before, &contents(&folder.path().join("assets"))), Vec::<String>::new());
}

/// Renders `fields` into assets with further `arguments`, and returns what it warned of.
fn warned(folder: &Path, fields: &str, arguments: &[&str]) -> Vec<String> {
    let text = format!("apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n{fields}\n");
    fs::write(folder.join("cluster.yaml"), text).unwrap();
    let output = bootkube(folder, &[&["render", "--config=cluster.yaml"], arguments].concat(), "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said.lines().filter_map(|line| line.strip_prefix("warning: ")).map(str::to_owned).collect()
}

const OTHER_VALUES: &str = "etcd: {servers: ['http://192.0.2.30:2379']}\nserviceCIDRs: [10.96.0.0/16]\n\
                            podCIDRs: [10.244.0.0/16]\nclusterDomain: k8s.example";

fn told_of_other_values(warnings: &[String]) {
    let expected = [
        "values differ from those of the last render that a running cluster cannot change",
        "etcd.servers: https://127.0.0.1:2379 before, http://192.0.2.30:2379 now (manifests/kube-apiserver.yaml): ",
        "serviceCIDRs: 10.3.0.0/24 before, 10.96.0.0/16 now (manifests/kube-apiserver.yaml): ",
        "podCIDRs: 10.2.0.0/16 before, 10.244.0.0/16 now (manifests/kube-controller-manager.yaml): ",
        "clusterDomain: cluster.local before, k8s.example now (manifests/coredns-config.yaml): ",
    ];
    assert_eq!(warnings.len(), expected.len(), "{warnings:#?}");
    for (warning, beginning) in warnings.iter().zip(expected) {
        assert!(warning.starts_with(beginning), "{warning}");
    }
}

#[test]
fn values_that_a_running_cluster_cannot_change_are_told_field_by_field_and_written() {
    let (folder, into) = (folder(), ["--asset-dir=assets"]);
    let first = "etcd: {mode: staticPod}";
    assert_eq!(warned(folder.path(), first, &into), [] as [&str; 0]);
    assert_eq!(warned(folder.path(), first, &into), [] as [&str; 0]);
    // Assets of earlier versions have no record of the configuration.
    fs::remove_file(folder.path().join("assets/manifests/bootkube-config.yaml")).unwrap();
    told_of_other_values(&warned(folder.path(), OTHER_VALUES, &into));
    let apiserver = fs::read_to_string(folder.path().join("assets/manifests/kube-apiserver.yaml")).unwrap();
    assert!(apiserver.contains("--service-cluster-ip-range=10.96.0.0/16"));
    assert_eq!(warned(folder.path(), OTHER_VALUES, &into), [] as [&str; 0]);
}

#[test]
fn values_that_a_running_cluster_cannot_change_are_told_for_another_directory_and_for_terraform() {
    let folder = folder();
    warned(folder.path(), "etcd: {mode: staticPod}", &["--asset-dir=assets"]);
    told_of_other_values(&warned(folder.path(), OTHER_VALUES, &["--asset-dir=b", "--reuse-from=assets"]));
    let json = ["render", "--output=json", "--config=cluster.yaml"];
    let query: BTreeMap<String, String> = contents(&folder.path().join("assets"))
        .into_iter()
        .filter(|(path, _)| path.contains('/'))
        .map(|(path, content)| (path, String::from_utf8(content).unwrap()))
        .collect();
    let query = serde_json::to_string(&query).unwrap();
    let output = bootkube(folder.path(), &json, &query);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let warnings = said.lines().filter_map(|line| line.strip_prefix("warning: "));
    told_of_other_values(&warnings.map(str::to_owned).collect::<Vec<_>>());
}
