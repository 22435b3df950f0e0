//! The static pods in kubelet's folder that carry the mark of `unpivot`.
//!
//! The mark only says that such a pod belongs to the control plane of this cluster. The journal
//! says whether a file is still what `unpivot` placed, and so may be replaced or removed.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::Component;
use crate::host::files::failed;
use crate::host::static_pods;
use crate::phase::Error;
use crate::recover::find::COMPONENTS;
use crate::yaml;

/// Annotation of a static pod that `unpivot` placed.
pub const UNPIVOTED: &str = "bootkube.dev/unpivoted";

/// A static pod of ours in kubelet's folder.
pub struct Placed {
    /// Which component.
    pub component: Component,
    /// Its file.
    pub path: PathBuf,
    /// The content of the file.
    pub content: Vec<u8>,
    /// The same, parsed.
    pub value: Value,
}

/// Name of a component's static pod, as in kubeadm.
pub fn file_name(component: Component) -> String {
    format!("{}.yaml", component.name())
}

/// The static pods in `folder` that `unpivot` placed.
pub fn placed(folder: &Path) -> Result<Vec<Placed>, Error> {
    let mut found = Vec::new();
    for component in COMPONENTS {
        let path = folder.join(file_name(component));
        let content = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            content => content.map_err(failed("read", &path)).map_err(static_pods::Error::File)?,
        };
        // Kubelet ignores a file that cannot be parsed, so it is no pod of ours.
        let documents = yaml::parse(&String::from_utf8_lossy(&content), "").unwrap_or_default();
        let value = documents.into_iter().next().unwrap_or_default();
        if value["metadata"]["annotations"][UNPIVOTED] == "true" {
            found.push(Placed { component, path, content, value });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_so_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("kube-scheduler.yaml", "metadata: {name: kube-scheduler, labels: {component: kube-scheduler}}");
        write("kube-controller-manager.yaml", "{broken");
        write("kube-apiserver.yaml", "metadata: {annotations: {bootkube.dev/unpivoted: 'true'}}");
        let found = placed(folder.path()).unwrap();
        assert!(matches!(found.as_slice(), [one] if one.component == Component::Apiserver));
    }
}
