//! What others left on the machine: their static pods, keys and data. Nothing of it is ever taken away by `start`.

use std::path::Path;

use serde_json::Value;

use super::report::{Outcome, Problem};
use super::seen::{Api, DataFolder, Manifest, Seen};
use super::subject::Subject;
use crate::assets::command::{runs, words};
use crate::checkpoint::{CHECKPOINT_OF, parent};
use crate::yaml;
use crate::{BOOTSTRAP_SECRETS, ETCD_KEYS, FIELD_MANAGER};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Whether this cluster has been here before: its apiserver answers, or a static pod of ours is in place.
pub fn has_begun(subject: &Subject<'_>, seen: &Seen) -> bool {
    let in_place = |manifest: &Manifest| {
        subject.options.placed.contains(&manifest.path)
            || subject
                .static_pods()
                .any(|(pod, _)| is_named(manifest, pod.file_name()) && pod.bytes == manifest.content)
    };
    seen.api == Api::Ours || seen.manifests.iter().flatten().any(in_place)
}

pub fn static_pods(subject: &Subject<'_>, seen: &Seen) -> Outcome {
    let folder = subject.options.pod_manifest_path.display();
    let manifests = match &seen.manifests {
        Ok(manifests) => manifests,
        Err(why) => return Outcome::Unknown(format!("{folder} cannot be read: {why}")),
    };
    let problems: Vec<Problem> =
        manifests.iter().filter_map(|manifest| foreign(manifest, subject, seen)).collect();
    let ours =
        |manifest: &&Manifest| subject.static_pods().any(|(pod, _)| is_named(manifest, pod.file_name()));
    let others: Vec<String> = manifests.iter().filter(|manifest| !ours(manifest)).map(file_name).collect();
    let detail = match others.is_empty() {
        true => format!("none in {folder}"),
        false => format!("not ours and not in the way: {}", others.join(", ")),
    };
    Outcome::of(problems, detail)
}

/// Why a file in kubelet's folder is in the way: it has the name of one of ours, or is a second one of what there is one of.
fn foreign(manifest: &Manifest, subject: &Subject<'_>, seen: &Seen) -> Option<Problem> {
    if subject.options.placed.contains(&manifest.path) {
        return None;
    }
    if let Some((pod, stays)) = subject.static_pods().find(|(pod, _)| is_named(manifest, pod.file_name())) {
        // Past its pivot a machine keeps the one that stays; `start` says that it differs.
        let is_kept = stays && seen.api == Api::Ours;
        return (pod.bytes != manifest.content && !is_kept)
            .then(|| in_the_way(manifest, "it differs from ours of this name"));
    }
    let pod = parse(manifest)?;
    if pod["metadata"]["annotations"].get(CHECKPOINT_OF).is_some() {
        return (!has_begun(subject, seen)).then(|| of_another_cluster(manifest));
    }
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    if subject.static_pods().any(|(own, _)| own.value["metadata"]["name"] == name && !name.is_empty()) {
        return Some(in_the_way(manifest, &format!("its pod is called {name}, as one of ours is")));
    }
    let is_ours = pod["metadata"]["labels"][MANAGED_BY] == FIELD_MANAGER;
    let program = programs(subject).find(|program| runs(words(&pod), program))?;
    (!is_ours).then(|| in_the_way(manifest, &format!("it runs another {program} on this machine")))
}

/// Programs of which a second one cannot be.
fn programs(subject: &Subject<'_>) -> impl Iterator<Item = &'static str> {
    parent::PROGRAMS.into_iter().chain(subject.etcd_pod().map(|_| "etcd"))
}

fn in_the_way(manifest: &Manifest, why: &str) -> Problem {
    let path = manifest.path.display();
    Problem::new(
        format!("{path} is a static pod that bootkube did not place"),
        why,
        format!("if it is not needed, move it away: mv {path} /root/"),
    )
}

/// Where nothing else is of this cluster, its copies cannot be.
fn of_another_cluster(manifest: &Manifest) -> Problem {
    let folder = manifest.path.parent().unwrap_or(&manifest.path).display();
    Problem::new(
        format!("{} is a copy of a pod of a cluster that was here before", manifest.path.display()),
        "that cluster's agent would bring its control plane back beside ours",
        format!(
            "if that cluster is gone, remove its copies: rm -r {folder}/kube-system-*.json \
             /etc/kubernetes/inactive-manifests /etc/kubernetes/checkpoint-secrets"
        ),
    )
}

fn parse(manifest: &Manifest) -> Option<Value> {
    let text = std::str::from_utf8(&manifest.content).ok()?;
    yaml::parse(text, "").ok()?.into_iter().next() // kubelet takes no notice of what cannot be read
}

fn is_named(manifest: &Manifest, name: &str) -> bool {
    manifest.path.file_name().is_some_and(|found| found == name)
}

fn file_name(manifest: &Manifest) -> String {
    manifest.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

pub fn bootstrap_secrets(_: &Subject<'_>, seen: &Seen) -> Outcome {
    key_folder(BOOTSTRAP_SECRETS, seen)
}

pub fn etcd_keys(subject: &Subject<'_>, seen: &Seen) -> Outcome {
    match subject.etcd_pod() {
        Some(_) => key_folder(ETCD_KEYS, seen),
        None => Outcome::Pass("etcd does not run as a static pod".into()),
    }
}

fn key_folder(folder: &str, seen: &Seen) -> Outcome {
    match seen.key_folders.get(Path::new(folder)) {
        Some(Err(why)) if !seen.is_root => Outcome::Unknown(why.clone()),
        Some(Err(_)) => Outcome::fail(
            format!("{folder} was not made by bootkube"),
            "it may hold the keys of a running control plane, and is never written over",
            format!("if no control plane needs it, move it away: mv {folder} /root/"),
        ),
        Some(Ok(())) => Outcome::Pass("free or ours".into()),
        None => Outcome::Unknown(format!("{folder} was not looked at")),
    }
}

pub fn etcd_data(subject: &Subject<'_>, seen: &Seen) -> Outcome {
    let folder = subject.etcd_data().unwrap_or_default();
    match seen.etcd_data {
        DataFolder::Free => Outcome::Pass("none is in the way".into()),
        DataFolder::Unseen => Outcome::Unknown(format!("{folder} cannot be seen from here")),
        DataFolder::Used { is_of_this_cluster } if is_of_this_cluster || has_begun(subject, seen) => {
            Outcome::Pass(format!("{folder} holds this cluster's"))
        }
        DataFolder::Used { .. } => Outcome::fail(
            format!("{folder} holds the data of another etcd"),
            "the keys in /etc/kubernetes/etcd, with which this cluster's etcd would have run, are not there",
            format!("if nobody needs the data, move it away: mv {folder} {folder}.old"),
        ),
    }
}

pub fn kubeadm(_: &Subject<'_>, seen: &Seen) -> Outcome {
    let files: Vec<String> = seen.kubeadm.iter().map(|path| path.display().to_string()).collect();
    match files.is_empty() {
        true => Outcome::Pass("no trace of it".into()),
        false => Outcome::fail(
            "kubeadm has made this machine a controller of another cluster",
            format!("there is {}", files.join(", ")),
            "if that cluster is gone, run kubeadm reset, or move the files away",
        ),
    }
}
