//! Random configurations: every field of the file, each with values that people write and values that are wrong.
//!
//! Half of the configurations have ordinary values only, of which some do not fit together. The others
//! have a few odd ones, of which some are taken.

#![allow(dead_code, reason = "two test programs have a copy each, and neither needs all of it")]

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value, json};

use super::component_flags::{FLAGS, Flag, OWNED};
use super::random::Random;

/// Odd values of a configuration that has some: one in so many.
const ODDITY: u64 = 14;

const VERSIONS: [&str; 5] = ["v1.36.3", "1.34.0", "v1.35.12", "v1.36.0-rc.1", "v1.36.3"];
const ODD_VERSIONS: [&str; 6] = ["v1.33.1", "latest", "1.36", "v1.36.3+k3s1", "", "v1.036.3"];
const CLUSTERS: [&str; 5] = ["kubernetes", "prod", "a.b-c.example", "k8s-1", "0"];
const ODD_CLUSTERS: [&str; 5] = ["Prod", "a_b", "", "-a", "a..b"];
const DOMAINS: [&str; 5] = ["cluster.local", "k8s.example.com", "a", "internal.example", "cluster-1.x2"];
const ODD_DOMAINS: [&str; 5] = ["local.", "10.2", "Cluster.local", "cluster.local }", "*.local"];
const HOSTS: [&str; 6] =
    ["api.example.com", "k8s", "192.0.2.10", "198.51.100.7", "2001:db8::10", "127.0.0.1"];
const ODD_HOSTS: [&str; 8] =
    ["Api.example.com", "a_b", "010.0.0.1", "10.2.0.9", "fe80::1", "::ffff:192.0.2.1", "0.0.0.0", "xn--a.b."];
const PORTS: [u64; 6] = [6443, 443, 8443, 6443, 1, 65535];
const ODD_PORTS: [u64; 6] = [0, 2379, 10250, 10257, 65536, 30000];
const LABELS: [&str; 5] = [
    "node-role.kubernetes.io/control-plane",
    "node.kubernetes.io/master",
    "a=b",
    "example.com/role=c.p_1",
    "A",
];
const ODD_LABELS: [&str; 5] = ["", "a b", "a/b/c", "x=-", "A.b/c"];
const TAINTS: [&str; 4] = ["", "node-role.kubernetes.io/control-plane", "dedicated", "example.com/t"];
const ODD_TAINTS: [&str; 3] = ["a=b:NoSchedule", ":NoSchedule", "a b"];
const FOLDERS: [&str; 4] = ["/etc/ssl/certs", "/etc/pki/tls/certs", "/usr/share/ca certificates", "/a/"];
const ODD_FOLDERS: [&str; 5] = ["etc/ssl", "/a/../b", "/a:b", "", "/etc\n"];
const TERMS: [&str; 6] = ["365d", "8760h", "90d", "24h", "1y 6months", "100y"];
const ODD_TERMS: [&str; 6] = ["0s", "soon", "-1h", "1000y", "365", "10y"];
const EXPIRIES: [&str; 4] = ["24h", "never", "1day 12h", "15m"];
const ODD_EXPIRIES: [&str; 4] = ["0s", "Never", "200y", "24"];
const ISSUERS: [&str; 3] = [
    "https://kubernetes.default.svc.cluster.local",
    "https://issuer.example.com/a%20b",
    "https://[2001:db8::1]:8443",
];
const ODD_ISSUERS: [&str; 4] = ["http://a", "https://a?b", "issuer", "https://u:p@a"];
const UPSTREAMS: [&str; 6] = [
    "192.0.2.53",
    "198.51.100.53:5353",
    "2001:db8::53",
    "[2001:db8::53]:53",
    "/etc/resolv.conf",
    "169.254.169.253",
];
const ODD_UPSTREAMS: [&str; 7] = [
    "127.0.0.53",
    "dns.example.com",
    "/run/systemd/resolve/resolv.conf",
    "10.3.0.10",
    "192.0.2.53:0",
    "192.0.2.53 {",
    "tls://192.0.2.53",
];
const IMAGES: [&str; 5] = [
    "registry.k8s.io/kube-apiserver:v1.36.3",
    "localhost:5000/a/b_c:x",
    "quay.io/a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "harbor.example.com/p-1/q__r.s:V1_2.3-4",
    "192.0.2.5:5000/a:1",
];
const ODD_IMAGES: [&str; 9] = [
    "kube-apiserver:v1.36.3",
    "quay.io/A:1",
    "quay.io/a",
    "quay.io/a..b:1",
    "quay.io/a___b:1",
    "quay.io/a._b:1",
    "quay.io/a:1@sha256:12",
    "quay.io/a@sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
    "https://quay.io/a:1",
];
const IMAGE_NAMES: [&str; 9] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "coredns",
    "etcd",
    "flannel",
    "flannel-cni-plugin",
    "bootkube",
];
/// Components, with the kinds of their objects that patches of below fit.
const COMPONENTS: [(&str, &[&str]); 8] = [
    ("kube-apiserver", &["DaemonSet", "Pod", "Secret", "ServiceAccount"]),
    ("kube-controller-manager", &["Deployment", "Pod", "PodDisruptionBudget"]),
    ("kube-scheduler", &["Deployment", "Pod", "Secret"]),
    ("kube-proxy", &["DaemonSet"]),
    ("coredns", &["Deployment", "ConfigMap", "Service", "ClusterRole"]),
    ("etcd", &["Pod"]),
    ("flannel", &["DaemonSet", "ConfigMap"]),
    ("pod-checkpointer", &["DaemonSet", "Role"]),
];
const VOLUMES: [&str; 5] = ["audit", "extra-1", "a", "policies", "certs-of-ours"];
/// Names that volumes of rendered pods have.
const ODD_VOLUMES: [&str; 7] = ["secrets", "trusted-certs", "config", "data", "run", "Audit", ""];
const MOUNTS: [&str; 5] = ["/var/log/audit", "/srv/a", "/etc/policies", "/opt/x y", "/srv/b/"];
const ODD_MOUNTS: [&str; 7] = [
    "/etc/kubernetes/secrets",
    "/etc/kubernetes/secrets/extra",
    "/etc/ssl/certs/",
    "srv",
    "/srv/a/",
    "/",
    "/run/xtables.lock",
];
const PATH_TYPES: [&str; 4] = ["", "DirectoryOrCreate", "File", "Directory"];
const ODD_PATH_TYPES: [&str; 2] = ["directory", "Folder"];
const ODD_KINDS: [&str; 4] = ["daemonset", "StatefulSet", "", "Pod "];

