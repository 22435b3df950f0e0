//! Preflight names each obstacle on a machine that is otherwise ready. Then `start` runs, and
//! `status` of the cluster that it made.

use std::process::Command;

use lab::cluster::{ASSETS, CONFIG};
use rcgen::{CertificateParams, Issuer, KeyPair};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::checks::{Checks, eventually};
use crate::cures;
use crate::render_at::render_at;
use crate::status;
use crate::world::World;

const MANIFESTS: &str = "/etc/kubernetes/manifests";
pub const KUBELET: &str = "/var/lib/kubelet/config.yaml";
/// Every file that `start` could have touched, with its number and time.
const PLACED: &str = "find /etc/kubernetes -mindepth 1 -printf '%p %i %T@\\n' | sort";

#[test]
fn what_keeps_a_machine_from_being_ready_is_named() {
    let world = World::up("e2e-preflight", 1, |lab| {
        let etcd = format!("https://{}:2379", lab.machine("n1").unwrap().ip());
        json!({"etcd": {"mode": "external", "servers": [etcd]}})
    });
    let mut checks = Checks::default();
    checks.that("certificates of last year and of tomorrow are named, and nothing is touched", || {
        of_another_time(&world);
    });
    world.cluster.render().unwrap();
    checks.that("certificates that have expired are good when rendered again, as the message says", || {
        assert!(with_result(&preflight(&world, ASSETS), "pass").contains(&"certificate-validity"));
    });
    checks.that("etcd that does not run and kubelet that does not are both named", || {
        let report = preflight(&world, ASSETS);
        assert_eq!(failed(&report), ["kubelet", "etcd"], "{report:#}");
        assert!(problem(&report, "kubelet").contains("kubelet is not running"));
        assert!(problem(&report, "etcd").contains("does not answer"));
    });
    world.cluster.start_etcd().unwrap();
    world.cluster.join(&world.n1()).unwrap();
    checks.that("a good machine passes every check, and nothing is unknown", || ready(&world));
    checks.that("from the image, what cannot be seen is unknown and stops nothing", || from_image(&world));
    checks.that("a port that is taken is named with its holder", || {
        let mut holder = world.n1().spawn(&["busybox", "nc", "-l", "-p", "10257"]).unwrap();
        eventually(10, || only(&world, "ports", "port 10257 of kube-controller-manager is taken"));
        assert!(problem(&preflight(&world, ASSETS), "ports").contains("busybox (process "));
        world.shell("kill $(pidof busybox)");
        holder.wait().unwrap();
    });
    checks.that("an expired certificate is named", || {
        let path = format!("{ASSETS}/tls/apiserver.crt");
        let good = world.n1().read(&path).unwrap();
        world.n1().write(&path, expired(&world).as_bytes(), 0o600).unwrap();
        let report = preflight(&world, ASSETS);
        assert_eq!(failed(&report), ["certificate-validity"], "{report:#}");
        assert!(problem(&report, "certificate-validity").contains("tls/apiserver.crt has expired"));
        world.n1().write(&path, &good, 0o600).unwrap();
    });
    checks.that("the wrong etcd CA is named", || {
        world.shell(&format!("bootkube render --config {CONFIG} --asset-dir /opt/bootkube/other"));
        let report = preflight(&world, "/opt/bootkube/other");
        assert_eq!(failed(&report), ["kubelet-settings", "kubelet-credentials", "etcd"], "{report:#}");
        assert!(problem(&report, "etcd").contains("is not signed by the CA in tls/etcd-client-ca.crt"));
        let found = problem(&report, "kubelet-credentials");
        assert!(found.contains("cannot join by /etc/kubernetes/kubeconfig, which is of another"), "{found}");
        assert!(problem(&report, "kubelet-settings").contains("its CA for clients is another one"));
    });
    checks.that(
        "each setting of kubelet that is not the cluster's is named, and what kubelet has not read",
        || {
            settings(&world);
        },
    );
    checks.that("another control plane's static pod is named, and start leaves everything alone", || {
        foreign(&world)
    });
    checks.that("kubelet that watches another folder is named", || {
        reconfigured(&world, "staticPodPath", &json!("/etc/elsewhere"), || {
            eventually(20, || only(&world, "kubelet-static-pods", "watches another folder"));
        });
    });
    checks.that("a bootstrap kubeconfig without rotateCertificates is named", || {
        reconfigured(&world, "rotateCertificates", &json!(false), || {
            eventually(20, || only(&world, "kubelet-certificates", "rotateCertificates"));
        });
    });
    checks.that("the machine is as good as before", || ready(&world));
    cures::check(&world, &mut checks);
    status(&world, &mut checks);
    checks.finish();
}

/// The report of `bootkube preflight`, whose exit code must say the same.
pub fn preflight(world: &World, assets: &str) -> Value {
    let output = world.n1().exec(&["bootkube", "preflight", "--asset-dir", assets, "-o", "json"]).unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(if report["ready"] == true { 0 } else { 4 }), "{report:#}");
    report
}

