//! Places and removes static pods and keys, each with a record in the journal before and after.
//!
//! A file that is the same is adopted, one that an earlier run placed (the journal says so) is
//! replaced, and any other is refused and stays. Dry run and run share these decisions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::error::Error;
use super::machine::bootstrap_listeners;
use super::plan::{Placement, Plan};
use crate::cluster::connect;
use crate::host::static_pods::{self, Found};
use crate::journal::{Journal, Role, State, Thing};
use crate::phase::{Act, PROBE, Progress, Verb, sockets_on};
use crate::undo::{remove_file, remove_folder};
use crate::yaml;
use crate::{BOOTSTRAP_SECRETS, CONTROL_PLANE_KEYS, ETCD_KEYS, LOCAL_KUBECONFIG};

/// Refuses foreign files before anything is placed. `before` is what the journal says.
pub fn check(plan: &Plan, before: &State) -> Result<(), Error> {
    for pod in plan.staying.iter().chain(plan.temporary()) {
        look(pod, before)?;
    }
    static_pods::check_key_folder(Path::new(BOOTSTRAP_SECRETS))?;
    static_pods::check_key_folder(Path::new(CONTROL_PLANE_KEYS))?;
    if !plan.staying.is_empty() {
        static_pods::check_key_folder(Path::new(ETCD_KEYS))?;
    }
    Ok(())
}

/// The act on a static pod that stays: none if it was changed or removed while etcd `is_running`.
pub fn staying(
    pod: &Placement,
    before: &State,
    is_running: bool,
) -> Result<Option<Found>, static_pods::Error> {
    match look(pod, before) {
        Ok(Found::Nothing) | Err(static_pods::Error::Foreign { .. }) if is_running => Ok(None),
        found => found.map(Some),
    }
}

/// The act on a static pod whose file is `found` on the machine; none if it stays as it is.
pub fn pod_act(path: &Path, found: Option<Found>) -> Act {
    let verb = match found {
        None => Verb::Leave,
        Some(Found::Same) => Verb::Keep,
        Some(Found::Nothing) => Verb::Write,
        Some(Found::Earlier) => Verb::Replace,
    };
    Act::file(verb, path)
}

/// The act on one key.
pub fn key_act(path: &Path, content: &[u8]) -> Act {
    let verb = if static_pods::holds_key(path, content) { Verb::Keep } else { Verb::Write };
    Act::file(verb, path)
}

/// The acts on a folder of keys.
pub fn key_acts(folder: &Path, content: &BTreeMap<String, Vec<u8>>) -> Vec<Act> {
    content.iter().map(|(name, bytes)| key_act(&folder.join(name), bytes)).collect()
}

/// The file at the path of a pod, if there is one.
pub fn look(pod: &Placement, before: &State) -> Result<Found, static_pods::Error> {
    static_pods::look(&pod.path, &pod.content, |found| before.has_placed(&pod.path, found))
}

/// Static pods that stay whose file is neither the rendered one nor one of an earlier run.
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

/// Whether kubelet's folder has a file of a bootstrap pod.
pub fn has_begun(plan: &Plan, before: &State) -> bool {
    plan.temporary().any(|pod| pod.path.exists()) || orphans(plan, before).iter().any(|path| path.exists())
}

/// Places and removes files by the plan.
pub struct Placer<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Where each act is recorded.
    pub journal: &'a Journal,
    /// Where each act is reported.
    pub progress: &'a Progress<'a>,
}

