//! The list of machines: what it decides, what is refused, and what each machine gets.
//!
//! Tier: binary. cloud-init's own check and Ignition's look at every file that is made for them.
#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

#[path = "support/command.rs"]
mod command;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootkube::assets::tree::{self, Hidden};
use bootkube::yaml;
use command::bootkube;
use lab::Cache;
use serde_json::Value;
use tempfile::TempDir;

const HEADER: &str = "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n";
const ETCD: &str = "etcd: {mode: staticPod}\n";
/// One controller, two workers.
const LINES: &str = "\
# name role       addresses
n1     controller 192.0.2.10
n2     worker     192.0.2.11 label=disk=ssd taint=dedicated=db:NoSchedule
n3.example.com worker
";
const ALL: [&str; 3] = ["n1", "n2", "n3.example.com"];

/// A folder with `cluster.yaml` of `fields` and `nodes.txt` of `list`.
fn folder(fields: &str, list: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("cluster.yaml"), format!("{HEADER}{fields}\n")).unwrap();
    fs::write(folder.path().join("nodes.txt"), list).unwrap();
    folder
}

const RENDER: [&str; 4] = ["render", "--config=cluster.yaml", "--nodes=nodes.txt", "--asset-dir=assets"];

fn render(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let output = bootkube(folder, &RENDER, "");
    assert!(output.status.success(), "{}", said(&output));
    contents(&folder.join("assets"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn contents(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let paths = tree::files(root, "", Hidden::Include).unwrap();
    paths.into_iter().map(|path| (path.clone(), tree::read(root, &path).unwrap())).collect()
}

/// What `render` and `config validate` say of it. Both refuse it, and nothing is written.
fn refusal(fields: &str, list: &str) -> Vec<String> {
    let folder = folder(fields, list);
    let validate = ["config", "validate", "--config=cluster.yaml", "--nodes=nodes.txt"];
    let outputs = [&RENDER[..], &validate].map(|words| bootkube(folder.path(), words, ""));
    for output in &outputs {
        assert_eq!(output.status.code(), Some(3), "{list}\n{}", said(output));
        assert_eq!(said(output), said(&outputs[0]), "both say the same");
    }
    assert!(!folder.path().join("assets").exists());
    said(&outputs[0]).lines().map(|line| line.trim().to_owned()).collect()
}

/// Rows: fields of the file, the list, where the finding is, what is wrong, the cure. Nothing else is
/// found.
fn refused(rows: &[(&str, &str, &str, &str, &str)]) {
    for (fields, list, place, problem, cure) in rows {
        let lines = refusal(fields, list);
        let is_finding = |line: &&String| {
            !line.is_empty() && !line.starts_with("hint") && !line.contains("explains every field")
        };
        let lines: Vec<&String> = lines.iter().filter(is_finding).collect();
        let [line] = &lines[..] else { panic!("{fields}\n{list}: {lines:#?}") };
        let parts = [*place, problem, cure];
        assert!(parts.iter().all(|part| line.contains(part)), "{fields}\n{list}:\n{line}\nlacks {parts:?}");
    }
}

#[test]
fn a_list_that_the_rest_of_the_file_contradicts_is_refused() {
    let etcd = ETCD.to_owned();
    let with = |more: &str| format!("{etcd}{more}");
    let (count, none, workers) = (
        with("controlPlane: {controllers: 2}"),
        with("controlPlane: {controllers: 1}"),
        with("controlPlane: {workers: false}"),
    );
    refused(&[
        (&count, LINES, "cluster.yaml: controlPlane.controllers: 2", "the list, which has 1", "leave it out"),
        (&workers, LINES, "cluster.yaml: controlPlane.workers: false", "n2 is a worker", "leave it out"),
        (ETCD, "n1 worker\nn2 worker\n", "nodes.txt: names no controller", "", "role controller"),
        (
            ETCD,
            "a controller 192.0.2.1\nb controller 192.0.2.2",
            "nodes.txt: names 2 controllers",
            "one member",
            "mode: external",
        ),
        (
            ETCD,
            "a controller 192.0.2.1\nb controller 192.0.2.2\nc controller 192.0.2.3",
            "nodes.txt: names 3 controllers",
            "etcd.mode: staticPod is one member",
            "run etcd yourself on three or five",
        ),
        (ETCD, "# none\n", "nodes.txt: names no machine", "", "write a line for each"),
        (ETCD, "[]", "nodes.txt: names no machine", "", "write a line for each"),
        (ETCD, "nodes: [", "nodes.txt:", "is not YAML", "correct it at that place"),
    ]);
    let both = refusal(&none, "a controller 192.0.2.1\nb controller 192.0.2.2").join("\n");
    assert!(
        both.contains("controlPlane.controllers: 1: is another number")
            && both.contains("names 2 controllers"),
        "{both}"
    );
    let key = refusal(ETCD, "- {name: a, role: controller, address: 192.0.2.1}").join("\n");
    assert!(
        key.contains("nodes.txt: nodes[0].address: is not a known key; did you mean `addresses`?"),
        "{key}"
    );
}

#[test]
fn addresses_of_machines_are_neither_pods_nor_services_nor_special() {
    let list = |address: &str| format!("n1 controller 192.0.2.10\nn2 worker {address}\n");
    let six = "etcd: {mode: staticPod}\npodCIDRs: ['fd00:2::/56']\nserviceCIDRs: ['fd00:3::/112']";
    for (fields, address, problem, cure) in [
        (ETCD, "10.2.7.1", "is inside 10.2.0.0/16 of podCIDRs", "correct the address"),
        (ETCD, "10.3.0.77", "is inside 10.3.0.0/24 of serviceCIDRs", "correct the address"),
        (six, "fd00:2::7", "is inside fd00:2::/56 of podCIDRs[0]", "correct the address"),
        (ETCD, "127.0.0.1", "is in 127.0.0.0/8, which is loopback", "that other machines reach"),
        (ETCD, "169.254.1.1", "link-local", "that other machines reach"),
        (ETCD, "::ffff:192.0.2.7", "IPv4 written as IPv6", "write"),
    ] {
        refused(&[(fields, &list(address), "nodes.txt: line 2: addresses: ", problem, cure)]);
    }
}

#[test]
fn a_controller_has_no_taint_that_its_control_plane_does_not_tolerate() {
    let list = "n1 controller 192.0.2.10 taint=dedicated=cp:NoExecute\n";
    let problem = "keeps the controller manager and the scheduler off";
    refused(&[(ETCD, list, "nodes.txt: line 1: taint: ", problem, "write NoSchedule")]);
}

#[test]
fn pod_ranges_of_machines_fit_the_clusters() {
    let none = "etcd: {mode: staticPod}\nnetworking: none\n";
    let sized = "etcd: {mode: staticPod}\nnetworking: none\n\
        components: {kube-controller-manager: {extraArgs: {node-cidr-mask-size: '25'}}}";
    let dual = "etcd: {mode: staticPod}\nnetworking: none\npodCIDRs: [10.2.0.0/16, 'fd00:2::/48']\n\
        serviceCIDRs: [10.3.0.0/24, 'fd00:3::/112']";
    let list = |range: &str| format!("n1 controller 192.0.2.10 podCIDRs={range}\n");
    for (fields, range, problem, cure) in [
        (
            none,
            "10.2.1.0/25",
            "is a /25, and the pods of a machine have a /24",
            "write a /24, or set node-cidr-mask-size-ipv4",
        ),
        (none, "10.2.0.0/23", "is a /23", "write a /24"),
        (sized, "10.2.1.0/24", "is a /24, and the pods of a machine have a /25", "write a /25"),
        (none, "10.4.1.0/24", "is not within 10.2.0.0/16", "write a part of that range"),
        (none, "192.168.0.0/24", "is not within 10.2.0.0/16", "write a part of that range"),
        (ETCD, "10.2.1.0/24", "flannel's are assigned by the controller manager", "networking: none"),
        (dual, "10.2.1.0/24", "has no range of pods within fd00:2::/48", "add podCIDRs of a /64"),
    ] {
        refused(&[(fields, &list(range), "nodes.txt: line 1", problem, cure)]);
    }
    let partly = "n1 controller 192.0.2.10 podCIDRs=10.2.1.0/24\nn2 worker\nn3 worker\n";
    let lines = refusal(none, partly).join("\n");
    assert_eq!(
        lines.matches("has no range of pods within 10.2.0.0/16, and other machines have one").count(),
        2,
        "{lines}"
    );
    let foreign = refusal(none, &list("10.2.1.0/24,fd00:2::/64")).join("\n");
    assert!(foreign.contains("is of a family of which the cluster has no range"), "{foreign}");
}

#[test]
fn every_mistake_of_a_list_is_found_at_once_with_its_line() {
    let list = "N1 controller 10.2.0.1\nn2 boss\nn2 worker 192.0.2.1\nn3 worker 192.0.2.1 label=node-role.kubernetes.io/db=\n\
        n4 worker taint=a:Never podCIDR=10.2.1.0/24\n";
    let said = refusal(ETCD, list).join("\n");
    for wanted in [
        "nodes.txt: line 1: name: N1: is not a name that a Node can have: it has the capital letter `N`; write n1",
        "nodes.txt: line 1: addresses: 10.2.0.1: is inside 10.2.0.0/16",
        "nodes.txt: line 2: role: boss: is not known; use one of controller, worker",
        "nodes.txt: line 3: name: n2: is the name of line 2: name, too",
        "nodes.txt: line 4: addresses: 192.0.2.1: is an address of n2, too",
        "nodes.txt: line 4: label: node-role.kubernetes.io/db=: is a role",
        "nodes.txt: line 5: taint: a:Never: has the unknown effect `Never`",
        "nodes.txt: line 5: podCIDR=: is not known; did you mean `podCIDRs=`?",
    ] {
        assert!(said.contains(wanted), "{said}\nlacks {wanted}");
    }
    assert!(said.starts_with("error: 8 mistakes, nothing was written:"), "{said}");
}

/// Rows: the list in the configuration file, and a finding with its place.
#[test]
fn a_list_in_the_configuration_file_is_held_to_the_same() {
    for (nodes, wanted) in [
        (
            "[{name: a, role: boss}]",
            "cluster.yaml: nodes[0].role: boss: is not known; use one of controller, worker",
        ),
        ("[{role: worker}]", "cluster.yaml: nodes[0]: has no name; write the name of its Node"),
        (
            "[{name: a, role: worker, labels: {a: b}}]",
            "cluster.yaml: nodes[0].labels: {\"a\":\"b\"}: is a mapping, not a list",
        ),
        ("[{name: a, role: worker}]", "cluster.yaml: nodes: names no controller"),
        ("n1 worker", "cluster.yaml: nodes: \"n1 worker\": is a text, not a list of mappings"),
    ] {
        let folder = folder(&format!("{ETCD}nodes: {nodes}"), "");
        let output = bootkube(folder.path(), &["config", "validate", "--config=cluster.yaml"], "");
        assert_eq!(output.status.code(), Some(3), "{nodes}");
        assert!(said(&output).contains(wanted), "{}\nlacks {wanted}", said(&output));
    }
}

#[test]
fn the_list_decides_what_had_to_be_said_twice() {
    let folder = folder(
        "",
        "a controller 192.0.2.1\nb controller fd00::2,192.0.2.2\nc controller 192.0.2.3\nw worker\n",
    );
    let assets = render(folder.path());
    let facts = object(&assets["manifests/bootkube-config.yaml"]);
    let config = yaml::parse(facts["data"]["config.yaml"].as_str().unwrap(), "").unwrap().remove(0);
    let controllers = ["https://192.0.2.1:6443", "https://[fd00::2]:6443", "https://192.0.2.3:6443"];
    assert_eq!(config["apiServers"], serde_json::json!(controllers));
    assert_eq!(config["etcd"]["servers"][1], "https://[fd00::2]:2379");
    assert_eq!(config["controlPlane"]["controllers"], 3);
    assert_eq!(config["controlPlane"]["workers"], true);
    assert_eq!(config["controlPlane"]["taint"], "node-role.kubernetes.io/control-plane");
    assert_eq!(object(&assets["manifests/kube-scheduler.yaml"])["spec"]["replicas"], 3);
    fs::write(folder.path().join("crt"), &assets["tls/apiserver.crt"]).unwrap();
    let openssl = Command::new("openssl")
        .args(["x509", "-noout", "-ext", "subjectAltName", "-in", "crt"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let names = String::from_utf8(openssl.stdout).unwrap();
    for name in [
        "DNS:a,",
        "DNS:b,",
        "DNS:c,",
        "IP Address:192.0.2.2,",
        "IP Address:192.0.2.3,",
        "IP Address:FD00:0:0:0:0:0:0:2",
    ] {
        assert!(names.contains(name), "{names} lacks {name}");
    }
    assert!(!names.contains("DNS:w,"));
    let warned = said(&bootkube(folder.path(), &RENDER, ""));
    assert!(
        warned.contains("cluster.yaml: apiServers: is not given: kubeconfigs name the first controller"),
        "{warned}"
    );
    let alone = ["render", "--nodes=nodes.txt", "--asset-dir=by-flags"];
    fs::write(folder.path().join("nodes.txt"), LINES).unwrap();
    let output =
        bootkube(folder.path(), &[&alone[..], &["--etcd-servers=https://192.0.2.10:2379"]].concat(), "");
    assert!(output.status.success(), "{}", said(&output));
    let kubeconfig =
        fs::read_to_string(folder.path().join("by-flags/nodes/n2/files/etc/kubernetes/kubeconfig")).unwrap();
    assert!(kubeconfig.contains("server: https://192.0.2.10:6443"), "{kubeconfig}");
    let token = object(&fs::read(folder.path().join("by-flags/manifests/node-tokens/n2.yaml")).unwrap());
    assert!(token["stringData"]["expiration"].is_string(), "also where the shared token does not expire");
}

fn object(text: &[u8]) -> Value {
    yaml::parse(std::str::from_utf8(text).unwrap(), "").unwrap().remove(0)
}

/// The files of one machine's bundle, below its folder.
fn bundle<'a>(assets: &'a BTreeMap<String, Vec<u8>>, name: &str) -> BTreeMap<&'a str, &'a [u8]> {
    let prefix = format!("nodes/{name}/");
    assets.iter().filter_map(|(path, text)| Some((path.strip_prefix(&prefix)?, text.as_slice()))).collect()
}

#[test]
fn rendered_again_each_bundle_has_the_same_bytes() {
    let folder = folder(ETCD, LINES);
    let (first, again) = (render(folder.path()), render(folder.path()));
    assert!(first == again);
    let yaml = "\
- {name: n1, role: controller, addresses: [192.0.2.10]}
- {name: n2, role: worker, addresses: [192.0.2.11], labels: [disk=ssd], taints: ['dedicated=db:NoSchedule']}
- {name: n3.example.com, role: worker}
";
    fs::write(folder.path().join("nodes.txt"), yaml).unwrap();
    assert!(render(folder.path()) == first, "the same list in YAML");
    let config = format!("{HEADER}{ETCD}nodes:\n{yaml}");
    fs::write(folder.path().join("cluster.yaml"), config).unwrap();
    let output = bootkube(folder.path(), &["render", "--config=cluster.yaml", "--asset-dir=assets"], "");
    assert!(output.status.success(), "{}", said(&output));
    assert!(contents(&folder.path().join("assets")) == first, "the same list in the configuration file");
    let reused = ["render", "--config=cluster.yaml", "--asset-dir=other", "--reuse-from=assets"];
    assert!(bootkube(folder.path(), &reused, "").status.success());
    assert!(contents(&folder.path().join("other")) == first, "tokens of another folder are kept");
}

#[test]
fn a_machine_that_is_added_or_removed_changes_nothing_of_the_others() {
    let folder = folder(ETCD, LINES);
    let first = render(folder.path());
    fs::write(folder.path().join("nodes.txt"), format!("n0 worker 192.0.2.9\n{LINES}")).unwrap();
    let more = render(folder.path());
    fs::write(folder.path().join("nodes.txt"), LINES.replace("n3.example.com worker\n", "")).unwrap();
    let fewer = render(folder.path());
    for name in ["n1", "n2"] {
        assert!(
            bundle(&first, name) == bundle(&more, name) && bundle(&first, name) == bundle(&fewer, name),
            "{name}"
        );
        let token = format!("manifests/node-tokens/{name}.yaml");
        assert!(first[&token] == more[&token] && first[&token] == fewer[&token], "{name}");
    }
    assert!(!bundle(&more, "n0").is_empty() && bundle(&fewer, "n3.example.com").is_empty());
    assert!(!fewer.contains_key("manifests/node-tokens/n3.example.com.yaml"));
    let changed: Vec<&String> = more.keys().filter(|path| first.get(*path) != Some(&more[*path])).collect();
    let expected = |path: &str| {
        path.contains("n0") || ["bootkube.json", "manifests/bootkube-config.yaml"].contains(&path)
    };
    assert!(changed.iter().all(|path| expected(path)), "{changed:#?}");
}

#[test]
fn a_bundle_holds_no_key_and_nothing_of_another_machine() {
    let folder = folder(ETCD, LINES);
    let assets = render(folder.path());
    let secrets: Vec<(String, String)> = ALL
        .iter()
        .map(|name| {
            let secret = object(&assets[&format!("manifests/node-tokens/{name}.yaml")]);
            ((*name).to_owned(), secret["stringData"]["token-secret"].as_str().unwrap().to_owned())
        })
        .collect();
    let keys: Vec<&Vec<u8>> =
        assets.iter().filter(|(path, _)| path.ends_with(".key")).map(|(_, content)| content).collect();
    assert!(keys.len() >= 10);
    for name in ALL {
        let files = bundle(&assets, name);
        let plain: Vec<Vec<u8>> = files.values().flat_map(|content| decoded(content)).collect();
        for content in &plain {
            let has = |secret: &[u8]| content.windows(secret.len()).any(|window| window == secret);
            assert!(!keys.iter().any(|key| has(key)) && !has(b"PRIVATE KEY"), "{name}");
            for (other, secret) in &secrets {
                assert!(other == name || !has(secret.as_bytes()), "{name} has the token of {other}");
                assert!(other == name || !has(format!("{other}\n").as_bytes()), "{name} names {other}");
            }
        }
        let own = &secrets.iter().find(|(owner, _)| owner == name).unwrap().1;
        let with_own = plain.iter().filter(|content| String::from_utf8_lossy(content).contains(own.as_str()));
        assert_eq!(with_own.count(), 3, "in its kubeconfig, its user data and its Ignition file");
    }
}

/// A file as it is, and with all base64 in it decoded.
fn decoded(content: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8(content.to_vec()).unwrap();
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let words = text.split(|c| !is_base64(c)).filter(|word| word.len() > 100);
    let inner: Vec<u8> = words.flat_map(|word| STANDARD.decode(word).unwrap_or_default()).collect();
    if inner.is_empty() { vec![content.to_vec()] } else { vec![inner] }
}

/// What cloud-init and Ignition would write: path to mode and content.
type Written = BTreeMap<String, (String, Vec<u8>)>;

#[test]
fn user_data_and_ignition_write_the_files_of_the_bundle() {
    let folder = folder(
        "etcd: {mode: staticPod}\nnetworking: none\n",
        "n1 controller 192.0.2.10 podCIDRs=10.2.0.0/24\n",
    );
    let assets = render(folder.path());
    let files = bundle(&assets, "n1");
    let user_data = std::str::from_utf8(files["user-data"]).unwrap();
    let cloud = object(user_data.strip_prefix("#cloud-config\n").unwrap().as_bytes());
    let by_cloud: Written = cloud["write_files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            assert_eq!(file["encoding"], "b64");
            let content = STANDARD.decode(file["content"].as_str().unwrap()).unwrap();
            (text(&file["path"]), (text(&file["permissions"]), content))
        })
        .collect();
    let ignition: Value = serde_json::from_slice(files["ignition.json"]).unwrap();
    let by_ignition: Written = ignition["storage"]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            let source = text(&file["contents"]["source"]);
            let content = STANDARD.decode(source.strip_prefix("data:;base64,").unwrap()).unwrap();
            (text(&file["path"]), (format!("0{:o}", file["mode"].as_u64().unwrap()), content))
        })
        .collect();
    assert!(by_cloud == by_ignition);
    let tree: BTreeMap<String, Vec<u8>> = files
        .iter()
        .filter_map(|(path, content)| Some((path.strip_prefix("files")?.to_owned(), content.to_vec())))
        .collect();
    assert_eq!(
        by_cloud
            .iter()
            .map(|(path, (_, content))| (path.clone(), content.clone()))
            .collect::<BTreeMap<_, _>>(),
        tree
    );
    let secret: Vec<&str> =
        by_cloud.iter().filter(|(_, (mode, _))| mode == "0600").map(|(path, _)| path.as_str()).collect();
    assert_eq!(secret, ["/etc/kubernetes/kubeconfig", "/var/lib/kubelet/config.yaml"]);
    assert!(tree["/etc/cni/net.d/10-bootkube.conflist"].windows(11).any(|part| part == b"10.2.0.0/24"));
    let flags = object(&assets["manifests/kube-controller-manager.yaml"]).to_string();
    assert!(flags.contains("--allocate-node-cidrs=false"), "the list assigns the ranges");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn cloud_init_and_ignition_accept_what_is_made_for_them() {
    let cache = Cache::open().unwrap();
    let (validate, cloud_init) = (lab::tool(&cache, "ignition").unwrap(), lab::cloud_init(&cache).unwrap());
    let folder = folder(
        "etcd: {mode: staticPod}\nnetworking: none\n",
        &LINES
            .replace("n1     controller", "n1 controller")
            .lines()
            .zip(0..)
            .map(|(line, number)| {
                if line.starts_with('#') {
                    String::new()
                } else {
                    format!("{line} podCIDRs=10.2.{number}.0/24\n")
                }
            })
            .collect::<String>(),
    );
    let assets = render(folder.path());
    let check = |command: &mut Command, file: &Path| {
        let output = command.arg(file).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let schema = || {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-m", "cloudinit.cmd.main", "schema", "--config-file"]).env("PYTHONPATH", &cloud_init);
        command
    };
    let nodes = folder.path().join("assets/nodes");
    for name in ALL {
        assert!(!bundle(&assets, name).is_empty());
        let (is_valid, said) = check(&mut schema(), &nodes.join(name).join("user-data"));
        assert!(is_valid && said.contains("Valid"), "{name}: {said}");
        let (is_valid, said) = check(&mut Command::new(&validate), &nodes.join(name).join("ignition.json"));
        assert!(is_valid && said.is_empty(), "{name}: {said}");
    }
    // The checks do find what is wrong.
    let broken = folder.path().join("broken");
    fs::write(&broken, "#cloud-config\nwrite_files: [{path: /a, permissions: 384, encoding: b65}]\n")
        .unwrap();
    assert!(!check(&mut schema(), &broken).0);
    fs::write(&broken, r#"{"ignition": {"version": "3.0.0"}, "storage": {"files": [{"path": "a"}]}}"#)
        .unwrap();
    assert!(!check(&mut Command::new(&validate), &broken).0);
}
