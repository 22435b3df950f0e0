//! What was seen, put together, in tables.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::super::offers::Offers;
use super::{Known, Look, Seen, View};
use crate::agent::complaints::Complaints;
use crate::agent::copies::evidence;
use crate::agent::copies::runtime::Local;
use crate::checkpoint::observed::{Api, Disk, Kubelet, Observed, Parent};
use crate::checkpoint::store::{Entry, Kept, Listing, Store};
use crate::checkpoint::{Id, Revision, Role};
use crate::cluster::connect::connect;
use crate::cluster::kubeconfig::{Access, Identity};

const APISERVER: &str = "kube-apiserver";
const OWN: &str = "pod-checkpointer";

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn id(name: &str) -> Id {
    Id::new("kube-system", name)
}

/// A ready pod of the DaemonSet `set` on n1 whose container is c1, changed.
fn pod(set: &str, change: Value) -> Pod {
    let mut pod = json!({
        "metadata": {
            "name": format!("{set}-x7z2k"), "namespace": "kube-system", "uid": format!("uid-{set}"),
            "labels": {"controller-revision-hash": "5f"},
            "annotations": {"checkpointer.alpha.coreos.com/checkpoint": "true"},
            "ownerReferences":
                [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": set, "uid": "set", "controller": true}],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "c", "command": [set, "--permit-port-sharing=true"]}],
        },
        "status": {
            "conditions": [
                {"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"},
            ],
            "containerStatuses": [{
                "name": "c", "containerID": "containerd://c1", "ready": true, "restartCount": 0, "image": "i",
                "imageID": "i",
            }],
        },
    });
    json_patch::merge(&mut pod, &change);
    object(pod)
}

fn local(set: &str, container: Option<&str>) -> Local {
    Local {
        id: id(set),
        uid: format!("uid-{set}"),
        running: container.map(|it| ("c".to_owned(), it.to_owned())).into_iter().collect(),
    }
}

fn kept(name: &str, active: bool) -> Listing {
    let revision = Revision("1".into());
    let kept = Kept {
        revision: revision.clone(),
        pod: String::new(),
        saved: String::new(),
        reason: String::new(),
        images: Vec::new(),
    };
    let entry = Entry {
        id: id(name),
        kept: Some(kept),
        active: active.then_some(revision),
        is_broken: false,
        pod: pod(name, json!({})),
    };
    Listing { entries: vec![entry], ..Listing::default() }
}

/// The API's word: pods, and whether there are DaemonSets that want them; `None` if it is silent.
struct Case<'c> {
    pods: &'c [Pod],
    answers: bool,
    local: Option<&'c [Local]>,
    listing: Option<&'c Listing>,
}

impl Case<'_> {
    fn look(&self) -> BTreeMap<Id, Observed> {
        let template = json!({
            "metadata": {"annotations": {"checkpointer.alpha.coreos.com/checkpoint": "true"}},
            "spec": {"containers": []},
        });
        let set: DaemonSet = object(json!({
            "metadata": {"name": APISERVER, "namespace": "kube-system"},
            "spec": {"selector": {}, "template": template},
        }));
        let node: Node = object(json!({"metadata": {"name": "n1"}}));
        let known = Known {
            view: View::Controller,
            local: Some(&[]),
            node: self.answers.then_some(node),
            pods: self.pods,
            daemon_sets: &[set],
            deployments: &[],
        };
        let own = id(OWN);
        let seen = Seen::new(Look {
            own: &own,
            node: "n1",
            known: &known,
            local: self.local,
            listing: self.listing,
        });
        seen.observation(&BTreeMap::new())
    }

    fn apiserver(&self) -> Observed {
        self.look().remove(&id(APISERVER)).unwrap()
    }
}

