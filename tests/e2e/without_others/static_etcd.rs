//! The default: etcd as a static pod, ECDSA keys, one controller; then a second machine, without
//! the controller's label.

use serde_json::{Value, json};

use crate::audit;
use crate::checks::{Checks, eventually};
use crate::kube::condition;
use crate::power::WELL;
use crate::roll;
use crate::traffic::{self, Traffic};
use crate::world::{Started, World, record};

/// Workloads of the rendered cluster and how many pods each has on one machine.
const WORKLOADS: [(&str, usize); 6] = [
    ("DaemonSet/kube-apiserver", 1),
    ("DaemonSet/pod-checkpointer", 1),
    ("Deployment/kube-controller-manager", 1),
    ("Deployment/kube-scheduler", 1),
    ("DaemonSet/kube-proxy", 1),
    ("Deployment/coredns", 2),
];

#[test]
fn two_commands_make_a_machine_a_cluster_that_runs_itself() {
    let world = World::alone("e2e-static-etcd", 2, |_| json!({}));
    world.render_and_join();
    world
        .n1()
        .write(&format!("{}/manifests/user.yaml", lab::cluster::ASSETS), USER.as_bytes(), 0o600)
        .unwrap();
    let traffic = Traffic::start(&world, "pivot");
    let started = world.start();
    let audit_log = world.n1().read(lab::cluster::AUDIT_LOG).unwrap_or_default();
    let audit_log = String::from_utf8(audit_log).unwrap();
    let answered = traffic.finish();
    let seconds = started.took.as_secs_f64();
    record("pivot", &json!({"seconds": seconds, "clients": traffic::figures(&answered)}));

    let mut checks = Checks::default();
    checks.need("start succeeds", || started.must_succeed());
    checks.that("start takes at most 40 s", || assert!(seconds <= 40.0, "{seconds:.1} s"));
    checks.that("start writes plain lines into a pipe, a summary last", || plain_lines(&started));
    checks.that("no request fails in the pivot", || {
        answered.iter().for_each(traffic::Answered::assert_unnoticed);
    });
    checks.that("only bootkube, kubelet and rendered identities wrote before start ended", || {
        only_expected_writers(&audit_log);
    });
    checks.that("nothing of the bootstrap control plane is left", || no_bootstrap(&world));
    checks.that("start again is a quick success that places nothing", || start_again(&world));
    checks.that("every component is Ready under its workload", || components_ready(&world));
    checks.that("the node is Ready, labelled and not tainted", || node_is_marked(&world));
    checks.that("a custom resource before its CRD and Namespace was applied by the same run", || {
        assert_eq!(world.kubectl(&["get", "widget", "first", "-n", "later", "-o", "name"]), WIDGET);
    });
    workloads(&world, &mut checks);
    roll::check(&world, &mut checks);
    second_machine(&world, &mut checks);
    checks.finish();
}

fn plain_lines(started: &Started) {
    let stdout = started.stdout();
    assert!(stdout.lines().all(|line| line.starts_with('[')), "{stdout}");
    assert!(!stdout.contains('\u{1b}') && !stdout.contains('\r'), "{stdout:?}");
    let last = stdout.lines().last().unwrap();
    assert!(last.contains("the control plane runs itself on node n1"), "{last}");
}

fn only_expected_writers(log: &str) {
    let writers = audit::writers(log);
    let others = writers.iter().filter(|((user, agent), _)| !audit::is_expected(user, agent));
    assert_eq!(others.collect::<Vec<_>>(), []);
    let bootkube =
        |(user, agent): &(String, String)| user == "kubernetes-admin" && agent.starts_with("bootkube/");
    assert!(writers.keys().any(bootkube), "the log is of this cluster");
}

fn no_bootstrap(world: &World) {
    assert_eq!(world.shell("ls -A /etc/kubernetes/manifests"), WELL);
    assert!(!world.n1().path("/etc/kubernetes/bootstrap-secrets").exists());
    eventually(10, || {
        let mut pods = world.pods("kube-system").into_iter();
        pods.find(|pod| pod.name.starts_with("bootstrap-")).map_or(Ok(()), |pod| Err(pod.name))
    });
}

fn start_again(world: &World) {
    let find =
        "find /etc/kubernetes -mindepth 1 ! -name bootkube-journal.jsonl -printf '%p %i %T@\\n' | sort";
    let placed = || world.shell(find);
    let before = placed();
    let again = world.start();
    again.must_succeed();
    assert!(again.took.as_secs() < 10, "{:?}", again.took);
    assert_eq!(placed(), before);
}

