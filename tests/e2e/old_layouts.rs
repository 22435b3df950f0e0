//! Asset directories that other tools wrote: those of v0.14 and of Typhoon v1.15 pivot as they are,
//! and those without a self-hosted control plane are refused before anything is touched. The trees
//! are made here, with present images and flags.
//! Their two apiservers cannot share the port, so each of these pivots has a gap. `start` announces
//! it. If the self-hosted apiserver does not take the port, the bootstrap one is put back.

mod pki;
mod tree;
mod typhoon;
mod v014;

use std::process::Child;
use std::time::Instant;

use lab::cluster::ASSETS;
use serde_json::json;

use crate::checks::{Checks, eventually};
use crate::world::{Started, World, record};
use tree::Tree;

const MANIFESTS: &str = "/etc/kubernetes/manifests";
const SECRETS: &str = "/etc/kubernetes/bootstrap-secrets";
/// As wrappers called v0.14: with the directory as the only flag.
const START: [&str; 4] = ["bootkube", "start", "--asset-dir", ASSETS];

#[test]
fn a_directory_of_v0_14_pivots() {
    let world = World::up("e2e-old-v0-14", 1, |_| json!({}));
    let tree = v014::tree(world.n1().ip());
    tree.write(&world.n1());
    let mut checks = Checks::default();
    refused(&world, &mut checks);
    world.cluster.start_etcd().unwrap();
    world.cluster.join(&world.n1()).unwrap();
    let started = watched(&world, &START);
    checks.need("start succeeds", || started.must_succeed());
    pivoted(&world, &tree, &started, "old-v0-14", &mut checks);
    checks.finish();
}

#[test]
fn a_directory_of_typhoon_v1_15_pivots_and_a_gap_that_does_not_end_is_undone() {
    let world = World::up("e2e-old-typhoon", 1, |_| json!({}));
    let n1 = world.n1();
    let tree = typhoon::tree("n1", n1.ip());
    tree.write(&n1);
    world.cluster.start_etcd().unwrap();
    // Its kubelets have a certificate, so the API need not know a token.
    n1.write("/var/lib/kubelet/kubeconfig", &tree.0["auth/kubeconfig-kubelet"], 0o600).unwrap();
    world.cluster.join(&n1).unwrap();
    let mut checks = Checks::default();
    checks.that(
        "a self-hosted apiserver that dies in the gap is reported, and the bootstrap one comes back",
        || {
            undone(&world, &tree);
        },
    );
    n1.write(&format!("{ASSETS}/{}", typhoon::APISERVER), &tree.0[typhoon::APISERVER], 0o600).unwrap();
    let started = watched(&world, &START);
    checks.need("start succeeds with assets that are whole", || started.must_succeed());
    pivoted(&world, &tree, &started, "old-typhoon", &mut checks);
    checks.that("what lies beside manifests/ is applied, whatever is odd about it", || {
        beside_manifests(&world)
    });
    checks.finish();
}

/// Runs `start`, and meanwhile copies every file that it places to /srv/seen.
fn watched(world: &World, words: &[&str]) -> Started {
    const COPY: &str = "rm -rf /srv/seen /run/seen-enough; mkdir /srv/seen; until [ -e /run/seen-enough ]; do \
        cp -rn /etc/kubernetes/manifests /etc/kubernetes/bootstrap-secrets /srv/seen/ 2>/dev/null; sleep 0.1; done";
    let mut copier: Child = world.n1().spawn(&["bash", "-c", COPY]).unwrap();
    let started = world.start_by(words);
    world.shell("touch /run/seen-enough");
    copier.wait().unwrap();
    started
}

fn pivoted(world: &World, tree: &Tree, started: &Started, name: &str, checks: &mut Checks) {
    let n1 = world.n1();
    checks.that("static pods are placed to the byte, with the kubeconfig beside the keys", || {
        for pod in
            ["bootstrap-apiserver.yaml", "bootstrap-controller-manager.yaml", "bootstrap-scheduler.yaml"]
        {
            let seen = n1.read(&format!("/srv/seen/manifests/{pod}")).unwrap();
            assert!(seen == tree.0[&format!("bootstrap-manifests/{pod}")], "{pod}");
        }
        let seen = n1.read("/srv/seen/bootstrap-secrets/kubeconfig").unwrap();
        assert!(seen == tree.0["auth/kubeconfig"]);
    });
    checks.that("the gap is announced with its reason, and measured", || {
        let said = started.stdout();
        assert!(said.contains("does not say --permit-port-sharing"), "{said}");
        let gap = said.lines().find_map(|line| line.split_once("the API was away for ")?.1.split(' ').next());
        let gap: f64 = gap.expect(&said).parse().unwrap();
        record(name, &json!({"seconds": started.took.as_secs_f64(), "gap_seconds": gap}));
        assert!(gap < 30.0, "{gap}");
    });
    checks.that("kubelet's own kubeconfig is as it was", || {
        assert!(n1.read("/etc/kubernetes/kubeconfig").unwrap() == tree.0["auth/kubeconfig-kubelet"]);
    });
    checks.that("nothing of the bootstrap control plane is left", || {
        assert_eq!(world.shell(&format!("ls -A {MANIFESTS}")), "");
        assert!(!n1.path(SECRETS).exists());
    });
    checks.that("the control plane runs itself", || runs_itself(world));
    checks.that("start again verifies, and places nothing", || {
        let again = watched(world, &START);
        again.must_succeed();
        assert!(!again.stdout().contains("is away"), "{}", again.stdout());
        assert_eq!(world.shell("find /srv/seen -name 'bootstrap*'"), "");
        assert_eq!(world.shell(&format!("ls -A {MANIFESTS}")), "");
    });
}

