//! Three controllers, each with a member of etcd, behind a load balancer: an edit, a power cut of
//! all, and the loss of one. The API survives each, and no machine needs another one to come back.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use lab::cluster::ASSETS;
use lab::probe::{NAMESPACE, Options, Prober};
use lab::{Balancer, Lab, Machine};
use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::etcd;
use crate::kube::{condition, ready_since, try_kubectl};
use crate::page::scripts;
use crate::traffic;
use crate::world::{World, record};

const NAMES: [&str; 3] = ["n1", "n2", "n3"];
const PORT: u16 = 6443;
const LABEL: &str = "node-role.kubernetes.io/control-plane=";
const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];
/// What is in kubelet's folder when all is well: etcd is a service of these machines.
const WELL: &str = "kube-system-pod-checkpointer.json\n";
const UNPIVOT: &str = "bootkube unpivot --kubeconfig /opt/bootkube/assets/auth/kubeconfig";

#[test]
fn three_controllers_roll_unnoticed_and_come_back_together() {
    let controllers = Controllers::start("e2e-controllers");
    let mut checks = Checks::default();
    checks.that("unpivot is refused on one of three, with the cure, and touches nothing", || {
        controllers.refuses_unpivot();
    });
    checks.that("an edit of the apiserver rolls over three machines, and no request to any fails", || {
        record("controllers-roll", &controllers.roll());
    });
    checks.that("all lose their power, and come back by themselves", || {
        record("controllers-power-cut", &controllers.all_lose_power());
    });
    checks.finish();
}

#[test]
#[ignore = "takes minutes: make soak"]
fn one_controller_alone_waits_for_a_second_and_one_that_is_lost_is_not_missed() {
    let controllers = Controllers::start("e2e-controllers-lost");
    let mut checks = Checks::default();
    checks.that(
        "one comes back alone and waits; with the second one both serve; the third comes last",
        || {
            record("controllers-one-by-one", &controllers.one_by_one());
        },
    );
    let mut victim = controllers.machines[2].clone();
    checks.that("a leader's machine is lost, another leads, and no request to the others fails", || {
        let (lost, figures) = controllers.lose_the_leader();
        victim = lost;
        record("controllers-lost", &figures);
    });
    checks.that(
        "its node is deleted, it comes back as a mere node, and its copies go, secrets included",
        || {
            controllers.comes_back_as_nobody(&victim);
        },
    );
    checks.that("with its label it is a controller again", || {
        controllers.kubectl(&["label", "node", &victim.name(), LABEL]);
        eventually(120, || controllers.is_well(&victim, Timestamp::UNIX_EPOCH));
        eventually(60, || has_no_copy(&victim));
    });
    checks.that("the cure of unpivot leads to three controllers of static pods", || {
        controllers.leave_self_hosting();
    });
    checks.finish();
}

/// A cluster of three controllers.
struct Controllers {
    _balancer: Balancer,
    machines: Vec<Machine>,
    world: World,
}

impl Controllers {
    /// Runs `start` on the first one. The others join, and become controllers by their label.
    fn start(name: &str) -> Self {
        let world = World::alone(name, NAMES.len(), configuration);
        world.cluster.render().unwrap();
        let machines = world.lab.machines();
        let balancer = world.lab.balance(PORT, &machines).unwrap();
        etcd::start_members(&world, &machines);
        world.cluster.join(&machines[0]).unwrap();
        world.start().must_succeed();
        let admin = world.n1().read(&format!("{ASSETS}/auth/kubeconfig")).unwrap();
        for machine in &machines[1..] {
            machine.write(&format!("{ASSETS}/auth/kubeconfig"), &admin, 0o600).unwrap();
            world.cluster.join(machine).unwrap();
        }
        let controllers = Self { _balancer: balancer, machines, world };
        let begun = Instant::now();
        for machine in &controllers.machines[1..] {
            eventually(60, || controllers.ask(&["label", "node", &machine.name(), LABEL]).map(drop));
        }
        controllers.all(90, |machine| controllers.is_well(machine, Timestamp::UNIX_EPOCH));
        record("controllers-join", &json!({"seconds": begun.elapsed().as_secs_f64()}));
        controllers
    }

