//! What is in the way of an object that the API does not accept. Pure.

use super::blocker::Blocker;
use crate::cluster::apply::Item;
use crate::cluster::crd;

/// What the API says of a webhook that does not answer.
const WEBHOOK: &str = "failed calling webhook";
/// What the API says when admission refuses an object.
const ADMISSION: [&str; 4] =
    ["violates PodSecurity", "denied the request", "ValidatingAdmissionPolicy", "exceeded quota"];

/// Why `item` is not applied yet.
pub fn blocker(item: &Item, why: &str) -> Blocker {
    let (label, file) = (item.label(), &item.file);
    let is_definition = item.value["kind"] == crd::KIND;
    let what = match () {
        () if is_definition && why.contains("definition") => format!("{label} ({file}) is not served"),
        () if why.contains(WEBHOOK) => format!("a webhook that does not answer blocks {label} ({file})"),
        () => format!("the API does not accept {label} ({file}) yet"),
    };
    Blocker::new(what, why, cure(why))
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
            "the service behind the webhook must run first: take its configuration out of manifests/, and apply it later"
        }
        () if why.contains("serves no") => {
            "add the definition of this kind to manifests/, or take the object out"
        }
        () if why.contains("namespaces") && why.contains("not found") => "add the namespace to manifests/",
        () if why.contains("conflict:") => {
            "leave the fields to the other manager, or take them over with --force-conflicts"
        }
        () => "correct the manifest, then run the same command again; what was placed stays",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_that_is_not_accepted_is_named_with_its_file_and_a_cure_that_fits() {
        let item = |kind: &str| Item {
            file: "toys.yaml".into(),
            value: json!({"kind": kind, "metadata": {"name": "toys.example.test"}}),
        };
        let refused = "the definition is not served: its names are refused: \"Toy\" is taken";
        let definition = blocker(&item(crd::KIND), refused);
        assert_eq!(definition.what, "CustomResourceDefinition toys.example.test (toys.yaml) is not served");
        assert!(definition.cure.contains("names that no other definition"), "{definition:?}");
        let hook = blocker(&item("Toy"), "Internal error: failed calling webhook \"w\": no endpoints");
        assert!(
            hook.what.contains("webhook") && hook.cure.contains("take its configuration out"),
            "{hook:?}"
        );
        assert!(cure("pods \"x\" is forbidden: violates PodSecurity \"restricted\"").contains("admission"));
        assert!(cure("conflict: spec is owned by manager \"kubectl\"").contains("--force-conflicts"));
    }
}
