//! Files of another root, such as that of a process in a container. The kernel follows an absolute
//! link below `/proc/PID/root` in this process' own root, so links are followed here.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The kernel gives up after so many links (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// Where this process sees `file` of the machine whose files are under `root`: no part of it is a
/// link. A part that does not exist stays as it is.
pub fn path(root: &Path, file: &Path) -> PathBuf {
    let (mut found, mut links) = (PathBuf::new(), 0);
    let mut pending: Vec<OsString> = parts(file).rev().collect();
    while let Some(part) = pending.pop() {
        if part == ".." {
            found.pop(); // The root is its own parent.
            continue;
        }
        match fs::read_link(root.join(&found).join(&part)) {
            Ok(target) if links < MOST_LINKS => {
                links += 1;
                if target.is_absolute() {
                    found = PathBuf::new();
                }
                pending.extend(parts(&target).rev());
            }
            _ => found.push(part),
        }
    }
    root.join(found)
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::files::machine;

    #[test]
    fn links_lead_to_files_of_the_same_root() {
        let machine = machine(&[("run/c/sock", "in"), ("etc/hostname", "theirs"), ("srv/d/f", "f")]);
        let root = machine.path();
        let link = |target: &str, name: &str| {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            symlink(target, root.join(name)).unwrap();
        };
        link("/run", "var/run");
        link("/etc/hostname", "srv/name");
        link("../../../../etc", "srv/up");
        link("d", "srv/e");
        link("loop", "srv/loop");
        for (file, wanted) in [
            ("/var/run/c/sock", "run/c/sock"),
            ("srv/name", "etc/hostname"),
            ("/srv/up/hostname", "etc/hostname"),
            ("/srv/./e/../e/f", "srv/d/f"),
            ("/../../etc/hostname", "etc/hostname"),
            ("/none/a", "none/a"),
            ("/", ""),
        ] {
            assert_eq!(path(root, Path::new(file)), root.join(wanted), "{file}");
        }
        assert_eq!(fs::read_to_string(path(root, Path::new("/srv/name"))).unwrap(), "theirs");
        assert!(fs::read(path(root, Path::new("/srv/loop"))).is_err());
    }
}
