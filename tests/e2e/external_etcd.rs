//! An etcd that bootkube does not run, RSA keys, workers; `start` from bootkube's image, as
//! wrappers of v0.14 run it. Then a second machine, first a worker and then, by its label, a
//! controller.

use lab::cluster::ASSETS;
use serde_json::json;

use crate::checks::{Checks, eventually};
use crate::kube::condition;
use crate::start_report;
use crate::world::World;

#[test]
fn the_image_alone_makes_a_cluster_with_an_external_etcd() {
    let world = World::up("e2e-external-etcd", 2, |lab| {
        json!({
            "etcd": {
                "mode": "external",
                "servers": [format!("https://{}:2379", lab.machine("n1").unwrap().ip())],
            },
            "controlPlane": {"workers": true},
            "certificates": {"keyAlgorithm": "rsa-2048"},
        })
    });
    world.cluster.render().unwrap();
    world.n1().write(&format!("{ASSETS}/manifests/refused.yaml"), REFUSED.as_bytes(), 0o600).unwrap();
    world.cluster.start_etcd().unwrap();
    world.cluster.join(&world.n1()).unwrap();
    world.shell(&format!("mkdir -p {}", start_report::FOLDER));
    let started = world.start_by(&FROM_IMAGE.split_whitespace().collect::<Vec<_>>());
    let mut checks = Checks::default();
    checks.need("start from the image succeeds", || started.must_succeed());
    checks.that(
        "an object that the API refuses is named with its file and the reason, and stops nothing",
        || {
            let said = started.stdout();
            let is_named = |line: &str| line.contains("refused.yaml: ") && line.contains("spec.selector");
            assert!(said.lines().any(is_named), "{said}");
        },
    );
    checks.that("nothing of the bootstrap control plane is left", || {
        assert_eq!(world.shell("ls -A /etc/kubernetes/manifests"), "kube-system-pod-checkpointer.json\n");
        assert!(!world.n1().path("/etc/kubernetes/bootstrap-secrets").exists());
    });
    checks.that("every component of the control plane is Ready under its workload", || {
        world.rolled_out("daemonset/kube-proxy");
        for workload in CONTROL_PLANE {
            let pods = world.pods_of(workload);
            assert!(matches!(pods.as_slice(), [pod] if pod.ready), "{workload}: {pods:#?}");
        }
    });
    checks.that("the controller is kept free for workers to take the load", || {
        let node = world.get(&["node", "n1"]);
        assert!(condition(&node, "Ready"));
        let taints = json!([{"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"}]);
        assert_eq!(node["spec"]["taints"], taints);
    });
    checks.that("keys are RSA", || {
        let key = world.shell(&format!("openssl rsa -in {ASSETS}/tls/apiserver.key -noout -text"));
        assert!(key.contains("2048 bit"), "{key}");
    });
    empty_root(&world, &mut checks);
    second_machine(&world, &mut checks);
    start_report::check(&world, &mut checks);
    checks.finish();
}

fn empty_root(world: &World, checks: &mut Checks) {
    checks.that("the binary alone in an empty root renders", || {
        world.shell("mkdir -p /srv/empty && cp /usr/local/bin/bootkube /srv/empty");
        world.shell(&format!("chroot /srv/empty /bootkube render --asset-dir=/assets {FLAGS}"));
        is_rendered(world, "/srv/empty/assets");
    });
    checks.that("the image alone renders", || {
        world.shell("mkdir -p /srv/rendered");
        world.shell(&format!("{RENDER} /bootkube render --asset-dir=/out/assets {FLAGS}"));
        is_rendered(world, "/srv/rendered/assets");
    });
}

fn second_machine(world: &World, checks: &mut Checks) {
    world.cluster.join(&world.lab.machine("n2").unwrap()).unwrap();
    checks.that("a worker takes the load and nothing of the control plane", || {
        eventually(60, || {
            let dns = world.pods_of("Deployment/coredns");
            let ready = !dns.is_empty() && dns.iter().all(|pod| pod.ready && pod.node == "n2");
            ready.then_some(()).ok_or(format!("{dns:#?}"))
        });
        for workload in &CONTROL_PLANE[..3] {
            assert!(world.pods_of(workload).iter().all(|pod| pod.node == "n1"), "{workload}");
        }
    });
    checks.that("the label makes the worker a controller", || {
        world.kubectl(&["label", "node", "n2", "node-role.kubernetes.io/control-plane="]);
        eventually(60, || {
            let pods = world.pods_of("DaemonSet/kube-apiserver");
            let ready = pods.iter().any(|pod| pod.ready && pod.node == "n2");
            ready.then_some(()).ok_or(format!("{pods:#?}"))
        });
        let url = format!("https://{}:6443", world.lab.machine("n2").unwrap().ip());
        let words =
            ["--server", &url, "--tls-server-name", "kubernetes.default.svc", "get", "--raw", "/readyz"];
        assert_eq!(world.kubectl(&words), "ok");
    });
}

/// A Deployment without the fields that a Deployment needs.
const REFUSED: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: refused, namespace: default}
spec: {template: {spec: {containers: [{name: none, image: none}]}}}
";

/// `start` from the image, with write access only to /etc/kubernetes and the folder of the report.
const FROM_IMAGE: &str = "ctr -n k8s.io run --rm --net-host --read-only
    --mount type=bind,src=/opt/bootkube/assets,dst=/assets,options=rbind:ro
    --mount type=bind,src=/etc/kubernetes,dst=/etc/kubernetes,options=rbind:rw
    --mount type=bind,src=/srv/report,dst=/report,options=rbind:rw
    quay.io/bootkube/bootkube:lab bootkube /bootkube start --asset-dir=/assets
    --report=/report --events=/report/events.jsonl --probe";
const RENDER: &str = "ctr -n k8s.io run --rm --mount type=bind,src=/srv/rendered,dst=/out,options=rbind:rw \
    quay.io/bootkube/bootkube:lab render";
const FLAGS: &str = "--api-servers=https://192.0.2.10:6443 --etcd-servers=https://192.0.2.10:2379";
const CONTROL_PLANE: [&str; 4] = [
    "DaemonSet/kube-apiserver",
    "Deployment/kube-controller-manager",
    "Deployment/kube-scheduler",
    "DaemonSet/kube-proxy",
];

fn is_rendered(world: &World, folder: &str) {
    let modes = world.shell(&format!("find {folder} -printf '%y %m\\n' | sort -u"));
    assert_eq!(modes, "d 700\nf 600\n");
    for file in ["auth/kubeconfig", "tls/ca.key", "bootstrap-manifests", "manifests/kube-apiserver.yaml"] {
        assert!(world.n1().path(&format!("{folder}/{file}")).exists(), "{file}");
    }
}
