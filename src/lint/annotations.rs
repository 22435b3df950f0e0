//! Annotations that Kubernetes read once, and a field has taken the place of. Of these 1.36 has no
//! code left that acts on them (searched in pkg/, plugin/ and the modules beside them).

use super::finding::{Finding, Rule};
use super::workload::workloads;
use crate::assets::object::Object;

/// An annotation, the kind that had it, and what to write instead.
const GONE: [(&str, On, &str); 8] = [
    (
        "service.alpha.kubernetes.io/tolerate-unready-endpoints",
        On::Service,
        "spec.publishNotReadyAddresses: true",
    ),
    ("service.beta.kubernetes.io/external-traffic", On::Service, "spec.externalTrafficPolicy: Local"),
    ("volume.alpha.kubernetes.io/storage-class", On::Claim, "spec.storageClassName"),
    ("pod.beta.kubernetes.io/hostname", On::Pods, "hostname in the pod's spec"),
    ("pod.beta.kubernetes.io/subdomain", On::Pods, "subdomain in the pod's spec"),
    ("pod.beta.kubernetes.io/init-containers", On::Pods, "initContainers in the pod's spec"),
    ("scheduler.alpha.kubernetes.io/affinity", On::Pods, "affinity in the pod's spec"),
    ("scheduler.alpha.kubernetes.io/critical-pod", On::Pods, "priorityClassName in the pod's spec"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Service,
    Claim,
    Pods,
}

/// Objects with such an annotation.
pub fn find(objects: &[Object]) -> Vec<Finding> {
    let on = |kind: &'static str| objects.iter().filter(move |object| object.kind() == kind);
    let services = on("Service").map(|object| (object, String::new(), On::Service));
    let claims = on("PersistentVolumeClaim").map(|object| (object, String::new(), On::Claim));
    let workloads = workloads(objects).into_iter();
    let pods = workloads.map(|workload| (workload.object, workload.pointer.to_owned(), On::Pods));
    let places = services.chain(claims).chain(pods);
    places.flat_map(|(object, pointer, on)| of(object, &pointer, on)).collect()
}

fn of(object: &Object, pointer: &str, on: On) -> Vec<Finding> {
    let annotations = format!("{pointer}/metadata/annotations");
    let given = |name: &str| object.value.pointer(&annotations).and_then(|all| all.get(name)?.as_str());
    let told = |(name, _, field): &(&str, On, &str)| {
        given(name).filter(|value| *value != "false" && !has(object, name)).map(|_| {
            let place = format!("{annotations}/{}", name.replace('/', "~1"));
            let reason = format!("Kubernetes no longer reads the annotation {name}");
            let cure = format!("write {field} instead, and remove the annotation");
            Finding::new(Rule::IgnoredAnnotation, object, &place, reason, cure)
        })
    };
    GONE.iter().filter(|(_, kind, _)| *kind == on).filter_map(told).collect()
}

/// Whether a Service has the field as well, for clusters of all versions.
fn has(object: &Object, name: &str) -> bool {
    let spec = &object.value["spec"];
    match name.rsplit('/').next() {
        Some("tolerate-unready-endpoints") => spec["publishNotReadyAddresses"] == true,
        Some("external-traffic") => !spec["externalTrafficPolicy"].is_null(),
        _ => false,
    }
}
