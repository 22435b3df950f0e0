//! What the pages of docs/ say to type, each on a cluster in the state that its page assumes.

use std::fs;

use k8s_openapi::jiff::Timestamp;
use lab::cluster::ASSETS;
use serde_json::{Value, json};

use super::is_back;
use super::reader::Reader;
use crate::checks::{Checks, eventually};
use crate::kept;
use crate::kube::WORKLOADS;
use crate::page::{command, example, has_keys_of, replaced, says, scripts, section};
use crate::power::{APISERVER, COMMAND, survive};
use crate::world::World;

const COPIES: &str = "docs/checkpoints.md";
/// The folder in which a reader has `assets`.
const FOLDER: &str = "/opt/bootkube";
const STATIC_PODS: &str = "/etc/kubernetes/manifests";

/// Goes through the pages on a cluster of one machine, and leaves it healthy after each sentence.
pub fn all(world: &World, checks: &mut Checks) {
    checks.that("status.md: the control plane is healthy, and the JSON has the page's fields", || {
        status(world)
    });
    checks.that("smoke-test.md: every step passes, and nothing is left", || smoke_test(world));
    checks
        .that("preflight.md: the machine is ready, and the JSON has the page's fields", || preflight(world));
    checks.that("dry-run.md: nothing is changed", || dry_run(world));
    checks.that("events.md: start leaves events and a report", || report(world));
    checks.that(
        "checkpoints.md: copies are listed as the page shows, and the agents' logs are found",
        || {
            look(world);
        },
    );
    checks.that("checkpoints.md: a copy stays active until a bad edit is undone", || bad_edit(world));
    checks.that("checkpoints.md: a copy runs that is put into kubelet's folder by hand", || by_hand(world));
    checks.that("checkpoints.md: start brings back an API of which no copy is left", || last_resort(world));
    checks.that("recover.md: assets come from the API and from etcd", || recover(world));
    checks
        .that("unpivot.md: the control plane becomes static pods, and self-hosted again", || unpivot(world));
    checks.that("journal.md: reset refuses a control plane that is self-hosted", || reset(world));
    checks.that("checkpoints.md: a pod with a Secret has a copy once a Role allows it", || role(world));
}

/// A command that may fail until kubelet or the agent has done its part. Returns its output.
fn until_well(world: &World, seconds: u64, command: &str) -> String {
    let mut printed = String::new();
    eventually(seconds, || {
        let output = world.n1().exec(&["bash", "-c", command]).unwrap();
        printed = String::from_utf8(output.stdout).unwrap();
        output.status.success().then_some(()).ok_or_else(|| {
            format!("{command}: {}\n{printed}{}", output.status, String::from_utf8_lossy(&output.stderr))
        })
    });
    printed
}

fn parsed(printed: &str) -> Value {
    serde_json::from_str(printed).unwrap()
}

fn in_assets(command: &str) -> String {
    replaced(command, &[("DIR", ASSETS)])
}

fn status(world: &World) {
    let command = command("docs/status.md", "The state of a running cluster", "bootkube status");
    let command = format!("cd {FOLDER} && {command}");
    until_well(world, 60, &command);
    let printed = until_well(world, 60, &format!("{command} --output json"));
    has_keys_of(&example("docs/status.md", "JSON"), &parsed(&printed));
}

fn smoke_test(world: &World) {
    let command = command("docs/smoke-test.md", "Trying a cluster", "bootkube smoke-test");
    let printed = world.shell(&format!("cd {FOLDER} && {command}"));
    let printed = printed.lines().collect::<Vec<_>>();
    assert!(printed.len() == 8 && printed.iter().all(|line| line.starts_with("pass  ")), "{printed:#?}");
    let json = parsed(&world.shell(&format!("cd {FOLDER} && {command} --output json")));
    has_keys_of(&example("docs/smoke-test.md", "JSON"), &json);
    let [delete] = scripts("docs/smoke-test.md", "What it leaves");
    assert_eq!(Reader::at(&world.n1(), "/root").types(&delete), "No resources found\n");
}

