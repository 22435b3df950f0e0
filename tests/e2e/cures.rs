//! What preflight says to do ends the problem. Each sentence makes a cause on a good machine, does
//! what the message says and nothing else, and every check passes again.

use lab::cluster::ASSETS;
use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::preflight::{KUBELET, RESTART_KUBELET, preflight, ready};
use crate::world::World;

/// A render of another cluster.
const OTHER: &str = "/opt/bootkube/other";
/// Programs that a cure names. What stands before their name is prose.
const PROGRAMS: [&str; 4] = ["systemctl", "install", "mv", "echo"];

/// The cures of a machine whose kubelet has joined, and whose etcd runs.
pub fn check(world: &World, checks: &mut Checks) {
    checks.that("the cure of a kubelet that does not run starts it", || {
        cured(world, "kubelet", "kubelet is not running", || {
            world.shell("systemctl disable --quiet --now kubelet");
        });
    });
    for (sentence, field, value, name, what) in settings() {
        checks.that(sentence, || cured(world, name, what, || set(world, field, &value, Restart::Yes)));
    }
    checks.that("the cure of another CA for clients makes kubelet trust the apiserver", || {
        cured(world, "kubelet-settings", "its CA for clients is another one", || {
            world.shell(&format!("cp {OTHER}/tls/ca.crt /var/lib/kubelet/other-ca.crt"));
            set(
                world,
                "authentication.x509.clientCAFile",
                &json!("/var/lib/kubelet/other-ca.crt"),
                Restart::Yes,
            );
        });
    });
    checks.that("the cure of another render's bootstrap kubeconfig installs this one's", || {
        cured(world, "kubelet-credentials", "which is of another cluster or render", || {
            world
                .shell(&format!("install -m 600 {OTHER}/auth/kubeconfig-kubelet /etc/kubernetes/kubeconfig"));
            world.shell(RESTART_KUBELET);
        });
    });
    checks.that("the cure of a runtime that has stopped starts it", || {
        cured(world, "container-runtime", "does not answer at", || {
            world.shell("systemctl stop --quiet containerd");
        });
    });
    checks.that("the cure of forwarding that is off turns it on for good", || {
        cured(world, "forwarding", "does not forward IPv4", || {
            world.shell("echo 0 >/proc/sys/net/ipv4/ip_forward");
        });
    });
    checks.that("the cure of a static pod of another program moves it away, and it is kept", || {
        let path = "/etc/kubernetes/manifests/web.yaml";
        cured(world, "static-pods", "web.yaml is a static pod that bootkube did not place", || {
            let pod = format!(
                "cp {ASSETS}/bootstrap-manifests/bootstrap-scheduler.yaml {path} && echo '# mine' >>{path}"
            );
            world.shell(&pod);
        });
        world.shell("grep -q mine /root/web.yaml");
    });
    by_hand(world, checks);
}

/// Settings of kubelet that the cure sets: the sentence, the field and its wrong value, the check and
/// its words.
fn settings() -> [(&'static str, &'static str, Value, &'static str, &'static str); 5] {
    [
        (
            "the cure of another folder of static pods sets this one",
            "staticPodPath",
            json!("/etc/elsewhere"),
            "kubelet-static-pods",
            "kubelet watches another folder",
        ),
        (
            "the cure of a kubelet that waits for a certificate lets it start",
            "rotateCertificates",
            json!(false),
            "kubelet-certificates",
            "kubelet will start no static pod",
        ),
        (
            "the cure of another DNS server sets the cluster's",
            "clusterDNS",
            json!(["10.96.0.10"]),
            "kubelet-settings",
            "kubelet gives pods another DNS server",
        ),
        (
            "the cure of another domain sets the cluster's",
            "clusterDomain",
            json!("k8s.example"),
            "kubelet-settings",
            "kubelet gives pods another domain",
        ),
        (
            "the cure of another driver of control groups sets the runtime's",
            "cgroupDriver",
            json!("cgroupfs"),
            "kubelet-settings",
            "use different drivers of control groups",
        ),
    ]
}

/// Cures in prose: the test does what they say.
fn by_hand(world: &World, checks: &mut Checks) {
    checks.that("with the process ended that holds a port, the port is free", || {
        let mut holder = world.n1().spawn(&["busybox", "nc", "-l", "-p", "10257"]).unwrap();
        let problem = told(world, "ports", "port 10257 of kube-controller-manager is taken");
        assert!(
            problem["do"].as_str().unwrap().starts_with("end the process that listens there"),
            "{problem}"
        );
        let why = problem["why"].as_str().unwrap();
        let (_, process) = why.split_once("(process ").unwrap();
        world.shell(&format!("kill {}", process.split(')').next().unwrap()));
        holder.wait().unwrap();
        ready(world);
    });
    checks.that("with etcd started again, it is healthy", || {
        world.shell("systemctl stop etcd");
        let problem = told(world, "etcd", "does not answer");
        assert!(
            problem["do"].as_str().unwrap().starts_with("start it, or correct etcd.servers"),
            "{problem}"
        );
        world.shell("systemctl start etcd");
        ready(world);
    });
    checks.that("an image that is imported is there", || {
        const IMAGE: &str =
            "$(ctr -n k8s.io images list -q | grep ^registry.k8s.io/kube-scheduler: | head -1)";
        world.shell(&format!(
            "ctr -n k8s.io images export /run/image.tar {IMAGE} && ctr -n k8s.io images rm --sync {IMAGE}"
        ));
        let problem = told(world, "images", "image registry.k8s.io/kube-scheduler");
        assert!(problem["do"].as_str().unwrap().contains("(ctr -n k8s.io images import)"), "{problem}");
        world.shell("ctr -n k8s.io images import /run/image.tar");
        ready(world);
    });
}

