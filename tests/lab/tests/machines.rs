//! The lab on this host, for real: machines come up, run pods, lose power, and go without a trace.
//! Needs root and what `make tools` installs.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, which clippy does not know

use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use lab::image::Image;
use lab::{EtcdTls, Guard, Machine};

/// What the host's own network and files look like.
fn host() -> [String; 3] {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    [
        said("ip", &["-oneline", "link"]),
        said("cat", &["/proc/self/mounts"]),
        said("ls", &["-A", "/run/netns", "/etc", "/var/lib", "/opt"]),
    ]
}

fn shell(machine: &Machine, script: &str) -> String {
    machine.run(&["bash", "-c", script]).unwrap()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} does not hold after 30 s");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn two_labs_live_side_by_side_and_leave_the_host_as_it_was() {
    let before = host();
    let live = |name: &'static str| {
        std::thread::spawn(move || {
            let lab = Guard::up(name, 2).unwrap();
            let [one, two] = lab.machines().try_into().unwrap();
            for machine in [&one, &two] {
                assert!(machine.run(&["ctr", "version"]).unwrap().contains("Server:"));
            }
            let reached = one.exec(&["bash", "-c", &format!("exec 3<>/dev/tcp/{}/9", two.ip())]).unwrap();
            assert!(
                String::from_utf8_lossy(&reached.stderr).contains("refused"),
                "the other machine answers"
            );
            assert_eq!(
                shell(&one, "hostname; nproc >/usr/local/from-one; ls /usr/local/from-one"),
                "n1\n/usr/local/from-one\n"
            );
            one.ip()
        })
    };
    let labs = [live("test-side"), live("test-by-side")];
    let [one, other] = labs.map(|lab| lab.join().unwrap());
    assert_ne!(one, other, "labs in different folders have different addresses");
    assert_eq!(host(), before);
    assert!(!std::path::Path::new("/usr/local/from-one").exists());
}

#[test]
fn a_lab_that_was_killed_does_not_stop_the_next_one() {
    let first = Guard::up("test-killed", 1).unwrap();
    let process_before = shell(&first.machine("n1").unwrap(), "readlink /proc/1/ns/pid");
    std::mem::forget(first); // as if this process had died
    let second = Guard::up("test-killed", 1).unwrap();
    let machine = second.machine("n1").unwrap();
    assert_ne!(shell(&machine, "readlink /proc/1/ns/pid"), process_before);
}

#[test]
fn etcd_serves_with_tls_as_a_service_of_three_machines_and_survives_one() {
    let lab = Guard::up("test-etcd", 3).unwrap();
    let authority = shell(&lab.machine("n1").unwrap(), AUTHORITY);
    for machine in lab.machines() {
        machine.write("/etc/etcd/authority.pem", authority.as_bytes(), 0o600).unwrap();
        shell(&machine, &LEAF.replace("ADDRESS", &machine.ip().to_string()));
        machine.start_etcd(&etcd_tls(), &lab.machines()).unwrap();
    }
    let healthy = |machine: &Machine| shell(machine, HEALTH).contains("\"health\":\"true\"");
    lab.machines().iter().for_each(|machine| eventually("etcd is healthy", || healthy(machine)));
    let [one, two, _] = lab.machines().try_into().unwrap();
    two.power_cut().unwrap();
    eventually("two of three go on", || healthy(&one));
    two.power_on().unwrap();
    eventually("the third is back", || healthy(&two));
}

fn etcd_tls() -> EtcdTls {
    let [ca, pair] = ["ca", "pair"].map(|name| format!("/etc/etcd/{name}.pem"));
    EtcdTls {
        ca,
        server_certificate: pair.clone(),
        server_key: pair.clone(),
        peer_certificate: pair.clone(),
        peer_key: pair,
    }
}

/// Prints a CA's key and certificate.
const AUTHORITY: &str =
    "openssl req -x509 -newkey rsa:2048 -nodes -keyout - -subj /CN=ca -days 2 2>/dev/null";
const LEAF: &str = "cd /etc/etcd && openssl x509 -in authority.pem -out ca.pem && openssl req -newkey rsa:2048 -nodes -keyout key -subj /CN=etcd 2>/dev/null |
    openssl x509 -req -CA authority.pem -CAkey authority.pem -CAcreateserial -days 2 \\
        -extfile <(echo subjectAltName=IP:127.0.0.1,IP:ADDRESS) 2>/dev/null >certificate && cat key certificate >pair.pem";
const HEALTH: &str =
    "curl --silent --cacert /etc/etcd/ca.pem --cert /etc/etcd/pair.pem https://127.0.0.1:2379/health || true";

