//! Programs that run on this machine, as far as /proc shows them: a container sees its own, unless
//! it shares the host's process IDs.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use procfs::process::Process;

use super::processes::machine_began;
use super::sockets;

/// A program that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// By the numbers that we see.
    pub pid: u32,
    /// Its command line, the program's name first.
    pub words: Vec<String>,
}

impl Program {
    /// What it is called, without its folder.
    pub fn name(&self) -> &str {
        let word = self.words.first().map_or("", String::as_str);
        word.rsplit('/').next().unwrap_or(word)
    }

    /// The folder under which its files are for us.
    pub fn root(&self) -> PathBuf {
        self.folder().join("root")
    }

    /// The folder where its relative paths begin; the root if that cannot be seen.
    pub fn working_folder(&self) -> PathBuf {
        fs::read_link(self.folder().join("cwd")).unwrap_or_else(|_| PathBuf::from("/"))
    }

    /// When it was started, to the second.
    pub fn started(&self) -> Option<SystemTime> {
        let stat = Process::new(i32::try_from(self.pid).ok()?).ok()?.stat().ok()?;
        let seconds = Duration::from_secs(stat.starttime / procfs::ticks_per_second());
        Some(machine_began().ok()? + seconds)
    }

    /// Whether its files are ours: no container lies between.
    pub fn shares_our_files(&self) -> bool {
        let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
        let ours = identity(Path::new("/"));
        ours.is_some() && ours == identity(&self.root().join("."))
    }

    /// The value of the first of these variables that is set in its environment, and not to nothing.
    pub fn variable(&self, names: &[&str]) -> Option<String> {
        let environment = fs::read(self.folder().join("environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let value = |name: &&str| {
            let mut variables = environment.split('\0').filter_map(|variable| variable.split_once('='));
            variables.find(|(found, value)| found == name && !value.is_empty()).map(|(_, value)| value)
        };
        names.iter().find_map(value).map(str::to_owned)
    }

    fn folder(&self) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string())
    }

    fn shares_our_network(&self) -> bool {
        let network = |folder: &Path| fs::read_link(folder.join("ns/net")).ok();
        network(&self.folder()) == network(Path::new("/proc/self"))
    }

    fn holds_any(&self, sockets: &BTreeSet<String>) -> bool {
        let files = fs::read_dir(self.folder().join("fd")).into_iter().flatten().flatten();
        let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
        targets.any(|target| sockets.contains(&*target.to_string_lossy()))
    }
}

/// Every program in our network that we may look at. Those that end meanwhile are left out, and so
/// are threads of the kernel.
pub fn all() -> io::Result<Vec<Program>> {
    let entries = fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(process).filter(Program::shares_our_network).collect())
}

fn process(pid: u32) -> Option<Program> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then_some(Program { pid, words })
}

/// Those of `programs` that listen on `port`.
pub fn listening(programs: &[Program], port: u16) -> io::Result<Vec<Program>> {
    let inodes = sockets::listeners(port)?.into_iter().map(|listener| format!("socket:[{}]", listener.inode));
    let sockets = inodes.collect();
    Ok(programs.iter().filter(|process| process.holds_any(&sockets)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_listener_on_a_port_is_found_by_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = listening(&all().unwrap(), listener.local_addr().unwrap().port()).unwrap();
        assert!(found.iter().any(|process| process.pid == std::process::id()), "{found:?}");
        let own = found.iter().find(|process| process.pid == std::process::id()).unwrap();
        assert!(own.name().starts_with("bootkube") && own.shares_our_files());
        assert!(own.variable(&["NONE", "PATH"]).is_some_and(|path| path.contains("/bin")));
        assert_eq!(own.variable(&["PAT", "PATH="]), None);
        let age = own.started().unwrap().elapsed().unwrap_or_default();
        assert!(age < Duration::from_secs(3600), "{age:?}");
        assert_eq!(own.working_folder(), std::env::current_dir().unwrap());
    }
}
