//! What brings a self-hosted control plane back: after a power cut, after its pods were deleted,
//! after a wrong edit.
//!
//! A power cut ends every process of the machine at once. After it the test does nothing by hand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::again::start_until;
use crate::boot;
use crate::checks::{Checks, Shared, eventually};
use crate::kept;
use crate::kube::{WORKLOADS, ready_since};
use crate::traffic::{self, Answered, Traffic};
use crate::world::{World, record};

/// What is in kubelet's folder when all is well.
pub const WELL: &str = "etcd.yaml\nkube-system-pod-checkpointer.json\n";
/// In a patch: one more word of a command line.
pub const COMMAND: &str = "/spec/template/spec/containers/0/command/-";
/// The apiserver's workload.
pub const APISERVER: &str = "daemonset/kube-apiserver";

#[test]
fn a_sole_controller_comes_back_by_itself() {
    let world = World::up("e2e-power", 1, |_| json!({}));
    world.render_and_join();
    // The agent's rendered certificate expires during the test.
    let end = kept::end_soon(&world);
    let mut checks = Checks::default();
    checks.need("start succeeds", || world.start().must_succeed());
    checks.that("after a power cut right after start the control plane is back", || {
        record("power-cut", &power_cut(&world, Duration::ZERO));
    });
    checks.that("the agent's certificate has ended, and is followed by another one", || {
        kept::has_another_certificate(&world, end);
    });
    checks.that("list says what would run, from when, and why", || listed(&world));
    checks.that("every file of the copies is root's alone", || private(&world));
    let mut cluster =
        Shared::with(world, |number| World::up(&format!("e2e-power-{number}"), 1, |_| json!({})).started());
    let mut that = |sentence, look: fn(&World)| cluster.that(&mut checks, sentence, look);
    that("after a second power cut, too, and no request fails while the copies go", |world| {
        let (figures, answered) = watched_power_cut(world);
        record("power-cut-watched", &figures);
        answered.iter().for_each(Answered::assert_unnoticed);
    });
    that("after a power cut with leases and conditions of ten minutes ago, too", |world| {
        boot::grow_old(world);
        record("power-cut-stale", &power_cut(world, Duration::ZERO));
    });
    that("all apiserver pods are deleted, and the API is back within a minute", |world| {
        record("apiservers-deleted", &json!({"seconds": deleted(world, &["kube-apiserver"])}));
    });
    that("controller managers and schedulers are deleted, and are back within a minute", |world| {
        let seconds = deleted(world, &["kube-controller-manager", "kube-scheduler"]);
        record("leaders-deleted", &json!({"seconds": seconds}));
    });
    that(
        "with no controller manager and no scheduler left to replace them, both are back within a minute",
        |world| record("nobody-left", &json!({"seconds": leaders_left(world)})),
    );
    that("apiserver pods are deleted while kubelet is stopped, and are back within a minute", |world| {
        record("deleted-without-kubelet", &json!({"seconds": deleted_without_kubelet(world)}));
    });
    that("a wrong flag is survived, and undone", |world| {
        let add = json!([{"op": "add", "path": COMMAND, "value": "--no-such-flag"}]);
        survive(world, || world.patch(APISERVER, &add), || undo(world));
    });
    that(
        "a pod of another namespace is kept once a Role allows it, until its Deployment goes",
        kept::keeps_other_namespaces,
    );
    that("no secret is in any log", no_secret_in_logs);
    checks.finish();
}

