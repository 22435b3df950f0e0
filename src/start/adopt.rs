//! The way back from `unpivot`: its static pods serve as the bootstrap control plane.
//!
//! `start` hands over to the self-hosted control plane, then removes them, and last their keys.

use std::path::Path;

use super::error::Error;
use super::plan::{Placement, Plan, placement};
use crate::CONTROL_PLANE_KEYS;
use crate::assets::load::StaticPod;
use crate::config::Component;
use crate::host::static_pods;
use crate::journal::{Journal, Role, State};
use crate::undo::remove_folder;
use crate::unpivot::{Placed, file_name, placed};

/// Replaces the bootstrap pods of `plan` by those of `unpivot`, if the apiserver is among them.
///
/// # Errors
/// One of them is not what the journal (`before`) says: `start` removes only what bootkube placed.
pub fn adopt(plan: &mut Plan, folder: &Path, before: &State) -> Result<(), Error> {
    let (apiserver, others): (Vec<_>, Vec<_>) =
        placed(folder)?.into_iter().partition(|placed| placed.component == Component::Apiserver);
    let Some(apiserver) = apiserver.into_iter().next() else { return Ok(()) };
    let is_changed = |pod: &&Placed| !before.has_placed(&pod.path, &pod.content);
    if let Some(changed) = others.iter().chain([&apiserver]).find(is_changed) {
        return Err(Error::NotRecorded { path: changed.path.clone() });
    }
    plan.apiserver = as_placement(apiserver, folder);
    plan.others = others.into_iter().map(|other| as_placement(other, folder)).collect();
    plan.is_steered &= plan.apiserver.shares_port;
    Ok(())
}

fn as_placement(placed: Placed, folder: &Path) -> Placement {
    let Placed { component, content, value, .. } = placed;
    placement(&StaticPod { path: file_name(component), bytes: content, value }, folder, Role::ControlPlanePod)
}

/// Whether to remove the keys of `unpivot`: they are there, and no pod in `folder` can read them.
pub fn has_unread_keys(folder: &Path) -> Result<bool, Error> {
    Ok(static_pods::is_ours(Path::new(CONTROL_PLANE_KEYS)) && placed(folder)?.is_empty())
}

/// Removes those keys.
pub fn remove_keys(journal: &Journal) -> Result<(), Error> {
    remove_folder(journal, Path::new(CONTROL_PLANE_KEYS))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::load::Layout;
    use crate::journal::{Line, Record, Thing};
    use crate::start::plan::tests::{kubeconfig, static_pod};

    const POD: &str = "metadata: {annotations: {bootkube.dev/unpivoted: 'true'}}";

    #[test]
    fn only_a_pod_whose_digest_is_in_the_journal_is_adopted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kube-apiserver.yaml");
        std::fs::write(&path, POD).unwrap();
        let apiserver = "spec: {containers: [{command: [kube-apiserver]}]}";
        let layout = Layout {
            kubeconfig: kubeconfig(),
            bootstrap_manifests: vec![static_pod("bootstrap-apiserver.yaml", apiserver)],
            ..Layout::default()
        };
        let mut plan = Plan::new(layout, Path::new("/assets"), folder.path(), None).unwrap();
        let error = adopt(&mut plan, folder.path(), &State::default()).unwrap_err().to_string();
        assert!(error.contains("kube-apiserver.yaml") && error.contains("unpivot` again"), "{error}");
        let record = Record::Known(Thing::file(&path, Role::ControlPlanePod, POD.as_bytes()));
        let before = State::of(&[Line { at: String::new(), record }]);
        adopt(&mut plan, folder.path(), &before).unwrap();
        assert_eq!((&plan.apiserver.path, plan.apiserver.role), (&path, Role::ControlPlanePod));
        std::fs::write(&path, format!("{POD} # edited")).unwrap();
        assert!(adopt(&mut plan, folder.path(), &before).is_err(), "changed since");
    }
}
