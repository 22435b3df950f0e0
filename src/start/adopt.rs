//! The way back from `unpivot`: the static pods that it placed are the temporary control plane, whatever the assets hold for that.
//!
//! `start` hands over to what is self-hosted, and removes them, and then their keys.

use std::path::Path;

use super::plan::{Placement, Plan, placement};
use crate::CONTROL_PLANE_KEYS;
use crate::assets::load::StaticPod;
use crate::config::Component;
use crate::host::static_pods;
use crate::phase::Error;
use crate::unpivot::{Placed, file_name, placed};

/// Lets the static pods in `folder` stand for the bootstrap ones of `plan`, if the apiserver is among them.
pub fn adopt(plan: &mut Plan, folder: &Path) -> Result<(), Error> {
    let (apiserver, others): (Vec<_>, Vec<_>) =
        placed(folder)?.into_iter().partition(|placed| placed.component == Component::Apiserver);
    let Some(apiserver) = apiserver.into_iter().next() else { return Ok(()) };
    plan.apiserver = as_placement(apiserver, folder);
    plan.others = others.into_iter().map(|other| as_placement(other, folder)).collect();
    plan.is_steered &= plan.apiserver.shares_port;
    Ok(())
}

/// Removes the keys of static pods that are no more.
pub fn forget(folder: &Path) -> Result<(), Error> {
    match placed(folder)?.is_empty() {
        true => Ok(static_pods::remove_key_folder(Path::new(CONTROL_PLANE_KEYS))?),
        false => Ok(()),
    }
}

fn as_placement(placed: Placed, folder: &Path) -> Placement {
    let Placed { component, content, value, .. } = placed;
    placement(&StaticPod { path: file_name(component), bytes: content, value }, folder)
}