fn with_result<'a>(report: &'a Value, result: &str) -> Vec<&'a str> {
    let checks = report["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["result"] == result).filter_map(|check| check["name"].as_str()).collect()
}

fn failed(report: &Value) -> Vec<&str> {
    with_result(report, "fail")
}

/// Object and reason of a check's problems.
fn problem(report: &Value, name: &str) -> String {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap()["problems"].to_string()
}

/// Whether one check fails alone, and says so.
fn only(world: &World, name: &str, what: &str) -> Result<(), String> {
    let report = preflight(world, ASSETS);
    let holds = failed(&report) == [name] && problem(&report, name).contains(what);
    holds.then_some(()).ok_or_else(|| format!("{report:#}"))
}

pub fn ready(world: &World) {
    eventually(20, || {
        let report = preflight(world, ASSETS);
        let passed = with_result(&report, "pass").len();
        (passed == report["checks"].as_array().unwrap().len())
            .then_some(())
            .ok_or_else(|| format!("{report:#}"))
    });
}

/// bootkube in a container with /etc/kubernetes, the assets and the machine's network.
fn from_image(world: &World) {
    let run = "ctr -n k8s.io run --rm --net-host --read-only \
        --mount type=bind,src=/opt/bootkube/assets,dst=/assets,options=rbind:ro \
        --mount type=bind,src=/etc/kubernetes,dst=/etc/kubernetes,options=rbind:rw \
        quay.io/bootkube/bootkube:lab preflight /bootkube preflight --asset-dir=/assets -o json";
    let report: Value = serde_json::from_str(&world.shell(run)).unwrap();
    let of_kubelet =
        ["kubelet-static-pods", "kubelet-certificates", "kubelet-settings", "kubelet-credentials"];
    let unknown = [&["swap"][..], &of_kubelet, &["container-runtime", "images"]].concat();
    assert_eq!(with_result(&report, "unknown"), unknown, "{report:#}");
    assert_eq!(failed(&report), [] as [&str; 0]);
}

/// Expired certificates, which are rendered again after this. Everything that follows, a successful
/// `start` included, uses the same directory.
fn of_another_time(world: &World) {
    const TOMORROW: &str = "/opt/bootkube/tomorrow";
    let config = String::from_utf8(world.n1().read(CONFIG).unwrap()).unwrap();
    let before = world.shell(PLACED);
    for (folder, days, problem) in [(TOMORROW, 1, "is not valid yet"), (ASSETS, -366, "has expired")] {
        let then = OffsetDateTime::now_utc() + Duration::days(days);
        let host = tempfile::tempdir().unwrap();
        let (rendered, to) = (host.path().join("assets"), world.n1().path(folder));
        render_at(&config, &rendered, then);
        assert!(Command::new("cp").arg("-aT").args([rendered, to]).status().unwrap().success());
        // Neither runs yet, and preflight does not wait for them.
        let words = ["bootkube", "start", "--asset-dir", folder, "--ignore-preflight=kubelet,etcd"];
        let output = world.n1().exec(&words).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{said}");
        let named = format!("the certificate in tls/apiserver.crt {problem}");
        assert_eq!(days > 0, !said.contains("run bootkube render again: it renews"), "{said}");
        assert!(said.contains("certificate-validity") && said.contains(&named), "{said}");
        assert!(said.contains("nothing was touched"), "{said}");
    }
    assert_eq!(world.shell(PLACED), before);
}

