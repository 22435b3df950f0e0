//! What is in the way of an object that the API does not accept. Pure.

use std::time::Duration;

use serde_json::Value;

use super::blocker::Blocker;
use super::underway::{Refusal, Underway};
use crate::cluster::crd;

/// What the API says of a webhook that does not answer.
const WEBHOOK: &str = "failed calling webhook";
/// What the API says when admission refuses an object.
const ADMISSION: [&str; 4] =
    ["violates PodSecurity", "denied the request", "ValidatingAdmissionPolicy", "exceeded quota"];

/// While a cluster starts, most refusals pass within moments.
const MOMENT: Duration = Duration::from_secs(3);
/// The pods behind a webhook need this long to start.
const BACKEND: Duration = Duration::from_secs(30);

/// Why an object is not applied yet, unless the command itself is about to apply what it lacks.
pub fn blocker(refusal: &Refusal, underway: &Underway) -> Option<Blocker> {
    let Refusal { item, why, lasted } = refusal;
    let (label, file) = (item.label(), &item.file);
    if *lasted < MOMENT || is_brought(refusal, underway) {
        return None;
    }
    if let Some((namespace, name)) = service(why).filter(|(space, name)| underway.has_service(space, name)) {
        return (*lasted >= BACKEND).then(|| without_backend(&label, file, why, namespace, name));
    }
    let is_definition = item.value["kind"] == crd::KIND;
    let what = match () {
        () if is_definition && why.contains("definition") => format!("{label} ({file}) is not served"),
        () if why.contains(WEBHOOK) => format!("a webhook that does not answer blocks {label} ({file})"),
        () => format!("the API does not accept {label} ({file}) yet"),
    };
    Some(Blocker::new(what, why, cure(why)))
}

/// Whether the command is still to apply what the object lacks.
fn is_brought(refusal: &Refusal, underway: &Underway) -> bool {
    let text = |pointer| refusal.item.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let group = text("/apiVersion").split_once('/').map_or("", |(group, _)| group);
    let lacks_definition = refusal.why.contains("serves no");
    let (label, namespace) = (refusal.item.label(), text("/metadata/namespace"));
    let is_named = || underway.brings_what_it_lacks(&label, namespace, &refusal.why);
    lacks_definition && underway.brings_definition(group, text("/kind")) || is_named()
}

/// Namespace and name of the service behind the webhook that does not answer: the message has its
/// address, `https://NAME.NAMESPACE.svc:443/…`.
fn service(why: &str) -> Option<(&str, &str)> {
    let (_, url) = why.split_once(WEBHOOK)?.1.split_once("https://")?;
    let (name, rest) = url.split_once('.')?;
    let (namespace, _) = rest.split_once(".svc")?;
    Some((namespace, name))
}

fn without_backend(label: &str, file: &str, why: &str, namespace: &str, name: &str) -> Blocker {
    Blocker::new(
        format!("a webhook whose pods are not Ready blocks {label} ({file})"),
        why,
        format!(
            "its service {namespace}/{name} is in manifests/: see why the pods behind it do not come up (kubectl -n {namespace} get pods)"
        ),
    )
}

