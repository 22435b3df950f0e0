//! Applies the manifests, makes the node a controller, and waits for what the control plane needs.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Taint;
use kube::Client;
use tokio::sync::Notify;

use super::error::{Error, Refused};
use super::kubelet;
use super::observe::pod_progress::PodProgress;
use super::options::Apply;
use super::plan::Plan;
use super::required::Required;
use crate::NAMESPACE;
use crate::cluster::apply::{self, Item, Observer, Outcome};
use crate::cluster::wait::{Workloads, wait_for_workloads};
use crate::cluster::{node, wait};
use crate::phase::{Act, Progress, Verb, local_addresses};

/// The outcome of applying.
#[derive(Default)]
pub struct Applied {
    /// How many objects are as their manifests say.
    pub count: usize,
    /// Those that are not. Objects that were tried come first, because their errors are the cause.
    pub refused: Vec<Refused>,
    /// The node of this machine.
    pub node: String,
    /// How many this run created or changed.
    pub changed: usize,
    /// Labels of objects that did not exist before.
    pub created: Vec<String>,
}

/// Applies every object, and labels this node once it appears: the control plane needs the label.
pub async fn apply(
    plan: &Plan,
    options: &Apply,
    deadline: Duration,
    restart_kubelet: Option<&str>,
    client: &Client,
    progress: &Progress<'_>,
) -> Result<Applied, Error> {
    let token_is_there = Notify::new();
    let done = |item: &Item| {
        if item.value["type"] == kubelet::BOOTSTRAP_TOKEN {
            token_is_there.notify_one();
        }
    };
    let apply = send(&plan.stages, options, deadline, client, progress, &done);
    let restart = async {
        match restart_kubelet {
            Some(command) => kubelet::restart(plan, command, &token_is_there, progress).await,
            None => Ok(()),
        }
    };
    let (mut applied, node, ()) = futures::try_join!(apply, mark_node(plan, client, progress), restart)?;
    applied.node = node;
    progress.info(applied.summary());
    Ok(applied)
}

/// Applies what can refuse or delay every other object, and adds it to `before`.
pub async fn apply_admission(
    plan: &Plan,
    options: &Apply,
    deadline: Duration,
    client: &Client,
    progress: &Progress<'_>,
    before: &mut Applied,
) -> Result<(), Error> {
    let applied = send(&plan.admission, options, deadline, client, progress, &|_| {}).await?;
    progress.info(applied.summary());
    before.add(applied);
    Ok(())
}

/// Sends `stages` to the API, and reports each object; `done` gets it, too.
async fn send(
    stages: &[Vec<Item>],
    options: &Apply,
    deadline: Duration,
    client: &Client,
    progress: &Progress<'_>,
    done: &(dyn Fn(&Item) + Sync),
) -> Result<Applied, Error> {
    let Apply { force_conflicts, strict, .. } = *options;
    let settings =
        apply::ApplyOptions { force_conflicts, strict, deadline, ..apply::ApplyOptions::default() };
    let listener = Observer {
        outcome: &|item, outcome, took| {
            progress.object(item, outcome, took);
            done(item);
            if let Some(refused) = Refused::of(item, outcome) {
                progress.warn(refused.to_string());
            }
        },
        waiting: &|item, why| progress.waiting_for_object(item, why),
    };
    let applied = Applied::of(stages, &apply::apply_all(client, stages, &settings, listener).await);
    match strict && !applied.refused.is_empty() {
        true => Err(Error::Refused(applied.refused)),
        false => Ok(applied),
    }
}

impl Applied {
    fn of(stages: &[Vec<Item>], outcomes: &[Vec<Outcome>]) -> Self {
        let (mut applied, mut untried) = (Self::default(), Vec::new());
        for (item, outcome) in stages.iter().flatten().zip(outcomes.iter().flatten()) {
            match Refused::of(item, outcome) {
                Some(refused) if *outcome == Outcome::Skipped => untried.push(refused),
                Some(refused) => applied.refused.push(refused),
                None => applied.count += 1,
            }
            applied.changed += usize::from(matches!(outcome, Outcome::Created | Outcome::Configured));
            if *outcome == Outcome::Created {
                applied.created.push(item.label());
            }
        }
        applied.refused.append(&mut untried);
        applied
    }

