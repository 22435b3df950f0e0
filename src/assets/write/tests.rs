//! Rules of writing, and crashes between any two of its steps.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::disk::crash::{IS_MOUNT_POINT, STEPS_LEFT};
use super::*;

/// Everything below a directory: path to mode and content, links as their target.
type Snapshot = BTreeMap<String, (u32, Vec<u8>)>;

fn snapshot(dir: &Path) -> Snapshot {
    fn walk(root: &Path, folder: &Path, found: &mut Snapshot) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = match metadata.file_type() {
                kind if kind.is_dir() => Vec::new(),
                kind if kind.is_symlink() => {
                    fs::read_link(&path).unwrap().to_string_lossy().as_bytes().to_vec()
                }
                _ => fs::read(&path).unwrap(),
            };
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert(name, (metadata.mode() & 0o7777, content));
            if metadata.is_dir() {
                walk(root, &path, found);
            }
        }
    }
    let mut found = Snapshot::new();
    if dir.exists() {
        walk(dir, dir, &mut found);
    }
    found
}

fn assets(files: &[(&str, &str)]) -> Assets {
    let mut assets = Assets::default();
    for (path, content) in files {
        assets.insert(*path, *content);
    }
    assets
}

fn old() -> Assets {
    assets(&[
        ("auth/kubeconfig", "admin"),
        ("auth/kubeconfig-kubelet", "token 1"),
        ("manifests/gone/a.yaml", "a"),
        ("manifests/kept.yaml", "kept"),
        ("tls/ca.key", "key 1"),
        ("tls/etcd/server.key", "server 1"),
    ])
}

fn new() -> Assets {
    assets(&[
        ("auth/kubeconfig", "admin"),
        ("auth/kubeconfig-kubelet", "token 2"),
        ("manifests/kept.yaml", "kept"),
        ("manifests/more/b.yaml", "b"),
        ("tls/ca.key", "key 2"),
        ("tls/etcd/server.key", "server 2"),
    ])
}

fn secrets(assets: &Assets) -> BTreeMap<String, Vec<u8>> {
    let is_secret = |path: &str| path.starts_with("tls/") || path == "auth/kubeconfig-kubelet";
    assets.files.clone().into_iter().filter(|(path, _)| is_secret(path)).collect()
}

struct Place {
    parent: tempfile::TempDir,
    dir: PathBuf,
}

impl Place {
    fn empty() -> Self {
        let parent = tempfile::tempdir_in("/dev/shm").unwrap(); // where waiting for the disk takes no time
        let dir = parent.path().join("assets");
        Self { parent, dir }
    }

    fn empty_dir() -> Self {
        let place = Self::empty();
        fs::create_dir(&place.dir).unwrap();
        place
    }

    /// The old tree with things that the user added to it.
    fn with_old_tree() -> Self {
        let place = Self::empty();
        write(&place.dir, &old()).unwrap();
        place.user_file("manifests/mine.yaml", "mine", 0o640);
        place.user_file("notes/deep/todo.txt", "todo", 0o444);
        fs::set_permissions(place.dir.join("notes"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(place.dir.join("notes/empty")).unwrap();
        symlink("../notes/deep/todo.txt", place.dir.join("notes/link")).unwrap();
        place
    }

    fn user_file(&self, path: &str, content: &str, mode: u32) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn names_beside(&self) -> Vec<String> {
        tree::names(self.parent.path()).unwrap()
    }
}

fn refused(result: Result<Written, Error>) -> Vec<String> {
    match result.unwrap_err() {
        Error::Refused(Findings(findings)) => findings.iter().map(ToString::to_string).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_tree_is_written_with_private_modes_and_an_index() {
    for prepare in [|_: &Path| (), |dir: &Path| fs::create_dir(dir).unwrap()] {
        let place = Place::empty();
        prepare(&place.dir);
        let written = write(&place.dir, &old()).unwrap();
        assert!(written.created);
        assert_eq!(written.changed.len(), 6);
        let found = snapshot(&place.dir);
        assert_eq!(found["tls/ca.key"], (0o600, b"key 1".to_vec()));
        assert_eq!(found["tls/etcd"].0, 0o700);
        assert_eq!(found["bootkube.json"].0, 0o600);
        assert_eq!(fs::metadata(&place.dir).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(place.names_beside(), ["assets"]);
    }
}

#[test]
fn an_object_that_is_too_large_is_refused_whether_rendered_or_added_and_nothing_is_written() {
    let large = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}, data: {{a: {}}}}}",
        "x".repeat(1 << 21)
    );
    let place = Place::with_old_tree();
    let mut rendered = new();
    rendered.files.insert("manifests/large.yaml".to_owned(), large.clone().into_bytes());
    let before = snapshot(&place.dir);
    let said = refused(write(&place.dir, &rendered));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("manifests/large.yaml: document 1: ConfigMap a is too large: "), "{said:?}");
    assert_eq!(snapshot(&place.dir), before);
    place.user_file("manifests/more/mine.yaml", &large, 0o600);
    let said = refused(write(&place.dir, &new()));
    assert!(
        said[0].starts_with("manifests/more/mine.yaml: document 1: ConfigMap a is too large: "),
        "{said:?}"
    );
}

