//! What every field of a configuration file means, and how that is written beside its value.

use serde_json::{Map, Value};

/// What each field means, by path, and whether its default follows another field (then it is
/// printed as a comment, so that a copy of the file goes on following).
#[rustfmt::skip]
pub const COMMENTS: &[(&str, bool, &str)] = &[
    ("apiVersion", false, "Version of this file's format."),
    ("kind", false, ""),
    ("clusterName", false, "Name in kubeconfigs. Flag: --cluster-name."),
    ("clusterDomain", false, "DNS domain of Services; kubelets' clusterDomain must say the same."),
    ("kubernetesVersion", false, "v1.34 to v1.36. The default is what this release is tested with."),
    ("apiServers", true, "URLs of the API, https only; the first is written into kubeconfigs and its port is the one that \
        apiservers listen on (443 if none is given). Every host is in the certificate. Flag: --api-servers."),
    ("apiServerAltNames", false, "Further addresses and host names for the apiserver's certificate. \
        Flag: --api-server-alt-names."),
    ("etcd", false, "Cluster state."),
    ("etcd.mode", false, "external: it runs outside of bootkube. staticPod: bootkube runs it on the one controller, with its data \
        on that machine; then leave out the fields below."),
    ("etcd.servers", true, "Client URLs; https turns TLS on. Flag: --etcd-servers."),
    ("etcd.caFile", false, "Existing client identity, all three or none; none: new authorities are made, with certificates for \
        etcd itself in tls/etcd. Relative paths start at this file's folder. Flags: --etcd-ca-path, \
        --etcd-certificate-path, --etcd-private-key-path."),
    ("etcd.certificateFile", false, ""),
    ("etcd.privateKeyFile", false, ""),
    ("podCIDRs", false, "One range, or an IPv4 and an IPv6 one; every node gets a /24 or /64 of it. Flag: --pod-cidr."),
    ("serviceCIDRs", false, "As many, in the same order. The first address is the API's, the tenth that of DNS. \
        Flag: --service-cidr."),
    ("networking", false, "flannel, or none if you bring a CNI plugin. Flag: --network-provider."),
    ("images", false, "Images to replace. Left out, the first four follow kubernetesVersion, and the others are those that are \
        tested with this release."),
    ("images.kube-apiserver", true, ""),
    ("images.kube-controller-manager", true, ""),
    ("images.kube-scheduler", true, ""),
    ("images.kube-proxy", true, ""),
    ("images.coredns", true, ""),
    ("images.etcd", true, "Used with etcd.mode staticPod."),
    ("images.flannel", true, "Both used with networking flannel."),
    ("images.flannel-cni-plugin", true, ""),
    ("images.bootkube", true, "Runs on the cluster's machines."),
    ("components", false, "Changes to single components (kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, \
        coredns, etcd, flannel, pod-checkpointer), for example:\n\
        kube-apiserver:\n\
        \x20 extraArgs: {audit-log-path: /var/log/audit.log, profiling: null}  # null removes a flag, a list repeats it\n\
        \x20 extraVolumes: [{name: audit, hostPath: /var/log, mountPath: /var/log, readOnly: false, pathType: Directory}]\n\
        \x20 patches: [{kind: DaemonSet, type: strategic, patch: {metadata: {labels: {team: a}}}}]  # or merge, json"),
    ("controlPlane", false, "Machines that carry the control plane."),
    ("controlPlane.controllers", true, "How many there will be: replicas of controller manager and scheduler. \
        Default: those of the list nodes, else 1."),
    ("controlPlane.workers", true, "Whether other machines run workloads. Default: whether the list nodes has a worker."),
    ("controlPlane.label", false, "Label that control-plane pods select and `start` puts on its node. The default is the role \
        that kubectl shows."),
    ("controlPlane.taint", true, "Key of a NoSchedule taint for controllers. Default: the label's key if there are workers, \
        else \"\", which is none."),
    ("nodes", false, "The machines, if they are to be listed; docs/nodes.md. The list then decides controlPlane.controllers and \
        workers, and what follows from its controllers: the defaults of apiServers and etcd.servers, and the names in the \
        API's certificate. `render` writes what each machine needs into nodes/NAME. Flag: --nodes. For example:\n\
        \x20 - {name: n1, role: controller, addresses: [192.0.2.10]}\n\
        \x20 - {name: n2, role: worker, addresses: [192.0.2.11], labels: [disk=ssd], taints: ['dedicated=db:NoSchedule']}"),
    ("cloudProvider", false, "external if a cloud controller manager of your own runs, else empty. Flag: --cloud-provider."),
    ("trustedCertsDir", false, "Directory of CA certificates on the machines, mounted into apiserver and controller manager."),
    ("certificates", false, "How certificates are made."),
    ("certificates.keyAlgorithm", false, "ecdsa-p256, rsa-2048 or rsa-4096, for every key. The default is the fastest and \
        accepted by every client that Kubernetes supports."),
    ("certificates.validity", false, "Of leaves; as long as v0.14's and kubeadm's."),
    ("certificates.caValidity", false, "Of authorities."),
    ("ca", false, "An existing Kubernetes CA, both files or neither; its key signs and must be readable here. \
        Flags: --ca-certificate-path, --ca-private-key-path."),
    ("ca.certificateFile", false, ""),
    ("ca.privateKeyFile", false, ""),
    ("bootstrapToken", false, "What kubelets join with (auth/kubeconfig-kubelet)."),
    ("bootstrapToken.expiry", false, "A duration or never. Without a file it never expires, as in v0.14, since autoscaled \
        workers carry it."),
    ("serviceAccountIssuer", true, "Issuer of service-account tokens, an https URL. Follows clusterDomain."),
    ("aggregation", false, "Whether the aggregation layer is set up (front-proxy certificates), which metrics-server needs, for example."),
    ("checkpointWorkers", false, "Whether the agent also runs on other machines, and keeps copies of pods there that ask for it \
        (docs/checkpoints.md)."),
    ("coreDNS", false, "Cluster DNS."),
    ("coreDNS.replicas", false, "Two, so that one can be lost."),
    ("coreDNS.upstream", false, "Resolvers of other names: addresses, with or without port, or a resolv.conf."),
];

