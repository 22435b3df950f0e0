//! What a pivot places on the machine and takes away again: static pods and keys, each act in the journal before and after.
//!
//! A file that is there already is adopted if it is the same, replaced if the journal says that an earlier run placed it, and refused,
//! untouched, if neither is so.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::machine::bootstrap_listeners;
use super::plan::{Placement, Plan};
use crate::cluster::connect;
use crate::host::static_pods::{self, Found};
use crate::journal::{Journal, Record, Role, State, Thing};
use crate::phase::{Error, PROBE, Progress, sockets_on};
use crate::undo::{remove_file, remove_folder};
use crate::yaml;
use crate::{BOOTSTRAP_SECRETS, ETCD_KEYS, LOCAL_KUBECONFIG};

/// Finds everything in the way before anything is placed. `before` is what the journal says.
pub fn check(plan: &Plan, before: &State) -> Result<(), Error> {
    for pod in plan.staying.iter().chain(plan.temporary()) {
        look(pod, before)?;
    }
    static_pods::check_key_folder(Path::new(BOOTSTRAP_SECRETS))?;
    if !plan.staying.is_empty() {
        static_pods::check_key_folder(Path::new(ETCD_KEYS))?;
    }
    Ok(())
}

/// What is where a pod belongs.
pub fn look(pod: &Placement, before: &State) -> Result<Found, static_pods::Error> {
    static_pods::look(&pod.path, &pod.content, |found| before.has_placed(&pod.path, found))
}

