//! Flags that the programs have, the types of their values, and values with which the component
//! runs and the cluster does not. The table is compared with the programs that the lab builds.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use bootkube::limits::programs;

use crate::command::bootkube;
use crate::rows::{HERE, VALIDATE, refused, run, warned};

/// A flag of a component with its value, what is wrong, and the cure.
fn flags(rows: &[(&str, &str, &str, &str, &str)]) {
    for (component, flag, value, problem, cure) in rows {
        let fields = format!("{{{component}: {{extraArgs: {{{flag}: {value}}}}}}}");
        let field = format!("components.{component}.extraArgs.{flag}");
        refused(&[(&fields, &field, problem, cure)], &format!("{HERE}components: "));
    }
}

#[test]
fn a_flag_that_the_program_does_not_have_is_refused_with_the_nearest_name() {
    let none = "is no flag of";
    flags(&[
        ("kube-apiserver", "audit-log-pth", "/x", none, "did you mean `audit-log-path`?"),
        (
            "kube-controller-manager",
            "cluster_signing_durations",
            "1h",
            none,
            "did you mean `cluster-signing-duration`?",
        ),
        ("kube-proxy", "event-ttl", "1h", none, ""),
        ("etcd", "quota-backend-byte", "'1'", none, "did you mean `quota-backend-bytes`?"),
        ("coredns", "config", "/x", none, "did you mean `conf`?"),
        ("pod-checkpointer", "foo", "bar", none, "remove it"),
        ("kube-scheduler", "version", "'true'", "one thing and end", "remove it"),
        ("kube-proxy", "cleanup", "'true'", "one thing and end", "remove it"),
    ]);
    let older = format!("{HERE}kubernetesVersion: v1.35.0\n");
    let text =
        "components: {kube-apiserver: {extraArgs: {audit-log-pth: /x, feature-gates: NoSuchGate=true}}}";
    let at = |flag: &str| format!("components.kube-apiserver.extraArgs.{flag}");
    let (path, gates) = (at("audit-log-pth"), at("feature-gates"));
    warned(&[(text, &path, &["is no flag of kube-apiserver", "did you mean `audit-log-path`?"])], &older);
    warned(&[(text, &gates, &["NoSuchGate", "no feature gate"])], &older);
    // A mirror has the same program, and an unknown flag may be a password.
    let mirror = "images: {kube-apiserver: 'mirror.example.com/kube-apiserver:v1.36.3'}\n\
                  components: {kube-apiserver: {extraArgs: {tokn: s3cret}}}";
    refused(&[(mirror, "components.kube-apiserver.extraArgs.tokn", "is no flag", "remove it")], HERE);
    let said = String::from_utf8(run(&format!("{HERE}{mirror}"), VALIDATE).stderr).unwrap();
    assert!(!said.contains("s3cret"), "{said}");
    let own = "images: {etcd: 'example.com/etcd:9'}\ncomponents: {etcd: {extraArgs: {new-flag: x}}}";
    warned(&[(own, "components.etcd.extraArgs.new-flag", &["as far as bootkube knows"])], HERE);
}

#[test]
fn a_value_that_the_type_of_its_flag_does_not_take_is_refused() {
    let would_end = "it would end";
    flags(&[
        ("kube-apiserver", "event-ttl", "1day", would_end, "such as 1h30m"),
        ("kube-apiserver", "v", "high", would_end, "a whole number"),
        ("kube-apiserver", "profiling", "'yes'", would_end, "true"),
        ("kube-apiserver", "default-watch-cache-size", "many", would_end, "a whole number"),
        ("kube-apiserver", "runtime-config", "apps/v1=maybe", would_end, "=true or =false"),
        ("kube-apiserver", "tls-sni-cert-key", "/a", would_end, "a certificate and its key"),
        ("kube-controller-manager", "kube-api-qps", "fast", would_end, "a number"),
        ("kube-scheduler", "feature-gates", "AllAlpha", would_end, "=true"),
        ("kube-proxy", "conntrack-max-per-core", "x", would_end, "a whole number"),
        ("etcd", "quota-backend-bytes", "8GB", would_end, "a whole number"),
        ("etcd", "snapshot-count", "abc", would_end, "a whole number"),
        ("etcd", "log-level", "verbose", would_end, "one of debug, info"),
        ("kube-apiserver", "storage-backend", "etcd2", would_end, "one of etcd3"),
        ("kube-apiserver", "audit-log-mode", "slow", would_end, "one of batch"),
        ("kube-scheduler", "logging-format", "xml", would_end, "one of json, text"),
    ]);
}

