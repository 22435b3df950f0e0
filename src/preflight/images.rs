//! Checks of images: on the machine already, or to be pulled from a registry that answers.

use std::collections::BTreeSet;

use super::facts::{Facts, Registry};
use super::outcome::{Outcome, Problem};
use super::subject::{Subject, Wanted, full_reference, registry};
use crate::kubelet::Runtime;

pub fn images(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let (present, sandbox) = match &facts.runtime {
        Runtime::Answers { images: Ok(images), sandbox_image, .. } => (images, sandbox_image.as_deref()),
        Runtime::Answers { images: Err(why), .. } => return Outcome::Unknown(why.clone()),
        _ => return Outcome::Unknown("the container runtime cannot be asked, see container-runtime".into()),
    };
    let sandbox = sandbox.map(full_reference);
    let wanted = wanted(subject, sandbox.as_deref());
    let missing: Vec<&Wanted> = wanted.iter().filter(|wanted| !present.contains(&wanted.reference)).collect();
    let problems = missing.iter().filter_map(|image| unobtainable(image, sandbox.as_deref(), facts));
    let problems: Vec<Problem> = problems.collect();
    match missing.len() {
        0 => Outcome::Pass(format!("all {} are on the machine", wanted.len())),
        _ if !problems.is_empty() => Outcome::Fail(problems),
        _ => pulled(&missing, facts),
    }
}

/// The images of pods, and the one that the runtime makes the sandbox of each pod from.
fn wanted(subject: &Subject<'_>, sandbox: Option<&str>) -> BTreeSet<Wanted> {
    let sandbox = sandbox.map(|image| Wanted { reference: image.to_owned(), never_pulled: false });
    subject.images().into_iter().chain(sandbox).collect()
}

/// Why a missing image cannot be got.
fn unobtainable(wanted: &Wanted, sandbox: Option<&str>, facts: &Facts) -> Option<Problem> {
    let Wanted { reference, never_pulled } = wanted;
    let what = format!("image {reference} is not on this machine");
    if *never_pulled {
        let cure = "import it (ctr -n k8s.io images import), or take imagePullPolicy: Never away";
        return Some(Problem::new(what, "its pod has imagePullPolicy: Never", cure));
    }
    let host = registry(reference);
    match facts.registries.get(host) {
        Some(Registry::Unreached(why)) if sandbox == Some(reference.as_str()) => Some(Problem::new(
            what,
            format!(
                "the container runtime makes the sandbox of every pod from it, and its registry {host} cannot be reached: {why}"
            ),
            "import the image (ctr -n k8s.io images import), let the machine reach the registry, or name another one in the \
             runtime's configuration (sandbox_image, or sandbox in pinned_images)",
        )),
        Some(Registry::Unreached(why)) => Some(Problem::new(
            what,
            format!("its registry {host} cannot be reached: {why}"),
            "import the image (ctr -n k8s.io images import), let the machine reach the registry, or render with another one",
        )),
        _ => None,
    }
}

fn pulled(missing: &[&Wanted], facts: &Facts) -> Outcome {
    let detour = |wanted: &&Wanted| match facts.registries.get(registry(&wanted.reference)) {
        Some(Registry::Detour(way)) => Some((wanted.reference.clone(), way.clone())),
        _ => None,
    };
    match missing.iter().find_map(detour) {
        Some((image, way)) => Outcome::Unknown(format!(
            "{image} is not on this machine and {} cannot be reached from here; the runtime may use {way}",
            registry(&image)
        )),
        None => {
            let names: Vec<&str> = missing.iter().map(|wanted| wanted.reference.as_str()).collect();
            Outcome::Unknown(format!("to be pulled from registries that answer: {}", names.join(", ")))
        }
    }
}
