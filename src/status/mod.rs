//! The control plane of a running cluster: what runs where, how it is hosted, who leads, and when certificates
//! expire.
//!
//! [`status`] lists the objects once and changes nothing. What the API does not show is reported as not seen: an
//! etcd that is no pod, and files on other machines.

mod certificates;
mod components;
mod inventory;
mod report;

use std::path::Path;
use std::time::Duration;

use time::OffsetDateTime;

pub use certificates::Certificate;
pub use components::{Component, Hosting};
use inventory::{Inventory, take};
pub use report::{to_json, to_text};

use crate::cluster;
use crate::cluster::connect::{self, READY, Readyz};
use crate::cluster::kubeconfig::Access;
use crate::cluster::probe;
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
    let of_components =
        if inventory.has_answered { components::problems(&inventory, now) } else { Vec::new() };
    let certificates =
        certificates::certificates(access, &inventory.secrets, &components::agents(&inventory), etcd_keys);
    let of_certificates = certificates.iter().filter_map(|certificate| certificate.problem(now));
    let problems = first.into_iter().chain(of_components).chain(of_certificates).collect();
    let components = components::components(&inventory);
    Ok(Status { server, problems, components, certificates, unseen: inventory.unseen })
}