/// One configuration.
pub struct Configuration {
    /// The file.
    pub fields: Value,
    /// Whether each address family is IPv4, the first one first.
    pub families: Vec<bool>,
}

/// Makes one.
pub struct Generator {
    random: Random,
    is_odd: bool,
}

impl Generator {
    /// The `index`th configuration of a run.
    pub fn new(seed: u64, index: u64) -> Self {
        let mut random = Random::new(seed, index);
        let is_odd = random.below(2) == 0;
        Self { random, is_odd }
    }

    pub fn configuration(mut self) -> Configuration {
        let families = self.families();
        let mut fields = json!({"apiVersion": "bootkube.dev/v1alpha1", "kind": "ClusterConfig"});
        self.names(&mut fields);
        self.servers(&mut fields);
        self.ranges(&mut fields, &families);
        self.machines(&mut fields);
        self.secrets(&mut fields);
        self.add_ons(&mut fields);
        self.components(&mut fields, &families);
        if self.odd() {
            self.break_a_field(&mut fields);
        }
        Configuration { fields, families }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    /// Whether the next value is an odd one.
    fn odd(&mut self) -> bool {
        self.is_odd && self.random.below(ODDITY) == 0
    }

    fn of(&mut self, good: &[&'static str], odd: &[&'static str]) -> &'static str {
        let list = if self.odd() { odd } else { good };
        self.random.of(list)
    }

    /// Sometimes sets a field to one of a list.
    fn maybe(&mut self, fields: &mut Value, name: &str, good: &[&'static str], odd: &[&'static str]) {
        if self.chance(40) {
            fields[name] = self.of(good, odd).into();
        }
    }

    /// Whether each family is IPv4, the first one first.
    fn families(&mut self) -> Vec<bool> {
        match self.random.below(4) {
            0 => vec![true],
            1 => vec![false],
            2 => vec![true, false],
            _ => vec![false, true],
        }
    }

    fn names(&mut self, fields: &mut Value) {
        self.maybe(fields, "clusterName", &CLUSTERS, &ODD_CLUSTERS);
        self.maybe(fields, "clusterDomain", &DOMAINS, &ODD_DOMAINS);
        self.maybe(fields, "kubernetesVersion", &VERSIONS, &ODD_VERSIONS);
        self.maybe(fields, "serviceAccountIssuer", &ISSUERS, &ODD_ISSUERS);
        self.maybe(fields, "trustedCertsDir", &FOLDERS, &ODD_FOLDERS);
        self.maybe(fields, "cloudProvider", &["", "external"], &["aws"]);
        self.maybe(fields, "networking", &["flannel", "none"], &["calico", "Flannel"]);
        for name in ["aggregation", "checkpointWorkers"] {
            if self.chance(40) {
                fields[name] = self.chance(50).into();
            }
        }
    }

    fn host(&mut self) -> String {
        let host = self.of(&HOSTS, &ODD_HOSTS);
        match host.contains(':') {
            true => format!("[{host}]"),
            false => host.to_owned(),
        }
    }

