//! Pods that never become Ready, because each waits for the others.
//!
//! The DNS of a headless Service has a pod once the pod is Ready. A program that becomes Ready only
//! after it has found its peers by that DNS never does, unless the Service publishes pods that are
//! not Ready.

use serde_json::Value;

use super::dns::{Peer, Service};
use super::finding::{Finding, Rule};
use super::labels::{labels, selects};
use super::text::{command_line, environment, expand, list, mounted};
use super::workload::{Workload, namespace, service, services, workloads};
use crate::assets::object::Object;

const PROBES: [&str; 2] = ["readinessProbe", "startupProbe"];

/// Workloads that wait for themselves, and StatefulSets whose Service is missing or the wrong one.
pub fn find(objects: &[Object]) -> Vec<Finding> {
    let kinds = ["StatefulSet", "Deployment", "DaemonSet", "ReplicaSet"];
    let long_lived =
        workloads(objects).into_iter().filter(|workload| kinds.contains(&workload.object.kind()));
    let of = |workload: Workload<'_>| {
        let deadlocks = headless(&workload, objects)
            .into_iter()
            .filter_map(|service| deadlock(&workload, service, objects));
        deadlocks.chain(governing(&workload, objects)).collect::<Vec<_>>()
    };
    long_lived.flat_map(of).collect()
}

/// The headless Services that have the workload's pods.
fn headless<'a>(workload: &Workload<'_>, objects: &'a [Object]) -> Vec<&'a Object> {
    let (set, pods) = (workload.object, workload.labels());
    let has_pods = |service: &&Object| {
        namespace(service) == namespace(set)
            && service.value["spec"]["clusterIP"] == "None"
            && selects(&labels(&service.value["spec"]["selector"]), &pods)
    };
    services(objects).filter(has_pods).collect()
}

/// Where the peers are named.
#[derive(Default)]
struct Named {
    /// By what the program does when it runs.
    main: Vec<(Peer, String)>,
    /// By what must end before the program runs.
    initial: Vec<(Peer, String)>,
    /// By a probe.
    probe: Vec<(Peer, String)>,
}

/// Whether what is named is another pod. The first one may be there before all others.
fn is_another((peer, _): &&(Peer, String)) -> bool {
    !matches!(peer, Peer::Itself | Peer::One(0))
}

fn is_later((peer, _): &&(Peer, String)) -> bool {
    matches!(peer, Peer::One(1..))
}

fn named(workload: &Workload<'_>, service: &Service<'_>, objects: &[Object]) -> Named {
    let mut named = Named::default();
    for (_, container) in workload.running() {
        let environment = environment(workload, container, objects);
        named.main.extend(service.named_in(&command_line(container, &environment)));
        named
            .main
            .extend(environment.iter().flat_map(|(name, value)| service.named_by_variable(name, value)));
        for probe in PROBES.iter().map(|probe| &container[probe]) {
            let words = list(&probe["exec"]["command"]).filter_map(Value::as_str);
            let words: Vec<String> = words.map(|word| expand(word, &environment)).collect();
            named.probe.extend(service.named_in(&words));
            named.probe.extend(
                service.named_by_variable("host", probe["httpGet"]["host"].as_str().unwrap_or_default()),
            );
        }
    }
    for text in mounted(workload, objects) {
        named.main.extend(service.named_in_file(&expand(text, &Default::default())));
    }
    for container in workload.initial() {
        let environment = environment(workload, container, objects);
        named.initial.extend(service.named_in(&command_line(container, &environment)));
    }
    named
}

/// What is said where pods wait for each other by `service`.
fn deadlock(workload: &Workload<'_>, service: &Object, objects: &[Object]) -> Option<Finding> {
    let set = workload.object;
    let name = Service { name: service.name(), namespace: namespace(service), workload: set.name() };
    let Named { mut main, initial, probe } = named(workload, &name, objects);
    // Without a probe a container is Ready as soon as it runs.
    main.retain(|_| has_probe(workload) && has_several(set));
    let waits = [
        (initial, "an init container waits for it"),
        (probe, "a probe asks for it"),
        (main, "it may be Ready only after it has found it"),
    ];
    if service.value["spec"]["publishNotReadyAddresses"] == true {
        let (_, later) = waits[..2].iter().flat_map(|(hosts, _)| hosts).find(is_later)?;
        return is_one_by_one(set).then(|| one_by_one(set, later));
    }
    let (host, how) = waits.iter().find_map(|(hosts, how)| Some((&hosts.iter().find(is_another)?.1, how)))?;
    let is_later_named = waits.iter().flat_map(|(hosts, _)| hosts).any(|named| is_later(&named));
    Some(unpublished(set, service, &format!("{host}, and {how}"), is_later_named && is_one_by_one(set)))
}

