//! Reads a directory tree, in a fixed order.
//!
//! Symbolic links are followed, so that a mounted ConfigMap can be read. Pipes and devices are
//! refused, because reading one might never end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Deeper trees than this are loops of links.
const MAX_DEPTH: usize = 16;

/// What could not be read, and why.
#[derive(Debug, thiserror::Error)]
#[error("failed to read `{}`", path.display())]
pub struct Error {
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Whether names that start with a dot are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// They are skipped.
    Skip,
    /// They are listed.
    Include,
}

/// Files under `root/folder` as sorted paths relative to `root`, with `/`. A missing folder has
/// none.
pub fn files(root: &Path, folder: &str, hidden: Hidden) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    match fs::metadata(root.join(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        _ => walk(root, folder, hidden, 0, &mut found)?,
    }
    found.sort();
    Ok(found)
}

fn walk(
    root: &Path,
    folder: &str,
    hidden: Hidden,
    depth: usize,
    found: &mut Vec<String>,
) -> Result<(), Error> {
    let path = root.join(folder);
    let fail = |source| Error { path: path.clone(), source };
    if depth > MAX_DEPTH {
        return Err(fail(io::Error::other("directories are nested too deeply")));
    }
    for entry in fs::read_dir(&path).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let name = name.to_str().ok_or_else(|| fail(io::Error::other("a file name is not UTF-8")))?;
        if hidden == Hidden::Skip && name.starts_with('.') {
            continue;
        }
        let relative = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        match fs::metadata(root.join(&relative)) {
            Ok(metadata) if metadata.is_dir() => walk(root, &relative, hidden, depth + 1, found)?,
            Ok(_) | Err(_) => found.push(relative),
        }
    }
    Ok(())
}

/// The content of a regular file.
pub fn read(root: &Path, relative: &str) -> Result<Vec<u8>, Error> {
    let path = root.join(relative);
    let content = fs::metadata(&path).and_then(|metadata| match metadata.is_file() {
        true => fs::read(&path),
        false => Err(io::Error::other("this is not a regular file")),
    });
    content.map_err(|source| Error { path, source })
}

/// Names in a directory, sorted. A missing directory has none.
pub fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let fail = |source| Error { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>().map_err(fail)?;
    names.sort();
    Ok(names)
}