/// What to do about an object that is refused.
pub fn cure(why: &str) -> &'static str {
    match () {
        () if ADMISSION.iter().any(|words| why.contains(words)) => {
            "admission refuses it: change the object, or the policy that it violates, then run the same command again"
        }
        () if why.contains("its names are refused") => {
            "give the definition names that no other definition of its group has, or delete the other one"
        }
        () if why.contains("definition") => "look at the definition's conditions: kubectl describe crd",
        () if why.contains(WEBHOOK) => {
            "the service behind the webhook must run first: delete the configuration of the webhook, and run the same command again; start applies configurations last"
        }
        () if why.contains("serves no") => {
            "add the definition of this kind to manifests/, or take the object out"
        }
        () if why.contains("namespaces") && why.contains("not found") => "add the namespace to manifests/",
        () if why.contains("conflict:") => {
            "leave the fields to the other manager, or take them over with --force-conflicts"
        }
        () if why.contains("cannot be changed in an object") => {
            "take the change back, and run the same command again; or delete the object first, where nothing is lost with \
             it: a definition takes its resources along, a workload its pods"
        }
        () => "correct the manifest, then run the same command again; what was placed stays",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::apply::Item;
    use crate::diagnose::Brought;

    fn toy(kind: &str, why: &str, seconds: u64) -> Refusal {
        let metadata = json!({"name": "toys.example.test", "namespace": "shop"});
        let value = json!({"apiVersion": "example.test/v1", "kind": kind, "metadata": metadata});
        let item = Item { file: "toys.yaml".into(), value };
        Refusal { item, why: why.to_owned(), lasted: Duration::from_secs(seconds) }
    }

    fn brings(value: Value) -> Underway {
        let brought = Brought::of(&Item { file: "f".into(), value });
        Underway { objects: vec![brought], ..Underway::default() }
    }

    fn of(refusal: &Refusal) -> Option<Blocker> {
        blocker(refusal, &Underway::default())
    }

    #[test]
    fn an_object_that_names_itself_in_its_refusal_is_not_what_it_lacks() {
        let why = "toys \"toys.example.test\" is forbidden: unable to create new content in namespace shop \
                   because it is being terminated";
        let refusal = toy("Toy", why, 60);
        assert!(blocker(&refusal, &brings(refusal.item.value.clone())).is_some());
    }

    #[test]
    fn an_object_that_is_not_accepted_is_named_with_its_file_and_a_cure_that_fits() {
        let refused = "the definition is not served: its names are refused: \"Toy\" is taken";
        let definition = of(&toy(crd::KIND, refused, 10)).unwrap();
        assert_eq!(
            definition.what,
            "CustomResourceDefinition shop/toys.example.test (toys.yaml) is not served"
        );
        assert!(definition.cure.contains("names that no other definition"), "{definition:?}");
        let hook = of(&toy("Toy", "Internal error: failed calling webhook \"w\": no endpoints", 10)).unwrap();
        assert!(
            hook.what.contains("webhook") && hook.cure.contains("delete the configuration of the webhook"),
            "{hook:?}"
        );
        assert!(cure("pods \"x\" is forbidden: violates PodSecurity \"restricted\"").contains("admission"));
        assert!(
            cure("spec.template cannot be changed in an object that exists").contains("delete the object")
        );
        assert!(cure("conflict: spec is owned by manager \"kubectl\"").contains("--force-conflicts"));
    }

    #[test]
    fn what_the_command_is_about_to_apply_is_not_asked_for() {
        let unserved = "the API serves no Toy in example.test/v1";
        assert!(of(&toy("Toy", unserved, 10)).unwrap().cure.contains("add the definition"));
        assert_eq!(of(&toy("Toy", unserved, 1)), None, "it may pass within a moment");
        let spec = json!({"group": "example.test", "names": {"kind": "Toy", "plural": "toys"}});
        let mut underway =
            brings(json!({"kind": crd::KIND, "metadata": {"name": "toys.example.test"}, "spec": spec}));
        assert_eq!(blocker(&toy("Toy", unserved, 10), &underway), None);
        underway.objects[0].is_done = true;
        assert!(blocker(&toy("Toy", unserved, 10), &underway).is_some(), "the definition was refused");
        let homeless = toy("Toy", "namespaces \"shop\" not found", 10);
        let underway = brings(json!({"kind": "Namespace", "metadata": {"name": "shop"}}));
        assert_eq!(blocker(&homeless, &underway), None);
    }

    #[test]
    fn a_webhook_whose_service_is_among_the_manifests_gets_time_to_start() {
        let why = "Internal error: failed calling webhook \"toys.policy.example\": failed to call webhook: \
                   Post \"https://hook.policy.svc:443/toys?timeout=10s\": no endpoints available";
        let underway =
            brings(json!({"kind": "Service", "metadata": {"name": "hook", "namespace": "policy"}}));
        assert_eq!(blocker(&toy("Toy", why, 10), &underway), None);
        let late = blocker(&toy("Toy", why, 60), &underway).unwrap();
        assert!(late.cure.contains("kubectl -n policy get pods"), "{late:?}");
        let foreign = of(&toy("Toy", why, 10)).unwrap();
        assert!(foreign.cure.contains("delete the configuration of the webhook"), "{foreign:?}");
    }
}
