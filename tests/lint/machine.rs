//! Ports of machines and of nodes.

use super::{found, none, none_of, one, one_of};

fn workload(kind: &str, name: &str, spec: &str, ports: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
{spec}
      containers:
      - name: a
        ports:
        - {{name: web, containerPort: 80}}
        - {ports}
"
    )
}

const HOST: &str = "      hostNetwork: true";
const TOLERATES: &str =
    "      tolerations: [{key: node-role.kubernetes.io/control-plane, effect: NoSchedule}]";

#[test]
fn host_ports_of_ours_are_told() {
    for (spec, port, says) in [
        (
            "",
            "{containerPort: 1, hostPort: 10250}",
            "port 10250 of every machine is that of kubelet: connections",
        ),
        ("", "{containerPort: 1, hostPort: 6443}", "port 6443 of every controller is that of kube-apiserver"),
        ("", "{containerPort: 1, hostPort: 2379}", "port 2379 of every controller is that of etcd"),
        (HOST, "{containerPort: 10259}", "is that of kube-scheduler: the two cannot both listen"),
        (HOST, "{containerPort: 10256, hostPort: 10256}", "kube-proxy's health"),
    ] {
        for kind in ["DaemonSet", "Deployment", "StatefulSet"] {
            one(
                &workload(kind, "w", spec, port),
                &format!("a.yaml:14: host-port: {kind} w: port "),
                &[says, "use another port"],
            );
        }
    }
    for (spec, port) in [
        ("", "{containerPort: 10250}"),
        ("", "{containerPort: 1, hostPort: 10250, protocol: UDP}"),
        ("", "{containerPort: 1, hostPort: 8080}"),
        (HOST, "{containerPort: 9100}"),
    ] {
        none(&workload("DaemonSet", "w", spec, port));
    }
}

#[test]
fn in_an_asset_directory_the_ports_and_the_taint_are_those_of_its_files() {
    let apiserver = "{apiVersion: v1, kind: Pod, metadata: {name: kube-apiserver, namespace: kube-system}, spec: {hostNetwork: true,
 containers: [{name: a, command: [kube-apiserver, --secure-port=443]}]}}";
    let config =
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: bootkube-config, namespace: kube-system},
 data: {controller-taint: node-role.kubernetes.io/control-plane}}";
    let at = |spec: &str, port: u16| {
        workload("DaemonSet", "w", spec, &format!("{{containerPort: 1, hostPort: {port}}}"))
    };
    let assets = |taint: &str, file: &str| {
        found(&[
            ("bootstrap-manifests/apiserver.yaml", apiserver),
            ("manifests/config.yaml", taint),
            ("manifests/w.yaml", file),
        ])
    };
    let is_told = |found: Vec<String>| match found.as_slice() {
        [] => false,
        [one] => one.starts_with("manifests/w.yaml:14: host-port: DaemonSet w: "),
        several => panic!("{several:?}"),
    };
    let untainted = config.replace("taint: node-role.kubernetes.io/control-plane", "taint: ''");
    assert!(is_told(assets(&untainted, &at("", 443))));
    assert!(!is_told(assets(&untainted, &at("", 6443))), "the apiserver has another port here");
    assert!(!is_told(assets(&untainted, &at("", 2379))), "no etcd is here");
    assert!(!is_told(assets(config, &at("", 443))), "no pod of it is on a controller");
    assert!(is_told(assets(config, &at(TOLERATES, 443))));
    assert!(is_told(assets(config, &at("      tolerations: [{operator: Exists}]", 443))));
    assert!(is_told(assets(config, &at("", 10250))), "kubelet is everywhere");
}

#[test]
fn two_that_want_a_port_of_the_same_machine_are_told() {
    let at = |kind: &str, name: &str, spec: &str, more: &str| {
        workload(kind, name, spec, &format!("{{containerPort: 1, hostPort: 9100{more}}}"))
    };
    let (all, other) = (at("DaemonSet", "v", "", ""), at("Deployment", "w", "", ""));
    one_of(
        &[("v.yaml", &all), ("w.yaml", &other)],
        "w.yaml:14: host-port: Deployment w: DaemonSet v (v.yaml:14) has port 9100 (TCP)",
        &["give one of the two another port"],
    );
    let on_host = workload("DaemonSet", "w", HOST, "{containerPort: 9100}");
    one_of(&[("v.yaml", &all), ("w.yaml", &on_host)], "w.yaml:14: host-port: DaemonSet w: DaemonSet v", &[]);
    let pinned = |name| at("Deployment", name, "      nodeName: n1", "");
    one_of(
        &[("v.yaml", &pinned("v")), ("w.yaml", &pinned("w"))],
        "w.yaml:14: host-port: Deployment w: ",
        &[],
    );
    for (one, other) in [
        (at("Deployment", "v", "", ""), other.clone()),
        (all.clone(), at("DaemonSet", "w", "", ", protocol: UDP")),
        (at("DaemonSet", "v", "", ", hostIP: 127.0.0.1"), at("DaemonSet", "w", "", ", hostIP: 127.0.0.2")),
        (
            at("DaemonSet", "v", "      nodeSelector: {a: b}", ""),
            at("DaemonSet", "w", "      nodeSelector: {a: c}", ""),
        ),
    ] {
        none_of(&[("v.yaml", &one), ("w.yaml", &other)]);
    }
}

#[test]
fn node_ports_are_in_the_range_and_there_once() {
    let service = |name: &str, port: u16, more: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  type: NodePort\n  ports:\n  - port: 80\n    nodePort: {port}\n{more}"
        )
    };
    one(
        &service("s", 8080, ""),
        "a.yaml:8: node-port: Service s: node port 8080 is not in the range 30000-32767",
        &["leave it out"],
    );
    let (first, second) = (service("s", 30080, ""), service("t", 30080, ""));
    one_of(
        &[("s.yaml", &first), ("t.yaml", &second)],
        "t.yaml:8: node-port: Service t: node port 30080 is that of Service s (s.yaml:8)",
        &[],
    );
    none_of(&[("s.yaml", &first), ("t.yaml", &service("t", 30080, "    protocol: UDP\n"))]);
    none_of(&[("s.yaml", &first), ("t.yaml", &service("t", 30081, ""))]);
    let pod = workload("DaemonSet", "w", "", "{containerPort: 1, hostPort: 30080}");
    one_of(
        &[("s.yaml", &first), ("w.yaml", &pod)],
        "s.yaml:8: node-port: Service s: node port 30080 is a port that DaemonSet w (w.yaml:14) has",
        &[],
    );
    let apiserver = |range: &str| {
        workload("DaemonSet", "kube-apiserver", "      hostNetwork: true", "{containerPort: 6443}").replace(
            "        ports",
            &format!("        command: [kube-apiserver, --service-node-port-range={range}]\n        ports"),
        )
    };
    none_of(&[("k.yaml", &apiserver("8000-9000")), ("s.yaml", &service("s", 8080, ""))]);
    one_of(
        &[("k.yaml", &apiserver("8000-9000")), ("s.yaml", &first)],
        "s.yaml:8: node-port: ",
        &["8000-9000"],
    );
    one_of(
        &[("k.yaml", &apiserver("10000-20000")), ("s.yaml", &service("s", 10250, ""))],
        "s.yaml:8: node-port: ",
        &["the port of kubelet"],
    );
}
