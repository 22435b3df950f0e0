//! Check of the control plane's ports: free, or held by this cluster, as when `start` is run again.

use super::facts::{ApiListener, Facts, Taken};
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::assets::command::runs;
use crate::assets::listeners::Claim;
use crate::host::programs::Program;

pub fn ports(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let taken = match &facts.taken {
        Ok(taken) => taken,
        Err(why) => return Outcome::Unknown(format!("the listeners of this machine cannot be read: {why}")),
    };
    let claims = subject.claims();
    let is_ours = super::leftovers::has_begun(subject, facts);
    let pairs =
        taken.iter().filter_map(|taken| Some((taken, claims.iter().find(|claim| claim.port == taken.port)?)));
    let foreign = pairs.filter(|(taken, claim)| !is_held_by_us(taken, claim, subject, facts, is_ours));
    let problems = foreign.map(|(taken, claim)| problem(taken, claim, &facts.api)).collect();
    let detail = if taken.is_empty() { "free" } else { "held by this cluster" };
    Outcome::from_problems(problems, detail)
}

/// The API's port is ours if its certificate verifies by our CA. Another port is ours if this
/// cluster has run here and no foreign program is seen to hold it.
fn is_held_by_us(taken: &Taken, claim: &Claim, subject: &Subject<'_>, facts: &Facts, is_ours: bool) -> bool {
    if taken.port == subject.api_port() {
        // An apiserver that does not answer yet is judged by its process.
        return facts.api == ApiListener::Ours || is_ours && are_all(taken, claim);
    }
    match taken.holders.is_empty() {
        true => is_ours,
        false => taken.holders.iter().all(|holder| is_own(holder, claim, is_ours)),
    }
}

fn are_all(taken: &Taken, claim: &Claim) -> bool {
    taken.holders.iter().all(|holder| runs(words(holder), claim.program))
}

/// Whether it is the program of the claim, on a machine of this cluster or with the rendered flags.
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

fn problem(taken: &Taken, claim: &Claim, api: &ApiListener) -> Problem {
    let Taken { port, addresses, holders } = taken;
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let named: Vec<String> =
        holders.iter().map(|holder| format!("{} (process {})", holder.name(), holder.pid)).collect();
    let why = match (named.is_empty(), api) {
        (false, _) => format!("{} listens on {}", named.join(" and "), addresses.join(", ")),
        (true, ApiListener::Other(answer)) if claim.program == "kube-apiserver" => {
            format!(
                "a process that is not this cluster's apiserver listens on {}: {answer}",
                addresses.join(", ")
            )
        }
        (true, _) => format!("a process that cannot be seen from here listens on {}", addresses.join(", ")),
    };
    Problem::new(
        format!("port {port} of {} is taken", claim.program),
        why,
        format!("end the process that listens there (ss -ltnp 'sport = :{port}')"),
    )
}
