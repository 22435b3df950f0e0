//! The asset directory: what `render` writes and `start` reads.

pub mod bind_address;
pub mod bootstrap_tokens;
mod chart;
pub mod command;
pub mod corefile;
pub mod digest;
pub mod duplicates;
pub mod kinds;
pub mod leftover;
pub mod listeners;
pub mod load;
pub mod node_marks;
pub mod object;
pub mod order;
pub mod oversized;
pub mod parse;
pub mod removed;
pub mod size;
pub mod static_pods;
pub mod tree;
pub mod write;

use std::collections::BTreeMap;

/// Files of an asset directory: relative path, with `/`, to content. Every file is written 0600,
/// every directory 0700.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Assets {
    /// Path to content.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Assets {
    /// Adds a file; a path is added once.
    pub fn insert(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        let path = path.into();
        debug_assert!(!self.files.contains_key(&path), "{path} rendered twice");
        self.files.insert(path, content.into());
    }
}
