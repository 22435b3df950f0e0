//! What is nearly a name, an address or a URL, and what a finding must not show.

use crate::rows::{VALIDATE, refused, run};

#[test]
fn a_wrong_character_is_named_with_the_corrected_text() {
    refused(
        &[
            (
                "apiServers: ['https://api.example.com.:6443']",
                "apiServers[0]",
                "ends in a dot",
                "write https://api.example.com:6443",
            ),
            ("apiServers: ['https://Node_1:6443']", "apiServers[0]", "has `_`", "write https://node-1:6443"),
            (
                "apiServers: ['https://fd00::1:6443']",
                "apiServers[0]",
                "without brackets",
                "write https://[fd00::1]:6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:']",
                "apiServers[0]",
                "without a port",
                "write https://192.0.2.10:6443",
            ),
            ("apiServers: ['https://[fe80::1%25eth0]:6443']", "apiServers[0]", "a zone", "other machines"),
            (
                "etcd: {servers: [' https://a:2379']}",
                "etcd.servers[0]",
                "begins with a space",
                "write https://a:2379",
            ),
            (
                "etcd: {servers: ['https://a :2379']}",
                "etcd.servers[0]",
                "contains a space",
                "write https://a:2379",
            ),
            (
                "etcd: {servers: ['https://etcd_1:2379']}",
                "etcd.servers[0]",
                "has `_`",
                "write https://etcd-1:2379",
            ),
            (
                "etcd: {servers: ['https://fd00::1:2379']}",
                "etcd.servers[0]",
                "without brackets",
                "write https://[fd00::1]:2379",
            ),
            (
                "apiServerAltNames: ['api.example.com.']",
                "apiServerAltNames[0]",
                "ends in a dot",
                "write api.example.com",
            ),
            ("apiServerAltNames: ['[fd00::1]']", "apiServerAltNames[0]", "brackets", "write fd00::1"),
            (
                "apiServerAltNames: ['bücher.example']",
                "apiServerAltNames[0]",
                "has `ü`",
                "write xn--bcher-kva.example",
            ),
            (
                "apiServerAltNames: ['10.0.0.01']",
                "apiServerAltNames[0]",
                "leading zero (01)",
                "write 10.0.0.1",
            ),
            (
                "apiServerAltNames: ['a.example,b.example']",
                "apiServerAltNames[0]",
                "is several names",
                "write each as an item of its own",
            ),
            (
                "apiServers: ['https://a:6443 https://b:6443']",
                "apiServers[0]",
                "is several names",
                "write each as an item of its own",
            ),
            (
                "coreDNS: {upstream: ['192.0.2.1 192.0.2.2']}",
                "coreDNS.upstream[0]",
                "is several names",
                "write each as an item of its own",
            ),
            ("apiServerAltNames: ['root@a.example']", "apiServerAltNames[0]", "has `@`", "write a.example"),
            ("clusterDomain: a.example b.example", "clusterDomain", "is several names", "write one of them"),
            ("clusterDomain: cluster.local.", "clusterDomain", "ends in a dot", "write cluster.local"),
            ("clusterDomain: Cluster_Local", "clusterDomain", "capital letter `C`", "write cluster-local"),
            ("podCIDRs: ['10.4.0.0/16 ']", "podCIDRs[0]", "a space", "write 10.4.0.0/16"),
            ("coreDNS: {upstream: ['[fd00::53]']}", "coreDNS.upstream[0]", "brackets", "write fd00::53"),
        ],
        "",
    );
}

#[test]
fn no_part_of_a_finding_shows_a_password() {
    for (url, cure) in [
        ("https://root:hunter2@10.0.0.1:6443 ", "write https://10.0.0.1:6443"),
        ("https://root:hunter2@a b:6443", "write"),
        ("https://root:hunter2@a:", "write https://a:6443"),
        ("https://root:hunter2@a_b:6443", "write https://a"),
    ] {
        let output = run(&format!("apiServers: ['{url}']"), VALIDATE);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{url}\n{said}");
        assert!(!said.contains("hunter2") && said.contains("https://…@"), "{said}");
        assert!(said.contains(cure), "{said}");
    }
}