#[test]
fn a_name_that_a_flag_does_not_take_is_refused_with_the_nearest() {
    flags(&[
        (
            "kube-apiserver",
            "feature-gates",
            "NoSuchGate=true",
            "has NoSuchGate, which is no feature gate",
            "remove",
        ),
        (
            "kube-proxy",
            "feature-gates",
            "'kube:AllAlfa=true'",
            "has AllAlfa, which is no feature gate",
            "did you mean `AllAlpha`?",
        ),
        ("kube-apiserver", "feature-gates", "DisableAllocatorDualWrite=false", "is locked to true", "remove"),
        ("kube-apiserver", "tls-cipher-suites", "TLS_NO_SUCH", "is no cipher suite", "remove it"),
        (
            "kube-apiserver",
            "enable-admission-plugins",
            "NodeRestrictions",
            "is no admission plugin",
            "did you mean `NodeRestriction`?",
        ),
        ("kube-controller-manager", "controllers", "['*', -csraproving]", "is no controller", "remove it"),
    ]);
}

#[test]
fn a_flag_that_cuts_the_cluster_off_is_refused() {
    flags(&[
        ("kube-apiserver", "allow-privileged", "'false'", "privileged", "remove it"),
        ("kube-apiserver", "enable-bootstrap-token-auth", "'false'", "from joining", "remove it"),
        ("kube-apiserver", "endpoint-reconciler-type", "none", "would not find the API", "write lease"),
        ("kube-apiserver", "runtime-config", "apps/v1=false", "has apps/v1=false", "remove apps/v1=false"),
        ("kube-apiserver", "runtime-config", "'api/all=false,api/v1=true'", "has api/all=false", "remove"),
        (
            "kube-apiserver",
            "disable-admission-plugins",
            "ServiceAccount",
            "do not start",
            "remove ServiceAccount",
        ),
        ("kube-apiserver", "disable-admission-plugins", "NodeRestriction", "would end", "from one of them"),
        ("kube-apiserver", "advertise-address", "'fd00::1'", "is an IPv6 address", "IPv4 address"),
        ("kube-apiserver", "advertise-address", "127.0.0.1", "pods reach", "the machine's address"),
        (
            "kube-controller-manager",
            "controllers",
            "'*,-csrapproving'",
            "leaves out certificatesigningrequest-approving",
            "begins with *",
        ),
        ("kube-controller-manager", "controllers", "deployment-controller", "leaves out", "begins with *"),
        (
            "kube-controller-manager",
            "controllers",
            "['*', -nodeipam]",
            "leaves out node-ipam-controller",
            "begins with *",
        ),
    ]);
}

