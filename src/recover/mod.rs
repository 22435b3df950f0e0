//! From what is left of a cluster to an asset directory: same CA, same keys.
//!
//! ```text
//! live API ─ cluster::inventory ─────────────────────────┐
//! live etcd ─ etcd ─┐                                    ▼
//! snapshot file ────┴► Entry ─ decrypt ─ decode ─► Objects ─ find ─► Found ─ derive ─► Assets ─► directory ─► `start`
//! ```
//!
//! Nothing of the cluster is changed, and never is anything written to etcd. What was found, what is missing and what was taken from before
//! its deletion is told; without an apiserver there is nothing to start from, and that is an error.

mod decode;
mod decrypt;
mod derive;
mod etcd;
pub(crate) mod find;
mod snapshot;
mod store;

use std::path::PathBuf;

use serde_json::Value;

use crate::assets::write;
use crate::checkpoint::copy;
use crate::cluster::kubeconfig::{self, Access};
use crate::cluster::{self, connect, inventory};
use crate::config::Component;
use crate::error::{ExitClass, Failure};
use crate::finding::Findings;
use crate::render;
use crate::yaml;

pub use decode::{Decoded, decode};
pub use decrypt::Keys;
pub use etcd::{Client as EtcdClient, Options as EtcdOptions};
use find::{Found, Objects};
pub use store::{Entry, prefixes};

/// What `recover` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the assets go.
    pub dir: PathBuf,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Where the cluster is read from.
    pub source: Source,
    /// What the apiserver encrypts by.
    pub encryption_config: Option<PathBuf>,
}

/// Where a cluster is read from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The API that the kubeconfig leads to.
    Api,
    /// An etcd that runs.
    Etcd {
        /// Where it is.
        etcd: EtcdOptions,
        /// The apiserver's `--etcd-prefix`.
        prefix: String,
    },
    /// A snapshot of one.
    Snapshot {
        /// The file.
        file: PathBuf,
        /// The apiserver's `--etcd-prefix`.
        prefix: String,
    },
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Where the objects were read, and of which moment.
    pub source: String,
    /// Components, each with where it was found.
    pub components: Vec<String>,
    /// How many objects are applied again by `start`.
    pub objects: usize,
    /// What is not there.
    pub missing: Vec<String>,
    /// What is odd.
    pub warnings: Vec<String>,
}

