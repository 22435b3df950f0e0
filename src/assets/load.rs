//! Reads an asset directory for `start`: all of it, before anything on the machine is touched.
//!
//! Every mistake is found in one go. Directories of versions since v0.4 are read; those of other programs that look alike but
//! hold no self-hosted control plane are refused with the reason.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde_json::Value;

use super::object::Object;
use super::tree::{self, Hidden};
use super::write::STAGING;
use super::yaml::{self, Document};
use crate::config::{Finding, Findings};

/// Folders whose objects are applied, in this order.
const OBJECT_FOLDERS: [&str; 3] = ["manifests", "experimental/manifests", "manifests-networking"];

/// Everything `start` needs from an asset directory.
#[derive(Clone, Default)]
pub struct Layout {
    /// `auth/kubeconfig`: the administrator's.
    pub kubeconfig: Vec<u8>,
    /// Path under `tls/` to content.
    pub tls: BTreeMap<String, Vec<u8>>,
    /// Static pods that go away with the hand-over.
    pub bootstrap_manifests: Vec<StaticPod>,
    /// Static pods that stay.
    pub controller_manifests: Vec<StaticPod>,
    /// Objects to apply, in the order of their paths. See [`super::order::order`].
    pub objects: Vec<Object>,
    /// What is odd but no reason to stop, one line each.
    pub warnings: Vec<String>,
}

/// A static pod as it is in its file.
#[derive(Clone, PartialEq)]
pub struct StaticPod {
    /// Path under its folder, such as `bootstrap-apiserver.yaml`.
    pub path: String,
    /// The file byte for byte: what is placed.
    pub bytes: Vec<u8>,
    /// The same, parsed.
    pub value: Value,
}

impl StaticPod {
    /// What it is called in kubelet's folder.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Names and numbers only: contents are secret.
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

impl fmt::Debug for StaticPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

/// Reads the asset directory `dir`.
pub fn load(dir: &Path) -> Result<Layout, Findings> {
    let mut loader = Loader { dir, layout: Layout::default(), findings: Vec::new() };
    match dir.is_dir() {
        true => loader.load(),
        false => loader.find("--asset-dir", &dir.display().to_string(), "there is no such directory", RENDER),
    }
    match loader.findings.is_empty() {
        true => Ok(loader.layout),
        false => Err(Findings(loader.findings)),
    }
}

const RENDER: &str = "name a directory that `bootkube render` wrote";

struct Loader<'a> {
    dir: &'a Path,
    layout: Layout,
    findings: Vec<Finding>,
}

