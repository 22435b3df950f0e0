//! Flags that the programs have, with the types of their values and the names that some of them
//! take.
//!
//! The table is of one version. A name that it does not have is refused for that version, because
//! the component would end, and is a warning for any other.

use super::input::{Input, is_off};
use crate::config::Component;
use crate::config::resolve::Argument;
use crate::limits::programs::{self, Gate, List};
use crate::values::fields::nearest;
use crate::values::go_flag;
use crate::values::mistakes::{Checked, Mistakes, fault};

/// Flags with which a program does one thing and ends.
const ONE_ACT: [&str; 6] = ["cleanup", "help", "init-only", "plugins", "version", "write-config-to"];

/// What the program takes of a flag.
pub(super) fn check(input: &Input<'_>, argument: &Argument, mistakes: &mut Mistakes) -> Checked<()> {
    let component = argument.part.name();
    let known = programs::flags(component);
    if known.is_empty() {
        return Ok(()); // a program without table
    }
    let Some(kind) = programs::flag_type(component, &argument.name) else {
        if argument.part == Component::Flannel {
            return Ok(()); // the table has a part of its flags
        }
        let problem = format!("is no flag of {component}");
        // The value of an unknown flag is not quoted: it may be a password.
        if let Err(fault) = unknown(input, argument, problem, &argument.name, &known, mistakes) {
            mistakes.refuse(&argument.at, "", fault.problem, fault.cure);
        }
        return Ok(());
    };
    let value = argument.values.first().map(String::as_str);
    if ONE_ACT.contains(&argument.name.as_str())
        && value.is_some_and(|value| !value.is_empty())
        && !is_off(value)
    {
        return fault(format!("has {component} do this one thing and end"), "remove it");
    }
    // kubelet replaces a variable by its value.
    for value in argument.values.iter().filter(|value| !value.contains("$(")) {
        if let Some(taken) = go_flag::refused(kind, value) {
            let problem = format!("is not what {component} takes for this flag: it would end");
            return fault(problem, format!("write {taken}"));
        }
    }
    match argument.name.as_str() {
        "feature-gates" if component.starts_with("kube-") => gates(input, argument, mistakes),
        "tls-cipher-suites" => listed(input, argument, List::CipherSuites, "cipher suite", mistakes),
        "admission-control" | "disable-admission-plugins" | "enable-admission-plugins" => {
            listed(input, argument, List::AdmissionPlugins, "admission plugin", mistakes)
        }
        "controllers" => listed(input, argument, List::Controllers, "controller", mistakes),
        _ => Ok(()),
    }
}

/// The items of a list that is written with commas, or as a list.
pub(super) fn items(argument: &Argument) -> impl Iterator<Item = &str> {
    argument.values.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

/// A name that the table does not have: refused where the table is of the component's version.
fn unknown(
    input: &Input<'_>,
    argument: &Argument,
    problem: String,
    name: &str,
    known: &[&str],
    mistakes: &mut Mistakes,
) -> Checked<()> {
    let cure = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`? Write that, or remove it"),
        None => "remove it".to_owned(),
    };
    if is_of_the_table(input, argument.part) && !argument.values.is_empty() {
        return fault(format!("{problem}: it would end"), cure);
    }
    mistakes.warn(&argument.at, format!("{problem}, as far as bootkube knows ({cure})"));
    Ok(())
}

/// Whether the table is of the version of the component.
fn is_of_the_table(input: &Input<'_>, part: Component) -> bool {
    let is_of_kubernetes = !matches!(part, Component::Etcd | Component::CoreDns | Component::Agent);
    let is_that_minor = !is_of_kubernetes || input.minor() == programs::MINOR;
    is_that_minor && !input.config.has_own_image(part)
}

/// Feature gates that Kubernetes has, and that are not locked to the other value.
fn gates(input: &Input<'_>, argument: &Argument, mistakes: &mut Mistakes) -> Checked<()> {
    let component = argument.part.name();
    let emulates = input.argument(argument.part, "emulated-version").is_some();
    let is_locked = !emulates && is_of_the_table(input, argument.part);
    for (name, value) in items(argument).filter_map(|item| item.split_once('=')) {
        let name = name.trim();
        let name = name.strip_prefix("kube:").unwrap_or(name);
        match programs::gate(name) {
            _ if name.contains(':') => {}
            None => {
                let problem = format!("has {name}, which is no feature gate of {component}");
                unknown(input, argument, problem, name, &programs::gates(), mistakes)?;
            }
            Some(Gate::Locked(only)) if is_locked && go_flag::boolean(value.trim()) != Some(only) => {
                let problem = format!("sets {name}, which is locked to {only}: {component} would end");
                return fault(problem, format!("remove {name}"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Names of a list. The controller manager takes `*`, and `-` in front of a name.
fn listed(
    input: &Input<'_>,
    argument: &Argument,
    list: List,
    word: &str,
    mistakes: &mut Mistakes,
) -> Checked<()> {
    let known = programs::names(list);
    for item in items(argument) {
        let name = match list {
            List::Controllers => programs::controller(item.strip_prefix('-').unwrap_or(item)),
            _ => item,
        };
        let is_all = list == List::Controllers && item == "*";
        if !is_all && !known.contains(&name) {
            let problem = format!("has {name}, which is no {word} of {}", argument.part.name());
            unknown(input, argument, problem, name, &known, mistakes)?;
        }
    }
    Ok(())
}