    fn add(&mut self, other: Self) {
        let Self { count, refused, node: _, changed, created } = other;
        self.count += count;
        self.changed += changed;
        self.refused.extend(refused);
        self.created.extend(created);
    }

    fn summary(&self) -> String {
        let Self { count, changed, refused, created, .. } = self;
        let (new, refused) = (created.len(), refused.len());
        let configured = changed - new;
        format!("{count} objects applied, {new} of them new and {configured} changed; {refused} refused")
    }

    /// Whether this run created the workload called `name` in kube-system.
    pub fn has_created(&self, name: &str) -> bool {
        let is_it = |label: &String| {
            ["DaemonSet", "Deployment"].iter().any(|kind| *label == format!("{kind} {NAMESPACE}/{name}"))
        };
        self.created.iter().any(is_it)
    }
}

async fn mark_node(plan: &Plan, client: &Client, progress: &Progress<'_>) -> Result<String, Error> {
    let local = local_addresses()?;
    let name = node::wait_for_node(client, &local, &mut |why| progress.waiting(why)).await;
    progress.observed(format!("node {name} registered"));
    progress.acts(format!("label node {name}"));
    let is_new = node::label_and_taint_node(client, &name, &plan.marks.labels, taint(plan).as_ref()).await?;
    progress.did(mark_act(plan, is_new));
    Ok(name)
}

/// The taint that makes a node a controller.
pub fn taint(plan: &Plan) -> Option<Taint> {
    let key = plan.marks.taint.clone()?;
    Some(Taint { key, effect: "NoSchedule".to_owned(), ..Taint::default() })
}

/// The act of making this machine's node a controller, if it `is_new` to it.
pub fn mark_act(plan: &Plan, is_new: bool) -> Act {
    let labels = plan.marks.labels.iter().map(|(key, value)| format!("{key}={value}"));
    let taint = plan.marks.taint.iter().map(|key| format!("taint {key}:NoSchedule"));
    let marks: Vec<String> = labels.chain(taint).collect();
    let verb = if is_new { Verb::Label } else { Verb::Unchanged };
    Act::new(verb, "Node of this machine").because(marks.join(", "))
}

/// Waits until every required pod is Ready, except those whose objects the API refused.
pub async fn wait_required(
    required: &[Required],
    applied: &Applied,
    client: &Client,
    progress: &Progress<'_>,
) -> Result<(), Error> {
    let namespaces: BTreeSet<&str> = required.iter().map(|required| required.namespace.as_str()).collect();
    for namespace in namespaces {
        let mut lives = PodProgress::default();
        let here = || required.iter().filter(|required| required.namespace == namespace);
        let is_done = |seen: &Workloads| {
            lives.see(seen.pods.iter().filter(|pod| here().any(|required| required.names(pod))), progress);
            if let Some(missing) = here().find(|required| !required.is_there(seen)) {
                return match applied.refused.iter().find(|refused| missing.is_object(&refused.object)) {
                    None => wait::Progress::Not(format!("{missing} is not there")),
                    Some(refused) => wait::Progress::Done(Err(refused.clone())),
                };
            }
            match here().map(|required| required.is_ready(&applied.node, seen)).find_map(Result::err) {
                None => {
                    progress.observed(format!("the pods required of {namespace} are Ready"));
                    wait::Progress::Done(Ok(()))
                }
                Some(why) => wait::Progress::Not(why),
            }
        };
        wait_for_workloads(client, namespace, is_done, &mut |why| progress.waiting(why))
            .await
            .map_err(|refused| Error::Refused(vec![refused]))?;
    }
    Ok(())
}
