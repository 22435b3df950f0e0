//! Rolls of the apiserver in which something dies. The API answers from whoever is healthy, and the next attempt succeeds without a hand
//! on the machine.

use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::kube::Pod;
use crate::traffic::{self, Answered, Traffic};
use crate::world::{World, record};

const APISERVERS: &str = "DaemonSet/kube-apiserver";
const TEMPLATE: &str = "/spec/template/metadata/annotations/example.org~1roll";
const COMMAND: &str = "/spec/template/spec/containers/0/command/-";

#[test]
fn the_api_answers_whatever_dies_in_a_roll() {
    let world = World::alone("e2e-handover", 1, |_| json!({}));
    world.render_and_join();
    world.start().must_succeed();
    let mut checks = Checks::default();
    checks.that("without an agent a roll waits, and goes on when it is back", || waits_for_the_agent(&world));
    checks
        .that("a user that is not root holds up neither a roll nor the agent", || nobody_interferes(&world));
    checks.that("an agent that is killed again and again does no harm", || agent_dies(&world));
    checks.that("an apiserver that never gets ready gets no request, and undoing it converges", || {
        bad_edit(&world, "never-ready", &etcd_servers(&world, "https://127.0.0.1:1"));
    });
    checks.that("an apiserver that crashes at once gets no request, and undoing it converges", || {
        bad_edit(&world, "crashes", &add(COMMAND, "--no-such-flag"));
    });
    checks.that("when the newer one dies after it took over, the older one serves", || newer_dies(&world));
    checks
        .that("when the older one dies, the newer one serves as soon as it is ready", || older_dies(&world));
    checks.that("two quick edits end with the last one, and no request fails", || two_edits(&world));
    checks.finish();
}

fn waits_for_the_agent(world: &World) {
    let before = names(world);
    agent(world, "STOP");
    let answered = with_traffic(world, "agent-away", || {
        edit(world, TEMPLATE, "agent-away");
        eventually(30, || (listeners(world) == 2).then_some(()).ok_or("no second apiserver yet".into()));
        std::thread::sleep(std::time::Duration::from_secs(8)); // longer than it takes to be ready
        assert_eq!(names(world).len(), 2, "the older one stays");
        agent(world, "CONT");
        settled(world, &before);
    });
    unnoticed(&answered);
}

/// User nobody tries to hold every lock of bootkube while the apiserver is rolled out and `start` runs again.
fn nobody_interferes(world: &World) {
    let before = names(world);
    let shared = "/etc/kubernetes/checkpoint-secrets";
    world.shell(&format!(
        "for file in /etc/kubernetes /etc/kubernetes/bootkube.lock {shared} {shared}/.*.lock; do
             setpriv --reuid=65534 --regid=65534 --clear-groups flock --nonblock $file sleep 300 >/dev/null 2>&1 &
         done"
    ));
    let answered = with_traffic(world, "nobody-interferes", || {
        edit(world, TEMPLATE, "nobody-interferes");
        settled(world, &before);
    });
    unnoticed(&answered);
    world.start().must_succeed();
    world.shell("pkill -u 65534 -x sleep; true");
}

fn agent_dies(world: &World) {
    let before = names(world);
    let answered = with_traffic(world, "agent-dies", || {
        edit(world, TEMPLATE, "agent-dies");
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(1300)); // somewhere in the roll: before, in and after the flip
            world.shell("pkill -KILL -x bootkube || true");
        }
        settled(world, &before);
    });
    unnoticed(&answered);
}

fn bad_edit(world: &World, name: &str, edit: &Value) {
    let before = names(world);
    let answered = with_traffic(world, name, || {
        patch(world, edit);
        eventually(30, || (names(world).len() == 2).then_some(()).ok_or("no second apiserver yet".into()));
        std::thread::sleep(std::time::Duration::from_secs(12)); // longer than a good one takes
        assert!(names(world).contains(&before[0]), "the older one stays");
        world.kubectl(&["-n", "kube-system", "rollout", "undo", "daemonset/kube-apiserver"]);
        eventually(60, || {
            let pods = world.pods_of(APISERVERS);
            let is_well = pods.len() == 1 && pods[0].ready && listeners(world) == 1;
            is_well.then_some(()).ok_or(format!("{pods:#?}"))
        });
    });
    unnoticed(&answered);
}

/// Before anybody has told the older one to end: whoever would is stopped meanwhile.
fn newer_dies(world: &World) {
    let before = names(world);
    let answered = with_traffic(world, "newer-dies", || {
        edit(world, TEMPLATE, "newer-dies");
        eventually(30, || (listeners(world) == 2).then_some(()).ok_or("no second apiserver yet".into()));
        controller_manager(world, "STOP");
        newer_ready(world, &before);
        kill_apiserver(world, "newest");
        eventually(10, || (listeners(world) == 1).then_some(()).ok_or("it has not ended yet".into()));
        eventually(30, || (listeners(world) == 2).then_some(()).ok_or("it is not back yet".into()));
        newer_ready(world, &before);
        controller_manager(world, "CONT");
        settled(world, &before);
    });
    hardly_noticed(&answered);
}