    fn url(&mut self, scheme: &'static str, port: u64) -> String {
        let scheme = self.of(&[scheme], &["http", "ftp"]);
        let host = self.host();
        match self.odd() {
            true => format!("{scheme}://{host}:{}", ODD_PORTS[self.random.below(6) as usize]),
            false => format!("{scheme}://{host}:{port}"),
        }
    }

    /// Each is there once, unless they are odd.
    fn urls(&mut self, count: u64, scheme: &'static str, port: u64) -> Value {
        let mut urls: Vec<String> = (0..count).map(|_| self.url(scheme, port)).collect();
        if !self.odd() {
            urls.sort();
            urls.dedup();
        }
        json!(urls)
    }

    fn servers(&mut self, fields: &mut Value) {
        let port = match self.chance(30) {
            true => 1024 + self.random.below(60_000),
            false => PORTS[self.random.below(6) as usize],
        };
        if self.chance(70) {
            let count = 1 + self.random.below(2);
            fields["apiServers"] = self.urls(count, "https", port);
        }
        if self.chance(40) {
            let names = (0..self.random.below(4)).map(|_| match self.chance(20) {
                true => "*.example.com".to_owned(),
                false => self.of(&HOSTS, &ODD_HOSTS).to_owned(),
            });
            fields["apiServerAltNames"] = names.collect();
        }
        match self.random.below(3) {
            0 => fields["etcd"] = json!({"mode": "staticPod"}),
            1 => {
                let scheme = if self.chance(70) { "https" } else { "http" };
                let count = 1 + self.random.below(3);
                fields["etcd"] = json!({"servers": self.urls(count, scheme, 2379)});
                if self.odd() {
                    fields["etcd"]["mode"] = self.random.of(&["staticPod", "stacked"]).into();
                }
            }
            _ => {}
        }
    }

    fn ranges(&mut self, fields: &mut Value, families: &[bool]) {
        // The defaults are IPv4.
        if families == [true] && self.chance(30) {
            return;
        }
        fields["podCIDRs"] = families.iter().map(|&is_ipv4| self.range(is_ipv4, true)).collect();
        fields["serviceCIDRs"] = families.iter().map(|&is_ipv4| self.range(is_ipv4, false)).collect();
        if self.odd() {
            let choice = self.random.below(3);
            let Some(list) = fields["serviceCIDRs"].as_array_mut() else { return };
            match choice {
                0 => list.reverse(),
                1 => list.truncate(1),
                _ => list.push("10.96.0.0".into()),
            }
        }
    }

    /// A range of a private network, sometimes one of another size or place, or with host bits.
    fn range(&mut self, is_ipv4: bool, is_of_pods: bool) -> String {
        let odd = self.odd();
        let (shortest, longest) = match (is_ipv4, is_of_pods) {
            (true, true) => (10, 22),
            (true, false) => (12, 28),
            (false, true) => (48, 62),
            (false, false) => (64, 122),
        };
        let length = match odd {
            true => self.random.below(if is_ipv4 { 33 } else { 129 }),
            false => shortest + self.random.below(longest - shortest + 1),
        };
        let (low, high) = (self.random.below(1 << 32), self.random.below(1 << 32));
        match is_ipv4 {
            true => {
                let base: u32 = match (odd, self.random.below(4)) {
                    (true, _) => low as u32,
                    (_, 0) => 0xac10_0000 | (low as u32 & 0x000f_ffff),
                    (_, 1) => 0x6440_0000 | (low as u32 & 0x003f_ffff),
                    _ => 0x0a00_0000 | (low as u32 & 0x00ff_ffff),
                };
                let mask = u32::MAX.checked_shl(32 - length as u32).unwrap_or(0);
                let base = if self.odd() { base } else { base & mask };
                format!("{}/{length}", Ipv4Addr::from(base))
            }
            false => {
                let base = (0xfd_u128 << 120) | (u128::from(low) << 80) | (u128::from(high) << 48);
                let mask = u128::MAX.checked_shl(128 - length as u32).unwrap_or(0);
                format!("{}/{length}", Ipv6Addr::from(base & mask))
            }
        }
    }

    fn machines(&mut self, fields: &mut Value) {
        if !self.chance(50) {
            return;
        }
        let mut section = json!({});
        let is_single = fields["etcd"]["mode"] == "staticPod" && !self.odd();
        let controllers = if is_single { 1 } else { [1, 1, 3, 5, 2][self.random.below(5) as usize] };
        let odd = [0, 300, 65535][self.random.below(3) as usize];
        section["controllers"] = if self.odd() { odd.into() } else { controllers.into() };
        section["workers"] = self.chance(50).into();
        self.maybe(&mut section, "label", &LABELS, &ODD_LABELS);
        self.maybe(&mut section, "taint", &TAINTS, &ODD_TAINTS);
        fields["controlPlane"] = section;
    }

