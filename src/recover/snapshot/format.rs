//! What a file is that is no database of etcd: told by its first bytes, its folder or its name.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Where the magic number of bbolt stands in a database, and the number.
const DATABASE: (usize, [u8; 4]) = (16, [0xED, 0xDA, 0x0C, 0xED]);
/// As many bytes as any format needs.
const BEGINNING: u64 = 512;

/// First bytes, what they begin, and the command that makes a snapshot of it.
#[rustfmt::skip] // a table
const COMPRESSED: [(&[u8], &str, &str); 8] = [
    (b"\x1f\x8b", "compressed with gzip", "gunzip --keep"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unzstd --keep"),
    (b"\xfd7zXZ\x00", "compressed with xz", "unxz --keep"),
    (b"BZh", "compressed with bzip2", "bunzip2 --keep"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "unlz4 --keep"),
    (b"PK\x03\x04", "a zip archive", "unzip"),
    (b"age-encryption.org/", "encrypted with age", "age --decrypt"),
    (b"Salted__", "encrypted with openssl", "openssl enc -d -in"),
];

/// Files that are not made for `recover`: first bytes, what it is, and what to do.
#[rustfmt::skip] // a table
const OTHERS: [(&[u8], &str, &str); 5] = [
    (b"SQLite format 3\0", "a database of SQLite, as k3s has in place of etcd", "recover from the API of that cluster instead (no --etcd-snapshot)"),
    (b"{", "JSON", "name the output of `etcdctl snapshot save`; objects in JSON are applied with kubectl"),
    (b"apiVersion:", "YAML of Kubernetes objects", "name the output of `etcdctl snapshot save`; such objects are applied with kubectl"),
    (b"<", "a page of HTML or XML, such as a download that failed", "fetch the snapshot again"),
    (b"\x7fELF", "a program", SNAPSHOT),
];
const SNAPSHOT: &str = "name the output of `etcdctl snapshot save`, or member/snap/db of a stopped etcd";

/// What a path leads to instead of a database of etcd, and what to do.
pub type Other = (String, String);

/// What is at `path`, if it is no database of etcd and can be told. None also for a damaged one.
pub fn other(path: &Path) -> io::Result<Option<Other>> {
    if path.is_dir() {
        return Ok(Some(folder(path)));
    }
    let mut beginning = Vec::new();
    File::open(path)?.take(BEGINNING).read_to_end(&mut beginning)?;
    Ok(of_beginning(path, &beginning))
}

/// A folder: etcd's own, or one that holds nothing of it.
fn folder(path: &Path) -> Other {
    let inside = ["member/snap/db", "snap/db", "db"].into_iter().find(|name| path.join(name).is_file());
    match inside {
        Some(name) => (
            "a folder of etcd".to_owned(),
            format!("stop that etcd, if it runs, and name {}", path.join(name).display()),
        ),
        None => ("a folder".to_owned(), SNAPSHOT.to_owned()),
    }
}

fn of_beginning(path: &Path, beginning: &[u8]) -> Option<Other> {
    let (at, magic) = DATABASE;
    if beginning.is_empty() {
        let cure = "copy it again, or use an earlier one: the command that saved it did not end";
        return Some(("an empty file".to_owned(), cure.to_owned()));
    }
    if beginning.get(at..at + magic.len()) == Some(&magic) {
        return None;
    }
    if let Some((_, what, command)) = COMPRESSED.iter().find(|(first, ..)| beginning.starts_with(first)) {
        let cure = format!("take the snapshot out of it (`{command} {}`), and name that", path.display());
        return Some(((*what).to_owned(), cure));
    }
    if beginning.get(257..262) == Some(b"ustar") {
        let cure = format!("take the snapshot out of it (`tar -xf {}`), and name that", path.display());
        return Some(("a tar archive".to_owned(), cure));
    }
    if let Some(what) = log(path, beginning) {
        let cure = "name snap/db of the same member folder: the log alone holds no objects";
        return Some((what.to_owned(), cure.to_owned()));
    }
    let other = OTHERS.iter().find(|(first, ..)| beginning.starts_with(first));
    other.map(|(_, what, cure)| ((*what).to_owned(), (*cure).to_owned()))
}

/// etcd's write-ahead log begins with the length of a record of type 4, the checksum. Its `.snap`
/// files say only where the log goes on.
fn log(path: &Path, beginning: &[u8]) -> Option<&'static str> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match () {
        () if beginning.get(8..10) == Some(&[0x08, 0x04]) => Some("etcd's write-ahead log"),
        () if name.ends_with(".snap") => Some("a mark of etcd's log (.snap), and no snapshot"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, content: &[u8]) -> Option<Other> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        other(&path).unwrap()
    }

    #[test]
    fn a_file_that_is_no_database_is_called_what_it_is_and_the_cure_leads_to_one() {
        let mut tar = vec![b'a'; 257];
        tar.extend(b"ustar\x0000");
        let table: [(&str, &[u8], &str, &str); 13] = [
            ("s.db.gz", b"\x1f\x8b\x08\0", "gzip", "gunzip --keep"),
            ("s.db.zst", b"\x28\xb5\x2f\xfd\x24", "zstd", "unzstd --keep"),
            ("s.db.xz", b"\xfd7zXZ\0\0\x04", "xz", "unxz --keep"),
            ("s.db.bz2", b"BZh91AY&SY", "bzip2", "bunzip2 --keep"),
            ("s.zip", b"PK\x03\x04\x14", "zip", "unzip"),
            ("s.tar", &tar, "tar", "tar -xf"),
            ("s.age", b"age-encryption.org/v1\n", "age", "age --decrypt"),
            ("empty.db", b"", "empty", "copy it again"),
            ("0.wal", b"\x08\0\0\0\0\0\0\0\x08\x04\x10\0", "write-ahead log", "snap/db"),
            ("1-2.snap", b"\x08\x99\x12\x04", "a mark of etcd's log", "snap/db"),
            ("state.db", b"SQLite format 3\0\x10", "SQLite", "API"),
            ("all.json", b"{\"apiVersion\": \"v1\"}", "JSON", "etcdctl snapshot save"),
            ("page", b"<!DOCTYPE html>", "HTML", "fetch"),
        ];
        for (name, content, what, cure) in table {
            let (found, advice) = told(name, content).unwrap_or_else(|| panic!("{name}"));
            assert!(found.contains(what) && advice.contains(cure), "{name}: {found}; {advice}");
        }
        assert_eq!(told("s.db", b"what else begins so"), None);
        let mut database = vec![0; 16];
        database.extend(0xED0C_DAED_u32.to_le_bytes());
        assert_eq!(told("copied.snap", &database), None, "a database under another name");
    }

    #[test]
    fn the_database_inside_a_folder_of_etcd_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("member/snap")).unwrap();
        std::fs::create_dir_all(folder.path().join("member/wal")).unwrap();
        std::fs::write(folder.path().join("member/snap/db"), "").unwrap();
        for below in ["", "member", "member/snap"] {
            let (what, cure) = other(&folder.path().join(below)).unwrap().unwrap();
            assert!(
                what.contains("folder of etcd") && cure.contains("member/snap/db"),
                "{below}: {what}; {cure}"
            );
        }
        let (what, cure) = other(&folder.path().join("member/wal")).unwrap().unwrap();
        assert!(what == "a folder" && cure.contains("etcdctl snapshot save"), "{what}; {cure}");
    }
}
