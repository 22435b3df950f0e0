//! Checks for what other clusters left on the machine: static pods, keys, data. `start` removes
//! none of it.

use std::path::Path;

use serde_json::Value;

use super::facts::{ApiListener, DataFolder, Facts, Manifest};
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::assets::command::{runs, words};
use crate::checkpoint::{CHECKPOINT_OF, parent};
use crate::yaml;
use crate::{BOOTSTRAP_SECRETS, CONTROL_PLANE_KEYS, ETCD_KEYS, FIELD_MANAGER};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Whether this cluster has run here before: its apiserver answers, or one of its static pods is in
/// place.
pub fn has_begun(subject: &Subject<'_>, facts: &Facts) -> bool {
    let in_place = |manifest: &Manifest| {
        subject.options.placed.contains(&manifest.path)
            || subject
                .static_pods()
                .any(|(pod, _)| is_named(manifest, pod.file_name()) && pod.bytes == manifest.content)
    };
    facts.api == ApiListener::Ours || facts.manifests.iter().flatten().any(in_place)
}

pub fn static_pods(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let folder = subject.options.pod_manifest_path.display();
    let manifests = match &facts.manifests {
        Ok(manifests) => manifests,
        Err(why) => return Outcome::Unknown(format!("{folder} cannot be read: {why}")),
    };
    let problems: Vec<Problem> =
        manifests.iter().filter_map(|manifest| foreign(manifest, subject, facts)).collect();
    let ours =
        |manifest: &&Manifest| subject.static_pods().any(|(pod, _)| is_named(manifest, pod.file_name()));
    let others: Vec<String> = manifests.iter().filter(|manifest| !ours(manifest)).map(file_name).collect();
    let detail = match others.is_empty() {
        true => format!("none in {folder}"),
        false => format!("foreign, and not in the way: {}", others.join(", ")),
    };
    Outcome::from_problems(problems, detail)
}

/// Why a file in kubelet's folder is in the way: it has the name of one of our files, or runs a
/// program of which a machine has one.
fn foreign(manifest: &Manifest, subject: &Subject<'_>, facts: &Facts) -> Option<Problem> {
    if subject.options.placed.contains(&manifest.path) {
        return None;
    }
    if let Some((pod, stays)) = subject.static_pods().find(|(pod, _)| is_named(manifest, pod.file_name())) {
        // After the pivot a pod that stays may differ from the assets; `start` reports that itself.
        let is_kept = stays && facts.api == ApiListener::Ours;
        return (pod.bytes != manifest.content && !is_kept)
            .then(|| in_the_way(manifest, "it differs from the static pod of this name in the assets"));
    }
    let pod = parse(manifest)?;
    if pod["metadata"]["annotations"].get(CHECKPOINT_OF).is_some() {
        return (!has_begun(subject, facts)).then(|| of_another_cluster(manifest));
    }
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    if subject.static_pods().any(|(own, _)| own.value["metadata"]["name"] == name && !name.is_empty()) {
        return Some(in_the_way(manifest, &format!("its pod has the name {name}, as one in the assets has")));
    }
    let is_ours = pod["metadata"]["labels"][MANAGED_BY] == FIELD_MANAGER;
    let program = programs(subject).find(|program| runs(words(&pod), program))?;
    (!is_ours).then(|| in_the_way(manifest, &format!("it runs another {program} on this machine")))
}

/// Programs of which a machine can run one.
fn programs(subject: &Subject<'_>) -> impl Iterator<Item = &'static str> {
    parent::PROGRAMS.into_iter().chain(subject.etcd_pod().map(|_| "etcd"))
}

fn in_the_way(manifest: &Manifest, why: &str) -> Problem {
    let path = manifest.path.display();
    Problem::new(
        format!("{path} is a static pod that bootkube did not place"),
        why,
        format!("if it is not needed, move it away: mv -n {path} /root/"),
    )
}

/// Where this cluster has not run before, a copy cannot be one of its own.
fn of_another_cluster(manifest: &Manifest) -> Problem {
    let folder = manifest.path.parent().unwrap_or(&manifest.path).display();
    Problem::new(
        format!("{} is a copy of a pod of a cluster that was here before", manifest.path.display()),
        "the agent of that cluster would bring its control plane back beside this one",
        format!(
            "if that cluster is gone, remove its copies: rm -r {folder}/kube-system-*.json \
             /etc/kubernetes/inactive-manifests /etc/kubernetes/checkpoint-secrets"
        ),
    )
}

fn parse(manifest: &Manifest) -> Option<Value> {
    let text = std::str::from_utf8(&manifest.content).ok()?;
    yaml::parse(text, "").ok()?.into_iter().next() // kubelet ignores what it cannot parse
}

fn is_named(manifest: &Manifest, name: &str) -> bool {
    manifest.path.file_name().is_some_and(|found| found == name)
}

fn file_name(manifest: &Manifest) -> String {
    manifest.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

pub fn bootstrap_secrets(_: &Subject<'_>, facts: &Facts) -> Outcome {
    key_folder(BOOTSTRAP_SECRETS, facts)
}

/// `start` removes this folder when it leads back from `unpivot`: a foreign one must not stop it in
/// its last phase.
pub fn control_plane_keys(_: &Subject<'_>, facts: &Facts) -> Outcome {
    key_folder(CONTROL_PLANE_KEYS, facts)
}

pub fn etcd_keys(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    match subject.etcd_pod() {
        Some(_) => key_folder(ETCD_KEYS, facts),
        None => Outcome::Pass("etcd does not run as a static pod".into()),
    }
}

fn key_folder(folder: &str, facts: &Facts) -> Outcome {
    match facts.key_folders.get(Path::new(folder)) {
        Some(Err(why)) if !facts.is_root => Outcome::Unknown(why.clone()),
        Some(Err(_)) => Outcome::fail(
            format!("{folder} was not made by bootkube"),
            "it may hold the keys of a running control plane, so bootkube never overwrites it",
            format!("if no control plane needs it, move it away: mv -n {folder} /root/"),
        ),
        Some(Ok(())) => Outcome::Pass("free or ours".into()),
        None => Outcome::Unknown(format!("{folder} was not checked")),
    }
}

pub fn etcd_data(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let folder = subject.etcd_data().unwrap_or_default();
    match facts.etcd_data {
        DataFolder::Free => Outcome::Pass("free".into()),
        DataFolder::Unseen => Outcome::Unknown(format!("{folder} cannot be seen from here")),
        DataFolder::Used { is_of_this_cluster } if is_of_this_cluster || has_begun(subject, facts) => {
            Outcome::Pass(format!("{folder} holds this cluster's"))
        }
        DataFolder::Used { .. } => Outcome::fail(
            format!("{folder} holds the data of another etcd"),
            "/etc/kubernetes/etcd does not hold the keys of this cluster's etcd, so the data is not its own",
            format!("if the data is not needed, move it away: mv -n {folder} {folder}.old"),
        ),
    }
}

pub fn kubeadm(_: &Subject<'_>, facts: &Facts) -> Outcome {
    let files = match &facts.kubeadm {
        Ok(files) => files,
        Err(why) => return Outcome::Unknown(why.clone()),
    };
    let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    match files.is_empty() {
        true => Outcome::Pass("no trace of it".into()),
        false => Outcome::fail(
            "kubeadm has made this machine a controller of another cluster",
            format!("there is {}", files.join(", ")),
            "if that cluster is gone, run kubeadm reset, or move the files away",
        ),
    }
}