    fn secrets(&mut self, fields: &mut Value) {
        let mut section = json!({});
        self.maybe(
            &mut section,
            "keyAlgorithm",
            &["ecdsa-p256", "rsa-2048", "rsa-4096"],
            &["ed25519", "RSA-2048"],
        );
        self.maybe(&mut section, "validity", &TERMS[..4], &ODD_TERMS);
        self.maybe(&mut section, "caValidity", &["10y", "100y", "1y", "3650d"], &["1h", "forever"]);
        fields["certificates"] = section;
        if self.chance(40) {
            fields["bootstrapToken"] = json!({"expiry": self.of(&EXPIRIES, &ODD_EXPIRIES)});
        }
    }

    fn add_ons(&mut self, fields: &mut Value) {
        let mut section = json!({});
        if self.chance(30) {
            section["replicas"] = if self.odd() { 0.into() } else { (1 + self.random.below(5)).into() };
        }
        if self.chance(40) {
            let count = if self.odd() { 16 * self.random.below(2) } else { 1 + self.random.below(2) };
            section["upstream"] =
                (0..count).map(|_| Value::from(self.of(&UPSTREAMS, &ODD_UPSTREAMS))).collect();
        }
        fields["coreDNS"] = section;
        if self.chance(40) {
            let mut images = Map::new();
            for _ in 0..1 + self.random.below(3) {
                let name = self.of(&IMAGE_NAMES, &["kube-apiserverr"]);
                images.insert(name.to_owned(), self.of(&IMAGES, &ODD_IMAGES).into());
            }
            fields["images"] = images.into();
        }
    }

    fn components(&mut self, fields: &mut Value, families: &[bool]) {
        let mut components = Map::new();
        for (name, kinds) in COMPONENTS {
            if self.chance(30) {
                let mut section = json!({});
                self.arguments(&mut section, name, families);
                self.volumes(&mut section);
                self.patches(&mut section, kinds);
                components.insert(name.to_owned(), section);
            }
        }
        fields["components"] = components.into();
    }

    fn arguments(&mut self, section: &mut Value, component: &str, families: &[bool]) {
        let fits = |flag: &&Flag| flag.component == component && flag.fits(families);
        let flags: Vec<&Flag> = FLAGS.iter().filter(fits).collect();
        if flags.is_empty() {
            return;
        }
        let mut arguments = Map::new();
        for _ in 0..self.random.below(4) {
            let flag = flags[self.random.below(flags.len() as u64) as usize];
            let name = match (self.odd(), self.odd()) {
                (true, _) => flag.name.replace('-', "_"),
                (_, true) => self.random.of(&OWNED).to_owned(),
                _ => flag.name.to_owned(),
            };
            arguments.insert(name, self.of(flag.good, flag.odd).into());
        }
        section["extraArgs"] = arguments.into();
    }

    fn volumes(&mut self, section: &mut Value) {
        if !self.chance(30) {
            return;
        }
        let volume = |this: &mut Self| {
            let mut volume = json!({
                "name": this.of(&VOLUMES, &ODD_VOLUMES),
                "hostPath": this.of(&FOLDERS, &ODD_FOLDERS),
                "mountPath": this.of(&MOUNTS, &ODD_MOUNTS),
            });
            this.maybe(&mut volume, "pathType", &PATH_TYPES, &ODD_PATH_TYPES);
            volume
        };
        let count = if self.odd() { 2 } else { 1 };
        section["extraVolumes"] = (0..count).map(|_| volume(self)).collect();
    }

    fn patches(&mut self, section: &mut Value, kinds: &[&'static str]) {
        if !self.chance(30) {
            return;
        }
        let kind = self.of(kinds, &ODD_KINDS);
        let (patch_type, patch) = match self.random.below(3) {
            0 => ("strategic", json!({"metadata": {"labels": {"team": "a"}}})),
            1 => ("merge", json!({"metadata": {"annotations": {"example.com/note": "a: b\n\"c\""}}})),
            _ => ("json", json!([{"op": "add", "path": "/metadata/labels/team", "value": "b"}])),
        };
        let patch = if self.odd() { json!({"metadata": {"lables": {"a": "b"}}}) } else { patch };
        section["patches"] = json!([{"kind": kind, "type": patch_type, "patch": patch}]);
    }

    /// A mistake that has nothing to do with the value of a field.
    fn break_a_field(&mut self, fields: &mut Value) {
        match self.random.below(4) {
            0 => fields["podCIDR"] = "10.2.0.0/16".into(),
            1 => fields["clusterName"] = 7.into(),
            2 => fields["apiServers"] = "https://a:6443".into(),
            _ => fields["coreDNS"] = json!([]),
        }
    }
}