#[test]
#[ignore = "takes minutes: make soak"]
fn bad_edits_are_survived_and_undone_and_copies_end_with_the_agent() {
    let world = World::alone("e2e-edits", 1, |_| json!({})).started();
    let mut checks = Checks::default();
    checks.that("an image that is missing", || {
        let image = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "no.such/image:v1"}]);
        survive(&world, || world.patch(APISERVER, &image), || undo(&world));
    });
    let words = ["-n", "kube-system", "get", "secret", "kube-apiserver", "-o", "json"];
    let good = serde_json::from_str::<Value>(&world.kubectl(&words)).unwrap()["data"].take();
    let put = |data: &Value| {
        let patch = json!([{"op": "replace", "path": "/data", "value": data}]);
        world.patch("secret/kube-apiserver", &patch);
    };
    checks.that("a Secret that was emptied", || survive(&world, || put(&json!({})), || put(&good)));
    checks.that("a certificate that is broken", || {
        let broken = changed(&good, &[("apiserver.crt", "broken")]);
        survive(&world, || put(&broken), || put(&good));
    });
    checks.that("a certificate that no client trusts", || {
        let stranger = rcgen::generate_simple_self_signed(vec!["kubernetes".to_owned()]).unwrap();
        let (certificate, key) = (stranger.cert.pem(), stranger.signing_key.serialize_pem());
        let strange = changed(&good, &[("apiserver.crt", &certificate), ("apiserver.key", &key)]);
        let undo = || {
            stays_believed(&world);
            put(&good);
        };
        survive(&world, || put(&strange), undo);
    });
    checks.that("when the agent's DaemonSet is deleted every copy goes, the agent's own last", || {
        world.kubectl(&["-n", "kube-system", "delete", "daemonset", "pod-checkpointer"]);
        let folders = "/etc/kubernetes/inactive-manifests /etc/kubernetes/checkpoint-secrets";
        eventually(150, || {
            let left = world.shell(&format!(
                "ls /etc/kubernetes/manifests; find {folders} -mindepth 1 -not -name '.*.lock'"
            ));
            (left == "etcd.yaml\n").then_some(()).ok_or(left)
        });
        world.answers().unwrap();
    });
    checks.finish();
}

#[test]
#[ignore = "takes a quarter of an hour: make soak"]
fn ten_power_cuts_in_a_row_are_survived() {
    let world = World::alone("e2e-power-soak", 1, |_| json!({})).started();
    // At once, after half a minute, and with conditions and leases that are ten minutes old.
    let figures: Vec<Value> =
        (0..10).map(|round| power_cut(&world, Duration::from_secs(round % 3 * 10))).collect();
    record("ten-power-cuts", &json!(figures));
}

#[test]
#[ignore = "takes minutes: make soak"]
fn a_power_cut_in_any_phase_of_start_is_survived_by_running_it_again() {
    let mut checks = Checks::default();
    for phase in bootkube::start::usual_phases() {
        checks.that(phase, || {
            let world = World::alone("e2e-power-phases", 1, |_| json!({}));
            world.render_and_join();
            let (mut start, _said) = start_until(&world, phase);
            let cut = Timestamp::now();
            world.n1().power_cut().unwrap();
            start.wait().unwrap();
            world.n1().power_on().unwrap();
            world.start().must_succeed();
            eventually(60, || is_well(&world, cut));
            eventually(60, || no_copy(&world));
        });
    }
    checks.finish();
}

/// Cuts the power for `off`, and waits until the control plane is as before, without an active
/// copy. Returns how long that took.
fn power_cut(world: &World, off: Duration) -> Value {
    Outage::begin(world, off).end(world)
}

/// The same with clients: the administrator from the first answer on, and all clients once every
/// pod is Ready and the copies end.
fn watched_power_cut(world: &World) -> (Value, Vec<Answered>) {
    let outage = Outage::begin(world, Duration::ZERO);
    let boot = Traffic::of_admin(world, "boot");
    // Earlier, an apiserver on a machine that starts everything at once queues requests of other
    // users.
    eventually(120, || is_well(world, outage.cut));
    let traffic = Traffic::start(world, "copies-go");
    let mut figures = outage.end(world);
    let (boot, answered) = (boot.finish(), traffic.finish());
    figures["boot"] = traffic::figures(&boot);
    figures["clients"] = traffic::figures(&answered);
    (figures, boot.into_iter().chain(answered).collect())
}

/// A power cut, and the API that answers again.
pub struct Outage {
    cut: Timestamp,
    on: Instant,
    api: f64,
}

impl Outage {
    fn begin(world: &World, off: Duration) -> Self {
        let cut = Timestamp::now();
        world.n1().power_cut().unwrap();
        std::thread::sleep(off);
        let on = Instant::now();
        world.n1().power_on().unwrap();
        eventually(60, || world.answers());
        Self { cut, on, api: on.elapsed().as_secs_f64() }
    }

