//! Copies on a disk that is full and under a process that is killed at any moment: there always is a complete one.
//!
//! Both need a process of their own: this program again, with one of its ignored tests.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bootkube::checkpoint::copy::{Copy, Sources, make};
use bootkube::checkpoint::store::Store;
use bootkube::checkpoint::{Id, Role};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Pod, Secret};
use serde_json::json;
use time::OffsetDateTime;

const FOLDER: &str = "CHECKPOINT_STORE_FOLDER";

fn store(root: &Path) -> Store {
    Store {
        manifests: root.join("manifests"),
        inactive: root.join("inactive"),
        secrets: root.join("secrets"),
    }
}

fn id() -> Id {
    Id::new("kube-system", "kube-apiserver")
}

/// A copy with twenty files, each of `size` bytes that say `generation`.
fn copy(store: &Store, generation: u64, size: usize) -> Copy {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "kube-apiserver-x7z2k", "namespace": "kube-system"},
        "spec": {
            "containers": [{"name": "a", "image": generation.to_string()}],
            "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
        },
    }))
    .unwrap();
    let text = format!("{generation} ").repeat(size / 4 + 1).into_bytes();
    let data = (0..20).map(|key| (key.to_string(), ByteString(text.clone()))).collect();
    let sources = Sources {
        secrets: BTreeMap::from([("s".to_owned(), Secret { data: Some(data), ..Secret::default() })]),
        ..Sources::default()
    };
    make(&pod, &id(), Role::Apiserver, &sources, &store.files(&id()).to_string_lossy()).unwrap()
}

/// The generation of the copy to use, all of whose files must be of it.
fn kept(store: &Store, path: &Path) -> u64 {
    let pod: Pod = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let spec = pod.spec.unwrap();
    let generation: u64 = spec.containers[0].image.as_ref().unwrap().parse().unwrap();
    let folder = PathBuf::from(&spec.volumes.unwrap()[0].host_path.as_ref().unwrap().path);
    let expected = &copy(store, generation, 2000).folders["v"].files;
    assert_eq!(fs::read_dir(&folder).unwrap().count(), expected.len());
    for (name, file) in expected {
        let bytes = fs::read(folder.join(name)).unwrap();
        let word = format!("{generation} ");
        assert!(bytes.starts_with(word.as_bytes()) && bytes.len() >= file.bytes.len().min(20), "{name}");
    }
    generation
}

/// This program again, in `folder`.
fn again(test: &str, folder: &Path, wrapper: &[&str]) -> Command {
    let program = std::env::current_exe().unwrap();
    let words: Vec<&str> = wrapper.iter().copied().chain([program.to_str().unwrap()]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(["--exact", "--ignored", "--nocapture", test]).env(FOLDER, folder);
    command.stdout(Stdio::null());
    command
}

fn folder() -> PathBuf {
    std::env::var(FOLDER).expect("set by the test that runs this one").into()
}

#[test]
#[ignore = "run by a_process_that_is_killed_leaves_a_complete_copy (saves until it is killed)"]
fn saves_and_activates_until_it_is_killed() {
    let store = store(&folder());
    for generation in 1.. {
        store.save(&copy(&store, generation, 2000), "a test", OffsetDateTime::UNIX_EPOCH).unwrap();
        store.activate(&id()).unwrap();
    }
}

#[test]
fn a_process_that_is_killed_leaves_a_complete_copy() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let mut seen = 0;
    for round in 0..40 {
        let mut child = again("saves_and_activates_until_it_is_killed", root.path(), &[]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(20_000 + 1713 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let Some(entry) = store.list().unwrap().entries.pop() else { continue };
        seen += 1;
        assert!(entry.kept.is_some() && !entry.is_broken);
        kept(&store, &store.inactive.join("kube-system-kube-apiserver.json"));
        if entry.active.is_some() {
            kept(&store, &store.manifests.join("kube-system-kube-apiserver.json"));
        }
        store.sweep().unwrap();
        let left = fs::read_dir(store.files(&id())).unwrap().count();
        let used = 1 + usize::from(entry.active.is_some_and(|active| active != entry.kept.unwrap().revision));
        assert_eq!(left, used);
    }
    assert!(seen > 20, "{seen} rounds got as far as a copy");
}

#[test]
#[ignore = "run by a_full_disk_leaves_the_last_complete_copy (fills the folder it is given)"]
fn fills_its_disk() {
    let store = store(&folder());
    let save =
        |generation, size| store.save(&copy(&store, generation, size), "a test", OffsetDateTime::UNIX_EPOCH);
    save(1, 2000).unwrap();
    store.activate(&id()).unwrap();
    // At every distance from full, down to the last page.
    let filler = folder().join("filler");
    let mut failed = 0;
    for pages in (0..128).rev() {
        fs::write(&filler, vec![0; pages * 4096]).unwrap_or_default();
        if save(2 + pages as u64, 20_000).is_err() {
            failed += 1;
            let entry = store.list().unwrap().entries.pop().unwrap();
            assert!(entry.kept.is_some() && !entry.is_broken);
            kept(&store, &store.inactive.join("kube-system-kube-apiserver.json"));
            kept(&store, &store.manifests.join("kube-system-kube-apiserver.json"));
            let temporary = fs::read_dir(&store.inactive).unwrap().count();
            assert_eq!(temporary, 1, "a failed write leaves nothing");
        }
    }
    assert!(failed > 20, "{failed} writes failed");
    fs::remove_file(&filler).unwrap();
    save(1000, 2000).unwrap();
    store.deactivate(&id()).unwrap();
    assert_eq!(kept(&store, &store.inactive.join("kube-system-kube-apiserver.json")), 1000);
}

#[test]
fn a_full_disk_leaves_the_last_complete_copy() {
    let root = tempfile::tempdir().unwrap();
    // A disk of its own, in a mount namespace of its own: nothing is left, however this ends.
    let mount = format!("mount -t tmpfs -o size=640k none '{}' && exec \"$@\"", root.path().display());
    let wrapper = ["unshare", "-m", "sh", "-c", &mount, "sh"];
    let output = again("fills_its_disk", root.path(), &wrapper).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
