//! Ports of a machine that two want.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::finding::{Finding, Rule};
use super::labels::labels;
use super::read::Input;
use super::text::list;
use super::workload::{Workload, services, workloads};
use crate::assets::command;
use crate::assets::listeners;
use crate::assets::node_marks::NodeMarks;
use crate::assets::object::Object;
use crate::limits::ports::{NODE_PORTS, OF_ETCD, OF_EVERY_CONTROLLER};
use crate::limits::takes;

/// The apiserver's port where no file says another.
const API: (u16, &str) = (6443, "kube-apiserver");
const RANGE: &str = "service-node-port-range";

/// A port of a machine.
#[derive(Clone, Debug)]
struct Port {
    number: u16,
    protocol: String,
    /// At this address only.
    address: Option<IpAddr>,
}

/// A port of a machine that pods want.
struct Claim<'a> {
    workload: Workload<'a>,
    pointer: String,
    port: Port,
}

impl Port {
    fn collides_with(&self, other: &Self) -> bool {
        let is_apart = self.address.is_some() && other.address.is_some() && self.address != other.address;
        (self.number, &self.protocol) == (other.number, &other.protocol) && !is_apart
    }

    fn is_tcp(&self, number: u16) -> bool {
        self.number == number && self.protocol == "TCP"
    }
}

/// Ports that collide.
pub fn find(input: &Input) -> Vec<Finding> {
    let all = workloads(&input.objects);
    let users = all.iter().copied().filter(|workload| !workload.is_of_cluster());
    let claims: Vec<Claim<'_>> = users.flat_map(claims).collect();
    let own = own(input);
    let taint = input.is_assets.then(|| NodeMarks::of(&input.objects).taint).flatten();
    let mut found: Vec<Finding> =
        claims.iter().filter_map(|claim| with_ours(claim, &own, taint.as_deref())).collect();
    for (at, claim) in claims.iter().enumerate() {
        found.extend(
            claims[..at]
                .iter()
                .find(|earlier| meets(earlier, claim))
                .map(|earlier| with_another(claim, earlier)),
        );
    }
    found.extend(node_ports(input, &claims, &own));
    found
}

fn claims(workload: Workload<'_>) -> Vec<Claim<'_>> {
    let on_host = workload.spec()["hostNetwork"] == true;
    let mut found = Vec::new();
    for (place, container) in workload.running() {
        for (index, port) in list(&container["ports"]).enumerate() {
            let number = if on_host {
                port["hostPort"].as_u64().or(port["containerPort"].as_u64())
            } else {
                port["hostPort"].as_u64()
            };
            let Some(number) =
                number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0)
            else {
                continue;
            };
            let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
            let address = port["hostIP"].as_str().and_then(|address| address.parse().ok());
            let address = address.filter(|address: &IpAddr| !address.is_unspecified());
            let port = Port { number, protocol, address };
            found.push(Claim { workload, pointer: format!("{place}/ports/{index}"), port });
        }
    }
    found
}

/// A port of ours, and whether it is on every machine.
struct Own {
    number: u16,
    part: String,
    is_everywhere: bool,
}

/// Ports of the cluster's own parts: those of its files, else the usual ones.
fn own(input: &Input) -> Vec<Own> {
    let everywhere = |part: &str| part.starts_with("kubelet") || part.starts_with("kube-proxy");
    let fixed =
        |(number, part): (u16, &str)| Own { number, part: part.to_owned(), is_everywhere: everywhere(part) };
    let mut own: Vec<Own> = OF_EVERY_CONTROLLER.iter().map(|port| fixed((port.number, port.part))).collect();
    let pods = input.static_pods.iter().map(|pod| &pod.value);
    let templates = workloads(&input.objects).into_iter().map(|workload| workload.template);
    let programs = pods.chain(templates).flat_map(command::containers).flat_map(listeners::claims_of);
    let seen: BTreeSet<(u16, &str)> = programs.map(|claim| (claim.port, claim.program)).collect();
    if !seen.iter().any(|(_, program)| *program == API.1) {
        own.push(fixed(API));
        own.extend(OF_ETCD.iter().map(|port| fixed((port.number, port.part))));
    }
    for port in seen {
        if !own.iter().any(|own| own.number == port.0) {
            own.push(fixed(port));
        }
    }
    own
}

fn with_ours(claim: &Claim<'_>, own: &[Own], taint: Option<&str>) -> Option<Finding> {
    let Claim { workload, pointer, port } = claim;
    let on_controller = taint.is_none_or(|taint| tolerates(workload.spec(), taint));
    let Own { number, part, is_everywhere } =
        own.iter().find(|own| port.is_tcp(own.number) && (own.is_everywhere || on_controller))?;
    let which = if *is_everywhere { "every machine" } else { "every controller" };
    let what = match workload.spec()["hostNetwork"] == true {
        true => "the two cannot both listen",
        false => "connections to it would go to this pod",
    };
    let reason = format!("port {number} of {which} is that of {part}: {what}");
    let cure = "use another port, or a Service instead of a port of the machine";
    Some(Finding::new(Rule::HostPort, workload.object, pointer, reason, cure))
}

