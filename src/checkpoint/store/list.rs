//! What is on disk, for the agent and for `bootkube checkpoint list`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde::Serialize;

use super::manifest::{REASON, TIME, id, parse, read, revision};
use super::{Error, Store, write};
use crate::assets::command;
use crate::checkpoint::observed::Disk;
use crate::checkpoint::{Id, Revision, parent};
use crate::yaml;

/// Everything that is on disk.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Listing {
    /// Copies, by workload.
    pub entries: Vec<Entry>,
    /// Files among the kept ones that are no copies.
    pub unreadable: Vec<PathBuf>,
    /// Components that static pods of other programs run here, such as those of `start`.
    #[serde(skip)]
    pub stand_ins: BTreeSet<&'static str>,
}

/// What is on disk of one workload.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The workload.
    pub id: Id,
    /// What would run after a reboot.
    pub kept: Option<Kept>,
    /// What kubelet runs now.
    pub active: Option<Revision>,
    /// A copy is there that cannot run: some of its files are missing, or another program made it.
    pub is_broken: bool,
    /// The manifest to use, or the active one where none is kept.
    #[serde(skip)]
    pub pod: Pod,
}

/// A complete copy.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// What it is made of.
    pub revision: Revision,
    /// The pod that it was made from.
    pub pod: String,
    /// When it was made.
    pub saved: String,
    /// Why it is the one to use.
    pub reason: String,
    /// What it runs.
    pub images: Vec<String>,
}

impl Entry {
    /// For the state machine.
    pub fn disk(&self) -> Disk {
        let kept = self.kept.as_ref().map(|kept| kept.revision.clone());
        Disk { kept, active: self.active.clone() }
    }
}

impl Store {
    /// Every copy, by workload. An error means that nothing is known, not that nothing is there.
    pub fn list(&self) -> Result<Listing, Error> {
        let (kept, unreadable) = pods(&self.inactive)?;
        let (mut active, others) = pods(&self.manifests)?;
        let mut entries: Vec<Entry> = Vec::new();
        for (id, pod) in kept {
            let active = active.remove(&id).map(|pod| revision(&pod));
            entries.push(self.entry(id, pod, active));
        }
        entries.extend(active.into_iter().map(|(id, pod)| {
            let active = Some(revision(&pod));
            Entry { id, kept: None, active, is_broken: false, pod }
        }));
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        let unreadable = unreadable.into_iter().map(|(path, _)| path).collect();
        let stand_ins = others.iter().filter_map(|(_, bytes)| component(bytes)).collect();
        Ok(Listing { entries, unreadable, stand_ins })
    }

    fn entry(&self, id: Id, pod: Pod, active: Option<Revision>) -> Entry {
        let kept = self.is_complete(&pod).then(|| kept(&pod));
        Entry { id, is_broken: kept.is_none(), kept, active, pod }
    }
}

fn kept(pod: &Pod) -> Kept {
    let said = |key: &str| pod.annotations().get(key).cloned().unwrap_or_default();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    Kept {
        revision: revision(pod),
        pod: said(crate::checkpoint::CHECKPOINT_OF),
        saved: said(TIME),
        reason: said(REASON),
        images: containers.filter_map(|container| container.image.clone()).collect(),
    }
}

/// The copies in a folder by workload, and the files that are none.
type Pods = (BTreeMap<Id, Pod>, Vec<(PathBuf, Vec<u8>)>);

/// That the folder is missing is an empty one.
fn pods(folder: &Path) -> Result<Pods, Error> {
    let mut found = BTreeMap::new();
    let mut others = Vec::new();
    let visible = |path: &PathBuf| !path.file_name().unwrap_or_default().to_string_lossy().starts_with('.');
    for path in write::entries(folder)?.into_iter().filter(visible).filter(|path| path.is_file()) {
        let Some(bytes) = read(&path)? else { continue }; // it went meanwhile
        match parse(&bytes) {
            Some(pod) => drop(found.insert(id(&pod), pod)),
            None => others.push((path, bytes)),
        }
    }
    Ok((found, others))
}

/// The component of the control plane that a static pod runs. Kubelet takes no notice of what
/// cannot be read either.
fn component(bytes: &[u8]) -> Option<&'static str> {
    let pod = yaml::parse(std::str::from_utf8(bytes).ok()?, "").ok()?.into_iter().next()?;
    parent::PROGRAMS.into_iter().find(|program| {
        command::containers(&pod).any(|container| command::runs(command::container_words(container), program))
    })
}
