//! What a bootstrap has left on a machine whose journal is lost: only what shows by itself that it is bootkube's.
//!
//! A static pod does so by being the same to the byte as one of the assets, a folder of keys by bootkube's mark. A folder that somebody
//! else may read is left alone. That a control plane came to run itself shows nowhere for certain, and then etcd is its own: so etcd
//! and its keys are taken for a leftover only beside the bootstrap apiserver, and where nothing tells of another one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::host::files::failed;
use crate::host::static_pods;
use crate::journal::{ETCD_AUTHORITY, Line, Record, Role, State, Thing};
use crate::phase::{Error, on_port};
use crate::start::plan::{Placement, Plan};
use crate::{BOOTSTRAP_SECRETS, ETCD_KEYS};

/// Where things are on a machine.
pub struct Places {
    /// Kubelet's static pods.
    pub manifests: PathBuf,
    /// What the bootstrap pods read.
    pub secrets: PathBuf,
    /// What etcd reads.
    pub etcd_keys: PathBuf,
    /// Copies that the agent of a control plane keeps that runs itself.
    pub copies: PathBuf,
}

impl Places {
    /// Those of every machine, with static pods in `manifests`.
    pub fn with(manifests: &Path) -> Self {
        let copies = crate::checkpoint::store::Store::default().inactive;
        let (secrets, etcd_keys) = (BOOTSTRAP_SECRETS.into(), ETCD_KEYS.into());
        Self { manifests: manifests.to_owned(), secrets, etcd_keys, copies }
    }
}

/// What cannot be known without a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Whether any static pod is bootkube's: there are no assets to compare it with.
    NoAssets,
    /// Whose a static pod is that reads keys with bootkube's mark.
    Stranger {
        /// Its file.
        pod: PathBuf,
        /// What it reads.
        keys: PathBuf,
    },
    /// Whether etcd is that of a control plane that runs itself.
    Etcd,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAssets => f.write_str(
                "no static pod can be told to be bootkube's: give the assets that `start` had, by --asset-dir",
            ),
            Self::Stranger { pod, keys } => write!(
                f,
                "{} is not known to be bootkube's: it stays, and with it {}, which it reads",
                pod.display(),
                keys.display()
            ),
            Self::Etcd => f.write_str(
                "the control plane may have come to run itself, and etcd be its own: etcd's static pod and keys stay",
            ),
        }
    }
}

/// What is known to be bootkube's by `plan`, where there are assets to make one from, and what is not known.
pub fn find(plan: Option<Plan>, places: &Places) -> Result<(State, Vec<Doubt>), Error> {
    let mut doubts = if plan.is_none() { vec![Doubt::NoAssets] } else { Vec::new() };
    let has_several = match &plan {
        Some(plan) => on_port(plan.api_port())?.len() > 1,
        None => false,
    };
    let mut things = plan.map(own_pods).unwrap_or_default();
    for (folder, role) in [(&places.secrets, Role::BootstrapSecrets), (&places.etcd_keys, Role::EtcdKeys)] {
        if !static_pods::is_ours(folder) {
            continue;
        }
        let strangers = readers(folder, &things, places)?;
        if strangers.is_empty() {
            things.push(key_folder(folder, role));
        }
        doubts.extend(strangers.into_iter().map(|pod| Doubt::Stranger { pod, keys: folder.clone() }));
    }
    let is_unfinished = things.iter().any(|thing| thing.role == Role::BootstrapApiserver);
    if !is_unfinished || has_several || places.copies.exists() {
        let all = things.len();
        things.retain(|thing| thing.role.is_temporary());
        doubts.extend((things.len() < all).then_some(Doubt::Etcd));
    }
    let lines = things.into_iter().map(|thing| Line { at: String::new(), record: Record::Known(thing) });
    Ok((State::of(&lines.collect::<Vec<_>>()), doubts))
}

/// Static pods on the machine that are the same as those of `plan`, as it is where the kernel steers and where it does not.
fn own_pods(mut plan: Plan) -> Vec<Thing> {
    let same = |plan: &Plan| {
        let staying = plan.staying.iter().map(|pod| (pod, Role::StayingPod));
        let others = plan.others.iter().map(|pod| (pod, Role::BootstrapPod));
        let all = staying.chain(others).chain([(&plan.apiserver, Role::BootstrapApiserver)]);
        let is_there = |(pod, _): &(&Placement, Role)| static_pods::holds_key(&pod.path, &pod.content);
        all.filter(is_there).map(|(pod, role)| pod.thing(role)).collect::<Vec<_>>()
    };
    let mut things = same(&plan);
    plan.step_aside();
    things.extend(same(&plan));
    things
}