/// Why nothing was recovered. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory is not one that may be written.
    #[error("{0}")]
    Directory(Findings),
    /// The administrator's kubeconfig cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
    /// It cannot be read again.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The API does not answer, or refuses.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// etcd does not answer, or refuses.
    #[error(transparent)]
    Etcd(#[from] etcd::Error),
    /// The snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] snapshot::Error),
    /// An object stays encrypted.
    #[error(transparent)]
    Encrypted(#[from] decrypt::Error),
    /// Something that the control plane needs is not there.
    #[error("the control plane cannot be recovered from {source_name}; missing:\n{}", lines(missing))]
    Incomplete {
        /// Where it was looked for.
        source_name: String,
        /// What is missing.
        missing: Vec<String>,
    },
    /// A component cannot be made a static pod.
    #[error(transparent)]
    Unfit(#[from] copy::Unfit),
    /// The directory cannot be written.
    #[error(transparent)]
    Write(#[from] write::Error),
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let class = match &error {
            Error::Directory(_) | Error::Kubeconfig(_) | Error::Encrypted(_) | Error::Snapshot(_) => {
                ExitClass::Configuration
            }
            _ => ExitClass::General,
        };
        Self::new(class, &error).hint("nothing was written")
    }
}

/// Recovers.
pub async fn recover(options: &Options) -> Result<Report, Error> {
    let Options { dir, kubeconfig, source, encryption_config } = options;
    write::check_target(dir).map_err(Error::Directory)?;
    let bytes =
        std::fs::read(kubeconfig).map_err(|source| Error::Read { path: kubeconfig.clone(), source })?;
    let access = kubeconfig::parse(&bytes, kubeconfig)?;
    let keys = encryption_config.as_deref().map(Keys::read).transpose()?.unwrap_or_default();
    let mut report = Report::default();
    let objects = gather(source, &access, &keys, &mut report).await?;
    let found = find::control_plane(&objects);
    check(&found, &report)?;
    tell(&found, &access, &mut report);
    write::write(dir, &derive::assets(&found, &bytes)?)?;
    Ok(report)
}

async fn gather(
    source: &Source,
    access: &Access,
    keys: &Keys,
    report: &mut Report,
) -> Result<Objects, Error> {
    let mut objects = Objects::default();
    match source {
        Source::Api => {
            report.source = format!("the API at {}", access.server);
            objects.present = inventory::control_plane_objects(&connect::connect(access, None)?).await?;
        }
        Source::Etcd { etcd, prefix } => {
            let mut client = EtcdClient::connect(etcd).await?;
            for prefix in store::prefixes(prefix) {
                let entries = client.below(&prefix).await?;
                objects.present.extend(open(entries, keys, report)?);
            }
            report.source = format!("etcd, revision {}", client.revision);
        }
        Source::Snapshot { file, prefix } => {
            let prefixes = store::prefixes(prefix);
            let is_wanted = |key: &[u8]| prefixes.iter().any(|prefix| key.starts_with(prefix.as_bytes()));
            let snapshot = snapshot::read(file, is_wanted)?;
            report.source = format!("snapshot {}, revision {}", file.display(), snapshot.revision);
            if !snapshot.is_verified {
                report
                    .warnings
                    .push("the snapshot has no checksum at its end: it was copied, not saved".to_owned());
            }
            objects.present = open(snapshot.present, keys, report)?;
            // A deleted object is a gift: one that cannot be read is none.
            let deleted = snapshot.deleted.into_iter();
            objects.deleted =
                deleted.filter_map(|entry| open(vec![entry], keys, report).ok()).flatten().collect();
        }
    }
    Ok(objects)
}

/// Objects of what stands in etcd. What is of no known kind is nothing of a control plane.
fn open(entries: Vec<Entry>, keys: &Keys, report: &mut Report) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    for Entry { key, value } in entries {
        let plain = keys.open(&key, value)?;
        let name = String::from_utf8_lossy(&key).into_owned();
        match decode(&plain) {
            Ok(Decoded { object, unknown }) => {
                objects.push(object);
                if !unknown.is_empty() {
                    let fields = unknown.into_iter().collect::<Vec<_>>().join(", ");
                    report.warnings.push(format!(
                        "{name} has fields of a newer Kubernetes, which are left out: {fields}"
                    ));
                }
            }
            Err(error) => report.warnings.push(format!("{name} cannot be read: {error}")),
        }
    }
    Ok(objects)
}

/// Without an apiserver there is nothing to start. What else a component cannot do without is told when its pod is made.
fn check(found: &Found, report: &Report) -> Result<(), Error> {
    match found.workloads.iter().any(|workload| workload.component == Component::Apiserver) {
        true => Ok(()),
        false => {
            Err(Error::Incomplete { source_name: report.source.clone(), missing: found.missing.clone() })
        }
    }
}

fn tell(found: &Found, access: &Access, report: &mut Report) {
    report.components = found.workloads.iter().map(|workload| workload.label.clone()).collect();
    report.objects = found.objects.len();
    report.missing.clone_from(&found.missing);
    let revived = |label: &String| format!("{label} had been deleted; it is taken as it was before");
    report.warnings.extend(found.revived.iter().map(revived));
    report.warnings.extend(other_authority(found, access));
    report.warnings.extend(own_etcd(found));
}

/// The kubeconfig of another cluster would be of no use.
fn other_authority(found: &Found, access: &Access) -> Option<String> {
    let secrets = found.workloads.iter().flat_map(|workload| workload.sources.secrets.values());
    let mut authorities = secrets.filter_map(|secret| secret.data.as_ref()?.get("ca.crt"));
    let trim = |pem: &[u8]| pem.trim_ascii().to_vec();
    let is_other = authorities.next().is_some_and(|ca| trim(&ca.0) != trim(&access.ca));
    is_other.then(|| {
        "the kubeconfig trusts another CA than the one that was recovered: is it this cluster's?".to_owned()
    })
}

/// etcd's own keys are nowhere but on its machine.
fn own_etcd(found: &Found) -> Option<String> {
    let facts = found
        .objects
        .iter()
        .find(|object| object["kind"] == "ConfigMap" && object["metadata"]["name"] == render::FACTS);
    let config = yaml::parse(facts?["data"]["config.yaml"].as_str()?, render::FACTS).ok()?;
    let is_static = config.first().is_some_and(|config| config["etcd"]["mode"] == "staticPod");
    is_static.then(|| {
        "etcd of this cluster is a static pod, whose keys are not in it: keep or bring back /etc/kubernetes/etcd and \
         /etc/kubernetes/manifests/etcd.yaml, with its data, before start"
            .to_owned()
    })
}
