//! Volumes: those that the API fills become folders of this machine, and those that it must attach
//! are refused.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, PodSpec,
    ProjectedVolumeSource, Secret, Volume, VolumeProjection,
};
use kube::ResourceExt as _;

use super::draft::{Draft, Note};
use super::env;
use super::folder::{Folder, Reader};

/// Volumes that kubelet mounts without the API: from this machine or from a file server.
const LOCAL: [&str; 7] = ["emptyDir", "hostPath", "image", "downwardAPI", "nfs", "iscsi", "fc"];
/// Mode of files of a volume that names none.
const DEFAULT_MODE: i32 = 0o644;
/// The API gives this prefix to the volume with the token that it mounts by itself.
const UNASKED: &str = "kube-api-access-";

/// Path below a volume, to content and the mode that the pod asks for.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// Gathers the files of every volume that the API fills. [`place`] then mounts them.
pub fn local(draft: &mut Draft, spec: &mut PodSpec) {
    let mut volumes = spec.volumes.take().unwrap_or_default();
    let unasked: BTreeSet<String> =
        volumes.iter().filter(|volume| is_unasked_token(volume)).map(|volume| volume.name.clone()).collect();
    if !unasked.is_empty() {
        draft.note(Note::NoToken);
        volumes.retain(|volume| !unasked.contains(&volume.name));
        each_container(spec, |container| drop_mounts(container, &unasked));
    }
    for volume in &volumes {
        if let Some(files) = files_of(draft, volume) {
            let reader = Reader::of(draft.pod, spec, &volume.name);
            if matches!(reader, Reader::Unknown { .. }) {
                draft.note(Note::UnknownReader { volume: volume.name.clone() });
            }
            draft.folders.insert(volume.name.clone(), reader.folder(files));
        }
    }
    spec.volumes = (!volumes.is_empty()).then_some(volumes);
    let folders = &draft.folders;
    // The revision depends on these files, not on where they came from or where they will be.
    place(spec, folders, "");
}

/// Points the volumes of `folders` to folders below `root`.
pub fn place(spec: &mut PodSpec, folders: &BTreeMap<String, Folder>, root: &str) {
    for volume in spec.volumes.iter_mut().flatten().filter(|volume| folders.contains_key(&volume.name)) {
        let path = format!("{root}/{}", volume.name);
        let host_path = HostPathVolumeSource { path, type_: Some("Directory".to_owned()) };
        *volume = Volume { name: volume.name.clone(), host_path: Some(host_path), ..Volume::default() };
    }
    each_container(spec, |container| {
        let mounts = container.volume_mounts.iter_mut().flatten();
        mounts
            .filter(|mount| folders.contains_key(&mount.name))
            .for_each(|mount| mount.read_only = Some(true));
    });
}

fn each_container(spec: &mut PodSpec, mut act: impl FnMut(&mut Container)) {
    spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(&mut act);
}

fn drop_mounts(container: &mut Container, volumes: &BTreeSet<String>) {
    if let Some(mounts) = &mut container.volume_mounts {
        mounts.retain(|mount| !volumes.contains(&mount.name));
    }
}

/// Whether this is the volume with the token that every pod gets unless it opts out.
pub fn is_unasked_token(volume: &Volume) -> bool {
    let sources = volume.projected.as_ref().and_then(|projected| projected.sources.as_ref());
    volume.name.starts_with(UNASKED)
        && sources.into_iter().flatten().any(|source| source.service_account_token.is_some())
}

/// The files of a volume that the API fills. `None` for a volume that kubelet mounts by itself, or
/// that is refused.
fn files_of(draft: &mut Draft, volume: &Volume) -> Option<Files> {
    let mut files = Filling { draft, volume: &volume.name, mode: DEFAULT_MODE, files: Files::new() };
    if let Some(source) = &volume.secret {
        files.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        files.secret(
            source.secret_name.as_deref().unwrap_or_default(),
            source.items.as_deref(),
            source.optional,
        );
    } else if let Some(source) = &volume.config_map {
        files.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        files.config_map(&source.name, source.items.as_deref(), source.optional);
    } else if let Some(source) = &volume.projected {
        return files.projected(source);
    } else if let Some(source) = &volume.downward_api {
        files.mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let items = source.items.as_deref().unwrap_or_default();
        if is_kubelets(items) {
            return None;
        }
        files.downward(items);
    } else {
        check_local(draft, volume);
        return None;
    }
    Some(files.files)
}

/// Refuses a volume that needs the API, by its kind.
fn check_local(draft: &mut Draft, volume: &Volume) {
    let value = serde_json::to_value(volume).expect("invariant: Kubernetes objects have string keys");
    let kind =
        value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).find(|key| *key != "name");
    let secret = volume.iscsi.as_ref().is_some_and(|source| source.secret_ref.is_some());
    match kind {
        Some(kind) if secret || !LOCAL.contains(&kind) => {
            draft.problem(format!("volume `{}` ({kind}) needs the API", volume.name));
        }
        _ => {}
    }
}

