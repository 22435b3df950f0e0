//! Flags that name a file: the container must have it, in the bootstrap pod and in the self-hosted
//! one, and be able to write it where it writes.

use crate::rows::{HERE, VALIDATE, refused, run};

const MOUNT: &str = "extraVolumes: [{name: NAME, hostPath:";

#[test]
fn a_flag_that_names_a_file_the_container_does_not_have_is_refused_with_the_volume() {
    let rows = [
        ("kube-apiserver", "audit-log-path", "/var/log/audit.log", "readOnly: false"),
        ("kube-apiserver", "audit-policy-file", "/etc/audit.yaml", MOUNT),
        ("kube-apiserver", "encryption-provider-config", "/e", "hostPath: /e, mountPath: /e}"),
        ("kube-apiserver", "authentication-config", "/b", MOUNT),
        ("kube-apiserver", "token-auth-file", "/t", MOUNT),
        ("kube-apiserver", "tls-sni-cert-key", "/a.crt,/a.key", MOUNT),
        ("kube-scheduler", "config", "/c.yaml", MOUNT),
        ("kube-controller-manager", "cluster-signing-cert-file", "/x", MOUNT),
        ("kube-proxy", "config", "/x", MOUNT),
        ("coredns", "conf", "/x", MOUNT),
        ("etcd", "log-outputs", "stderr,/var/log/etcd.log", "readOnly: false"),
        ("pod-checkpointer", "container-runtime-endpoint", "unix:///run/crio/crio.sock", MOUNT),
    ];
    for (component, flag, value, cure) in rows {
        let fields = format!("{{{component}: {{extraArgs: {{{flag}: '{value}'}}}}}}");
        let field = format!("components.{component}.extraArgs.{flag}");
        refused(&[(&fields, &field, "is below no mount of the pod", cure)], &format!("{HERE}components: "));
    }
}

#[test]
fn a_mount_that_does_not_fit_the_file_is_refused() {
    let path = "components.kube-apiserver.extraArgs.audit-log-path";
    let policy = "components.kube-apiserver.extraArgs.audit-policy-file";
    let api = |text: &str| format!("{{kube-apiserver: {{{text}}}}}");
    let rows = [
        (
            api("extraArgs: {tls-sni-cert-key: 'a.crt,a.key'}"),
            "components.kube-apiserver.extraArgs.tls-sni-cert-key: a.crt",
            "is not a path from the root on",
            "write the whole path",
        ),
        (
            api(
                "extraArgs: {audit-log-path: /var/log/a/a.log}, extraVolumes: [{name: a, hostPath: /var/log/a, mountPath: /var/log/a}]",
            ),
            path,
            "is mounted read-only",
            "readOnly: false",
        ),
        (
            api("extraArgs: {audit-log-path: /etc/kubernetes/secrets/a.log}"),
            path,
            "is mounted read-only",
            "another folder",
        ),
        (
            api(
                "extraArgs: {audit-policy-file: /etc/audit.yml}, extraVolumes: [{name: a, hostPath: /etc/audit.yaml, mountPath: /etc/audit.yaml, pathType: File}]",
            ),
            policy,
            "is below no mount",
            MOUNT,
        ),
        (
            api(
                "extraArgs: {audit-policy-file: /etc/audit.yaml/x}, extraVolumes: [{name: a, hostPath: /etc/audit.yaml, mountPath: /etc/audit.yaml, pathType: File}]",
            ),
            policy,
            "which is a file",
            "write /etc/audit.yaml",
        ),
        (
            api(
                "extraArgs: {audit-policy-file: /etc/audit}, extraVolumes: [{name: a, hostPath: /etc/audit, mountPath: /etc/audit, pathType: Directory}]",
            ),
            policy,
            "is a folder of the pod",
            "name a file in it",
        ),
        (
            api("extraArgs: {audit-policy-file: /etc/kubernetes/secrets/audit.yaml}"),
            policy,
            "is no file of the Secret kube-apiserver",
            MOUNT,
        ),
        (
            api(
                "extraArgs: {audit-policy-file: /p/a.yaml}, patches: [{kind: DaemonSet, patch: {spec: {template: {spec: {volumes: [{name: p, hostPath: {path: /p}}], containers: [{name: kube-apiserver, volumeMounts: [{name: p, mountPath: /p}]}]}}}}}]",
            ),
            policy,
            "is below no mount of the bootstrap pod",
            MOUNT,
        ),
        (
            api(
                "patches: [{kind: DaemonSet, type: json, patch: [{op: remove, path: /spec/template/spec/containers/0/volumeMounts/0}]}]",
            ),
            "components.kube-apiserver.patches[0]",
            "is below no mount",
            MOUNT,
        ),
    ];
    for (fields, field, problem, cure) in &rows {
        refused(&[(fields, field, problem, cure)], &format!("{HERE}components: "));
    }
}

