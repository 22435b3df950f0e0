//! Reads what is linted: an asset directory, any directory of manifests, or a file.

use std::path::Path;

use super::finding::{Finding, Rule};
use crate::assets::load::object_folders;
use crate::assets::object::Object;
use crate::assets::static_pods::{self, StaticPod};
use crate::assets::tree::{self, Hidden};
use crate::assets::{duplicates, leftover, parse};
use crate::finding::{self, Findings};

/// Folders of static pods of an asset directory.
const STATIC_PODS: [&str; 2] = ["bootstrap-manifests", "controller-manifests"];
/// What kubectl reads of a directory.
const EXTENSIONS: [&str; 3] = [".yaml", ".yml", ".json"];
const CHART: &str = "Chart.yaml";

/// What was read.
#[derive(Default)]
pub struct Input {
    /// The objects.
    pub objects: Vec<Object>,
    /// Static pods of an asset directory.
    pub static_pods: Vec<Object>,
    /// Whether it is an asset directory.
    pub is_assets: bool,
    /// What was found while it was read.
    pub findings: Vec<Finding>,
}

/// Reads the directory or the file at `path`.
///
/// # Errors
/// What cannot be read or parsed.
pub fn read(path: &Path) -> Result<Input, Findings> {
    let mut reader = Reader { root: path, input: Input::default(), errors: Vec::new() };
    match path.is_file() {
        true => reader.file(),
        false => reader.directory(),
    }
    let Reader { mut input, errors, .. } = reader;
    if !errors.is_empty() {
        return Err(Findings(errors));
    }
    let twice = duplicates::pairs(&input.objects).into_iter().map(|(object, first)| {
        let reason = format!("it is in {}:{}, too, and start refuses both", first.file, first.line(""));
        Finding::new(Rule::Refused, object, "", reason, "remove one of the two, or give it another name")
    });
    input.findings.extend(twice.collect::<Vec<_>>());
    Ok(input)
}

struct Reader<'a> {
    root: &'a Path,
    input: Input,
    errors: Vec<finding::Finding>,
}

impl<'a> Reader<'a> {
    fn file(&mut self) {
        let name = self.root.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        self.root = self.root.parent().unwrap_or(self.root);
        self.objects(&name);
    }

    fn directory(&mut self) {
        let has = |name: &str| self.root.join(name).exists();
        self.input.is_assets = STATIC_PODS.iter().any(|folder| has(folder)) || has("auth/kubeconfig");
        match self.input.is_assets {
            true => self.assets(),
            false => self.manifests(),
        }
    }

    /// As `start` reads an asset directory.
    fn assets(&mut self) {
        for folder in object_folders(self.root) {
            self.manifests_of(&folder).iter().for_each(|path| self.objects(path));
        }
        STATIC_PODS.into_iter().for_each(|folder| self.static_pods(folder));
        let pods = self.input.static_pods.iter().map(|pod| {
            let (path, value) = (pod.file.clone(), pod.value.clone());
            (pod.file.clone(), StaticPod { path, bytes: Vec::new(), value })
        });
        let pods: Vec<(String, StaticPod)> = pods.collect();
        let pods: Vec<(String, &StaticPod)> = pods.iter().map(|(path, pod)| (path.clone(), pod)).collect();
        let collisions = static_pods::collisions(&pods).into_iter();
        let told = |found: finding::Finding| {
            Finding::of_file(Rule::Refused, &found.field, found.problem, found.cure)
        };
        self.input.findings.extend(collisions.map(told));
    }

    /// Files of a folder without leftovers, which `start` refuses.
    fn manifests_of(&mut self, folder: &str) -> Vec<String> {
        let mut files = self.files(folder);
        files.retain(|path| match leftover::origin(path) {
            None => true,
            Some(origin) => {
                let reason =
                    format!("by its name it is a backup or a leftover of {origin}, and start refuses it");
                let cure = "move it out of this folder, or give it a name that ends in .yaml";
                self.input.findings.push(Finding::of_file(Rule::Refused, path, reason, cure));
                false
            }
        });
        files
    }