/// Appends `entries`, the fields below `path`, each below what it means.
pub fn write_entries(entries: &Map<String, Value>, path: &str, text: &mut String) {
    let indent = "  ".repeat(if path.is_empty() { 0 } else { path.split('.').count() });
    for (key, value) in entries {
        let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let comment = COMMENTS.iter().find(|(known, ..)| *known == at);
        let (follows, comment) = comment.map_or((false, ""), |(_, follows, comment)| (*follows, comment));
        if path.is_empty() && !comment.is_empty() {
            text.push('\n');
        }
        for line in comment.lines().flat_map(|line| wrap(line, 96)) {
            text.push_str(&format!("{indent}# {line}\n"));
        }
        let mark = if follows { "# " } else { "" };
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push_str(&format!("{indent}{key}:\n"));
                write_entries(inner, &at, text);
            }
            value => text.push_str(&format!("{indent}{mark}{key}: {}\n", scalar(value))),
        }
    }
}

/// A value on one line. JSON is YAML; quotes are left out if the text cannot be mistaken for
/// anything else.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    let harmless =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | ':' | '-' | '_' | '@' | '=');
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(harmless)
        && !text.ends_with(':')
        && !words.contains(&text.to_lowercase().as_str())
}

/// `line`, wrapped at `width`. An indented line is an example and is not wrapped.
fn wrap(line: &str, width: usize) -> Vec<String> {
    if line.starts_with(' ') {
        return vec![line.into()];
    }
    let mut lines = vec![String::new()];
    for word in line.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + word.len() >= width {
            lines.push(word.into());
        } else {
            let gap = if lines[last].is_empty() { "" } else { " " };
            lines[last].push_str(&format!("{gap}{word}"));
        }
    }
    lines
}
