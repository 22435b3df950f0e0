//! The cluster's CA with its key, where this machine has them: in the copy of the controller
//! manager, which signs for kubelets with them. If this machine keeps no such copy, the agent reads
//! the controller manager's Secret, as it may to make the copy. Neither is kept in memory.

use std::path::{Path, PathBuf};
use std::{fs, io};

use k8s_openapi::api::core::v1::{Container, Pod, Secret};
use kube::Client;

use crate::NAMESPACE;
use crate::checkpoint::store::Store;
use crate::checkpoint::{Id, parent};
use crate::cluster::objects::Objects;
use crate::cluster::retry::within;
use crate::error::chain;
use crate::host::blocking;
use crate::patience::ANSWER;
use crate::pki::renew::Pair;

/// The component that signs, its workload and its Secret.
const SIGNER: &str = "kube-controller-manager";
/// The signer's flags that name the CA and its key.
const FLAGS: [&str; 2] = ["cluster-signing-cert-file", "cluster-signing-key-file"];
/// Names of both in the rendered Secret.
const KEYS: [&str; 2] = ["ca.crt", "ca.key"];

/// The CA and its key. The error says why they cannot be had.
pub async fn find(store: &Store, client: &Client) -> Result<Pair, String> {
    let copies = store.clone();
    let on_disk = match blocking::run(move || kept(&copies)).await {
        Ok(pair) => return Ok(pair),
        Err(why) => why,
    };
    asked(client).await.map_err(|why| format!("{on_disk}, and {why}"))
}

/// From the copy on disk.
fn kept(store: &Store) -> Result<Pair, String> {
    let listing = store.list().map_err(|error| chain(&error))?;
    let id = Id::new(NAMESPACE, SIGNER);
    let entry = listing.entries.into_iter().find(|entry| entry.id == id && !entry.is_broken);
    let pod = entry.ok_or_else(|| format!("no copy of {id} is kept on this machine"))?.pod;
    let files = files(&pod).ok_or_else(|| format!("the copy of {id} holds no CA to sign with"))?;
    let [certificate, key] = files.map(|file| read(&store.secrets, &file));
    Ok(Pair { certificate: certificate?, key: key? })
}

/// Paths on the machine of the files that the signer's flags name.
fn files(pod: &Pod) -> Option<[PathBuf; 2]> {
    let spec = pod.spec.as_ref()?;
    let container = parent::component(spec).filter(|component| component.program == SIGNER)?.container;
    let file = |name: &str| on_machine(pod, container, Path::new(&parent::flag(container, name)?));
    Some([file(FLAGS[0])?, file(FLAGS[1])?])
}

/// The machine's path of a file that is mounted into a container.
fn on_machine(pod: &Pod, container: &Container, file: &Path) -> Option<PathBuf> {
    let mounts = container.volume_mounts.iter().flatten().filter(|mount| file.starts_with(&mount.mount_path));
    let mount = mounts.max_by_key(|mount| mount.mount_path.len())?;
    let mut volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let folder = volumes.find(|volume| volume.name == mount.name)?.host_path.as_ref()?;
    let below = file.strip_prefix(&mount.mount_path).ok()?;
    Some(Path::new(&folder.path).join(mount.sub_path.as_deref().unwrap_or_default()).join(below))
}

/// Reads a file of a copy. Other files of the machine are not mounted into the agent's pod.
fn read(secrets: &Path, file: &Path) -> Result<Vec<u8>, String> {
    if !file.starts_with(secrets) {
        return Err(format!("{} is outside of {}", file.display(), secrets.display()));
    }
    fs::read(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{} is not there", file.display()),
        _ => format!("failed to read {}: {error}", file.display()),
    })
}

/// From the API.
async fn asked(client: &Client) -> Result<Pair, String> {
    let secrets: Objects<Secret> = Objects::namespaced(client, NAMESPACE);
    let secret = within(ANSWER, secrets.get(SIGNER)).await;
    let secret = secret.map_err(|why| format!("Secret {NAMESPACE}/{SIGNER} cannot be read: {why}"))?;
    let data = secret.data.unwrap_or_default();
    let [certificate, key] = KEYS.map(|key| {
        data.get(key)
            .map(|bytes| bytes.0.clone())
            .ok_or_else(|| format!("Secret {NAMESPACE}/{SIGNER} has no {key}"))
    });
    Ok(Pair { certificate: certificate?, key: key? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_files_are_found_through_the_flags_and_the_mounts_of_the_copy() {
        let pod = |command: serde_json::Value| -> Pod {
            let mount = json!([{"name": "secrets", "mountPath": "/etc/kubernetes/secrets"}, {"name": "other", "mountPath": "/etc"}]);
            let path = json!({"path": "/etc/kubernetes/checkpoint-secrets/kube-system/kube-controller-manager/5f/secrets"});
            serde_json::from_value(json!({"spec": {
                "containers": [{"name": "kcm", "command": command, "volumeMounts": mount}],
                "volumes": [{"name": "secrets", "hostPath": path}, {"name": "other", "emptyDir": {}}],
            }}))
            .unwrap()
        };
        let flags = [
            "--cluster-signing-cert-file=/etc/kubernetes/secrets/a.crt",
            "--cluster-signing-key-file",
            "/etc/kubernetes/secrets/a.key",
        ];
        let program = json!(["kube-controller-manager", flags[0], flags[1], flags[2]]);
        let found = files(&pod(program)).unwrap();
        let folder =
            Path::new("/etc/kubernetes/checkpoint-secrets/kube-system/kube-controller-manager/5f/secrets");
        assert_eq!(found, [folder.join("a.crt"), folder.join("a.key")]);
        assert!(files(&pod(json!(["kube-controller-manager", flags[0]]))).is_none(), "an external CA");
        assert!(files(&pod(json!(["kube-scheduler", flags[0], flags[1], flags[2]]))).is_none());
        assert!(
            files(&pod(json!([
                "kube-controller-manager",
                "--cluster-signing-cert-file=/srv/a",
                "--cluster-signing-key-file=/srv/b"
            ])))
            .is_none()
        );
    }

    #[test]
    fn what_is_missing_is_named_and_no_other_file_of_the_machine_is_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store {
            manifests: folder.path().join("m"),
            inactive: folder.path().join("i"),
            secrets: folder.path().join("s"),
        };
        let why = kept(&store).err().unwrap();
        assert_eq!(why, "no copy of kube-system/kube-controller-manager is kept on this machine");
        let outside = read(&store.secrets, Path::new("/etc/hostname")).unwrap_err();
        assert!(outside.contains("is outside of"), "{outside}");
        assert!(read(&store.secrets, &store.secrets.join("a")).unwrap_err().ends_with("is not there"));
    }
}
