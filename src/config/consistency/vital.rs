//! Values of flags with which the component runs, and the cluster does not: kubelets could not
//! join, pods could not start, or the API would not be found.

use std::net::IpAddr;

use super::input::{Input, is_off, only};
use super::programs::items;
use crate::config::resolve::Argument;
use crate::config::{Component, Networking};
use crate::limits::vital;
use crate::values::mistakes::{Checked, fault};

/// The admission plugin that bootkube enables.
const ENABLED: &str = "NodeRestriction";

pub(super) fn check(input: &Input<'_>, argument: &Argument) -> Checked<()> {
    let value = only(argument);
    let is_unset = argument.values.is_empty() || is_off(value);
    match (argument.part, argument.name.as_str()) {
        (Component::Apiserver, "allow-privileged") if is_unset => fault(
            "would have the API refuse kube-proxy and flannel, whose containers are privileged",
            "remove it",
        ),
        (Component::Apiserver, "enable-bootstrap-token-auth") if is_unset => {
            fault("would keep kubelets from joining: they come with a bootstrap token", "remove it")
        }
        (Component::Apiserver, "endpoint-reconciler-type") if value == Some("none") => fault(
            "would leave the Service `kubernetes` without an apiserver: pods would not find the API",
            "write lease, or remove it",
        ),
        (Component::Apiserver, "runtime-config") => served(argument),
        (Component::Apiserver, "disable-admission-plugins") => admitted(input, argument),
        (Component::Apiserver, "advertise-address") => advertised(input, value.unwrap_or_default()),
        (Component::ControllerManager, "controllers") => running(input, argument),
        _ => Ok(()),
    }
}

/// The API serves what the cluster is made of.
fn served(argument: &Argument) -> Checked<()> {
    match items(argument).find(|item| vital::turns_off(item)) {
        None => Ok(()),
        Some(item) => fault(
            format!("has {item}, and the control plane is made of objects of that API"),
            format!("remove {item}"),
        ),
    }
}

fn admitted(input: &Input<'_>, argument: &Argument) -> Checked<()> {
    if let Some(plugin) = items(argument).find(|plugin| vital::ADMISSION.contains(plugin)) {
        let problem = format!("has {plugin}, without which pods of the control plane do not start");
        return fault(problem, format!("remove {plugin}"));
    }
    let enabled: Vec<&str> = match input.argument(Component::Apiserver, "enable-admission-plugins") {
        Some(given) => items(given).collect(),
        None => vec![ENABLED],
    };
    match items(argument).find(|plugin| enabled.contains(plugin)) {
        None => Ok(()),
        Some(plugin) => fault(
            format!("has {plugin}, which enable-admission-plugins has, too: kube-apiserver would end"),
            format!("remove {plugin} from one of them (bootkube sets enable-admission-plugins to {ENABLED})"),
        ),
    }
}

/// The address under which pods find the API, in the family of the first range of Services.
fn advertised(input: &Input<'_>, text: &str) -> Checked<()> {
    let Ok(address) = text.parse::<IpAddr>() else { return Ok(()) };
    if address.is_unspecified() {
        return Ok(()); // the apiserver finds the machine's address
    }
    if address.is_loopback() || address.is_multicast() {
        return fault("is not an address at which pods reach this machine", "write the machine's address");
    }
    let (is, wanted) = if input.config.is_ipv6() { ("an IPv4", "IPv6") } else { ("an IPv6", "IPv4") };
    match address.is_ipv6() == input.config.is_ipv6() {
        true => Ok(()),
        false => fault(
            format!(
                "is {is} address, but the first range of serviceCIDRs is {wanted}: kube-apiserver would end"
            ),
            format!("write the machine's {wanted} address"),
        ),
    }
}

fn running(input: &Input<'_>, argument: &Argument) -> Checked<()> {
    let given: Vec<&str> = items(argument).collect();
    match vital::missing_controller(&given, input.config.networking == Networking::Flannel) {
        Some(name) if !argument.values.is_empty() => fault(
            format!("leaves out {name}, which the cluster and its rollouts need"),
            "write a list that begins with *, and switch off others with a - in front",
        ),
        _ => Ok(()),
    }
}
