//! What keeps a cluster from coming up. The test makes one cause after the other on one machine,
//! and reads the message.
//!
//! Preflight finds most causes before anything is touched. With the check ignored `start` names
//! these too, and it names the others while it waits, within 15 s of the cause. At the end every
//! message is compared with every cause, so that no message can be read as that of another cause.

mod late;

use k8s_openapi::jiff::Timestamp;
use lab::cluster::{ASSETS, CONFIG};
use serde_json::{Value, json};

use crate::checks::Checks;
use crate::preflight::{RESTART_KUBELET, expired};
use crate::quota;
use crate::world::World;

const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Where assets with a flaw are.
const FLAWED: &str = "/opt/bootkube/flawed";
const EVENTS: &str = "/run/events.jsonl";
/// Seconds within which `start` names a cause. They begin with the wait or, if the cause comes
/// later, at the time that the API has recorded for it. So the time that a busy machine needs to
/// get there does not count.
const PROMPT: f64 = 15.0;
/// A host name that does not resolve, but is in the apiserver's certificate.
const NOWHERE: &str = "api.nowhere.test";

/// Words in the message of each cause, in order. No message of another cause has them all.
const CAUSES: [(&str, &[&str]); 23] = [
    ("image missing", &["image ", " is not on this machine"]),
    ("etcd down", &["etcd at https://", ":2399 does not answer"]),
    (
        "wrong etcd CA",
        &["the certificate of etcd at https://", " is not signed by the CA in tls/etcd-client-ca.crt"],
    ),
    ("etcd without space", &["etcd at https://", " takes no writes: it has raised the alarm NOSPACE"]),
    ("kubelet not running", &["kubelet is not running"]),
    ("kubelet watches another folder", &["kubelet watches another folder than "]),
    ("another DNS server", &["kubelet gives pods another DNS server", " is 10.96.0.10, and "]),
    ("earlier bootstrap kubeconfig", &["kubelet cannot join by ", ", which is of another cluster or render"]),
    ("token ended", &["the bootstrap token of kubelet ended at "]),
    ("port taken", &["port 10257 of kube-controller-manager is taken"]),
    ("expired certificate", &["the certificate in tls/apiserver.crt has expired"]),
    ("certificate without this name", &["the apiserver's certificate does not name "]),
    ("request not approved", &["the certificate request of kubelet of n1 is not approved"]),
    ("wrong node label", &["no node has the labels that pod kube-scheduler-", " asks for"]),
    ("admission refuses", &["Pod guarded/intruder", "violates PodSecurity", "admission refuses it"]),
    (
        "webhook without backend",
        &[
            "a webhook that does not answer blocks LimitRange default/limits",
            "ValidatingWebhookConfiguration policy",
        ],
    ),
    ("Node deleted", &["no node has registered, and without one no pod can run"]),
    ("definition never served", &["CustomResourceDefinition ", "is not served", "its names are refused"]),
    (
        "crash loop",
        &["container kube-controller-manager of ", " does not stay up", "unknown flag: --nonsense"],
    ),
    ("no space", &["there is not enough room for /etc/kubernetes"]),
    ("not YAML", &["manifests/broken.yaml:3:"]),
    (
        "pod of an earlier file",
        &["kubelet still runs an earlier version of the static pod bootstrap-kube-apiserver"],
    ),
    ("unresolved name", &["api.nowhere.test, the host of the API's URL, does not resolve"]),
];

