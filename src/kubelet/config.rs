//! kubelet's configuration as kubelet itself resolves it: flags over drop-ins over the file.
//!
//! In the file named by `--config` a relative path begins at that file's folder. In a drop-in and in a flag it
//! begins at kubelet's working folder (`cmd/kubelet/app/server.go`, `pkg/kubelet/kubeletconfig/configfiles`).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::assets::command::{flag, is_named, split};
use crate::host::programs::Program;
use crate::host::rooted;
use crate::yaml;

/// Fields that hold a path, in the form in which [`Config::get`] takes them.
const PATHS: [&str; 3] = ["staticPodPath", "authentication.x509.clientCAFile", "resolvConf"];
/// Where the packages of kubelet expect the configuration.
pub const USUAL: &str = "/var/lib/kubelet/config.yaml";

/// The files of a configuration, in the order in which they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    files: Vec<(String, Value)>,
    merged: Value,
}

impl Config {
    /// Of one file.
    pub fn of(file: &str, value: Value) -> Self {
        Self { files: vec![(file.to_owned(), value.clone())], merged: value }
    }

    /// Reads what the command line of `process` names.
    pub fn read(process: &Program) -> Result<Self, String> {
        if let Err(error) = fs::metadata(process.root().join(".")) {
            return Err(format!("the files of process {} cannot be seen: {error}", process.pid));
        }
        let mut config = Self { files: Vec::new(), merged: Value::Object(serde_json::Map::new()) };
        let named = |name: &str| flag(words(process), name).filter(|path| !path.is_empty());
        if let Some(file) = named("config").map(|path| resolved(process, &path)) {
            let mut value = parse(process, &file)?;
            let folder = Path::new(&file).parent().unwrap_or(Path::new("/")).to_owned();
            PATHS.iter().for_each(|field| begin_at(&folder, &mut value, field));
            config.add(file, value);
        }
        if let Some(folder) = named("config-dir").map(|path| resolved(process, &path)) {
            for file in drop_ins(process, Path::new(&folder))? {
                let value = parse(process, &file)?;
                config.add(file, value);
            }
        }
        Ok(config)
    }

    fn add(&mut self, file: String, value: Value) {
        json_patch::merge(&mut self.merged, &value);
        self.files.push((file, value));
    }

    /// A field, its parts separated by full stops.
    pub fn get(&self, field: &str) -> Option<&Value> {
        get(&self.merged, field)
    }

    /// The file that sets a field, else the one in which it belongs.
    pub fn file_of(&self, field: &str) -> Option<&str> {
        let setting = self.files.iter().rev().find(|(_, value)| get(value, field).is_some());
        setting.or(self.files.first()).map(|(file, _)| file.as_str())
    }

    /// The files, as kubelet names them.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(file, _)| file.as_str())
    }
}

fn get<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    field.split('.').try_fold(value, |value, part| value.get(part)).filter(|value| !value.is_null())
}

/// Makes a relative path in `field` one that begins at `folder`.
fn begin_at(folder: &Path, value: &mut Value, field: &str) {
    let pointer = format!("/{}", field.replace('.', "/"));
    if let Some(Value::String(path)) = value.pointer_mut(&pointer)
        && !path.is_empty()
    {
        *path = folder.join(&*path).display().to_string();
    }
}

/// The words of a command line.
pub fn words(process: &Program) -> impl Iterator<Item = &str> {
    process.words.iter().map(String::as_str)
}

/// The values of a flag that may be given several times, each a list.
pub fn list<'a>(process: &'a Program, name: &str) -> Vec<&'a str> {
    let mut words = words(process);
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        match split(word) {
            Some((flag, value)) if is_named(flag, name) => found.extend(value.or_else(|| words.next())),
            _ => {}
        }
    }
    found.into_iter().flat_map(|list| list.split(',')).filter(|item| !item.is_empty()).collect()
}

