//! Checks of the kernel's settings for the network of pods: does it forward packets, and do those
//! between pods on one bridge pass the rules of Services.

use ipnet::IpNet;

use super::facts::{Facts, Setting};
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::host::kernel::AtBoot;

const FORWARDS: [&str; 2] = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"];
const BRIDGES: [&str; 2] = ["net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"];
/// The settings that these checks look at.
pub const SETTINGS: [&str; 4] = [FORWARDS[0], FORWARDS[1], BRIDGES[0], BRIDGES[1]];

/// Without forwarding no packet leaves a pod for another machine, nor reaches a pod from one.
pub fn forwarding(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for name in of_families(subject, FORWARDS) {
        match facts.kernel.settings.get(name) {
            Some(Setting { now: Ok(Some(value)), at_boot }) if value != "0" => {
                let is_kept = |at_boot: &AtBoot| at_boot.value == "1";
                let at_boot = at_boot.as_ref().filter(|at_boot| !at_boot.as_ref().is_some_and(is_kept));
                warnings.extend(at_boot.map(|at_boot| forgotten(name, at_boot.as_ref())));
            }
            Some(Setting { now: Ok(value), at_boot }) => {
                problems.push(off(name, value.as_deref(), at_boot.as_ref().and_then(Option::as_ref)));
            }
            Some(Setting { now: Err(why), .. }) => return Outcome::Unknown(format!("{name}: {why}")),
            None => return Outcome::Unknown(format!("{name} was not looked at")),
        }
    }
    match problems.is_empty() {
        false => Outcome::Fail(problems),
        true => Outcome::from_warnings(warnings, "the kernel forwards packets"),
    }
}

fn off(name: &str, value: Option<&str>, at_boot: Option<&AtBoot>) -> Problem {
    let (family, why) = (family(name), setting(name, value));
    match value {
        Some(_) => Problem::new(
            format!("the kernel does not forward {family} packets"),
            format!("{why}: pods could not be reached from other machines, nor reach any"),
            keep(name, at_boot),
        ),
        None => Problem::new(
            format!("the kernel has no {family}, which this cluster uses"),
            why,
            format!(
                "boot without ipv6.disable=1 and unset net.ipv6.conf.all.disable_ipv6, then {}",
                keep(name, at_boot)
            ),
        ),
    }
}

fn forgotten(name: &str, at_boot: Option<&AtBoot>) -> Problem {
    let why = match at_boot {
        None => format!("no file in sysctl.d sets {name}, so it depends on whether another program does"),
        Some(AtBoot { value, file }) => format!("{} sets {name} to {value}", file.display()),
    };
    Problem::new(
        format!("the kernel forwards {} packets now, but may not after the next boot", family(name)),
        why,
        keep(name, at_boot),
    )
}

/// flannel connects pods by a bridge. A Service's answer from a pod on the same bridge must pass
/// the rules that translated its question, or the client does not take it; and flannel ends if the
/// module is missing.
///
/// Other network plugins may not use a bridge: each sets what it needs.
pub fn bridge_netfilter(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    if !subject.has_flannel() {
        return Outcome::Pass("the assets bring no network that needs it".into());
    }
    let names = of_families(subject, BRIDGES);
    let settings = names.iter().filter_map(|name| Some((*name, facts.kernel.settings.get(name)?)));
    let problems = settings.filter_map(|(name, setting)| match &setting.now {
        Ok(Some(value)) if value == "0" => {
            Some(passed_by(name, setting.at_boot.as_ref().and_then(Option::as_ref)))
        }
        Ok(None) => Some(not_loaded(name)),
        Ok(Some(_)) | Err(_) => None,
    });
    match problems.take(1).collect::<Vec<_>>() {
        problems if !problems.is_empty() => Outcome::Fail(problems),
        _ if facts.kernel.bridges_at_boot == Some(false) => Outcome::from_warnings(vec![unloaded()], ""),
        _ => Outcome::Pass("br_netfilter is loaded".into()),
    }
}

const LOAD: &str = "modprobe br_netfilter; echo br_netfilter > /etc/modules-load.d/br_netfilter.conf";

fn not_loaded(name: &str) -> Problem {
    Problem::new(
        "the kernel module br_netfilter is not loaded",
        format!("there is no {name}: flannel ends without it, and then no pod gets a network"),
        LOAD,
    )
}

fn passed_by(name: &str, at_boot: Option<&AtBoot>) -> Problem {
    Problem::new(
        "packets between pods of this machine do not pass the rules of Services",
        format!(
            "{name} is 0: a Service does not answer where its pod is on the client's machine, DNS included"
        ),
        keep(name, at_boot),
    )
}

fn unloaded() -> Problem {
    Problem::new(
        "the kernel module br_netfilter is loaded now, but may not be after the next boot",
        "no file in modules-load.d names it, so it depends on whether another program loads it",
        LOAD,
    )
}

/// What sets `name` now and at each boot: in the file that sets it to something else, if one does.
fn keep(name: &str, at_boot: Option<&AtBoot>) -> String {
    match at_boot {
        Some(AtBoot { value, file }) if value != "1" => {
            format!("write {name} = 1 in {}, then run sysctl --system", file.display())
        }
        _ => {
            let file = name.rsplit('.').next().unwrap_or(name);
            format!("echo '{name} = 1' > /etc/sysctl.d/k8s-{file}.conf; sysctl --system")
        }
    }
}

fn setting(name: &str, value: Option<&str>) -> String {
    value.map_or_else(|| format!("there is no {name}"), |value| format!("{name} is {value}"))
}

fn family(name: &str) -> &'static str {
    if name == FORWARDS[1] { "IPv6" } else { "IPv4" }
}

/// The settings of the cluster's families: of IPv4, IPv6, or both.
fn of_families(subject: &Subject<'_>, names: [&'static str; 2]) -> Vec<&'static str> {
    let networks = subject.networks();
    let has = |is_it: fn(&IpNet) -> bool| networks.iter().any(|(_, network)| is_it(network));
    let is_v4 = |network: &IpNet| network.addr().is_ipv4();
    let is_v6 = |network: &IpNet| network.addr().is_ipv6();
    [(names[0], has(is_v4)), (names[1], has(is_v6))]
        .into_iter()
        .filter(|(_, has)| *has)
        .map(|(name, _)| name)
        .collect()
}
