//! Looks once at each finished object, after all changes of the user: whether its API would take
//! it, and whether its pods would start and find what their flags name.
//!
//! A problem that was there before the first patch comes from a flag or a volume of the
//! configuration, and any other from the first patch since which it has been there.

mod files;
mod keep;
mod mounts;
mod problem;
mod shape;

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value;

use crate::config::{Component, ExtraVolume};
use crate::finding::Finding;
pub use problem::{Contents, Subject};
use problem::{Part, Problem};

/// An object before the patches of the user, and after each of them.
pub struct History {
    states: Vec<Value>,
    /// The index of the patch that led to each state but the first.
    patches: Vec<usize>,
}

impl History {
    /// The object without patches.
    pub fn new(object: Value) -> Self {
        Self { states: vec![object], patches: Vec::new() }
    }

    /// The object after a patch.
    pub fn add(&mut self, patch: usize, object: Value) {
        self.states.push(object);
        self.patches.push(patch);
    }
}

/// What is wrong with the last state of an object, each with the field that causes it.
pub fn findings(subject: &Subject<'_>, history: &History) -> Vec<Finding> {
    let Some(first) = history.states.first() else { return Vec::new() };
    let of_states: Vec<Vec<Problem>> =
        history.states.iter().map(|state| problems(subject, first, state)).collect();
    let Some(last) = of_states.last() else { return Vec::new() };
    let finding = |problem: &Problem| {
        let since = of_states.iter().rposition(|state| !state.contains(problem)).map_or(0, |free| free + 1);
        let patch = since.checked_sub(1).and_then(|at| history.patches.get(at));
        let field = field(subject, problem, patch.copied());
        Finding::new(&field, &problem.value, &problem.problem, &problem.cure)
    };
    last.iter().map(finding).collect()
}

/// Each finding once: a self-hosted pod and its bootstrap pod share most of them. The bootstrap pod
/// comes first, and what is wrong with both is said of the pod that stays.
pub fn once(findings: Vec<Finding>) -> Vec<Finding> {
    let same = |finding: &Finding| {
        let problem = finding.problem.replace(BOOTSTRAP_POD, POD);
        (finding.field.clone(), finding.value.clone(), problem)
    };
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        match kept.iter_mut().find(|other| same(other) == same(&finding)) {
            Some(other) => *other = finding,
            None => kept.push(finding),
        }
    }
    kept
}

fn problems(subject: &Subject<'_>, first: &Value, object: &Value) -> Vec<Problem> {
    let mut found = keep::check(first, object);
    if let Some(spec) = pod_spec(object) {
        found.extend(shape::check(&spec));
        let main = pod_spec(first).and_then(|spec| spec.containers.into_iter().next());
        let main = main.map(|container| container.name).unwrap_or_default();
        found.extend(files::check(subject, pod_word(subject.component, object), &spec, &main));
        found.extend(mounts::check(&spec, subject.contents));
    }
    found
}

/// The specification of the pods of a workload.
fn pod_spec(object: &Value) -> Option<PodSpec> {
    let spec = match object["kind"].as_str()? {
        "Pod" => &object["spec"],
        "DaemonSet" | "Deployment" => &object["spec"]["template"]["spec"],
        _ => return None,
    };
    serde_json::from_value(spec.clone()).ok()
}

const POD: &str = "the pod";
const BOOTSTRAP_POD: &str = "the bootstrap pod";

/// How messages call the pod.
fn pod_word(component: Component, object: &Value) -> &'static str {
    let is_bootstrap = object["kind"] == "Pod" && component != Component::Etcd;
    if is_bootstrap { BOOTSTRAP_POD } else { POD }
}

/// The field of the configuration that causes a problem.
fn field(subject: &Subject<'_>, problem: &Problem, patch: Option<usize>) -> String {
    let changes = subject.changes;
    let component = format!("components.{}", subject.component.name());
    let volume = |at: Option<usize>, field| at.map(|at| format!("{component}.extraVolumes[{at}].{field}"));
    let own = match &problem.part {
        _ if patch.is_some() => patch.map(|patch| format!("{component}.patches[{patch}]")),
        Part::Object => None,
        Part::Flag(flag) => {
            changes.extra_args.contains_key(flag).then(|| format!("{component}.extraArgs.{flag}"))
        }
        Part::VolumeName(name) => {
            volume(changes.extra_volumes.iter().position(|volume| volume.name == *name), "name")
        }
        Part::MountPath(path) => {
            let is_it = |volume: &ExtraVolume| mounts::tidy(&volume.mount_path) == *path;
            volume(changes.extra_volumes.iter().position(is_it), "mountPath")
        }
    };
    own.unwrap_or(component)
}