fn unpublished(set: &Object, service: &Object, named: &str, is_one_by_one: bool) -> Finding {
    const FIELD: &str = "publishNotReadyAddresses";
    let place = format!("{set} ({}:{})", set.file, set.line(""));
    let reason = format!(
        "{place} names {named}; this Service has a pod in DNS only once the pod is Ready, so none may ever be"
    );
    let also = match is_one_by_one {
        true => format!(", and podManagementPolicy: Parallel in the spec of {set}"),
        false => String::new(),
    };
    let cure = format!("write {FIELD}: true in the spec of this Service{also}");
    let pointer =
        if service.value["spec"][FIELD].is_null() { "/spec" } else { "/spec/publishNotReadyAddresses" };
    Finding::new(Rule::ReadinessDeadlock, service, pointer, reason, cure)
}

fn one_by_one(set: &Object, host: &str) -> Finding {
    let reason = format!("the pods wait for {host}, which is made only when the pods before it are Ready");
    let cure = "write podManagementPolicy: Parallel in its spec";
    Finding::new(Rule::ReadinessDeadlock, set, "/spec/podManagementPolicy", reason, cure)
}

fn is_one_by_one(set: &Object) -> bool {
    set.kind() == "StatefulSet" && set.value["spec"]["podManagementPolicy"] != "Parallel"
}

fn has_several(set: &Object) -> bool {
    set.kind() == "DaemonSet" || set.value["spec"]["replicas"].as_u64().unwrap_or(1) > 1
}

fn has_probe(workload: &Workload<'_>) -> bool {
    let has = |container: &Value| PROBES.iter().any(|probe| !container[probe].is_null());
    workload.running().iter().any(|(_, container)| has(container))
        || list(&workload.spec()["readinessGates"]).next().is_some()
}

/// What is wrong with the Service that a StatefulSet names.
fn governing(workload: &Workload<'_>, objects: &[Object]) -> Option<Finding> {
    let set = workload.object;
    let name = set.value["spec"]["serviceName"].as_str().filter(|name| !name.is_empty())?;
    if set.kind() != "StatefulSet" {
        return None;
    }
    let (reason, cure) = match service(objects, namespace(set), name) {
        Some(service) => misfit(workload, service, objects)?,
        None => (
            format!("no file here has the Service {name}: without it the pods have no names in DNS"),
            format!("add it, with clusterIP: None, unless the cluster has it (namespace {})", namespace(set)),
        ),
    };
    Some(Finding::new(Rule::GoverningService, set, "/spec/serviceName", reason, cure))
}

/// Why a Service gives the pods of a StatefulSet no names, and what to do.
fn misfit(workload: &Workload<'_>, service: &Object, objects: &[Object]) -> Option<(String, String)> {
    let (name, spec) = (service.name(), &service.value["spec"]);
    let at = format!("{}:{}", service.file, service.line(""));
    let selector = labels(&spec["selector"]);
    if !selector.is_empty() && !selects(&selector, &workload.labels()) {
        let reason = format!("the selector of its Service {name} ({at}) does not fit the labels of its pods");
        let cure = "make them the same: else the pods have no names in DNS";
        return Some((reason, cure.to_owned()));
    }
    let by_name = Service { name, namespace: namespace(service), workload: workload.object.name() };
    let is_of_pod = |(_, host): &(Peer, String)| !host.starts_with(name);
    let asks = || named(workload, &by_name, objects).main.iter().any(is_of_pod);
    (spec["clusterIP"] != "None" && asks()).then(|| {
        let reason = format!("its Service {name} ({at}) is not headless, so its pods have no names in DNS");
        let cure = "write clusterIP: None in the spec of the Service, or make another one for serviceName";
        (reason, cure.to_owned())
    })
}