/// Makes a cause, reads the cure, does what it says, and waits until every check passes.
fn cured(world: &World, name: &str, what: &str, make: impl FnOnce()) {
    make();
    let problem = told(world, name, what);
    follow(world, problem["do"].as_str().unwrap());
    ready(world);
}

/// The problem of a check that has these words.
fn told(world: &World, name: &str, what: &str) -> Value {
    let mut found = Value::Null;
    eventually(20, || {
        let report = preflight(world, ASSETS);
        let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == name);
        let mut problems = checks.filter_map(|check| check["problems"].as_array()).flatten();
        let problem = problems.find(|problem| problem["what"].as_str().unwrap().contains(what));
        found = problem.cloned().ok_or_else(|| format!("{name} does not say {what:?}: {report:#}"))?;
        Ok(())
    });
    found
}

/// Does what a cure says: sets fields of kubelet's configuration, and runs commands. Of several ways
/// it takes the first that is none of preflight's own flags.
fn follow(world: &World, cure: &str) {
    let mut steps = 0;
    let cure = cure.split("; or ").next().unwrap();
    for step in
        cure.split(", and ").flat_map(|part| part.split("; then ")).flat_map(|part| part.split(", or "))
    {
        let step = step.strip_prefix("run ").unwrap_or(step);
        if let Some((field, value)) = setting(step) {
            set(world, field, &value, Restart::No);
            steps += 1;
        } else if let Some(command) = command(step) {
            world.shell(&command);
            steps += 1;
        }
    }
    assert!(steps > 0, "nothing to do is found in: {cure}");
}

/// `set FIELD: VALUE in FILE`.
fn setting(step: &str) -> Option<(&str, Value)> {
    let (field, rest) = step.strip_prefix("set ")?.split_once(": ")?;
    let (value, file) = rest.rsplit_once(" in ")?;
    assert_eq!(file, KUBELET, "{step}");
    let list = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
    let value = match (list, value) {
        (Some(list), _) => list.split(", ").collect(),
        (None, "true") => json!(true),
        (None, value) => json!(value),
    };
    Some((field, value))
}

/// The command in a step: by itself, after prose and a colon, or in parentheses.
fn command(step: &str) -> Option<String> {
    let in_parentheses =
        step.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inner, _)| inner);
    let after_prose = step.split_once(": ").map(|(_, rest)| rest);
    let is_command = |text: &&str| PROGRAMS.contains(&text.split_whitespace().next().unwrap_or_default());
    let found = [Some(step), in_parentheses, after_prose].into_iter().flatten().find(is_command)?;
    Some(found.split(": it ").next().unwrap().to_owned())
}

/// Whether kubelet is restarted.
#[derive(PartialEq)]
enum Restart {
    Yes,
    No,
}

/// Sets a field of kubelet's configuration, which is JSON in the lab.
fn set(world: &World, field: &str, value: &Value, restart: Restart) {
    let mut config: Value = serde_json::from_slice(&world.n1().read(KUBELET).unwrap()).unwrap();
    let place = field.split('.').fold(&mut config, |place, key| &mut place[key]);
    *place = value.clone();
    world.n1().write(KUBELET, config.to_string().as_bytes(), 0o600).unwrap();
    if restart == Restart::Yes {
        world.shell(RESTART_KUBELET);
    }
}

#[test]
fn what_a_cure_says_is_read_as_a_reader_reads_it() {
    let table = [
        ("start it (systemctl start kubelet): kubelet starts the pods", Some("systemctl start kubelet")),
        ("if it is not needed, move it away: mv -n /a /root/", Some("mv -n /a /root/")),
        (
            "systemctl restart kubelet: it joins again by its bootstrap kubeconfig",
            Some("systemctl restart kubelet"),
        ),
        ("correct the manifest", None),
    ];
    for (step, expected) in table {
        assert_eq!(command(step).as_deref(), expected, "{step}");
    }
    let (field, value) = setting("set clusterDNS: [10.3.0.10] in /var/lib/kubelet/config.yaml").unwrap();
    assert_eq!((field, value), ("clusterDNS", json!(["10.3.0.10"])));
}