    /// kubectl through the load balancer, on a machine that is on.
    fn ask(&self, words: &[&str]) -> Result<String, String> {
        let on = self.machines.iter().find(|machine| machine.is_on()).ok_or("every machine is off")?;
        try_kubectl(on, words)
    }

    /// The same, which must succeed.
    fn kubectl(&self, words: &[&str]) -> String {
        self.ask(words).unwrap()
    }

    fn get(&self, words: &[&str]) -> Result<Value, String> {
        let text = self.ask(&[&["get", "-o", "json"], words].concat())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// Looks at every machine until there is no objection to any.
    fn all(&self, seconds: u64, look: impl Fn(&Machine) -> Result<(), String>) {
        eventually(seconds, || self.machines.iter().try_for_each(&look));
    }

    /// Each workload has a pod on `machine`, Ready and started after `since`, and the API of the
    /// machine itself answers.
    fn is_well(&self, machine: &Machine, since: Timestamp) -> Result<(), String> {
        let pods = self.get(&["pods", "-n", "kube-system"])?;
        let name = machine.name();
        ready_since(&pods, since, Some(&name)).map_err(|why| format!("{name}: {why}"))?;
        answers(machine)
    }

    /// Returns the message with which it refused.
    fn refuses_unpivot(&self) -> String {
        let n1 = &self.machines[0];
        let files = "find /etc/kubernetes -type f -printf '%p %i %T@\\n' | sort";
        let before = n1.run(&["bash", "-c", files]).unwrap();
        let output = n1.exec(&UNPIVOT.split_whitespace().collect::<Vec<_>>()).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{said}");
        for word in ["(n2, n3)", "kubectl label node n2 n3 node-role.kubernetes.io/control-plane-"] {
            assert!(said.contains(word), "{said}");
        }
        assert_eq!(n1.run(&["bash", "-c", files]).unwrap(), before);
        self.all(10, |machine| self.is_well(machine, Timestamp::UNIX_EPOCH));
        said
    }

    /// The commands of docs/unpivot.md, of which `unpivot` itself names the first two.
    fn leave_self_hosting(&self) {
        let said = self.refuses_unpivot();
        let [alone, copy] = scripts("docs/unpivot.md", "Several controllers");
        let [label, delete, unpivot] = alone.lines().collect::<Vec<_>>()[..] else { panic!("{alone}") };
        let [n1, others @ ..] = &self.machines[..] else { panic!("three") };
        for command in [label, delete] {
            assert!(said.contains(command), "{command}: {said}");
            n1.run(&["bash", "-c", command]).unwrap();
        }
        eventually(90, || {
            let output = n1.exec(&["bash", "-c", &format!("cd /opt/bootkube && {unpivot}")]).unwrap();
            output.status.success().then_some(()).ok_or(String::from_utf8_lossy(&output.stderr).into_owned())
        });
        for machine in others {
            eventually(150, || {
                let left = machine.run(&["ls", "/etc/kubernetes/manifests"]).unwrap();
                left.is_empty().then_some(()).ok_or(left)
            });
        }
        n1.give_key().unwrap();
        n1.run(&["bash", "-ec", &copy]).unwrap();
        self.all(60, answers);
        self.all(60, |machine| self.is_static(machine));
    }

    fn is_static(&self, machine: &Machine) -> Result<(), String> {
        for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
            let name = format!("{name}-{}", machine.name());
            let pod = self.get(&["pod", &name, "-n", "kube-system"])?;
            condition(&pod, "Ready").then_some(()).ok_or(format!("{name}: {}", pod["status"]))?;
        }
        Ok(())
    }

