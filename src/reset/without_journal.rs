//! What a bootstrap left on a machine whose journal is lost: only what can be recognised as
//! bootkube's without the journal.
//!
//! A static pod is recognised if it is the same to the byte as one of the assets, and a folder of
//! keys if it has bootkube's mark. A folder that any other static pod may read stays. Without a
//! journal the control plane may be self-hosted, and then it needs etcd. So etcd and its keys count
//! as left behind only beside the bootstrap apiserver's file, and if nothing points to another
//! apiserver.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::error::Error;
use crate::host::files::failed;
use crate::host::static_pods;
use crate::journal::{ETCD_AUTHORITY, Line, Record, Role, State, Thing};
use crate::phase::on_port;
use crate::start::plan::{Placement, Plan};
use crate::yaml;
use crate::{BOOTSTRAP_SECRETS, ETCD_KEYS};

/// The folders of a machine that matter here.
pub struct Places {
    /// Kubelet's static pods.
    pub manifests: PathBuf,
    /// What the bootstrap pods read.
    pub secrets: PathBuf,
    /// What etcd reads.
    pub etcd_keys: PathBuf,
    /// Copies, which only the agent of a self-hosted control plane keeps.
    pub copies: PathBuf,
}

impl Places {
    /// The usual folders, with static pods in `manifests`.
    pub fn with(manifests: &Path) -> Self {
        let copies = crate::checkpoint::store::Store::default().inactive;
        let (secrets, etcd_keys) = (BOOTSTRAP_SECRETS.into(), ETCD_KEYS.into());
        Self { manifests: manifests.to_owned(), secrets, etcd_keys, copies }
    }
}

/// A question that `reset` cannot answer without a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Whether any static pod is bootkube's: there are no assets to compare it with.
    NoAssets,
    /// Whether a static pod that may read keys with bootkube's mark is bootkube's.
    Stranger {
        /// Its file.
        pod: PathBuf,
        /// The folder that it may read.
        keys: PathBuf,
    },
    /// Whether the control plane is self-hosted, and so needs etcd.
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
                "{} is not known to be bootkube's: it stays, and with it {}, which it may read",
                pod.display(),
                keys.display()
            ),
            Self::Etcd => f.write_str(
                "the control plane may already be self-hosted, with etcd as its static pod: etcd's static pod and keys stay",
            ),
        }
    }
}

/// What is recognised by `plan`, if there are assets to make one from, and what is not known.
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

/// Static pods on the machine that are the same as those of `plan`, as planned for a kernel that
/// steers or for one that does not.
fn own_pods(mut plan: Plan) -> Vec<Thing> {
    let same = |plan: &Plan| {
        let all = plan.staying.iter().chain(plan.temporary());
        let is_there = |pod: &&Placement| static_pods::holds_key(&pod.path, &pod.content);
        all.filter(is_there).map(Placement::thing).collect::<Vec<_>>()
    };
    let mut things = same(&plan);
    plan.step_aside();
    things.extend(same(&plan));
    things
}

/// Static pods that may read `folder` and are none of `own`.
///
/// # Errors
/// The folder of static pods, or one of them, cannot be read. Then the keys that it reads are
/// unknown, and none may be removed.
fn readers(folder: &Path, own: &[Thing], places: &Places) -> Result<Vec<PathBuf>, Error> {
    let entries = match places.manifests.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| unreadable(&places.manifests, error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(&places.manifests, error))?.path();
        if path.is_dir() || own.iter().any(|thing| thing.path == path) {
            continue; // kubelet ignores folders
        }
        let content = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
        if may_read(&String::from_utf8_lossy(&content), folder) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    static_pods::Error::File(failed("read", path)(source)).into()
}

/// Whether a static pod mounts `folder`, a part of it, or a folder around it. True if the pod
/// cannot be parsed.
fn may_read(manifest: &str, folder: &Path) -> bool {
    let Ok(documents) = yaml::parse(manifest, "") else { return true };
    let volumes = documents.iter().flat_map(|pod| pod["spec"]["volumes"].as_array().into_iter().flatten());
    let paths = volumes.filter_map(|volume| volume["hostPath"]["path"].as_str()).map(Path::new);
    let meets = |path: &Path| {
        let is_plain = path.components().all(|part| part != Component::ParentDir);
        !is_plain || path.starts_with(folder) || folder.starts_with(path)
    };
    paths.into_iter().any(meets)
}

/// A folder of keys, and the etcd CA by which the data in etcd's folder is known.
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
        assert_eq!(names(&state), ["bootstrap-secrets"], "no static pod reads it");
    }

    #[test]
    fn keys_stay_that_a_pod_reads_through_a_folder_around_them_or_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let places = machine(folder.path());
        let foreign = places.manifests.join("foreign.yaml");
        let around = folder.path().display();
        for manifest in [
            format!("spec: {{volumes: [{{hostPath: {{path: {around}}}}}]}}"),
            format!("spec: {{volumes: [{{hostPath: {{path: {around}/}}}}]}}"),
            format!("spec: {{volumes: [{{hostPath: {{path: {around}/x/../etcd}}}}]}}"),
            "{cannot be parsed".to_owned(),
        ] {
            std::fs::write(&foreign, &manifest).unwrap();
            let (state, _) = find(Some(plan(&places)), &places).unwrap();
            assert_eq!(names(&state), ["bootstrap-apiserver.yaml", "etcd.yaml"], "{manifest}");
        }
        std::fs::write(&foreign, "spec: {volumes: [{hostPath: {path: /var/lib/other}}]}").unwrap();
        assert_eq!(find(Some(plan(&places)), &places).unwrap().0.things.len(), 4);
    }

    #[test]
    fn where_static_pods_cannot_be_read_no_key_counts_as_a_leftover() {
        let folder = tempfile::tempdir().unwrap();
        let places = machine(folder.path());
        std::fs::remove_dir_all(&places.manifests).unwrap();
        std::fs::write(&places.manifests, "no folder").unwrap();
        assert!(find(None, &places).is_err(), "the folder cannot be listed");
        std::fs::remove_file(&places.manifests).unwrap();
        std::fs::create_dir(&places.manifests).unwrap();
        std::os::unix::fs::symlink("loop.yaml", places.manifests.join("loop.yaml")).unwrap();
        assert!(find(None, &places).is_err(), "a file cannot be read");
    }

    #[test]
    fn a_pod_that_was_changed_stays_with_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let places = machine(folder.path());
        let pod = places.manifests.join("etcd.yaml");
        std::fs::write(&pod, etcd(&places) + " # changed").unwrap();
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
