//! Tests of the plan, and helpers with which other tests make plans.

use serde_json::json;

use super::*;
use crate::yaml::Source;

const KUBECONFIG: &str = "
clusters: [{name: local, cluster: {server: 'https://api.example.test:443', certificate-authority-data: CA}}]
users: [{name: admin, user: {token: t}}]
contexts: [{context: {cluster: local, user: admin}}]
";
const CA: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";
/// A null among the words, as an empty value in a template leaves it.
const BOOTSTRAP: &str =
    "# as rendered\nspec: {hostNetwork: true, containers: [{command: [/hyperkube, apiserver,
    --secure-port=6443, --bind-address=0.0.0.0, null]}]}  \n";

fn pod(command: Value) -> Value {
    json!({"spec": {"containers": [{"name": "x", "command": command}]}})
}

/// An administrator's kubeconfig.
pub fn kubeconfig() -> Vec<u8> {
    KUBECONFIG.replace("CA}", &format!("{CA}}}")).into_bytes()
}

/// A static pod of the assets.
pub fn static_pod(path: &str, text: &str) -> StaticPod {
    let value = crate::yaml::parse(text, path).unwrap().remove(0);
    StaticPod { path: path.to_owned(), bytes: text.as_bytes().to_vec(), value }
}

fn apiserver(kind: &str) -> Object {
    let mut template = pod(json!(["/hyperkube", "apiserver", "--secure-port=6443"]));
    template["spec"]["hostNetwork"] = json!(true);
    template["spec"]["nodeSelector"] = json!({"node-role.kubernetes.io/master": ""});
    let metadata = json!({"name": "kube-apiserver", "namespace": "kube-system"});
    let value = json!({"kind": kind, "metadata": metadata, "spec": {"template": template}});
    Object { value, file: "f".into(), place: "document 1".into(), source: Source::default() }
}

/// The plan of an asset directory of v0.14.
fn plan(objects: Vec<Object>) -> Plan {
    let layout = Layout {
        kubeconfig: kubeconfig(),
        tls: BTreeMap::from([("etcd/peer.crt".to_owned(), b"PEER".to_vec())]),
        bootstrap_manifests: vec![
            static_pod("bootstrap-apiserver.yaml", BOOTSTRAP),
            static_pod(
                "bootstrap-scheduler.yaml",
                "spec: {containers: [{command: [/hyperkube, scheduler, null]}]}",
            ),
        ],
        objects,
        ..Layout::default()
    };
    Plan::new(layout, Path::new("/assets"), Path::new("/pods"), None).unwrap()
}

#[test]
fn an_apiserver_is_known_by_its_program_and_not_by_its_flags() {
    assert!(is_apiserver(&pod(json!(["/hyperkube", "apiserver"]))));
    assert!(is_apiserver(&pod(json!(["kube-apiserver", "--a=b"]))));
    assert!(is_apiserver(&pod(json!(["flock", "/var/lock/api-server.lock", "/hyperkube", "apiserver"]))));
    assert!(!is_apiserver(&pod(json!(["kube-scheduler", "--master=apiserver"]))));
}

#[test]
fn old_static_pods_are_placed_to_the_byte_and_the_kubeconfig_beside_the_keys() {
    let mut plan = plan(vec![apiserver("DaemonSet")]);
    assert_eq!(plan.apiserver.content, BOOTSTRAP.as_bytes());
    assert_eq!(plan.apiserver.path, Path::new("/pods/bootstrap-apiserver.yaml"));
    assert_eq!(plan.others.iter().map(|pod| pod.port).collect::<Vec<_>>(), [Some(10259)]);
    assert_eq!(plan.secrets.keys().collect::<Vec<_>>(), ["etcd/peer.crt", "kubeconfig"]);
    assert_eq!(plan.secrets["kubeconfig"], plan.kubeconfig);
    assert_eq!(plan.api_port(), 6443, "the port behind a load balancer at 443");
    assert!(!plan.is_steered && plan.staying.is_empty());
    plan.conflict = None;
    assert_eq!(plan.required, plan.required_to_hand_over());
}

#[test]
fn where_the_port_cannot_be_shared_the_apiserver_need_only_run_and_nobody_else() {
    let manager = |name: &str| {
        let metadata = json!({"name": name, "namespace": "kube-system"});
        Object {
            value: json!({"kind": "Deployment", "metadata": metadata}),
            file: "f".into(),
            place: "document 1".into(),
            source: Source::default(),
        }
    };
    let plan = plan(vec![apiserver("DaemonSet"), manager("kube-scheduler")]);
    assert!(plan.conflict.as_ref().unwrap().contains("--permit-port-sharing"), "{:?}", plan.conflict);
    let changed = plan.required_to_hand_over();
    let differ = plan.required.iter().zip(&changed).filter(|(before, after)| before != after);
    let names: Vec<String> = differ.map(|(required, _)| required.to_string()).collect();
    assert_eq!(names, ["kube-system/kube-apiserver"]);
}

#[test]
fn the_node_is_labelled_as_the_apiserver_selects_it_whatever_its_kind() {
    for kind in ["DaemonSet", "Deployment"] {
        let labels = plan(vec![apiserver(kind)]).marks.labels;
        assert_eq!(labels, BTreeMap::from([("node-role.kubernetes.io/master".to_owned(), String::new())]));
    }
    assert_eq!(plan(Vec::new()).marks, NodeMarks::default());
}
