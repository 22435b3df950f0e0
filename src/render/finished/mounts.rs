//! The volumes of a pod and where its containers mount them.

use k8s_openapi::api::core::v1::{Container, PodSpec, Volume, VolumeMount};

use super::problem::{Contents, Part, Problem};
use crate::values::spelling::is_dns_label;

/// A volume in a container.
pub(super) struct Mounted<'s> {
    pub path: String,
    pub mount: &'s VolumeMount,
    pub volume: &'s Volume,
}

impl Mounted<'_> {
    /// Whether nothing can be written there.
    pub fn is_read_only(&self) -> bool {
        self.mount.read_only == Some(true) || self.volume.secret.is_some() || self.volume.config_map.is_some()
    }

    /// Whether it is a folder; `None` if only the machine knows.
    pub fn is_folder(&self) -> Option<bool> {
        if self.mount.sub_path.is_some() || self.mount.sub_path_expr.is_some() {
            return None;
        }
        let Some(host_path) = &self.volume.host_path else { return Some(true) };
        match host_path.type_.as_deref() {
            Some("Directory" | "DirectoryOrCreate") => Some(true),
            Some("File" | "FileOrCreate" | "Socket" | "CharDevice" | "BlockDevice") => Some(false),
            _ => None,
        }
    }

    /// The rendered Secret or ConfigMap that the volume shows as it is, and whether it has a file.
    pub fn lacks(&self, file: &str, contents: &Contents) -> Option<String> {
        let secret = self.volume.secret.as_ref().filter(|source| source.items.is_none());
        let secret = secret.and_then(|source| Some(("Secret", source.secret_name.clone()?)));
        let map = self.volume.config_map.as_ref().filter(|source| source.items.is_none());
        let key = secret.or_else(|| map.map(|source| ("ConfigMap", source.name.clone())))?;
        let whole = self.mount.sub_path.is_none() && self.mount.sub_path_expr.is_none();
        let missing = whole && !contents.get(&key)?.contains(file);
        missing.then(|| format!("{} {}", key.0, key.1))
    }
}

/// The path from the root on, with one slash between two names and none at its end.
pub(super) fn tidy(path: &str) -> String {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    format!("/{}", names.join("/"))
}

/// What stands below `folder` in `path`: empty for the folder itself.
pub(super) fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
}

/// The volume that holds `path` in a container: of several the one that is mounted deepest.
pub(super) fn holding<'s>(path: &str, container: &'s Container, spec: &'s PodSpec) -> Option<Mounted<'s>> {
    let holders = container
        .volume_mounts
        .iter()
        .flatten()
        .filter(|mount| below(path, &tidy(&mount.mount_path)).is_some());
    let mount = holders.max_by_key(|mount| tidy(&mount.mount_path).len())?;
    let volume = spec.volumes.iter().flatten().find(|volume| volume.name == mount.name)?;
    Some(Mounted { path: tidy(&mount.mount_path), mount, volume })
}

/// Volumes with names of their own, and mounts of volumes that are there, each in a place of its
/// own.
pub(super) fn check(spec: &PodSpec, contents: &Contents) -> Vec<Problem> {
    let names: Vec<&str> = spec.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    let mut found = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let part = || Part::VolumeName((*name).to_owned());
        if !is_dns_label(name) {
            let cure = "use lower-case letters, digits and dashes";
            found.push(Problem::new(part(), name, "is not a name of a volume", cure));
        } else if names[..at].contains(name) {
            let problem = "is the name of another volume of the pod";
            found.push(Problem::new(part(), name, problem, "give the volume a name of its own"));
        }
    }
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        found.extend(places(container, spec, &names, contents));
    }
    found
}

fn places(container: &Container, spec: &PodSpec, volumes: &[&str], contents: &Contents) -> Vec<Problem> {
    let mounts: Vec<&VolumeMount> = container.volume_mounts.iter().flatten().collect();
    let mut found = Vec::new();
    for (at, mount) in mounts.iter().enumerate() {
        let path = tidy(&mount.mount_path);
        let fault = if volumes.contains(&mount.name.as_str()) {
            taken(&path, &mounts[..at]).or_else(|| {
                let missing = inside(&path, mount, container, spec, contents)?;
                Some((format!("is inside of the {missing}, which has no place for a mount"), ELSEWHERE))
            })
        } else {
            let problem = format!("is where {} is mounted, but the pod has no such volume", mount.name);
            Some((problem, "add the volume"))
        };
        if let Some((problem, cure)) = fault {
            found.push(Problem::new(Part::MountPath(path.clone()), &path, problem, cure));
        }
    }
    found
}

const ELSEWHERE: &str = "mount the volume in a place of its own";

/// Whether a path is free beside earlier mounts.
fn taken(path: &str, earlier: &[&VolumeMount]) -> Option<(String, &'static str)> {
    if path == "/" {
        return Some((
            "would hide the component's own program".into(),
            "mount the volume at a folder of its own",
        ));
    }
    let first = earlier.iter().find(|mount| tidy(&mount.mount_path) == path)?;
    Some((format!("is taken: the volume {} is mounted there", first.name), ELSEWHERE))
}

/// The Secret or ConfigMap inside of whose volume a path is. The runtime cannot make a folder there.
fn inside(
    path: &str,
    mount: &VolumeMount,
    container: &Container,
    spec: &PodSpec,
    contents: &Contents,
) -> Option<String> {
    let others = container.volume_mounts.iter().flatten().filter(|other| other.name != mount.name);
    let outer = Container { volume_mounts: Some(others.cloned().collect()), ..Container::default() };
    let holder = holding(path, &outer, spec)?;
    let file = below(path, &holder.path)?;
    holder.lacks(file.split('/').next()?, contents)
}
