use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};

use super::*;
use crate::config::{self, Flags};
use crate::{BOOTSTRAP_SECRETS, LOCAL_KUBECONFIG, yaml};

const COMPONENTS: [Component; 3] = [Component::Apiserver, Component::ControllerManager, Component::Scheduler];

/// The pod specs that `render` writes for the self-hosted control plane, in the order of
/// [`COMPONENTS`].
fn self_hosted() -> [PodSpec; 3] {
    let header = "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n";
    let text = format!("{header}apiServers: ['https://192.0.2.1:6443']\netcd: {{mode: staticPod}}\n");
    let (config, _) = config::resolve(Flags::default(), Some(("test.yaml", &text))).unwrap();
    let (bundle, _) = crate::pki::validate(&config, time::OffsetDateTime::now_utc()).unwrap();
    let assets = crate::render::render(&config, &bundle).unwrap();
    let text =
        |name: &str| String::from_utf8(assets.files[&format!("manifests/{name}.yaml")].clone()).unwrap();
    let daemon_set: DaemonSet = serde_saphyr::from_str(&text("kube-apiserver")).unwrap();
    let leader = |name: &str| {
        let deployment: Deployment = serde_saphyr::from_str(&text(name)).unwrap();
        deployment.spec.unwrap().template.spec.unwrap()
    };
    let apiserver = daemon_set.spec.unwrap().template.spec.unwrap();
    [apiserver, leader("kube-controller-manager"), leader("kube-scheduler")]
}

fn raw(file: &Base) -> Value {
    yaml::parse(file.1, file.0).unwrap().remove(0)
}

/// The bootstrap pods, of every component and both from `render` and from `recover`, with
/// `replacement` in place of the file `replaced`.
fn pods(specs: &[PodSpec; 3], replaced: &str, replacement: &Value) -> Vec<Pod> {
    let chain = |component| [patches(component), vec![base::BOOTSTRAP_RECOVERED_LEADER]].concat();
    let mut pods = Vec::new();
    for (component, spec) in COMPONENTS.into_iter().zip(specs) {
        let mut pod = Pod { spec: Some(spec.clone()), ..Pod::default() };
        for file in chain(component) {
            let patch = if file.0 == replaced { replacement.clone() } else { raw(&file) };
            pod = apply(pod, serde_json::from_value(patch).unwrap());
            pods.push(pod.clone());
        }
    }
    pods
}

/// JSON pointers of everything in `value` that holds no further mapping.
fn leaves(value: &Value, path: &str) -> Vec<String> {
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().flat_map(|(key, value)| leaves(value, &format!("{path}/{key}"))).collect()
        }
        _ => vec![path.to_owned()],
    }
}

fn without(value: &Value, leaf: &str) -> Value {
    let mut value = value.clone();
    let remove: json_patch::Patch =
        serde_json::from_value(serde_json::json!([{"op": "remove", "path": leaf}])).unwrap();
    json_patch::patch(&mut value, &remove).unwrap();
    value
}

#[test]
fn every_entry_of_every_patch_changes_a_pod() {
    let specs = self_hosted();
    let files = [
        base::BOOTSTRAP_EVERY_POD,
        base::BOOTSTRAP_APISERVER,
        base::BOOTSTRAP_CONTROLLER_MANAGER,
        base::BOOTSTRAP_SCHEDULER,
        base::BOOTSTRAP_RECOVERED_LEADER,
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("bootstrap-manifests");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), files.len(), "a file is not embedded");
    for file in &files {
        let whole = raw(file);
        let expected = pods(&specs, file.0, &whole);
        for leaf in leaves(&whole, "") {
            let changed = pods(&specs, file.0, &without(&whole, &leaf));
            assert!(changed != expected, "{}: {leaf} changes no pod", file.0);
        }
    }
}

#[test]
fn a_field_that_no_pod_has_would_be_seen() {
    let specs = self_hosted();
    let file = base::BOOTSTRAP_EVERY_POD;
    let whole = raw(&file);
    let mut mistyped = whole.clone();
    mistyped["spec"]["enableServiceLink"] = false.into();
    assert!(pods(&specs, file.0, &whole) == pods(&specs, file.0, &mistyped));
    let mistyped: Result<Patch, _> = serde_json::from_value(serde_json::json!({"specs": {}}));
    assert!(mistyped.err().unwrap().to_string().contains("unknown field `specs`"));
}

#[test]
fn bootstrap_pods_read_the_folder_and_the_kubeconfig_that_start_writes() {
    for (component, spec) in COMPONENTS.into_iter().zip(self_hosted()) {
        let pod = static_pod(component, spec.clone());
        let spec_of = |pod: &Pod| pod.spec.clone().unwrap();
        let host_paths = spec_of(&pod).volumes.unwrap().into_iter().filter_map(|volume| volume.host_path);
        assert!(host_paths.into_iter().any(|host_path| host_path.path == BOOTSTRAP_SECRETS), "{component:?}");
        if component == Component::Apiserver {
            continue;
        }
        let recovered = format!("{BOOTSTRAP_SECRETS}/{LOCAL_KUBECONFIG}");
        let expected = [
            (pod, format!("/etc/kubernetes/secrets/{LOCAL_KUBECONFIG}")),
            (recovered_pod(component, spec), recovered),
        ];
        for (pod, kubeconfig) in expected {
            let command = spec_of(&pod).containers.remove(0).command.unwrap();
            let count =
                command.iter().filter(|word| word.ends_with(&format!("kubeconfig={kubeconfig}"))).count();
            assert_eq!(count, 3, "{command:?}");
        }
    }
}
