//! What may happen to a machine, and in which proportions.

use bootkube::checkpoint::Role;
use proptest::prelude::*;

pub const ROLES: [(&str, Role); 5] = [
    ("pod-checkpointer", Role::Own),
    ("kube-apiserver", Role::Apiserver),
    ("kube-controller-manager", Role::Leader),
    ("kube-scheduler", Role::Leader),
    ("database", Role::Exclusive),
];
/// The last of them.
pub const EXCLUSIVE: usize = ROLES.len() - 1;
/// A list misses a pod for less than this; the grace period is 60.
pub const MISS: u64 = 50;

/// How the pods of a template fare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quality {
    Good,
    /// Runs for two seconds of ten and never is healthy.
    Crashing,
    /// Runs and never is healthy.
    Hanging,
    /// Is healthy for forty seconds of sixty.
    Flapping,
}

/// One of them.
#[derive(Clone, Debug)]
pub enum Event {
    PowerCut,
    AgentRestart,
    Api(bool),
    Runtime(bool),
    KubeletAnswers(bool),
    DiskReads(bool),
    ActionsWork(bool),
    Misses(usize, u64),
    /// So many of a hundred answers of one source are errors, for some seconds.
    Flaky(Source, u64, u64),
    Edit(usize, Quality),
    Crash(usize),
    Wanted(usize, bool),
}

/// Who is asked each second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    Api,
    Runtime,
    Kubelet,
    Disk,
}

pub const SOURCES: [Source; 4] = [Source::Api, Source::Runtime, Source::Kubelet, Source::Disk];

/// Any of them.
pub fn event() -> impl Strategy<Value = Event> {
    let which = 0..ROLES.len();
    let quality = prop::sample::select(vec![
        Quality::Good,
        Quality::Good,
        Quality::Crashing,
        Quality::Hanging,
        Quality::Flapping,
    ]);
    prop_oneof![
        2 => Just(Event::PowerCut),
        2 => Just(Event::AgentRestart),
        4 => any::<bool>().prop_map(Event::Api),
        4 => any::<bool>().prop_map(Event::Runtime),
        2 => any::<bool>().prop_map(Event::KubeletAnswers),
        2 => prop::bool::weighted(0.7).prop_map(Event::DiskReads),
        2 => prop::bool::weighted(0.7).prop_map(Event::ActionsWork),
        3 => (which.clone(), 1..MISS).prop_map(|(which, seconds)| Event::Misses(which, seconds)),
        4 => (prop::sample::select(SOURCES.to_vec()), 5..95u64, 1..120u64)
            .prop_map(|(source, percent, seconds)| Event::Flaky(source, percent, seconds)),
        4 => (which.clone(), quality).prop_map(|(which, quality)| Event::Edit(which, quality)),
        3 => which.clone().prop_map(Event::Crash),
        1 => (which, prop::bool::weighted(0.7)).prop_map(|(which, wanted)| Event::Wanted(which, wanted)),
        // Nobody but the exclusive one is in danger of running on two machines.
        3 => any::<bool>().prop_map(|wanted| Event::Wanted(EXCLUSIVE, wanted)),
    ]
}
