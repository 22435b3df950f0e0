//! A bundle as an Ignition file, for machines such as Flatcar's and Fedora CoreOS'.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::file::File;

/// The oldest version of the format that has all of this. Newer ones read it.
const VERSION: &str = "3.0.0";

/// The files, and kubelet enabled, which starts with them at the first boot.
pub fn write(files: &[File]) -> String {
    let value = json!({
        "ignition": {"version": VERSION},
        "storage": {"files": files.iter().map(file).collect::<Vec<_>>()},
        "systemd": {"units": [{"name": "kubelet.service", "enabled": true}]},
    });
    format!("{value:#}\n")
}

/// The image may have a file of that name already.
fn file(file: &File) -> Value {
    json!({
        "path": file.path,
        "mode": file.mode,
        "overwrite": true,
        "contents": {"source": format!("data:;base64,{}", STANDARD.encode(&file.content))},
    })
}