    /// A power cut at `cut`, after which the API answers again.
    pub fn over(cut: Timestamp) -> Self {
        Self { cut, on: Instant::now(), api: 0.0 }
    }

    /// Waits until all is as before, without an active copy. Returns how long that took.
    pub fn end(self, world: &World) -> Value {
        let Self { cut, on, api } = self;
        eventually(120, || is_well(world, cut));
        let ready = on.elapsed().as_secs_f64();
        eventually(60, || no_copy(world));
        // A process ends some seconds after its file was removed.
        eventually(60, || world.apiservers(1));
        json!({"api": api, "ready": ready, "settled": on.elapsed().as_secs_f64()})
    }
}

/// Each workload of the control plane has a pod that is Ready and whose containers started after
/// `since`. What the API reports of earlier ones is no evidence.
pub fn is_well(world: &World, since: Timestamp) -> Result<(), String> {
    let pods = world.try_kubectl(&["get", "pods", "-n", "kube-system", "-o", "json"])?;
    ready_since(&serde_json::from_str(&pods).map_err(|error| error.to_string())?, since, None)
}

pub fn no_copy(world: &World) -> Result<(), String> {
    let found = world.shell("ls /etc/kubernetes/manifests");
    (found == WELL).then_some(()).ok_or(found)
}

fn copies(world: &World) -> BTreeMap<String, Value> {
    let list: Value =
        serde_json::from_str(&world.n1().run(&["bootkube", "checkpoint", "list", "-o", "json"]).unwrap())
            .unwrap();
    let copies = list["copies"].as_array().unwrap().iter();
    copies.map(|copy| (copy["id"]["name"].as_str().unwrap().to_owned(), copy.clone())).collect()
}

fn listed(world: &World) {
    let copies = copies(world);
    for (_, name) in WORKLOADS {
        let copy = &copies[name];
        let state = if name == "pod-checkpointer" { "active" } else { "kept" };
        assert_eq!(copy["state"], state, "{copy:#}");
        let saved: Timestamp = copy["kept"]["saved"].as_str().unwrap().parse().unwrap();
        assert!(saved < Timestamp::now() && !copy["kept"]["reason"].as_str().unwrap().is_empty(), "{copy:#}");
    }
    let text = world.n1().run(&["bootkube", "checkpoint", "list"]).unwrap();
    assert!(text.lines().count() == 1 + WORKLOADS.len(), "{text}");
}

fn private(world: &World) {
    let folders = "/etc/kubernetes/checkpoint-secrets /etc/kubernetes/inactive-manifests \
                   /etc/kubernetes/manifests/kube-system-*";
    let exposed = world.shell(&format!("find {folders} -type f '!' '(' -perm 600 -user root ')'"));
    assert_eq!(exposed, "");
    let count = world.shell(&format!("find {folders} -type f | wc -l"));
    assert!(count.trim().parse::<usize>().unwrap() > 10, "{count}");
}

/// Deletes the pods of workloads. Returns the seconds until all is well again.
fn deleted(world: &World, names: &[&str]) -> f64 {
    let selector = format!("k8s-app in ({})", names.join(","));
    let (begun, since) = (Instant::now(), Timestamp::now());
    world.kubectl(&["-n", "kube-system", "delete", "pods", "--wait=false", "-l", &selector]);
    back(world, names, begun, since)
}

