//! The command line as its users meet it: the built program, its exit codes, its words.
//!
//! Tier: no cluster, no root, seconds. What rendering and starting do is tested elsewhere.
#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

#[path = "../support/command.rs"]
mod command;
mod parsers;

use std::process::Command;

use command::bootkube;
use tempfile::TempDir;

const HEADER: &str = "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `render` with `args` and, if not empty, a file of `fields`: exits 3, writes nothing, returns what it said.
fn refused(args: &[&str], fields: &str) -> String {
    let folder = TempDir::new().unwrap();
    let mut line = vec!["render", "--asset-dir=assets"];
    if !fields.is_empty() {
        std::fs::write(folder.path().join("cluster.yaml"), format!("{HEADER}{fields}\n")).unwrap();
        line.push("--config=cluster.yaml");
    }
    line.extend(args);
    let output = bootkube(folder.path(), &line, "");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{line:?}\n{said}");
    assert!(output.stdout.is_empty(), "{line:?}");
    assert!(!folder.path().join("assets").exists(), "{line:?} wrote something");
    assert!(said.starts_with("error: ") && said.contains("\n\nhint: "), "{said}");
    said
}

#[test]
fn every_bad_input_exits_3_and_names_place_value_and_cure() {
    let table: [(&[&str], &str, [&str; 3]); 23] = [
        (&["--pod-cidr=10.3.0.0/16"], "", ["--pod-cidr", "10.3.0.0/16", "choose ranges"]),
        (&[], "podCIDRs: [10.3.0.0/16]", ["podCIDRs[0]", "10.3.0.0/16", "choose ranges"]),
        (&["--service-cidr=10.3.0.0/29"], "", ["--service-cidr", "10.3.0.0/29", "use /28"]),
        (&["--api-servers=https://"], "", ["--api-servers", "https://", "write https://host:6443"]),
        (&["--api-servers=https://a/b"], "", ["--api-servers", "https://a/b", "write https://a:443"]),
        (&["--api-servers=http://a"], "", ["--api-servers", "http://a", "write https://"]),
        (&[], "apiServer: [a]", ["apiServer", "not a known key", "did you mean `apiServers`?"]),
        (&[], "etcd: {server: [a]}", ["etcd.server", "not a known key", "did you mean `servers`?"]),
        (
            &[],
            "components: {kube-apisrver: {}}",
            ["components.kube-apisrver", "known key", "`kube-apiserver`"],
        ),
        (&[], "images: {core-dns: a}", ["images.core-dns", "not a known key", "did you mean `coredns`?"]),
        (&["--ca-certificate-path=ca.crt"], "", ["--ca-certificate-path", "ca.crt", "give both or neither"]),
        (&[], "ca: {privateKeyFile: k}", ["ca.privateKeyFile", "k: is half", "give both or neither"]),
        (&["--etcd-ca-path=ca.crt"], "", ["--etcd-ca-path", "ca.crt", "give all three or none"]),
        (&[], "kubernetesVersion: v1.29.0", ["kubernetesVersion", "v1.29.0", "use v1.34 to v1.36"]),
        (&["--pod-cidr=10.2.0.0/16,fd00::/56"], "", ["--pod-cidr", "IPv4 then IPv6", "same families"]),
        (&["--pod-cidr=10.2.0.0/16,10.8.0.0/16"], "", ["--pod-cidr", "10.8.0.0/16", "keep one"]),
        (&["--pod-cidr=a,b,c"], "", ["--pod-cidr", "has 3 CIDRs", "keep one IPv4"]),
        (
            &["--network-provider=experimental-calico"],
            "",
            ["--network-provider", "experimental-calico", "use none"],
        ),
        (&["--cloud-provider=gce"], "", ["--cloud-provider", "gce", "use external"]),
        (&["--config=missing.yaml"], "", ["--config", "missing.yaml", "name a file that is there"]),
        (&[], "clusterName: [", ["cluster.yaml:3:14: ", "is not YAML", "correct it"]),
        (
            &[],
            "components: {coredns: {patches: [{kind: DaemonSet, patch: {spec: {}}}]}}",
            ["cluster.yaml: components.coredns.patches[0]: ", "kind DaemonSet", "name another kind"],
        ),
        (
            &[],
            "etcd: {mode: staticPod}\ncontrolPlane: {controllers: 3}",
            ["etcd.mode", "staticPod", "run etcd on its own"],
        ),
    ];
    for (args, fields, wanted) in table {
        let said = refused(args, fields);
        for wanted in wanted {
            assert!(said.contains(wanted), "{args:?} {fields:?} does not say {wanted:?}:\n{said}");
        }
    }
}

