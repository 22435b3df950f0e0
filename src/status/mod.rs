//! The control plane of a running cluster: what runs where, how it is hosted, who leads, when certificates
//! expire, whether what its users use answers, and which of their pods are not well.
//!
//! [`status`] lists the objects once and changes nothing. What the API does not show is reported as not seen: an
//! etcd that is no pod, and files on other machines.

mod asked;
mod certificates;
mod components;
mod copies;
mod dns;
mod here;
mod inventory;
mod report;

use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;

pub use asked::{Asked, Outcome};
pub use certificates::Certificate;
pub use components::{Component, Hosting};
use here::Here;
use inventory::{Inventory, take};
pub use report::{to_json, to_text};

use crate::cluster;
use crate::cluster::connect::{self, READY, Readyz};
use crate::cluster::kubeconfig::Access;
use crate::cluster::probe;
use crate::diagnose::{Unwell, sentences, unwell};
use crate::host::addresses;
use crate::patience::Patience;

/// The state of a control plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// URL of the API.
    pub server: String,
    /// What is wrong, the worst first. A healthy control plane has none.
    pub problems: Vec<String>,
    /// What runs.
    pub components: Vec<Component>,
    /// What programs of this machine use, and whether it answers.
    pub asked: Vec<Asked>,
    /// Pods of what `start` has applied that are not well, but those of the control plane.
    pub unwell: Vec<Unwell>,
    /// Certificates, in the order of their expiry.
    pub certificates: Vec<Certificate>,
    /// What could not be seen, and why.
    pub unseen: Vec<String>,
}

/// Lists what the API behind `access` has, and etcd's certificates in the folder `etcd_keys` of this machine. Each
/// answer of the API may take `patience`.
///
/// # Errors
/// The credentials make no connection. An API that does not answer is a problem in the status, not an error.
pub async fn status(
    access: &Access,
    etcd_keys: &Path,
    now: OffsetDateTime,
    patience: Duration,
) -> Result<Status, cluster::Error> {
    let server = access.server.as_str().trim_end_matches('/').to_owned();
    let client = connect::connect_within(patience, access, access.live_address().await)?;
    let first = match probe::ask(access, None, READY, Patience::of(patience)).await? {
        Readyz::Ready => Ok(None),
        Readyz::NotReady { status, lines } => {
            Ok(Some(format!("the API at {server} is not ready ({status}): {}", lines.join("; "))))
        }
        Readyz::Silent(late) => {
            Err(format!("the API at {server} accepts connections, but does not answer: {late}"))
        }
        Readyz::Unreachable(why) => Err(format!("the API at {server} does not answer: {why}")),
    };
    let (first, inventory) = match first {
        Ok(first) => (first, take(&client, patience).await),
        Err(why) => (Some(why), Inventory::unseen()),
    };
    let seen = Seen { access, client: &client, inventory: &inventory, patience };
    let here = seen.here().await?;
    let shown = components::components(&inventory);
    let (asked, hidden, unwell) =
        futures::join!(seen.ask(here.as_ref()), seen.hidden(here.as_ref(), &shown), seen.unwell(&shown));
    let (hidden, unseen_copies) = known(hidden, "copies on this machine");
    let (unwell, unseen_pods) = known(unwell, "pods of what start has applied");
    let of_components = match inventory.has_answered {
        true => components::problems(&inventory, &hidden, here.as_ref(), now),
        false => Vec::new(),
    };
    let certificates =
        certificates::certificates(access, &inventory.secrets, &components::agents(&inventory), etcd_keys);
    let of_certificates = certificates.iter().filter_map(|certificate| certificate.problem(now));
    let problems = first
        .into_iter()
        .chain(components::nodeless(&inventory, &hidden, here.as_ref()))
        .chain(asked.iter().filter_map(Asked::problem))
        .chain(of_components)
        .chain(sentences(&unwell))
        .chain(of_certificates)
        .collect();
    let components = shown.into_iter().chain(hidden).collect();
    let unseen = inventory.unseen.iter().cloned().chain(unseen_copies).chain(unseen_pods).collect();
    Ok(Status { server, problems, components, asked, unwell, certificates, unseen })
}

/// What has been listed, by which more is looked at.
struct Seen<'a> {
    access: &'a Access,
    client: &'a cluster::Client,
    inventory: &'a Inventory,
    patience: Duration,
}

impl Seen<'_> {
    /// What this machine is to the cluster, if it is one of its machines.
    async fn here(&self) -> Result<Option<Here>, cluster::Error> {
        let Some(nodes) = &self.inventory.nodes else { return Ok(None) };
        let has_apiserver = here::has_apiserver(self.access, self.patience).await?;
        Ok(Here::find(&addresses::local().unwrap_or_default(), nodes, has_apiserver))
    }

    async fn ask(&self, here: Option<&Here>) -> Vec<Asked> {
        let Self { access, client, inventory, patience } = *self;
        match here {
            Some(here) => asked::Asker { access, client, inventory, here, patience }.ask().await,
            None if inventory.nodes.is_none() && inventory.has_answered => {
                asked::none("the nodes could not be listed, so it is not known which one is here")
            }
            None if inventory.has_answered => asked::none("this machine is none of the cluster's"),
            None => asked::none("the API does not answer"),
        }
    }

    async fn hidden(&self, here: Option<&Here>, shown: &[Component]) -> Result<Vec<Component>, String> {
        match here {
            Some(here) => copies::hidden(here, shown, self.inventory).await,
            None => Ok(Vec::new()),
        }
    }

    /// The control plane's own pods are looked at as components. Without a Node, no pod can run.
    async fn unwell(&self, shown: &[Component]) -> Result<Vec<Unwell>, String> {
        if self.inventory.nodes.as_ref().is_none_or(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let mut found = unwell(self.client, self.patience).await?;
        found.retain(|it| it.pod.is_empty() || shown.iter().all(|component| component.pod != it.pod));
        Ok(found)
    }
}

/// What was found, or that `what` was not seen.
fn known<T>(found: Result<Vec<T>, String>, what: &str) -> (Vec<T>, Option<String>) {
    match found {
        Ok(found) => (found, None),
        Err(why) => (Vec::new(), Some(format!("{what}: {why}"))),
    }
}
