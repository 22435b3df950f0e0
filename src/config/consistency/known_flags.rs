//! Flags against those that programs have, and values against their types. A program ends on a flag
//! that it does not have, and on a value that it cannot read.

use std::net::IpAddr;

use super::input::Input;
use crate::config::defaults::KUBERNETES_MINORS;
use crate::config::resolve::Argument;
use crate::limits::known_flags::{self, List, Type};
use crate::values::fields::nearest;
use crate::values::go_duration;
use crate::values::mistakes::{Checked, Mistakes, fault};

/// Whether the program reads every value of a flag.
pub(super) fn readable(argument: &Argument) -> Checked<()> {
    let program = argument.part.name();
    let kind = known_flags::list(program).and_then(|list| list.type_of(&argument.name));
    let Some(kind) = kind else { return Ok(()) };
    // kubelet replaces a variable by its value.
    let is_readable = |value: &String| value.contains("$(") || reads(kind, value);
    match argument.values.iter().all(is_readable) {
        true => Ok(()),
        false => fault(
            format!("is not what {program} takes for this flag: it would end"),
            format!("write {}", described(kind)),
        ),
    }
}

fn reads(kind: Type, text: &str) -> bool {
    match kind {
        Type::Switch => is_switch(text),
        Type::Whole => is_whole(text),
        Type::Number => text.parse::<f64>().is_ok(),
        Type::Duration => go_duration::seconds(text).is_some(),
        Type::Address => text.is_empty() || text.trim().parse::<IpAddr>().is_ok(),
        Type::Gates => {
            let is_gate = |gate: &str| gate.split_once('=').is_some_and(|(_, value)| is_switch(value.trim()));
            text.split(',').all(|gate| gate.is_empty() || is_gate(gate))
        }
        Type::Text => true,
    }
}

/// What Go's `ParseBool` reads.
fn is_switch(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True" | "0" | "f" | "F" | "false" | "FALSE" | "False")
}

/// What Go's `ParseInt` reads: decimal, or with a prefix that says the base.
fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let bases = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)];
    let prefixed = bases.iter().find_map(|(prefix, base)| Some((digits.strip_prefix(prefix)?, *base)));
    let (digits, base) = prefixed.unwrap_or((digits, 10));
    !digits.starts_with(['-', '+']) && i64::from_str_radix(digits, base).is_ok()
}

fn described(kind: Type) -> &'static str {
    match kind {
        Type::Switch => "\"true\" or \"false\"",
        Type::Whole => "a whole number in quotes",
        Type::Number => "a number in quotes",
        Type::Duration => "a duration such as 1h30m or 30s, in hours, minutes and seconds",
        Type::Address => "an IP address",
        Type::Gates => "NAME=true or NAME=false, several with commas between",
        Type::Text => "a text",
    }
}

/// Flags that a program does not have. Of another version or image than the usual ones it may.
pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) {
    for argument in input.arguments.iter().filter(|argument| !argument.values.is_empty()) {
        let program = argument.part.name();
        let Some(list) = known_flags::list(program).filter(|list| list.is_whole) else { continue };
        if list.type_of(&argument.name).is_some() {
            continue;
        }
        let problem = format!("is no flag of {program} 1.{}", KUBERNETES_MINORS.end());
        let is_that_one = input.minor() == *KUBERNETES_MINORS.end();
        match is_that_one && !input.settings.images.contains_key(program) {
            true => {
                mistakes.refuse(&argument.at, "", format!("{problem}: it would end"), cure(&list, argument))
            }
            false => mistakes.warn(&argument.at, format!("{problem}: {}", cure(&list, argument))),
        }
    }
}

fn cure(list: &List, argument: &Argument) -> String {
    let names: Vec<&str> = list.flags.iter().map(|(name, _)| *name).collect();
    match nearest(&argument.name, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("remove it, or look it up: {} --help", argument.part.name()),
    }
}
