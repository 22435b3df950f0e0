//! Changes to single components: flags that a program does not have, volumes that collide, patches
//! that do not fit.

use crate::rows::{HERE, Row, VALIDATE, refused, run, warned};

#[test]
fn a_flag_is_one_of_its_program_and_has_a_value_that_the_program_reads() {
    let at = |part: &str, flag: &str| format!("components.{part}.extraArgs.{flag}");
    let refusals: Vec<(String, String, &str, &str)> = [
        ("kube-apiserver", "v", "loud", "would end", "a whole number"),
        ("kube-apiserver", "event-ttl", "1d", "would end", "a duration such as 1h30m"),
        ("kube-apiserver", "default-not-ready-toleration-seconds", "1m", "would end", "a whole number"),
        ("kube-apiserver", "feature-gates", "AllAlpha", "would end", "Name=true"),
        ("kube-apiserver", "feature-gates", "AllAlpha=maybe", "would end", "Name=true"),
        ("kube-controller-manager", "profiling", "yes", "would end", "true"),
        ("kube-controller-manager", "kube-api-qps", "fast", "would end", "a number"),
        ("kube-scheduler", "kube-api-burst", "1.5", "would end", "a whole number"),
        ("kube-proxy", "masquerade-all", "", "would end", "true"),
        ("etcd", "quota-backend-bytes", "8G", "would end", "a whole number"),
        ("flannel", "ip-masq", "perhaps", "would end", "true"),
        (
            "kube-apiserver",
            "max-request-inflight",
            "5",
            "is no flag of kube-apiserver",
            "`max-requests-inflight`",
        ),
        ("kube-scheduler", "zzz", "5", "is no flag of kube-scheduler", "remove it"),
    ]
    .map(|(part, flag, value, problem, cure)| {
        (
            format!("components: {{{part}: {{extraArgs: {{{flag}: '{value}'}}}}}}"),
            at(part, flag),
            problem,
            cure,
        )
    })
    .into();
    let rows: Vec<Row<'_>> = refusals
        .iter()
        .map(|(fields, field, problem, cure)| (&**fields, &**field, *problem, *cure))
        .collect();
    refused(&rows, HERE);
    let unknown = "components: {kube-scheduler: {extraArgs: {zzz: '5'}}}";
    let place = at("kube-scheduler", "zzz");
    warned(
        &[
            (&format!("kubernetesVersion: v1.34.0\n{unknown}"), &place, &["is no flag of kube-scheduler"]),
            (
                &format!("images: {{kube-scheduler: 'quay.io/a/b:1'}}\n{unknown}"),
                &place,
                &["is no flag of kube-scheduler"],
            ),
        ],
        HERE,
    );
    for good in [
        "kube-apiserver: {extraArgs: {v: '2', profiling: T, feature-gates: 'AllAlpha=false, AllBeta=True'}}",
        "kube-controller-manager: {extraArgs: {kube-api-qps: '1e2', node-monitor-grace-period: 1m30s}}",
        "kube-scheduler: {extraArgs: {zzz: null}}",
    ] {
        let output = run(&format!("{HERE}components: {{{good}}}"), VALIDATE);
        assert!(output.status.success(), "{good}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn volumes_of_the_user_and_those_of_a_pod_have_names_and_places_of_their_own() {
    let rows: Vec<(String, String, &str, &str)> = [
        ("kube-apiserver", "secrets", "/a", "name", "this pod has already", "such as extra-secrets"),
        ("kube-controller-manager", "trusted-certs", "/a", "name", "this pod has already", "another name"),
        ("flannel", "cni-config", "/a", "name", "this pod has already", "another name"),
        ("pod-checkpointer", "kubelet-identity", "/a", "name", "this pod has already", "another name"),
        (
            "kube-apiserver",
            "a",
            "/etc/kubernetes/secrets",
            "mountPath",
            "its volume secrets already",
            "another place",
        ),
        ("kube-apiserver", "a", "/etc/ssl//certs/", "mountPath", "its volume trusted-certs", "another place"),
        ("kube-proxy", "a", "/run/xtables.lock", "mountPath", "its volume xtables-lock", "another place"),
        (
            "kube-scheduler",
            "a",
            "/etc/kubernetes/secrets/b",
            "mountPath",
            "is inside of /etc/kubernetes/secrets",
            "another",
        ),
        ("coredns", "a", "/etc/coredns/zones", "mountPath", "is inside of /etc/coredns", "another place"),
        ("kube-scheduler", "a", "/", "mountPath", "whole file system", "in a folder"),
        ("kube-scheduler", "b", "/c", "name", "names two volumes", "a name of its own"),
        ("kube-scheduler", "a", "/b/", "mountPath", "is mounted twice", "a place of its own"),
    ]
    .map(|(part, name, path, field, problem, cure)| {
        let earlier = "{name: b, hostPath: /b, mountPath: /b}";
        let own = format!("{{name: {name}, hostPath: /a, mountPath: {path}}}");
        let fields = format!("components: {{{part}: {{extraVolumes: [{earlier}, {own}]}}}}");
        (fields, format!("components.{part}.extraVolumes[1].{field}"), problem, cure)
    })
    .into();
    let rows: Vec<Row<'_>> =
        rows.iter().map(|(fields, field, problem, cure)| (&**fields, &**field, *problem, *cure)).collect();
    refused(&rows, "");
    let good = "components: {kube-apiserver: {extraVolumes: [{name: a, hostPath: /a, mountPath: /etc/ssl/certs/a}]}}";
    assert!(run(good, VALIDATE).status.success());
}

#[test]
fn a_patch_that_does_not_fit_is_refused_before_anything_is_rendered() {
    let at = "components.kube-proxy.patches[0]";
    refused(
        &[
            (
                "components: {kube-proxy: {patches: [{kind: Deployment, patch: {metadata: {labels: {a: b}}}}]}}",
                at,
                "no such object",
                "name another kind",
            ),
            (
                "components: {kube-proxy: {patches: [{kind: DaemonSet, patch: {spec: {tmplate: {a: 1}}}}]}}",
                at,
                "has no field .spec.tmplate",
                "correct its name",
            ),
            (
                "components: {kube-proxy: {patches: [{kind: DaemonSet, type: json, patch: [{op: remove, path: /spec/x}]}]}}",
                at,
                "/spec/x",
                "look the path up",
            ),
            (
                "components: {kube-proxy: {patches: [{kind: Secret, type: merge, patch: {data: {a: 7}}}]}}",
                at,
                "is not a Secret",
                "correct the value",
            ),
        ],
        "",
    );
    warned(
        &[(
            "components: {etcd: {patches: [{kind: Pod, patch: {metadata: {labels: {a: b}}}}]}}",
            "components.etcd",
            &["has no effect, because etcd.mode is external"],
        )],
        "",
    );
    let good = "components: {kube-scheduler: {patches: [{kind: Secret, type: json, patch: [{op: test, path: /metadata/name, \
                value: kube-scheduler}, {op: add, path: /data/extra, value: YQ==}]}]}}";
    let output = run(good, VALIDATE);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