/// The messages of each cause.
#[derive(Default)]
struct Told(Vec<(&'static str, String)>);

impl Told {
    /// Keeps a message. It must have the words of its cause.
    fn add(&mut self, cause: &'static str, message: String) {
        let (_, words) = CAUSES.iter().find(|(name, _)| *name == cause).unwrap();
        assert!(has_all(&message, words), "{cause}: {message}");
        self.0.push((cause, message));
    }
}

fn has_all(mut message: &str, words: &[&str]) -> bool {
    words.iter().all(|word| match message.split_once(word) {
        Some((_, rest)) => {
            message = rest;
            true
        }
        None => false,
    })
}

#[test]
fn every_cause_has_a_message_of_its_own() {
    let world = World::up("e2e-causes", 1, |lab| {
        let etcd = format!("https://{}:2379", lab.machine("n1").unwrap().ip());
        json!({"etcd": {"mode": "external", "servers": [etcd]}, "apiServerAltNames": [NOWHERE]})
    });
    world.cluster.render().unwrap();
    world.cluster.start_etcd().unwrap();
    let (mut checks, mut told) = (Checks::default(), Told::default());
    checks.that("kubelet that does not run is named, before and while start waits for it", || {
        told.add("kubelet not running", refused(&world, ASSETS, 4));
        told.add("kubelet not running", blocked(&world, ASSETS, "kubelet", "wait for the API"));
        clean(&world);
    });
    world.cluster.join(&world.n1()).unwrap();
    world.shell(HEALTHY);
    seen_before(&world, &mut checks, &mut told);
    seen_while_waiting(&world, &mut checks, &mut told);
    late::seen_late(&world, &mut checks, &mut told);
    checks.that("at least fifteen causes were reported, and no message is that of another cause", || {
        matrix(&told);
    });
    checks.finish();
}

/// No message has the words of another cause, and every cause has a message.
fn matrix(told: &Told) {
    let mut wrong = Vec::new();
    for (cause, message) in &told.0 {
        let others = CAUSES.iter().filter(|(other, words)| other != cause && has_all(message, words));
        wrong.extend(others.map(|(other, _)| format!("{cause} passes for {other}: {message}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (cause, _) in CAUSES {
        assert!(told.0.iter().any(|(name, _)| *name == cause), "{cause} was not reported");
    }
}

/// Assets that `script`, run in their folder, has damaged.
fn flawed(world: &World, script: &str) {
    world.shell(&format!("rm -rf {FLAWED} && cp -r {ASSETS} {FLAWED} && cd {FLAWED} && {script}"));
}

/// The message of a `start` that refuses to begin with this exit code. It must not have touched
/// anything.
fn refused(world: &World, assets: &str, code: i32) -> String {
    refused_by(world, &["--asset-dir", assets], code)
}

fn refused_by(world: &World, flags: &[&str], code: i32) -> String {
    let started = world.start_by(&[&["bootkube", "start", "--strict"], flags].concat());
    let said = String::from_utf8_lossy(&started.output.stderr).into_owned();
    assert_eq!(started.output.status.code(), Some(code), "{said}");
    assert!(said.contains("nothing was touched"), "{said}");
    assert!(!world.shell(&format!("ls {MANIFESTS} 2>/dev/null || true")).contains("bootstrap"), "{said}");
    said
}

/// The obstacle that `start` names in `phase` although a check is ignored: as an event in time, and
/// in its message when the phase times out.
fn blocked(world: &World, assets: &str, ignored: &str, phase: &str) -> String {
    let flags = ["--asset-dir", assets, "--ignore-preflight", ignored];
    blocked_by(world, &flags, phase)
}

fn blocked_by(world: &World, flags: &[&str], phase: &str) -> String {
    blocked_since(world, flags, phase, "15s", || Timestamp::UNIX_EPOCH)
}

/// The same for a cause that comes during the phase: `moment` says when.
fn blocked_late(world: &World, flags: &[&str], phase: &str, moment: impl FnOnce() -> Timestamp) -> String {
    blocked_since(world, flags, phase, "40s", moment)
}

fn blocked_since(
    world: &World,
    flags: &[&str],
    phase: &str,
    limit: &str,
    moment: impl FnOnce() -> Timestamp,
) -> String {
    let limit = format!("--phase-timeout={}={limit}", phase.replace(' ', "-"));
    let words = ["bootkube", "start", "--events", EVENTS, &limit];
    let started = world.start_by(&[&words[..], flags].concat());
    let said = String::from_utf8_lossy(&started.output.stderr).into_owned();
    assert_eq!(started.output.status.code(), Some(1), "{said}{}", started.stdout());
    let events = String::from_utf8(world.n1().read(EVENTS).unwrap()).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_phase = |kind: &str| {
        let is_it = |event: &&Value| event["event"] == kind && event["phase"] == phase;
        events.iter().filter(is_it).collect::<Vec<_>>()
    };
    let (begun, blocked) = (of_phase("phase_started"), of_phase("blocked"));
    let last = blocked.last().unwrap_or_else(|| panic!("{phase}: nothing was in the way: {events:#?}"));
    let named = blocked.iter().find(|event| event["what"] == last["what"]).unwrap();
    let since = time_of(&begun[0]["time"]).max(moment());
    let after = time_of(&named["time"]).duration_since(since).as_secs_f64();
    assert!(after < PROMPT, "named only after {after} s: {named}");
    let what = last["what"].as_str().unwrap();
    assert!(said.contains(what) && said.contains("why: ") && said.contains("do: "), "{what}\n{said}");
    said
}

fn time_of(text: &Value) -> Timestamp {
    text.as_str().unwrap().parse().unwrap()
}

/// Removes what a failed start left, and waits until an apiserver that finds no etcd has ended.
fn clean(world: &World) {
    world.shell(&format!("rm -rf {MANIFESTS}/bootstrap-* /etc/kubernetes/bootstrap-secrets"));
    world.shell("for n in $(seq 400); do ss -Hltn 'sport = :6443' | grep -q . || break; sleep 0.1; done");
}

/// Runs the command that the message names.
fn restart_kubelet(world: &World) {
    world.shell(RESTART_KUBELET);
    world.shell(HEALTHY);
}

const HEALTHY: &str = "until curl -sf http://127.0.0.1:10248/healthz; do sleep 0.1; done";

/// Causes that keep `start` from touching anything.
fn seen_before(world: &World, checks: &mut Checks, told: &mut Told) {
    let server = format!("https://{}:6443", world.n1().ip());
    checks.that("etcd that is down is named", || {
        flawed(world, "sed -i s/:2379/:2399/ bootstrap-manifests/bootstrap-apiserver.yaml");
        let report = world.n1().exec(&["bootkube", "preflight", "--asset-dir", FLAWED]).unwrap();
        told.add("etcd down", String::from_utf8(report.stdout).unwrap());
    });
    checks.that("an etcd of another CA is named", || {
        world.shell(&format!("bootkube render --config {CONFIG} --asset-dir /opt/bootkube/other"));
        let flags = |ignored| ["--asset-dir", "/opt/bootkube/other", "--ignore-preflight", ignored];
        let kubelet = "kubelet-settings,kubelet-credentials";
        told.add("wrong etcd CA", refused_by(world, &flags(kubelet), 4));
        let rest = "kubelet-settings,etcd";
        told.add("earlier bootstrap kubeconfig", refused_by(world, &flags(rest), 4));
    });
    checks.that("a bootstrap token that has ended is named", || {
        flawed(world, TOKEN_ENDED);
        told.add("token ended", refused(world, FLAWED, 4));
    });
    checks.that("a kubelet with the DNS server of another cluster is named", || {
        world.shell(&format!("sed -i.kept s/10.3.0.10/10.96.0.10/ {KUBELET}"));
        told.add("another DNS server", refused(world, ASSETS, 4));
        world.shell(&format!("mv {KUBELET}.kept {KUBELET}"));
    });
    checks.that("an etcd that has raised the alarm NOSPACE is named, and the cure ends it", || {
        quota::exceeded(world, || told.add("etcd without space", refused(world, ASSETS, 4)));
        world.shell(&format!("bootkube preflight --asset-dir {ASSETS} | grep -q '^pass  *etcd '"));
    });
    checks.that("an image that is missing is named", || {
        flawed(world, NO_IMAGE);
        told.add("image missing", refused(world, FLAWED, 4));
    });
    checks.that("a folder that kubelet does not watch is named", || {
        let elsewhere = ["--asset-dir", ASSETS, "--pod-manifest-path", "/etc/kubernetes/elsewhere"];
        told.add("kubelet watches another folder", refused_by(world, &elsewhere, 4));
    });
    checks.that("a port that is taken is named", || {
        let mut holder = world.n1().spawn(&["busybox", "nc", "-l", "-p", "10257"]).unwrap();
        world.shell("until ss -Hltn 'sport = :10257' | grep -q .; do sleep 0.1; done");
        told.add("port taken", refused(world, ASSETS, 4));
        world.shell("kill $(pidof busybox)");
        holder.wait().unwrap();
    });
    checks.that("an expired certificate is named", || {
        flawed(world, "true");
        world.n1().write(&format!("{FLAWED}/tls/apiserver.crt"), expired(world).as_bytes(), 0o600).unwrap();
        told.add("expired certificate", refused(world, FLAWED, 4));
    });
    checks.that("a name that the certificate lacks is named", || {
        flawed(world, &format!("sed -i s,{server},https://127.0.0.2:6443, auth/kubeconfig"));
        told.add("certificate without this name", refused(world, FLAWED, 4));
    });
    checks.that("a name that does not resolve is named", || {
        flawed(world, &format!("sed -i s,{server},https://{NOWHERE}:6443, auth/kubeconfig"));
        told.add("unresolved name", refused(world, FLAWED, 4));
    });
    checks.that("a manifest that is not YAML is named with line and column", || {
        flawed(world, "printf 'kind: ConfigMap\\nmetadata:\\n  name: a: b\\n' >manifests/broken.yaml");
        told.add("not YAML", refused(world, FLAWED, 3));
    });
    checks.that("a disk without room is named", || {
        let script = format!(
            "cp -a /etc/kubernetes /run/kept && mount -t tmpfs -o size=8m none /etc/kubernetes
             cp -a /run/kept/. /etc/kubernetes
             bootkube start --asset-dir {ASSETS} --ignore-preflight kubelet-static-pods 2>&1 || true
             umount /etc/kubernetes"
        );
        told.add("no space", world.shell(&script));
    });
}

/// The configuration of kubelet.
const KUBELET: &str = "/var/lib/kubelet/config.yaml";
const TOKEN_ENDED: &str = "sed -i -E 's,expiration: .*,expiration: \"2026-01-01T00:00:00Z\",' \
    manifests/kubelet-bootstrap-token.yaml";

const NO_IMAGE: &str = "sed -i -E 's,image: .*,image: example.test/none:1\\n    imagePullPolicy: Never,; /imagePullPolicy: IfNot/d' \
    bootstrap-manifests/bootstrap-apiserver.yaml";

/// Another name of the image of sandboxes, for as long as it is missing under its own.
const KEPT: &str = "kept.test/pause:1";
/// The image that containerd makes sandboxes from.
const PAUSE: &str = "image=$(sed -n 's/.*sandbox_image = \"\\(.*\\)\"/\\1/p' /etc/containerd/config.toml) && \
    test -n \"$image\" && echo $image >/run/pause";

/// The same causes with their checks ignored: `start` begins, waits and finds them.
fn seen_while_waiting(world: &World, checks: &mut Checks, told: &mut Told) {
    checks.that("a wait names an etcd that is down", || {
        flawed(world, "sed -i s/:2379/:2399/ bootstrap-manifests/bootstrap-apiserver.yaml");
        told.add("etcd down", blocked(world, FLAWED, "etcd", "wait for the API"));
        clean(world);
    });
    checks.that("a wait names the pod of an earlier file that kubelet holds on to", || {
        told.add("pod of an earlier file", blocked(world, ASSETS, "kubelet", "wait for the API"));
        clean(world);
        restart_kubelet(world);
    });
    checks.that("a wait names an image that is missing", || {
        flawed(world, NO_IMAGE);
        told.add("image missing", blocked(world, FLAWED, "images", "wait for the API"));
        clean(world);
        restart_kubelet(world);
    });
    checks.that("the image of sandboxes that is missing is named, before and while start waits", || {
        clean(world);
        // A kubelet without an API ends no pod of an earlier file, which would be the deeper cause.
        world.install(&["crictl"]);
        world.shell("crictl pods --quiet --name bootstrap- | xargs --no-run-if-empty crictl rmp --force");
        let words = ["image registry.k8s.io/pause:", " is not on this machine", "the sandbox of every pod"];
        world.shell(&format!("{PAUSE} && ctr -n k8s.io images tag --force $image {KEPT}"));
        world.shell("ctr -n k8s.io images rm --sync $(cat /run/pause)");
        let said = [refused(world, ASSETS, 4), blocked(world, ASSETS, "images", "wait for the API")];
        said.iter().for_each(|said| assert!(has_all(said, &words), "{said}"));
    });
    // Also if the sentence fails: without this image no pod of the next ones starts.
    world.shell(&format!("[ ! -e /run/pause ] || ctr -n k8s.io images tag --force {KEPT} $(cat /run/pause)"));
    clean(world);
    restart_kubelet(world);
    checks.that("a wait names the folder that kubelet watches", || {
        let elsewhere = ["--pod-manifest-path", "/etc/kubernetes/elsewhere"];
        let flags = ["--asset-dir", ASSETS, "--ignore-preflight", "kubelet-static-pods"];
        let said = blocked_by(world, &[&flags[..], &elsewhere].concat(), "wait for the API");
        told.add("kubelet watches another folder", said);
        world.shell("rm -rf /etc/kubernetes/elsewhere");
        clean(world);
    });
}
