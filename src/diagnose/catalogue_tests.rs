//! Every message that a diagnosis can give, pinned by a golden file: what, why, what to do.
//!
//! Checks of the machine have a file of their own, see `preflight`.

use serde_json::{Value, json};
use time::Duration;

use super::blocker::{Below, Blocker};
use super::decide::decide;
use super::evidence::{ApiState, Evidence, Life, Unready};
use super::tests::{
    api, binding, cluster, daemon_set, end, event, healthy, pod, request, static_pods, unscheduled, waiting,
};
use super::{Brought, Refusal, Underway, objects};
use crate::cluster::apply::Item;
use crate::cluster::connect::Readyz;
use crate::cluster::crd;
use crate::golden;
use crate::patience::Late;

fn blocker(change: impl FnOnce(&mut Evidence)) -> Blocker {
    let mut evidence = healthy();
    change(&mut evidence);
    decide(&evidence).blocker().expect("something is in the way")
}

/// Causes below the API: what keeps a static pod from running.
fn of_static_pods() -> Vec<Blocker> {
    let first = |change: fn(&mut super::evidence::StaticPod)| {
        blocker(|evidence| {
            (evidence.api, evidence.cluster) = (api(None), None);
            change(&mut static_pods(evidence)[1]);
        })
    };
    vec![
        first(|pod| pod.started = None),
        first(|pod| (pod.started, pod.lacks) = (None, Some("registry.k8s.io/pause:3.10".into()))),
        first(|pod| (pod.started, pod.lingers) = (None, true)),
        first(|pod| (pod.containers[0].life, pod.containers[0].has_image) = (Life::Missing, Some(false))),
        first(|pod| pod.containers[0].life = Life::Missing),
        first(|pod| pod.containers[0].life = Life::Ended(end("Error: unknown flag: --none"))),
        first(|pod| pod.containers[0].life = Life::Ended(end("write: no space left on device"))),
    ]
}

/// What the API answers, and what kubelets find at its URL.
fn of_the_api() -> Vec<Blocker> {
    let answers =
        |answer: Readyz| blocker(|evidence| (evidence.api, evidence.cluster) = (api(Some(answer)), None));
    let unready = |line: &str| Readyz::NotReady { status: 500, lines: vec![line.to_owned()] };
    let distrust = |words: &str| Readyz::Unreachable(format!("invalid peer certificate: {words}"));
    let unregistered = |change: fn(&mut Evidence)| {
        blocker(|evidence| {
            change(evidence);
            if let Some(cluster) = &mut evidence.cluster {
                cluster.has_node = false;
            }
        })
    };
    let requested = |status: Value| {
        blocker(|evidence| {
            let cluster = evidence.cluster.as_mut().expect("its API answers");
            cluster.has_node = false;
            cluster.requests.push(request(status));
        })
    };
    let is = |kind: &str| {
        let reason = json!([{"type": kind, "status": "True", "message": "by the administrator"}]);
        json!({"conditions": reason})
    };
    vec![
        answers(Readyz::Unreachable("connection reset by peer".into())),
        blocker(|evidence| {
            let silent = Some(Readyz::Silent(Late(std::time::Duration::from_secs(2))));
            (evidence.api, evidence.cluster) = (ApiState { is_apiserver: true, ..api(silent) }, None);
        }),
        answers(Readyz::NotReady { status: 401, lines: vec!["Unauthorized".into()] }),
        answers(unready("etcd failed")),
        answers(unready("poststarthook/rbac/bootstrap-roles failed")),
        answers(distrust("NotValidForName")),
        answers(distrust("certificate expired")),
        answers(distrust("UnknownIssuer")),
        unregistered(|evidence| evidence.api.at_url = Some(Readyz::Unreachable("timed out".into()))),
        requested(json!({})),
        blocker(|evidence| {
            let cluster = evidence.cluster.as_mut().expect("its API answers");
            cluster.has_node = false;
            cluster.requests.push(request(json!({})));
            cluster.bindings.push(binding());
        }),
        requested(is("Denied")),
        requested(is("Failed")),
        blocker(|evidence| {
            let cluster = evidence.cluster.as_mut().expect("its API answers");
            (cluster.has_node, cluster.nodes) = (false, 0);
        }),
        requested(is("Approved")),
    ]
}

/// As containerd 1.6 says it.
const NO_SANDBOX: &str =
    "failed to get sandbox image \"registry.k8s.io/pause:3.6\": failed to pull image: no route to host";

