//! Reads an asset directory for `start`, as a whole, before anything on the machine is changed.
//!
//! Every mistake is reported at once. Directories of every version since v0.4 are read. Directories
//! of other programs that look alike but hold no self-hosted control plane are refused, with the
//! reason.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fmt, fs, io};

use serde_json::Value;

use super::kinds::Mistake;
use super::object::Object;
pub use super::static_pods::StaticPod;
use super::static_pods::{collisions, no_pod};
use super::tree::{self, Hidden};
use super::write::STAGING;
use super::{chart, duplicates, leftover, parse};
use crate::finding::{Finding, Findings};
use crate::yaml::Document;

/// The folder whose objects are applied.
const MANIFESTS: &str = "manifests";
/// Prefix of further folders, which Typhoon's wrapper moved into `manifests/` before `start`.
const MOVED_BY_WRAPPERS: &str = "manifests-";

/// Everything `start` needs from an asset directory.
#[derive(Clone, Default)]
pub struct Layout {
    /// `auth/kubeconfig`: the administrator's.
    pub kubeconfig: Vec<u8>,
    /// Path under `tls/` to content.
    pub tls: BTreeMap<String, Vec<u8>>,
    /// Static pods that the hand-over removes.
    pub bootstrap_manifests: Vec<StaticPod>,
    /// Static pods that stay.
    pub controller_manifests: Vec<StaticPod>,
    /// Objects to apply, in the order of their paths. See [`super::order::order`].
    pub objects: Vec<Object>,
    /// Oddities that are no reason to stop, one line each.
    pub warnings: Vec<String>,
}

/// Shows names only: the contents are secret.
impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kubeconfig: _, tls, bootstrap_manifests, controller_manifests, objects, warnings } = self;
        f.debug_struct("Layout")
            .field("tls", &tls.keys())
            .field("bootstrap_manifests", bootstrap_manifests)
            .field("controller_manifests", controller_manifests)
            .field("objects", objects)
            .field("warnings", warnings)
            .finish_non_exhaustive()
    }
}

/// Reads the asset directory `dir`.
pub fn load(dir: &Path) -> Result<Layout, Findings> {
    let mut loader = Loader { dir, layout: Layout::default(), findings: Vec::new() };
    match fs::read_dir(dir) {
        Ok(_) => loader.load(),
        Err(error) if is_missing(&error) => {
            loader.find_about_directory("there is no such directory", RENDER);
        }
        Err(error) => loader.find_about_directory(&format!("it cannot be read: {error}"), readable(&error)),
    }
    match loader.findings.is_empty() {
        true => Ok(loader.layout),
        false => Err(Findings(loader.findings)),
    }
}

/// Folders of the asset directory `dir` whose objects are applied, in order.
pub fn object_folders(dir: &Path) -> Vec<String> {
    let names = tree::names(dir).unwrap_or_default(); // one that cannot be listed has none
    let is_moved = |name: &String| name.starts_with(MOVED_BY_WRAPPERS) && dir.join(name).is_dir();
    let beside = names.into_iter().filter(is_moved);
    [MANIFESTS, "experimental/manifests"].map(str::to_owned).into_iter().chain(beside).collect()
}

/// Whether this user lacks the right to read `dir`, or a file in it.
pub fn is_forbidden(dir: &Path) -> bool {
    let is_denied = |error: &tree::Error| error.source.kind() == io::ErrorKind::PermissionDenied;
    match tree::files(dir, "", Hidden::Skip) {
        Ok(files) => files.iter().any(|file| tree::read(dir, file).is_err_and(|error| is_denied(&error))),
        Err(error) => is_denied(&error),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What makes a file or directory readable.
fn readable(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "run bootkube as root (sudo): rendered files are readable by their owner alone"
        }
        _ => "make it readable, or render the directory again",
    }
}

const STATIC_PODS: &str =
    "its control plane is static pods (static-manifests/), not self-hosted: there is nothing to pivot to";