#[test]
fn several_mistakes_are_reported_together_whether_in_flags_or_file() {
    let said = refused(
        &["--api-servers=https://", "--service-cidr=10.3.0.0/29"],
        "clustername: a\nnetworking: calico\ncertificates: {validity: soon}",
    );
    for wanted in [
        "--api-servers",
        "--service-cidr",
        "cluster.yaml: clustername",
        "cluster.yaml: networking",
        "cluster.yaml: certificates.validity",
    ] {
        assert!(said.contains(&format!("\n  {wanted}: ")), "{wanted} in\n{said}");
    }
    assert!(said.starts_with("error: 5 mistakes, nothing was written:"), "{said}");
}

#[test]
fn the_help_of_render_names_every_flag_of_v014() {
    let folder = TempDir::new().unwrap();
    let help = |args: &[&str]| {
        let output = bootkube(folder.path(), args, "");
        assert_eq!(output.status.code(), Some(0));
        text(&output.stdout)
    };
    let render = help(&["render", "--help"]);
    for flag in [
        "--asset-dir",
        "--ca-certificate-path",
        "--ca-private-key-path",
        "--etcd-ca-path",
        "--etcd-certificate-path",
        "--etcd-private-key-path",
        "--etcd-servers",
        "--api-servers",
        "--api-server-alt-names",
        "--pod-cidr",
        "--service-cidr",
        "--cloud-provider",
        "--network-provider",
        "--cluster-name",
        "--config",
        "--output",
        "--reuse-from",
    ] {
        assert!(render.contains(&format!("{flag} ")), "{flag}");
    }
    let start = help(&["start", "--help"]);
    for flag in [
        "--asset-dir",
        "--pod-manifest-path",
        "--strict",
        "--required-pods",
        "--force-conflicts",
        "--timeout",
        "--wait-lock",
        "--on-failure",
    ] {
        assert!(start.contains(flag), "{flag}");
    }
    let top = help(&["--help"]);
    assert!(top.contains("bootkube render --asset-dir=assets") && top.contains("Exit codes: "), "{top}");
}

#[test]
fn recover_takes_the_flags_of_v014_and_says_what_it_needs() {
    let folder = TempDir::new().unwrap();
    let help = text(&bootkube(folder.path(), &["recover", "--help"], "").stdout);
    for flag in ["recovery-dir", "kubeconfig", "etcd-servers", "etcd-ca-path", "etcd-certificate-path"] {
        assert!(help.contains(&format!("--{flag} ")), "{flag}");
    }
    assert!(help.contains("--etcd-private-key-path ") && help.contains("[default: /registry]"), "{help}");
    let run = |args: &[&str]| bootkube(folder.path(), &[&["recover", "--recovery-dir=r"], args].concat(), "");
    assert_eq!(run(&[]).status.code(), Some(2), "v0.14 demanded a kubeconfig too");
    let pair = run(&["--kubeconfig=k", "--etcd-certificate-path=c"]);
    assert_eq!(pair.status.code(), Some(2), "a certificate goes with its key");
    let wrong = run(&["--kubeconfig=k", "--etcd-servers=://"]);
    assert_eq!(wrong.status.code(), Some(3));
    assert!(text(&wrong.stderr).contains("--etcd-servers: `://`"), "{}", text(&wrong.stderr));
    let missing = run(&["--kubeconfig=k", "--pod-manifest-path=/x"]);
    assert!(text(&missing.stderr).contains("nothing was written"), "{}", text(&missing.stderr));
    assert!(!folder.path().join("r").exists());
}

#[test]
fn recover_says_what_it_was_given_in_place_of_a_snapshot() {
    let folder = TempDir::new().unwrap();
    let render = bootkube(folder.path(), &["render", "--asset-dir=assets"], "");
    assert_eq!(render.status.code(), Some(0), "{}", text(&render.stderr));
    std::fs::create_dir_all(folder.path().join("etcd/member/snap")).unwrap();
    for (path, content) in [
        ("s.gz", &b"\x1f\x8b\x08"[..]),
        ("empty", b""),
        ("etcd/member/snap/db", b"\0\0\0"),
        ("other", b"\0\0\0"),
    ] {
        std::fs::write(folder.path().join(path), content).unwrap();
    }
    for (name, what, cure) in [
        ("s.gz", "s.gz is compressed with gzip", "gunzip --keep s.gz"),
        ("empty", "empty is an empty file", "copy it again"),
        ("etcd", "etcd is a folder of etcd", "name etcd/member/snap/db"),
        ("other", "other cannot be read", "not an etcd database"),
    ] {
        let flag = format!("--etcd-snapshot={name}");
        let args = ["recover", "--recovery-dir=r", "--kubeconfig=assets/auth/kubeconfig", &flag];
        let output = bootkube(folder.path(), &args, "");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(what) && said.contains(cure) && said.contains("nothing was written"), "{said}");
        assert!(!folder.path().join("r").exists());
    }
}

