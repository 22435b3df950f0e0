//! Decisions on evidence: of several causes the deepest is named.

use std::path::PathBuf;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use serde_json::{Value, json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::decide::decide;
use super::evidence::{ApiState, Cluster, Container, End, Evidence, Life, Observed, StaticPod};
use super::underway::APPROVES;
use super::{Blocker, Underway, Verdict, Workload};
use crate::cluster::connect::Readyz;
use crate::preflight::{Check, Outcome, Problem};

pub(super) const NOW: OffsetDateTime = datetime!(2026-01-01 0:10 UTC);

/// A healthy machine whose control plane is still starting.
pub(super) fn healthy() -> Evidence {
    let pods = [("etcd", true), ("bootstrap-kube-apiserver", false)];
    Evidence {
        now: NOW,
        checks: Observed::Seen(Vec::new()),
        runtime_took: Duration::ZERO,
        static_pods: Observed::Seen(pods.map(|(name, stays)| static_pod(name, stays)).into()),
        api: api(Some(Readyz::Ready)),
        cluster: Some(cluster(Vec::new())),
        underway: Underway::default(),
    }
}

pub(super) fn api(answer: Option<Readyz>) -> ApiState {
    ApiState {
        port: 6443,
        answer: answer.map(|answer| ("192.0.2.1:6443".to_owned(), answer)),
        is_apiserver: false,
        url: "https://api.example.test:6443".to_owned(),
        at_url: None,
    }
}

fn static_pod(name: &str, stays: bool) -> StaticPod {
    let container = Container {
        name: "c".into(),
        image: "example.test/image:1".into(),
        has_image: Some(true),
        life: Life::Running(NOW - Duration::MINUTE),
        before: None,
    };
    StaticPod {
        name: name.into(),
        file: PathBuf::from(format!("/etc/kubernetes/manifests/{name}.yaml")),
        stays,
        grace: Duration::seconds(10),
        lingers: false,
        lacks: None,
        placed: Some(NOW - Duration::MINUTE),
        started: Some(NOW - Duration::MINUTE),
        containers: vec![container],
    }
}

pub(super) fn end(line: &str) -> End {
    End {
        exit_code: 1,
        reason: "Error".into(),
        attempt: 2,
        lines: Observed::Seen(vec![line.to_owned()]),
        log: Some("/var/log/pods/p/c/2.log".into()),
    }
}

pub(super) fn cluster(pods: Vec<Value>) -> Cluster {
    let required = Workload { namespace: "kube-system".into(), name: "kube-scheduler".into() };
    let pods = pods.into_iter().map(|pod| serde_json::from_value(pod).unwrap());
    Cluster { has_node: true, nodes: 1, pods: pods.collect(), required: vec![required], ..Cluster::at(NOW) }
}

/// A required pod with this status.
pub(super) fn pod(node: Option<&str>, status: Value) -> Value {
    json!({
        "metadata": {"name": "kube-scheduler-1-x", "namespace": "kube-system", "uid": "u",
            "creationTimestamp": "2026-01-01T00:09:30Z"},
        "spec": {"nodeName": node, "nodeSelector": {"role": "none"}, "containers": []},
        "status": status,
    })
}

pub(super) fn waiting(reason: &str, message: &str) -> Value {
    json!({"containerStatuses": [{"name": "c", "image": "example.test/image:1", "imageID": "", "ready": false,
        "restartCount": 3, "state": {"waiting": {"reason": reason, "message": message}}}]})
}

pub(super) fn unscheduled(message: &str) -> Value {
    json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": message}]})
}

/// A DaemonSet for which no node qualifies.
pub(super) fn daemon_set() -> DaemonSet {
    serde_json::from_value(json!({
        "metadata": {"name": "kube-scheduler", "namespace": "kube-system", "generation": 1,
            "creationTimestamp": "2026-01-01T00:09:30Z"},
        "spec": {"selector": {}, "template": {"spec": {"nodeSelector": {"role": "none"}, "containers": []}}},
        "status": {"observedGeneration": 1, "desiredNumberScheduled": 0, "currentNumberScheduled": 0,
            "numberMisscheduled": 0, "numberReady": 0},
    }))
    .unwrap()
}

/// A kubelet's certificate request, created a minute ago.
pub(super) fn request(status: Value) -> CertificateSigningRequest {
    serde_json::from_value(json!({
        "metadata": {"name": "csr-1", "creationTimestamp": "2026-01-01T00:09:00Z"},
        "spec": {"signerName": "kubernetes.io/kube-apiserver-client-kubelet", "request": "",
            "username": "system:bootstrap:abcdef", "groups": ["system:bootstrappers"]},
        "status": status,
    }))
    .unwrap()
}

/// A binding, a minute old, that lets the request be approved.
pub(super) fn binding() -> ClusterRoleBinding {
    serde_json::from_value(json!({
        "metadata": {"name": "kubelet-bootstrap-approver", "creationTimestamp": "2026-01-01T00:09:00Z"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": APPROVES},
        "subjects": [{"kind": "Group", "name": "system:bootstrappers"}],
    }))
    .unwrap()
}

/// A warning about the object called `name`, reported three times until `age` ago, ten seconds long.
pub(super) fn event(reason: &str, name: &str, message: &str, age: Duration) -> Event {
    reported(reason, name, message, (age + Duration::seconds(10), age), 3)
}

/// A warning that was reported `count` times, for the first and the last time so long ago. The
/// clock of the component is five minutes ahead of the apiserver's.
pub(super) fn reported(
    reason: &str,
    name: &str,
    message: &str,
    ago: (Duration, Duration),
    count: i32,
) -> Event {
    let (first, last) = ago;
    let ahead = NOW + Duration::minutes(5);
    serde_json::from_value(json!({
        "metadata": {"name": "e", "creationTimestamp": crate::pki::rfc3339(NOW - first)},
        "reason": reason, "message": message, "type": "Warning", "count": count,
        "firstTimestamp": crate::pki::rfc3339(ahead - first), "lastTimestamp": crate::pki::rfc3339(ahead - last),
        "involvedObject": {"name": name},
    }))
    .unwrap()
}

pub(super) fn fail(evidence: &mut Evidence, name: &'static str) {
    let Observed::Seen(checks) = &mut evidence.checks else { unreachable!("it is") };
    let outcome =
        Outcome::Fail(vec![Problem::new(format!("the check {name} fails"), "so it says", "mend it")]);
    checks.push(Check { name, about: "", outcome });
}

pub(super) fn static_pods(evidence: &mut Evidence) -> &mut Vec<StaticPod> {
    let Observed::Seen(pods) = &mut evidence.static_pods else { unreachable!("they are") };
    pods
}

pub(super) fn blocker(evidence: &Evidence) -> Blocker {
    decide(evidence).blocker().unwrap_or_else(|| panic!("nothing is in the way: {:?}", decide(evidence)))
}

#[test]
fn nothing_is_in_the_way_where_all_is_well_and_what_cannot_be_seen_is_said() {
    let mut evidence = healthy();
    assert_eq!(decide(&evidence), Verdict::Unexplained { unseen: Vec::new() });
    evidence.static_pods = Observed::Unknown("no socket can be seen".into());
    let Observed::Seen(checks) = &mut evidence.checks else { unreachable!("they are") };
    let unknown = |name| Check { name, about: "", outcome: Outcome::Unknown("no process".into()) };
    checks.extend([unknown("kubelet-static-pods"), unknown("networks")]);
    let unseen = ["kubelet-static-pods: no process", "static pods: no socket can be seen"];
    assert_eq!(decide(&evidence), Verdict::Unexplained { unseen: unseen.map(str::to_owned).into() });
}

#[test]
fn of_several_things_that_are_wrong_the_deepest_is_named() {
    let mut evidence = healthy();
    evidence.api = api(Some(Readyz::Unreachable("connection reset".into())));
    evidence.cluster = None;
    fail(&mut evidence, "server-names");
    assert_eq!(blocker(&evidence).what, "the process that listens at 192.0.2.1:6443 does not answer");
    static_pods(&mut evidence)[1].containers[0].life = Life::Ended(end("connection refused"));
    assert!(blocker(&evidence).what.contains("bootstrap-kube-apiserver does not stay up"));
    fail(&mut evidence, "etcd");
    assert_eq!(blocker(&evidence).what, "the check etcd fails");
    static_pods(&mut evidence)[0].containers[0].life = Life::Ended(end("disk is broken"));
    assert!(blocker(&evidence).what.contains("etcd does not stay up"));
    fail(&mut evidence, "kubelet");
    assert_eq!(blocker(&evidence).what, "the check kubelet fails");
    fail(&mut evidence, "container-runtime");
    assert_eq!(blocker(&evidence).what, "the check container-runtime fails");
}

#[test]
fn a_static_pod_is_followed_from_its_file_to_its_container() {
    let first = |change: &dyn Fn(&mut StaticPod)| {
        let mut evidence = healthy();
        evidence.api = api(None);
        evidence.cluster = None;
        change(&mut static_pods(&mut evidence)[1]);
        decide(&evidence).blocker()
    };
    let not_taken_up = first(&|pod| pod.started = None).unwrap();
    assert!(not_taken_up.what.contains("has not started the static pod bootstrap-kube-apiserver"));
    assert!(not_taken_up.cure.contains("staticPodPath: /etc/kubernetes/manifests"), "{not_taken_up:?}");
    let earlier = first(&|pod| (pod.started, pod.lingers) = (None, true)).unwrap();
    assert!(earlier.what.contains("still runs an earlier version of the static pod"), "{earlier:?}");
    let young = |pod: &mut StaticPod| (pod.started, pod.placed) = (None, Some(NOW - Duration::SECOND));
    assert_eq!(first(&young), None, "kubelet looks every few seconds");
    let missing = |has_image| {
        move |pod: &mut StaticPod| {
            pod.containers[0].life = Life::Missing;
            pod.containers[0].has_image = Some(has_image);
        }
    };
    assert_eq!(first(&missing(false)).unwrap().what, "image example.test/image:1 is not on this machine");
    assert!(first(&missing(true)).unwrap().what.contains("does not create container c"));
    let crash = first(&|pod| pod.containers[0].life = Life::Ended(end("bad flag"))).unwrap();
    assert_eq!(crash.why, "it exited with 1 at attempt 3; its last lines: bad flag");
    assert!(crash.cure.contains("/var/log/pods/p/c/2.log"), "{crash:?}");
    let full = first(&|pod| pod.containers[0].life = Life::Ended(end("x: no space left on device"))).unwrap();
    assert!(full.what.contains("fails because the disk is full"));
    let restarted = |since: Duration| {
        move |pod: &mut StaticPod| {
            pod.containers[0].life = Life::Running(NOW - since);
            pod.containers[0].before = Some(end("bad flag"));
        }
    };
    assert!(first(&restarted(Duration::SECOND)).unwrap().what.contains("does not stay up"));
    assert_eq!(first(&restarted(Duration::MINUTE)), None, "it has recovered");
}

#[test]
fn an_apiserver_says_itself_what_it_lacks() {
    let told = |answer| {
        let mut evidence = healthy();
        (evidence.api, evidence.cluster) = (api(Some(answer)), None);
        blocker(&evidence)
    };
    let unready = told(Readyz::NotReady { status: 500, lines: vec!["etcd failed".into()] });
    assert!(unready.why.contains("etcd failed") && unready.cure.contains("has a leader"), "{unready:?}");
    let untrusted =
        |words: &str| told(Readyz::Unreachable(format!("invalid peer certificate: {words}"))).what;
    assert!(untrusted("NotValidForName").contains("does not name the host of the API's URL"));
    assert!(untrusted("certificate expired").contains("has expired"));
    assert!(untrusted("UnknownIssuer").contains("does not belong to this cluster"));
    let stranger = told(Readyz::NotReady { status: 401, lines: vec!["Unauthorized".into()] });
    assert!(stranger.what.contains("refuses the administrator's credentials"));
}

#[test]
fn a_machine_that_does_not_register_may_look_for_the_api_elsewhere() {
    let mut evidence = healthy();
    evidence.api.at_url = Some(Readyz::Unreachable("timed out".into()));
    assert_eq!(decide(&evidence).blocker(), None, "it has registered");
    evidence.cluster.as_mut().unwrap().has_node = false;
    assert_eq!(blocker(&evidence).what, "the API does not answer at https://api.example.test:6443");
    fail(&mut evidence, "api-address");
    assert_eq!(blocker(&evidence).what, "the check api-address fails");
}

#[test]
fn a_machine_that_finds_the_api_and_does_not_register_lacks_a_certificate() {
    let mut evidence = healthy();
    evidence.cluster.as_mut().unwrap().requests.push(request(json!({})));
    assert_eq!(decide(&evidence).blocker(), None, "it has registered");
    evidence.cluster.as_mut().unwrap().has_node = false;
    assert_eq!(blocker(&evidence).what, "the certificate request of kubelet is not approved");
}

#[test]
fn while_no_node_has_registered_nothing_is_said_of_pods_and_labels() {
    let mut evidence = healthy();
    let said = "0/0 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
    evidence.cluster = Some(cluster(vec![pod(None, unscheduled(said))]));
    let cluster = evidence.cluster.as_mut().unwrap();
    cluster.daemon_sets.push(daemon_set());
    (cluster.has_node, cluster.nodes) = (false, 0);
    cluster.kubelet_said = Some("node \"n1\" not found".into());
    let found = blocker(&evidence);
    assert_eq!(found.what, "no node has registered, and without one no pod can run");
    assert!(found.why.ends_with("the last error in its journal: node \"n1\" not found"), "{found:?}");
    assert!(found.cure.starts_with("run systemctl restart kubelet"), "{found:?}");
    assert_eq!(decide(&evidence).least().as_secs(), 5, "a kubelet that starts registers by itself");
    fail(&mut evidence, "kubelet-credentials");
    assert_eq!(blocker(&evidence).what, "the check kubelet-credentials fails", "it cannot register");
    evidence.cluster.as_mut().unwrap().nodes = 1;
    evidence.cluster.as_mut().unwrap().has_node = true;
    assert!(blocker(&evidence).what.starts_with("no node has the labels"));
}

#[test]
fn a_required_pod_is_followed_from_its_node_to_its_program() {
    let of_pod = |node, status| {
        let mut evidence = healthy();
        evidence.cluster = Some(cluster(vec![pod(node, status)]));
        decide(&evidence).blocker()
    };
    let labels =
        of_pod(None, unscheduled("0/1: 1 node(s) didn't match Pod's node affinity/selector.")).unwrap();
    assert_eq!(labels.what, "no node has the labels that pod kube-scheduler-1-x asks for");
    assert!(labels.why.contains("role=none"), "{labels:?}");
    assert!(of_pod(None, unscheduled("Insufficient cpu")).unwrap().what.contains("no node takes pod"));
    assert_eq!(of_pod(None, json!({})), None, "the scheduler has not looked yet");
    let image = of_pod(Some("n1"), waiting("ErrImagePull", "not found")).unwrap();
    assert_eq!(image.what, "image example.test/image:1 is not on node n1");
    let config = of_pod(Some("n1"), waiting("CreateContainerConfigError", "secret \"s\" not found")).unwrap();
    assert!(config.why.contains("secret \"s\" not found"));
    let mut crash = waiting("CrashLoopBackOff", "back-off");
    crash["containerStatuses"][0]["lastState"] =
        json!({"terminated": {"exitCode": 2, "message": "I am fine\nError: unknown flag: --none\n"}});
    let crash = of_pod(Some("n1"), crash).unwrap();
    assert!(crash.what.contains("does not stay up"), "{crash:?}");
    assert!(crash.why.contains("exited with 2") && crash.why.ends_with("Error: unknown flag: --none"));
    assert!(crash.cure.contains("kubectl -n kube-system logs kube-scheduler-1-x -c c --previous"));
}

#[test]
fn events_say_why_a_pod_has_no_container_or_is_not_made_while_they_are_new() {
    let event = |reason: &str, name: &str, age: Duration| event(reason, name, "no volume", age);
    let with = |pods: Vec<Value>, event: Event| {
        let mut evidence = healthy();
        let mut cluster = cluster(pods);
        cluster.events.push(event);
        evidence.cluster = Some(cluster);
        decide(&evidence).blocker()
    };
    let creating = || vec![pod(Some("n1"), waiting("ContainerCreating", ""))];
    let new = Duration::seconds(5);
    let mount = with(creating(), event("FailedMount", "kube-scheduler-1-x", new)).unwrap();
    assert_eq!(mount.what, "pod kube-scheduler-1-x cannot be started");
    assert_eq!(with(creating(), event("FailedMount", "kube-scheduler-1-x", Duration::HOUR)), None);
    let mut started = waiting("", "");
    started["containerStatuses"][0]["state"] = json!({"running": {"startedAt": "2026-01-01T00:09:50Z"}});
    let started = vec![pod(Some("n1"), started)];
    assert_eq!(with(started, event("FailedMount", "kube-scheduler-1-x", new)), None, "it has passed");
    let refused = with(Vec::new(), event("FailedCreate", "kube-scheduler-1", new)).unwrap();
    assert_eq!(refused.what, "no pod of kube-system/kube-scheduler can be created");
    assert_eq!(with(Vec::new(), event("FailedCreate", "coredns-1", new)), None, "nothing waits for it");
}

#[test]
fn a_daemon_set_that_no_node_is_labelled_for_is_named() {
    let mut evidence = healthy();
    evidence.cluster.as_mut().unwrap().daemon_sets.push(daemon_set());
    assert_eq!(blocker(&evidence).what, "no node has the labels that DaemonSet kube-scheduler asks for");
}
