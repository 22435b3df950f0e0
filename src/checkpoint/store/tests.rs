//! Copies on a real disk. Full disks and sudden ends are in `tests/checkpoint_store.rs`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use k8s_openapi::api::core::v1::{Pod, Secret};
use serde_json::json;
use time::macros::datetime;

use super::{Error, Store};
use crate::checkpoint::copy::{Copy, Sources, make};
use crate::checkpoint::observed::Disk;
use crate::checkpoint::{Id, Role};

fn store(root: &Path) -> Store {
    Store {
        manifests: root.join("manifests"),
        inactive: root.join("inactive"),
        secrets: root.join("secrets"),
    }
}

fn id() -> Id {
    Id::new("prod", "web")
}

/// A copy of `id` that holds `secret`.
fn copy(store: &Store, id: &Id, secret: &str) -> Copy {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": format!("{}-x7z2k", id.name), "namespace": id.namespace},
        "spec": {
            "securityContext": {"runAsUser": 0},
            "containers": [{"name": "a", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            "volumes": [{"name": "v", "secret": {
                "secretName": "s", "items": [{"key": "k", "path": "deep/k"}, {"key": "k", "path": "k"}],
            }}],
        },
    }))
    .unwrap();
    let secret: Secret = serde_json::from_value(json!({"data": {"k": secret}})).unwrap();
    let sources = Sources { secrets: [("s".into(), secret)].into(), ..Sources::default() };
    make(&pod, id, Role::Exclusive, &sources, &store.files(id).to_string_lossy()).unwrap()
}

fn save(store: &Store, id: &Id, secret: &str) -> Copy {
    let copy = copy(store, id, secret);
    store.save(&copy, "it was good", datetime!(2026-01-02 03:04:05 UTC)).unwrap();
    copy
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn revisions(store: &Store, id: &Id) -> Vec<String> {
    let entries = fs::read_dir(store.files(id)).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_copy_is_kept_under_the_names_of_v0_14_and_for_root_only() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    fs::create_dir(&store.secrets).unwrap();
    let copy = save(&store, &id(), "c2VjcmV0");
    let files = store.secrets.join("prod/web").join(&copy.revision.0).join("v");
    for path in ["k", "deep/k"].map(|path| files.join(path)) {
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"secret".as_slice(), 0o600));
        assert_eq!(fs::metadata(&path).unwrap().uid(), fs::metadata(root.path()).unwrap().uid());
    }
    for folder in [&store.secrets, &store.secrets.join("prod"), &files, &files.join("deep"), &store.inactive]
    {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    assert_eq!(mode(&store.inactive.join("prod-web.json")), 0o600);
    assert!(!store.manifests.exists());
}

#[test]
fn the_listing_says_what_would_run_from_when_and_why() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let copy = save(&store, &id(), "MQ==");
    let [entry] = &store.list().unwrap().entries[..] else { panic!("one copy") };
    let shown = serde_json::to_value(entry).unwrap();
    let expected = json!({
        "id": {"namespace": "prod", "name": "web"},
        "kept": {
            "revision": copy.revision, "pod": "web-x7z2k", "saved": "2026-01-02T03:04:05Z",
            "reason": "it was good", "images": ["i"],
        },
        "active": null, "isBroken": false,
    });
    assert_eq!(shown, expected);
    store.activate(&id()).unwrap();
    let disk = store.list().unwrap().entries[0].disk();
    assert_eq!(disk, Disk { kept: Some(copy.revision.clone()), active: Some(copy.revision) });
}

#[test]
fn files_of_a_revision_stay_for_as_long_as_it_is_kept_or_active() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let one = save(&store, &id(), "MQ==");
    store.activate(&id()).unwrap();
    let two = save(&store, &id(), "Mg==");
    let mut both = [one.revision.0.clone(), two.revision.0.clone()];
    both.sort();
    let mut found = revisions(&store, &id());
    found.sort();
    assert_eq!(found, both);
    assert_eq!(store.list().unwrap().entries[0].active, Some(one.revision));
    store.deactivate(&id()).unwrap();
    store.sweep().unwrap();
    assert_eq!(revisions(&store, &id()), [two.revision.0]);
}

#[test]
fn everything_of_a_workload_is_removed_secrets_included_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let other = Id::new("prod", "other");
    save(&store, &id(), "MQ==");
    save(&store, &other, "MQ==");
    store.activate(&id()).unwrap();
    store.remove(&id()).unwrap();
    store.remove(&id()).unwrap();
    assert!(!store.files(&id()).exists() && store.files(&other).exists());
    assert_eq!(store.list().unwrap().entries.len(), 1);
    store.remove(&other).unwrap();
    for folder in [&store.secrets, &store.inactive, &store.manifests] {
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "{}", folder.display());
    }
}

