//! The way out of self-hosting and back, with clients who ask all the while, and a power cut in between.

use serde_json::json;

use crate::again::run_until;
use crate::checks::{Checks, eventually};
use crate::traffic::{self, Answered, Traffic};
use crate::world::{World, record};

const UNPIVOT: &str = "bootkube unpivot --kubeconfig /opt/bootkube/assets/auth/kubeconfig";
const PHASES: [&str; 6] = [
    "take the agent's place",
    "place the static apiserver",
    "place the static leaders",
    "remove the agent",
    "hand over",
    "verify",
];
const STATIC: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

#[test]
fn a_control_plane_becomes_static_pods_and_self_hosted_again_without_a_gap() {
    let world = World::alone("e2e-unpivot", 1, |_| json!({}));
    world.render_and_join();
    world.start().must_succeed();
    let mut checks = Checks::default();

    let traffic = Traffic::start(&world, "unpivot");
    let said = world.shell(UNPIVOT);
    let out = traffic.finish();
    checks.that("at most one request in 500 fails on the way out", || out.iter().for_each(nearly_all));
    checks.that("the control plane is static pods, and no agent runs", || {
        assert!(said.lines().last().unwrap().contains("is static pods"), "{said}");
        is_static(&world);
    });
    checks.that("unpivot again finds nothing to do", || {
        world.shell(UNPIVOT);
        is_static(&world);
    });
    world.n1().reboot().unwrap();
    checks.that("static pods come back from a power cut by themselves", || {
        eventually(60, || answers(&world));
        works(&world, "static");
    });

    let traffic = Traffic::start(&world, "back");
    let back = world.start();
    let answered = traffic.finish();
    back.must_succeed();
    checks.that("at most one request in 500 fails on the way back", || answered.iter().for_each(nearly_all));
    checks.that("the control plane runs itself again", || {
        assert_eq!(
            world.shell("ls -A /etc/kubernetes/manifests | grep -v checkpointer || true"),
            "etcd.yaml\n"
        );
        assert!(!world.n1().path("/etc/kubernetes/control-plane").exists());
        for workload in
            ["DaemonSet/kube-apiserver", "Deployment/kube-controller-manager", "Deployment/kube-scheduler"]
        {
            assert!(matches!(world.pods_of(workload).as_slice(), [pod] if pod.ready), "{workload}");
        }
        works(&world, "back");
    });
    checks.that(
        "after a power cut in the middle the API is back by itself, and unpivot run again completes",
        || {
            survives_power_cut(&world, "hand over");
        },
    );
    let seconds = back.took.as_secs_f64();
    record(
        "unpivot",
        &json!({"back seconds": seconds, "out": traffic::figures(&out), "back": traffic::figures(&answered)}),
    );
    checks.finish();
}

#[test]
#[ignore = "takes minutes: make soak"]
fn unpivot_survives_a_power_cut_in_every_phase() {
    let world = World::up("e2e-unpivot-power", 1, |_| json!({}));
    world.render_and_join();
    let mut checks = Checks::default();
    for phase in PHASES {
        world.start().must_succeed();
        checks.that(phase, || survives_power_cut(&world, phase));
    }
    checks.finish();
}

/// The power is cut in `phase`; nothing is done by hand until the API answers, and then the same once more.
fn survives_power_cut(world: &World, phase: &str) {
    let (mut unpivot, _said) = run_until(world, UNPIVOT, phase);
    world.n1().power_cut().unwrap();
    unpivot.wait().unwrap();
    world.n1().power_on().unwrap();
    eventually(60, || answers(world));
    world.shell(UNPIVOT);
    is_static(world);
    works(world, &phase.replace([' ', '\''], "-"));
}

fn answers(world: &World) -> Result<(), String> {
    let answer = world.n1().exec(&["kubectl", "--request-timeout=5s", "get", "--raw", "/readyz"]).unwrap();
    answer.status.success().then_some(()).ok_or(String::from_utf8_lossy(&answer.stderr).into_owned())
}

fn nearly_all(answered: &Answered) {
    let Answered { client, summary } = answered;
    let total = summary.ok + summary.failed;
    assert!(
        summary.ok >= 100 && summary.failed * 500 <= total,
        "{client}: {} of {total} failed",
        summary.failed
    );
}

/// Manifests and keys are root's alone, nothing self-hosted is left, and each static pod is Ready.
fn is_static(world: &World) {
    for name in STATIC {
        let file = format!("/etc/kubernetes/manifests/{name}.yaml");
        assert_eq!(world.shell(&format!("stat -c '%a %U' {file}")), "600 root\n");
        eventually(30, || {
            let ready =
                world.pods("kube-system").iter().any(|pod| pod.name == format!("{name}-n1") && pod.ready);
            ready.then_some(()).ok_or(format!("{name} is not Ready"))
        });
    }
    let modes = world.shell("find /etc/kubernetes/control-plane -printf '%y %m\\n' | sort -u");
    assert_eq!(modes, "d 700\nf 600\n");
    let workloads = world.kubectl(&["-n", "kube-system", "get", "daemonsets,deployments", "-o", "name"]);
    for gone in STATIC.into_iter().chain(["pod-checkpointer"]) {
        assert!(!workloads.contains(gone), "{workloads}");
    }
}

/// The controller manager makes a service account for every namespace.
fn works(world: &World, namespace: &str) {
    world.kubectl(&["create", "namespace", namespace]);
    eventually(40, || {
        let account = world.kubectl(&["get", "serviceaccounts", "-n", namespace, "-o", "name"]);
        (!account.is_empty()).then_some(()).ok_or("the controller manager does nothing".into())
    });
}
