//! A name for what a directory holds, by which a later run sees that it is another.

use sha2::{Digest as _, Sha256};

use super::load::Layout;

/// One digest of all assets, as they were read.
pub fn digest(layout: &Layout) -> String {
    let mut digest = Sha256::new();
    let mut add = |name: &str, content: &[u8]| {
        for part in [name.as_bytes(), content] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    };
    add("auth/kubeconfig", &layout.kubeconfig);
    layout.tls.iter().for_each(|(path, content)| add(path, content));
    for pod in layout.bootstrap_manifests.iter().chain(&layout.controller_manifests) {
        add(&pod.path, &pod.bytes);
    }
    layout.objects.iter().for_each(|object| add(&object.file, object.value.to_string().as_bytes()));
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
