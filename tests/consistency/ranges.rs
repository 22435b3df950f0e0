//! Ranges of pods and Services, and the addresses that must be in none of them.

use crate::rows::{HERE, VALIDATE, refused, run, warned};

#[test]
fn ranges_can_be_a_clusters_and_have_a_size_that_is_taken() {
    refused(
        &[
            (
                "podCIDRs: [10.244.0.0/16, 'fde0:84f0:eafe:b173::/56']\nserviceCIDRs: [10.96.0.0/12, 'fde0:84f1::/32']",
                "serviceCIDRs[1]",
                "takes /64 and smaller",
                "use fde0:84f1::/112",
            ),
            (
                "podCIDRs: ['fd01::/56']\nserviceCIDRs: ['fd02::/48']",
                "serviceCIDRs[0]",
                "takes /64 and smaller",
                "use fd02::/112",
            ),
            (
                "podCIDRs: ['fd01::/56']\nserviceCIDRs: ['fd02::/63']",
                "serviceCIDRs[0]",
                "takes /64 and smaller",
                "use fd02::/112",
            ),
            (
                "kubernetesVersion: v1.34.4\nserviceCIDRs: [10.96.0.0/11]\n\
              components: {kube-apiserver: {extraArgs: {feature-gates: 'DisableAllocatorDualWrite=false'}}}",
                "serviceCIDRs[0]",
                "keeps its bitmap",
                "use /12",
            ),
            (
                "podCIDRs: [169.254.0.0/16]",
                "podCIDRs[0]",
                "169.254.0.0/16, which is link-local",
                "10.0.0.0/8",
            ),
            ("serviceCIDRs: [127.0.0.0/24]", "serviceCIDRs[0]", "which is loopback", "10.0.0.0/8"),
            ("podCIDRs: [224.8.0.0/16]", "podCIDRs[0]", "which is multicast", "10.0.0.0/8"),
            ("podCIDRs: [0.0.0.0/4]", "podCIDRs[0]", "which is unspecified", "10.0.0.0/8"),
            (
                "podCIDRs: ['fe80::/56']\nserviceCIDRs: ['fd02::/112']",
                "podCIDRs[0]",
                "link-local",
                "fd00::/8",
            ),
            (
                "podCIDRs: ['fd01::/56']\nserviceCIDRs: ['::ffff:10.3.0.0/112']",
                "serviceCIDRs[0]",
                "IPv4 written as IPv6",
                "fd00::/8",
            ),
        ],
        HERE,
    );
    let large = "podCIDRs: ['fd01::/56']\nserviceCIDRs: ['fd02::/64']";
    for good in [large, "serviceCIDRs: [10.96.0.0/11]", "podCIDRs: [240.0.0.0/12]"] {
        let output = run(&format!("{HERE}{good}"), VALIDATE);
        assert!(output.status.success(), "{good}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn addresses_of_machines_are_in_no_range_of_the_cluster() {
    refused(
        &[
            (
                "apiServers: ['https://10.2.0.100:6443']",
                "apiServers[0]",
                "is inside 10.2.0.0/16 of podCIDRs (default)",
                "such as 10.244.0.0/16",
            ),
            (
                "etcd: {servers: ['https://10.3.0.20:2379']}",
                "etcd.servers[0]",
                "is inside 10.3.0.0/24 of serviceCIDRs (default)",
                "such as 10.96.0.0/16",
            ),
            (
                "apiServerAltNames: [10.2.9.9]",
                "apiServerAltNames[0]",
                "addresses are those of pods",
                "set podCIDRs",
            ),
            (
                "apiServerAltNames: [224.0.0.1]",
                "apiServerAltNames[0]",
                "which is multicast",
                "other machines reach",
            ),
            ("apiServerAltNames: [0.1.2.3]", "apiServerAltNames[0]", "unspecified", "other machines reach"),
            (
                "podCIDRs: ['fd01::/56']\nserviceCIDRs: ['fd02::/112']\napiServers: ['https://[fd01::9]:6443']",
                "apiServers[0]",
                "is inside fd01::/56 of podCIDRs[0]",
                "such as fd00:2::/56",
            ),
            (
                "coreDNS: {upstream: [10.3.0.10]}",
                "coreDNS.upstream[0]",
                "is the address of cluster DNS itself",
                "/etc/resolv.conf",
            ),
            (
                "coreDNS: {upstream: ['10.2.0.9:53']}",
                "coreDNS.upstream[0]",
                "addresses are those of pods",
                "set podCIDRs",
            ),
            (
                "coreDNS: {upstream: [127.0.0.53]}",
                "coreDNS.upstream[0]",
                "which is loopback",
                "resolvers that it asks itself",
            ),
            (
                "coreDNS: {upstream: [/run/systemd/resolve/resolv.conf]}",
                "coreDNS.upstream[0]",
                "CoreDNS' pod does not have",
                "write /etc/resolv.conf",
            ),
            (
                "coreDNS: {upstream: [10.0.0.1, /etc/resolvconf/run/resolv.conf]}",
                "coreDNS.upstream[1]",
                "CoreDNS' pod does not have",
                "the addresses of resolvers",
            ),
            (
                "coreDNS: {upstream: ['0.0.0.0']}",
                "coreDNS.upstream[0]",
                "which is unspecified",
                "other machines reach",
            ),
            (
                "apiServerAltNames: ['::ffff:192.0.2.1']",
                "apiServerAltNames[0]",
                "IPv4 written as IPv6",
                "write 192.0.2.1",
            ),
            (
                "apiServers: ['https://[::ffff:192.0.2.10]:6443']",
                "apiServers[0]",
                "IPv4 written as IPv6",
                "write https://192.0.2.10:6443",
            ),
            ("apiServerAltNames: ['fe80::1']", "apiServerAltNames[0]", "link-local", "other machines reach"),
            (
                "apiServers: ['https://169.254.1.1:6443']",
                "apiServers[0]",
                "link-local",
                "other machines reach",
            ),
            (
                "components: {kube-apiserver: {extraArgs: {advertise-address: 10.2.1.1}}}",
                "components.kube-apiserver.extraArgs.advertise-address",
                "addresses are those of pods",
                "set podCIDRs",
            ),
            (
                "apiServers: ['https://kubernetes.default.svc:6443']",
                "apiServers[0]",
                "is the API's Service",
                "by which machines reach the API",
            ),
            (
                "apiServers: ['https://kubernetes:6443']",
                "apiServers[0]",
                "is the API's Service",
                "by which machines reach the API",
            ),
            (
                "clusterDomain: example.com\napiServers: ['https://api.example.com:6443']",
                "apiServers[0]",
                "is in the domain of Services (example.com)",
                "set clusterDomain",
            ),
        ],
        "",
    );
    for good in [
        "apiServerAltNames: [10.3.0.1, 127.0.0.1]",
        "coreDNS: {upstream: [169.254.169.253]}",
        "apiServers: ['https://api.example.com:6443']",
    ] {
        assert!(run(good, VALIDATE).status.success(), "{good}");
    }
    warned(
        &[
            (
                "apiServerAltNames: ['0.0.0.0']",
                "apiServerAltNames[0]",
                &["0.0.0.0 is an address to listen on"],
            ),
            ("apiServerAltNames: ['::']", "apiServerAltNames[0]", &[":: is an address to listen on"]),
            (
                "apiServerAltNames: [10.3.0.7]",
                "apiServerAltNames[0]",
                &["10.3.0.7 is an address of Services (10.3.0.0/24)"],
            ),
            (
                "coreDNS: {upstream: [10.3.0.53]}",
                "coreDNS.upstream[0]",
                &["names outside of the cluster do not resolve until a Service has this address"],
            ),
        ],
        "",
    );
}
