//! CRI-O's configuration, as far as the checks of images need it: mirrors.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::rooted;

const MAIN: &str = "/etc/containers/registries.conf";
const MORE: &str = "/etc/containers/registries.conf.d";

/// The file that gives CRI-O a mirror, on the machine whose files are under `root`.
pub fn mirror(root: &Path) -> Option<String> {
    let entries = fs::read_dir(rooted::path(root, Path::new(MORE))).into_iter().flatten().flatten();
    let more = entries.map(|entry| Path::new(MORE).join(entry.file_name()));
    let mut files = [PathBuf::from(MAIN)].into_iter().chain(more);
    let file = files.find(|file| redirects(&rooted::path(root, file)))?;
    Some(file.display().to_string())
}

/// Whether a `registries.conf` sends anything to another place. One that cannot be read may do so.
fn redirects(file: &Path) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return file.exists() };
    let Ok(config) = toml::from_str::<Value>(&text) else { return true };
    let moves = |registry: &Value| {
        let has_mirror = registry["mirror"].as_array().is_some_and(|mirrors| !mirrors.is_empty());
        let is_moved = ["prefix", "location"].iter().all(|field| registry[field].is_string());
        has_mirror || is_moved && registry["prefix"] != registry["location"]
    };
    config["registry"].as_array().into_iter().flatten().any(moves)
}
