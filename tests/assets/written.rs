//! The asset directory is written under any umask, on a mount point, and by a process that is
//! killed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bootkube::assets::{Assets, write};

/// Two renders of one cluster that share no file.
fn assets(generation: &str) -> Assets {
    let mut assets = Assets::default();
    for i in 0..20 {
        assets.insert(format!("tls/etcd/{i}.key"), format!("{generation} {i}"));
        assets.insert(format!("manifests/{generation}-{i}.yaml"), generation);
    }
    assets
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in ["tls/etcd", "manifests"] {
        for entry in fs::read_dir(dir.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = format!("{folder}/{name}");
            found.insert(path.clone(), fs::read(dir.join(path)).unwrap());
        }
    }
    found
}

const TARGET: &str = "BOOTKUBE_TEST_TARGET";
const ROUNDS: &str = "BOOTKUBE_TEST_ROUNDS";

/// Not a test of its own: what the children of other tests run.
#[test]
fn child_writes_trees() {
    let (Some(target), Ok(rounds)) = (std::env::var_os(TARGET), std::env::var(ROUNDS)) else { return };
    for round in 0..rounds.parse::<usize>().unwrap() {
        write::write(Path::new(&target), &assets(["old", "new"][round % 2])).unwrap();
    }
}

/// Runs `child_writes_trees`, through a shell that prepares for it.
fn child(prepare: &str, target: &Path, rounds: usize) -> Command {
    let mut command = Command::new("sh");
    let script = format!("{prepare} exec \"$0\" --exact written::child_writes_trees --nocapture");
    command
        .arg("-c")
        .arg(script)
        .arg(std::env::current_exe().unwrap())
        .env(TARGET, target)
        .env(ROUNDS, rounds.to_string());
    command.stdout(std::process::Stdio::null());
    command
}

#[test]
fn modes_are_private_under_any_umask() {
    for umask in ["umask 000;", "umask 077;", "umask 777;"] {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("assets");
        assert!(child(umask, &target, 2).status().unwrap().success(), "{umask}");
        let mode = |path: &str| fs::metadata(target.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!([mode(""), mode("tls"), mode("tls/etcd"), mode("manifests")], [0o700; 4], "{umask}");
        assert_eq!(
            [mode("tls/etcd/1.key"), mode("manifests/new-1.yaml"), mode("bootkube.json")],
            [0o600; 3],
            "{umask}"
        );
    }
}

#[test]
fn a_killed_render_leaves_one_whole_tree() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap(); // where waiting for the disk takes no time
    let target = dir.path().join("assets");
    write::write(&target, &assets("old")).unwrap();
    let mut seen = BTreeMap::new();
    for i in 0..60 {
        let mut child = child("", &target, 1_000_000).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(4 + (i * 7) % 41));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = files(&target);
        let generation = ["old", "new"].into_iter().find(|generation| found == assets(generation).files);
        *seen.entry(generation.expect("a whole tree")).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 2, "kills were spread over both: {seen:?}");
    write::write(&target, &assets("new")).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "leftovers are gone");
}

/// The target is a file system of its own, which cannot change places with anything.
#[test]
fn a_mount_point_is_written_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("assets");
    fs::create_dir(&target).unwrap();
    let checks = "mount -t tmpfs tmpfs \"$BOOTKUBE_TEST_TARGET\" && mkdir \"$BOOTKUBE_TEST_TARGET/lost+found\" && \
        \"$0\" --exact written::child_writes_trees --nocapture && cd \"$BOOTKUBE_TEST_TARGET\" && test -e tls/etcd/1.key && \
        test \"$(cat manifests/new-3.yaml)\" = new && test ! -e manifests/old-3.yaml && test \"$(ls -A | wc -l)\" = 4";
    let status = Command::new("unshare")
        .args(["-rm", "sh", "-c", checks])
        .arg(std::env::current_exe().unwrap())
        .env(TARGET, &target)
        .env(ROUNDS, "4")
        .status()
        .unwrap();
    assert!(status.success());
}
