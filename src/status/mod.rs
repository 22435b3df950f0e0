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

use time::OffsetDateTime;

pub use certificates::Certificate;
pub use components::{Component, Hosting};
use inventory::{Inventory, take};
pub use report::{to_json, to_text};

use crate::cluster;
use crate::cluster::connect::{self, READY, Readyz};
use crate::cluster::kubeconfig::Access;

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

/// Lists what the API behind `access` has, and etcd's certificates in the folder `etcd_keys` of this machine.
///
/// # Errors
/// The credentials make no connection. An API that does not answer is a problem in the status, not an error.
pub async fn status(
    access: &Access,
    etcd_keys: &Path,
    now: OffsetDateTime,
) -> Result<Status, cluster::Error> {
    let server = access.server.as_str().trim_end_matches('/').to_owned();
    let client = connect::connect(access, None)?;
    let (first, inventory) = match connect::probe(access, None, READY).await? {
        Readyz::Ready => (None, take(&client).await),
        Readyz::NotReady { status, lines } => {
            let why = lines.join("; ");
            (Some(format!("the API at {server} is not ready ({status}): {why}")), take(&client).await)
        }
        Readyz::Unreachable(why) => {
            let unseen = vec!["everything that the API would show".to_owned()];
            (
                Some(format!("the API at {server} does not answer: {why}")),
                Inventory { unseen, ..Inventory::default() },
            )
        }
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
