//! What the API asks of a pod: containers with names and images, volumes and mounts that fit each
//! other, and quantities that can be read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::problem::{Part, Problem};
use crate::values::quantity;
use crate::values::spelling::is_dns_label;

pub(super) fn check(spec: &PodSpec) -> Vec<Problem> {
    let mut found = Vec::new();
    if spec.containers.is_empty() {
        let cure = "name the container in the patch, or use `type: strategic`, which merges lists by name";
        found.push(Problem::new(Part::Object, "", "leaves the pod without containers", cure));
    }
    let all: Vec<&Container> = spec.containers.iter().chain(spec.init_containers.iter().flatten()).collect();
    let names: Vec<&str> = all.iter().map(|container| container.name.as_str()).collect();
    for (at, container) in all.iter().enumerate() {
        if names[..at].contains(&container.name.as_str()) {
            let problem = "is the name of two containers";
            found.push(Problem::new(Part::Object, &container.name, problem, "give each a name of its own"));
        }
        found.extend(identity(container, &all));
        found.extend(resources(container));
        found.extend(environment(container));
    }
    found
}

/// A container's name and image. A patch with a mistyped name adds a container without image.
fn identity(container: &Container, all: &[&Container]) -> Option<Problem> {
    let name = &container.name;
    if !is_dns_label(name) {
        let problem = "is not a name of a container";
        return Some(Problem::new(Part::Object, name, problem, "use lower-case letters, digits and dashes"));
    }
    if container.image.as_deref().is_some_and(|image| !image.is_empty()) {
        return None;
    }
    let others: Vec<&str> =
        all.iter().filter(|other| other.image.is_some()).map(|other| other.name.as_str()).collect();
    let cure = format!("write `name: {}` to change that container, or add an image", others.join("` or `"));
    Some(Problem::new(Part::Object, name, "is a container without image", cure))
}

/// Quantities are read as binary fractions: 700m and 0.7 differ in the last bit.
const ROUNDING: f64 = 1e-9;

fn resources(container: &Container) -> Vec<Problem> {
    let Some(resources) = &container.resources else { return Vec::new() };
    let none = BTreeMap::new();
    let requests = resources.requests.as_ref().unwrap_or(&none);
    let limits = resources.limits.as_ref().unwrap_or(&none);
    let mut found: Vec<Problem> =
        requests.iter().chain(limits).filter_map(|(of, text)| unread(of, text)).collect();
    for (of, request) in requests {
        let (wanted, most) =
            (quantity::parse(&request.0), limits.get(of).and_then(|most| quantity::parse(&most.0)));
        if let (Some(wanted), Some(most)) = (wanted, most)
            && wanted > most * (1.0 + ROUNDING)
        {
            let problem = format!("is more {of} than the container's limit allows it to have");
            found.push(Problem::new(
                Part::Object,
                &request.0,
                problem,
                "raise the limit, or lower the request",
            ));
        }
    }
    found
}

fn unread(of: &str, text: &Quantity) -> Option<Problem> {
    let is_good = quantity::parse(&text.0).is_some_and(|number| number >= 0.0);
    (!is_good).then(|| {
        Problem::new(
            Part::Object,
            &text.0,
            format!("is no quantity of {of}"),
            "write one such as 500m or 512Mi",
        )
    })
}

fn environment(container: &Container) -> Option<Problem> {
    let nameless = container.env.iter().flatten().any(|variable| variable.name.is_empty());
    nameless.then(|| {
        let problem = "has an environment variable without name";
        Problem::new(Part::Object, &container.name, problem, "give it a name")
    })
}
