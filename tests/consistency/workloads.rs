//! Volumes and patches whose result the API would refuse, or whose pods could not do their work.

use crate::rows::{HERE, VALIDATE, refused, run};

/// A change of one component.
fn rows(rows: &[(&str, &str, &str, &str, &str)]) {
    for (component, changes, field, problem, cure) in rows {
        let fields = format!("{{{component}: {{{changes}}}}}");
        let field = format!("components.{component}.{field}");
        refused(&[(&fields, &field, problem, cure)], &format!("{HERE}components: "));
    }
}

#[test]
fn an_extra_volume_that_collides_with_one_of_bootkube_is_refused() {
    let volume =
        |name: &str, path: &str| format!("extraVolumes: [{{name: {name}, hostPath: /h, mountPath: {path}}}]");
    let secrets = volume("audit", "/etc/kubernetes/secrets");
    let slash = volume("audit", "/etc/kubernetes/secrets/");
    let certs = volume("audit", "/etc/ssl/certs");
    let inside = volume("audit", "/etc/kubernetes/secrets/audit");
    let name = volume("secrets", "/h");
    let root = volume("audit", "/");
    rows(&[
        (
            "kube-apiserver",
            &secrets,
            "extraVolumes[0].mountPath",
            "its volume secrets already",
            "another place",
        ),
        (
            "kube-apiserver",
            &slash,
            "extraVolumes[0].mountPath",
            "its volume secrets already",
            "another place",
        ),
        ("kube-apiserver", &certs, "extraVolumes[0].mountPath", "its volume trusted-certs", "another place"),
        (
            "kube-scheduler",
            &inside,
            "extraVolumes[0].mountPath",
            "is inside of /etc/kubernetes/secrets",
            "another place",
        ),
        ("kube-apiserver", &name, "extraVolumes[0].name", "this pod has already", "another name"),
        ("coredns", &root, "extraVolumes[0].mountPath", "whole file system", "in a folder"),
        ("etcd", &volume("data", "/h"), "extraVolumes[0].name", "this pod has already", "another name"),
    ]);
}

#[test]
fn a_patch_that_leaves_a_workload_which_cannot_run_is_refused_by_its_index() {
    let template = |patch_type: &str, spec: &str| {
        format!(
            "patches: [{{kind: DaemonSet, type: {patch_type}, patch: {{spec: {{template: {{spec: {{{spec}}}}}}}}}}}]"
        )
    };
    let named = "containers: [{name: kube-apiserver, ";
    rows(&[
        (
            "kube-apiserver",
            &template("merge", "containers: []"),
            "patches[0]",
            "without containers",
            "strategic",
        ),
        (
            "kube-apiserver",
            &template("strategic", "containers: [{name: apiserver, env: [{name: A, value: b}]}]"),
            "patches[0]: apiserver",
            "container without image",
            "write `name: kube-apiserver`",
        ),
        (
            "kube-apiserver",
            &template("strategic", &format!("{named}resources: {{limits: {{memory: 1X}}}}}}]")),
            "patches[0]: 1X",
            "is no quantity of memory",
            "512Mi",
        ),
        (
            "kube-apiserver",
            &template("strategic", &format!("{named}resources: {{limits: {{cpu: 100m}}}}}}]")),
            "patches[0]: 150m",
            "is more cpu than",
            "raise the limit",
        ),
        (
            "kube-apiserver",
            &template("strategic", &format!("{named}volumeMounts: [{{name: nope, mountPath: /n}}]}}]")),
            "patches[0]: /n",
            "has no such volume",
            "add the volume",
        ),
        (
            "kube-apiserver",
            &template("merge", "hostNetwork: false"),
            "patches[0]: false",
            "machine's network",
            "leave",
        ),
        (
            "pod-checkpointer",
            &template("merge", "hostPID: null"),
            "patches[0]",
            "machine's processes",
            "leave",
        ),
        (
            "kube-apiserver",
            "patches: [{kind: DaemonSet, patch: {metadata: {annotations: {a: b}}}}, {kind: DaemonSet, patch: {metadata: {name: foo}}}]",
            "patches[1]: foo",
            "changes metadata.name",
            "leave metadata.name",
        ),
        (
            "coredns",
            "patches: [{kind: Service, patch: {metadata: {namespace: default}}}]",
            "patches[0]: default",
            "changes metadata.namespace",
            "leave",
        ),
        (
            "coredns",
            "patches: [{kind: Deployment, patch: {spec: {replicas: 0}}}]",
            "patches[0]: 0",
            "without pods",
            "1 or more",
        ),
        (
            "coredns",
            "patches: [{kind: Deployment, patch: {spec: {template: {metadata: {labels: {k8s-app: dns}}}}}}]",
            "patches[0]",
            "takes the label k8s-app=kube-dns",
            "leave that label",
        ),
        (
            "etcd",
            "patches: [{kind: Pod, patch: {spec: {hostNetwork: false}}}]",
            "patches[0]: false",
            "machine's network",
            "leave",
        ),
    ]);
}

#[test]
fn patches_that_a_workload_takes_are_accepted() {
    for component in [
        "kube-apiserver: {patches: [{kind: DaemonSet, patch: {spec: {template: {spec: {containers: [{name: kube-apiserver, resources: {requests: {cpu: '1', memory: 1Gi}}}]}}}}}]}",
        "coredns: {patches: [{kind: Deployment, patch: {spec: {template: {spec: {containers: [{name: sidecar, image: 'example.com/sidecar:1'}]}}}}}]}",
        "coredns: {patches: [{kind: Deployment, patch: {spec: {replicas: 3, template: {metadata: {labels: {team: dns}}}}}}]}",
        "kube-apiserver: {extraVolumes: [{name: ssl, hostPath: /etc/ssl, mountPath: /etc/ssl}]}",
    ] {
        let output = run(&format!("{HERE}components: {{{component}}}"), VALIDATE);
        assert!(output.status.success(), "{component}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
