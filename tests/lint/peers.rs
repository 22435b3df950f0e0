//! Pods that wait for each other, and StatefulSets whose Service is missing.

use super::{none, none_of, one, one_of};

/// A StatefulSet of supervisors in the namespace shop, and its headless Service.
fn supervisors(set: &str, container: &str, service: &str) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: hab, namespace: shop}}
spec:
  clusterIP: None
  selector: {{app: sup}}
  ports: [{{port: 9638}}]
{service}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: sup, namespace: shop}}
spec:
  replicas: 3
  serviceName: hab
  selector: {{matchLabels: {{app: sup}}}}
{set}
  template:
    metadata: {{labels: {{app: sup}}}}
    spec:
      containers:
      - name: sup
        image: sup
{container}
"
    )
}

const PROBE: &str = "        readinessProbe: {httpGet: {port: 9631, path: /health}}\n";

#[test]
fn supervisors_that_find_each_other_by_dns_before_they_are_ready() {
    for args in [
        "[--peer, sup-0.hab, --peer, sup-1.hab]",
        "[--peer, hab]",
        "['--peer=sup-2.hab.shop.svc.cluster.local:9638']",
        "[sh, -c, 'until nslookup hab; do sleep 1; done; exec sup']",
        "[sh, -c, 'for i in 0 1 2; do P=\"$P --peer sup-$i.hab\"; done; exec sup $P']",
        "['http://hab.shop:9631/census']",
    ] {
        let file = supervisors("", &format!("        args: {args}\n{PROBE}"), "");
        one(
            &file,
            "a.yaml:4: readiness-deadlock: Service shop/hab: StatefulSet shop/sup (a.yaml:10) names ",
            &[
                "only once the pod is Ready",
                "write publishNotReadyAddresses: true in the spec of this Service",
            ],
        );
    }
}

#[test]
fn peers_are_found_in_the_environment_and_in_config_maps_too() {
    let map = |data: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: ConfigMap, metadata: {{name: m, namespace: shop}}, data: {{{data}}}}}\n"
        )
    };
    for (container, more) in [
        ("        env: [{name: HAB_PEERS, value: 'hab'}]\n", String::new()),
        ("        env: [{name: X, value: 'sup-1.hab,sup-2.hab'}]\n", String::new()),
        ("        env: [{name: S, value: hab}]\n        args: ['--peer', 'sup-1.$(S)']\n", String::new()),
        (
            "        env: [{name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}]\n        args: ['--peer=hab.$(NS).svc']\n",
            String::new(),
        ),
        ("        env: [{name: PEERS, valueFrom: {configMapKeyRef: {name: m, key: p}}}]\n", map("p: hab")),
        ("        envFrom: [{configMapRef: {name: m}}]\n", map("SEEDS: sup-1.hab")),
        ("      volumes: [{name: v, configMap: {name: m}}]\n", map("conf: 'peers = [\"sup-1.hab:9638\"]'")),
    ] {
        let file = supervisors("", &format!("{PROBE}{container}"), "") + &more;
        one(&file, "a.yaml:4: readiness-deadlock: Service shop/hab: ", &["publishNotReadyAddresses"]);
    }
}

#[test]
fn an_init_container_and_a_probe_wait_for_peers_too() {
    let initial = "      initContainers: [{name: wait, command: [sh, -c, 'until getent hosts hab; do sleep 1; done']}]\n";
    let file = supervisors("", initial, "");
    one(&file, "a.yaml:4: readiness-deadlock: Service shop/hab: ", &["an init container waits for it"]);
    let probe = "        readinessProbe: {exec: {command: [nslookup, hab]}}\n";
    one(&supervisors("", probe, ""), "a.yaml:4: readiness-deadlock: ", &["a probe asks for it"]);
    let deployment = supervisors("", &format!("        args: [--join, hab]\n{PROBE}"), "")
        .replace("StatefulSet", "Deployment")
        .replace("  serviceName: hab\n", "");
    one(&deployment, "a.yaml:4: readiness-deadlock: Service shop/hab: Deployment shop/sup ", &[]);
    let later = format!("{PROBE}      initContainers: [{{name: wait, command: [ping, sup-1.hab]}}]\n");
    let published = supervisors("", &later, "  publishNotReadyAddresses: true");
    one(
        &published,
        "a.yaml:13: readiness-deadlock: StatefulSet shop/sup: ",
        &["podManagementPolicy: Parallel"],
    );
    none(&supervisors("  podManagementPolicy: Parallel", &later, "  publishNotReadyAddresses: true"));
}

