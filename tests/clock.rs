//! Certificates that are not valid at the machine's time are named, until the certificates or the
//! clock are corrected. The tests pass the time to the library, both for rendering and for
//! preflight.

#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

#[path = "support/render_at.rs"]
mod render_at;
mod support;

use std::fs;
use std::path::PathBuf;

use bootkube::assets::load;
use bootkube::preflight::{self, Check, Failed, Ignored, Outcome};
use render_at::render_at;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

const CONFIG: &str =
    "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\ncertificates: {validity: 30d}\n";
/// Assets, and an empty folder for static pods.
struct Machine(TempDir);

impl Machine {
    /// Rendered at `then`.
    fn rendered_at(then: OffsetDateTime) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        fs::write(folder.path().join("cluster.yaml"), CONFIG).unwrap();
        render_at(CONFIG, &folder.path().join("assets"), then);
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Every check at `now`, as `start` makes them first.
    fn checks_at(&self, now: OffsetDateTime) -> Vec<Check> {
        let asset_dir = self.path("assets");
        let layout = load::load(&asset_dir).unwrap();
        let options = preflight::CheckOptions {
            etcd_authority: None,
            asset_dir,
            pod_manifest_path: self.path("manifests"),
            ignored: Ignored::default(),
            placed: Default::default(),
            now,
            asks_cluster: true,
            patience: std::time::Duration::ZERO,
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(preflight::run(&layout, &options, |_| {})).unwrap()
    }

    /// What `start` at `now` would be refused with.
    fn refusal_at(&self, now: OffsetDateTime) -> Failed {
        Failed::among(&self.checks_at(now)).unwrap_err()
    }

    fn passes_at(&self, name: &str, now: OffsetDateTime) -> bool {
        let is_it = |check: &&Check| check.name == name;
        matches!(self.checks_at(now).iter().find(is_it).unwrap().outcome, Outcome::Pass(_))
    }

    /// `bootkube render` by the machine's own clock: its exit code, and what it said.
    fn render(&self) -> (Option<i32>, String) {
        let words = ["render", "--config=cluster.yaml", "--asset-dir=assets"];
        let output = support::bootkube(self.0.path(), &words, "");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

#[test]
fn certificates_that_expired_yesterday_are_named_until_they_are_rendered_again() {
    let machine = Machine::rendered_at(now() - Duration::days(31));
    let failed = machine.refusal_at(now());
    assert!(failed.names().contains(&"certificate-validity"), "{failed}");
    let said = failed.to_string();
    assert!(
        said.contains("tls/apiserver.crt has expired") && said.contains("run bootkube render again"),
        "{said}"
    );
    let words = ["preflight", "--asset-dir=assets", "--pod-manifest-path=manifests"];
    let preflight = support::bootkube(machine.0.path(), &words, "");
    assert_eq!(preflight.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&preflight.stderr).contains("certificate-validity"));

    let (code, said) = machine.render();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("apiserver.crt: renewed"), "{said}");
    assert!(machine.passes_at("certificate-validity", now()));
}

#[test]
fn certificates_of_tomorrow_are_named_until_it_is_tomorrow() {
    let tomorrow = now() + Duration::days(1);
    let machine = Machine::rendered_at(tomorrow);
    let said = machine.refusal_at(now()).to_string();
    assert!(said.contains("tls/apiserver.crt is not valid yet") && said.contains("clock"), "{said}");
    // A CA is never replaced without being asked, not even one of tomorrow.
    let (code, said) = machine.render();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("tls/ca.crt") && said.contains("not valid before"), "{said}");
    assert!(machine.passes_at("certificate-validity", tomorrow));
    fs::remove_dir_all(machine.path("assets")).unwrap();
    assert_eq!(machine.render().0, Some(0));
    assert!(machine.passes_at("certificate-validity", now()));
}

#[test]
fn a_clock_that_is_ahead_or_behind_is_named_until_it_is_right() {
    let machine = Machine::rendered_at(now());
    let ahead = machine.refusal_at(now() + Duration::days(60)).to_string();
    assert!(
        ahead.contains("tls/apiserver.crt has expired") && ahead.contains("this machine's clock says"),
        "{ahead}"
    );
    let behind = machine.refusal_at(now() - Duration::days(2));
    let names = behind.names();
    assert!(names.contains(&"clock") && !names.contains(&"certificate-validity"), "{behind}");
    assert!(behind.to_string().contains("set the clock"), "{behind}");
    for check in ["clock", "certificate-validity"] {
        assert!(machine.passes_at(check, now()), "{check}");
    }
}
