//! What `helm template` makes of a chart: its objects are applied as they come. Hooks and tests are
//! objects like others, and nothing is kept of the release.

use std::path::Path;

use lab::cluster::ASSETS;
use serde_json::Value;

use crate::checks::{Checks, eventually};
use crate::page::{replaced, says, scripts};
use crate::world::World;

const PAGE: (&str, &str) = ("docs/workloads.md", "What Helm renders");
/// On the machine.
const CHART: &str = "/root/chart";

/// Renders it as the page says.
pub fn bring(world: &World) {
    copy(world, &lab::workspace().join("tests/e2e/workloads/chart"), CHART);
    let [script] = scripts(PAGE.0, PAGE.1);
    world.shell(&replaced(&script, &[("CHART", CHART), ("/opt/bootkube/assets", ASSETS)]));
    let rendered = world.shell(&format!("cat {ASSETS}/manifests/shop.yaml"));
    for part in ["# Source: shop/crds/toys.yaml", "# Source: shop/templates/hooks/jobs.yaml", "kind: List"] {
        assert!(rendered.contains(part), "{part}:\n{rendered}");
    }
}

fn copy(world: &World, from: &Path, to: &str) {
    for entry in from.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let to = format!("{to}/{}", path.file_name().unwrap().to_str().unwrap());
        match path.is_dir() {
            true => copy(world, &path, &to),
            false => world.n1().write(&to, &std::fs::read(&path).unwrap(), 0o600).unwrap(),
        }
    }
}

pub fn check(world: &World, checks: &mut Checks) {
    checks.that("objects of a chart are where their metadata says, or in the default namespace", || {
        world.kubectl(&["rollout", "status", "deployment/shop-web", "--timeout=120s"]);
        for (namespace, object) in [
            ("shop", "configmap/shop-config"),
            ("shop", "configmap/shop-red"),
            ("shop", "configmap/shop-blue"),
            ("shop", "toy/bear"),
            ("default", "validatingwebhookconfiguration/shop-policy"),
        ] {
            world.kubectl(&["get", object, "--namespace", namespace]);
        }
    });
    checks.that("its hooks and tests run once, as jobs and pods like others", || {
        says(PAGE.0, PAGE.1, "Hooks and tests become ordinary objects");
        eventually(60, || {
            ["pre-install", "post-install", "pre-delete"].iter().try_for_each(|hook| {
                let job = world.get(&["job", &format!("shop-{hook}")]);
                (job["status"]["succeeded"] == 1).then_some(()).ok_or(format!("{hook}: {}", job["status"]))
            })?;
            let test = world.get(&["pod", "shop-test"]);
            (test["status"]["phase"] == "Succeeded").then_some(()).ok_or(format!("{}", test["status"]))
        });
    });
    checks.that("what only Helm keeps, and what the chart leaves out, is not in the cluster", || {
        let ours = "--selector=app.kubernetes.io/managed-by=Helm";
        let of_helm = names(world, &["all,ingresses,secrets,configmaps", ours]);
        assert_eq!(of_helm, ["shop-web"]);
        let releases = names(world, &["secrets", "--field-selector=type=helm.sh/release.v1"]);
        let switched_off = names(world, &["ingresses"]);
        assert!(releases.is_empty() && switched_off.is_empty(), "{releases:?} {switched_off:?}");
    });
}

pub fn change(world: &World, checks: &mut Checks) {
    checks.that("a Job that Helm renders otherwise is refused by its field, with the cure", || {
        says(PAGE.0, PAGE.1, "A Job that has changed since an earlier rendering is refused");
        world.shell(&format!("sed -i '/name: job/s/true/false/' {ASSETS}/manifests/shop.yaml"));
        let output = world.n1().exec(&["bootkube", "start", "--asset-dir", ASSETS]).unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let refused = "manifests/shop.yaml: Job shop-pre-install: spec.template cannot be changed";
        assert!(said.contains(refused), "{said}");
    });
}

/// Names of what `kubectl get` lists in all namespaces.
fn names(world: &World, words: &[&str]) -> Vec<String> {
    let list = world.get(&[words, &["--all-namespaces"]].concat());
    let name = |item: &Value| item["metadata"]["name"].as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(name).collect()
}