/// The apiserver's certificate as it was until yesterday.
pub fn expired(world: &World) -> String {
    let read =
        |name: &str| String::from_utf8(world.n1().read(&format!("{ASSETS}/tls/{name}")).unwrap()).unwrap();
    let authority = KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.crt"), authority).unwrap();
    let names = [world.n1().ip().to_string(), "10.3.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = OffsetDateTime::now_utc() - Duration::days(30);
    params.not_after = OffsetDateTime::now_utc() - Duration::days(1);
    params.signed_by(&KeyPair::from_pem(&read("apiserver.key")).unwrap(), &issuer).unwrap().pem()
}

fn foreign(world: &World) {
    let path = format!("{MANIFESTS}/kube-apiserver.yaml");
    world.n1().write(&path, FOREIGN.as_bytes(), 0o600).unwrap();
    only(world, "static-pods", "kube-apiserver.yaml is a static pod that bootkube did not place").unwrap();
    let before = world.shell(PLACED);
    let started = world.start();
    assert_eq!(started.output.status.code(), Some(4), "{:?}", started.output);
    let said = String::from_utf8_lossy(&started.output.stderr).into_owned();
    assert!(said.contains("kube-apiserver.yaml") && said.contains("nothing was touched"), "{said}");
    assert_eq!(world.shell(PLACED), before);
    world.shell(&format!("rm {path}"));
}

/// Its image does not exist and is never pulled.
const FOREIGN: &str = "
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  hostNetwork: true
  containers: [{name: kube-apiserver, image: 'none:1', imagePullPolicy: Never, command: [kube-apiserver]}]
";

/// As the README has it.
pub const RESTART_KUBELET: &str = "systemctl restart kubelet";

/// Runs preflight while kubelet has another value of a field.
fn reconfigured(world: &World, field: &str, value: &Value, look: impl FnOnce()) {
    let good = world.n1().read(KUBELET).unwrap();
    let mut config: Value = serde_json::from_slice(&good).unwrap();
    config[field] = value.clone();
    world.n1().write(KUBELET, config.to_string().as_bytes(), 0o600).unwrap();
    world.shell(RESTART_KUBELET);
    look();
    world.n1().write(KUBELET, &good, 0o600).unwrap();
    world.shell(RESTART_KUBELET);
}

/// kubelet need not be restarted: what its files say is compared.
fn settings(world: &World) {
    let good = world.n1().read(KUBELET).unwrap();
    let mut config: Value = serde_json::from_slice(&good).unwrap();
    config["clusterDNS"] = json!(["10.96.0.10"]);
    config["clusterDomain"] = json!("k8s.example");
    config["cgroupDriver"] = json!("cgroupfs");
    config["authentication"]["x509"]["clientCAFile"] = json!("other-ca.crt");
    std::thread::sleep(std::time::Duration::from_secs(3)); // the kernel dates kubelet by the second
    world.n1().write(KUBELET, config.to_string().as_bytes(), 0o600).unwrap();
    world.shell("cp /opt/bootkube/other/tls/ca.crt /var/lib/kubelet/other-ca.crt");
    let report = preflight(world, ASSETS);
    world.n1().write(KUBELET, &good, 0o600).unwrap();
    assert_eq!(failed(&report), ["kubelet-settings"], "{report:#}");
    let found = problem(&report, "kubelet-settings");
    let both = [
        "is 10.96.0.10, and manifests/coredns-service.yaml has 10.3.0.10",
        "is k8s.example, and the DNS of manifests/coredns-config.yaml answers for cluster.local",
        "is /var/lib/kubelet/other-ca.crt, it holds ",
        "is cgroupfs, and that of containerd ",
    ];
    for values in both {
        assert!(found.contains(values), "{values}: {found}");
    }
    let report = preflight(world, ASSETS);
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "kubelet-settings").unwrap();
    assert!(check["warnings"].to_string().contains("has not read /var/lib/kubelet/config.yaml"), "{check:#}");
    world.shell(RESTART_KUBELET);
}

fn status(world: &World, checks: &mut Checks) {
    checks.need("start succeeds", || world.start().must_succeed());
    checks.that("a running cluster's machine passes too", || {
        let report = preflight(world, ASSETS);
        assert_eq!(failed(&report), [] as [&str; 0], "{report:#}");
    });
    checks.that("the status of a good cluster is healthy and names every component", || {
        eventually(60, || {
            let (code, report) = ask_status(world);
            (code == Some(0)).then_some(()).ok_or_else(|| format!("{report:#}"))
        });
        let (_, report) = ask_status(world);
        for (component, workload) in SELF_HOSTED {
            let is_it = |found: &&Value| found["component"] == component;
            let found = report["components"].as_array().unwrap().iter().find(is_it).unwrap();
            assert_eq!((&found["hosting"], &found["workload"]), (&json!("selfHosted"), &json!(workload)));
            assert_eq!((&found["node"], &found["ready"]), (&json!("n1"), &json!(true)));
            assert_ne!(found["leader"], false, "{found}");
        }
        let certificates = report["certificates"].as_array().unwrap();
        for name in ["kubernetes-admin", "kube-apiserver", "etcd-client", "system:kube-scheduler"] {
            assert!(certificates.iter().any(|certificate| certificate["name"] == name), "{name}: {report:#}");
        }
    });
    checks.that("an alarm of etcd is named, and the cure ends it", || status::alarm(world));
    checks.that("a component that is gone is a problem", || {
        world.kubectl(&["-n", "kube-system", "scale", "deployment/kube-scheduler", "--replicas=0"]);
        eventually(30, || {
            let (code, report) = ask_status(world);
            let is_told = report["problems"].to_string().contains("no kube-scheduler leads");
            (code == Some(1) && is_told).then_some(()).ok_or_else(|| format!("{report:#}"))
        });
    });
}

const SELF_HOSTED: [(&str, &str); 4] = [
    ("pod-checkpointer", "DaemonSet/pod-checkpointer"),
    ("kube-apiserver", "DaemonSet/kube-apiserver"),
    ("kube-controller-manager", "Deployment/kube-controller-manager"),
    ("kube-scheduler", "Deployment/kube-scheduler"),
];

fn ask_status(world: &World) -> (Option<i32>, Value) {
    let kubeconfig = format!("--kubeconfig={ASSETS}/auth/kubeconfig");
    let output = world.n1().exec(&["bootkube", "status", &kubeconfig, "-o", "json"]).unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}
