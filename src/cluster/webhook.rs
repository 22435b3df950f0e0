//! Webhooks that refuse an object, or do not answer. The API names the webhook, and not the
//! configuration that has to be changed.

use k8s_openapi::Resource;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::Client;
use kube::api::ListParams;
use serde_json::Value;

use super::objects::{Kind, Objects};
use super::retry::Failure;

/// How the API begins where a webhook did not answer. One that denied an object did its work.
const NO_ANSWER: &str = "failed calling webhook";

/// `failure` with the configuration of the webhook that it names. Where the webhook does not answer,
/// the command that removes the configuration follows, if it is the only one of that webhook.
pub async fn explained(client: &Client, mut failure: Failure) -> Failure {
    let Failure::Api { status, .. } = &mut failure else { return failure };
    let Some(name) = webhook(&status.message) else { return failure };
    if let Some(found) = told(&configurations(client, name).await, status.message.contains(NO_ANSWER)) {
        status.message = format!("{} ({found})", status.message);
    }
    failure
}

/// The name of the webhook in a message of the API.
fn webhook(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("webhook \"")?;
    rest.split_once('"').map(|(name, _)| name)
}

/// Kind and name of each configuration that has the webhook. None if the API does not say: the
/// refusal counts as it is.
async fn configurations(client: &Client, webhook: &str) -> Vec<(&'static str, String)> {
    let (validating, mutating) = futures::join!(
        having::<ValidatingWebhookConfiguration>(client, webhook),
        having::<MutatingWebhookConfiguration>(client, webhook)
    );
    [validating, mutating].concat()
}

/// The same of one kind.
async fn having<K: Kind + Resource>(client: &Client, webhook: &str) -> Vec<(&'static str, String)> {
    let listed = Objects::<K>::all(client).bare.list(&ListParams::default()).await;
    let has = |one: &Value| {
        one["webhooks"].as_array().is_some_and(|all| all.iter().any(|own| own["name"] == webhook))
    };
    let objects = listed.into_iter().flat_map(|list| list.items).filter_map(|one| one.json().ok());
    let names = objects.filter(has).filter_map(|one| Some(one["metadata"]["name"].as_str()?.to_owned()));
    names.map(|name| (K::KIND, name)).collect()
}

fn told(found: &[(&str, String)], is_silent: bool) -> Option<String> {
    match found {
        [] => None,
        [(kind, name)] if is_silent => Some(format!(
            "the webhook is of {kind} {name}; if its backend is gone: kubectl delete {} {name}",
            kind.to_lowercase()
        )),
        all => {
            let names: Vec<String> = all.iter().map(|(kind, name)| format!("{kind} {name}")).collect();
            Some(format!("the webhook is of {}", names.join(" or ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_webhook_is_read_from_what_the_api_says() {
        for (message, name) in [
            (
                "Internal error occurred: failed calling webhook \"w.example.com\": failed to call",
                Some("w.example.com"),
            ),
            ("admission webhook \"v.example.com\" denied the request: no", Some("v.example.com")),
            ("pods \"a\" not found", None),
        ] {
            assert_eq!(webhook(message), name, "{message}");
        }
    }

    #[test]
    fn only_a_webhook_that_does_not_answer_is_to_be_removed() {
        let one = [("ValidatingWebhookConfiguration", "policy".to_owned())];
        let two = [one[0].clone(), ("MutatingWebhookConfiguration", "other".to_owned())];
        let remove = "the webhook is of ValidatingWebhookConfiguration policy; if its backend is gone: kubectl delete \
                      validatingwebhookconfiguration policy";
        let either =
            "the webhook is of ValidatingWebhookConfiguration policy or MutatingWebhookConfiguration other";
        assert_eq!(told(&one, true).as_deref(), Some(remove));
        assert_eq!(
            told(&one, false).as_deref(),
            Some("the webhook is of ValidatingWebhookConfiguration policy")
        );
        assert_eq!(told(&two, true).as_deref(), Some(either));
        assert_eq!(told(&[], true), None);
    }
}