fn components_ready(world: &World) {
    world.rolled_out("daemonset/kube-proxy");
    world.rolled_out("deployment/coredns");
    for (workload, count) in WORKLOADS {
        let pods = world.pods_of(workload);
        assert!(pods.len() == count && pods.iter().all(|pod| pod.ready), "{workload}: {pods:#?}");
    }
}

fn node_is_marked(world: &World) {
    let node = world.get(&["node", "n1"]);
    assert!(condition(&node, "Ready"));
    assert_eq!(node["metadata"]["labels"]["node-role.kubernetes.io/control-plane"], "");
    assert_eq!(node["spec"]["taints"], Value::Null);
}

/// A user's workload.
fn workloads(world: &World, checks: &mut Checks) {
    world.apply(WORKLOAD);
    checks.that("a Deployment behind a NodePort answers from outside", || {
        let service = world.get(&["service", "web"]);
        let url = format!("http://{}:{}/", world.n1().ip(), service["spec"]["ports"][0]["nodePort"]);
        eventually(30, || {
            let answer = world.lab.exec_outside(&["curl", "--silent", "--max-time", "2", &url]).unwrap();
            let text = String::from_utf8_lossy(&answer.stdout).into_owned();
            (text == "hello from web\n").then_some(()).ok_or(format!("{url} answers {text:?}"))
        });
    });
    checks.that("kubectl exec works, and a pod resolves the API's name", || {
        world.ready_pod("client");
        let name = "kubernetes.default.svc.cluster.local";
        let answer = world.kubectl(&["exec", "client", "--", "nslookup", name]);
        assert!(answer.contains("10.3.0.1"), "{answer}");
    });
    checks.that("kubectl logs works", || {
        assert_eq!(world.kubectl(&["logs", "client"]), "hello from client\n");
    });
}

fn second_machine(world: &World, checks: &mut Checks) {
    world.cluster.join(&world.lab.machine("n2").unwrap()).unwrap();
    checks.that("a second machine joins by the token alone and becomes Ready", || {
        eventually(60, || {
            let nodes = world.get(&["nodes"]);
            let mut nodes = nodes["items"].as_array().into_iter().flatten();
            let ready = nodes.any(|node| node["metadata"]["name"] == "n2" && condition(node, "Ready"));
            ready.then_some(()).ok_or("n2 is not Ready".into())
        });
    });
    checks.that("the second machine, unlabelled, runs kube-proxy and nothing of the control plane", || {
        world.rolled_out("daemonset/kube-proxy");
        for pod in world.pods("kube-system").into_iter().filter(|pod| pod.node == "n2") {
            assert!(["DaemonSet/kube-proxy", "Deployment/coredns"].contains(&&*pod.owner), "{pod:#?}");
        }
        assert_eq!(world.pods_of("DaemonSet/kube-apiserver").len(), 1);
    });
    checks.that("pods of the two machines reach each other", || {
        world.apply(FAR);
        let far = world.ready_pod("far");
        assert_eq!((far.node.as_str(), world.ready_pod("client").node.as_str()), ("n2", "n1"));
        let url = format!("http://{}:8080/", far.ip);
        eventually(10, || {
            let words = ["kubectl", "exec", "client", "--", "wget", "-q", "-O", "-", &url];
            let answer = world.n1().exec(&words).unwrap();
            (answer.stdout == b"hello from n2\n").then_some(()).ok_or(format!("{answer:?}"))
        });
    });
}

const WIDGET: &str = "widget.example.test/first\n";

/// The object comes before its definition on purpose: `start` must order them.
const USER: &str = "
apiVersion: example.test/v1
kind: Widget
metadata: {name: first, namespace: later}
spec: {size: 3}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.test}
spec:
  group: example.test
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: later}
";

const WORKLOAD: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: docker.io/library/busybox:1.36
        command: [sh, -c, 'echo hello from web >/tmp/index.html; exec httpd -f -p 8080 -h /tmp']
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: client
    image: docker.io/library/busybox:1.36
    command: [sh, -c, 'echo hello from client; exec sleep 100000']
";

const FAR: &str = "
apiVersion: v1
kind: Pod
metadata: {name: far}
spec:
  terminationGracePeriodSeconds: 0
  nodeSelector: {kubernetes.io/hostname: n2}
  containers:
  - name: far
    image: docker.io/library/busybox:1.36
    command: [sh, -c, 'echo hello from n2 >/tmp/index.html; exec httpd -f -p 8080 -h /tmp']
";