#[test]
fn a_binary_becomes_a_command_and_an_image_of_a_machine() {
    let lab = Guard::up("test-install", 1).unwrap();
    let machine = lab.machine("n1").unwrap();
    let busybox = std::path::Path::new("/bin/busybox");
    machine.install_bootkube(busybox, "quay.io/bootkube/bootkube:v0").unwrap();
    machine.import(&[Image::bootkube("quay.io/bootkube/bootkube:v1", busybox)]).unwrap();
    assert!(shell(&machine, "bootkube 2>&1 || true").contains("applet not found"));
    let images = machine.run(&["ctr", "-n", "k8s.io", "images", "list", "-q"]).unwrap();
    assert!(
        images.contains("quay.io/bootkube/bootkube:v0\n")
            && images.contains("quay.io/bootkube/bootkube:v1\n")
    );
    let from_image =
        ["ctr", "-n", "k8s.io", "run", "--rm", "quay.io/bootkube/bootkube:v0", "once", "/bootkube"];
    let said = machine.exec(&from_image).unwrap();
    assert!(String::from_utf8_lossy(&said.stderr).contains("applet not found"), "{said:?}");
    machine.reboot().unwrap();
    assert!(shell(&machine, "bootkube 2>&1 || true").contains("applet not found"), "it is on the disk");
}

/// kubelet starts static pods although its API server does not answer.
#[test]
fn static_pods_run_from_our_images_and_come_back_after_a_power_cut() {
    let lab = Guard::up("test-pods", 1).unwrap();
    let machine = lab.machine("n1").unwrap();
    machine.write("/etc/kubernetes/kubeconfig", bootstrap_kubeconfig(&machine).as_bytes(), 0o600).unwrap();
    machine.write("/etc/kubernetes/manifests/pods.yaml", WEB.as_bytes(), 0o600).unwrap();
    machine.write("/etc/kubernetes/manifests/dns.yaml", DNS.as_bytes(), 0o600).unwrap();
    machine.write("/etc/kubernetes/manifests/tools.yaml", TOOLS.as_bytes(), 0o600).unwrap();
    machine.start_kubelet(lab::Families::default()).unwrap();
    eventually("kubelet answers", || answers(&lab, "web on port 80"));
    eventually("the tools have run", || logged(&machine, "tools", "conntrack v"));
    eventually("DNS listens on its port", || shell(&machine, "ss -Hlun sport = :53 | wc -l").trim() != "0");
    machine.power_cut().unwrap();
    assert!(!machine.is_on());
    assert!(!answers(&lab, "web on port 80"));
    machine.power_on().unwrap();
    eventually("kubelet and its pods are back", || answers(&lab, "web on port 80"));
}

/// Asks from outside the machines, at a host port, through CNI's port map and the pod network.
fn answers(lab: &Guard, text: &str) -> bool {
    let url = format!("http://{}:8080/", lab.machine("n1").unwrap().ip());
    let answer = lab.exec_outside(&["curl", "--silent", "--max-time", "2", &url]).unwrap();
    String::from_utf8_lossy(&answer.stdout).contains(text)
}

fn logged(machine: &Machine, pod: &str, text: &str) -> bool {
    shell(machine, &format!("cat /var/log/pods/default_{pod}-n1_*/*/*.log 2>/dev/null || true"))
        .contains(text)
}

fn bootstrap_kubeconfig(machine: &Machine) -> String {
    let request =
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=ca -days 2 2>/dev/null";
    let authority = base64::engine::general_purpose::STANDARD.encode(shell(machine, request));
    format!(
        "clusters:\n- name: c\n  cluster:\n    server: https://{}:6443\n    certificate-authority-data: {authority}\n\
         users:\n- name: u\n  user:\n    token: abcdef.0123456789abcdef\n\
         contexts:\n- name: x\n  context: {{cluster: c, user: u}}\ncurrent-context: x\n",
        machine.ip()
    )
}

const WEB: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec:
  containers:
  - name: web
    image: docker.io/library/busybox:1.36
    command: [sh, -c, 'echo web on port 80 >/tmp/index.html; exec httpd -f -p 80 -h /tmp']
    ports: [{containerPort: 80, hostPort: 8080}]
";

const DNS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: default}
spec:
  hostNetwork: true
  containers:
  - name: dns
    image: registry.k8s.io/coredns/coredns:v1.14.2
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      runAsNonRoot: true
      capabilities: {add: [NET_BIND_SERVICE], drop: [ALL]}
";

const TOOLS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: tools, namespace: default}
spec:
  hostNetwork: true
  restartPolicy: Never
  initContainers:
  - name: nft
    image: registry.k8s.io/kube-proxy:v1.36.3
    command: [/usr/sbin/nft, list, tables]
    securityContext: {privileged: true}
  containers:
  - name: conntrack
    image: registry.k8s.io/kube-proxy:v1.36.3
    command: [/usr/sbin/conntrack, --version]
";
