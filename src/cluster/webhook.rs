//! Webhooks that refuse an object, or do not answer. The API names the webhook, and not the
//! configuration that has to be changed.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::ListParams;
use kube::{Client, ResourceExt as _};

use super::objects::Objects;
use super::retry::Failure;

/// `failure` with the configuration of the webhook that it names, and the command that removes it.
pub async fn explained(client: &Client, mut failure: Failure) -> Failure {
    let Failure::Api { status, .. } = &mut failure else { return failure };
    let Some(name) = webhook(&status.message) else { return failure };
    if let Some(found) = configuration(client, name).await {
        status.message = format!("{} ({found})", status.message);
    }
    failure
}

/// The name of the webhook in a message of the API.
fn webhook(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("webhook \"")?;
    rest.split_once('"').map(|(name, _)| name)
}

/// Which configuration has the webhook. None if the API does not say: the refusal counts as it is.
async fn configuration(client: &Client, webhook: &str) -> Option<String> {
    let all = ListParams::default();
    let validating = Objects::<ValidatingWebhookConfiguration>::all(client).list(&all).await.ok()?;
    let has =
        |one: &ValidatingWebhookConfiguration| one.webhooks.iter().flatten().any(|own| own.name == webhook);
    if let Some(found) = validating.iter().find(|one| has(one)) {
        return Some(told("ValidatingWebhookConfiguration", &found.name_any()));
    }
    let mutating = Objects::<MutatingWebhookConfiguration>::all(client).list(&all).await.ok()?;
    let has =
        |one: &MutatingWebhookConfiguration| one.webhooks.iter().flatten().any(|own| own.name == webhook);
    mutating.iter().find(|one| has(one)).map(|found| told("MutatingWebhookConfiguration", &found.name_any()))
}

fn told(kind: &str, name: &str) -> String {
    format!("of {kind} {name}, which this removes: kubectl delete {} {name}", kind.to_lowercase())
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
}