impl Loader<'_> {
    fn load(&mut self) {
        self.refuse_other_layouts();
        self.layout.kubeconfig = self.read("auth/kubeconfig").unwrap_or_default();
        for path in self.files("tls") {
            if let Some(content) = self.read(&path) {
                self.layout.tls.insert(below("tls", &path), content);
            }
        }
        self.layout.bootstrap_manifests = self.static_pods("bootstrap-manifests");
        self.layout.controller_manifests = self.static_pods("controller-manifests");
        for folder in OBJECT_FOLDERS {
            self.objects(folder);
        }
        self.warn();
    }

    fn refuse_other_layouts(&mut self) {
        let dir = self.dir.display().to_string();
        let has = |name: &str| self.dir.join(name).exists();
        let (bootstrap, static_pods, charts) =
            (has("bootstrap-manifests"), has("static-manifests"), has("charts"));
        if !bootstrap && static_pods {
            let problem = "its control plane is static pods (static-manifests/), not self-hosted: there is nothing to pivot to";
            self.find(
                "--asset-dir",
                &dir,
                problem,
                "let kubelet run those pods, or render the cluster with `bootkube render`",
            );
        } else if !bootstrap {
            self.find("--asset-dir", &dir, "it has no bootstrap-manifests/", RENDER);
        }
        if tree::names(self.dir).unwrap_or_default().iter().any(|name| name.starts_with(STAGING)) {
            self.find(
                "--asset-dir",
                &dir,
                "a render into it was interrupted",
                "run `bootkube render` again: it keeps every key",
            );
        }
        if charts {
            let problem = "its control plane is Helm charts (charts/), which bootkube does not install";
            self.find(
                "--asset-dir",
                &dir,
                problem,
                "render the charts into manifests/ with `helm template` and remove charts/",
            );
        }
    }

    fn warn(&mut self) {
        let has = |name: &str| self.dir.join(name).exists();
        if !has("manifests") {
            self.layout
                .warnings
                .push("there is no manifests/: nothing of a control plane is applied from there".to_owned());
        }
        for folder in OBJECT_FOLDERS.into_iter().skip(1).filter(|folder| has(folder)) {
            self.layout.warnings.push(format!("{folder}/ is applied too"));
        }
        if has("experimental/bootstrap-manifests") {
            let warning = "experimental/bootstrap-manifests/ (self-hosted etcd) is ignored: bootkube no longer supports it";
            self.layout.warnings.push(warning.to_owned());
        }
    }

    fn static_pods(&mut self, folder: &str) -> Vec<StaticPod> {
        let paths = self.files(folder);
        if paths.is_empty() && self.dir.join(folder).is_dir() {
            self.find(folder, "", "there is no static pod in it", RENDER);
        }
        let pods: Vec<_> = paths.into_iter().filter_map(|path| self.static_pod(folder, &path)).collect();
        self.refuse_one_name_twice(folder, &pods);
        pods
    }

    /// On the machine they are in one folder.
    fn refuse_one_name_twice(&mut self, folder: &str, pods: &[StaticPod]) {
        let mut seen = BTreeMap::new();
        for pod in pods {
            if let Some(other) = seen.insert(pod.file_name(), &pod.path) {
                let problem = format!("a static pod of the same name is in {folder}/{other}");
                self.find(&format!("{folder}/{}", pod.path), "", &problem, "rename one of the two");
            }
        }
    }

    fn static_pod(&mut self, folder: &str, path: &str) -> Option<StaticPod> {
        let bytes = self.read(path)?;
        let mut documents = self.parse(path, &bytes)?;
        match (documents.pop(), documents.is_empty()) {
            (Some(document), true) => {
                Some(StaticPod { path: below(folder, path), bytes, value: document.value })
            }
            _ => {
                self.find(
                    path,
                    "",
                    "it does not hold exactly one document",
                    "give each Pod a file: kubelet reads one per file",
                );
                None
            }
        }
    }

    fn objects(&mut self, folder: &str) {
        for path in self.files(folder) {
            let Some(bytes) = self.read(&path) else { continue };
            for document in self.parse(&path, &bytes).unwrap_or_default() {
                match Object::from_document(document, &path) {
                    Ok(objects) => self.layout.objects.extend(objects),
                    Err(findings) => self.findings.extend(findings),
                }
            }
        }
    }

    fn parse(&mut self, path: &str, bytes: &[u8]) -> Option<Vec<Document>> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
                self.find(
                    &format!("{path}:{line}"),
                    "",
                    "it is not UTF-8 text",
                    "save it as UTF-8, or remove it",
                );
                return None;
            }
        };
        match yaml::documents(text, path) {
            Ok(documents) => Some(documents),
            Err(yaml::Error { file, line, column, problem }) => {
                let place = format!("{file}:{line}:{column}");
                self.find(&place, "", &problem.to_string(), "correct the file, or remove it");
                None
            }
        }
    }

    fn files(&mut self, folder: &str) -> Vec<String> {
        tree::files(self.dir, folder, Hidden::Skip).unwrap_or_else(|error| {
            self.unreadable(folder, &error);
            Vec::new()
        })
    }

    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        tree::read(self.dir, path).map_err(|error| self.unreadable(path, &error)).ok()
    }

    fn unreadable(&mut self, path: &str, error: &tree::Error) {
        let problem = match error.source.kind() {
            std::io::ErrorKind::NotFound => "it is missing".to_owned(),
            _ => format!("it cannot be read: {}", error.source),
        };
        self.find(path, "", &problem, "make it readable, or render the directory again");
    }

    fn find(&mut self, field: &str, value: &str, problem: &str, cure: &str) {
        let (field, value, problem, cure) = (field.into(), value.into(), problem.into(), cure.into());
        self.findings.push(Finding { field, value, problem, cure });
    }
}

/// `path` without the folder it is in.
fn below(folder: &str, path: &str) -> String {
    path.strip_prefix(folder).unwrap_or(path).trim_start_matches('/').to_owned()
}