#[test]
fn a_pod_is_healthy_by_kubelets_word_on_the_containers_that_run() {
    let leaving = json!({"metadata": {"deletionTimestamp": "2026-01-02T03:04:05Z"}});
    let gate = json!({"status": {"conditions":
        [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]}});
    let table = [
        (json!({}), Some("c1"), Parent::Healthy, "ready"),
        (json!({}), Some("c2"), Parent::Unhealthy, "kubelet's word is on a container of before"),
        (json!({}), None, Parent::Stopped, "nothing runs"),
        (leaving, Some("c1"), Parent::Unhealthy, "about to end"),
        (gate, Some("c1"), Parent::Unhealthy, "its gate is closed"),
    ];
    let listing = kept(APISERVER, false);
    for (change, container, expected, why) in table {
        let pods = [pod(APISERVER, change)];
        let local = [local(APISERVER, container)];
        for answers in [true, false] {
            let case = Case { pods: &pods, answers, local: Some(&local), listing: Some(&listing) };
            assert_eq!(case.apiserver().parent, expected, "{why}");
        }
    }
}

#[test]
fn a_pod_for_which_a_foreign_static_pod_stands_in_is_not_stopped() {
    let table = [
        (["kube-apiserver"], None, Parent::Unhealthy),
        (["kube-apiserver"], Some("c1"), Parent::Healthy),
        (["kube-scheduler"], None, Parent::Stopped),
    ];
    for (stand_ins, container, expected) in table {
        let listing = Listing { stand_ins: stand_ins.into(), ..kept(APISERVER, false) };
        let (pods, local) = ([pod(APISERVER, json!({}))], [local(APISERVER, container)]);
        for answers in [true, false] {
            let case = Case { pods: &pods, answers, local: Some(&local), listing: Some(&listing) };
            assert_eq!(case.apiserver().parent, expected, "{stand_ins:?} {container:?}");
        }
        let blind = Case { pods: &pods, answers: true, local: None, listing: Some(&listing) };
        assert_eq!(blind.apiserver().parent, Parent::Unknown);
    }
}

#[test]
fn the_agent_is_healthy_before_its_gate_is_open() {
    let gate = json!({"status": {"conditions":
        [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]}});
    let pods = [pod(OWN, gate)];
    let local = [local(OWN, Some("c1"))];
    let case = Case { pods: &pods, answers: true, local: Some(&local), listing: None };
    let seen = case.look().remove(&id(OWN)).unwrap();
    assert_eq!((seen.role, seen.parent, seen.disk), (Role::Own, Parent::Healthy, None));
}

#[test]
fn a_source_that_does_not_answer_is_unknown() {
    let listing = kept(APISERVER, true);
    let silent = Case { pods: &[], answers: false, local: None, listing: Some(&listing) }.apiserver();
    assert_eq!(
        (silent.api, silent.parent, silent.kubelet),
        (Api::Unknown, Parent::Unknown, Kubelet::Unknown)
    );
    let one = Some(Revision("1".into()));
    assert_eq!(silent.disk, Some(Disk { kept: one.clone(), active: one }));
    assert_eq!(silent.role, Role::Apiserver);
    let none = Case { pods: &[], answers: false, local: Some(&[]), listing: None };
    assert!(none.look().is_empty());
}

#[test]
fn a_copy_is_wanted_for_as_long_as_its_daemon_set_is_there() {
    let listing = kept(APISERVER, false);
    let case = |pods| Case { pods, answers: true, local: Some(&[]), listing: Some(&listing) }.apiserver().api;
    assert_eq!(case(&[]), Api::Wanted);
    assert_eq!(case(&[pod(APISERVER, json!({}))]), Api::Here);
    let other = kept("gone", false);
    let case = Case { pods: &[], answers: true, local: Some(&[]), listing: Some(&other) };
    assert_eq!(case.look()[&id("gone")].api, Api::Gone);
}

/// A pod of another namespace on this machine, as a controller's or a worker's agent sees it.
fn web(change: Value) -> Pod {
    let mut change = change;
    json_patch::merge(&mut change, &json!({"metadata": {"namespace": "prod"}}));
    pod("web", change)
}

