//! The state at the time of a failure: what the API says, what runs on each machine, and every log.
//! A part that cannot be had does not stop the others; its file says why. A test can add files,
//! such as bootkube's own output, by writing them to the machine's /var/log/lab.

use std::path::Path;

use crate::command::output;
use crate::error::Result;
use crate::files;
use crate::lab::Lab;
use crate::machine::Machine;

/// File name and command, for each machine.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("pods.txt", &["kubectl", "get", "pods", "-A", "-o", "wide", "--request-timeout=5s"]),
    ("pods.yaml", &["kubectl", "get", "pods", "-A", "-o", "yaml", "--request-timeout=5s"]),
    (
        "workloads.txt",
        &[
            "kubectl",
            "get",
            "nodes,ds,deploy,rs,svc,endpointslices,leases,csr",
            "-A",
            "-o",
            "wide",
            "--request-timeout=5s",
        ],
    ),
    ("events.txt", &["kubectl", "get", "events", "-A", "--sort-by=.lastTimestamp", "--request-timeout=5s"]),
    ("containers.txt", &["ctr", "-n", "k8s.io", "containers", "list"]),
    ("tasks.txt", &["ctr", "-n", "k8s.io", "tasks", "list"]),
    ("images.txt", &["ctr", "-n", "k8s.io", "images", "list"]),
    ("processes.txt", &["ps", "axfww", "-o", "pid,ppid,etime,stat,args"]),
    ("sockets.txt", &["ss", "-anp"]),
    ("addresses.txt", &["ip", "address"]),
    ("routes.txt", &["ip", "route"]),
    ("nft.txt", &["nft", "list", "ruleset"]),
    ("units.txt", &["systemctl", "--no-pager", "list-units", "--all"]),
    ("manifests.txt", &["ls", "-laR", "/etc/kubernetes", "/etc/cni/net.d"]),
];
/// Folders of the disk that are copied whole.
const LOGS: &[&str] = &["var/log/lab", "var/log/pods", "var/log/kubernetes"];

pub(crate) fn dump(lab: &Lab, to: &Path) -> Result<()> {
    files::remove(to)?;
    for machine in lab.machines() {
        let folder = to.join(machine.name());
        files::make_dir(&folder)?;
        QUESTIONS.iter().try_for_each(|(file, words)| answer(&machine, words, &folder.join(file)))?;
        LOGS.iter()
            .try_for_each(|log| copy_files(&machine.home().join("root").join(log), &folder.join(log)))?;
        for log in ["boot.log", "console.log"] {
            copy_files(&machine.home().join(log), &folder.join(log))?;
        }
        let journal = output(machine.journalctl().args(["--no-pager", "--output=short-precise"]))?;
        files::write(&folder.join("journal.txt"), &[journal.stdout, journal.stderr].concat(), 0o600)?;
    }
    Ok(())
}

fn answer(machine: &Machine, words: &[&str], file: &Path) -> Result<()> {
    let text = match machine.exec(words) {
        Ok(output) => [output.stdout, output.stderr].concat(),
        Err(error) => error.to_string().into_bytes(),
    };
    files::write(file, &text, 0o600)
}

/// Copies what is there. A file that is removed meanwhile is left out.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        files::make_dir(to)?;
        let entries = std::fs::read_dir(from).into_iter().flatten().flatten();
        return entries
            .map(|entry| entry.path())
            .try_for_each(|path| copy_files(&path, &to.join(path.file_name().unwrap_or_default())));
    }
    match files::read(from) {
        Ok(bytes) => files::write(to, &bytes, 0o600),
        Err(_) => Ok(()),
    }
}