/// Static pods that stay whose file on the machine is neither the rendered one nor an earlier run's.
pub fn changed_staying(plan: &Plan, before: &State) -> Result<Vec<PathBuf>, Error> {
    let mut changed = Vec::new();
    for pod in &plan.staying {
        match look(pod, before) {
            Ok(_) => {}
            Err(static_pods::Error::Foreign { path }) => changed.push(path),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(changed)
}

/// Bootstrap pods of earlier runs that these assets do not have.
pub fn orphans(plan: &Plan, before: &State) -> Vec<PathBuf> {
    let temporary = before.pods().filter(|(_, held)| held.role.is_temporary()).map(|(path, _)| path);
    let planned = |path: &PathBuf| plan.temporary().any(|pod| pod.path == *path);
    temporary.filter(|path| !planned(path)).cloned().collect()
}

/// Whether something of a bootstrap is in kubelet's folder.
pub fn has_begun(plan: &Plan, before: &State) -> bool {
    plan.temporary().any(|pod| pod.path.exists()) || orphans(plan, before).iter().any(|path| path.exists())
}

/// One who places and removes.
pub struct Placer<'a> {
    /// What.
    pub plan: &'a Plan,
    /// Where each act is noted.
    pub journal: &'a Journal,
    /// Who is told.
    pub progress: &'a Progress<'a>,
}

impl Placer<'_> {
    /// etcd, where it is a static pod that stays: its keys, which it reads again when they are renewed, and the pod. Where it `is_running`
    /// only a pod of an earlier run is replaced: one that somebody changed or removed is left as it is.
    pub fn etcd(&self, is_running: bool) -> Result<(), Error> {
        self.keys(Path::new(ETCD_KEYS), Role::EtcdKeys, &self.plan.etcd_keys)?;
        for pod in &self.plan.staying {
            match look(pod, &self.journal.state()) {
                Ok(Found::Nothing) | Err(static_pods::Error::Foreign { .. }) if is_running => {}
                found => self.pod(pod, Role::StayingPod, found?)?,
            }
        }
        Ok(())
    }

    /// The keys of the bootstrap pods, then the apiserver.
    pub fn apiserver(&self) -> Result<(), Error> {
        self.keys(Path::new(BOOTSTRAP_SECRETS), Role::BootstrapSecrets, &self.plan.secrets)?;
        let pod = &self.plan.apiserver;
        self.pod(pod, Role::BootstrapApiserver, look(pod, &self.journal.state())?)
    }

    /// The other bootstrap pods, which are told where the bootstrap apiserver is.
    pub fn others(&self, endpoint: SocketAddr) -> Result<(), Error> {
        let kubeconfig = local_kubeconfig(self.plan, endpoint)?;
        self.key(&Path::new(BOOTSTRAP_SECRETS).join(LOCAL_KUBECONFIG), kubeconfig.as_bytes())?;
        for pod in &self.plan.others {
            self.pod(pod, Role::BootstrapPod, look(pod, &self.journal.state())?)?;
        }
        Ok(())
    }

    fn pod(&self, pod: &Placement, role: Role, found: Found) -> Result<(), Error> {
        let thing = pod.thing(role);
        match found {
            Found::Same => return Ok(self.journal.adopt(thing)?),
            Found::Earlier => self.progress.info(format!(
                "{} is replaced: it is what an earlier run placed, and the assets have changed",
                pod.path.display()
            )),
            Found::Nothing => {}
        }
        self.place(thing, || static_pods::place(&pod.path, &pod.content))
    }

    fn keys(&self, folder: &Path, role: Role, content: &BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
        let thing = Thing::folder(folder, role, content);
        match static_pods::holds(folder, content) {
            true => Ok(self.journal.adopt(thing)?),
            false => self.place(thing, || static_pods::write_key_folder(folder, content)),
        }
    }

    fn key(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let thing = Thing::file(path, Role::BootstrapSecrets, content);
        match static_pods::holds_key(path, content) {
            true => Ok(self.journal.adopt(thing)?),
            false => self.place(thing, || static_pods::write_key(path, content)),
        }
    }

    fn place(&self, thing: Thing, act: impl FnOnce() -> Result<(), static_pods::Error>) -> Result<(), Error> {
        let Thing { path, sha256, .. } = thing.clone();
        self.journal.record(Record::Placing(thing))?;
        act()?;
        Ok(self.journal.record(Record::Placed { path, sha256 })?)
    }

    /// Removes the bootstrap pods other than the apiserver and waits until they have let go of their ports.
    pub async fn remove_others(&self) -> Result<(), Error> {
        self.progress.acts("remove the other bootstrap pods");
        let mut ports = Vec::new();
        for pod in &self.plan.others {
            // Static pods that `unpivot` placed share theirs with the self-hosted ones, which may begin to listen any time.
            ports
                .extend(pod.port.map(|port| sockets_on(port).map(|before| (pod, port, before))).transpose()?);
            self.remove_pod(pod)?;
        }
        for (pod, port, before) in ports {
            while !before.is_empty() && before.is_subset(&sockets_on(port)?) {
                self.progress.waiting(format!("{} has not ended yet", name(&pod.path)));
                tokio::time::sleep(PROBE).await;
            }
            self.progress.found(format!("{} has ended", name(&pod.path)));
        }
        Ok(())
    }

    /// Removes the bootstrap apiserver and waits until its listener is gone.
    pub async fn remove_apiserver(&self) -> Result<(), Error> {
        let before = bootstrap_listeners(self.plan)?.len();
        self.progress.acts("remove the bootstrap apiserver");
        self.remove_pod(&self.plan.apiserver)?;
        if before == 1 && self.plan.bootstrap_holds_wildcard() {
            return Ok(()); // the other one takes the port in the moment it is free: who listens does not tell
        }
        while before > 0 && bootstrap_listeners(self.plan)?.len() >= before {
            self.progress.waiting("the bootstrap apiserver has not ended yet");
            tokio::time::sleep(PROBE).await;
        }
        self.progress.found("the bootstrap apiserver has ended");
        Ok(())
    }

    /// Removes bootstrap pods of earlier runs that these assets do not have.
    pub fn remove_orphans(&self) -> Result<(), Error> {
        for path in orphans(self.plan, &self.journal.state()) {
            let what = format!(
                "{} is removed: an earlier run placed it, and the assets do not have it",
                path.display()
            );
            self.progress.info(what);
            remove_file(self.journal, &path, &[])?;
        }
        Ok(())
    }

    /// Removes what the bootstrap pods read.
    pub fn remove_secrets(&self) -> Result<(), Error> {
        remove_folder(self.journal, Path::new(BOOTSTRAP_SECRETS))
    }

    fn remove_pod(&self, pod: &Placement) -> Result<(), Error> {
        remove_file(self.journal, &pod.path, &pod.content)
    }
}

/// The administrator's kubeconfig, leading to `endpoint` and verifying it under the name it had.
fn local_kubeconfig(plan: &Plan, endpoint: SocketAddr) -> Result<String, Error> {
    let text = String::from_utf8_lossy(&plan.kubeconfig);
    let mut documents = yaml::parse(&text, "auth/kubeconfig")?;
    let mut kubeconfig = documents.pop().unwrap_or_default();
    for entry in kubeconfig["clusters"].as_array_mut().into_iter().flatten() {
        if let Value::Object(cluster) = &mut entry["cluster"] {
            cluster.insert("server".to_owned(), json!(format!("https://{endpoint}")));
            cluster.insert("tls-server-name".to_owned(), json!(connect::server_name(&plan.access)));
        }
    }
    Ok(yaml::write(&kubeconfig))
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
