//! What the runtime says: which pods of the API run on this machine, by workload. Copies are not
//! among them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoint::{Id, parent};
use crate::host::cri::{self, Container, Sandbox, State};

/// A pod of the API that kubelet has brought to this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Its workload, by its name and labels.
    pub id: Id,
    /// Its UID.
    pub uid: String,
    /// Containers that run: name, and the runtime's name.
    pub running: BTreeMap<String, String>,
}

/// The pods of the API whose sandbox is up. Nothing runs in one that is down, and after a boot all
/// earlier ones are down.
pub async fn look(socket: &Path) -> Result<Vec<Local>, cri::Error> {
    let (sandboxes, containers) = futures::try_join!(cri::sandboxes(socket), cri::containers(socket))?;
    Ok(locals(&sandboxes, &containers))
}

fn locals(sandboxes: &[Sandbox], containers: &[Container]) -> Vec<Local> {
    let ours = sandboxes.iter().filter(|sandbox| sandbox.is_ready && parent::is_of_api(&sandbox.annotations));
    ours.map(|sandbox| {
        let (id, _) = parent::workload_by_labels(&sandbox.namespace, &sandbox.name, &sandbox.labels);
        let runs =
            |container: &&Container| container.sandbox == sandbox.id && container.state == State::Running;
        let running = containers.iter().filter(runs).map(|it| (it.name.clone(), it.id.clone())).collect();
        Local { id, uid: sandbox.uid.clone(), running }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn sandbox(id: &str, name: &str, source: &str, is_ready: bool) -> Sandbox {
        let pairs = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
        Sandbox {
            id: id.into(),
            namespace: "kube-system".into(),
            name: name.into(),
            uid: format!("uid-{id}"),
            is_ready,
            created: OffsetDateTime::UNIX_EPOCH,
            labels: pairs("controller-revision-hash", "5f"),
            annotations: pairs("kubernetes.io/config.source", source),
        }
    }

    fn container(sandbox: &str, name: &str, state: State) -> Container {
        Container {
            id: format!("{sandbox}/{name}"),
            sandbox: sandbox.into(),
            name: name.into(),
            attempt: 0,
            pod_namespace: String::new(),
            pod_name: String::new(),
            pod_uid: String::new(),
            image: String::new(),
            state,
            created: OffsetDateTime::UNIX_EPOCH,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn only_pods_of_the_api_whose_sandbox_is_up_count_and_of_them_what_runs() {
        let sandboxes = [
            sandbox("a", "kube-apiserver-x7z2k", "api", true),
            sandbox("b", "kube-apiserver-x7z2k-n1", "file", true),
            sandbox("c", "kube-apiserver-aaaaa", "api", false),
        ];
        let containers = [
            container("a", "one", State::Running),
            container("a", "two", State::Exited),
            container("b", "one", State::Running),
        ];
        let [local] = &locals(&sandboxes, &containers)[..] else { panic!("one pod") };
        assert_eq!((local.id.name.as_str(), local.uid.as_str()), ("kube-apiserver", "uid-a"));
        assert_eq!(local.running, [("one".to_owned(), "a/one".to_owned())].into());
    }
}
