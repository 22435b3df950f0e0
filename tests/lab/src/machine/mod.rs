//! A machine: Debian 12, booted by systemd-nspawn with systemd as process 1. sshd, containerd and
//! journald run as Debian has them, kubelet and etcd as units. Its disk is a folder and survives a
//! power cut. This module does not decide what runs on a machine beyond containerd.

mod bare;
mod disk;
mod services;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

pub use services::EtcdTls;

use crate::command::{output, run, run_fed, wait_for};
use crate::error::{Error, Result};
use crate::families::Families;
use crate::far::{self, Relay};
use crate::image::{Image, Layout};
use crate::plan::Plan;
use crate::probe::{Options, Prober};
use crate::process::{Process, Role, boot};
use crate::state::State;
use crate::store::Parts;
use crate::{cache, files, network};

/// Reads an archive of images from its standard input.
const IMPORT: &[&str] = &["ctr", "-n", "k8s.io", "images", "import", "-"];

/// One machine of a lab. Cheap to clone: the machine's state is read from the lab's folder each
/// time.
#[derive(Clone, Debug)]
pub struct Machine {
    lab: PathBuf,
    plan: Plan,
    number: u8,
}

impl Machine {
    pub(crate) fn new(lab: &Path, plan: &Plan, number: u8) -> Self {
        Self { lab: lab.to_path_buf(), plan: plan.clone(), number }
    }

    /// n1, n2, …: its host name and the name of its node.
    pub fn name(&self) -> String {
        format!("n{}", self.number)
    }

    /// Its address.
    pub fn ip(&self) -> std::net::Ipv4Addr {
        self.plan.machine(self.number)
    }

    /// Its other address.
    pub fn ip6(&self) -> std::net::Ipv6Addr {
        self.plan.machine6(self.number)
    }

    /// Where its disk and logs are on the host.
    pub fn home(&self) -> PathBuf {
        self.lab.join(self.name())
    }

    /// journalctl on this machine's journal. It runs on the host, whether or not the machine does.
    pub fn journalctl(&self) -> Command {
        let mut command = Command::new("journalctl");
        command.arg("--directory").arg(self.home().join("root/var/log/journal"));
        command
    }

    /// ssh to this machine as root, from outside of all machines.
    pub fn ssh(&self) -> Result<Command> {
        let state = State::load(&self.lab)?;
        let file = |name: &str| state.base.join("ssh").join(name).display().to_string();
        let mut command = state.switch()?.network_command("ssh");
        command.args(["-i", &file("key"), "-o", &format!("UserKnownHostsFile={}", file("known_hosts"))]);
        command.arg(format!("root@{}", self.ip()));
        Ok(command)
    }

    /// Lets root of this machine into the lab's other machines by ssh.
    pub fn give_key(&self) -> Result<()> {
        let folder = State::load(&self.lab)?.base.join("ssh");
        for (name, to) in [("key", "id_ed25519"), ("known_hosts", "known_hosts")] {
            self.write(&format!("/root/.ssh/{to}"), &files::read(&folder.join(name))?, 0o600)?;
        }
        Ok(())
    }

    /// Whether its process 1 lives.
    pub fn is_on(&self) -> bool {
        self.process().is_ok()
    }

    /// A command inside the machine, to be given arguments and run. Killing it does not end what it
    /// started inside.
    pub fn command(&self, program: &str) -> Result<Command> {
        Ok(self.process()?.command(program))
    }

    /// Runs a command inside the machine to its end, whatever its status.
    pub fn exec(&self, words: &[&str]) -> Result<Output> {
        output(&mut self.words(words)?)
    }

