//! A control plane is lost and comes back: from the etcd that kept running, from a snapshot, or
//! from a snapshot in an empty etcd. Secrets are encrypted throughout, and the cluster's workload
//! keeps running.

use lab::cluster::{ASSETS, MAY_RESTART_KUBELET};
use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::page::scripts;
use crate::world::{Started, World, record};

/// Where the administrator has keys and kubeconfig.
const KEPT: &str = "/root/kept";
const RECOVERED: &str = "/root/recovered";
const ENCRYPTION: &str = "/etc/kubernetes/encryption.json";
const SNAPSHOT: &str = "/root/snapshot.db";

const AGENT_COPY: &str = "/etc/kubernetes/manifests/kube-system-pod-checkpointer.json";

#[test]
fn a_lost_control_plane_comes_back_from_etcd_or_a_snapshot_with_the_same_keys() {
    let world = World::up("e2e-recover", 1, |_| configuration());
    world.n1().write(ENCRYPTION, encryption().to_string().as_bytes(), 0o600).unwrap();
    world.install(&["etcdctl", "etcdutl"]);
    world.render_and_join();
    let mut checks = Checks::default();
    let mut figures = json!({});
    let mut keep = |name: &str, started: &Started| figures[name] = json!(started.took.as_secs_f64());

    let before = checks.need("a cluster runs a workload, and its administrator has keys and a snapshot", || {
        world.start().must_succeed();
        world.apply(WORKLOAD);
        world.ready_pod("web");
        world.shell(&format!(
            "mkdir {KEPT} && cp {ASSETS}/auth/kubeconfig {ASSETS}/tls/etcd-client* {ASSETS}/tls/ca.crt {KEPT}/"
        ));
        save(&world);
        web(&world)
    });
    let before = before.unwrap_or_default();
    checks.need("recover and start succeed after control-plane objects were deleted", || {
        delete_control_plane(&world);
        keep("deleted", &recover_and_start(&world, &format!("--etcd-snapshot={SNAPSHOT}")));
    });
    checks.that("a machine whose control-plane objects were deleted is repaired without rendering", || {
        runs_itself(&world);
    });
    checks.that("its workloads never stopped", || assert_eq!(web(&world), before));

    checks.need("recover and start succeed after the machine was lost and etcd was not", || {
        lose_machine(&world);
        keep("machine", &recover_and_start(&world, &from_etcd()));
    });
    checks.that("after the machine was lost and etcd was not, the control plane runs itself", || {
        runs_itself(&world)
    });
    checks.that("the same workload runs again", || same_workload(&world, &before));

    checks.need("recover and start succeed with a snapshot in an empty etcd", || {
        empty_etcd(&world);
        keep("empty etcd", &recover_and_start(&world, &from_etcd()));
    });
    checks.that("from a snapshot in an empty etcd the control plane runs itself", || runs_itself(&world));
    checks.that("the same workload runs there again", || same_workload(&world, &before));
    checks.that("the CA is the one of the beginning", || {
        let served = "openssl s_client -connect 127.0.0.1:6443 -CAfile /root/kept/ca.crt -verify_return_error </dev/null 2>&1";
        assert!(world.shell(served).contains("Verify return code: 0"));
    });
    record("recover", &figures);
    checks.finish();
}

/// The lab's cluster with encryption at rest.
fn configuration() -> Value {
    // A merge patch replaces lists, so this has the lab's volumes and one more.
    let volume = |name: &str, path: &str, kind: &str| {
        json!({
            "name": name, "hostPath": path, "mountPath": path, "pathType": kind, "readOnly": kind == "File",
        })
    };
    json!({"components": {"kube-apiserver": {
        "extraArgs": {"encryption-provider-config": ENCRYPTION},
        "extraVolumes": [
            volume("audit-policy", "/etc/kubernetes/audit-policy.yaml", "File"),
            volume("audit-log", "/var/log/kubernetes", "DirectoryOrCreate"),
            volume("encryption", ENCRYPTION, "File"),
        ],
    }}})
}

fn encryption() -> Value {
    let keys = json!([{"name": "only", "secret": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]);
    json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration", "resources": [
        {"resources": ["secrets", "configmaps"], "providers": [{"secretbox": {"keys": keys}}, {"identity": {}}]},
    ]})
}

fn from_etcd() -> String {
    format!(
        "--etcd-servers=https://127.0.0.1:2379 --etcd-ca-path={KEPT}/etcd-client-ca.crt \
         --etcd-certificate-path={KEPT}/etcd-client.crt --etcd-private-key-path={KEPT}/etcd-client.key"
    )
}

fn save(world: &World) {
    world.shell(&format!(
        "etcdctl snapshot save {SNAPSHOT} --endpoints=https://127.0.0.1:2379 \
         --cacert={KEPT}/etcd-client-ca.crt --cert={KEPT}/etcd-client.crt --key={KEPT}/etcd-client.key"
    ));
}