impl Placer<'_> {
    /// Places etcd's keys, which it reads again when they are renewed, and its pod if that stays
    /// here. While etcd `is_running`, only a pod of an earlier run is replaced.
    pub fn etcd(&self, is_running: bool) -> Result<(), Error> {
        self.keys(Path::new(ETCD_KEYS), Role::EtcdKeys, &self.plan.etcd_keys)?;
        for pod in &self.plan.staying {
            match staying(pod, &self.journal.state(), is_running)? {
                None => self.progress.did(pod_act(&pod.path, None)),
                Some(found) => self.pod(pod, found)?,
            }
        }
        Ok(())
    }

    /// Places the keys of the bootstrap pods, then the apiserver.
    pub fn apiserver(&self) -> Result<(), Error> {
        self.keys(Path::new(BOOTSTRAP_SECRETS), Role::BootstrapSecrets, &self.plan.secrets)?;
        let pod = &self.plan.apiserver;
        self.pod(pod, look(pod, &self.journal.state())?)
    }

    /// Places the other bootstrap pods, with a kubeconfig that leads to the bootstrap apiserver.
    pub fn others(&self, endpoint: SocketAddr) -> Result<(), Error> {
        let (path, content) = local_kubeconfig(self.plan, endpoint)?;
        self.key(&path, &content)?;
        for pod in &self.plan.others {
            self.pod(pod, look(pod, &self.journal.state())?)?;
        }
        Ok(())
    }

    fn pod(&self, pod: &Placement, found: Found) -> Result<(), Error> {
        let thing = pod.thing();
        match found {
            Found::Same => self.journal.adopt(thing)?,
            Found::Earlier | Found::Nothing => {
                if found == Found::Earlier {
                    let path = pod.path.display();
                    self.progress.info(format!(
                        "replaces {path}: an earlier run placed it, and the assets have changed"
                    ));
                }
                self.journal.place::<Error, _>(thing, || static_pods::place(&pod.path, &pod.content))?;
            }
        }
        self.progress.did(pod_act(&pod.path, Some(found)));
        Ok(())
    }

    fn keys(&self, folder: &Path, role: Role, content: &BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
        let (thing, acts) = (Thing::folder(folder, role, content), key_acts(folder, content));
        match static_pods::holds(folder, content) {
            true => self.journal.adopt(thing)?,
            false => {
                self.journal.place::<Error, _>(thing, || static_pods::write_key_folder(folder, content))?
            }
        }
        acts.into_iter().for_each(|act| self.progress.did(act));
        Ok(())
    }

    fn key(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        let (thing, act) = (Thing::file(path, Role::BootstrapSecrets, content), key_act(path, content));
        match act.verb {
            Verb::Keep => self.journal.adopt(thing)?,
            _ => self.journal.place::<Error, _>(thing, || static_pods::write_key(path, content))?,
        }
        self.progress.did(act);
        Ok(())
    }

    /// Removes the bootstrap pods other than the apiserver, and waits until their ports are free.
    pub async fn remove_others(&self) -> Result<(), Error> {
        self.progress.acts("remove the other bootstrap pods");
        let mut ports = Vec::new();
        for pod in &self.plan.others {
            // Self-hosted pods share the ports of those of `unpivot`, and may start to listen.
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

    /// Removes the bootstrap apiserver, and waits until its listener is gone.
    pub async fn remove_apiserver(&self) -> Result<(), Error> {
        let before = bootstrap_listeners(self.plan)?.len();
        self.progress.acts("remove the bootstrap apiserver");
        self.remove_pod(&self.plan.apiserver)?;
        if before == 1 && self.plan.bootstrap_holds_wildcard() {
            return Ok(()); // the self-hosted one may listen at once: a count proves nothing
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
            let what = path.display();
            self.progress
                .info(format!("removes {what}: an earlier run placed it, and the assets do not have it"));
            if remove_file(self.journal, &path, &[])? {
                self.progress.did(Act::file(Verb::Remove, &path));
            }
        }
        Ok(())
    }

    /// Removes what the bootstrap pods read.
    pub fn remove_secrets(&self) -> Result<(), Error> {
        let folder = Path::new(BOOTSTRAP_SECRETS);
        if remove_folder(self.journal, folder)? {
            self.progress.did(Act::file(Verb::Remove, folder));
        }
        Ok(())
    }

    fn remove_pod(&self, pod: &Placement) -> Result<(), Error> {
        if remove_file(self.journal, &pod.path, &pod.content)? {
            self.progress.did(Act::file(Verb::Remove, &pod.path));
        }
        Ok(())
    }
}

/// The administrator's kubeconfig, leading to `endpoint` under the same server name, and its path.
pub fn local_kubeconfig(plan: &Plan, endpoint: SocketAddr) -> Result<(PathBuf, Vec<u8>), Error> {
    let text = String::from_utf8_lossy(&plan.kubeconfig);
    let mut documents = yaml::parse(&text, "auth/kubeconfig")?;
    let mut kubeconfig = documents.pop().unwrap_or_default();
    for entry in kubeconfig["clusters"].as_array_mut().into_iter().flatten() {
        if let Value::Object(cluster) = &mut entry["cluster"] {
            cluster.insert("server".to_owned(), json!(format!("https://{endpoint}")));
            cluster.insert("tls-server-name".to_owned(), json!(connect::server_name(&plan.access)));
        }
    }
    Ok((Path::new(BOOTSTRAP_SECRETS).join(LOCAL_KUBECONFIG), yaml::write(&kubeconfig).into_bytes()))
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