#[test]
fn one_half_of_what_bootkube_owns_is_refused() {
    for (component, flag) in [
        ("kube-apiserver", "client-ca-file"),
        ("kube-apiserver", "kubelet-client-certificate"),
        ("kube-apiserver", "kubelet_client_key"),
        ("kube-apiserver", "proxy-client-cert-file"),
        ("kube-apiserver", "requestheader-client-ca-file"),
        ("kube-apiserver", "service-account-signing-key-file"),
        ("kube-controller-manager", "kubeconfig"),
        ("kube-controller-manager", "root-ca-file"),
        ("kube-controller-manager", "service-account-private-key-file"),
        ("kube-scheduler", "authentication-kubeconfig"),
        ("kube-proxy", "kubeconfig"),
        ("etcd", "peer-key-file"),
        ("pod-checkpointer", "kubeconfig"),
    ] {
        let fields = format!("{{{component}: {{extraArgs: {{{flag}: /x}}}}}}");
        let field = format!("components.{component}.extraArgs.{flag}");
        refused(&[(&fields, &field, "is set by bootkube", "remove it")], &format!("{HERE}components: "));
    }
}

#[test]
fn what_the_container_has_is_accepted() {
    for component in [
        "kube-apiserver: {extraArgs: {audit-log-path: '-'}}",
        "kube-apiserver: {extraArgs: {audit-log-path: /dev/stdout, token-auth-file: null, audit-policy-file: ''}}",
        "kube-apiserver: {extraArgs: {audit-policy-file: /a.yaml, audit-log-path: /log/a.log}, extraVolumes: [{name: a, hostPath: /a.yaml, mountPath: /a.yaml, pathType: File}, {name: log, hostPath: /log, mountPath: /log/, readOnly: false}]}",
        "kube-apiserver: {extraArgs: {kubelet-certificate-authority: /etc/kubernetes/secrets/ca.crt}}",
        "kube-apiserver: {extraArgs: {kubelet-certificate-authority: /etc/ssl/certs/kubelet.pem}}",
        "kube-scheduler: {extraArgs: {config: /c/c.yaml}, extraVolumes: [{name: c, hostPath: /c, mountPath: /c}]}",
        "kube-proxy: {extraArgs: {config: /c}, extraVolumes: [{name: c, hostPath: /c, mountPath: /c}]}",
        "kube-apiserver: {extraArgs: {audit-policy-file: /etc/audit//p.yaml}, extraVolumes: [{name: a, hostPath: /a, mountPath: /etc//audit}]}",
        "kube-scheduler: {patches: [{kind: Deployment, type: strategic, patch: {spec: {template: {spec: {containers: [{name: kube-scheduler, resources: {requests: {cpu: 700m}, limits: {cpu: '0.7'}}}]}}}}}]}",
        "pod-checkpointer: {extraArgs: {container-runtime-endpoint: 'unix:///run/crio/crio.sock'}, extraVolumes: [{name: crio, hostPath: /run/crio, mountPath: /run/crio}]}",
    ] {
        let output = run(&format!("{HERE}components: {{{component}}}"), VALIDATE);
        assert!(output.status.success(), "{component}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    // What is in an image of one's own only its maker knows.
    let own = "images: {kube-scheduler: 'quay.io/a/scheduler:1'}\n\
               components: {kube-scheduler: {extraArgs: {config: /etc/own.yaml}}}";
    let output = run(&format!("{HERE}{own}"), VALIDATE);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
