//! One layer: which file goes where. Everything is owned by root, dated zero, and sorted, so that a
//! layer's digest depends on its files alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use crate::cache::Fingerprint;
use crate::error::{Error, Result};

/// A right that a program gets although it is not started by root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Listen on ports below 1024.
    NetBindService = 10,
}

#[derive(Clone, Debug)]
enum Entry {
    File { source: PathBuf, capability: Option<Capability> },
    Link(String),
}

/// Paths inside an image (without the leading slash) and what is there.
#[derive(Clone, Debug, Default)]
pub struct Layer(BTreeMap<String, Entry>);

impl Layer {
    /// An executable file.
    #[must_use]
    pub fn file(self, path: &str, source: impl Into<PathBuf>) -> Self {
        self.with(path, Entry::File { source: source.into(), capability: None })
    }

    /// An executable file with a capability of its own.
    #[must_use]
    pub fn file_with(self, path: &str, source: impl Into<PathBuf>, capability: Capability) -> Self {
        self.with(path, Entry::File { source: source.into(), capability: Some(capability) })
    }

    /// A symlink.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.with(path, Entry::Link(target.to_owned()))
    }

    fn with(mut self, path: &str, entry: Entry) -> Self {
        self.0.insert(path.trim_start_matches('/').to_owned(), entry);
        self
    }

    /// Writes the layer as a tar stream.
    pub fn write(&self, to: impl Write) -> Result<()> {
        let mut tar = Builder::new(to);
        for folder in self.folders() {
            let mode = if folder == "tmp" { 0o1777 } else { 0o755 };
            append(&mut tar, &folder, header(EntryType::Directory, mode, 0), std::io::empty())?;
        }
        for (path, entry) in &self.0 {
            match entry {
                Entry::File { source, capability } => append_file(&mut tar, path, source, *capability)?,
                Entry::Link(target) => tar
                    .append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)
                    .map_err(Error::file("add the link", path))?,
            }
        }
        tar.finish().map_err(Error::file("finish", "a layer"))
    }

    /// Adds size and date of every file in it: what changes when its content does, without reading
    /// it.
    pub(crate) fn fingerprint(&self, mut digest: Fingerprint) -> Result<Fingerprint> {
        for entry in self.0.values() {
            if let Entry::File { source, .. } = entry {
                let found = std::fs::metadata(source).map_err(Error::file("find", source))?;
                digest = digest
                    .part(format!("{} {}.{}", found.len(), found.mtime(), found.mtime_nsec()).as_bytes());
            }
        }
        Ok(digest)
    }

    /// Every folder on the way to a file, and /tmp.
    fn folders(&self) -> BTreeSet<String> {
        let parents = self.0.keys().flat_map(|path| Path::new(path).ancestors().skip(1));
        let named =
            parents.map(|folder| folder.to_string_lossy().into_owned()).filter(|name| !name.is_empty());
        named.chain(["tmp".to_owned()]).collect()
    }
}

fn append_file(
    tar: &mut Builder<impl Write>,
    path: &str,
    source: &Path,
    capability: Option<Capability>,
) -> Result<()> {
    let file = File::open(source).map_err(Error::file("open", source))?;
    let size = file.metadata().map_err(Error::file("measure", source))?.len();
    if let Some(capability) = capability {
        let attribute = ("SCHILY.xattr.security.capability", &capability_attribute(capability)[..]);
        tar.append_pax_extensions([attribute]).map_err(Error::file("add the capability of", path))?;
    }
    append(tar, path, header(EntryType::Regular, 0o755, size), file)
}

fn append(
    tar: &mut Builder<impl Write>,
    path: &str,
    mut header: Header,
    data: impl std::io::Read,
) -> Result<()> {
    tar.append_data(&mut header, path, data).map_err(Error::file("add to a layer", path))
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// `struct vfs_cap_data`, revision 2, permitted and effective.
fn capability_attribute(capability: Capability) -> [u8; 20] {
    let mut attribute = [0; 20];
    attribute[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    attribute[4..8].copy_from_slice(&(1_u32 << (capability as u32)).to_le_bytes());
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_holds_each_folder_before_its_files_and_is_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("program");
        std::fs::write(&source, b"program").unwrap();
        let layer = Layer::default()
            .file_with("/usr/local/bin/program", &source, Capability::NetBindService)
            .link("/bin/other", "/usr/local/bin/program");
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        layer.write(&mut once).unwrap();
        layer.write(&mut twice).unwrap();
        assert_eq!(once, twice);
        let mut archive = tar::Archive::new(once.as_slice());
        let paths: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        let expected =
            ["bin", "tmp", "usr", "usr/local", "usr/local/bin", "bin/other", "usr/local/bin/program"];
        assert_eq!(paths, expected);
    }
}