const CHARTS: &str = "its control plane is Helm charts (charts/), which bootkube does not install";
const OBJECTS_ALONE: &str = "it holds only objects, for a control plane that runs already; without bootstrap-manifests/ none can be started";
/// Folders of a self-hosted layout that are ignored, and why.
const IGNORED: [(&str, &str); 2] = [
    ("experimental/bootstrap-manifests", "self-hosted etcd is no longer supported"),
    ("static-manifests", "the control plane to start with is bootstrap-manifests/"),
];
const RENDER: &str = "name a directory that `bootkube render` wrote";

struct Loader<'a> {
    dir: &'a Path,
    layout: Layout,
    findings: Vec<Finding>,
}

impl Loader<'_> {
    fn load(&mut self) {
        self.refuse_half_a_render();
        if self.is_of_another_layout() {
            return;
        }
        self.layout.kubeconfig = self.read("auth/kubeconfig").unwrap_or_default();
        for path in self.files("tls") {
            if let Some(content) = self.read(&path) {
                self.layout.tls.insert(below("tls", &path), content);
            }
        }
        self.layout.bootstrap_manifests = self.static_pods("bootstrap-manifests");
        self.layout.controller_manifests = self.static_pods("controller-manifests");
        self.refuse_collisions();
        self.warn();
        for folder in object_folders(self.dir) {
            self.objects(&folder);
        }
        self.findings.extend(duplicates::find(&self.layout.objects));
    }

    /// Refuses a directory without a self-hosted control plane. That reason is enough: whatever
    /// else is missing is not reported.
    fn is_of_another_layout(&mut self) -> bool {
        let (problem, cure) = match () {
            () if self.has("charts") => {
                (CHARTS, "render the charts into manifests/ with `helm template` and remove charts/")
            }
            () if self.has("bootstrap-manifests") => return false,
            () if self.has("static-manifests") => {
                (STATIC_PODS, "let kubelet run those pods, or render the cluster with `bootkube render`")
            }
            () if self.has("auth/kubeconfig") => ("it has no bootstrap-manifests/", RENDER),
            () if self.has(MANIFESTS) => {
                (OBJECTS_ALONE, "apply them with kubectl apply -R -f manifests/, or name the whole directory")
            }
            () => ("it has no bootstrap-manifests/", RENDER),
        };
        self.find_about_directory(problem, cure);
        true
    }

    fn refuse_half_a_render(&mut self) {
        if tree::names(self.dir).unwrap_or_default().iter().any(|name| name.starts_with(STAGING)) {
            self.find_about_directory(
                "a render into it was interrupted",
                "run `bootkube render` again: it keeps every key",
            );
        }
    }

    /// Whether there is such an entry. One that cannot be looked at is there, and reading it says
    /// why not.
    fn has(&self, name: &str) -> bool {
        self.dir.join(name).try_exists().unwrap_or(true)
    }

    fn warn(&mut self) {
        let mut warnings = Vec::new();
        if !self.has(MANIFESTS) {
            warnings.push("there is no manifests/: no object of a control plane is applied".to_owned());
        }
        let applied = object_folders(self.dir).into_iter().skip(1).filter(|folder| self.has(folder));
        warnings.extend(applied.map(|folder| format!("{folder}/ is applied too")));
        for (folder, why) in IGNORED.into_iter().filter(|(folder, _)| self.has(folder)) {
            warnings.push(format!("{folder}/ is ignored: {why}"));
        }
        self.layout.warnings = warnings;
    }

    fn static_pods(&mut self, folder: &str) -> Vec<StaticPod> {
        let seen = self.findings.len();
        let paths = self.manifests(folder);
        let is_read = self.findings.len() == seen;
        if is_read && paths.is_empty() && self.dir.join(folder).is_dir() {
            self.find(folder, "", "there is no static pod in it", RENDER);
        }
        paths.into_iter().filter_map(|path| self.static_pod(folder, &path)).collect()
    }

    /// Static pods of both folders are placed in kubelet's one folder.
    fn refuse_collisions(&mut self) {
        let Layout { bootstrap_manifests, controller_manifests, .. } = &self.layout;
        let bootstrap =
            bootstrap_manifests.iter().map(|pod| (format!("bootstrap-manifests/{}", pod.path), pod));
        let controller =
            controller_manifests.iter().map(|pod| (format!("controller-manifests/{}", pod.path), pod));
        self.findings.extend(collisions(&bootstrap.chain(controller).collect::<Vec<_>>()));
    }

    fn static_pod(&mut self, folder: &str, path: &str) -> Option<StaticPod> {
        let bytes = self.read(path)?;
        let documents = self.parse(path, &bytes)?;
        if documents.len() > 1 {
            let cure = "give each Pod a file: kubelet reads one per file";
            self.find(path, "", "it holds more than one document", cure);
            return None;
        }
        let value = documents.into_iter().next().map_or(Value::Null, |document| document.value);
        match no_pod(&value) {
            None => Some(StaticPod { path: below(folder, path), bytes, value }),
            Some(Mistake { problem, cure }) => {
                self.find(path, "", &problem, &cure);
                None
            }
        }
    }

    fn objects(&mut self, folder: &str) {
        for path in self.rendered(folder) {
            let before = (self.layout.objects.len(), self.findings.len());
            let Some(bytes) = self.read(&path) else { continue };
            for document in self.parse(&path, &bytes).unwrap_or_default() {
                match Object::from_document(document, &path) {
                    Ok(objects) => self.layout.objects.extend(objects),
                    Err(findings) => self.findings.extend(findings),
                }
            }
            if (self.layout.objects.len(), self.findings.len()) == before {
                self.layout.warnings.push(format!("{path} holds no object"));
            }
        }
    }

    /// Manifests without charts, which are refused.
    fn rendered(&mut self, folder: &str) -> Vec<String> {
        let mut files = self.manifests(folder);
        for chart in chart::among(&files) {
            files.retain(|path| !chart::is_of(path, &chart));
            let Mistake { problem, cure } = chart::mistake();
            self.find(&chart, "", &problem, &cure);
        }
        files
    }

    fn parse(&mut self, path: &str, bytes: &[u8]) -> Option<Vec<Document>> {
        parse::documents(path, bytes).map_err(|finding| self.findings.push(finding)).ok()
    }

    /// Files that are read. Hidden ones are not.
    fn files(&mut self, folder: &str) -> Vec<String> {
        tree::files(self.dir, folder, Hidden::Skip).unwrap_or_else(|error| {
            self.unreadable(folder, &error);
            Vec::new()
        })
    }

    /// The same without leftovers, which are refused.
    fn manifests(&mut self, folder: &str) -> Vec<String> {
        let mut files = self.files(folder);
        files.retain(|path| match leftover::origin(path) {
            None => true,
            Some(origin) => {
                let problem = match self.has(&origin) {
                    true => format!("by its name it is a backup or a leftover of {origin}"),
                    false => "by its name it is a backup or a leftover, and no manifest".to_owned(),
                };
                let cure = "move it out of this folder, or give it a name that ends in .yaml";
                self.find(path, "", &problem, cure);
                false
            }
        });
        files
    }

    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        tree::read(self.dir, path).map_err(|error| self.unreadable(path, &error)).ok()
    }

    fn unreadable(&mut self, path: &str, error: &tree::Error) {
        // A file that another render would not bring back is the user's own.
        let cure = match error.source.kind() {
            io::ErrorKind::PermissionDenied => readable(&error.source),
            _ if path.starts_with("manifests/") => "correct it, or remove it",
            _ => readable(&error.source),
        };
        let problem = match (error.source.kind(), fs::read_link(self.dir.join(path))) {
            (io::ErrorKind::NotFound, Ok(to)) => {
                format!("it is a link to {}, which is missing", to.display())
            }
            (io::ErrorKind::NotFound, Err(_)) => "it is missing".to_owned(),
            _ => format!("it cannot be read: {}", error.source),
        };
        self.find(path, "", &problem, cure);
    }

    fn find_about_directory(&mut self, problem: &str, cure: &str) {
        self.find("--asset-dir", &self.dir.display().to_string(), problem, cure);
    }

    fn find(&mut self, field: &str, value: &str, problem: &str, cure: &str) {
        let (field, value, problem, cure) = (field.into(), value.into(), problem.into(), cure.into());
        self.findings.push(Finding { field, value, problem, cure });
    }
}

/// `path` relative to `folder`.
fn below(folder: &str, path: &str) -> String {
    path.strip_prefix(folder).unwrap_or(path).trim_start_matches('/').to_owned()
}