#[test]
fn of_other_namespaces_pods_of_this_machine_are_told_and_owners_are_asked() {
    let mut listing = kept("web", false);
    let web_id = Id::new("prod", "web");
    listing.entries[0].id = web_id.clone();
    let (own, node) = (id(OWN), object::<Node>(json!({"metadata": {"name": "n1"}})));
    let look = |view, local: Option<&[Pod]>, asked: &[(Id, Api)]| {
        let known =
            Known { view, node: Some(node.clone()), pods: &[], daemon_sets: &[], deployments: &[], local };
        let asked = asked.iter().cloned().collect();
        let look = Look { own: &own, node: "n1", known: &known, local: Some(&[]), listing: Some(&listing) };
        let mut seen = Seen::new(look);
        seen.asked = asked;
        let orphans = seen.orphans().len();
        let observed = seen.observation(&BTreeMap::new()).remove(&web_id).unwrap();
        assert_eq!(observed.role, Role::Exclusive, "whatever it runs");
        (observed.api, orphans)
    };
    let here = [web(json!({}))];
    let leaving = [web(json!({"metadata": {"deletionTimestamp": "2026-01-02T03:04:05Z"}}))];
    let gone = [(web_id.clone(), Api::Gone)];
    assert_eq!(look(View::Controller, Some(&here), &[]), (Api::Here, 0));
    assert_eq!(look(View::Controller, Some(&[]), &[]), (Api::Unknown, 1), "to be asked");
    assert_eq!(look(View::Controller, Some(&leaving), &gone).0, Api::Gone, "as asked");
    assert_eq!(look(View::Controller, None, &gone), (Api::Unknown, 0), "pods are not told");
    assert_eq!(look(View::Worker, Some(&here), &[]), (Api::Here, 0));
    assert_eq!(look(View::Worker, Some(&leaving), &[]), (Api::Gone, 0));
    assert_eq!(look(View::Worker, None, &[]), (Api::Unknown, 0));
}

#[test]
fn the_machine_survives_when_each_copy_is_kept_and_the_agents_own_is_active() {
    let said = |listing: &Listing, pods: &[Pod]| {
        let case = Case { pods, answers: true, local: Some(&[]), listing: Some(listing) };
        evidence::missing(&case.look(), &Complaints::default())
    };
    let (own, apiserver) = (pod(OWN, json!({})), pod(APISERVER, json!({})));
    assert_eq!(said(&kept(OWN, true), std::slice::from_ref(&own)), Ok(()));
    let inactive = said(&kept(OWN, false), std::slice::from_ref(&own)).unwrap_err();
    assert_eq!(inactive, "no copy of kube-system/pod-checkpointer yet");
    let missing = said(&kept(OWN, true), &[own, apiserver]).unwrap_err();
    assert_eq!(missing, "no copy of kube-system/kube-apiserver yet");
    assert!(said(&Listing::default(), &[]).is_err());
}

/// The API answers nothing. The second pod must not wait until the first has been given up.
#[tokio::test]
async fn what_pods_refer_to_is_read_of_all_of_them_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = silent.local_addr().unwrap();
    let ca = rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).unwrap();
    let access = Access {
        server: format!("https://{endpoint}").parse().unwrap(),
        ca: ca.cert.pem().into_bytes(),
        tls_server_name: None,
        identity: Identity::Token("t".to_owned()),
    };
    let client = connect(&access, Some(endpoint)).unwrap();
    let secret = json!({"spec": {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}});
    let names = [APISERVER, "kube-scheduler"];
    let pods = names.map(|name| pod(name, secret.clone()));
    let known = Known {
        view: View::Worker,
        local: Some(&pods),
        node: Some(object(json!({"metadata": {"name": "n1"}}))),
        pods: &[],
        daemon_sets: &[],
        deployments: &[],
    };
    let (own, runs) = (id(OWN), names.map(|name| local(name, Some("c1"))));
    let seen = Seen::new(Look { own: &own, node: "n1", known: &known, local: Some(&runs), listing: None });
    let (mut offers, store, mut complaints) = (Offers::new(None), Store::default(), Complaints::default());
    let asked = async { (silent.accept().await.unwrap(), silent.accept().await.unwrap()) };
    tokio::select! {
        _ = offers.look(&client, &seen, &store, &mut complaints) => panic!("the API answers nothing"),
        _ = asked => {}
        () = tokio::time::sleep(Duration::from_secs(5)) => panic!("one pod after the other"),
    }
}
