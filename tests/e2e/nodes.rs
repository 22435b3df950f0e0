//! Two machines of a list join with their bundles as they are: the first by its files, the second by
//! what its user data has cloud-init write and run.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootkube::yaml;
use lab::Machine;
use lab::cluster::ASSETS;
use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::kube::condition;
use crate::page::scripts;
use crate::world::World;

#[test]
fn machines_of_a_list_join_with_the_files_of_their_bundles() {
    let world = World::up("e2e-nodes", 2, |lab| {
        let node = |name: &str, role: &str, range: &str, more: Value| {
            let mut node = json!({"name": name, "role": role, "podCIDRs": [range],
                "addresses": [lab.machine(name).unwrap().ip()]});
            json_patch::merge(&mut node, &more);
            node
        };
        let taints = json!({"labels": ["disk=ssd"], "taints": ["dedicated=db:PreferNoSchedule"]});
        json!({"nodes": [
            node("n1", "controller", "10.2.0.0/24", json!({})),
            node("n2", "worker", "10.2.1.0/24", taints),
        ]})
    });
    let worker = world.lab.machine("n2").unwrap();
    world.cluster.render().unwrap();
    let mut checks = Checks::default();
    checks.need("the page's commands put a bundle in its place, and kubelet runs", || {
        world.n1().write_kubelet_quirks().unwrap();
        world.shell(&format!("cp -r {ASSETS}/nodes/n1/files /root/files"));
        let [place] = scripts("docs/nodes.md", "What a machine gets");
        world.shell(&place);
    });
    checks.that("preflight finds nothing that kubelet and the cluster disagree in", || agrees(&world));
    checks.need("start succeeds", || world.start().must_succeed());
    checks.need("the worker joins by its user data alone", || {
        worker.write_kubelet_quirks().unwrap();
        as_cloud_init(&world, &worker);
        eventually(60, || {
            let node = world.cluster.kubectl(&["get", "node", "n2", "-o", "json"]);
            let node: Value = serde_json::from_str(&node.map_err(|error| error.to_string())?).unwrap();
            condition(&node, "Ready").then_some(()).ok_or(format!("{:#}", node["status"]["conditions"]))
        });
    });
    checks.that("its Node has the list's address, label and taint", || {
        let node = world.get(&["node", "n2"]);
        assert_eq!(node["metadata"]["labels"]["disk"], "ssd");
        let taint = json!({"key": "dedicated", "value": "db", "effect": "PreferNoSchedule"});
        assert!(node["spec"]["taints"].as_array().unwrap().contains(&taint), "{:#}", node["spec"]);
        assert_eq!(node["status"]["addresses"][0]["address"], json!(worker.ip()));
        assert_eq!(node["spec"]["podCIDR"], Value::Null, "the list assigns the ranges");
    });
    checks.that("its pods have addresses of its own range", || {
        eventually(60, || {
            let pods = world.pods_of("Deployment/coredns");
            let is_there = !pods.is_empty() && pods.iter().all(|pod| pod.ready && pod.node == "n2");
            is_there.then_some(()).ok_or(format!("{pods:#?}"))
        });
        let pods = world.get(&["pods", "-n", "kube-system", "-l", "k8s-app=kube-dns"]);
        for pod in pods["items"].as_array().unwrap() {
            let address = pod["status"]["podIP"].as_str().unwrap();
            assert!(address.starts_with("10.2.1."), "{address}");
        }
    });
    checks.that("the token of a machine can ask for a certificate, and do nothing else", || bounded(&worker));
    checks.finish();
}

/// What cloud-init does with user data: it writes the files, then it runs the commands.
fn as_cloud_init(world: &World, machine: &Machine) {
    let text = world.n1().read(&format!("{ASSETS}/nodes/{}/user-data", machine.name())).unwrap();
    let data = yaml::parse(&String::from_utf8(text).unwrap(), "user-data").unwrap().remove(0);
    for file in data["write_files"].as_array().unwrap() {
        let text = |field: &str| file[field].as_str().unwrap();
        let mode = u32::from_str_radix(text("permissions"), 8).unwrap();
        machine.write(text("path"), &STANDARD.decode(text("content")).unwrap(), mode).unwrap();
    }
    for command in data["runcmd"].as_array().unwrap() {
        let words: Vec<&str> =
            command.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        machine.run(&words).unwrap();
    }
}

fn agrees(world: &World) {
    let command = format!("bootkube preflight --asset-dir {ASSETS} --output json || true");
    eventually(30, || {
        let report: Value = serde_json::from_str(&world.shell(&command)).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let named = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
        let all = ["kubelet", "kubelet-settings", "kubelet-credentials"].map(named);
        let pass = all.iter().all(|check| check["result"] == "pass");
        pass.then_some(()).ok_or(format!("{all:#?}"))
    });
}

fn bounded(worker: &Machine) {
    let can = |words: &str| {
        let script = format!("kubectl --kubeconfig=/etc/kubernetes/kubeconfig {words} 2>&1 || true");
        worker.run(&["bash", "-c", &script]).unwrap()
    };
    let may = can("auth can-i create certificatesigningrequests");
    assert!(may.ends_with("yes\n"), "{may}");
    for words in ["get secrets -A", "get nodes", "get pods -A", "label node n1 a=b"] {
        let said = can(words);
        assert!(said.contains("system:bootstrap:") && said.contains("forbidden"), "{words}: {said}");
    }
    let groups = can("auth whoami -o jsonpath={.status.userInfo.groups}");
    assert!(groups.contains("system:bootstrappers:node:n2"), "{groups}");
}
