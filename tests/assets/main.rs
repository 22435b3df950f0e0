//! The asset directory on disk: loaded, and written.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in tests, but not in their helpers

mod written;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use bootkube::assets::load::{Layout, load};
use bootkube::assets::object::Object;
use bootkube::finding::Findings;
use bootkube::yaml;
use proptest::prelude::*;

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: kube-system}\n";
const ETCD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd, namespace: kube-system}\n";
const SEED: &str = include_str!("../yaml_go/seed.yaml");

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

fn least() -> Vec<(&'static str, &'static str)> {
    vec![("auth/kubeconfig", "k"), ("bootstrap-manifests/a.yaml", POD), ("manifests/m.yaml", POD)]
}

fn loaded(extra: &[(&str, &str)]) -> Result<Layout, Findings> {
    load(directory(&[least(), extra.to_vec()].concat()).path())
}

fn findings(extra: &[(&str, &str)]) -> Vec<String> {
    loaded(extra).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn a_whole_directory_is_loaded_in_order() {
    let list = "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Node, metadata: {name: x}}]}";
    let layout = loaded(&[
        ("tls/ca.crt", "hidden content"),
        ("tls/etcd/server.key", "key"),
        ("controller-manifests/etcd.yaml", ETCD),
        (
            "manifests/z.json",
            "{\"apiVersion\": \"v1\", \"kind\": \"Node\", \"metadata\": {\"name\": \"json\"}}",
        ),
        (
            "manifests/coredns/deep.txt",
            "# nothing\n---\n{apiVersion: v1, kind: Node, metadata: {name: deep}}\n---\n",
        ),
        ("manifests/.hidden.yaml", "{{"),
        ("manifests/..data/x.yaml", "{{"),
        ("manifests/empty.yaml", ""),
        ("manifests-networking/list.yaml", list),
        ("experimental/manifests/e.yaml", "{apiVersion: v1, kind: Node, metadata: {name: e}}"),
    ])
    .unwrap();
    let objects: Vec<_> = layout.objects.iter().map(|o| format!("{o} {}, {}", o.file, o.place)).collect();
    let expected = [
        "Node deep manifests/coredns/deep.txt, document 1",
        "Pod kube-system/p manifests/m.yaml, document 1",
        "Node json manifests/z.json, document 1",
        "Node e experimental/manifests/e.yaml, document 1",
        "Node x manifests-networking/list.yaml, document 1, items[0]",
    ];
    assert_eq!(objects, expected);
    assert_eq!(layout.kubeconfig, b"k");
    assert_eq!(layout.tls.keys().collect::<Vec<_>>(), ["ca.crt", "etcd/server.key"]);
    assert_eq!(
        (layout.bootstrap_manifests[0].path.as_str(), &layout.bootstrap_manifests[0].bytes[..]),
        ("a.yaml", POD.as_bytes())
    );
    assert_eq!(layout.bootstrap_manifests[0].value["kind"], "Pod");
    assert_eq!(layout.controller_manifests[0].path, "etcd.yaml");
    let warned = [
        "experimental/manifests/ is applied too",
        "manifests-networking/ is applied too",
        "manifests/empty.yaml holds no object",
    ];
    assert_eq!(layout.warnings, warned);
    assert!(!format!("{layout:?}").contains("hidden content"), "no content is shown");
}

#[test]
fn folders_that_a_wrapper_would_have_moved_into_manifests_are_read_in_place() {
    let node = |name: &str| format!("{{apiVersion: v1, kind: Node, metadata: {{name: {name}}}}}");
    let layout = loaded(&[
        ("manifests-networking/n.yaml", &node("network")),
        ("manifests-addons/deep/a.yaml", &node("addon")),
        ("manifests-old.tar", "no folder"),
        ("static-manifests/x.yaml", POD),
        ("experimental/bootstrap-manifests/etcd.yaml", POD),
    ])
    .unwrap();
    let names: Vec<&str> = layout.objects.iter().map(Object::name).collect();
    assert_eq!(names, ["p", "addon", "network"]);
    let expected = [
        "manifests-addons/ is applied too",
        "manifests-networking/ is applied too",
        "experimental/bootstrap-manifests/ is ignored: self-hosted etcd is no longer supported",
        "static-manifests/ is ignored: the control plane to start with is bootstrap-manifests/",
    ];
    assert_eq!(layout.warnings, expected);
}

#[test]
fn only_the_layout_of_a_foreign_directory_is_reported_not_what_else_it_lacks() {
    let dir = directory(&[("static-manifests/a.yaml", POD), ("manifests/broken.yaml", "{{")]);
    let found = load(dir.path()).unwrap_err().0;
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_directory_without_manifests_is_loaded_with_a_warning() {
    let layout = load(directory(&least()[..2]).path()).unwrap();
    assert!(layout.objects.is_empty());
    assert!(layout.warnings[0].contains("no manifests/"));
}

#[test]
fn manifests_that_are_links_are_read_as_in_a_mounted_config_map() {
    let dir = directory(&least());
    let data = dir.path().join("manifests/..data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("x.yaml"), "{apiVersion: v1, kind: Node, metadata: {name: linked}}").unwrap();
    symlink("..data/x.yaml", dir.path().join("manifests/x.yaml")).unwrap();
    assert_eq!(load(dir.path()).unwrap().objects[1].name(), "linked");
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    let found = findings(&[
        ("manifests/a.yaml", "a: 1\nb: [\n"),
        ("manifests/b.yaml", "{kind: Pod, metadata: {name: x}}\n---\n{apiVersion: v1, metadata: {}}\n"),
        ("manifests/c.yaml", "a: 1\na: 2\n"),
        ("manifests/d.yaml", "just text"),
        ("bootstrap-manifests/two.yaml", "{a: 1}\n---\n{b: 2}\n"),
        ("bootstrap-manifests/x/apiserver.yaml", ETCD),
        ("bootstrap-manifests/y/apiserver.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: q}}"),
        ("controller-manifests/a.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: r}}"),
    ]);
    let starts = [
        "bootstrap-manifests/two.yaml: it holds more than one document",
        "bootstrap-manifests/y/apiserver.yaml: it claims the file name apiserver.yaml in kubelet's folder, as bootstrap-manifests/x/apiserver.yaml does",
        "controller-manifests/a.yaml: it claims the file name a.yaml in kubelet's folder, as bootstrap-manifests/a.yaml does",
        "manifests/a.yaml:2:4: ",
        "manifests/b.yaml: document 1: apiVersion is missing",
        "manifests/b.yaml: document 2: kind is missing",
        "manifests/b.yaml: document 2: metadata.name is missing",
        "manifests/c.yaml:2:4: the key `a` is given twice",
        "manifests/d.yaml: document 1: an object",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (finding, start) in found.iter().zip(starts) {
        assert!(finding.starts_with(start), "{finding}\n{start}");
    }
}

/// A file more in a directory that is whole: one finding, which begins so, names the other place and
/// says what to do.
#[test]
fn a_directory_has_one_of_each_and_only_what_an_api_or_kubelet_takes() {
    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: kube-system}, data: {a: b}}";
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: kube-system}}";
    let quiet = "# nothing but a comment\n";
    let table: [(&str, &str, [&str; 2]); 15] = [
        (
            "manifests/z.yaml",
            pod,
            ["document 1: Pod kube-system/p is in manifests/m.yaml, document 1, too", "remove one"],
        ),
        (
            "manifests-addons/z.yaml",
            pod,
            ["document 1: Pod kube-system/p is in manifests/m.yaml", "remove one"],
        ),
        ("manifests/m.yaml.bak", pod, ["a leftover of manifests/m.yaml", "move it out"]),
        ("manifests/m.yaml.rpmsave", "{{", ["a leftover of manifests/m.yaml", "move it out"]),
        ("manifests/gone.yaml~", map, ["a leftover, and no manifest", "move it out"]),
        (
            "manifests/job.yaml",
            "{apiVersion: batch/v1, kind: Job, metadata: {generateName: j-}}",
            ["generateName makes another object", "metadata.name"],
        ),
        (
            "manifests/x.yaml",
            "{apiVersion: v1, kind: Secert, metadata: {name: s}}",
            ["no kind Secert in the core group", "did you mean Secret"],
        ),
        (
            "manifests/x.yaml",
            "{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: s}}",
            [
                "apiVersion: Ingress of extensions/v1beta1 was removed in Kubernetes 1.22",
                "networking.k8s.io/v1,",
            ],
        ),
        (
            "manifests/kustomization.yaml",
            "{apiVersion: kustomize.config.k8s.io/v1beta1, kind: Kustomization}",
            ["a file for a program", "kubectl kustomize"],
        ),
        ("bootstrap-manifests/a.yaml.orig", pod, ["a leftover of bootstrap-manifests/a.yaml", "move it out"]),
        ("bootstrap-manifests/README", "Read this.", ["it holds no pod", "move the file out"]),
        ("bootstrap-manifests/notes.txt", quiet, ["it holds no pod", "move the file out"]),
        ("controller-manifests/config.yaml", map, ["it holds no pod, but kind ConfigMap", "manifests/"]),
        (
            "controller-manifests/etcd.yaml",
            pod,
            ["claims the pod name kube-system/p, as bootstrap-manifests/a.yaml does", "rename its pod"],
        ),
        (
            "controller-manifests/x/a.yaml",
            ETCD,
            ["claims the file name a.yaml in kubelet's folder, as bootstrap-manifests/a.yaml does", "rename"],
        ),
    ];
    for (path, content, [problem, cure]) in table {
        let found = findings(&[(path, content)]);
        assert!(found[0].starts_with(&format!("{path}: ")), "{path}: {found:?}");
        assert!(found[0].contains(problem) && found[0].contains(cure), "{path}: {found:?}");
        assert_eq!(found.len(), 1, "{path}: {found:?}");
    }
}

