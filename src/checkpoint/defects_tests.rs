//! The defects of v0.14's checkpointer, each shown on what it did and on what is done now.

use super::Role;
use super::decide::Act;
use super::decide_tests::{ACTIVE, KEPT, Machine, revision, seen};
use super::observed::{Api, Parent};

/// v0.14's checkpointer, as far as its defects need it: see the tables in its
/// `pkg/checkpoint/state.go`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Old {
    Inactive,
    Active,
    ActiveGrace,
    Own,
}

impl Old {
    /// `api`: down, or whether the pod is in the list. A runtime that fails "runs" nothing.
    fn step(self, api: Option<bool>, runs: bool) -> Self {
        match (self, api, runs) {
            (Self::Own, Some(false), _) => Self::ActiveGrace,
            (Self::Own, ..) => Self::Own,
            (Self::Inactive, None | Some(true), false) => Self::Active,
            (Self::Active | Self::ActiveGrace, None | Some(true), true) => Self::Inactive,
            (Self::Active, Some(false), _) => Self::ActiveGrace,
            (Self::ActiveGrace, Some(true), false) => Self::Active,
            (state, ..) => state,
        }
    }
}

#[test]
fn defect_of_v0_14_one_list_without_the_own_pod_made_it_inactive_for_good() {
    let old = Old::Own.step(Some(false), true).step(Some(true), true);
    assert_eq!(old, Old::Inactive, "from here on it stopped itself and everything else");

    let mut machine = Machine::with([
        ("own", seen(Role::Own, ACTIVE, Api::Gone, Parent::Healthy)),
        ("kube-apiserver", seen(Role::Apiserver, KEPT, Api::Here, Parent::Healthy)),
    ]);
    assert_eq!(machine.run(50), []);
    machine.of("own").api = Api::Here;
    assert_eq!(machine.run(500), []);
    *machine.of("kube-apiserver") = seen(Role::Apiserver, KEPT, Api::Unknown, Parent::Stopped);
    assert!(matches!(machine.run(5)[..], [(_, _, Act::Activate)]), "a later outage finds it awake");
}

#[test]
fn defect_of_v0_14_a_runtime_that_failed_to_answer_activated_everything() {
    assert_eq!(Old::Inactive.step(Some(true), false), Old::Active);
    let names = ["a", "b", "c"].map(|name| (name, seen(Role::Leader, KEPT, Api::Here, Parent::Unknown)));
    assert_eq!(Machine::with(names).run(500), []);
}

#[test]
fn defect_of_v0_14_a_broken_pod_was_kept_in_place_of_the_good_one() {
    // v0.14 wrote a copy of every pod in the list, and again when it changed. Here a pod is offered
    // only while it is healthy.
    let mut machine = Machine::with([("one", seen(Role::Apiserver, KEPT, Api::Here, Parent::Unhealthy))]);
    machine.run(500);
    assert_eq!(machine.of("one").disk.as_ref().unwrap().kept, revision("good"));
}

#[test]
fn defect_of_v0_14_when_all_pods_of_a_deployment_were_deleted_its_copy_went_too() {
    // v0.14 took a workload without pods for a removed one: after a grace period it removed the
    // copy, and no controller manager was left to create a pod.
    let mut machine = Machine::with([("one", seen(Role::Leader, KEPT, Api::Wanted, Parent::Stopped))]);
    assert_eq!(machine.run(500), [(10, "one".to_owned(), Act::Activate)]);
}