#[test]
fn what_the_programs_take_is_accepted() {
    for (component, flags) in [
        (
            "kube-apiserver",
            "v: '4', event-ttl: 2h0m, profiling: 'False', feature-gates: 'AllAlpha=false,kube:AllBeta=true'",
        ),
        (
            "kube-apiserver",
            "tls-cipher-suites: 'TLS_AES_128_GCM_SHA256', runtime-config: 'resource.k8s.io/v1beta1=true'",
        ),
        (
            "kube-apiserver",
            "enable-admission-plugins: 'NodeRestriction,AlwaysPullImages', advertise-address: 192.0.2.10",
        ),
        ("kube-apiserver", "max-connection-bytes-per-sec: '1000', cloud_provider_gce_lb_src_cidrs: null"),
        (
            "kube-controller-manager",
            "controllers: '*,-ttl,bootstrapsigner', terminated-pod-gc-threshold: '0x10'",
        ),
        ("kube-proxy", "vmodule: 'proxier=4', nodeport-addresses: [192.0.2.0/24]"),
        ("etcd", "quota-backend-bytes: '8589934592', log-level: debug"),
        ("flannel", "any-flag: x"),
        ("kube-apiserver", "allow-metric-labels: 'metric1,label1=a,b', runtime-config: batch/v2alpha1"),
        ("kube-proxy", "metrics-bind-address: '$(HOST_IP):10249'"),
    ] {
        let fields = format!("{HERE}components: {{{component}: {{extraArgs: {{{flags}}}}}}}");
        let output = run(&fields, VALIDATE);
        assert!(output.status.success(), "{fields}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let none = "networking: none\ncomponents: {kube-controller-manager: {extraArgs: {controllers: '*,-node-ipam-controller'}}}";
    assert!(run(&format!("{HERE}{none}"), VALIDATE).status.success());
}

/// The programs that the lab has built, where it has.
fn built(name: &str, program: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/target/lab/cache");
    let cache = std::env::var_os("LAB_CACHE").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let folders = std::fs::read_dir(cache).ok()?.filter_map(Result::ok);
    let mut paths = folders.filter(|folder| folder.file_name().to_string_lossy().starts_with(name));
    paths.find_map(|folder| Some(folder.path().join(program)).filter(|path| path.is_file()))
}

/// The flags in a program's help.
fn helped(command: &mut Command) -> BTreeSet<String> {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let flag = |line: &str| {
        let word = line.split_whitespace().find(|word| word.starts_with('-') && word.len() > 3)?;
        let is_first = line.trim_start().starts_with(word) || line.trim_start().starts_with("-");
        let name = word.trim_start_matches('-').split('=').next()?;
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        (is_first && name.bytes().all(plain)).then(|| name.replace('_', "-"))
    };
    text.lines().filter_map(flag).collect()
}

#[test]
fn every_flag_in_the_help_of_the_programs_is_in_the_table() {
    let kubernetes = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd"];
    let mut compared = 0;
    for component in kubernetes {
        let Some(program) = built("hyperkube-", "hyperkube") else { continue };
        let help = helped(Command::new(program).args([component, "--help"]));
        compare(component, &help);
        compared += 1;
    }
    if let Some(program) = built("coredns-", "coredns") {
        compare("coredns", &helped(Command::new(program).arg("-help")));
        compared += 1;
    }
    let agent = bootkube(std::path::Path::new("/"), &["agent", "--help"], "");
    let text = String::from_utf8(agent.stdout).unwrap();
    for flag in programs::flags("pod-checkpointer") {
        assert!(text.contains(&format!("--{flag}")), "{flag}\n{text}");
    }
    eprintln!("{compared} of 6 programs compared");
}

fn compare(component: &str, help: &BTreeSet<String>) {
    assert!(help.len() > 3, "{component}: {help:?}");
    let known = programs::flags(component);
    let missing: Vec<&String> =
        help.iter().filter(|flag| !known.contains(&flag.as_str()) && *flag != "help").collect();
    assert!(missing.is_empty(), "{component}: the table lacks {missing:?}");
}

#[test]
fn the_table_of_flags_is_what_the_programs_themselves_have() {
    let mut command = lab::go("kubernetes/v1.36");
    let output = command.args(["run", "./flags"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/limits/programs.txt");
    let table = std::fs::read_to_string(file).unwrap();
    assert_eq!(table, String::from_utf8(output.stdout).unwrap(), "go run ./flags >{file}");
}
