//! Flags that name files which the container does not have, or cannot write.

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::mounts::{Mounted, below, holding, tidy};
use super::problem::{Part, Problem, Subject};
use crate::assets::command;
use crate::limits::files::{self, Names};

/// Places that every container has, with what kubelet puts there.
const EVERYWHERE: [&str; 7] = [
    "/dev",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/proc",
    "/sys",
    "/var/run/secrets/kubernetes.io/serviceaccount",
];

/// A path of a flag in a container of a pod.
struct Path<'p> {
    subject: &'p Subject<'p>,
    pod: &'p str,
    spec: &'p PodSpec,
    container: &'p Container,
    names: Names,
    path: &'p str,
}

/// Every path in the flags of the container `main`.
pub(super) fn check(subject: &Subject<'_>, pod: &str, spec: &PodSpec, main: &str) -> Vec<Problem> {
    let component = subject.component.name();
    let mut found = Vec::new();
    for container in spec.containers.iter().filter(|container| container.name == main) {
        for (flag, value) in flags(container) {
            let flag = flag.replace('_', "-"); // as Kubernetes reads it
            let Some(names) = files::names(component, &flag) else { continue };
            for path in names.paths(value) {
                let path = Path { subject, pod, spec, container, names, path };
                if let Some((problem, cure)) = path.fault() {
                    found.push(Problem::new(Part::Flag(flag.clone()), path.path, problem, cure));
                }
            }
        }
    }
    found
}

/// Flags with their values, in both forms.
fn flags<'c>(container: &'c Container) -> Vec<(&'c str, &'c str)> {
    let words: Vec<&'c str> =
        container.command.iter().chain(&container.args).flatten().map(String::as_str).collect();
    let flag = |(at, word): (usize, &&'c str)| {
        let (flag, given) = command::split(word)?;
        Some((flag, given.or_else(|| words.get(at + 1).copied())?))
    };
    words.iter().enumerate().filter_map(flag).collect()
}

impl Path<'_> {
    /// What is wrong with the path, and the cure.
    fn fault(&self) -> Option<(String, String)> {
        let problem =
            "is not a path from the root on, and the component looks for it in the folder it is started in";
        if !self.path.starts_with('/') {
            return Some((problem.into(), format!("write the whole path, and {}", self.mount(true))));
        }
        match holding(&tidy(self.path), self.container, self.spec) {
            Some(holder) => self.fault_below(&holder),
            None => self.fault_without_mount(),
        }
    }

    fn fault_without_mount(&self) -> Option<(String, String)> {
        let anywhere = EVERYWHERE.iter().any(|place| below(self.path, place).is_some());
        let act = if self.names.is_written() { "write" } else { "find" };
        let problem = format!("is below no mount of {}: the component could not {act} it", self.pod);
        let may_be_in_image = self.subject.has_own_image && !self.names.is_written();
        (!anywhere && !may_be_in_image && !self.is_writable()).then(|| (problem, self.mount(true)))
    }

    fn fault_below(&self, holder: &Mounted<'_>) -> Option<(String, String)> {
        let Self { pod, names, path, .. } = self;
        let at = &holder.path;
        if names.is_written() && holder.is_read_only() {
            return Some((
                format!("is below {at}, which is mounted read-only into {pod}"),
                self.mount(false),
            ));
        }
        let path = tidy(path);
        let file = below(&path, at).unwrap_or_default();
        match holder.is_folder() {
            Some(true) if file.is_empty() && *names != Names::Folder => {
                Some((format!("is a folder of {pod}"), "name a file in it".into()))
            }
            Some(false) if !file.is_empty() => {
                let cure = format!("write {at}, or {}", self.mount(true));
                Some((format!("is below {at}, which is a file in {pod}"), cure))
            }
            _ if names.is_written() => None,
            _ => holder.lacks(file, self.subject.contents).map(|missing| {
                (format!("is no file of the {missing}, which is mounted at {at}"), self.mount(true))
            }),
        }
    }

    /// Whether the component may write there although nothing is mounted.
    fn is_writable(&self) -> bool {
        let context = self.container.security_context.as_ref();
        self.names.is_written() && context.and_then(|context| context.read_only_root_filesystem) != Some(true)
    }

    /// How to mount what is missing: a written file by its folder.
    fn mount(&self, is_new: bool) -> String {
        let volumes = format!("components.{}.extraVolumes", self.subject.component.name());
        let written = if self.names.is_written() { ", readOnly: false" } else { "" };
        let folder = match self.names {
            Names::Written => self.path.rsplit_once('/').map_or("", |(folder, _)| folder),
            _ => self.path,
        };
        match folder {
            _ if !self.path.starts_with('/') => format!("mount the file with {volumes}"),
            "" => {
                format!("write to a folder of its own, and mount that with {volumes} and `readOnly: false`")
            }
            _ if is_new => format!(
                "mount it: {volumes}: [{{name: NAME, hostPath: {folder}, mountPath: {folder}{written}}}]"
            ),
            _ => format!("write `readOnly: false` for that volume ({volumes}), or write to another folder"),
        }
    }
}
