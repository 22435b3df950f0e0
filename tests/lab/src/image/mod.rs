//! Container images from local files: an OCI layout in a folder, without a registry and without a
//! daemon.
//!
//! Layers are plain tar files under their digest, so images that share one hold it once, and the
//! same files always give the same digest.

mod catalog;
mod layer;
mod layout;

pub use catalog::{Image, kubernetes_images};
pub use layer::{Capability, Layer};
pub use layout::Layout;
