//! The way out of self-hosting and back. Clients send requests all the while, and the power is cut
//! in between.

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
    let world = World::up("e2e-unpivot", 1, |_| json!({})).started();
    let mut checks = Checks::default();

    let traffic = Traffic::start(&world, "unpivot");
    let said = checks.need("unpivot succeeds", || world.shell(UNPIVOT));
    let out = traffic.finish();
    checks.that("no request fails on the way out", || out.iter().for_each(Answered::assert_unnoticed));
    checks.that("the control plane is static pods, and no agent runs", || {
        let said = said.unwrap();
        assert!(said.lines().last().unwrap().contains("is static pods"), "{said}");
        is_static(&world);
    });
    checks.that("unpivot again finds nothing to do", || {
        world.shell(UNPIVOT);
        is_static(&world);
    });
    checks.that("static pods come back from a power cut by themselves", || {
        world.n1().reboot().unwrap();
        eventually(60, || world.answers());
        world.controller_manager_works("static");
    });

    let traffic = Traffic::start(&world, "back");
    let back = world.start();
    let answered = traffic.finish();
    checks.need("start succeeds on the way back", || back.must_succeed());
    checks.that("no request fails on the way back", || answered.iter().for_each(Answered::assert_unnoticed));
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
        world.controller_manager_works("back");
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

/// The power is cut in `phase`. The test waits until the API answers, and runs the same command
/// again.
fn survives_power_cut(world: &World, phase: &str) {
    let (mut unpivot, _said) = run_until(world, UNPIVOT, phase);
    world.n1().power_cut().unwrap();
    unpivot.wait().unwrap();
    world.n1().power_on().unwrap();
    eventually(60, || world.answers());
    world.shell(UNPIVOT);
    is_static(world);
    world.controller_manager_works(&phase.replace([' ', '\''], "-"));
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
