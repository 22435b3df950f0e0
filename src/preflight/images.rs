//! Images: on the machine already, or at least to be had.

use super::report::{Outcome, Problem};
use super::seen::{Registry, Runtime, Seen};
use super::subject::{Subject, Wanted, registry};

pub fn images(subject: &Subject<'_>, seen: &Seen) -> Outcome {
    let present = match &seen.runtime {
        Runtime::Answers { images: Ok(images), .. } => images,
        Runtime::Answers { images: Err(why), .. } => return Outcome::Unknown(why.clone()),
        _ => return Outcome::Unknown("the container runtime cannot be asked, see container-runtime".into()),
    };
    let wanted = subject.images();
    let missing: Vec<&Wanted> = wanted.iter().filter(|wanted| !present.contains(&wanted.reference)).collect();
    let problems: Vec<Problem> = missing.iter().filter_map(|image| hopeless(image, seen)).collect();
    match missing.len() {
        0 => Outcome::Pass(format!("all {} are on the machine", wanted.len())),
        _ if !problems.is_empty() => Outcome::Fail(problems),
        _ => pulled(&missing, seen),
    }
}

/// Why an image that is not there will not come.
fn hopeless(Wanted { reference, never_pulled }: &Wanted, seen: &Seen) -> Option<Problem> {
    let what = format!("image {reference} is not on this machine");
    if *never_pulled {
        let cure = "import it (ctr -n k8s.io images import), or take imagePullPolicy: Never away";
        return Some(Problem::new(what, "its pod says that it is never pulled", cure));
    }
    let host = registry(reference);
    match seen.registries.get(host) {
        Some(Registry::Unreached(why)) => Some(Problem::new(
            what,
            format!("and its registry {host} cannot be reached: {why}"),
            "import the image (ctr -n k8s.io images import), let the machine reach the registry, or render with another one",
        )),
        _ => None,
    }
}

fn pulled(missing: &[&Wanted], seen: &Seen) -> Outcome {
    let is_around = |wanted: &&&Wanted| {
        matches!(seen.registries.get(registry(&wanted.reference)), Some(Registry::Detour(_)))
    };
    match missing.iter().find(is_around) {
        Some(wanted) => Outcome::Unknown(format!(
            "{} is not on this machine and {} cannot be reached from here; the runtime may have another way",
            wanted.reference,
            registry(&wanted.reference)
        )),
        None => {
            let names: Vec<&str> = missing.iter().map(|wanted| wanted.reference.as_str()).collect();
            Outcome::Unknown(format!("to be pulled, their registries answer: {}", names.join(", ")))
        }
    }
}