#[test]
fn a_file_that_is_not_ours_is_neither_written_over_nor_removed() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    save(&store, &id(), "MQ==");
    fs::create_dir(&store.manifests).unwrap();
    let path = store.manifests.join("prod-web.json");
    fs::write(&path, r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine"}}"#).unwrap();
    assert!(matches!(store.activate(&id()), Err(Error::Foreign { .. })));
    assert!(matches!(store.deactivate(&id()), Err(Error::Foreign { .. })));
    assert!(matches!(store.remove(&id()), Err(Error::Foreign { .. })));
    assert!(fs::read_to_string(&path).unwrap().contains("mine"));
    store.sweep().unwrap();
    assert!(path.exists());
}

#[test]
fn two_workloads_with_one_file_name_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    save(&store, &Id::new("a", "b-c"), "MQ==");
    let other = copy(&store, &Id::new("a-b", "c"), "MQ==");
    let error = store.save(&other, "", datetime!(2026-01-02 03:04:05 UTC)).unwrap_err();
    assert!(error.to_string().contains("a-b-c.json holds the copy of a/b-c"), "{error}");
}

#[test]
fn a_copy_without_its_files_is_not_kept_and_cannot_be_activated() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    save(&store, &id(), "MQ==");
    fs::remove_dir_all(store.files(&id())).unwrap();
    let entry = store.list().unwrap().entries.remove(0);
    assert!(entry.is_broken && entry.disk() == Disk::default());
    assert!(matches!(store.activate(&id()), Err(Error::NotKept { .. })));
    store.sweep().unwrap();
    assert!(store.list().unwrap().entries.is_empty());
    assert!(matches!(store.activate(&id()), Err(Error::NotKept { .. })));
}

#[test]
fn sweeping_removes_what_interrupted_work_left_and_copies_of_v0_14() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let copy = save(&store, &id(), "MQ==");
    store.activate(&id()).unwrap();
    let junk = [
        store.inactive.join(".x-y.json.bootkube-1"),
        store.manifests.join(".prod-web.json.bootkube-1"),
        store.files(&id()).join(".rev.bootkube-1/v/k"),
        store.secrets.join("gone/pod/rev/k"),
    ];
    let old = store.inactive.join("kube-system-old.json");
    let theirs = store.manifests.join(".other.yaml.bootkube-1");
    for path in junk.iter().chain([&old, &theirs]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "junk").unwrap();
    }
    let annotations = json!({"checkpointer.alpha.coreos.com/checkpoint-of": "old"});
    let old_pod =
        json!({"metadata": {"name": "old", "namespace": "kube-system", "annotations": annotations}});
    fs::write(&old, old_pod.to_string()).unwrap();
    store.sweep().unwrap();
    for path in junk.iter().chain([&old]) {
        assert!(!path.exists(), "{}", path.display());
    }
    assert!(theirs.exists(), "the temporary file of another program");
    assert_eq!(revisions(&store, &id()), [copy.revision.0]);
}

#[test]
fn an_unreadable_folder_is_an_error_and_not_an_empty_one() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    fs::write(&store.inactive, "a file").unwrap();
    assert!(store.list().is_err());
    assert!(store.sweep().is_err());
}

#[test]
fn components_that_static_pods_of_others_run_are_told() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    save(&store, &id(), "MQ==");
    store.activate(&id()).unwrap();
    assert!(store.list().unwrap().stand_ins.is_empty());
    let pod = |program: &str| {
        format!("kind: Pod\nspec:\n  containers:\n  - name: a\n    command: [{program}, --port-sharing]\n")
    };
    let files = [
        ("bootstrap-apiserver.yaml", pod("kube-apiserver")),
        ("scheduler.yaml", pod("/hyperkube, scheduler")),
        ("etcd.yaml", pod("etcd")),
        (".hidden.yaml", pod("kube-controller-manager")),
        ("broken.yaml", "{".to_owned()),
    ];
    for (name, text) in files {
        fs::write(store.manifests.join(name), text).unwrap();
    }
    let listing = store.list().unwrap();
    assert_eq!(listing.stand_ins, ["kube-apiserver", "kube-scheduler"].into());
    assert_eq!((listing.entries.len(), listing.unreadable.len()), (1, 0));
}

#[test]
fn files_under_a_damaged_manifest_are_left_alone_until_it_is_made_anew() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    save(&store, &id(), "MQ==");
    fs::write(store.inactive.join("prod-web.json"), "{").unwrap();
    store.sweep().unwrap();
    assert!(store.files(&id()).exists());
    assert_eq!(store.list().unwrap().unreadable.len(), 1);
    save(&store, &id(), "Mg==");
    assert!(store.list().unwrap().entries[0].kept.is_some());
}