/// Static pods that may read `folder` and are none of `own`.
fn readers(folder: &Path, own: &[Thing], places: &Places) -> Result<Vec<PathBuf>, Error> {
    let unread = |source| static_pods::Error::File(failed("read", &places.manifests)(source));
    let name = folder.to_string_lossy();
    let mut found = Vec::new();
    for entry in places.manifests.read_dir().into_iter().flatten() {
        let path = entry.map_err(unread)?.path();
        let names_it = std::fs::read(&path).is_ok_and(|text| String::from_utf8_lossy(&text).contains(&*name));
        if names_it && own.iter().all(|thing| thing.path != path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A folder of keys with as much as has to be known of it: whose data etcd's folder holds.
fn key_folder(folder: &Path, role: Role) -> Thing {
    let authority = std::fs::read(folder.join(ETCD_AUTHORITY)).ok().filter(|_| role == Role::EtcdKeys);
    let files = authority.map(|authority| (ETCD_AUTHORITY.to_owned(), authority));
    Thing::folder(folder, role, &files.into_iter().collect::<BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::load::Layout;
    use crate::start::plan::tests::{kubeconfig, static_pod};

    fn apiserver(places: &Places) -> String {
        let secrets = places.secrets.display();
        let flags = "--bind-address=0.0.0.0, --permit-port-sharing=true, --secure-port=1";
        format!(
            "spec: {{containers: [{{command: [kube-apiserver, {flags}]}}], volumes: [{{hostPath: {{path: {secrets}}}}}]}}"
        )
    }

    fn etcd(places: &Places) -> String {
        let keys = places.etcd_keys.display();
        format!("spec: {{containers: [{{command: [etcd]}}], volumes: [{{hostPath: {{path: {keys}}}}}]}}")
    }

    fn plan(places: &Places) -> Plan {
        let layout = Layout {
            kubeconfig: kubeconfig(),
            bootstrap_manifests: vec![static_pod("bootstrap-apiserver.yaml", &apiserver(places))],
            controller_manifests: vec![static_pod("etcd.yaml", &etcd(places))],
            ..Layout::default()
        };
        Plan::new(layout, Path::new("/assets"), &places.manifests, None).unwrap()
    }

    /// A machine on which `start` was cut off.
    fn machine(folder: &Path) -> Places {
        let path = |name: &str| folder.join(name);
        let places = Places {
            manifests: path("manifests"),
            secrets: path("bootstrap-secrets"),
            etcd_keys: path("etcd"),
            copies: path("inactive-manifests"),
        };
        let keys = BTreeMap::from([(ETCD_AUTHORITY.to_owned(), b"CA".to_vec())]);
        static_pods::write_key_folder(&places.secrets, &BTreeMap::new()).unwrap();
        static_pods::write_key_folder(&places.etcd_keys, &keys).unwrap();
        let place = |name: &str, text: &str| {
            static_pods::place(&places.manifests.join(name), text.as_bytes()).unwrap();
        };
        place("bootstrap-apiserver.yaml", &apiserver(&places));
        place("etcd.yaml", &etcd(&places));
        place("foreign.yaml", "foreign");
        places
    }

    fn names(state: &State) -> Vec<String> {
        state.things.keys().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn with_the_assets_all_of_an_unfinished_bootstrap_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let places = machine(folder.path());
        let (state, doubts) = find(Some(plan(&places)), &places).unwrap();
        assert_eq!(doubts, []);
        assert_eq!(names(&state), ["bootstrap-secrets", "etcd", "bootstrap-apiserver.yaml", "etcd.yaml"]);
        assert!(state.etcd_authority.is_some() && !state.handed_over);
        assert!(state.has_placed(&places.manifests.join("etcd.yaml"), etcd(&places).as_bytes()));
        let mut aside = plan(&places);
        aside.step_aside();
        static_pods::place(&aside.apiserver.path, &aside.apiserver.content).unwrap();
        let (state, _) = find(Some(plan(&places)), &places).unwrap();
        assert_eq!(state.things.len(), 4, "as it is placed where the kernel does not steer");
    }

    #[test]
    fn without_the_assets_nothing_goes_that_a_static_pod_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let places = machine(folder.path());
        let (state, doubts) = find(None, &places).unwrap();
        assert!(state.things.is_empty(), "{state:?}");
        let stranger = |pod: &str, keys: &PathBuf| Doubt::Stranger {
            pod: places.manifests.join(pod),
            keys: keys.clone(),
        };
        let expected = [
            Doubt::NoAssets,
            stranger("bootstrap-apiserver.yaml", &places.secrets),
            stranger("etcd.yaml", &places.etcd_keys),
        ];
        assert_eq!(doubts, expected);
        std::fs::remove_file(places.manifests.join("bootstrap-apiserver.yaml")).unwrap();
        let (state, _) = find(None, &places).unwrap();
        assert_eq!(names(&state), ["bootstrap-secrets"], "nobody reads it");
    }

    #[test]
    fn a_pod_that_was_changed_stays_with_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let places = machine(folder.path());
        let pod = places.manifests.join("etcd.yaml");
        std::fs::write(&pod, etcd(&places) + "# changed").unwrap();
        let (state, doubts) = find(Some(plan(&places)), &places).unwrap();
        assert_eq!(names(&state), ["bootstrap-secrets", "bootstrap-apiserver.yaml"]);
        assert_eq!(doubts, [Doubt::Stranger { pod, keys: places.etcd_keys.clone() }]);
    }

    #[test]
    fn etcd_that_may_be_that_of_a_control_plane_that_runs_itself_stays() {
        let folder = tempfile::tempdir().unwrap();
        let places = machine(folder.path());
        std::fs::create_dir(&places.copies).unwrap();
        let (state, doubts) = find(Some(plan(&places)), &places).unwrap();
        assert_eq!(names(&state), ["bootstrap-secrets", "bootstrap-apiserver.yaml"]);
        assert_eq!(doubts, [Doubt::Etcd]);
        std::fs::remove_dir(&places.copies).unwrap();
        std::fs::remove_file(places.manifests.join("bootstrap-apiserver.yaml")).unwrap();
        let (state, doubts) = find(Some(plan(&places)), &places).unwrap();
        assert_eq!((names(&state), doubts), (vec!["bootstrap-secrets".to_owned()], vec![Doubt::Etcd]));
    }
}