/// Waits until preflight finds the machine ready. Returns what it printed as JSON.
pub fn is_ready(world: &World) -> Value {
    let command = command("docs/preflight.md", "Is this machine ready?", "bootkube preflight");
    until_well(world, 30, &in_assets(&command));
    parsed(&until_well(world, 30, &format!("{} --output json", in_assets(&command))))
}

fn preflight(world: &World) {
    let mut example = example("docs/preflight.md", "JSON");
    let [check] = &mut example["checks"].as_array_mut().unwrap()[..] else { panic!("one") };
    check["problems"] = json!([]); // the page's example is of a machine that is not ready
    has_keys_of(&example, &is_ready(world));
}

fn dry_run(world: &World) {
    let files = "cd /etc/kubernetes && find . -type f ! -name '*.lock' -printf '%P %T@ %m\\n' | sort";
    let before = world.shell(files);
    let command = command("docs/dry-run.md", "What would be done", "bootkube start");
    let printed = Reader::at(&world.n1(), "/root").types(&in_assets(&command));
    says("docs/dry-run.md", "What would be done", "It changes nothing");
    assert!(printed.contains("   unchanged DaemonSet kube-system/kube-apiserver"), "{printed}");
    assert_eq!(world.shell(files), before);
}

fn report(world: &World) {
    let flags = ["--events FILE", "--report DIR", "--probe"];
    let flags = flags.map(|flag| command("docs/events.md", "What `start` reports", flag)).join(" ");
    let flags = replaced(&flags, &[("FILE", "events.jsonl"), ("DIR", "report")]);
    let mut reader = Reader::at(&world.n1(), "/root");
    reader.types(&format!("bootkube start --asset-dir {ASSETS} {flags}"));
    says("docs/events.md", "Events, version 1", "always the last line");
    let last = parsed(&reader.types("tail -n 1 events.jsonl"));
    assert_eq!((&last["event"], &last["exit_code"]), (&json!("ended"), &json!(0)));
    let report = parsed(&reader.types("cat report/report.json"));
    for field in ["total_ms", "objects_applied", "objects_refused", "ok_requests", "failed_requests"] {
        assert!(report["figures"][field].is_number(), "{field}: {report:#}");
    }
    reader.types("test -s report/report.html");
}

fn look(world: &World) {
    let [list, logs] = scripts("docs/checkpoints.md", "How to look");
    let section = section("docs/checkpoints.md", "How to look");
    let mut reader = Reader::at(&world.n1(), "/root");
    let printed = reader.types(&list);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(printed.lines().next().unwrap()), words(section.blocks[0].answer()[0]));
    for (_, name) in WORKLOADS {
        assert!(printed.contains(&format!("kube-system/{name} ")), "{printed}");
    }
    let printed = reader.types(&logs);
    assert!(printed.contains("[pod/pod-checkpointer-"), "what kubectl shows has the pod's name:\n{printed}");
    let of_runtime = printed.lines().filter(|line| !line.starts_with("[pod/"));
    assert!(of_runtime.filter(|line| line.contains("kube-apiserver")).count() > 0, "{printed}");
}

fn bad_edit(world: &World) {
    let heading = "The API is back, but a copy stays active";
    let [describe, undo] = ["kubectl -n kube-system describe", "kubectl -n kube-system rollout undo"]
        .map(|it| command(COPIES, heading, it));
    says(COPIES, heading, "The copy then goes by itself.");
    let add = json!([{"op": "add", "path": COMMAND, "value": "--no-such-flag"}]);
    survive(
        world,
        || world.patch(APISERVER, &add),
        || {
            let mut reader = Reader::at(&world.n1(), "/root");
            assert!(reader.types(&describe).contains("--no-such-flag"));
            reader.types(&undo);
        },
    );
}