fn back(world: &World, names: &[&str], begun: Instant, since: Timestamp) -> f64 {
    let renewed = || {
        let pods = world.try_kubectl(&["get", "pods", "-n", "kube-system", "-o", "json"])?;
        let pods: Value = serde_json::from_str(&pods).map_err(|error| error.to_string())?;
        let is_new = |pod: &Value, name: &str| {
            let owner = pod["metadata"]["ownerReferences"][0]["name"].as_str().unwrap_or_default();
            let created: Timestamp = pod["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
            owner.starts_with(name) && created.as_second() >= since.as_second()
        };
        let missing =
            names.iter().find(|name| !pods["items"].as_array().unwrap().iter().any(|pod| is_new(pod, name)));
        missing.map_or(Ok(()), |name| Err(format!("no new pod of {name}")))
    };
    eventually(60, || renewed().and_then(|()| is_well(world, Timestamp::UNIX_EPOCH)));
    let seconds = begun.elapsed().as_secs_f64();
    assert!(seconds <= 60.0, "{seconds:.1} s");
    eventually(60, || no_copy(world));
    seconds
}

/// Controller managers and schedulers end before their pods are deleted, so that none is left to
/// create or schedule others.
fn leaders_left(world: &World) -> f64 {
    let names = ["kube-controller-manager", "kube-scheduler"];
    let (begun, since) = (Instant::now(), Timestamp::now());
    world.shell("systemctl kill --signal=STOP kubelet");
    world.shell("pkill -KILL -f '^kube-controller-manager '; pkill -KILL -f '^kube-scheduler '");
    let selector = format!("k8s-app in ({})", names.join(","));
    world.kubectl(&["-n", "kube-system", "delete", "pods", "--force", "--grace-period=0", "-l", &selector]);
    let left: Vec<_> =
        world.pods("kube-system").into_iter().filter(|pod| pod.name.starts_with(names[1])).collect();
    assert!(left.is_empty(), "{left:?}");
    world.shell("systemctl kill --signal=CONT kubelet");
    back(world, &names, begun, since)
}

fn deleted_without_kubelet(world: &World) -> f64 {
    world.shell("systemctl kill --signal=STOP kubelet");
    let since = Timestamp::now();
    let delete = "-n kube-system delete pods --force --grace-period=0 -l k8s-app=kube-apiserver";
    world.kubectl(&delete.split(' ').collect::<Vec<_>>());
    world.shell("pkill -KILL -f '^kube-apiserver '");
    std::thread::sleep(Duration::from_secs(5));
    let begun = Instant::now();
    // A kubelet that starts again has forgotten its pods.
    world.shell("systemctl kill --signal=KILL kubelet; systemctl start kubelet");
    back(world, &["kube-apiserver"], begun, since)
}

/// A bad edit of the apiserver, and a power cut before it is undone. What served before the power
/// cut serves after it, so that the edit can be undone.
pub fn survive(world: &World, edit: impl FnOnce(), undo: impl FnOnce()) {
    let before = copies(world)["kube-apiserver"]["kept"]["revision"].clone();
    edit();
    eventually(60, || {
        let set = world.get(&["daemonset", "kube-apiserver", "-n", "kube-system"]);
        let (seen, made) = (&set["status"]["observedGeneration"], &set["metadata"]["generation"]);
        (seen == made).then_some(()).ok_or(format!("generation {seen} of {made} is known"))
    });
    std::thread::sleep(Duration::from_secs(5));
    let cut = Timestamp::now();
    world.n1().reboot().unwrap();
    eventually(90, || world.answers());
    let copy = copies(world)["kube-apiserver"].clone();
    assert_eq!(copy["kept"]["revision"], before, "the last good copy is kept");
    undo();
    eventually(120, || is_well(world, cut).and_then(|()| world.answers()));
    eventually(90, || no_copy(world));
}

/// The apiserver with a certificate that no client trusts listens beside the copy, and kubelet's
/// probes find it ready. Still all connections go to the copy.
fn stays_believed(world: &World) {
    eventually(60, || world.apiservers(2));
    for _ in 0..40 {
        world.answers().unwrap();
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The data of a Secret with other files in it.
fn changed(data: &Value, files: &[(&str, &str)]) -> Value {
    let mut data = data.clone();
    for (name, content) in files {
        data[*name] = json!(STANDARD.encode(content));
    }
    data
}

fn undo(world: &World) {
    world.kubectl(&["-n", "kube-system", "rollout", "undo", APISERVER]);
}

/// Every key that was rendered, in each form in which a log could have it.
fn no_secret_in_logs(world: &World) {
    let script = "
        cd /opt/bootkube/assets/tls && for key in $(find . -name '*.key'); do
            sed -n 2p $key | cut -c1-60
            base64 -w0 $key | cut -c60-120
        done >/run/needles
        grep -rlF -f /run/needles /var/log && exit 1
        test $(wc -l </run/needles) -gt 20";
    world.shell(script);
}
