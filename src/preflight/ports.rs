//! Ports of the control plane: free, or held by this very cluster, as when `start` is run again.

use super::report::{Outcome, Problem};
use super::seen::{Api, Seen, Taken};
use super::subject::{Claim, Subject};
use crate::assets::command::runs;
use crate::host::programs::Program;

pub fn ports(subject: &Subject<'_>, seen: &Seen) -> Outcome {
    let taken = match &seen.taken {
        Ok(taken) => taken,
        Err(why) => return Outcome::Unknown(format!("the listeners of this machine cannot be read: {why}")),
    };
    let claims = subject.claims();
    let is_ours = super::leftovers::has_begun(subject, seen);
    let pairs =
        taken.iter().filter_map(|taken| Some((taken, claims.iter().find(|claim| claim.port == taken.port)?)));
    let foreign = pairs.filter(|(taken, claim)| !is_held_by_us(taken, claim, subject, seen, is_ours));
    let problems = foreign.map(|(taken, claim)| problem(taken, claim, &seen.api)).collect();
    let detail = if taken.is_empty() { "free" } else { "held by this cluster" };
    Outcome::of(problems, detail)
}

/// The API's port is ours if our CA says so. The others are if the machine is, and nobody else is seen to hold them.
fn is_held_by_us(taken: &Taken, claim: &Claim, subject: &Subject<'_>, seen: &Seen, is_ours: bool) -> bool {
    if taken.port == subject.api_port() {
        // One that does not speak yet may still be ours, if it was seen to be.
        return seen.api == Api::Ours || is_ours && are_all(taken, claim);
    }
    match taken.holders.is_empty() {
        true => is_ours,
        false => taken.holders.iter().all(|holder| is_own(holder, claim, is_ours)),
    }
}

fn are_all(taken: &Taken, claim: &Claim) -> bool {
    taken.holders.iter().all(|holder| runs(words(holder), claim.program))
}

/// The right program, on a machine of this cluster or with the very flags that were rendered.
fn is_own(holder: &Program, claim: &Claim, is_ours: bool) -> bool {
    let has_flags = |command: &Vec<String>| {
        let mut plain = command.iter().skip(1).filter(|word| !word.contains("$("));
        plain.all(|word| holder.words.contains(word))
    };
    runs(words(holder), claim.program) && (is_ours || claim.commands.iter().any(has_flags))
}

fn words(process: &Program) -> impl Iterator<Item = &str> {
    process.words.iter().map(String::as_str)
}

fn problem(taken: &Taken, claim: &Claim, api: &Api) -> Problem {
    let Taken { port, addresses, holders } = taken;
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let named: Vec<String> =
        holders.iter().map(|holder| format!("{} (process {})", holder.name(), holder.pid)).collect();
    let why = match (named.is_empty(), api) {
        (false, _) => format!("{} listens on {}", named.join(" and "), addresses.join(", ")),
        (true, Api::Other(answer)) if claim.program == "kube-apiserver" => {
            format!(
                "somebody listens on {}, and is not this cluster's apiserver: {answer}",
                addresses.join(", ")
            )
        }
        (true, _) => format!("somebody whom we cannot see listens on {}", addresses.join(", ")),
    };
    Problem::new(
        format!("port {port} of {} is taken", claim.program),
        why,
        format!("end whoever listens there (ss -ltnp 'sport = :{port}')"),
    )
}