    /// Runs a command inside the machine that must succeed; returns what it printed.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        run(&mut self.words(words)?)
    }

    /// Starts a command inside the machine, with pipes on its outputs.
    pub fn spawn(&self, words: &[&str]) -> Result<Child> {
        let mut command = self.words(words)?;
        command.stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().map_err(|source| Error::Start { command: words.join(" "), source })
    }

    fn words(&self, words: &[&str]) -> Result<Command> {
        let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
        let mut command = self.command(program)?;
        command.args(arguments);
        Ok(command)
    }

    /// Starts asking an API server from this machine; the paths in `options` are the host's.
    pub fn probe(&self, name: &str, options: &Options) -> Result<Prober> {
        let output = self.home().join(format!("{name}.jsonl"));
        Prober::start(|program| Ok(self.process()?.network_command(program)), options, output)
    }

    /// Lets clients reach a server of this machine through a relay, from where everything takes
    /// longer.
    pub fn relay(&self, options: &far::Options) -> Result<Relay> {
        Relay::start(|program| Ok(self.process()?.network_command(program)), options)
    }

    /// A path of the machine as the host sees it: its view while it runs, else its disk.
    pub fn path(&self, inside: &str) -> PathBuf {
        let root = match self.process() {
            Ok(process) => PathBuf::from(format!("/proc/{}/root", process.pid)),
            Err(_) => self.home().join("root"),
        };
        root.join(inside.trim_start_matches('/'))
    }

    /// Writes a file of the machine at once, with its mode from the start.
    pub fn write(&self, inside: &str, bytes: &[u8], mode: u32) -> Result<()> {
        files::write(&self.path(inside), bytes, mode)
    }

    /// Reads a file of the machine.
    pub fn read(&self, inside: &str) -> Result<Vec<u8>> {
        files::read(&self.path(inside))
    }

    /// Puts the binary at /usr/local/bin/bootkube, and its image under `reference`.
    pub fn install_bootkube(&self, binary: &Path, reference: &str) -> Result<()> {
        self.write("/usr/local/bin/bootkube", &files::read(binary)?, 0o755)?;
        self.import(&[Image::bootkube(reference, binary)])
    }

    /// Makes images known to the machine's containerd.
    pub fn import(&self, images: &[Image]) -> Result<()> {
        let _one_at_a_time = cache::lock(&self.home().join("import.lock"))?;
        let archive = self.home().join("import.tar");
        Layout::write_archive(images, &archive)?;
        let file = std::fs::File::open(&archive).map_err(Error::file("open", &archive))?;
        run(self.words(IMPORT)?.stdin(file))?;
        files::remove(&archive)
    }

    /// Makes the images of a finished layout known to the machine's containerd.
    pub(crate) fn import_layout(&self, layout: &Path) -> Result<()> {
        run_fed(&mut self.words(IMPORT)?, |input| Layout::archive(layout, input))
    }

    /// Makes its disk. `parts` has a containerd root to start from.
    pub(crate) fn create(&self, machines: u8, parts: &Parts) -> Result<()> {
        disk::create(self, &self.plan, machines, parts)?;
        services::write_containerd(self)
    }

    /// Switches it on; the services that are enabled start with it.
    pub fn power_on(&self) -> Result<()> {
        let state = State::load(&self.lab)?;
        let switch = state.switch()?;
        let home = self.home();
        let [home_text, base, usr] = [&home, &state.base, &state.usr].map(|path| path.display().to_string());
        let name = self.name();
        let variables =
            [("LAB_HOME", &*home_text), ("LAB_BASE", &base), ("LAB_USR", &usr), ("LAB_MACHINE", &name)];
        let group = state.group.below(&name);
        let connect =
            |process: &Process| network::connect(&switch, process, &self.plan, self.number, state.machines);
        let nspawn = boot(Role::Machine, &home, &group, &variables, connect)?;
        State::set_running(&self.lab, self.number, Some(nspawn))?;
        self.wait_for_boot()
    }

    /// Lets systemd stop everything in its order and switch the machine off. systemd gives a service
    /// 90 s to end.
    pub fn shut_down(&self) -> Result<()> {
        self.run(&["systemctl", "poweroff"])?;
        let is_off =
            || Ok(State::load(&self.lab)?.running.get(&self.number).is_none_or(|nspawn| !nspawn.alive()));
        let evidence = || format!("see {}", self.home().join("console.log").display());
        wait_for("the end of a machine that shuts down", 120, is_off, evidence)?;
        self.power_cut() // what systemd-nspawn leaves: a cable, groups
    }

    /// Kills every process on it at once. The disk stays as it is.
    pub fn power_cut(&self) -> Result<()> {
        let state = State::load(&self.lab)?;
        state.group.below(&self.name()).end()?;
        State::set_running(&self.lab, self.number, None)?;
        network::disconnect(&state.switch()?, self.number)
    }

    /// A power cut, and power again.
    pub fn reboot(&self) -> Result<()> {
        self.power_cut()?;
        self.power_on()
    }

    /// Starts kubelet, which reads the cluster's address, CA and a token from
    /// /etc/kubernetes/kubeconfig.
    pub fn start_kubelet(&self, families: Families) -> Result<()> {
        if self.path(disk::CNI_CONFIG).exists() {
            disk::write_cni(self, families)?;
        }
        services::start_kubelet(self, families)
    }

    /// Starts kubelet with these flags instead of those of its package.
    pub(crate) fn start_kubelet_with(&self, flags: &[String]) -> Result<()> {
        services::start_kubelet_with(self, flags)
    }

    /// Starts etcd as a service of the machine, a member of a cluster of `members`.
    pub fn start_etcd(&self, tls: &EtcdTls, members: &[Machine]) -> Result<()> {
        services::start_etcd(self, tls, members)
    }

    pub(crate) fn process(&self) -> Result<Process> {
        let running = State::load(&self.lab)?.running.get(&self.number).copied();
        running
            .filter(Process::alive)
            .and_then(|nspawn| nspawn.init())
            .ok_or_else(|| Error::Off { name: self.name() })
    }

    fn wait_for_boot(&self) -> Result<()> {
        let answers = || Ok(self.exec(&["ctr", "version"]).is_ok_and(|output| output.status.success()));
        let evidence = || format!("see {}", self.home().join("console.log").display());
        wait_for("containerd's first answer", 30, answers, evidence)
    }

    /// Lets the machine have so many percent of a processor, until it is switched off.
    pub fn limit_processor(&self, percent: u32) -> Result<()> {
        State::load(&self.lab)?.group.below(&self.name()).limit_processor(percent)
    }
}