fn tolerates(spec: &Value, taint: &str) -> bool {
    let tolerates = |toleration: &Value| {
        let (key, effect) = (toleration["key"].as_str(), toleration["effect"].as_str());
        let is_key =
            key == Some(taint) || key.is_none_or(str::is_empty) && toleration["operator"] == "Exists";
        is_key && effect.is_none_or(|effect| effect.is_empty() || effect == "NoSchedule")
    };
    list(&spec["tolerations"]).any(tolerates)
}

/// Whether two workloads are sure to want a port of the same machine.
fn meets(one: &Claim<'_>, other: &Claim<'_>) -> bool {
    let is_everywhere = |claim: &Claim<'_>| claim.workload.object.kind() == "DaemonSet";
    let node = |claim: &Claim<'_>| {
        let spec = claim.workload.spec();
        spec["nodeName"]
            .as_str()
            .or(spec["nodeSelector"]["kubernetes.io/hostname"].as_str())
            .map(str::to_owned)
    };
    let (here, there) =
        (labels(&one.workload.spec()["nodeSelector"]), labels(&other.workload.spec()["nodeSelector"]));
    let is_apart = here.iter().any(|(key, value)| there.get(key).is_some_and(|other| other != value));
    let on_one = node(one).is_some() && node(one) == node(other);
    let is_other = !std::ptr::eq(one.workload.object, other.workload.object);
    is_other
        && one.port.collides_with(&other.port)
        && !is_apart
        && (is_everywhere(one) || is_everywhere(other) || on_one)
}

fn with_another(claim: &Claim<'_>, earlier: &Claim<'_>) -> Finding {
    let Port { number, protocol, .. } = &claim.port;
    let other = earlier.workload.object;
    let at = format!("{}:{}", other.file, other.line(&earlier.pointer));
    let reason = format!(
        "{other} ({at}) has port {number} ({protocol}) of the same machine, and only one of the two can be there"
    );
    let cure = "give one of the two another port, or other machines (nodeSelector)";
    Finding::new(Rule::HostPort, claim.workload.object, &claim.pointer, reason, cure)
}

/// A port of all nodes that a Service wants.
struct NodePort<'a> {
    service: &'a Object,
    pointer: String,
    port: Port,
}

fn node_ports(input: &Input, claims: &[Claim<'_>], own: &[Own]) -> Vec<Finding> {
    let wanted: Vec<NodePort<'_>> = services(&input.objects).flat_map(of_service).collect();
    let range = range(input);
    let mut found = Vec::new();
    for (at, NodePort { service, pointer, port }) in wanted.iter().enumerate() {
        let finding = |(reason, cure): (String, &str)| {
            Finding::new(
                Rule::NodePort,
                service,
                pointer,
                format!("node port {} {reason}", port.number),
                cure,
            )
        };
        let twice = wanted[..at].iter().find(|first| first.port.collides_with(port)).map(|first| {
            let place = format!("{}:{}", first.service.file, first.service.line(&first.pointer));
            (format!("is that of {} ({place}), and the API refuses the second one", first.service), ANOTHER)
        });
        let pod = claims.iter().find(|claim| claim.port.collides_with(port)).map(|claim| {
            let object = claim.workload.object;
            let place = format!("{}:{}", object.file, object.line(&claim.pointer));
            (format!("is a port that {object} ({place}) has on its machine"), ANOTHER)
        });
        found.extend([ungiven(port, range, own), twice, pod].into_iter().flatten().map(finding));
    }
    found
}

const ANOTHER: &str = "write another one, or leave it out (the API then chooses one)";

/// Why the API does not give a node port, or should not.
fn ungiven(port: &Port, (low, high): (u16, u16), own: &[Own]) -> Option<(String, &'static str)> {
    if !(low..=high).contains(&port.number) {
        return Some((format!("is not in the range {low}-{high}, and the API refuses it"), ANOTHER));
    }
    let ours = own.iter().find(|ours| port.is_tcp(ours.number))?;
    Some((format!("is the port of {}", ours.part), ANOTHER))
}

fn of_service(service: &Object) -> Vec<NodePort<'_>> {
    let spec = &service.value["spec"];
    let ports = list(&spec["ports"]).enumerate().map(|(index, port)| {
        (format!("/spec/ports/{index}/nodePort"), &port["nodePort"], port["protocol"].as_str())
    });
    let health =
        std::iter::once(("/spec/healthCheckNodePort".to_owned(), &spec["healthCheckNodePort"], None));
    let node_port = |(pointer, number, protocol): (String, &Value, Option<&str>)| {
        let number = u16::try_from(number.as_u64()?).ok().filter(|number| *number > 0)?;
        let protocol = protocol.unwrap_or("TCP").to_owned();
        Some(NodePort { service, pointer, port: Port { number, protocol, address: None } })
    };
    ports.chain(health).filter_map(node_port).collect()
}

/// The range of node ports, by the apiserver's flag.
fn range(input: &Input) -> (u16, u16) {
    let templates = workloads(&input.objects).into_iter().map(|workload| workload.template);
    let containers = templates.flat_map(command::containers);
    let mut apiservers =
        containers.filter(|container| command::runs(command::container_words(container), API.1));
    let flag = apiservers.find_map(|container| command::flag(command::container_words(container), RANGE));
    flag.and_then(|flag| takes::range(flag.trim())).unwrap_or(NODE_PORTS)
}