#[test]
fn writing_the_same_again_touches_nothing() {
    let place = Place::with_old_tree();
    let before = fs::metadata(&place.dir).unwrap().ino();
    let written = write(&place.dir, &old()).unwrap();
    assert_eq!((written.created, written.kept.len(), written.changed.len()), (false, 6, 0));
    assert_eq!(fs::metadata(&place.dir).unwrap().ino(), before);
}

#[test]
fn the_users_files_survive_and_files_that_are_no_longer_rendered_are_removed() {
    for is_mount_point in [false, true] {
        let place = Place::with_old_tree();
        let before = snapshot(&place.dir);
        IS_MOUNT_POINT.set(is_mount_point);
        let written = write(&place.dir, &new()).unwrap();
        IS_MOUNT_POINT.set(false);
        assert_eq!(written.carried, ["manifests/mine.yaml", "notes/deep/todo.txt", "notes/link"]);
        assert_eq!(written.kept, ["auth/kubeconfig", "manifests/kept.yaml"]);
        let changed =
            ["auth/kubeconfig-kubelet", "manifests/more/b.yaml", "tls/ca.key", "tls/etcd/server.key"];
        assert_eq!(written.changed, changed);
        assert_eq!(written.removed, ["manifests/gone/a.yaml"]);
        let after = snapshot(&place.dir);
        for path in
            ["manifests/mine.yaml", "notes", "notes/deep", "notes/deep/todo.txt", "notes/empty", "notes/link"]
        {
            assert_eq!(after[path], before[path], "{path}");
        }
        assert!(!after.contains_key("manifests/gone"));
        assert_eq!(after["tls/ca.key"], (0o600, b"key 2".to_vec()));
        assert_eq!(place.names_beside(), ["assets"]);
    }
}

#[test]
fn a_directory_that_bootkube_did_not_write_is_refused_and_unchanged() {
    let place = Place::empty();
    place.user_file("tls/ca.key", "somebody's", 0o600);
    let before = snapshot(&place.dir);
    assert!(refused(write(&place.dir, &old()))[0].contains("bootkube did not write it"));
    assert!(check_target(&place.dir).unwrap_err().to_string().starts_with("--asset-dir: "));
    assert_eq!(snapshot(&place.dir), before);
    let file = place.dir.join("tls/ca.key");
    assert!(check_target(&file).unwrap_err().to_string().contains("not a directory"));
    let foreign = Place::empty();
    foreign.user_file("bootkube.json", "{}", 0o600);
    assert!(check_target(&foreign.dir).unwrap_err().to_string().contains("not an index"));
    assert_eq!(check_target(&place.dir.join("missing")), Ok(()));
}

#[test]
fn edited_files_are_named_and_nothing_is_written() {
    let place = Place::with_old_tree();
    place.user_file("tls/ca.key", "edited", 0o600);
    place.user_file("manifests/gone/a.yaml", "edited", 0o600);
    place.user_file("manifests/more/b.yaml", "added by the user", 0o600);
    let before = snapshot(&place.dir);
    let findings = refused(write(&place.dir, &new()));
    assert_eq!(findings.len(), 3, "{findings:?}");
    for (finding, path) in
        findings.iter().zip(["manifests/gone/a.yaml", "manifests/more/b.yaml", "tls/ca.key"])
    {
        assert!(finding.contains(path) && finding.contains("components.<name>.patches"), "{finding}");
    }
    assert_eq!(snapshot(&place.dir), before);
}

