//! Webhooks and API services without a backend, and those that the control plane depends on.

use super::{found, none, none_of, one, one_of};

const BACKEND: &str = "apiVersion: v1
kind: Service
metadata: {name: hook, namespace: guard}
spec: {selector: {app: hook}, ports: [{port: 443}]}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: hook, namespace: guard}, spec: {selector: {matchLabels: {app: hook}},
 template: {metadata: {labels: {app: hook}}}}}
";

/// A configuration of one webhook, for Deployments.
fn configuration(kind: &str, more: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: {kind}WebhookConfiguration
metadata: {{name: guard}}
webhooks:
- name: guard.example.com
  rules: [{{apiGroups: [apps], apiVersions: [v1], resources: [deployments], operations: ['*']}}]
  clientConfig:
    service: {{namespace: guard, name: hook}}
{more}"
    )
}

const API_SERVICE: &str = "apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.x.example.com}
spec:
  group: x.example.com
  version: v1
  service: {namespace: guard, name: hook}
";
const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: toys.example.com}
spec:
  group: example.com
  names: {kind: Toy, plural: toys}
  conversion:
    strategy: Webhook
    webhook:
      clientConfig:
        service: {namespace: guard, name: hook}
";

#[test]
fn a_backend_that_is_in_no_file_is_told_and_may_be_in_the_cluster() {
    let may = "add it and the workload behind it, unless the cluster has them";
    for (file, begins, without) in [
        (
            configuration("Validating", ""),
            "a.yaml:8: webhook-backend: ValidatingWebhookConfiguration guard: ",
            "refuses every request",
        ),
        (
            configuration("Mutating", "  failurePolicy: Ignore"),
            "a.yaml:8: webhook-backend: Mutating",
            "the webhook sees no request",
        ),
        (
            API_SERVICE.to_owned(),
            "a.yaml:7: webhook-backend: APIService v1.x.example.com: ",
            "no namespace can be deleted",
        ),
        (
            DEFINITION.to_owned(),
            "a.yaml:11: webhook-backend: CustomResourceDefinition toys.example.com: ",
            "cannot convert",
        ),
    ] {
        one(&file, begins, &["no file here has its Service guard/hook", without, may]);
        none_of(&[("a.yaml", &file), ("b.yaml", BACKEND)]);
    }
    none(
        &configuration("Validating", "")
            .replace("service: {namespace: guard, name: hook}", "url: https://guard.example.com"),
    );
    none(&API_SERVICE.replace("  service: {namespace: guard, name: hook}\n", ""));
}

#[test]
fn a_service_of_another_namespace_port_or_without_pods_is_no_backend() {
    let hook = configuration("Validating", "");
    for (backend, says) in [
        (
            BACKEND.replace("hook, namespace: guard}\nspec", "hook, namespace: other}\nspec"),
            "no file here has its Service",
        ),
        (BACKEND.replace("port: 443", "port: 8443"), "(b.yaml:1) has no port 443"),
        (
            BACKEND.replace("selector: {app: hook}, ports", "selector: {app: none}, ports"),
            "no file here has a workload for its Service",
        ),
    ] {
        one_of(&[("a.yaml", &hook), ("b.yaml", &backend)], "a.yaml:8: webhook-backend: ", &[says]);
    }
    let other = hook.replace("name: hook}", "name: hook, port: 8443}");
    none_of(&[("a.yaml", &other), ("b.yaml", &BACKEND.replace("port: 443", "port: 8443"))]);
    none_of(&[("a.yaml", &hook), ("b.yaml", &BACKEND.replace("selector: {app: hook}, ports", "ports"))]);
}

#[test]
fn a_webhook_that_must_allow_every_pod_of_the_control_plane_is_told() {
    let pods = |rule: &str, more: &str| {
        let rule = format!("rules: [{{operations: ['*'], {rule}}}]");
        let hook = configuration("Validating", more);
        let (before, after) = hook.split_once("rules: ").unwrap();
        format!("{before}{rule}{}", &after[after.find('\n').unwrap()..])
    };
    let core = "apiGroups: [''], apiVersions: [v1], resources: [pods]";
    let not_system = "  namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}]}\n";
    for (rule, more) in [
        (core, ""),
        ("apiGroups: ['*'], apiVersions: ['*'], resources: ['*']", "  failurePolicy: Fail\n"),
        ("apiGroups: [''], apiVersions: ['*'], resources: ['*/*']", ""),
        (core, "  namespaceSelector: {matchExpressions: [{key: control-plane, operator: DoesNotExist}]}\n"),
        (core, "  objectSelector: {matchExpressions: [{key: skip, operator: DoesNotExist}]}\n"),
    ] {
        let files = [("a.yaml", pods(rule, more)), ("b.yaml", BACKEND.to_owned())];
        let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
        one_of(
            &files,
            "a.yaml:5: webhook-of-control-plane: ValidatingWebhookConfiguration guard: webhook guard.example.com ",
            &[
                "no pod of the control plane can be replaced",
                "operator: NotIn, values: [kube-system]",
                "failurePolicy: Ignore",
            ],
        );
    }
    for (rule, more) in [
        (core, "  failurePolicy: Ignore\n"),
        (core, not_system),
        (core, "  namespaceSelector: {matchLabels: {guarded: 'true'}}\n"),
        (core, "  objectSelector: {matchLabels: {guarded: 'true'}}\n"),
        (core, "  matchConditions: [{name: a, expression: 'true'}]\n"),
        ("apiGroups: [''], apiVersions: [v1], resources: [pods/exec]", ""),
        ("apiGroups: [''], apiVersions: [v1], resources: [pods], scope: Cluster", ""),
        ("apiGroups: [apps], apiVersions: [v1], resources: ['*']", ""),
    ] {
        let hook = pods(rule, more);
        none_of(&[("a.yaml", &hook), ("b.yaml", BACKEND)]);
    }
    let labelled = pods(core, "  namespaceSelector: {matchLabels: {guarded: 'true'}}\n");
    let namespace =
        "{apiVersion: v1, kind: Namespace, metadata: {name: kube-system, labels: {guarded: 'true'}}}";
    let found = found(&[("a.yaml", &labelled), ("b.yaml", BACKEND), ("c.yaml", namespace)]);
    assert!(found.len() == 1 && found[0].contains("webhook-of-control-plane"), "{found:?}");
}
