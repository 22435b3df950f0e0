//! Check of the cluster that runs on this machine: some of it is settled for life, and the assets must have the same.

use std::path::Path;

use serde_json::Value;

use super::facts::{Facts, Manifest};
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::living::{Difference, Living, Other, Settled, differences};
use crate::yaml;

pub const NAME: &str = "living-cluster";
/// Checks that hold the machine against the assets. Where these are not those of the cluster that runs here, what
/// they find and advise is about the assets, and to follow it would harm the cluster.
const SUPERSEDED: [&str; 8] = [
    "kubelet-settings",
    "kubelet-credentials",
    "ports",
    "etcd",
    "networks",
    "pod-network",
    "static-pods",
    "etcd-data",
];

pub fn living_cluster(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let assets = Settled::of_assets(subject.layout);
    let known = match &facts.living {
        Living::Other(other) if !is_unfinished(subject) => return another(subject, other),
        Living::Known(settled) => settled.as_slice(),
        Living::Nothing | Living::Unasked(_) | Living::Other(_) => &[],
    };
    let of_machine = etcd_on_disk(subject, facts);
    let found = differences(known, &assets).into_iter().chain(differences(&of_machine, &assets));
    let problems: Vec<Problem> = found.map(problem).collect();
    match &facts.living {
        Living::Unasked(why) if problems.is_empty() => {
            Outcome::Unknown(format!("the API of this machine cannot be asked now: {why}"))
        }
        Living::Known(_) => Outcome::from_problems(problems, "the assets have what it keeps"),
        _ => Outcome::from_problems(problems, "none runs on this machine"),
    }
}

/// The outcome of another check, which says nothing if `living` has failed.
pub fn superseded(name: &str, living: &Outcome) -> Option<Outcome> {
    let is_about_assets = matches!(living, Outcome::Fail(_)) && SUPERSEDED.contains(&name);
    is_about_assets.then(|| {
        Outcome::Unknown(format!("the assets are not those of the cluster that runs here, see {NAME}"))
    })
}

fn problem(difference: Difference) -> Problem {
    let Difference { name, old, old_from, new, new_from, suffers, cure } = difference;
    Problem::new(
        format!("{name}: the cluster that runs here has {old}, the assets have {new}"),
        format!("{old_from} and {new_from} say so; a running cluster cannot change it: {suffers}"),
        cure,
    )
}

fn another(subject: &Subject<'_>, other: &Other) -> Outcome {
    let ours = subject.api_flag("client-ca-file").and_then(|path| subject.key_file(&path));
    let (file, ours) = ours
        .map_or(("ca.crt", "another".to_owned()), |(file, pem)| (file, crate::pki::descent::describe(pem)));
    Outcome::fail(
        format!(
            "a cluster of another CA runs on this machine: {}, and tls/{file} is {ours}",
            other.authority
        ),
        format!("process {} is its apiserver; its kubelets, pods and tokens trust no other CA", other.pid),
        "start with the assets of that cluster (or render again with --reuse-from their directory); if it is no \
         longer needed, remove it from this machine before you start another one",
    )
}

/// Whether a bootstrap pod of an earlier run is in place. Such a bootstrap may go on with other assets.
fn is_unfinished(subject: &Subject<'_>) -> bool {
    let folder = &subject.options.pod_manifest_path;
    let mut pods = subject.layout.bootstrap_manifests.iter();
    pods.any(|pod| subject.options.placed.contains(&folder.join(pod.file_name())))
}

/// The static pod of etcd that is in place. It says where the data is, whether the API answers or not.
fn etcd_on_disk(subject: &Subject<'_>, facts: &Facts) -> Vec<Settled> {
    let Some(pod) = subject.etcd_pod() else { return Vec::new() };
    let is_it = |manifest: &&Manifest| {
        manifest.path.file_name().is_some_and(|name| Path::new(name) == Path::new(pod.file_name()))
    };
    let found = facts.manifests.iter().flatten().find(is_it);
    let read = |manifest: &Manifest| -> Option<(String, Value)> {
        let text = std::str::from_utf8(&manifest.content).ok()?;
        Some((manifest.path.display().to_string(), yaml::parse(text, "").ok()?.into_iter().next()?))
    };
    let read = found.and_then(read);
    read.iter().map(|(path, pod)| Settled::of_static_pod(path, pod)).collect()
}