    /// As `kubectl apply --recursive` reads a directory, but for what belongs to a chart.
    fn manifests(&mut self) {
        let files = self.files("");
        let folder = |path: &String| Some(path.strip_suffix(CHART)?.to_owned());
        let is_folder = |path: &String| path.is_empty() || path.ends_with('/');
        let charts: Vec<String> = files.iter().filter_map(folder).filter(is_folder).collect();
        for chart in &charts {
            let reason = "this is a chart: its templates are no objects, and were not looked at";
            let cure = "render it (`helm template NAME DIR > FILE`) and look at the output";
            self.input.findings.push(Finding::of_file(
                Rule::Template,
                &format!("{chart}{CHART}"),
                reason,
                cure,
            ));
        }
        // Of a chart only crds/ holds objects.
        let is_of_chart = |path: &&String| {
            charts
                .iter()
                .filter_map(|chart| path.strip_prefix(chart.as_str()))
                .any(|below| !below.starts_with("crds/"))
        };
        let is_read = |path: &&String| EXTENSIONS.iter().any(|end| path.ends_with(end));
        let read: Vec<&String> = files.iter().filter(is_read).filter(|path| !is_of_chart(path)).collect();
        read.into_iter().for_each(|path| self.objects(path));
    }

    fn objects(&mut self, path: &str) {
        let (objects, faults) = self.parsed(path);
        self.input.objects.extend(objects);
        self.input.findings.extend(faults);
    }

    fn static_pods(&mut self, folder: &'static str) {
        for path in self.manifests_of(folder) {
            let (pods, faults) = self.parsed(&path);
            let wrong = pods.iter().filter_map(|pod| {
                let mistake = static_pods::no_pod(&pod.value)?;
                Some(Finding::new(Rule::Refused, pod, "/kind", mistake.problem, mistake.cure))
            });
            self.input.findings.extend(wrong.chain(faults));
            if pods.len() > 1 {
                let cure = "give each Pod a file: kubelet reads one per file";
                let several = Finding::of_file(Rule::Refused, &path, "it holds more than one document", cure);
                self.input.findings.push(several);
            }
            self.input.static_pods.extend(pods);
        }
    }

    /// The objects of a file, and what `start` refuses of it.
    fn parsed(&mut self, path: &str) -> (Vec<Object>, Vec<Finding>) {
        let (mut objects, mut findings) = (Vec::new(), Vec::new());
        let Some(bytes) = self.content(path) else { return (objects, findings) };
        match parse::documents(path, &bytes) {
            Ok(documents) => {
                for document in documents {
                    let (found, faults) = Object::read(document, path);
                    objects.extend(found);
                    findings.extend(faults.into_iter().map(Finding::of_fault));
                }
            }
            Err(error) if parse::is_template(&bytes) => {
                findings.push(Finding::of_file(Rule::Template, path, error.problem, error.cure));
            }
            Err(error) => self.errors.push(error),
        }
        (objects, findings)
    }

    fn content(&mut self, path: &str) -> Option<Vec<u8>> {
        tree::read(self.root, path).map_err(|error| self.unreadable(&error)).ok()
    }

    fn files(&mut self, folder: &str) -> Vec<String> {
        let files = match folder.is_empty() && !self.root.exists() {
            true => {
                Err(tree::Error { path: self.root.to_owned(), source: std::io::ErrorKind::NotFound.into() })
            }
            false => tree::files(self.root, folder, Hidden::Skip),
        };
        files.unwrap_or_else(|error| {
            self.unreadable(&error);
            Vec::new()
        })
    }

    fn unreadable(&mut self, error: &tree::Error) {
        let path = error.path.display().to_string();
        let problem = format!("it cannot be read: {}", error.source);
        let cure = "name a directory or a file that this user may read";
        self.errors.push(finding::Finding {
            field: path,
            value: String::new(),
            problem,
            cure: cure.to_owned(),
        });
    }
}
