use super::*;
use crate::reference::fields::COMMENTS;

fn of_file(text: &str) -> ClusterConfig {
    resolve(Flags::default(), Some(("cluster.yaml", text))).unwrap().0
}

fn header() -> String {
    format!("apiVersion: {API_VERSION}\nkind: {KIND}\n")
}

#[test]
fn the_printed_defaults_are_the_defaults() {
    assert_eq!(of_file(&defaults_text().unwrap()), of_file(&header()));
}

#[test]
fn every_field_has_a_comment_and_every_comment_a_field() {
    fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
        for (key, value) in value.as_object().into_iter().flatten() {
            let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            paths(value, &at, found);
            found.push(at);
        }
    }
    let mut fields = Vec::new();
    paths(&to_value(&of_file(&header())), "", &mut fields);
    let mut comments: Vec<&str> = COMMENTS.iter().map(|(path, ..)| *path).collect();
    fields.sort();
    comments.sort_unstable();
    assert_eq!(fields, comments);
}

#[test]
fn a_configuration_written_back_resolves_to_itself() {
    let full = header()
        + "clusterName: c1\nclusterDomain: c1.example\nkubernetesVersion: 1.35.4\n\
           apiServers: ['https://api.c2.example', 'https://[fd00::1]:6443']\n\
           apiServerAltNames: [10.0.0.1, 'fd00::2', '*.c1.example']\n\
           etcd: {servers: ['https://e:2379'], caFile: a, certificateFile: b, privateKeyFile: /c}\n\
           podCIDRs: [10.2.0.0/16, 'fd01::/56']\nserviceCIDRs: [10.3.0.0/24, 'fd02::/112']\nnetworking: none\n\
           images: {etcd: 'quay.io/e/e:1'}\n\
           components:\n  kube-apiserver:\n    extraArgs: {v: '4', profiling: null}\n    \
           extraVolumes: [{name: a, hostPath: /a, mountPath: /b, readOnly: false, pathType: File}]\n    \
           patches: [{kind: Pod, type: json, patch: [{op: remove, path: /spec}]}]\n\
           controlPlane: {controllers: 3, workers: true, label: a/b=c}\ncloudProvider: external\n\
           trustedCertsDir: /etc/ssl\ncertificates: {keyAlgorithm: rsa-2048, validity: 24h0m1s, caValidity: 9y}\n\
           ca: {certificateFile: ca.crt, privateKeyFile: ca.key}\nbootstrapToken: {expiry: never}\n\
           serviceAccountIssuer: https://issuer.example/c1\naggregation: false\ncheckpointWorkers: true\n\
           coreDNS: {replicas: 1, upstream: [1.1.1.1, '[fd00::3]:53']}\n";
    for text in [header(), full, header() + "etcd: {mode: staticPod}\ncontrolPlane: {taint: x}\n"] {
        let config = of_file(&text);
        let written = to_value(&config).to_string();
        assert_eq!(resolve(Flags::default(), Some(("written", &written))).unwrap().0, config);
    }
}
