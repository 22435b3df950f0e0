//! The table of removed API versions against the lifecycles in Kubernetes' own sources, where Go's
//! module cache has them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bootkube::assets::removed::{self, Removed};

const MODULES: [&str; 3] =
    ["k8s.io/api@v0.36.3", "k8s.io/apiextensions-apiserver@v0.36.3", "k8s.io/kube-aggregator@v0.36.3"];
const FILE: &str = "zz_generated.prerelease-lifecycle.go";
/// The newest minor version that is supported.
const NEWEST: u32 = 36;
/// What is sent to the API or comes from it, and of which it keeps no object.
const NO_OBJECTS: [&str; 11] = [
    "APIGroupDiscovery",
    "AdmissionReview",
    "ConversionReview",
    "DeploymentRollback",
    "Eviction",
    "LocalSubjectAccessReview",
    "Scale",
    "SelfSubjectAccessReview",
    "SelfSubjectReview",
    "SelfSubjectRulesReview",
    "SubjectAccessReview",
];

/// By apiVersion and kind: the minor version that removed it, and what the lifecycle names instead.
type Lifecycles = BTreeMap<(String, String), (u32, Option<String>)>;

fn read(folder: &Path, found: &mut Lifecycles) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, found);
        } else if path.ends_with(FILE) {
            let text = fs::read_to_string(&path).unwrap();
            let register = fs::read_to_string(path.with_file_name("register.go")).unwrap();
            let group = between(&register, "const GroupName = \"", "\"").unwrap();
            let version = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
            lifecycles(&text, &format!("{group}/{version}"), found);
        }
    }
}

fn lifecycles(text: &str, api_version: &str, found: &mut Lifecycles) {
    for function in text.split("\nfunc (in *").skip(1) {
        let (kind, body) = function.split_once(')').unwrap();
        let entry = || (api_version.to_owned(), kind.to_owned());
        if let Some(minor) = between(body, "APILifecycleRemoved() (major, minor int) {\n\treturn 1, ", "\n") {
            found.entry(entry()).or_default().0 = minor.parse().unwrap();
        }
        if body.contains("APILifecycleReplacement()") {
            let part = |name: &str| between(body, &format!("{name}: \""), "\"").unwrap();
            found.entry(entry()).or_default().1 = Some(format!("{}/{}", part("Group"), part("Version")));
        }
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

#[test]
fn the_table_of_removed_versions_is_that_of_the_lifecycles() {
    let output = Command::new("go").args(["env", "GOMODCACHE"]).output().unwrap();
    let cache = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let mut found = Lifecycles::new();
    for module in MODULES.map(|module| cache.join(module)).iter().filter(|module| module.exists()) {
        read(module, &mut found);
    }
    if found.is_empty() {
        return eprintln!("no module is there to compare with");
    }
    let last = |mut version: String, kind: &str| {
        while let Some((minor @ 1..=NEWEST, Some(next))) =
            found.get(&(version.clone(), kind.to_owned())).cloned()
        {
            assert!(minor > 0);
            version = next;
        }
        version
    };
    let is_object =
        |kind: &str| !kind.ends_with("List") && kind != "TokenReview" && !NO_OBJECTS.contains(&kind);
    let mut compared = 0;
    for ((version, kind), (minor, replacement)) in &found {
        if !(1..=NEWEST).contains(minor) || !is_object(kind) {
            continue;
        }
        let row: &Removed =
            removed::find(version, kind).unwrap_or_else(|| panic!("{kind} of {version}: 1.{minor}"));
        assert!(row.is_in_sources, "{row:?}");
        assert_eq!(row.minor, *minor, "{row:?}");
        if replacement.is_some() {
            assert_eq!(row.instead, Some(last(version.clone(), kind).as_str()), "{row:?}");
        }
        compared += 1;
    }
    let rows = removed::all().iter().filter(|row| row.is_in_sources).count();
    assert_eq!(compared, rows, "rows that the sources do not have");
    eprintln!("{compared} of {} rows compared", removed::all().len());
}