    /// Clients of each machine and of the load balancer, while the apiserver's flags change.
    fn roll(&self) -> Value {
        let probers: Vec<_> =
            NAMES.into_iter().chain(["balancer"]).map(|target| self.probe("roll", target)).collect();
        let command = "/spec/template/spec/containers/0/command/-";
        let patch = json!([{"op": "add", "path": command, "value": "--v=3"}]).to_string();
        let begun = Instant::now();
        let apiserver = "daemonset/kube-apiserver";
        self.kubectl(&["-n", "kube-system", "patch", apiserver, "--type=json", "-p", &patch]);
        let words = ["-n", "kube-system", "rollout", "status", "--timeout=180s", apiserver];
        self.machines[0].run(&[&["kubectl"], &words[..]].concat()).unwrap();
        let seconds = begun.elapsed().as_secs_f64();
        // The last older apiserver may need its grace period to end.
        self.all(40, has_one_apiserver);
        let summaries = self.finish(probers);
        let failed: Vec<_> = summaries.iter().filter(|(_, summary)| summary["failed"] != 0).collect();
        assert!(failed.is_empty(), "{failed:?}");
        json!({"seconds": seconds, "clients": summaries})
    }

    fn all_lose_power(&self) -> Value {
        let cut = Timestamp::now();
        self.each(|machine| machine.power_cut().unwrap());
        let on = Instant::now();
        self.each(|machine| machine.power_on().unwrap());
        self.all(90, answers);
        let api = on.elapsed().as_secs_f64();
        self.all(120, |machine| self.is_well(machine, cut));
        let ready = on.elapsed().as_secs_f64();
        self.settle();
        json!({"api on each": api, "ready": ready, "settled": on.elapsed().as_secs_f64()})
    }

    /// No copy is active anywhere, and each machine has one apiserver.
    fn settle(&self) {
        self.all(90, has_no_copy);
        self.all(60, has_one_apiserver);
    }

    fn one_by_one(&self) -> Value {
        let cut = Timestamp::now();
        self.each(|machine| machine.power_cut().unwrap());
        let [first, second, third] = &self.machines[..] else { panic!("three") };
        first.power_on().unwrap();
        eventually(60, || runs_apiserver(first));
        let alone = Instant::now();
        while alone.elapsed() < Duration::from_secs(20) {
            assert!(answers(first).is_err(), "etcd has no quorum");
            thread::sleep(Duration::from_secs(1));
        }
        let on = Instant::now();
        second.power_on().unwrap();
        let mut figures = BTreeMap::new();
        eventually(120, || {
            for machine in [first, second] {
                if answers(machine).is_ok() {
                    figures.entry(format!("{} serves", machine.name())).or_insert(on.elapsed().as_secs_f64());
                }
            }
            (figures.len() == 2).then_some(()).ok_or(format!("{figures:?}"))
        });
        third.power_on().unwrap();
        self.all(120, |machine| self.is_well(machine, cut));
        self.settle();
        json!(figures)
    }

    /// The machine of the leading controller manager loses power for good.
    fn lose_the_leader(&self) -> (Machine, Value) {
        let name = self.leader(LEADERS[0]).unwrap();
        let led: Vec<_> = LEADERS.into_iter().filter(|it| self.leader(it).unwrap() == name).collect();
        let victim = self.machines.iter().find(|machine| machine.name() == name).unwrap().clone();
        let targets = NAMES.into_iter().filter(|other| *other != name).chain(["balancer"]);
        let probers: Vec<_> = targets.map(|target| self.probe("lost", target)).collect();
        thread::sleep(Duration::from_secs(3));
        let off = Instant::now();
        victim.power_cut().unwrap();
        let mut figures = BTreeMap::new();
        eventually(40, || {
            for component in &led {
                if self.leader(component)? != name {
                    figures.entry(*component).or_insert(off.elapsed().as_secs_f64());
                }
            }
            (figures.len() == led.len()).then_some(()).ok_or(format!("{figures:?}"))
        });
        let summaries = self.finish(probers);
        for (whom, summary) in summaries.iter().filter(|(whom, _)| **whom != "balancer") {
            assert_eq!(summary["failed"], 0, "{whom}: {summary}");
        }
        // A lease is good for 15 s, and others look at it every 0.75 to 1.65 s.
        assert!(figures.values().all(|seconds| *seconds <= 20.0), "{figures:?}");
        let others = || self.machines.iter().filter(|machine| machine.is_on());
        others().for_each(|machine| has_no_copy(machine).unwrap());
        (victim, json!({"leads": figures, "clients": summaries}))
    }

