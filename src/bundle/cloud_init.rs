//! A bundle as user data for cloud-init.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::file::File;
use crate::yaml;

/// By this line cloud-init knows the format.
const FIRST_LINE: &str = "#cloud-config\n";

/// The files, and kubelet started with them. Their contents are base64, so that no byte depends on
/// how YAML writes a text.
pub fn write(files: &[File]) -> String {
    let files: Vec<Value> = files.iter().map(file).collect();
    let commands = [
        json!(["systemctl", "daemon-reload"]),
        json!(["systemctl", "enable", "kubelet"]),
        json!(["systemctl", "restart", "kubelet"]),
    ];
    format!("{FIRST_LINE}{}", yaml::write(&json!({"write_files": files, "runcmd": commands})))
}

fn file(file: &File) -> Value {
    json!({
        "path": file.path,
        "permissions": format!("0{:o}", file.mode),
        "encoding": "b64",
        "content": STANDARD.encode(&file.content),
    })
}
