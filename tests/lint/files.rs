//! What is wrong with a file or an object by itself: versions, sizes, templates, hooks.

use super::{found, none, none_of, one, one_of};

#[test]
fn removed_versions_name_the_version_that_removed_them_and_what_to_write() {
    for (version, kind, removed, cure) in [
        ("extensions/v1beta1", "Ingress", "1.22", "write apiVersion: networking.k8s.io/v1,"),
        ("networking.k8s.io/v1beta1", "Ingress", "1.22", "each path has a pathType"),
        ("extensions/v1beta1", "Deployment", "1.16", "write apiVersion: apps/v1,"),
        ("apps/v1beta2", "StatefulSet", "1.16", "spec.selector is required"),
        ("policy/v1beta1", "PodSecurityPolicy", "1.25", "pod-security.kubernetes.io/enforce"),
        ("policy/v1beta1", "PodDisruptionBudget", "1.25", "write apiVersion: policy/v1,"),
        ("batch/v1beta1", "CronJob", "1.25", "write apiVersion: batch/v1,"),
        ("autoscaling/v2beta2", "HorizontalPodAutoscaler", "1.26", "write apiVersion: autoscaling/v2,"),
        ("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema", "1.32", "flowcontrol.apiserver.k8s.io/v1,"),
        ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", "1.22", "each version has a schema"),
        ("rbac.authorization.k8s.io/v1beta1", "ClusterRole", "1.22", "rbac.authorization.k8s.io/v1,"),
        ("admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration", "1.22", "sideEffects"),
        ("storage.k8s.io/v1beta1", "CSIStorageCapacity", "1.27", "storage.k8s.io/v1,"),
        ("discovery.k8s.io/v1beta1", "EndpointSlice", "1.25", "discovery.k8s.io/v1,"),
        ("node.k8s.io/v1beta1", "RuntimeClass", "1.25", "node.k8s.io/v1,"),
        ("storage.k8s.io/v1alpha1", "VolumeAttributesClass", "1.35", "storage.k8s.io/v1,"),
    ] {
        let file = format!("# first\nkind: {kind}\nmetadata: {{name: a}}\napiVersion: {version}\n");
        let begins = format!("a.yaml:4: removed-api: {kind} a: ");
        one(&file, &begins, &[&format!("{kind} of {version} was removed in Kubernetes {removed}"), cure]);
    }
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: p}\n- {kind: CronJob, metadata: {name: c},\n   apiVersion: batch/v1beta1}\n";
    one(list, "a.yaml:8: removed-api: CronJob c: ", &[]);
    none("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}}");
}

#[test]
fn objects_that_are_too_large_are_told_with_their_size() {
    let data = |bytes: usize| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a, namespace: b}}, data: {{a: '{}'}}}}",
            "x".repeat(bytes)
        )
    };
    one(
        &data((1 << 20) + 1),
        "a.yaml:1: too-large: ConfigMap b/a: ",
        &["its data has 1048577 bytes, and the API takes 1048576 (1 MiB)", "split it"],
    );
    none(&data(1 << 20));
    let job = |bytes: usize| {
        format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: a}}, spec: {{template: {{spec: {{containers: [{{args: ['{}']}}]}}}}}}}}",
            "x".repeat(bytes)
        )
    };
    one(
        &job(1 << 20),
        "a.yaml:1: too-large: Job a: it has 10486",
        &["etcd takes 1572864 (1.5 MiB)", "split it"],
    );
    none(&job(1 << 19));
    one(&job(3 << 19), "a.yaml:1: too-large: Job a: ", &["is too large: it has 15728"]);
    let annotated = format!(
        "{{apiVersion: v1, kind: Node, metadata: {{name: a, annotations: {{a: '{}'}}}}}}",
        "x".repeat(1 << 18)
    );
    one(&annotated, "a.yaml:1: too-large: Node a: ", &["262144 (256 KiB)"]);
}

#[test]
fn hooks_of_helm_are_told_by_what_start_does_with_them() {
    let job = |annotation: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: j\n  annotations:\n    \"helm.sh/hook-weight\": \"1\"\n    {annotation}\n"
        )
    };
    let hook = |hooks: &str| job(&format!("helm.sh/hook: {hooks}"));
    let begins = "a.yaml:7: helm-hook: Job j: helm.sh/hook: ";
    for (hooks, says, cure) in [
        ("pre-install", "start applies it at the same time as everything else", "let the workload wait"),
        ("pre-install,pre-upgrade", "at the same time", "let the workload wait"),
        ("post-install, post-upgrade", "after everything else is there", "let it try again"),
        ("test", "only for `helm test`", "--skip-tests"),
        ("test-success", "only for `helm test`", "--skip-tests"),
        (
            "pre-delete",
            "only when the release is deleted; start applies it, and it runs at once",
            "--no-hooks",
        ),
        ("post-delete", "only when the release is deleted", "--no-hooks"),
        ("pre-upgrade", "only in an upgrade or a rollback", "--no-hooks"),
        ("post-rollback", "only in an upgrade or a rollback", "--no-hooks"),
    ] {
        one(&hook(hooks), begins, &[says, cure]);
    }
    one(
        &job("helm.sh/resource-policy: keep"),
        "a.yaml:7: helm-resource-policy: Job j: ",
        &["only Helm reads it"],
    );
    none(&job("meta.helm.sh/release-name: r"));
}