    fn comes_back_as_nobody(&self, victim: &Machine) {
        self.kubectl(&["delete", "node", &victim.name()]);
        victim.power_on().unwrap();
        let kept = "find /etc/kubernetes/manifests /etc/kubernetes/inactive-manifests \
                    /etc/kubernetes/checkpoint-secrets -mindepth 1 -not -name '.*.lock'";
        eventually(180, || {
            let left = victim.run(&["bash", "-c", kept]).unwrap();
            left.is_empty().then_some(()).ok_or(left)
        });
        let node = || self.get(&["node", &victim.name()]).map(drop);
        eventually(30, node);
        eventually(60, || match runs_apiserver(victim) {
            Err(_) => Ok(()),
            Ok(()) => Err("its apiserver runs".to_owned()),
        });
    }

    /// Machine whose process holds the lease.
    fn leader(&self, component: &str) -> Result<String, String> {
        let lease = self.get(&["lease", component, "-n", "kube-system"])?;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        Ok(holder.split('_').next().unwrap_or_default().to_owned())
    }

    /// Requests of a user that RBAC must allow, to a machine or the load balancer, each over a new
    /// connection.
    fn probe(&self, name: &str, whom: &'static str) -> (&'static str, Prober) {
        let folder = self.world.lab.folder();
        let kubeconfig = folder.join(format!("{name}-{whom}.kubeconfig"));
        std::fs::write(
            &kubeconfig,
            traffic::kubeconfig(&self.world, "scheduler", self.world.n1().ip().into()),
        )
        .unwrap();
        let host = match whom {
            "balancer" => self.world.lab.gateway(),
            machine => self.world.lab.machine(machine).unwrap().ip(),
        };
        let server = Some(format!("https://{host}:{PORT}"));
        let options = Options { path: NAMESPACE.into(), rate: 20, server, ..Options::new(kubeconfig) };
        (whom, self.world.lab.probe_outside(&format!("{name}-{whom}"), &options).unwrap())
    }

    fn finish(&self, probers: Vec<(&'static str, Prober)>) -> BTreeMap<&'static str, Value> {
        let finish = |(whom, prober): (&'static str, Prober)| {
            let (samples, summary) = prober.finish().unwrap();
            traffic::tell_failed(whom, &samples);
            (whom, json!(summary))
        };
        probers.into_iter().map(finish).collect()
    }

    /// Does `act` on all machines at once.
    fn each(&self, act: impl Fn(&Machine) + Sync) {
        thread::scope(|scope| {
            for machine in &self.machines {
                scope.spawn(|| act(machine));
            }
        });
    }
}

/// The configuration for several controllers: an address that survives the loss of any, and a name
/// for each.
fn configuration(lab: &Lab) -> Value {
    let addresses: Vec<_> = lab.machines().iter().map(|machine| machine.ip().to_string()).collect();
    let mut config = etcd::external(lab, &NAMES, etcd::PORT);
    let changes = json!({
        "apiServers": [format!("https://{}:{PORT}", lab.gateway())],
        "apiServerAltNames": addresses,
        "controlPlane": {"controllers": NAMES.len()},
    });
    config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    config
}

/// The API of the machine itself.
fn answers(machine: &Machine) -> Result<(), String> {
    let server = format!("https://{}:{PORT}", machine.ip());
    try_kubectl(machine, &["--server", &server, "get", "--raw", "/readyz"]).map(drop)
}

fn has_no_copy(machine: &Machine) -> Result<(), String> {
    let found = machine.run(&["ls", "/etc/kubernetes/manifests"]).unwrap();
    (found == WELL).then_some(()).ok_or(format!("{}: {found}", machine.name()))
}

fn has_one_apiserver(machine: &Machine) -> Result<(), String> {
    let count = machine.run(&["ss", "-Hltn", "sport", "=", ":6443"]).unwrap().lines().count();
    (count == 1).then_some(()).ok_or(format!("{}: {count} apiservers", machine.name()))
}

fn runs_apiserver(machine: &Machine) -> Result<(), String> {
    let found = machine.exec(&["pgrep", "-f", "^kube-apiserver "]).unwrap();
    found.status.success().then_some(()).ok_or("no apiserver runs".into())
}
