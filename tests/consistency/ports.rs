//! Every port of ours on one machine against every other.

use crate::rows::{VALIDATE, refused, run, warned};

#[test]
fn two_parts_of_ours_never_share_a_port() {
    let proxy = "components.kube-proxy.extraArgs.metrics-bind-address";
    refused(
        &[
            (
                "apiServers: ['https://192.0.2.10:2379']\netcd: {mode: staticPod}",
                "apiServers[0]",
                "takes port 2379 of etcd",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:2381']\netcd: {mode: staticPod}",
                "apiServers[0]",
                "of etcd's health",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:10250']",
                "apiServers[0]",
                "takes port 10250 of kubelet",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:10256']",
                "apiServers[0]",
                "of kube-proxy's health",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:10257']",
                "apiServers[0]",
                "of kube-controller-manager",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:10359']",
                "apiServers[0]",
                "of the bootstrap kube-scheduler",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:2379']\netcd: {servers: ['https://192.0.2.10:2379']}",
                "apiServers[0]",
                "takes port 2379 of etcd (etcd.servers[0])",
                "such as 6443",
            ),
            (
                "apiServers: ['https://a.example:2379']\napiServerAltNames: [192.0.2.10]\netcd: {servers: ['https://192.0.2.10:2379']}",
                "apiServers[0]",
                "of etcd (etcd.servers[0])",
                "such as 6443",
            ),
            (
                "etcd: {servers: ['https://127.0.0.1:10259']}",
                "etcd.servers[0]",
                "of kube-scheduler",
                "another port",
            ),
            (
                "apiServers: ['https://a:6443']\ncomponents: {kube-proxy: {extraArgs: {metrics-bind-address: '0.0.0.0:6443'}}}",
                proxy,
                "takes port 6443 of kube-apiserver",
                "such as 8443",
            ),
            (
                "components: {kube-proxy: {extraArgs: {metrics-bind-address: '0.0.0.0'}}, flannel: {extraArgs: {healthz-port: '10249'}}}",
                "components.flannel.extraArgs.healthz-port",
                "of kube-proxy's metrics",
                "another port",
            ),
            (
                "components: {kube-proxy: {extraArgs: {metrics-bind-address: localhost}}}",
                proxy,
                "would end",
                "an address, with or without port",
            ),
            (
                "components: {kube-proxy: {extraArgs: {healthz-bind-address: '127.0.0.1'}}}",
                "components.kube-proxy.extraArgs.healthz-bind-address",
                "readiness probe",
                "remove it",
            ),
            (
                "components: {kube-proxy: {extraArgs: {metrics_bind_address: '0.0.0.0:10250'}}}",
                "components.kube-proxy.extraArgs.metrics_bind_address",
                "of kubelet",
                "such as 8443",
            ),
            (
                "components: {flannel: {extraArgs: {healthz-port: '10249'}}}",
                "components.flannel.extraArgs.healthz-port",
                "of kube-proxy's metrics",
                "another port",
            ),
        ],
        "",
    );
    let proxy = |flags: &str| format!("components: {{kube-proxy: {{extraArgs: {{{flags}}}}}}}");
    for good in [
        "apiServers: ['https://192.0.2.10:2379']\netcd: {servers: ['https://192.0.2.20:2379']}".into(),
        proxy("metrics-bind-address: '0.0.0.0', healthz-bind-address: '0.0.0.0'"),
        proxy("metrics-bind-address: '::', healthz-bind-address: '::'"),
        proxy("metrics-bind-address: '', healthz-bind-address: '0.0.0.0:10256'"),
    ] {
        let output = run(&good, VALIDATE);
        assert!(output.status.success(), "{good}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_range_of_node_ports_that_holds_ours_is_one_warning() {
    warned(
        &[
            (
                "components: {kube-apiserver: {extraArgs: {service-node-port-range: '6000-32767'}}}",
                "components.kube-apiserver.extraArgs.service-node-port-range",
                &["6000-32767", "6443 (kube-apiserver)", "10250 (kubelet)", "10256 (kube-proxy's health)"],
            ),
            (
                "apiServers: ['https://127.0.0.1:31000']\netcd: {servers: ['https://127.0.0.1:31001']}",
                "etcd.servers[0]",
                &["30000-32767", "31000 (kube-apiserver)", "31001 (etcd (etcd.servers[0]))"],
            ),
            (
                "etcd: {servers: ['https://127.0.0.1:32379']}",
                "etcd.servers[0]",
                &["30000-32767", "32379 (etcd"],
            ),
        ],
        "",
    );
}
