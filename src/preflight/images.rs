//! Checks of images: on the machine already, or to be pulled from a registry that answers.

use super::facts::{Facts, Registry, Runtime};
use super::outcome::{Outcome, Problem};
use super::subject::{Subject, Wanted, registry};

pub fn images(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let present = match &facts.runtime {
        Runtime::Answers { images: Ok(images), .. } => images,
        Runtime::Answers { images: Err(why), .. } => return Outcome::Unknown(why.clone()),
        _ => return Outcome::Unknown("the container runtime cannot be asked, see container-runtime".into()),
    };
    let wanted = subject.images();
    let missing: Vec<&Wanted> = wanted.iter().filter(|wanted| !present.contains(&wanted.reference)).collect();
    let problems: Vec<Problem> = missing.iter().filter_map(|image| unobtainable(image, facts)).collect();
    match missing.len() {
        0 => Outcome::Pass(format!("all {} are on the machine", wanted.len())),
        _ if !problems.is_empty() => Outcome::Fail(problems),
        _ => pulled(&missing, facts),
    }
}

/// Why kubelet cannot get a missing image.
fn unobtainable(Wanted { reference, never_pulled }: &Wanted, facts: &Facts) -> Option<Problem> {
    let what = format!("image {reference} is not on this machine");
    if *never_pulled {
        let cure = "import it (ctr -n k8s.io images import), or take imagePullPolicy: Never away";
        return Some(Problem::new(what, "its pod has imagePullPolicy: Never", cure));
    }
    let host = registry(reference);
    match facts.registries.get(host) {
        Some(Registry::Unreached(why)) => Some(Problem::new(
            what,
            format!("its registry {host} cannot be reached: {why}"),
            "import the image (ctr -n k8s.io images import), let the machine reach the registry, or render with another one",
        )),
        _ => None,
    }
}

fn pulled(missing: &[&Wanted], facts: &Facts) -> Outcome {
    let has_detour = |wanted: &&&Wanted| {
        matches!(facts.registries.get(registry(&wanted.reference)), Some(Registry::Detour(_)))
    };
    match missing.iter().find(has_detour) {
        Some(wanted) => Outcome::Unknown(format!(
            "{} is not on this machine and {} cannot be reached from here; the runtime may have another way",
            wanted.reference,
            registry(&wanted.reference)
        )),
        None => {
            let names: Vec<&str> = missing.iter().map(|wanted| wanted.reference.as_str()).collect();
            Outcome::Unknown(format!("to be pulled from registries that answer: {}", names.join(", ")))
        }
    }
}
