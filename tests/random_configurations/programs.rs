//! Rendered command lines, given to the programs that read them. Each runs until it has taken its
//! flags, in a network of its own, and is ended.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use bootkube::assets::Assets;
use lab::{Cache, Programs};
use serde_json::Value;
use tempfile::TempDir;

use crate::cases::{Accepted, write};

/// A program gets so many seconds to read its flags.
const PATIENCE: &str = "120";
/// What runs a program: a network of its own, and an end with this process.
const RUNNER: [&str; 9] =
    ["-s", "KILL", PATIENCE, "unshare", "--net", "--mount", "setpriv", "--pdeathsig", "KILL"];
const NETWORK: &str = "ip link set lo up && exec \"$@\"";
/// The same with the account that a pod has of its cluster.
const ACCOUNT: &str = "ip link set lo up && mount -t tmpfs none \"$(readlink -f /var/run)\" && \
    mkdir -p /var/run/secrets/kubernetes.io/serviceaccount && cd /var/run/secrets/kubernetes.io/serviceaccount && \
    echo token >token && cp \"$CA\" ca.crt && exec \"$@\"";

/// What a program says once it has taken its flags, or could not go on for another reason than its flags.
const TAKEN: [(&str, &str); 5] = [
    ("kube-apiserver", "] Version: "),
    ("kube-controller-manager", "stat /nowhere/kubeconfig-local"),
    ("kube-scheduler", "stat /nowhere/kubeconfig-local"),
    ("kube-proxy", "stat /nowhere/kubeconfig"),
    ("etcd", "ready to serve client requests"),
];

/// What the programs of one configuration have against it.
pub fn problems(accepted: &Accepted) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    write(&accepted.assets, folder.path());
    let commands = accepted.objects.iter().filter_map(command);
    let hyperkube = commands.filter_map(|words| {
        let (_, sign) = TAKEN.iter().find(|(program, _)| *program == words[0])?;
        let words = words.iter().map(|word| here(word, folder.path(), accepted)).collect();
        Some((words, *sign))
    });
    let mut problems: Vec<String> =
        hyperkube.filter_map(|(words, sign)| refusal(words, sign).err()).collect();
    problems.extend(core_dns(&accepted.assets, accepted, folder.path()).err());
    problems.into_iter().map(|said| accepted.case.problem(&said)).collect()
}

/// The command line of a static pod, or of kube-proxy: self-hosted pods have flags of static pods.
fn command(object: &Value) -> Option<Vec<String>> {
    let pod = match object["kind"].as_str()? {
        "Pod" => object,
        "DaemonSet" if object["metadata"]["name"] == "kube-proxy" => &object["spec"]["template"],
        _ => return None,
    };
    let words = pod["spec"]["containers"][0]["command"].as_array()?;
    Some(words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect())
}

/// A word of a command line with the paths that it has here.
fn here(word: &str, folder: &Path, accepted: &Accepted) -> String {
    let tls = folder.join("tls");
    let address = if accepted.case.families[0] { "192.0.2.1" } else { "2001:db8::1" };
    word.replace("/etc/kubernetes/secrets/kubeconfig", "/nowhere/kubeconfig")
        .replace("/etc/kubernetes/secrets", &tls.display().to_string())
        .replace("/etc/kubernetes/etcd", &tls.join("etcd").display().to_string())
        .replace("/var/lib/etcd", &folder.join("data").display().to_string())
        .replace("$(HOST_IP)", address)
        .replace("$(NODE_NAME)", "n1")
}

fn refusal(words: Vec<String>, sign: &str) -> Result<(), String> {
    let mut command = Command::new("timeout");
    command.args(RUNNER).args(["sh", "-c", NETWORK, "sh"]).arg(crate::support::hyperkube()).args(&words);
    says(command, &[sign]).map_err(|said| format!("{}: {said}", words.join(" ")))
}

fn core_dns(assets: &Assets, accepted: &Accepted, folder: &Path) -> Result<(), String> {
    let is_map = |object: &&Value| object["kind"] == "ConfigMap" && object["metadata"]["name"] == "coredns";
    let map = accepted.objects.iter().find(is_map).unwrap();
    let file = folder.join("Corefile");
    fs::write(&file, map["data"]["Corefile"].as_str().unwrap()).unwrap();
    let is_it = |object: &&Value| object["kind"] == "Deployment" && object["metadata"]["name"] == "coredns";
    let deployment = accepted.objects.iter().find(is_it).unwrap();
    let words = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    let words = words
        .iter()
        .map(|word| word.as_str().unwrap().replace("/etc/coredns/Corefile", &file.display().to_string()));
    let program = Programs::build(&Cache::open().unwrap()).unwrap().coredns;
    let mut command = Command::new("timeout");
    command.args(RUNNER).args(["sh", "-c", ACCOUNT, "sh"]).arg(program).args(words);
    command.env("CA", folder.join("tls/ca.crt"));
    command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", "1");
    debug_assert!(assets.files.contains_key("tls/ca.crt"));
    says(command, &["waiting for Kubernetes API", ".:53"]).map_err(|said| format!("coredns: {said}"))
}

/// Whether a program says one of `signs` before it ends. Else what it said.
fn says(mut command: Command, signs: &[&str]) -> Result<(), String> {
    // One pipe for both streams: a reader for each would need threads.
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command); // It holds the other ends of the pipe.
    let mut said = Vec::new();
    for line in BufReader::new(reader).lines() {
        let line = line.unwrap();
        if signs.iter().any(|sign| line.contains(sign)) {
            child.kill().unwrap();
            child.wait().unwrap();
            return Ok(());
        }
        said.push(line);
    }
    let status = child.wait().unwrap();
    let tail = said.len().saturating_sub(8);
    Err(format!("{status}: {}", said[tail..].join("\n")))
}