/// Whether kubelet fills these for a copy as it does for its pod.
fn is_kubelets(items: &[DownwardAPIVolumeFile]) -> bool {
    let own = |item: &DownwardAPIVolumeFile| {
        let field = item.field_ref.as_ref().map_or("", |field| field.field_path.as_str());
        ["metadata.name", "metadata.uid"].contains(&field) || field.starts_with("metadata.annotations")
    };
    !items.iter().any(own)
}

/// A volume while its files are gathered.
struct Filling<'f, 'd> {
    draft: &'f mut Draft<'d>,
    volume: &'f str,
    mode: i32,
    files: Files,
}

impl Filling<'_, '_> {
    fn problem(&mut self, text: &str) {
        self.draft.problem(format!("volume `{}`: {text}", self.volume));
    }

    fn secret(&mut self, name: &str, items: Option<&[KeyToPath]>, optional: Option<bool>) {
        let entries = self.draft.sources.secrets.get(name).map(secret_files);
        self.object("Secret", name, entries, items, optional == Some(true));
    }

    fn config_map(&mut self, name: &str, items: Option<&[KeyToPath]>, optional: Option<bool>) {
        let entries = self.draft.sources.config_maps.get(name).map(config_files);
        self.object("ConfigMap", name, entries, items, optional == Some(true));
    }

    fn object(
        &mut self,
        kind: &str,
        name: &str,
        entries: Option<BTreeMap<String, Vec<u8>>>,
        items: Option<&[KeyToPath]>,
        optional: bool,
    ) {
        let Some(entries) = entries else {
            if !optional {
                self.problem(&format!("{kind} `{name}` does not exist"));
            }
            return;
        };
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            entries.into_iter().for_each(|(key, bytes)| self.add(&key, None, bytes));
            return;
        };
        for item in items {
            match entries.get(&item.key) {
                Some(bytes) => self.add(&item.path, item.mode, bytes.clone()),
                None if optional => {}
                None => self.problem(&format!("{kind} `{name}` has no `{}`", item.key)),
            }
        }
    }

    fn projected(mut self, projected: &ProjectedVolumeSource) -> Option<Files> {
        self.mode = projected.default_mode.unwrap_or(DEFAULT_MODE);
        let sources = projected.sources.as_deref().unwrap_or_default();
        let kubelets = |source: &VolumeProjection| {
            source
                .downward_api
                .as_ref()
                .is_some_and(|it| is_kubelets(it.items.as_deref().unwrap_or_default()))
        };
        if sources.iter().all(kubelets) {
            return None;
        }
        sources.iter().for_each(|source| self.projection(source));
        Some(self.files)
    }

    fn projection(&mut self, source: &VolumeProjection) {
        let VolumeProjection {
            cluster_trust_bundle,
            config_map,
            downward_api,
            pod_certificate,
            secret,
            service_account_token,
        } = source;
        if let Some(source) = secret {
            self.secret(&source.name, source.items.as_deref(), source.optional);
        }
        if let Some(source) = config_map {
            self.config_map(&source.name, source.items.as_deref(), source.optional);
        }
        if let Some(source) = downward_api {
            self.downward(source.items.as_deref().unwrap_or_default());
        }
        if service_account_token.is_some() {
            self.problem("a service account token is issued by the API, and expires; give the pod a client certificate");
        }
        if cluster_trust_bundle.as_ref().is_some_and(|bundle| bundle.optional != Some(true)) {
            self.problem("a cluster trust bundle is the API's; use a ConfigMap");
        }
        if pod_certificate.is_some() {
            self.problem("a pod certificate is issued by the API; use a Secret");
        }
    }

    fn downward(&mut self, items: &[DownwardAPIVolumeFile]) {
        for item in items {
            let field = item.field_ref.as_ref().map(|field| field.field_path.as_str());
            match field.and_then(|field| self.field(field)) {
                Some(value) => self.add(&item.path, item.mode, value.into_bytes()),
                None => self.problem(&format!(
                    "`{}` is computed by kubelet and cannot stand in one volume with what the API knows",
                    item.path
                )),
            }
        }
    }

    fn field(&self, field: &str) -> Option<String> {
        let pod = self.draft.pod;
        match field {
            "metadata.namespace" => pod.namespace(),
            "metadata.labels" => Some(env::pairs(pod.labels())),
            _ => env::identity(pod, field).or_else(|| {
                let key = field.strip_prefix("metadata.labels['")?.strip_suffix("']")?;
                Some(pod.labels().get(key).cloned().unwrap_or_default())
            }),
        }
    }

    /// Checks the path although the API did, because the agent writes the file as root.
    fn add(&mut self, path: &str, mode: Option<i32>, bytes: Vec<u8>) {
        if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return self.problem(&format!("`{path}` is not a path below the volume"));
        }
        let mode = u32::try_from(mode.unwrap_or(self.mode)).unwrap_or_default() & 0o777;
        self.files.insert(path.to_owned(), (mode, bytes));
    }
}

fn secret_files(secret: &Secret) -> BTreeMap<String, Vec<u8>> {
    secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone())).collect()
}

fn config_files(map: &ConfigMap) -> BTreeMap<String, Vec<u8>> {
    let text = map.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
    text.chain(map.binary_data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()))).collect()
}
