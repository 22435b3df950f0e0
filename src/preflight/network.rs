//! Checks of names and networks: does the API's host resolve, and do pods and services have
//! networks of their own.

use std::net::IpAddr;

use ipnet::IpNet;

use super::facts::Facts;
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::host::routes::Route;

/// Prefixes of the interfaces that network plugins make. They lead to pods.
const OF_PODS: [&str; 11] =
    ["cali", "cbr", "cilium", "cni", "flannel", "kube-", "lxc", "tunl", "veth", "vxlan", "weave"];

pub fn api_address(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let host = subject.api_host();
    match &facts.api_host {
        Ok(()) => Outcome::Pass(format!("{host} resolves")),
        Err(why) if facts.sees_machine() => Outcome::fail(
            format!("{host}, the host of the API's URL, does not resolve"),
            why,
            format!("add {host} to DNS or to /etc/hosts of every machine: kubelets look for the API there"),
        ),
        Err(why) => Outcome::Unknown(format!("{host} does not resolve here, but may on the machine: {why}")),
    }
}

pub fn networks(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let routes = match &facts.routes {
        Ok(routes) => routes,
        Err(why) => return Outcome::Unknown(format!("the routes of this machine cannot be read: {why}")),
    };
    let wanted = subject.networks();
    let problems = wanted.iter().filter_map(|(whose, network)| {
        let in_use = in_use(*network, *whose == "services", routes, &facts.addresses)?;
        Some(Problem::new(
            format!("the network of {whose}, {network}, is in use around this machine"),
            in_use,
            "render with another podCIDRs or serviceCIDRs; this cluster could not reach those hosts",
        ))
    });
    let problems: Vec<Problem> = problems.collect();
    let listed: Vec<String> = wanted.iter().map(|(_, network)| network.to_string()).collect();
    Outcome::from_problems(problems, format!("nothing else is in {}", listed.join(", ")))
}

/// What else uses `network`.
///
/// Two kinds of routes are no conflict: a cluster without an overlay routes pods through other
/// machines, and a route to a wider network gives way to the narrower one. Services have no routes
/// at all.
fn in_use(network: IpNet, is_services: bool, routes: &[Route], addresses: &[IpAddr]) -> Option<String> {
    let overlaps = |other: &IpNet| network.contains(other) || other.contains(&network);
    let is_in_the_way = |route: &&Route| {
        let is_narrow = network.contains(&route.network);
        let is_of_pods = OF_PODS.iter().any(|prefix| route.interface.starts_with(prefix));
        overlaps(&route.network) && !is_of_pods && (!route.has_gateway || is_services && is_narrow)
    };
    let route = routes.iter().find(is_in_the_way);
    let address = || addresses.iter().find(|address| network.contains(*address));
    let through_pods =
        |address: &IpAddr| routes.iter().any(|route| route.network.contains(address) && is_pods(route));
    route.map(|route| format!("{} is reached through {}", route.network, route.interface)).or_else(|| {
        address().filter(|address| !through_pods(address)).map(|address| format!("this machine is {address}"))
    })
}

fn is_pods(route: &Route) -> bool {
    OF_PODS.iter().any(|prefix| route.interface.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(network: &str, has_gateway: bool, interface: &str) -> Route {
        Route { network: network.parse().unwrap(), has_gateway, interface: interface.to_owned() }
    }

    #[test]
    fn a_network_is_in_use_if_the_machine_is_in_it_and_not_if_pods_are() {
        let pods = |routes: &[Route], addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            in_use("10.2.0.0/16".parse().unwrap(), false, routes, &addresses)
        };
        assert_eq!(pods(&[route("192.0.2.0/24", false, "eth0")], &["192.0.2.1"]), None);
        assert!(pods(&[route("10.2.7.0/24", false, "eth0")], &[]).unwrap().contains("eth0"));
        assert!(pods(&[route("10.0.0.0/8", false, "eth0")], &["10.9.0.1"]).is_some());
        assert_eq!(pods(&[route("10.0.0.0/8", true, "tun0")], &[]), None, "the narrower route wins");
        assert_eq!(pods(&[route("10.2.1.0/24", true, "eth0")], &[]), None, "pods of another machine");
        assert_eq!(pods(&[route("10.2.0.0/24", false, "cni0")], &["10.2.0.1"]), None, "pods of this one");
        assert_eq!(pods(&[], &["10.2.0.5"]).unwrap(), "this machine is 10.2.0.5");
    }

    #[test]
    fn services_have_no_routes_at_all() {
        let services = |routes: &[Route]| in_use("10.3.0.0/16".parse().unwrap(), true, routes, &[]);
        assert!(services(&[route("10.3.1.0/24", true, "eth0")]).is_some());
        assert_eq!(services(&[route("10.0.0.0/8", true, "tun0")]), None);
    }
}
