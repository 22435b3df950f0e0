//! What a pivot waits for, in the form in which `diagnose` needs it.

use super::options::{Lookup, SETTLED};
use super::plan::Plan;
use super::required::Required;
use crate::NAMESPACE;
use crate::assets::load::Layout;
use crate::diagnose::{Brought, Subject, Workload};
use crate::journal::State;
use crate::preflight;

/// Only objects that say something about the machine, because there may be thousands.
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
    let named = |pod: &Required| Workload { namespace: pod.namespace.clone(), name: pod.prefix.clone() };
    Subject {
        // A check that the user ignores may still be what keeps the pivot waiting.
        checks: preflight::CheckOptions {
            ignored: preflight::Ignored::default(),
            ..lookup.checks(before, SETTLED)
        },
        layout,
        access: plan.access.clone(),
        api_port: plan.api_port(),
        required: plan.required.iter().map(named).collect(),
        objects: plan.stages.iter().chain(&plan.admission).flatten().map(Brought::of).collect(),
    }
}
