//! A lab in a folder: made, opened by any process, and removed without a trace.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::balance::Balancer;
use crate::cache::Cache;
use crate::cgroup::Group;
use crate::command::output;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::plan::Plan;
use crate::probe::{Options, Prober};
use crate::state::{State, lock_lab, outlives};
use crate::store::Parts;
use crate::{dump, files, network};

/// Machines and the switch between them.
#[derive(Clone, Debug)]
pub struct Lab {
    folder: PathBuf,
    plan: Plan,
    machines: u8,
}

impl Lab {
    /// Makes a lab of new machines n1, n2, … with containerd and all images, in place of what was
    /// in the folder.
    pub fn up(folder: &Path, machines: usize) -> Result<Self> {
        Self::of_parts(folder, machines, &Parts::build(&Cache::open()?)?)
    }

    /// As `up`, of parts that are built.
    pub fn of_parts(folder: &Path, machines: usize, parts: &Parts) -> Result<Self> {
        let count = u8::try_from(machines).ok().filter(|count| (1..=99).contains(count));
        let machines = count.ok_or(Error::MachineCount(machines))?;
        files::make_dir(folder)?;
        let folder = folder.canonicalize().map_err(Error::file("find", folder))?;
        let _alone = lock_lab(&folder)?;
        clear(&folder)?;
        let lab = Self { plan: Plan::of(&folder), folder, machines };
        lab.switch_on(parts)?;
        for machine in lab.machines() {
            machine.create(machines, parts)?;
            machine.power_on()?;
        }
        Ok(lab)
    }

    /// Writes the state before anything runs, so that everything that runs can be found.
    fn switch_on(&self, parts: &Parts) -> Result<()> {
        let group = Group::below_ours(&format!("lab-{}", self.plan.id()))?;
        group.end()?;
        let (base, usr) = (parts.base.clone(), parts.usr.clone());
        let machines = self.machines;
        let state = State { group, base, usr, machines, switch: None, running: Default::default() };
        state.save(&self.folder)?;
        state.group.make()?;
        let home = self.folder.join("switch");
        files::make_dir(&home)?;
        let switch = network::switch_on(&home, &state.group.below("switch"), &self.plan)?;
        State::update(&self.folder, |state| state.switch = Some(switch))
    }

    /// An existing lab, made by any process.
    pub fn open(folder: &Path) -> Result<Self> {
        let machines = State::load(folder)?.machines;
        let folder = folder.canonicalize().map_err(Error::file("find", folder))?;
        Ok(Self { plan: Plan::of(&folder), folder, machines })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All machines, on or off.
    pub fn machines(&self) -> Vec<Machine> {
        (1..=self.machines).map(|number| Machine::new(&self.folder, &self.plan, number)).collect()
    }

    /// A machine by name.
    pub fn machine(&self, name: &str) -> Result<Machine> {
        let missing = || Error::NoMachine { path: self.folder.clone(), name: name.to_owned() };
        self.machines().into_iter().find(|machine| machine.name() == name).ok_or_else(missing)
    }

    /// A command outside of all machines, where their addresses and those of their pods can be
    /// reached. It sees the host's files.
    pub fn command_outside(&self, program: &str) -> Result<Command> {
        Ok(State::load(&self.folder)?.switch()?.network_command(program))
    }

    /// Runs a command outside of all machines to its end, whatever its status.
    pub fn exec_outside(&self, words: &[&str]) -> Result<Output> {
        let (program, arguments) = words.split_first().unwrap_or((&"true", &[]));
        output(self.command_outside(program)?.args(arguments))
    }

    /// Starts asking an API server from outside of all machines. Requests and answers go to `name`
    /// in the lab's folder.
    pub fn probe_outside(&self, name: &str, options: &Options) -> Result<Prober> {
        let output = self.folder.join(format!("{name}.jsonl"));
        Prober::start(|program| self.command_outside(program), options, output)
    }

    /// Address of the place outside of all machines.
    pub fn gateway(&self) -> Ipv4Addr {
        self.plan.gateway()
    }

    /// Starts a load balancer there, for the apiservers of `machines`.
    pub fn balance(&self, port: u16, machines: &[Machine]) -> Result<Balancer> {
        Balancer::start(self, port, machines)
    }

    /// Writes the lab's state into a folder: the evidence of a failed test.
    pub fn dump(&self, to: &Path) -> Result<()> {
        dump::dump(self, to)
    }

    /// Ends everything and removes the machines with their disks.
    pub fn down(&self) -> Result<()> {
        let _alone = lock_lab(&self.folder)?;
        clear(&self.folder)
    }
}

/// Ends what runs and empties the folder; refuses one that holds anything but a lab.
fn clear(folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(Error::file("list", folder))?;
    let entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let belongs = |path: &&PathBuf| !outlives(&path.file_name().unwrap_or_default().to_string_lossy());
    let mut present = entries.iter().filter(belongs);
    if State::exists(folder) {
        State::load(folder)?.group.end()?;
        let (state, rest): (Vec<&PathBuf>, Vec<&PathBuf>) =
            present.partition(|path| path.ends_with("lab.json"));
        // The state is removed last, so that a folder that is half removed still counts as a lab's.
        return rest.into_iter().chain(state).try_for_each(|path| files::remove(path));
    }
    present.next().map_or(Ok(()), |_| Err(Error::NotALab { path: folder.to_path_buf() }))
}

/// A lab for one test: taken away when the test ends, after a dump if it failed.
#[derive(Debug)]
pub struct Guard {
    lab: Lab,
    dump: PathBuf,
}

impl Guard {
    /// A lab of this name in `target/lab`; a dump goes beside it, to `<name>.dump`.
    pub fn up(name: &str, machines: usize) -> Result<Self> {
        let folder = crate::default_dir(name);
        let dump = folder.with_extension("dump");
        files::remove(&dump)?;
        Ok(Self { lab: Lab::up(&folder, machines)?, dump })
    }
}

impl std::ops::Deref for Guard {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            match self.lab.dump(&self.dump) {
                Ok(()) => eprintln!("lab: the state of the machines is in {}", self.dump.display()),
                Err(error) => eprintln!("lab: no dump: {error}"),
            }
        }
        if let Err(error) = self.lab.down() {
            eprintln!("lab: {error}"); // the next `up` in this folder tries again
        }
    }
}
