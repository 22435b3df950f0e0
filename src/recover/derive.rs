//! Derives an asset directory from a control plane that was found. Pure.
//!
//! ```text
//! auth/kubeconfig          the kubeconfig of the request
//! bootstrap-manifests/     a static pod for each component, derived as `render` derives them
//! tls/                     what the apiserver mounts
//! tls/COMPONENT/VOLUME/    what the others mount
//! manifests/               the objects, for `start` to apply
//! ```

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::find::{Found, Workload};
use crate::assets::Assets;
use crate::checkpoint::copy::{self, Copy, Unfit};
use crate::checkpoint::{Id, Role};
use crate::config::Component;
use crate::yaml;
use crate::{BOOTSTRAP_SECRETS, NAMESPACE, render};

/// The files of the asset directory.
///
/// # Errors
/// If a component cannot run as a static pod.
pub fn assets(found: &Found, kubeconfig: &[u8]) -> Result<Assets, Unfit> {
    let mut assets = Assets::default();
    assets.insert("auth/kubeconfig", kubeconfig);
    for workload in &found.workloads {
        bootstrap_pod(workload, &mut assets)?;
    }
    for object in &found.objects {
        assets.insert(manifest_path(object), yaml::write(object));
    }
    Ok(assets)
}

/// A static pod that mounts folders of the machine in place of Secrets and ConfigMaps.
fn bootstrap_pod(workload: &Workload, assets: &mut Assets) -> Result<(), Unfit> {
    let Workload { component, template, sources, .. } = workload;
    let metadata = ObjectMeta {
        name: Some(component.name().to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        ..template.metadata.clone().unwrap_or_default()
    };
    let pod = Pod { metadata, spec: template.spec.clone(), status: None };
    let id = Id::new(NAMESPACE, component.name());
    let root = format!("{BOOTSTRAP_SECRETS}/{}", component.name());
    let Copy { pod, folders, revision, .. } = copy::make(&pod, &id, Role::Exclusive, sources, &root)?;
    let mut spec = pod.spec.unwrap_or_default();
    as_root(&mut spec);
    // An apiserver's files are expected at the top of the folder; preflight looks for them there,
    // too.
    let is_flat = *component == Component::Apiserver && folders.len() == 1;
    for volume in spec.volumes.iter_mut().flatten().filter(|volume| folders.contains_key(&volume.name)) {
        let Some(host_path) = &mut volume.host_path else { continue };
        host_path.path = match is_flat {
            true => BOOTSTRAP_SECRETS.to_owned(),
            false => host_path.path.replace(&format!("/{revision}/"), "/"),
        };
    }
    for (volume, folder) in folders {
        let below = if is_flat { "tls".to_owned() } else { format!("tls/{}/{volume}", component.name()) };
        for (path, file) in folder.files {
            assets.insert(format!("{below}/{path}"), file.bytes);
        }
    }
    let pod = render::recovered_pod(*component, spec);
    let value =
        serde_json::to_value(pod).unwrap_or_else(|error| unreachable!("a pod has string keys: {error}"));
    assets.insert(render::bootstrap_file(*component), yaml::write(&value));
    Ok(())
}

/// Only root can read the keys in `/etc/kubernetes/bootstrap-secrets`, and v0.14's components did
/// not run as root.
fn as_root(spec: &mut PodSpec) {
    spec.host_network = Some(true);
    if let Some(context) = &mut spec.security_context {
        context.run_as_non_root = None;
        context.run_as_user = Some(0);
        context.run_as_group = Some(0);
    }
    for context in spec.containers.iter_mut().filter_map(|container| container.security_context.as_mut()) {
        context.run_as_non_root = None;
        context.run_as_user = None;
        context.run_as_group = None;
    }
}

/// `manifests/daemonset-kube-apiserver.yaml`; a role's name may hold colons.
fn manifest_path(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]).to_lowercase();
    format!("manifests/{kind}-{}.yaml", text(&object["metadata"]["name"]).replace(':', "-"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::find::{Objects, control_plane};
    use super::*;

    /// Controller manager and apiserver, each with a Secret, as v0.14 rendered them.
    fn found() -> Found {
        let workload = |kind: &str, name: &str, command: &str| {
            json!({
                "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "kube-system", "labels": {"k8s-app": name}},
                "spec": {"template": {"metadata": {"labels": {"k8s-app": name}}, "spec": {
                    "securityContext": {"runAsNonRoot": true, "runAsUser": 65534},
                    "nodeSelector": {"node-role.kubernetes.io/master": ""},
                    "serviceAccountName": name,
                    "containers": [{"name": name, "image": "i", "command": ["/hyperkube", command, "--a=b"],
                        "volumeMounts": [{"name": "secrets", "mountPath": "/etc/kubernetes/secrets"}]}],
                    "volumes": [{"name": "secrets", "secret": {"secretName": name}}],
                }}},
            })
        };
        let secret = |name: &str| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "kube-system"}, "data": {"ca.crt": "Y2E="},
            })
        };
        let present = vec![
            workload("DaemonSet", "kube-apiserver", "apiserver"),
            workload("Deployment", "kube-controller-manager", "controller-manager"),
            secret("kube-apiserver"),
            secret("kube-controller-manager"),
        ];
        control_plane(&Objects { present, deleted: Vec::new() })
    }

    fn pod(assets: &Assets, path: &str) -> Value {
        let text = String::from_utf8(assets.files[path].clone()).unwrap();
        yaml::parse(&text, path).unwrap().remove(0)
    }

    #[test]
    fn a_bootstrap_pod_reads_folders_and_names_nothing_of_the_api() {
        let assets = assets(&found(), b"kubeconfig").unwrap();
        assert_eq!(assets.files["tls/ca.crt"], b"ca");
        assert_eq!(assets.files["tls/kube-controller-manager/secrets/ca.crt"], b"ca");
        let api = pod(&assets, "bootstrap-manifests/bootstrap-apiserver.yaml");
        assert_eq!(api["spec"]["volumes"][0]["hostPath"]["path"], BOOTSTRAP_SECRETS);
        let manager = pod(&assets, "bootstrap-manifests/bootstrap-controller-manager.yaml");
        let folder = format!("{BOOTSTRAP_SECRETS}/kube-controller-manager/secrets");
        assert_eq!(manager["spec"]["volumes"][0]["hostPath"]["path"], folder);
        let command = manager["spec"]["containers"][0]["command"].to_string();
        assert!(
            command.contains("--kubeconfig=/etc/kubernetes/bootstrap-secrets/kubeconfig-local"),
            "{command}"
        );
        for pod in [api, manager] {
            for gone in ["serviceAccountName", "nodeSelector", "secret"] {
                assert!(!pod["spec"].to_string().contains(&format!("\"{gone}\"")), "{gone}: {pod}");
            }
            assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 0);
        }
    }

    #[test]
    fn every_object_is_written_once_under_a_name_of_its_own() {
        let assets = assets(&found(), b"").unwrap();
        let manifests: Vec<&String> =
            assets.files.keys().filter(|path| path.starts_with("manifests/")).collect();
        let expected = [
            "manifests/daemonset-kube-apiserver.yaml",
            "manifests/deployment-kube-controller-manager.yaml",
            "manifests/secret-kube-apiserver.yaml",
            "manifests/secret-kube-controller-manager.yaml",
        ];
        assert_eq!(manifests, expected);
    }
}