/// The agent does not run: its static pod was lost while the machine was off.
fn by_hand(world: &World) {
    let cut = lose(world, &["kube-system-pod-checkpointer.json"]);
    let heading = "The API does not come back after a boot";
    let list = command(COPIES, heading, "crictl ps");
    eventually(60, || {
        let printed = world.shell(&list);
        printed.contains(" etcd ").then_some(()).ok_or(printed)
    });
    assert!(world.shell(&command(COPIES, heading, "bootkube checkpoint list")).contains(" kept "));
    world.answers().unwrap_err();
    let copy = command(COPIES, "A copy must run now, and the agent does not", "cp ");
    Reader::at(&world.n1(), "/root").types(&replaced(&copy, &[("NAME", "kube-system-kube-apiserver")]));
    is_back(world, cut);
}

fn last_resort(world: &World) {
    let copies = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "pod-checkpointer"];
    let copies = copies.map(|name| format!("kube-system-{name}.json"));
    let cut = lose(world, &copies.each_ref().map(String::as_str));
    let start = command(COPIES, "The last resort", "bootkube start");
    Reader::at(&world.n1(), "/root").types(&in_assets(&start));
    is_back(world, cut);
}

/// Cuts the power, removes these copies from the disk, and switches the machine on. Returns when.
fn lose(world: &World, names: &[&str]) -> Timestamp {
    let n1 = world.n1();
    n1.power_cut().unwrap();
    let folders = [STATIC_PODS, "/etc/kubernetes/inactive-manifests"];
    for path in folders.iter().flat_map(|folder| names.iter().map(move |name| format!("{folder}/{name}"))) {
        match fs::remove_file(n1.path(&path)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{path}: {error}"),
            _ => {}
        }
    }
    let cut = Timestamp::now();
    n1.power_on().unwrap();
    cut
}

/// Types the first block of the page with this source, in a folder that has a kubeconfig.
fn recover_from(world: &World, source: &str) {
    let [recover] = scripts("docs/recover.md", "Recovering a control plane");
    let mut reader = Reader::at(&world.n1(), "/root");
    reader.types(&format!("rm -rf recovered; cp {ASSETS}/auth/kubeconfig admin.kubeconfig"));
    reader.types(&replaced(&recover, &[("SOURCE", source)]));
    world.answers().unwrap();
}

fn recover(world: &World) {
    says("docs/recover.md", "Recovering a control plane", "none: it is the API of the kubeconfig");
    recover_from(world, "");
    let servers = command("docs/recover.md", "Recovering a control plane", "--etcd-servers");
    let flags = ["--etcd-ca-path", "--etcd-certificate-path", "--etcd-private-key-path"]
        .map(|flag| command("docs/recover.md", "Recovering a control plane", flag));
    let files = ["client-ca.crt", "client.crt", "client.key"];
    let flags = flags.iter().zip(files).map(|(flag, file)| format!(" {flag} {ASSETS}/tls/etcd-{file}"));
    // The README's etcd listens on loopback alone.
    let source = replaced(&servers, &[("10.0.0.5", "127.0.0.1")]) + &flags.collect::<String>();
    recover_from(world, &source);
}

fn unpivot(world: &World) {
    let [there_and_back] = scripts("docs/unpivot.md", "The way out of self-hosting, and back");
    let since = Timestamp::now();
    let printed = Reader::at(&world.n1(), FOLDER).types(&there_and_back);
    assert!(printed.contains("is static pods"), "{printed}");
    is_back(world, since);
}

fn reset(world: &World) {
    says("docs/journal.md", "`bootkube reset`", "If there are none it refuses (exit code 4).");
    let yes = command("docs/journal.md", "`bootkube reset`", "--yes");
    let output = world.n1().exec(&["bootkube", "reset", &yes]).unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    world.answers().unwrap();
}

fn role(world: &World) {
    let [allow] = scripts("docs/checkpoints.md", "Pods of other namespaces");
    world.apply(kept::PROD);
    let conditions = command(COPIES, "A workload has no copy", "kubectl");
    eventually(60, || {
        let printed = world.shell(&conditions);
        let is_named = printed.contains("bootkube.dev/kept") && printed.contains("prod/web: ");
        is_named.then_some(()).ok_or(printed)
    });
    Reader::at(&world.n1(), "/root").types(&allow);
    eventually(30, || {
        let list = world.shell("bootkube checkpoint list");
        list.contains("prod/web").then_some(()).ok_or(list)
    });
}