fn runs_itself(world: &World) {
    for workload in
        ["DaemonSet/kube-apiserver", "Deployment/kube-controller-manager", "Deployment/kube-scheduler"]
    {
        eventually(60, || {
            let pods = world.pods_of(workload);
            let is_well = pods.iter().any(|pod| pod.ready && pod.node == "n1");
            is_well.then_some(()).ok_or(format!("{workload}: {pods:#?}"))
        });
    }
    let node = world.get(&["node", "n1"]);
    assert_eq!(node["metadata"]["labels"]["node-role.kubernetes.io/master"], "", "{node}");
    world.controller_manager_works("proof");
}

fn beside_manifests(world: &World) {
    let pool = world.get(&["ippools.crd.projectcalico.org", "default-ipv4-ippool"]);
    assert_eq!(
        (&pool["spec"]["cidr"], &pool["metadata"]["namespace"]),
        (&json!("10.2.0.0/16"), &json!(null))
    );
    let config = world.get(&["configmap", "calico-config", "-n", "kube-system"]);
    assert_eq!(config["data"], json!({"typha_service_name": "none", "veth_mtu": ""}));
    let secret = world.get(&["secret", "kube-apiserver", "-n", "kube-system"]);
    assert_eq!(secret["data"]["aggregation-ca.crt"], "");
    for object in ["serviceaccount/calico-node", "configmap/coredns", "service/kube-dns"] {
        world.get(&[object, "-n", "kube-system"]);
    }
}

/// The self-hosted apiserver lacks a file that it reads only after it has taken the port, so no
/// check can find that before.
fn undone(world: &World, tree: &Tree) {
    let good = String::from_utf8(tree.0[typhoon::APISERVER].clone()).unwrap();
    let bad = good.replace("/secrets/etcd-client.crt", "/secrets/missing.crt");
    assert_ne!(good, bad);
    world.n1().write(&format!("{ASSETS}/{}", typhoon::APISERVER), bad.as_bytes(), 0o600).unwrap();
    let begun = Instant::now();
    let started = world.start_by(&[&START[..], &["--phase-timeout=hand-over=60s"]].concat());
    let said = [started.stdout(), String::from_utf8_lossy(&started.output.stderr).into_owned()].concat();
    assert_eq!(started.output.status.code(), Some(1), "{said}");
    for part in ["is away for some seconds", "was put back", "run the same command again"] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert!(said.contains("missing.crt"), "the apiserver's own words are shown\n{said}");
    assert_eq!(world.shell(&format!("ls {MANIFESTS}")), "bootstrap-apiserver.yaml\n");
    eventually(60, || world.answers());
    record("old-undone", &json!({"seconds": begun.elapsed().as_secs_f64()}));
}

/// Layouts that are not self-hosted: the files by which each is recognised, and the reason that
/// `start` gives.
fn refused(world: &World, checks: &mut Checks) {
    const AUTH: &str = "auth/kubeconfig";
    const POD: &str = "static-manifests/kube-apiserver.yaml";
    const BOOTSTRAP: &str = "bootstrap-manifests/bootstrap-apiserver.yaml";
    const CHART: &str = "charts/kube-system/kube-apiserver/Chart.yaml";
    let table: [(&str, &[&str], &str); 5] = [
        (
            "Typhoon v1.16",
            &[AUTH, "tls/ca.crt", POD, "manifests/coredns/config.yaml"],
            "static pods (static-manifests/)",
        ),
        (
            "Typhoon of today",
            &["auth/admin.conf", "tls/k8s/ca.crt", POD, "manifests/network/x.yaml"],
            "not self-hosted",
        ),
        ("what Typhoon copies today", &["manifests/coredns/config.yaml"], "it holds only objects"),
        (
            "Lokomotive",
            &[AUTH, "tls/ca.crt", BOOTSTRAP, CHART, "charts/kube-system/kube-apiserver.yaml"],
            "Helm charts",
        ),
        ("charts beside manifests", &[AUTH, BOOTSTRAP, CHART, "manifests/a.yaml"], "Helm charts"),
    ];
    checks.that(
        "layouts that are not self-hosted are refused with the reason, and nothing is touched",
        || {
            let machine = || {
                world.shell("find /etc/kubernetes /var/lib/kubelet -mindepth 1 -printf '%p %i %T@\\n' | sort")
            };
            let before = machine();
            for (i, (name, files, reason)) in table.into_iter().enumerate() {
                let folder = format!("/srv/other/{i}");
                for file in files {
                    world.shell(&format!(
                        "mkdir -p $(dirname {folder}/{file}) && echo 'a: b' >{folder}/{file}"
                    ));
                }
                for command in ["start", "preflight"] {
                    let output = world.n1().exec(&["bootkube", command, "--asset-dir", &folder]).unwrap();
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert_eq!(output.status.code(), Some(3), "{name}: {said}");
                    assert!(said.contains(reason) && said.lines().count() <= 3, "{name}: {said}");
                }
            }
            assert_eq!(machine(), before);
        },
    );
}
