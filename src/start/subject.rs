//! What a pivot waits for, as the room that explains long waits has to know it.

use super::options::{Lookup, SETTLED};
use super::plan::Plan;
use crate::NAMESPACE;
use crate::assets::load::Layout;
use crate::diagnose::{Subject, Workload};
use crate::journal::State;
use crate::preflight;

/// What of the assets says something about the machine: there may be thousands of objects.
pub fn relevant(layout: &Layout) -> Layout {
    let system = layout.objects.iter().filter(|object| object.namespace() == Some(NAMESPACE));
    Layout {
        kubeconfig: layout.kubeconfig.clone(),
        tls: layout.tls.clone(),
        bootstrap_manifests: layout.bootstrap_manifests.clone(),
        controller_manifests: layout.controller_manifests.clone(),
        objects: system.cloned().collect(),
        warnings: Vec::new(),
    }
}

/// What a pivot by `plan` waits for.
pub fn subject(layout: Layout, plan: &Plan, lookup: &Lookup, before: &State) -> Subject {
    let required = plan.required.iter();
    Subject {
        // What the user does not mind may still be in the way.
        checks: preflight::CheckOptions {
            ignored: preflight::Ignored::default(),
            ..lookup.checks(before, SETTLED)
        },
        layout,
        access: plan.access.clone(),
        api_port: plan.api_port(),
        required: required
            .map(|required| Workload { namespace: required.namespace.clone(), name: required.prefix.clone() })
            .collect(),
    }
}
