//! Rollouts of the apiserver during which a process dies. The healthy apiserver answers, and the
//! next attempt succeeds without manual steps on the machine.

use serde_json::{Value, json};

use crate::checks::{Checks, Shared, eventually};
use crate::kube::Pod;
use crate::traffic::{self, Answered, Traffic};
use crate::world::{World, record};

const APISERVER: &str = "daemonset/kube-apiserver";
const APISERVERS: &str = "DaemonSet/kube-apiserver";
const TEMPLATE: &str = "/spec/template/metadata/annotations/example.org~1roll";
const COMMAND: &str = "/spec/template/spec/containers/0/command/-";

#[test]
fn the_api_answers_whatever_dies_in_a_roll() {
    let mut checks = Checks::default();
    let mut cluster =
        Shared::new(|number| World::up(&format!("e2e-handover-{number}"), 1, |_| json!({})).started());
    let mut that = |sentence, look: fn(&World)| cluster.that(&mut checks, sentence, look);
    that("without an agent a roll waits, and goes on when the agent is back", waits_for_the_agent);
    that("a user that is not root holds up neither a roll nor the agent", nobody_interferes);
    that("an agent that is killed again and again does no harm", agent_dies);
    that("an apiserver that never gets ready gets no request, and undoing it converges", |world| {
        bad_edit(world, "never-ready", &etcd_servers(world, "https://127.0.0.1:1"));
    });
    that("an apiserver that crashes at once gets no request, and undoing it converges", |world| {
        bad_edit(world, "crashes", &add(COMMAND, "--no-such-flag"));
    });
    that("when the newer one dies after it took over, the older one serves within two seconds", newer_dies);
    that("when the older one dies, the newer one serves as soon as it is ready", older_dies);
    that("two quick edits end with the last one, and no request fails", two_edits);
    checks.finish();
}

fn waits_for_the_agent(world: &World) {
    let before = names(world);
    agent(world, "STOP");
    let answered = with_traffic(world, "agent-away", || {
        edit(world, TEMPLATE, "agent-away");
        eventually(30, || world.apiservers(2));
        std::thread::sleep(std::time::Duration::from_secs(8)); // longer than it takes to be ready
        assert_eq!(names(world).len(), 2, "the older one stays");
        agent(world, "CONT");
        settled(world, &before);
    });
    unnoticed(&answered);
}

/// A process of user `nobody` tries to hold every lock of bootkube while the apiserver is rolled
/// out and `start` runs again.
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
            std::thread::sleep(std::time::Duration::from_millis(1300)); // before, during and after the change of steering
            world.shell("pkill -KILL -x bootkube || true");
        }
        settled(world, &before);
    });
    unnoticed(&answered);
}

fn bad_edit(world: &World, name: &str, edit: &Value) {
    let before = names(world);
    let answered = with_traffic(world, name, || {
        world.patch(APISERVER, edit);
        eventually(30, || (names(world).len() == 2).then_some(()).ok_or("no second apiserver yet".into()));
        std::thread::sleep(std::time::Duration::from_secs(12)); // longer than a good one takes
        assert!(names(world).contains(&before[0]), "the older one stays");
        world.kubectl(&["-n", "kube-system", "rollout", "undo", "daemonset/kube-apiserver"]);
        eventually(60, || {
            let pods = world.pods_of(APISERVERS);
            let is_well = pods.len() == 1 && pods[0].ready;
            is_well.then_some(()).ok_or(format!("{pods:#?}"))?;
            world.apiservers(1)
        });
    });
    unnoticed(&answered);
}

/// The newer apiserver dies before kubelet ends the older one: the controller manager, which would
/// delete the older pod, is stopped meanwhile.
fn newer_dies(world: &World) {
    let before = names(world);
    let answered = with_traffic(world, "newer-dies", || {
        edit(world, TEMPLATE, "newer-dies");
        eventually(30, || world.apiservers(2));
        controller_manager(world, "STOP");
        newer_ready(world, &before);
        kill_apiserver(world, "newest");
        eventually(10, || world.apiservers(1));
        eventually(30, || world.apiservers(2));
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
    eventually(30, || world.apiservers(2));
    kill_apiserver(world, "oldest");
    settled(world, &before);
}

fn two_edits(world: &World) {
    let before = names(world);
    let answered = with_traffic(world, "two-edits", || {
        edit(world, TEMPLATE, "first");
        eventually(30, || world.apiservers(2));
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

/// Requests that the killed apiserver had accepted are lost: at most thirty of a client, and
/// requests succeed again within two seconds.
fn hardly_noticed(answered: &[Answered]) {
    for Answered { client, summary } in answered {
        assert!(summary.failed <= 30 && summary.longest_gap <= 2.0, "{client}: {summary:?}");
    }
}

fn edit(world: &World, path: &str, value: &str) {
    world.patch(APISERVER, &add(path, value));
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

/// Waits until the rollout is complete, and one apiserver is left that is Ready and not among
/// `before`. The API may be away meanwhile.
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
        is_well.then_some(()).ok_or(format!("{pods:#?}"))?;
        world.apiservers(1)
    });
}

fn names(world: &World) -> Vec<String> {
    world.pods_of(APISERVERS).into_iter().map(|pod| pod.name).collect()
}

fn agent(world: &World, signal: &str) {
    world.shell(&format!("pkill -{signal} -x bootkube"));
}

fn controller_manager(world: &World, signal: &str) {
    world.shell(&format!("pkill -{signal} -f '^kube-controller-manager '"));
}

/// `oldest` or `newest` process of this machine: `pgrep` is limited to its PID namespace.
fn kill_apiserver(world: &World, which: &str) {
    let flag = if which == "oldest" { "-o" } else { "-n" };
    world.shell(&format!("pkill -KILL {flag} -f '^kube-apiserver '"));
}