#[test]
fn the_help_tells_the_defaults_that_are_used() {
    let folder = TempDir::new().unwrap();
    let output = bootkube(folder.path(), &["render", "-h"], "");
    let help = text(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    use bootkube::config::defaults::{API_SERVER, CLUSTER_NAME, ETCD_SERVER, POD_CIDR, SERVICE_CIDR};
    for default in [API_SERVER, CLUSTER_NAME, ETCD_SERVER, POD_CIDR, SERVICE_CIDR, "flannel"] {
        assert!(help.contains(&format!("[default: {default}]")), "{default}");
    }
}

#[test]
fn flags_are_taken_as_v014_took_them() {
    let folder = TempDir::new().unwrap();
    let parses = |args: &[&str]| {
        let output = bootkube(folder.path(), args, "");
        assert_ne!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
    };
    for strict in ["--strict", "--strict=true", "--strict=false", "--strict=1"] {
        parses(&["start", strict, "--asset-dir", "nowhere"]);
    }
    parses(&["start", "--asset-dir=nowhere", "--required-pods=kube-system/a,kube-system/b", "--timeout=90s"]);
    parses(&["start", "--asset-dir=a", "--asset-dir=nowhere", "--pod-manifest-path", "m"]);
    parses(&["config", "validate", "--cloud-provider=", "--ca-certificate-path="]);
}

#[test]
fn wrong_usage_exits_2() {
    let folder = TempDir::new().unwrap();
    for args in [
        &["render"][..],
        &["render", "--output=dir"],
        &["render", "--output=xml"],
        &["render", "--asset-dir=a", "--plugin=b"],
        &["start"],
        &["start", "--asset-dir=a", "--required-pods=kube-apiserver"],
        &["start", "--asset-dir=a", "--strict=perhaps"],
        &["start", "--asset-dir=a", "--timeout=0s"],
        &["start", "--asset-dir=a", "--wait-lock=soon"],
        &["start", "--asset-dir=a", "--on-failure=panic"],
        &["reset", "--assets=a"],
        &["config"],
        &["rendr"],
    ] {
        let output = bootkube(folder.path(), args, "");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn version_is_printed_as_v014_printed_it() {
    let folder = TempDir::new().unwrap();
    let output = bootkube(folder.path(), &["version"], "");
    assert_eq!(text(&output.stdout), format!("Version: {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn printed_defaults_are_valid_and_change_nothing() {
    let folder = TempDir::new().unwrap();
    let defaults = bootkube(folder.path(), &["config", "defaults"], "");
    assert_eq!(defaults.status.code(), Some(0));
    std::fs::write(folder.path().join("cluster.yaml"), &defaults.stdout).unwrap();
    let output = bootkube(folder.path(), &["config", "validate", "--config", "cluster.yaml"], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "the configuration is valid\n");
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn flags_alone_warn_that_the_bootstrap_token_never_expires() {
    let folder = TempDir::new().unwrap();
    let output = bootkube(folder.path(), &["config", "validate"], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(
        text(&output.stderr)
            .starts_with("warning: auth/kubeconfig-kubelet: its bootstrap token never expires")
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let line = format!("{} config defaults | true", env!("CARGO_BIN_EXE_bootkube"));
    let script = format!("set -o pipefail; for i in 1 2 3 4 5; do {line} || exit 1; done");
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_query_that_is_wrong_exits_3_and_keeps_its_secrets() {
    let folder = TempDir::new().unwrap();
    let query = r#"{"confg": "s3cret", "tls/ca.key": 1}"#;
    let output = bootkube(folder.path(), &["render", "--output=json"], query);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("confg: is not a known key; did you mean `config`?") && said.contains("tls/ca.key")
    );
    assert!(!said.contains("s3cret") && output.stdout.is_empty());
}

#[test]
fn a_configuration_comes_once() {
    let folder = TempDir::new().unwrap();
    let query = r#"{"config": "kind: ClusterConfig"}"#;
    let output = bootkube(folder.path(), &["render", "--output=json", "--config=c.yaml"], query);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("--config: c.yaml: is a second configuration"));
}

#[test]
fn a_bad_log_filter_is_wrong_usage() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootkube"));
    let output = command.arg("version").env("BOOTKUBE_LOG", "bootkube=loud").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("BOOTKUBE_LOG"));
}