/// A chart is one finding, whatever is in it; a template alone says what it is.
#[test]
fn a_chart_that_helm_has_not_rendered_is_refused_as_a_whole() {
    let template = "apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .Release.Name }}}\n";
    let chart = [
        ("manifests/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 0.1.0\n"),
        ("manifests/web/values.yaml", "a: 1\n"),
        ("manifests/web/templates/web.yaml", template),
        ("manifests/web/charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 0.1.0\n"),
        ("manifests/packed-0.1.0.tgz", "\u{1f}"),
    ];
    let found = findings(&chart);
    assert_eq!(found.len(), 2, "{found:?}");
    for (finding, start) in
        found.iter().zip(["manifests/web: it is a Helm chart", "manifests/packed-0.1.0.tgz: it is"])
    {
        assert!(finding.starts_with(start) && finding.contains("helm template"), "{finding}");
    }
    let found = findings(&[("manifests/web.yaml", template)]);
    assert!(found.len() == 1 && found[0].contains("looks like a template"), "{found:?}");
}

/// As `helm template` prints it: comments, empty documents, lists with and without items, and fields that are null.
#[test]
fn what_helm_prints_is_read_as_it_comes() {
    let printed = "\
---
# Source: shop/templates/config.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels:, annotations: {helm.sh/hook: pre-install}}
data:
---
# Source: shop/templates/config.yaml
---

---
# Source: shop/templates/list.yaml
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}
---
# Source: shop/templates/none.yaml
apiVersion: v1
kind: List
items:
---
";
    let layout = loaded(&[("manifests/shop.yaml", printed)]).unwrap();
    let objects: Vec<String> = layout.objects.iter().map(|o| format!("{o} {}", o.place)).collect();
    assert_eq!(
        objects,
        ["Pod kube-system/p document 1", "ConfigMap a document 1", "ConfigMap b document 4, items[0]"]
    );
    assert_eq!(layout.warnings, [] as [&str; 0]);
}

