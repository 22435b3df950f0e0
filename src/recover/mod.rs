//! Recovers an asset directory from what is left of a cluster: same CA, same keys.
//!
//! ```text
//! live API ─ cluster::inventory ─────────────────────────┐
//! live etcd ─ etcd ─┐                                    ▼
//! snapshot file ────┴► Entry ─ decrypt ─ decode ─► Objects ─ find ─► Found ─ derive ─► Assets ─► directory ─► `start`
//! ```
//!
//! The cluster is not changed, and nothing is ever written to etcd. The report lists what was
//! found, what is missing, and which deleted objects were taken from the history of a snapshot. A
//! cluster without an apiserver is an error: nothing could be started from it.

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
pub use etcd::{Access as EtcdAccess, Client as EtcdClient};
use find::{Found, Objects};
pub use store::{Entry, prefixes};

/// The input of `recover`.
#[derive(Clone, Debug)]
pub struct Request {
    /// The directory to write.
    pub dir: PathBuf,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Where the cluster is read from.
    pub source: Source,
    /// The apiserver's EncryptionConfiguration.
    pub encryption_config: Option<PathBuf>,
}

/// Where a cluster is read from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The API of the kubeconfig.
    Api,
    /// A running etcd.
    Etcd {
        /// Where it is.
        etcd: EtcdAccess,
        /// The apiserver's `--etcd-prefix`.
        prefix: String,
    },
    /// A snapshot of etcd.
    Snapshot {
        /// The file.
        file: PathBuf,
        /// The apiserver's `--etcd-prefix`.
        prefix: String,
    },
}

/// What was recovered.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Where the objects were read, and at which revision.
    pub source: String,
    /// The components that were found.
    pub components: Vec<String>,
    /// Number of objects that `start` will apply.
    pub objects: usize,
    /// What is missing.
    pub missing: Vec<String>,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// Why nothing was recovered. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory must not be written.
    #[error("{0}")]
    Directory(Findings),
    /// The administrator's kubeconfig cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
    /// The kubeconfig cannot be read.
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
    /// An object cannot be decrypted.
    #[error(transparent)]
    Encrypted(#[from] decrypt::Error),
    /// The apiserver is missing.
    #[error("the control plane cannot be recovered from {source_name}; missing:\n{}", lines(missing))]
    Incomplete {
        /// Where it was searched for.
        source_name: String,
        /// What is missing.
        missing: Vec<String>,
    },
    /// A component cannot run as a static pod.
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

/// Recovers the control plane and writes the directory.
///
/// # Errors
/// If the source cannot be read, it holds no apiserver, or the directory cannot be written. Nothing
/// is written then.
pub async fn recover(request: &Request) -> Result<Recovered, Error> {
    let Request { dir, kubeconfig, source, encryption_config } = request;
    write::check_target(dir).map_err(Error::Directory)?;
    let bytes =
        std::fs::read(kubeconfig).map_err(|source| Error::Read { path: kubeconfig.clone(), source })?;
    let access = kubeconfig::parse(&bytes, kubeconfig)?;
    let keys = encryption_config.as_deref().map(Keys::read).transpose()?.unwrap_or_default();
    let mut report = Recovered::default();
    let objects = gather(source, &access, &keys, &mut report).await?;
    let found = find::control_plane(&objects);
    check(&found, &report)?;
    fill_report(&found, &access, &mut report);
    write::write(dir, &derive::assets(&found, &bytes)?)?;
    Ok(report)
}

async fn gather(
    source: &Source,
    access: &Access,
    keys: &Keys,
    report: &mut Recovered,
) -> Result<Objects, Error> {
    let mut objects = Objects::default();
    match source {
        Source::Api => {
            report.source = format!("the API at {}", access.server);
            let client = connect::connect(access, access.live_address().await)?;
            objects.present = inventory::control_plane_objects(&client).await?;
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
                    .push("the snapshot has no checksum: it is a copy of the database file, not the output of `etcdctl snapshot save`".to_owned());
            }
            objects.present = open(snapshot.present, keys, report)?;
            // A deleted object is only a substitute for a missing one, so one that cannot be read
            // is no error.
            let deleted = snapshot.deleted.into_iter();
            objects.deleted =
                deleted.filter_map(|entry| open(vec![entry], keys, report).ok()).flatten().collect();
        }
    }
    Ok(objects)
}

/// Decrypts and decodes entries of etcd. An entry of an unknown kind is not part of a control
/// plane, so it makes only a warning.
fn open(entries: Vec<Entry>, keys: &Keys, report: &mut Recovered) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    for Entry { key, value } in entries {
        let plain = keys.open(&key, value)?;
        let name = String::from_utf8_lossy(&key).into_owned();
        match decode(&plain) {
            Ok(Decoded { object, unknown }) => {
                objects.push(object);
                if !unknown.is_empty() {
                    let fields = unknown.into_iter().collect::<Vec<_>>().join(", ");
                    report
                        .warnings
                        .push(format!("{name}: fields of a newer Kubernetes are left out: {fields}"));
                }
            }
            Err(error) => report.warnings.push(format!("{name} cannot be read: {error}")),
        }
    }
    Ok(objects)
}

/// Requires an apiserver. Making the pod of a component reports whatever else that component needs.
fn check(found: &Found, report: &Recovered) -> Result<(), Error> {
    match found.workloads.iter().any(|workload| workload.component == Component::Apiserver) {
        true => Ok(()),
        false => {
            Err(Error::Incomplete { source_name: report.source.clone(), missing: found.missing.clone() })
        }
    }
}

fn fill_report(found: &Found, access: &Access, report: &mut Recovered) {
    report.components = found.workloads.iter().map(|workload| workload.label.clone()).collect();
    report.objects = found.objects.len();
    report.missing.clone_from(&found.missing);
    let revived = |label: &String| format!("{label} had been deleted; its last version is used");
    report.warnings.extend(found.revived.iter().map(revived));
    report.warnings.extend(other_authority(found, access));
    report.warnings.extend(own_etcd(found));
}

/// Warns of a kubeconfig that belongs to another cluster.
fn other_authority(found: &Found, access: &Access) -> Option<String> {
    let secrets = found.workloads.iter().flat_map(|workload| workload.sources.secrets.values());
    let mut authorities = secrets.filter_map(|secret| secret.data.as_ref()?.get("ca.crt"));
    let trim = |pem: &[u8]| pem.trim_ascii().to_vec();
    let is_other = authorities.next().is_some_and(|ca| trim(&ca.0) != trim(&access.ca));
    is_other.then(|| {
        "the kubeconfig trusts another CA than the recovered one; check that it belongs to this cluster"
            .to_owned()
    })
}

/// Warns that the keys of an etcd that bootkube runs exist only on its machine.
fn own_etcd(found: &Found) -> Option<String> {
    let facts = found
        .objects
        .iter()
        .find(|object| object["kind"] == "ConfigMap" && object["metadata"]["name"] == render::FACTS);
    let config = yaml::parse(facts?["data"]["config.yaml"].as_str()?, render::FACTS).ok()?;
    let is_static = config.first().is_some_and(|config| config["etcd"]["mode"] == "staticPod");
    is_static.then(|| {
        "etcd of this cluster is a static pod, and its keys are not stored in the cluster: keep or restore /etc/kubernetes/etcd, \
         /etc/kubernetes/manifests/etcd.yaml and its data before start"
            .to_owned()
    })
}