/// Deletes the control plane, as a mistyped `kubectl delete` could. The agent goes first, so that
/// no copy stays.
fn delete_control_plane(world: &World) {
    world.kubectl(&["-n", "kube-system", "delete", "daemonset", "pod-checkpointer"]);
    agent_gone(world);
    world.shell("rm -rf /etc/kubernetes/inactive-manifests /etc/kubernetes/checkpoint-secrets");
    let secrets =
        ["secret", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "pod-checkpointer"];
    world.kubectl(&[&["-n", "kube-system", "delete"], &secrets[..]].concat());
    world.kubectl(&["-n", "kube-system", "delete", "deployment", "kube-scheduler", "--wait=false"]);
    world.kubectl(&["-n", "kube-system", "delete", "daemonset", "kube-apiserver", "--wait=false"]);
    eventually(90, || match world.shell("ss -Hltn sport = :6443").trim() {
        "" => Ok(()),
        listening => Err(listening.to_owned()),
    });
}

/// The agent's own copy would end later by itself; the test removes it at once.
fn agent_gone(world: &World) {
    eventually(60, || {
        world.shell(&format!("rm -f {AGENT_COPY}"));
        let pods = world.kubectl(&[
            "-n",
            "kube-system",
            "get",
            "pods",
            "-l",
            "k8s-app=pod-checkpointer",
            "-o",
            "name",
        ]);
        pods.is_empty().then_some(()).ok_or(pods)
    });
}

/// Leaves nothing but etcd, its keys and what the administrator kept.
fn lose_machine(world: &World) {
    world.n1().power_cut().unwrap();
    let wipe = |path: &str| match std::fs::remove_dir_all(world.n1().path(path)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{path}: {error}"),
        _ => {}
    };
    // The lab's kubectl reads auth/kubeconfig.
    for folder in ["tls", "manifests", "bootstrap-manifests", "controller-manifests"] {
        wipe(&format!("{ASSETS}/{folder}"));
    }
    for folder in ["inactive-manifests", "checkpoint-secrets"] {
        wipe(&format!("/etc/kubernetes/{folder}"));
    }
    wipe(RECOVERED);
    // Kubelet must ask for a certificate again.
    wipe("/var/lib/kubelet/pki");
    std::fs::remove_file(world.n1().path("/var/lib/kubelet/kubeconfig")).unwrap();
    for entry in std::fs::read_dir(world.n1().path("/etc/kubernetes/manifests")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "etcd.yaml" {
            std::fs::remove_file(path).unwrap();
        }
    }
    world.n1().power_on().unwrap();
}

/// Leaves nothing but a snapshot and etcd's keys.
fn empty_etcd(world: &World) {
    lose_etcd(world);
    eventually(60, || match world.shell("ss -Hltn sport = :2379").trim() {
        "" => Err("etcd does not listen".to_owned()),
        _ => Ok(()),
    });
}

fn lose_etcd(world: &World) {
    let manifest = "/etc/kubernetes/manifests/etcd.yaml";
    world.shell(&format!(
        "rm -rf {RECOVERED}; mv {manifest} /root/etcd.yaml; rm -rf {AGENT_COPY} /etc/kubernetes/inactive-manifests"
    ));
    world.n1().reboot().unwrap();
    let [restore] = scripts("docs/recover.md", "What is not in the cluster");
    world.shell(&format!("rm -rf /var/lib/etcd/* && cd /root && {restore} cp /root/etcd.yaml {manifest}"));
}

fn recover_and_start(world: &World, source: &str) -> Started {
    let options =
        format!("--recovery-dir={RECOVERED} --kubeconfig={KEPT}/kubeconfig --encryption-config={ENCRYPTION}");
    // etcd's static pod may need a moment after a boot.
    eventually(60, || {
        let output =
            world.n1().exec(&["bash", "-c", &format!("bootkube recover {options} {source}")]).unwrap();
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    });
    let command = ["bootkube", "start", "--asset-dir", RECOVERED];
    let started = world.start_by(&[&command[..], &MAY_RESTART_KUBELET].concat());
    started.must_succeed();
    started
}

/// Nothing of the bootstrap control plane is left, every component is Ready, and the controller
/// manager works.
fn runs_itself(world: &World) {
    assert!(!world.n1().path("/etc/kubernetes/bootstrap-secrets").exists());
    for workload in
        ["DaemonSet/kube-apiserver", "Deployment/kube-controller-manager", "Deployment/kube-scheduler"]
    {
        eventually(30, || match world.pods_of(workload).as_slice() {
            [pod] if pod.ready => Ok(()),
            pods => Err(format!("{workload}: {pods:#?}")),
        });
    }
    world.controller_manager_works("proof");
    world.kubectl(&["delete", "namespace", "proof"]);
}

/// UID of the pod, id of its container, and how often that was restarted.
fn web(world: &World) -> [Value; 3] {
    let pod = world.get(&["pod", "web"]);
    let status = &pod["status"]["containerStatuses"][0];
    [pod["metadata"]["uid"].clone(), status["containerID"].clone(), status["restartCount"].clone()]
}

fn same_workload(world: &World, before: &[Value; 3]) {
    world.ready_pod("web");
    assert_eq!(web(world)[0], before[0]);
}

const WORKLOAD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  tolerations: [{operator: Exists}]
  containers: [{name: web, image: registry.k8s.io/pause:3.10.2}]
";