/// What keeps a required pod from being Ready.
fn of_pods() -> Vec<Blocker> {
    let of_pod = |node, status| blocker(|evidence| evidence.cluster = Some(cluster(vec![pod(node, status)])));
    let with_event = |pods: Vec<Value>, reason: &str, name: &str, message: &str| {
        blocker(|evidence| {
            let mut cluster = cluster(pods);
            cluster.events.push(event(reason, name, message, Duration::seconds(5)));
            evidence.cluster = Some(cluster);
        })
    };
    let mut crash = waiting("CrashLoopBackOff", "back-off");
    crash["containerStatuses"][0]["lastState"] =
        json!({"terminated": {"exitCode": 2, "message": "Error: unknown flag: --none\n"}});
    let mut killed = waiting("CrashLoopBackOff", "back-off");
    killed["containerStatuses"][0]["lastState"] =
        json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
    let mut unwell = waiting("", "");
    unwell["containerStatuses"][0]["state"] = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    let on_node = |status: Value| vec![pod(Some("n1"), status)];
    let name = "kube-scheduler-1-x";
    let creating = || on_node(waiting("ContainerCreating", ""));
    vec![
        blocker(|evidence| {
            let cluster = evidence.cluster.as_mut().expect("its API answers");
            cluster.daemon_sets.push(daemon_set());
        }),
        of_pod(None, unscheduled("0/1: 1 node(s) didn't match Pod's node affinity/selector.")),
        of_pod(None, unscheduled("0/1 nodes are available: 1 Insufficient cpu.")),
        of_pod(None, unscheduled("0/1: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.")),
        blocker(|evidence| {
            let said = "0/1 nodes are available: 1 node(s) had untolerated taint(s)."; // Kubernetes 1.36
            let mut cluster = cluster(vec![pod(None, unscheduled(said))]);
            cluster.unready.push(Unready { node: "n1".into(), said: "cni plugin not initialized".into() });
            evidence.cluster = Some(cluster);
        }),
        of_pod(None, unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint(s).")),
        of_pod(None, unscheduled("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.")),
        of_pod(Some("n1"), waiting("ErrImagePull", "not found")),
        of_pod(Some("n1"), waiting("ErrImagePull", "pull access denied, authorization failed")),
        of_pod(Some("n1"), waiting("ErrImagePull", "x509: certificate signed by unknown authority")),
        of_pod(Some("n1"), waiting("ErrImagePull", "dial tcp: no route to host")),
        of_pod(Some("n1"), waiting("ErrImageNeverPull", "pull policy is Never")),
        of_pod(Some("n1"), waiting("InvalidImageName", "invalid reference format")),
        of_pod(Some("n1"), waiting("CreateContainerConfigError", "secret \"s\" not found")),
        of_pod(Some("n1"), crash),
        of_pod(Some("n1"), killed),
        with_event(creating(), "FailedMount", name, "MountVolume.SetUp failed: secret \"s\" not found"),
        with_event(creating(), "FailedCreatePodSandBox", name, "cni plugin not initialized"),
        with_event(creating(), "FailedCreatePodSandBox", name, NO_SANDBOX),
        with_event(
            creating(),
            "FailedCreatePodSandBox",
            name,
            "failed to create shim task: no AppArmor profile",
        ),
        with_event(creating(), "FailedMount", name, "volume \"network-config\": secret \"s\" not found"),
        blocker(|evidence| {
            let said = "container runtime network not ready: cni plugin not initialized";
            let mut cluster = cluster(creating());
            cluster.events.push(event("NetworkNotReady", name, said, Duration::seconds(5)));
            evidence.cluster = Some(cluster);
            let volumes = json!([{"hostPath": {"path": "/etc/cni/net.d"}}]);
            let value = json!({"kind": "DaemonSet", "metadata": {"name": "flannel", "namespace": "kube-system"},
                "spec": {"template": {"spec": {"volumes": volumes}}}});
            evidence.underway.objects.push(Brought::of(&Item { file: "f".into(), value }));
        }),
        with_event(on_node(unwell), "Unhealthy", name, "Readiness probe failed: connection refused"),
        with_event(Vec::new(), "FailedCreate", "kube-scheduler-1", "pods is forbidden: exceeded quota"),
    ]
}

/// What keeps an object from being applied.
fn of_objects() -> Vec<Blocker> {
    let item = |kind: &str| Item {
        file: "toys.yaml".into(),
        value: json!({"kind": kind, "metadata": {"name": "toys.example.test"}}),
    };
    let reasons = [
        (crd::KIND, "the definition is not served: its names are refused: \"Toy\" is taken"),
        (crd::KIND, "the definition is not served: it is not Established yet"),
        ("Toy", "Internal error: failed calling webhook \"w\": no endpoints available"),
        ("Toy", "pods \"x\" is forbidden: violates PodSecurity \"restricted\""),
        ("Toy", "the API serves no Toy in example.test/v1"),
        ("Toy", "namespaces \"toys\" not found"),
        ("Toy", "conflict: .spec is owned by manager \"kubectl\" (--force-conflicts takes over)"),
        ("Toy", "spec.size: Required value"),
    ];
    let refusal = |kind: &str, why: &str| Refusal {
        item: item(kind),
        why: why.to_owned(),
        lasted: std::time::Duration::from_secs(60),
    };
    let of = |underway: &Underway, (kind, why)| objects::blocker(&refusal(kind, why), underway).expect(why);
    let hook = json!({"kind": "Service", "metadata": {"name": "hook", "namespace": "policy"}});
    let hook = Brought::of(&Item { file: "f".into(), value: hook });
    let ours = "Internal error: failed calling webhook \"w\": failed to call webhook: \
                Post \"https://hook.policy.svc:443/toys\": no endpoints available";
    let late = of(&Underway { objects: vec![hook], ..Underway::default() }, ("Toy", ours));
    reasons.map(|reason| of(&Underway::default(), reason)).into_iter().chain([late]).collect()
}

#[test]
fn golden_messages_of_every_cause() {
    let all = [of_static_pods(), of_the_api(), of_pods(), of_objects()].concat();
    let text: String =
        all.iter().map(|blocker| format!("{}\n{}\n\n", blocker.what, Below(blocker))).collect();
    golden::check_file("messages/diagnose.txt", &text);
    for source in ["api", "containers", "decide", "objects", "pods", "requests"] {
        golden::assert_complete(&format!("src/diagnose/{source}.rs"), &text);
    }
}