/// An absolute path as kubelet names it: a relative one begins at its working folder.
pub fn resolved(process: &Program, path: &str) -> String {
    process.working_folder().join(path).display().to_string()
}

/// A path of kubelet's as this process sees it.
pub fn within(process: &Program, path: &str) -> PathBuf {
    rooted::path(&process.root(), Path::new(&resolved(process, path)))
}

/// The drop-ins below `folder`, in the order in which kubelet walks it.
fn drop_ins(process: &Program, folder: &Path) -> Result<Vec<String>, String> {
    let named = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = fs::read_dir(within(process, &folder.display().to_string())).map_err(named)?;
    let mut entries: Vec<fs::DirEntry> = entries.collect::<Result<_, _>>().map_err(named)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        let path = folder.join(entry.file_name());
        if entry.file_type().map_err(named)?.is_dir() {
            files.extend(drop_ins(process, &path)?);
        } else if path.extension().is_some_and(|extension| extension == "conf") {
            files.push(path.display().to_string());
        }
    }
    Ok(files)
}

fn parse(process: &Program, file: &str) -> Result<Value, String> {
    document(&within(process, file), file)
}

/// The first document of a file, which messages call `name`.
pub fn document(file: &Path, name: &str) -> Result<Value, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
    let documents = yaml::parse(&text, name).map_err(|error| error.to_string())?;
    documents.into_iter().next().ok_or_else(|| format!("{name} is empty"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(words: &[&str]) -> Program {
        Program { pid: std::process::id(), words: words.iter().map(|word| (*word).to_owned()).collect() }
    }

    #[test]
    fn drop_ins_count_over_the_file_in_the_order_of_their_paths_and_below_folders() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir_all(path("d/20-more")).unwrap();
        fs::write(path("c.yaml"), "clusterDomain: a\nstaticPodPath: pods\nmaxPods: 1\n").unwrap();
        fs::write(path("d/10-domain.conf"), "clusterDomain: b\n").unwrap();
        fs::write(path("d/20-more/a.conf"), "clusterDomain: c\n").unwrap();
        fs::write(path("d/30-none.conf"), "maxPods: 3\nstaticPodPath: null\n").unwrap();
        fs::write(path("d/README"), "{").unwrap();
        let (file, drop_ins) =
            (format!("--config={}", path("c.yaml")), format!("--config-dir={}", path("d")));
        let alone = Config::read(&process(&["kubelet", &file])).unwrap();
        assert_eq!(alone.get("staticPodPath").unwrap(), &path("pods"), "it begins at the file's folder");
        let config = Config::read(&process(&["kubelet", &file, &drop_ins])).unwrap();
        assert_eq!(config.get("clusterDomain").unwrap(), "c");
        assert_eq!(config.get("staticPodPath"), None);
        assert_eq!(config.file_of("clusterDomain"), Some(&*path("d/20-more/a.conf")));
        assert_eq!(config.file_of("clusterDNS"), Some(&*path("c.yaml")), "where it belongs");
        assert_eq!(config.files().count(), 4);
        let broken = Config::read(&process(&["kubelet", &format!("--config-dir={}", path("none"))]));
        assert!(broken.unwrap_err().contains(&path("none")));
    }

    #[test]
    fn a_relative_path_of_a_flag_begins_at_the_working_folder() {
        let here = std::env::current_dir().unwrap();
        let kubelet = process(&["kubelet"]);
        assert_eq!(resolved(&kubelet, "a/b"), here.join("a/b").display().to_string());
        assert_eq!(resolved(&kubelet, "/a/b"), "/a/b");
    }

    #[test]
    fn a_list_is_one_flag_with_commas_or_several() {
        let kubelet = process(&["kubelet", "--cluster-dns=a,b", "--v=2", "--cluster-dns", "c"]);
        assert_eq!(list(&kubelet, "cluster-dns"), ["a", "b", "c"]);
    }
}