#[test]
fn names_that_begin_with_a_dot_are_left_out_as_kubelet_leaves_them_out() {
    let layout = loaded(&[
        ("bootstrap-manifests/.a.yaml.swp", "\u{0}"),
        ("controller-manifests/.gitkeep", ""),
        ("manifests/.git/config", "[core]"),
    ]);
    let found = layout.unwrap_err().to_string();
    assert!(found.starts_with("controller-manifests: there is no static pod in it"), "{found}");
}

#[test]
fn directories_of_other_programs_are_refused_with_the_reason() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
    let table: [Case<'_>; 6] = [
        (&[("auth/kubeconfig", "k"), ("static-manifests/a.yaml", POD)], &["not self-hosted"]),
        (
            &[("auth/kubeconfig", "k"), ("bootstrap-manifests/a.yaml", POD), ("charts/x/Chart.yaml", "")],
            &["Helm charts"],
        ),
        (&[("manifests/a.yaml", POD)], &["it holds only objects"]),
        (&[("auth/kubeconfig", "k"), ("manifests/a.yaml", POD)], &["it has no bootstrap-manifests/"]),
        (&[("auth/kubeconfig", "k"), ("bootstrap-manifests/.x", "")], &["no static pod in it"]),
        (
            &[
                ("auth/kubeconfig", "k"),
                ("bootstrap-manifests/a.yaml", POD),
                (".bootkube-staging-1/tls/ca.key", ""),
            ],
            &["a render into it was interrupted"],
        ),
    ];
    for (files, problems) in table {
        let findings = load(directory(files).path()).unwrap_err().0;
        assert_eq!(findings.len(), problems.len(), "{findings:?}");
        for (finding, problem) in findings.iter().zip(problems) {
            assert!(finding.to_string().contains(problem), "{finding}");
        }
    }
    assert!(load(Path::new("/nowhere/at/all")).unwrap_err().to_string().contains("no such directory"));
}

