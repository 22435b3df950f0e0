//! The checks of a machine against real things: listeners, rendered certificates, an etcd and an apiserver.
//!
//! Tier: API. No kubelet runs here; what is said of one is tested on machines of the lab.
#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use bootkube::assets::load;
use bootkube::preflight::{self, Check, CheckOptions, Ignored, Outcome, Problem};
use serde_json::Value;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

/// Assets in a folder, and an empty folder for static pods.
struct Machine {
    folder: TempDir,
}

impl Machine {
    /// Renders a configuration of `fields`.
    fn render(fields: &str) -> Self {
        let folder = TempDir::new().unwrap();
        support::render(folder.path(), fields);
        fs::create_dir(folder.path().join("manifests")).unwrap();
        Self { folder }
    }

    /// Assets that are there.
    fn with(assets: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let copied =
            Command::new("cp").arg("-r").arg(assets).arg(folder.path().join("assets")).status().unwrap();
        assert!(copied.success());
        fs::create_dir(folder.path().join("manifests")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes a file of other assets.
    fn take(&self, file: &str, other: &Self) {
        fs::copy(other.path(&format!("assets/{file}")), self.path(&format!("assets/{file}"))).unwrap();
    }

    fn checks_at(&self, now: OffsetDateTime) -> Vec<Check> {
        let asset_dir = self.path("assets");
        let layout = load::load(&asset_dir).unwrap();
        let options = CheckOptions {
            asset_dir,
            pod_manifest_path: self.path("manifests"),
            ignored: Ignored::default(),
            placed: BTreeSet::new(),
            etcd_authority: None,
            now,
            asks_cluster: true,
            patience: std::time::Duration::ZERO,
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(preflight::run(&layout, &options, |_| {})).unwrap()
    }

    fn check(&self, name: &str) -> Outcome {
        self.check_at(name, OffsetDateTime::now_utc())
    }

    fn check_at(&self, name: &str, now: OffsetDateTime) -> Outcome {
        self.checks_at(now).into_iter().find(|check| check.name == name).unwrap().outcome
    }
}

fn is_passed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Pass(_))
}

/// The problems of a failure.
fn problems(outcome: Outcome) -> Vec<Problem> {
    match outcome {
        Outcome::Fail(problems) => problems,
        other => panic!("no failure: {other:?}"),
    }
}

/// The single problem of a failure.
fn problem(outcome: Outcome) -> Problem {
    let mut problems = problems(outcome);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

fn external(address: &str, etcd: &str) -> String {
    format!("apiServers: ['https://{address}']\netcd: {{servers: ['https://{etcd}']}}")
}

#[test]
fn a_port_that_is_taken_is_told_with_who_holds_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let machine = Machine::render(&external(&address.to_string(), "127.0.0.1:1"));
    let found = problem(machine.check("ports"));
    assert_eq!(found.what, format!("port {} of kube-apiserver is taken", address.port()));
    assert!(found.why.contains(&format!("(process {})", std::process::id())), "{found:?}");
    drop(listener);
    assert!(is_passed(&machine.check("ports")));
}

#[test]
fn a_listener_where_none_of_ours_will_be_is_not_in_the_way() {
    let elsewhere = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let machine = Machine::render("");
    let file = machine.path("assets/bootstrap-manifests/bootstrap-scheduler.yaml");
    let moved = fs::read_to_string(&file).unwrap().replace("=10359", &format!("={port}"));
    fs::write(&file, moved).unwrap();
    assert!(is_passed(&machine.check("ports")), "the scheduler is on 127.0.0.1 alone");
    drop(elsewhere);
    let _there = TcpListener::bind(("127.0.0.1", port)).unwrap();
    assert!(problem(machine.check("ports")).what.contains("kube-scheduler"));
}

#[test]
fn certificates_are_held_against_the_clock_and_the_clock_against_files() {
    let machine = Machine::render("certificates: {validity: 30d}");
    let now = OffsetDateTime::now_utc();
    assert!(is_passed(&machine.check_at("certificate-validity", now)));
    assert!(is_passed(&machine.check_at("clock", now)));

    let in_the_tenth_year = now + Duration::days(3500);
    let machine_of_years = Machine::render("certificates: {validity: 3600d}");
    match machine_of_years.check_at("certificate-validity", in_the_tenth_year) {
        Outcome::Warn(warnings) => assert!(
            warnings
                .iter()
                .any(|found| found.what.contains("tls/ca.crt") && found.what.contains(" ends at "))
        ),
        other => panic!("{other:?}"),
    }

    let later = now + Duration::days(31);
    let expired = problems(machine.check_at("certificate-validity", later));
    assert!(expired.iter().any(|found| found.what.contains("tls/apiserver.crt has expired")), "{expired:#?}");
    assert!(expired.iter().all(|found| !found.what.contains("tls/ca.crt")), "{expired:#?}");
    assert!(is_passed(&machine.check_at("clock", later)));

    let earlier = now - Duration::days(1);
    assert!(problem(machine.check_at("clock", earlier)).what.contains("clock is behind"));
    assert!(matches!(machine.check_at("certificate-validity", earlier), Outcome::Unknown(_)));
}

#[test]
fn a_certificate_of_tomorrow_is_told_apart_from_a_clock_that_is_behind() {
    let machine = Machine::render("");
    let assets = machine.path("assets");
    let yesterday = "find . -exec touch --date='2 days ago' {} +";
    let touched = Command::new("sh").args(["-c", yesterday]).current_dir(&assets).status().unwrap();
    assert!(touched.success());
    let earlier = OffsetDateTime::now_utc() - Duration::days(1);
    assert!(is_passed(&machine.check_at("clock", earlier)));
    let early = problems(machine.check_at("certificate-validity", earlier));
    assert!(early.iter().all(|found| found.what.contains("not valid yet")), "{early:#?}");
}

#[test]
fn keys_and_authorities_of_another_render_are_told() {
    let (machine, other) = (Machine::render(""), Machine::render(""));
    for check in ["certificate-keys", "certificate-authorities"] {
        assert!(is_passed(&machine.check(check)), "{check}");
    }
    machine.take("tls/apiserver.key", &other);
    let found = problem(machine.check("certificate-keys"));
    assert!(found.what.contains("tls/apiserver.key") && found.why.contains("another key"), "{found:?}");
    assert!(is_passed(&machine.check("certificate-authorities")));

    machine.take("tls/apiserver.crt", &other);
    assert!(is_passed(&machine.check("certificate-keys")));
    let found = problem(machine.check("certificate-authorities"));
    assert!(found.what.contains("tls/apiserver.crt is not signed by the CA in auth/kubeconfig"), "{found:?}");
}

#[test]
fn a_server_that_its_certificate_does_not_name_is_told() {
    let machine = Machine::render("apiServers: ['https://api.example.test:6443']");
    assert!(is_passed(&machine.check("server-names")));
    let file = machine.path("assets/auth/kubeconfig");
    let renamed = fs::read_to_string(&file).unwrap().replace("api.example.test", "other.example.test");
    fs::write(&file, renamed).unwrap();
    let found = problem(machine.check("server-names"));
    assert!(found.what.contains("does not name other.example.test"), "{found:?}");
    assert!(found.why.contains("api.example.test") && found.cure.contains("apiServerAltNames"), "{found:?}");
}

#[test]
fn static_pods_of_others_are_in_the_way_only_if_they_are_of_a_control_plane() {
    let machine = Machine::render("");
    let place =
        |name: &str, content: &str| fs::write(machine.path(&format!("manifests/{name}")), content).unwrap();
    let pod = |name: &str, program: &str| {
        format!("{{metadata: {{name: {name}}}, spec: {{containers: [{{command: [{program}]}}]}}}}")
    };
    let ours = machine.path("assets/bootstrap-manifests/bootstrap-apiserver.yaml");
    place("bootstrap-apiserver.yaml", &fs::read_to_string(ours).unwrap());
    place("keepalived.yaml", &pod("keepalived", "keepalived"));
    place("etcd.yaml", &pod("etcd", "etcd"));
    place("notes.txt", "{");
    place(".hidden.yaml", &pod("x", "kube-apiserver"));
    let Outcome::Pass(told) = machine.check("static-pods") else { panic!("these are harmless") };
    assert!(told.contains("keepalived.yaml"), "{told}");

    place("bootstrap-scheduler.yaml", "something else");
    place("kube-apiserver.yaml", &pod("kube-apiserver-n1", "kube-apiserver"));
    place("copy.yaml", &pod("bootstrap-kube-scheduler", "sleep"));
    let found = problems(machine.check("static-pods"));
    let about = |name: &str, why: &str| {
        let is_it = |found: &&Problem| found.what.contains(&format!("/{name} ")) && found.why.contains(why);
        assert!(found.iter().any(|found| is_it(&found)), "{name}: {found:#?}");
    };
    about("bootstrap-scheduler.yaml", "differs from the static pod of this name");
    about("kube-apiserver.yaml", "runs another kube-apiserver");
    about("copy.yaml", "has the name bootstrap-kube-scheduler");
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn an_etcd_of_another_ca_one_that_refuses_us_and_a_dead_one_are_told_apart() {
    let api = support::shared();
    let machine = Machine::with(&api.assets);
    assert!(is_passed(&machine.check("etcd")), "{:?}", machine.check("etcd"));

    let other = Machine::render(&external("127.0.0.1:1", &api.etcd.to_string()));
    let found = problem(other.check("etcd"));
    assert!(found.what.contains("is not signed by the CA in tls/etcd-client-ca.crt"), "{found:?}");

    machine.take("tls/etcd-client.crt", &other);
    machine.take("tls/etcd-client.key", &other);
    let found = problem(machine.check("etcd"));
    assert!(found.what.contains("refuses our client certificate"), "{found:?}");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = Machine::render(&external("127.0.0.1:1", &free.to_string()));
    let found = problem(dead.check("etcd"));
    assert!(found.what.contains(&format!("{free} does not answer")), "{found:?}");
}

#[test]
fn a_member_that_is_away_is_told_and_stops_nothing() {
    let api = support::shared();
    let machine = Machine::with(&api.assets);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = machine.path("assets/bootstrap-manifests/bootstrap-apiserver.yaml");
    let one = format!("--etcd-servers=https://{}", api.etcd);
    let two = fs::read_to_string(&file).unwrap().replace(&one, &format!("{one},https://{free}"));
    fs::write(&file, two).unwrap();
    let Outcome::Pass(told) = machine.check("etcd") else { panic!("one of two is healthy") };
    assert!(told.contains(&free.to_string()), "{told}");
}

#[test]
fn an_apiserver_of_our_own_holds_its_port_by_right() {
    let api = support::shared();
    let assets = Machine::with(&api.assets);
    let outcome = assets.check("ports");
    assert_eq!(outcome, Outcome::Pass("held by this cluster".into()));
    let other = Machine::render(&external(&api.endpoint.to_string(), "127.0.0.1:1"));
    let found = problem(other.check("living-cluster"));
    assert!(
        found.what.starts_with("a cluster of another CA runs on this machine: kubernetes-ca of "),
        "{found:?}"
    );
    assert!(matches!(other.check("ports"), Outcome::Unknown(_)), "nothing advises to end that apiserver");
}

#[test]
fn the_command_says_everything_exits_4_and_can_be_told_to_ignore() {
    let machine = Machine::render("");
    fs::write(machine.path("manifests/bootstrap-scheduler.yaml"), "foreign").unwrap();
    let preflight = |more: &[&str]| {
        let words = ["preflight", "--asset-dir=assets", "--pod-manifest-path=manifests"];
        support::bootkube(machine.folder.path(), &[&words, more].concat(), "")
    };
    let plain = preflight(&[]);
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(plain.status.code(), Some(4), "{}", said(&plain.stdout));
    let stderr = said(&plain.stderr);
    assert!(stderr.contains("this machine is not ready") && stderr.contains("static-pods"), "{stderr}");
    assert!(said(&plain.stdout).contains("\n           do:  "));

    let json = preflight(&["-o", "json"]);
    assert_eq!(json.status.code(), Some(4));
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["ready"], false);
    documented(&report);

    let ignored = preflight(&["--ignore-preflight=all", "--output=json"]);
    assert_eq!(ignored.status.code(), Some(0), "{}", said(&ignored.stderr));
    let report: Value = serde_json::from_slice(&ignored.stdout).unwrap();
    let is_it = |check: &&Value| check["name"] == "static-pods";
    let check = report["checks"].as_array().unwrap().iter().find(is_it).unwrap();
    assert_eq!((&check["result"], check["problems"].as_array().unwrap().len()), (&"ignored".into(), 1));

    assert_eq!(preflight(&["--ignore-preflight=everything"]).status.code(), Some(2));
    let nowhere = support::bootkube(machine.folder.path(), &["preflight", "--asset-dir=nowhere"], "");
    assert_eq!(nowhere.status.code(), Some(3));
}

/// Every check is in the table of docs/preflight.md, in the words of the report.
fn documented(report: &Value) {
    let text = include_str!("../docs/preflight.md");
    for check in report["checks"].as_array().unwrap() {
        let row = format!("| `{}` | {} |", check["name"].as_str().unwrap(), check["about"].as_str().unwrap());
        assert!(text.contains(&row), "{row}");
    }
}

#[test]
fn the_status_of_a_control_plane_without_pods_names_what_is_missing() {
    let api = support::shared();
    let folder = TempDir::new().unwrap();
    let status = |file: &Path| {
        let kubeconfig = format!("--kubeconfig={}", file.display());
        support::bootkube(folder.path(), &["status", &kubeconfig, "-o", "json"], "")
    };
    let found = status(&api.assets.join("auth/kubeconfig"));
    assert_eq!(found.status.code(), Some(1), "{}", String::from_utf8_lossy(&found.stderr));
    let report: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(report["healthy"], false);
    let problems: Vec<&str> =
        report["problems"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for name in ["kube-controller-manager", "kube-scheduler"] {
        let is_it = |problem: &&&str| problem.contains(&format!("no {name} leads"));
        assert!(problems.iter().any(|problem| is_it(&problem)), "{problems:?}");
    }
    assert_eq!(report["certificates"][0]["name"], "kubernetes-admin");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = Machine::render(&external(&free.to_string(), "127.0.0.1:1"));
    let found = status(&dead.path("assets/auth/kubeconfig"));
    assert_eq!(found.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&found.stdout).unwrap();
    let only = report["problems"].as_array().unwrap();
    assert!(only.len() == 1 && only[0].as_str().unwrap().contains("does not answer"), "{report:#}");
    assert_eq!(status(Path::new("nowhere")).status.code(), Some(3));
}

/// Every step takes 1.5 s, which a fast API never needs and a slow machine's may.
#[test]
fn the_status_of_a_slow_api_is_that_of_the_same_api_without_delay() {
    let api = support::shared();
    let near = lab::far::here(api.endpoint, std::time::Duration::from_millis(1500)).unwrap();
    let folder = TempDir::new().unwrap();
    let kubeconfig = fs::read_to_string(api.assets.join("auth/kubeconfig")).unwrap();
    let server = format!("https://{}", api.endpoint);
    assert!(kubeconfig.contains(&server), "{kubeconfig}");
    let problems = |name: &str, server: &str, more: &[&str]| {
        fs::write(folder.path().join(name), kubeconfig.replace(&format!("https://{}", api.endpoint), server))
            .unwrap();
        let file = format!("--kubeconfig={name}");
        let words = [&["status", &file, "-o", "json"], more].concat();
        let found = support::bootkube(folder.path(), &words, "");
        let report: Value = serde_json::from_slice(&found.stdout).unwrap();
        let problems = report["problems"].as_array().unwrap().iter();
        problems.map(|problem| problem.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let delayed = format!("https://{near}");
    let expected = problems("direct", &server, &[]);
    assert!(expected.iter().any(|problem| problem.contains("no kube-scheduler leads")), "{expected:?}");
    assert_eq!(problems("delayed", &delayed, &[]), expected);

    let only = problems("delayed", &delayed, &["--timeout=1s"]);
    let said = "accepts connections, but does not answer: no answer within 1 s";
    assert!(only.len() == 1 && only[0].contains(said), "{only:?}");
}