#[test]
fn where_pods_are_made_one_by_one_the_cure_says_so() {
    let args = format!("        args: [--peer, sup-1.hab]\n{PROBE}");
    let parallel = ", and podManagementPolicy: Parallel in the spec of StatefulSet shop/sup";
    one(&supervisors("", &args, ""), "a.yaml:4: readiness-deadlock: ", &[parallel]);
    let said = super::found(&[("a.yaml", &supervisors("  podManagementPolicy: Parallel", &args, ""))]);
    assert!(said.len() == 1 && !said[0].contains("podManagementPolicy"), "{said:?}");
    one(
        &supervisors("", &args, "  publishNotReadyAddresses: false"),
        "a.yaml:8: readiness-deadlock: ",
        &["publishNotReadyAddresses: true"],
    );
}

#[test]
fn ordinary_stateful_sets_are_well() {
    for (set, container, service) in [
        // published
        ("", format!("        args: [--peer, sup-1.hab]\n{PROBE}"), "  publishNotReadyAddresses: true"),
        // no peers are named
        ("", PROBE.to_owned(), ""),
        ("", format!("        command: [hab]\n        args: [--name=hab, --user, hab]\n{PROBE}"), ""),
        ("", format!("        env: [{{name: SERVICE_NAME, value: hab}}]\n{PROBE}"), ""),
        ("", format!("        env: [{{name: DATABASE_HOST, value: db-0.db.other}}]\n{PROBE}"), ""),
        ("", format!("        env: [{{name: PUBLIC_URL, value: 'http://hab.shop:80'}}]\n{PROBE}"), ""),
        // itself, or the first one alone, as replicas of a database do
        (
            "",
            format!(
                "        env: [{{name: POD, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}]\n        args: ['--advertise=$(POD).hab:9638']\n{PROBE}"
            ),
            "",
        ),
        ("", format!("        env: [{{name: PRIMARY_HOST, value: sup-0.hab}}]\n{PROBE}"), ""),
        // Ready as soon as it runs
        ("", "        args: [--peer, sup-1.hab]\n".to_owned(), ""),
    ] {
        none(&supervisors(set, &container, service));
    }
    let single = supervisors("", &format!("        args: [--peer, hab]\n{PROBE}"), "")
        .replace("replicas: 3", "replicas: 1");
    none(&single);
}

#[test]
fn the_annotation_that_no_longer_helps_is_told_with_its_field() {
    let service = |annotations: &str, spec: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: hab\n  annotations:\n    {annotations}\nspec: {{ports: [{{port: 1}}]{spec}}}\n"
        )
    };
    let annotation = "service.alpha.kubernetes.io/tolerate-unready-endpoints";
    one(
        &service(&format!("{annotation}: 'true'"), ""),
        "a.yaml:6: ignored-annotation: Service hab: ",
        &[annotation, "write spec.publishNotReadyAddresses: true instead"],
    );
    none(&service(&format!("{annotation}: 'true'"), ", publishNotReadyAddresses: true"));
    none(&service(&format!("{annotation}: 'false'"), ""));
    one(
        &service("service.beta.kubernetes.io/external-traffic: OnlyLocal", ""),
        "a.yaml:6: ignored-annotation: ",
        &["externalTrafficPolicy: Local"],
    );
    let pod = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        metadata:\n          annotations:\n            scheduler.alpha.kubernetes.io/critical-pod: ''\n            other: a\n";
    one(pod, "a.yaml:10: ignored-annotation: CronJob c: ", &["priorityClassName in the pod's spec"]);
    // With the peers of the Service both are told.
    let set = supervisors("", &format!("        args: [--peer, hab]\n{PROBE}"), "");
    let set = set.replace(
        "{name: hab, namespace: shop}",
        &format!("{{name: hab, namespace: shop, annotations: {{{annotation}: 'true'}}}}"),
    );
    let found = super::found(&[("a.yaml", &set)]);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn the_service_of_a_stateful_set_is_missing_or_another_one() {
    let set = supervisors("", "", "");
    let (service, set_alone) = set.split_once("---\n").unwrap();
    one(
        set_alone,
        "a.yaml:6: governing-service: StatefulSet shop/sup: no file here has the Service hab",
        &["unless the cluster has it (namespace shop)"],
    );
    one_of(
        &[("s.yaml", &service.replace("shop", "other")), ("t.yaml", set_alone)],
        "t.yaml:6: governing-service: ",
        &["no file here"],
    );
    one_of(
        &[("s.yaml", &service.replace("app: sup", "app: other")), ("t.yaml", set_alone)],
        "t.yaml:6: governing-service: ",
        &["(s.yaml:1) does not fit the labels"],
    );
    none_of(&[("s.yaml", service), ("t.yaml", set_alone)]);
    none(&set_alone.replace("  serviceName: hab\n", ""));
    let with_address =
        supervisors("", "        args: [--peer, sup-1.hab]\n", "").replace("  clusterIP: None\n", "");
    one(&with_address, "a.yaml:14: governing-service: ", &["is not headless", "clusterIP: None"]);
}