#[test]
fn files_that_are_not_text_and_special_files_are_refused_with_their_place() {
    let dir = directory(&least());
    fs::write(dir.path().join("manifests/latin.yaml"), b"a: 1\nb: \xe9\n").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("manifests/pipe"), rustix::fs::Mode::RUSR).unwrap();
    symlink("nowhere", dir.path().join("manifests/broken")).unwrap();
    symlink(".", dir.path().join("tls")).unwrap();
    let found = load(dir.path()).unwrap_err().to_string();
    for expected in [
        "manifests/latin.yaml:2: it is not UTF-8",
        "manifests/pipe: ",
        "manifests/broken: it is a link to nowhere, which is missing; correct it, or remove it",
        "tls: ",
    ] {
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edit = (
        any::<prop::sample::Index>(),
        prop_oneof![any::<u8>(), prop::sample::select(b"\n :-#{}[]&*!|'\"".to_vec())],
    );
    (any::<prop::sample::Index>(), prop::collection::vec(edit, 0..10)).prop_map(|(end, edits)| {
        let seed = format!("apiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: Pod, metadata: {{name: a}}}}\n---\n{SEED}");
        let mut bytes = seed.into_bytes();
        bytes.truncate(end.index(bytes.len()) + 1);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_manifest_makes_the_object_parser_panic(bytes in mutated()) {
        for document in yaml::documents(&String::from_utf8_lossy(&bytes), "f").unwrap_or_default() {
            for object in Object::from_document(document, "f").unwrap_or_default() {
                prop_assert!(!object.kind().is_empty() && !object.api_version().is_empty());
                prop_assert!(!object.name().is_empty(), "{object:?}");
            }
        }
    }

    #[test]
    fn no_file_makes_loading_panic(bytes in mutated()) {
        // One directory for all cases: what matters is the content of the file.
        thread_local!(static DIR: tempfile::TempDir = directory(&least()));
        DIR.with(|dir| {
            fs::write(dir.path().join("manifests/m.yaml"), &bytes).unwrap();
            fs::write(dir.path().join("bootstrap-manifests/a.yaml"), &bytes).unwrap();
            if let Err(Findings(findings)) = load(dir.path()) {
                assert!(!findings.is_empty());
            }
        });
    }
}
