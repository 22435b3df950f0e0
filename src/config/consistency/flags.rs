//! Values of flags: what their components take, and what the probes and the hand-over of rendered
//! pods need.

use std::net::{IpAddr, SocketAddr};

use super::input::{Input, has_text, is_off, only};
use super::{programs, vital};
use crate::config::Component;
use crate::config::resolve::Argument;
use crate::limits::ports::PROXY_HEALTH;
use crate::limits::table::FLAGS;
use crate::values::mistakes::{Checked, Mistakes, fault};

pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) {
    for argument in input.arguments {
        let checked = limits(input, argument)
            .and_then(|()| programs::check(input, argument, mistakes))
            .and_then(|()| needed(input, argument))
            .and_then(|()| vital::check(input, argument));
        if let Err(fault) = checked {
            mistakes.refuse(&argument.at, &argument.values.join(","), fault.problem, fault.cure);
        }
    }
    issuers(input, mistakes);
    excluded(input, mistakes);
}

/// What the component takes for the flag.
fn limits(input: &Input<'_>, argument: &Argument) -> Checked<()> {
    let limit = FLAGS.iter().find(|limit| {
        limit.flag == argument.name
            && limit.components.contains(&argument.part.name())
            && limit.minors.contains(&input.minor())
    });
    let Some(limit) = limit else { return Ok(()) };
    // kubelet replaces a variable by its value.
    let taken = argument.values.iter().all(|value| value.contains("$(") || limit.takes.takes(value));
    match taken {
        true => Ok(()),
        false => fault(
            format!("is not what {} takes for this flag: it would end", argument.part.name()),
            format!("write {}", limit.takes.described()),
        ),
    }
}

/// What bootkube needs of a flag that is otherwise the user's.
fn needed(input: &Input<'_>, argument: &Argument) -> Checked<()> {
    let value = only(argument);
    match (argument.part, argument.name.as_str()) {
        (Component::ControllerManager | Component::Scheduler, "leader-elect") if is_off(value) => fault(
            "would let the bootstrap and the self-hosted pod work at the same time, and two in every rollout",
            "remove it; with one controller a lease costs nothing",
        ),
        (Component::ControllerManager | Component::Scheduler, "bind-address")
            if !matches!(value, None | Some("127.0.0.1" | "0.0.0.0" | "::")) =>
        {
            fault(
                "is an address that its probes do not ask: they ask 127.0.0.1",
                "write 0.0.0.0 to listen on every address, or remove it",
            )
        }
        (Component::Proxy, "healthz-bind-address" | "healthz-port") => probed(value.unwrap_or_default()),
        (Component::Etcd, "listen-metrics-urls") if !argument.values.iter().any(|urls| is_probed(urls)) => {
            fault(
                "moves etcd's health away from where its probes ask (http://127.0.0.1:2381)",
                "write http://127.0.0.1:2381, and further URLs behind a comma, or remove it",
            )
        }
        (Component::Flannel, "kube-subnet-mgr") if argument.values.is_empty() || is_off(value) => fault(
            "would have flannel ask an etcd of its own for the ranges of nodes",
            "remove it; the controller manager hands the ranges out",
        ),
        (Component::Apiserver, "authorization-mode") => {
            let modes: Vec<&str> = argument.values.iter().flat_map(|value| value.split(',')).collect();
            let all = ["Node", "RBAC"].iter().all(|mode| modes.contains(mode));
            let config = input.argument(Component::Apiserver, "authorization-config");
            match all || (modes.is_empty() && config.is_some_and(has_text)) {
                true => Ok(()),
                false => fault(
                    "leaves out Node or RBAC, by which kubelets and the control plane have their rights",
                    "write Node,RBAC, and further modes behind",
                ),
            }
        }
        (
            Component::Apiserver,
            "proxy-client-cert-file" | "proxy-client-key-file" | "requestheader-client-ca-file",
        ) if input.config.aggregation => fault(
            "is set by bootkube for the aggregation layer, with the other half of the pair",
            "remove it, or set `aggregation: false` and all flags of the layer",
        ),
        (Component::Apiserver, "service-account-key-file") if !holds_own_key(argument) => fault(
            "leaves out the key by which this cluster's tokens are verified",
            format!("write a list that holds {OWN_KEY}, too"),
        ),
        _ => Ok(()),
    }
}

/// The key that verifies tokens, as it is rendered.
const OWN_KEY: &str = "/etc/kubernetes/secrets/service-account.pub";

fn holds_own_key(argument: &Argument) -> bool {
    argument.values.iter().any(|value| value == OWN_KEY)
}

/// etcd's probes ask the machine's loopback address.
fn is_probed(urls: &str) -> bool {
    let listens =
        |url: &str| matches!(url.trim_end_matches('/'), "http://127.0.0.1:2381" | "http://0.0.0.0:2381");
    urls.split(',').any(listens)
}

/// kube-proxy's readiness probe asks the machine's address. An address alone has the usual port.
fn probed(text: &str) -> Checked<()> {
    let alone = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PROXY_HEALTH.number));
    let socket = text.parse::<SocketAddr>().or_else(|_| alone());
    let good = socket.is_ok_and(|socket| socket.port() == PROXY_HEALTH.number && !socket.ip().is_loopback());
    match good || text == PROXY_HEALTH.number.to_string() {
        true => Ok(()),
        false => fault(
            "moves kube-proxy's health away from where its readiness probe asks (port 10256 of the machine)",
            "remove it",
        ),
    }
}

/// The first issuer signs. A field and a flag that both name it could differ.
fn issuers(input: &Input<'_>, mistakes: &mut Mistakes) {
    let flag = input.argument(Component::Apiserver, "service-account-issuer");
    if let (Some(flag), Some(field)) = (flag, &input.settings.service_account_issuer) {
        let problem = format!("names issuers, and so does {}", field.at);
        mistakes.refuse(
            &flag.at,
            "",
            problem,
            "remove serviceAccountIssuer, and write its value into the list",
        );
    }
}

/// Flags that exclude one that bootkube sets.
fn excluded(input: &Input<'_>, mistakes: &mut Mistakes) {
    let flag = |part, name| input.argument(part, name);
    if let Some(config) = flag(Component::Apiserver, "authorization-config").filter(|flag| has_text(flag))
        && !flag(Component::Apiserver, "authorization-mode").is_some_and(|mode| mode.values.is_empty())
    {
        let problem = "excludes --authorization-mode, which bootkube sets";
        let cure = "write `authorization-mode: null` beside it, and have Node and RBAC in the file";
        mistakes.refuse(&config.at, "", problem, cure);
    }
    if let Some(config) = flag(Component::Proxy, "config").filter(|flag| has_text(flag)) {
        let text = "kube-proxy reads the file instead of its flags: it must say what the flags do (clientConnection.kubeconfig, clusterCIDR, mode)";
        mistakes.warn(&config.at, text);
    }
    if let Some(file) = flag(Component::Flannel, "subnet-file") {
        let problem = "moves a file that flannel's CNI plugin reads from /run/flannel/subnet.env";
        mistakes.refuse(&file.at, &file.values.join(","), problem, "remove it");
    }
}
