//! Golden files pin every file that `render` writes. `make golden` records them anew and fails, so
//! that the difference is looked at.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests, but not in their helpers

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use bootkube::config::{self, ClusterConfig, Flags};
use bootkube::pki::{BootstrapToken, Bundle, catalogue};
use bootkube::render;

/// A bundle whose secrets say what they are: rendering must neither read nor change them.
fn bundle(config: &ClusterConfig) -> Bundle {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for spec in catalogue(config) {
        for path in [spec.certificate(), spec.key()] {
            files.insert(path.clone(), format!("content of {path}\n").into_bytes());
        }
    }
    for path in ["service-account.key", "service-account.pub", "etcd-client-ca.crt"] {
        files.insert(path.to_owned(), format!("content of {path}\n").into_bytes());
    }
    let token = BootstrapToken { id: "abcdef".into(), secret: "0123456789abcdef".into(), expires: None };
    let node_tokens = config.nodes.iter().zip(1..).map(|(node, number)| {
        let token = BootstrapToken { id: format!("node0{number}"), ..token.clone() };
        (node.name.clone(), token)
    });
    Bundle { files, node_tokens: node_tokens.collect(), bootstrap_token: token }
}

fn resolve(text: &str) -> ClusterConfig {
    let header = "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n";
    let text = format!("{header}{text}");
    let (config, _) = config::resolve(Flags::default(), Some(("golden.yaml", &text))).unwrap();
    config
}

fn check(case: &str, text: &str) {
    let config = resolve(text);
    let assets = render::render(&config, &bundle(&config)).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(case);
    let rendered: BTreeMap<PathBuf, Vec<u8>> = assets
        .files
        .into_iter()
        .filter(|(path, _)| !path.starts_with("tls/"))
        .map(|(path, content)| (folder.join(path), content))
        .collect();
    if env::var_os("UPDATE_GOLDEN").is_some() {
        record(&folder, &rendered);
        panic!(
            "recorded {} files in {}; look at the difference, then run the tests",
            rendered.len(),
            folder.display()
        );
    }
    for (path, content) in &rendered {
        let golden = fs::read(path).unwrap_or_default();
        let (golden, content) = (String::from_utf8_lossy(&golden), String::from_utf8_lossy(content));
        assert_eq!(golden, content, "{} differs; `make golden` records it anew", path.display());
    }
    let recorded = count(&folder);
    assert_eq!(recorded, rendered.len(), "{}: a golden file is no longer rendered", folder.display());
}

fn record(folder: &Path, rendered: &BTreeMap<PathBuf, Vec<u8>>) {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    for (path, content) in rendered {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
}

#[test]
fn the_default_cluster_is_pinned() {
    check("default", "");
}

#[test]
fn one_machine_with_etcd_on_it_and_no_pod_network_is_pinned() {
    check(
        "one-machine",
        "apiServers: ['https://192.0.2.10:6443']\netcd: {mode: staticPod}\nnetworking: none\naggregation: false\n",
    );
}

#[test]
fn three_controllers_with_workers_dual_stack_and_changes_are_pinned() {
    check(
        "full",
        "
clusterName: full
clusterDomain: example.internal
apiServers: ['https://api.example.com:443', 'https://192.0.2.11:443']
apiServerAltNames: [203.0.113.7]
etcd: {servers: ['https://etcd0.example.com:2379', 'https://etcd1.example.com:2379']}
podCIDRs: [10.2.0.0/16, 'fd00:2::/48']
serviceCIDRs: [10.3.0.0/16, 'fd00:3::/112']
controlPlane: {controllers: 3, workers: true, label: node.kubernetes.io/controller=true}
cloudProvider: external
coreDNS: {replicas: 3, upstream: [192.0.2.53]}
checkpointWorkers: true
components:
  kube-apiserver:
    extraArgs: {audit-log-path: /var/log/kubernetes/audit.log, v: '2'}
    extraVolumes: [{name: logs, hostPath: /var/log/kubernetes, mountPath: /var/log/kubernetes, readOnly: false}]
    patches:
      - kind: DaemonSet
        patch: {spec: {template: {spec: {containers: [{name: kube-apiserver, resources: {limits: {memory: 2Gi}}}]}}}}
  kube-scheduler:
    patches:
      - {kind: Deployment, type: json, patch: [{op: replace, path: /spec/minReadySeconds, value: 5}]}
      - {kind: PodDisruptionBudget, type: merge, patch: {spec: {maxUnavailable: 2}}}
  coredns:
    patches:
      - {kind: Service, type: merge, patch: {metadata: {annotations: {example.com/a: b}}}}
",
    );
}

#[test]
fn three_machines_of_a_list_are_pinned() {
    check(
        "nodes",
        "
etcd: {mode: staticPod}
networking: none
nodes:
- {name: n1, role: controller, addresses: [192.0.2.10], podCIDRs: [10.2.0.0/24]}
- name: n2.example.com
  role: worker
  addresses: [192.0.2.11, 'fd00::11']
  podCIDRs: [10.2.1.0/24]
  labels: [example.com/disk=ssd, topology.kubernetes.io/zone=a]
  taints: ['dedicated=db:NoSchedule', 'example.com/flaky:PreferNoSchedule']
- {name: n3, role: worker, podCIDRs: [10.2.2.0/24]}
",
    );
}

#[test]
fn a_patch_of_a_kind_that_is_not_rendered_is_an_error() {
    let config = resolve("components: {coredns: {patches: [{kind: DaemonSet, patch: {spec: {}}}]}}");
    let error = render::render(&config, &bundle(&config)).err().unwrap().to_string();
    assert!(error.contains("components.coredns.patches[0]") && error.contains("DaemonSet"), "{error}");
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    let config = resolve("networking: flannel");
    let render = || render::render(&config, &bundle(&config)).unwrap().files;
    assert_eq!(render(), render());
}

#[test]
fn no_secret_is_in_the_recorded_configuration() {
    let config = resolve("");
    let assets = render::render(&config, &bundle(&config)).unwrap();
    let facts = String::from_utf8_lossy(&assets.files["manifests/bootkube-config.yaml"]).into_owned();
    assert!(!facts.contains("0123456789abcdef") && !facts.contains("content of"), "{facts}");
}