#[test]
fn an_edit_that_says_the_same_as_the_new_content_is_no_conflict_and_a_deleted_file_comes_back() {
    let place = Place::with_old_tree();
    place.user_file("tls/ca.key", "key 2", 0o600);
    place.user_file("manifests/more/b.yaml", "b", 0o600);
    fs::remove_file(place.dir.join("manifests/kept.yaml")).unwrap();
    let written = write(&place.dir, &new()).unwrap();
    assert!(written.kept.contains(&"tls/ca.key".to_owned()));
    assert!(written.changed.contains(&"manifests/kept.yaml".to_owned()));
    assert!(write(&place.dir, &new()).unwrap().changed.is_empty());
}

#[test]
fn a_link_to_the_directory_stays_a_link() {
    let place = Place::with_old_tree();
    let link = place.parent.path().join("link");
    symlink("assets", &link).unwrap();
    write(&link, &new()).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(place.dir.join("tls/ca.key")).unwrap(), b"key 2");
    let dangling = place.parent.path().join("dangling");
    symlink("nowhere", &dangling).unwrap();
    assert!(refused(write(&dangling, &new()))[0].contains("link whose target does not exist"));
}

/// Runs `write` with a crash after 0, 1, 2… changes until none happens, and has `check` look at
/// each wreck.
fn crash_everywhere(prepare: fn() -> Place, is_mount_point: bool, check: impl Fn(&Place, usize)) {
    for steps in 0.. {
        let place = prepare();
        IS_MOUNT_POINT.set(is_mount_point);
        STEPS_LEFT.set(steps);
        let result = write(&place.dir, &new());
        STEPS_LEFT.set(usize::MAX);
        if result.is_err() {
            check(&place, steps);
        }
        IS_MOUNT_POINT.set(false);
        if result.is_ok() {
            assert!(steps > 10, "only {steps} steps");
            return;
        }
    }
}

fn expected(prepare: fn() -> Place) -> Snapshot {
    let place = prepare();
    write(&place.dir, &new()).unwrap();
    snapshot(&place.dir)
}

#[test]
fn a_crash_anywhere_leaves_the_old_tree_or_the_new_one_and_the_next_render_cleans_up() {
    for prepare in [Place::with_old_tree, Place::empty] {
        let (before, after) = (snapshot(&prepare().dir), expected(prepare));
        crash_everywhere(prepare, false, |place, steps| {
            let found = snapshot(&place.dir);
            assert!(found == before || found == after, "after {steps} steps: {:?}", found.keys());
            write(&place.dir, &new()).unwrap();
            assert!(snapshot(&place.dir) == after, "after {steps} steps and another render");
            assert_eq!(place.names_beside(), ["assets"]);
        });
    }
}

#[test]
fn an_interrupted_render_of_a_mount_point_is_completed_without_losing_a_key() {
    for (prepare, had_tree) in [(Place::with_old_tree as fn() -> Place, true), (Place::empty_dir, false)] {
        let after = expected(prepare);
        for repair_with in [new(), old()] {
            crash_everywhere(prepare, true, |place, steps| {
                let found = previous(&place.dir).unwrap();
                let before = if had_tree { secrets(&old()) } else { BTreeMap::new() };
                assert!(
                    found == before || found == secrets(&new()),
                    "after {steps} steps: {:?}",
                    found.keys()
                );
                assert_eq!(check_target(&place.dir), Ok(()), "after {steps} steps");
                write(&place.dir, &repair_with).unwrap();
                assert_eq!(previous(&place.dir).unwrap(), secrets(&repair_with), "after {steps} steps");
                if repair_with == new() {
                    assert!(snapshot(&place.dir) == after, "after {steps} steps and another render");
                }
            });
        }
    }
}

#[test]
fn json_is_flat_and_sorted() {
    let json = to_json(&assets(&[("tls/a", "1\n"), ("auth/b", "\"2\"")]));
    assert_eq!(json, r#"{"auth/b":"\"2\"","tls/a":"1\n"}"#);
}