fn newer_ready(world: &World, before: &[String]) {
    eventually(30, || {
        let is_newer = |pod: &Pod| !before.contains(&pod.name) && pod.ready;
        let open = world.pods_of(APISERVERS).iter().any(is_newer);
        open.then_some(()).ok_or("the newer one has not taken over".into())
    });
}

fn older_dies(world: &World) {
    let before = names(world);
    edit(world, TEMPLATE, "older-dies");
    eventually(30, || (listeners(world) == 2).then_some(()).ok_or("no second apiserver yet".into()));
    kill_apiserver(world, "oldest");
    settled(world, &before);
}

fn two_edits(world: &World) {
    let before = names(world);
    let answered = with_traffic(world, "two-edits", || {
        edit(world, TEMPLATE, "first");
        eventually(30, || (listeners(world) == 2).then_some(()).ok_or("no second apiserver yet".into()));
        edit(world, TEMPLATE, "second");
        settled(world, &before);
    });
    unnoticed(&answered);
    let template = world.get(&["daemonset", "kube-apiserver", "-n", "kube-system"]);
    assert_eq!(template["spec"]["template"]["metadata"]["annotations"]["example.org/roll"], "second");
}

fn with_traffic(world: &World, name: &str, work: impl FnOnce()) -> Vec<Answered> {
    let traffic = Traffic::start(world, name);
    work();
    let answered = traffic.finish();
    record(name, &json!({"clients": traffic::figures(&answered)}));
    answered
}

fn unnoticed(answered: &[Answered]) {
    answered.iter().for_each(Answered::assert_unnoticed);
}

/// What was on its way to the one that was killed is lost, and nothing after that.
fn hardly_noticed(answered: &[Answered]) {
    for Answered { client, summary } in answered {
        assert!(summary.failed <= 30 && summary.longest_gap <= 2.0, "{client}: {summary:?}");
    }
}

fn edit(world: &World, path: &str, value: &str) {
    patch(world, &add(path, value));
}

fn add(path: &str, value: &str) -> Value {
    json!([{"op": "add", "path": path, "value": value}])
}

/// The flag is a list: another one of its name would add to it.
fn etcd_servers(world: &World, value: &str) -> Value {
    let set = world.get(&["daemonset", "kube-apiserver", "-n", "kube-system"]);
    let command = set["spec"]["template"]["spec"]["containers"][0]["command"].as_array().unwrap();
    let is_it = |word: &Value| word.as_str().unwrap().starts_with("--etcd-servers=");
    let path = COMMAND.replace('-', &command.iter().position(is_it).unwrap().to_string());
    json!([{"op": "replace", "path": path, "value": format!("--etcd-servers={value}")}])
}

fn patch(world: &World, patch: &Value) {
    let words = ["-n", "kube-system", "patch", "daemonset/kube-apiserver", "--type=json", "-p"];
    world.kubectl(&[&words[..], &[&patch.to_string()]].concat());
}

/// Waits until one apiserver is left, Ready, which is none of `before`, and rolled out. The API may be away for a moment.
fn settled(world: &World, before: &[String]) {
    let words =
        ["kubectl", "-n", "kube-system", "rollout", "status", "--timeout=1s", "daemonset/kube-apiserver"];
    eventually(90, || {
        let status = world.n1().exec(&words).unwrap();
        if !status.status.success() {
            return Err(String::from_utf8_lossy(&status.stderr).into_owned());
        }
        let pods = world.pods_of(APISERVERS);
        let is_well = matches!(pods.as_slice(), [pod] if pod.ready && !before.contains(&pod.name));
        (is_well && listeners(world) == 1).then_some(()).ok_or(format!("{pods:#?}"))
    });
}

fn names(world: &World) -> Vec<String> {
    world.pods_of(APISERVERS).into_iter().map(|pod| pod.name).collect()
}

fn listeners(world: &World) -> usize {
    world.shell("ss -Hltn sport = :6443").lines().count()
}

fn agent(world: &World, signal: &str) {
    world.shell(&format!("pkill -{signal} -x bootkube"));
}

fn controller_manager(world: &World, signal: &str) {
    world.shell(&format!("pkill -{signal} -f '^kube-controller-manager '"));
}

/// `oldest` or `newest` of this machine: processes of its own PID namespace alone.
fn kill_apiserver(world: &World, which: &str) {
    let flag = if which == "oldest" { "-o" } else { "-n" };
    world.shell(&format!("pkill -KILL {flag} -f '^kube-apiserver '"));
}