#[test]
fn templates_that_were_not_rendered_are_told_with_the_command() {
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n";
    one(template, "a.yaml:1: template: ", &["`helm template`"]);
    one_of(
        &[
            ("web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
            ("web/values.yaml", "replicas: 1\n"),
            ("web/templates/deployment.yaml", template),
            ("web/templates/_helpers.tpl", "{{- define \"x\" -}}"),
            ("web/charts/db/Chart.yaml.txt", "x"),
            ("web/crds/toys.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: crd}}"),
        ],
        "web/Chart.yaml:1: template: this is a chart",
        &["helm template NAME DIR"],
    );
    let quoted =
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels:\n    release: \"{{ .Release.Name }}\"\n";
    one(quoted, "a.yaml:6: template: Pod a: ", &["`helm template`"]);
    none(
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {alert: '{{ .Values.x }} {{ $value }}'}}",
    );
    none(
        "{apiVersion: v1, kind: Pod, metadata: {name: a, annotations: {text: 'on {{ $labels.instance }}'}}}",
    );
    let chart = "{apiVersion: v1, kind: Service, metadata: {name: {{ .Values.x }}}}\n";
    let found = found(&[
        ("manifests/a.yaml", chart),
        ("bootstrap-manifests/p.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: p}}"),
    ]);
    assert!(found.len() == 1 && found[0].starts_with("manifests/a.yaml:1: template: "), "{found:?}");
}

#[test]
fn what_start_refuses_is_told() {
    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n";
    one_of(
        &[("a.yaml", map), ("b.yaml", &format!("# b\n{map}"))],
        "b.yaml:2: refused: ConfigMap a: it is in a.yaml:1, too",
        &["remove one"],
    );
    one(
        "apiVersion: v1\nkind: Secert\nmetadata: {name: s}\n",
        "a.yaml:2: refused: Secert s: ",
        &["did you mean Secret"],
    );
    one(
        "{apiVersion: batch/v1, kind: Job,\n metadata: {generateName: j-}}",
        "a.yaml:2: refused: Job: ",
        &["metadata.generateName"],
    );
    let said = found(&[("a.yaml", "a: 1\n")]);
    assert!(said.len() == 3 && said[0].starts_with("a.yaml:1: refused: apiVersion is missing"), "{said:?}");
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p}}";
    let assets = [
        ("bootstrap-manifests/p.yaml", pod),
        ("manifests/a.yaml", map),
        ("manifests/a.yaml~", map),
        ("controller-manifests/x.yaml", map),
    ];
    let said = found(&assets);
    assert!(
        said[0].starts_with("controller-manifests/x.yaml:1: refused: ConfigMap a: it holds no pod"),
        "{said:?}"
    );
    assert!(said[1].starts_with("manifests/a.yaml~:1: refused: by its name it is a backup"), "{said:?}");
    assert_eq!(said.len(), 2);
    let scheduler = |name: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{hostNetwork: true, containers: [{{command: [kube-scheduler]}}]}}}}"
        )
    };
    let said = found(&[
        ("bootstrap-manifests/p.yaml", &scheduler("p")),
        ("bootstrap-manifests/q.yaml", &scheduler("q")),
        ("bootstrap-manifests/p.yaml.bak", pod),
    ]);
    assert!(said[0].starts_with("bootstrap-manifests/p.yaml.bak:1: refused: by its name"), "{said:?}");
    assert!(
        said[1].starts_with("bootstrap-manifests/q.yaml:1: refused: it claims port 10259 (TCP)"),
        "{said:?}"
    );
    assert_eq!(said.len(), 2);
    none_of(&[("a.yaml", map), ("a.yaml~", map), ("README.md", "# a"), (".hidden.yaml", "{{")]);
}

#[test]
fn custom_resources_need_a_definition() {
    let toy = "apiVersion: example.com/v1\nkind: Toy\nmetadata: {name: t}\n";
    let definition = |versions: &str| {
        format!("{{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{name: toys.example.com}},
 spec: {{group: example.com, names: {{kind: Toy}}, versions: [{versions}]}}}}")
    };
    let two = format!("{toy}---\n{}", toy.replace("name: t", "name: u"));
    one(
        &two,
        "a.yaml:1: missing-definition: Toy t: no file here defines Toy of example.com/v1",
        &["--include-crds", "unless the cluster or an operator has it"],
    );
    none_of(&[("a.yaml", toy), ("b.yaml", &definition("{name: v1, served: true}"))]);
    one_of(
        &[("a.yaml", toy), ("b.yaml", &definition("{name: v1, served: false}, {name: v2, served: true}"))],
        "a.yaml:1: missing-definition: Toy t: its definition (b.yaml:1) serves v2, and not v1",
        &["write one of these versions"],
    );
}

#[test]
fn a_selector_must_match_the_labels_of_its_own_pods() {
    let deployment = |selector: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec:\n  replicas: 1\n{selector}  template: {{metadata: {{labels: {{app: d, tier: web}}}}}}\n"
        )
    };
    none(&deployment("  selector: {matchLabels: {app: d}}\n"));
    one(
        &deployment("  selector: {matchLabels: {app: e}}\n"),
        "a.yaml:6: workload: Deployment d: its selector does not match",
        &["the API refuses it"],
    );
    one(
        &deployment(""),
        "a.yaml:4: workload: Deployment d: it has no selector",
        &["spec.selector.matchLabels"],
    );
}
