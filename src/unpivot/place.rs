//! Gives static pods to kubelet, keys first, each with a record in the journal before and after.

use std::path::{Path, PathBuf};

use super::derive::StaticPod;
use super::error::Error;
use crate::CONTROL_PLANE_KEYS;
use crate::host::static_pods;
use crate::journal::{Journal, Role, State, Thing};

/// Looks for obstacles before anything is changed.
pub fn check(pods: &[StaticPod], before: &State) -> Result<(), Error> {
    if let Some(path) = unfinished(before) {
        return Err(Error::Unfinished(path));
    }
    for pod in pods.iter().filter(|pod| !pod.is_placed) {
        static_pods::look(&pod.path, &pod.content, |found| before.has_placed(&pod.path, found))?;
    }
    Ok(static_pods::check_key_folder(Path::new(CONTROL_PLANE_KEYS))?)
}

/// A static pod of a bootstrap that has not made way.
fn unfinished(before: &State) -> Option<PathBuf> {
    let mut pods = before.pods().filter(|(path, held)| held.role.is_temporary() && path.exists());
    pods.next().map(|(path, _)| path.clone())
}

/// Places `pods`. Those that are there already stay as they are, and are recorded in the journal.
pub fn place<'a>(journal: &Journal, pods: impl Iterator<Item = &'a StaticPod>) -> Result<(), Error> {
    place_in(journal, Path::new(CONTROL_PLANE_KEYS), pods)
}

fn place_in<'a>(
    journal: &Journal,
    keys: &Path,
    pods: impl Iterator<Item = &'a StaticPod>,
) -> Result<(), Error> {
    for pod in pods {
        if pod.is_placed {
            journal.adopt(pod.thing())?;
            continue;
        }
        let folder = Thing::folder(keys, Role::ControlPlaneKeys, &pod.files);
        journal.place::<Error, _>(folder, || static_pods::write_key_folder(keys, &pod.files))?;
        journal.place::<Error, _>(pod.thing(), || static_pods::place(&pod.path, &pod.content))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Component;
    use crate::journal::{Command, Line, Record, Run, SCHEMA};

    #[test]
    fn every_file_that_unpivot_places_or_finds_is_in_the_journal_by_digest() {
        let folder = tempfile::tempdir().unwrap();
        let text = |text: &str| text.to_owned();
        let run = Run {
            schema: SCHEMA,
            command: Command::Unpivot,
            bootkube: text("1"),
            host: text("n1"),
            boot: text("b"),
            assets: None,
        };
        let journal = Journal::begin(&folder.path().join("journal"), &State::default(), run).unwrap();
        let pod = |component: Component, is_placed| StaticPod {
            component,
            path: folder.path().join("manifests").join(component.name()),
            content: component.name().into(),
            is_placed,
            files: BTreeMap::from([(text("x/ca.crt"), b"ca".to_vec())]),
        };
        let pods = [pod(Component::Apiserver, false), pod(Component::Scheduler, true)];
        let keys = folder.path().join("control-plane");
        place_in(&journal, &keys, pods.iter()).unwrap();
        let state = journal.state();
        for pod in &pods {
            assert!(state.has_placed(&pod.path, &pod.content), "{}", pod.path.display());
        }
        assert_eq!(state.things[&keys].role, Role::ControlPlaneKeys);
        assert!(keys.join("x/ca.crt").exists() && !pods[1].path.exists());
        assert_eq!(crate::undo::removals(&state), [], "reset leaves it alone");
    }

    /// Its bootstrap apiserver would be taken for the static one, and the self-hosted one would be
    /// removed while `unpivot` waits for the other's end.
    #[test]
    fn beside_a_bootstrap_that_has_not_ended_nothing_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bootstrap-kube-apiserver.yaml");
        std::fs::write(&path, "x").unwrap();
        let thing = Thing {
            path: path.clone(),
            role: Role::BootstrapApiserver,
            sha256: String::new(),
            pod: None,
            port: None,
            files: BTreeMap::new(),
        };
        let at = String::new();
        let state = State::of(&[Line { at, record: Record::Placing(thing) }]);
        let refused = check(&[], &state).unwrap_err().to_string();
        assert!(
            refused.contains(&path.display().to_string()) && refused.contains("`bootkube start`"),
            "{refused}"
        );
        std::fs::remove_file(path).unwrap();
        assert_eq!(unfinished(&state), None, "it has been removed by hand");
    }
}
