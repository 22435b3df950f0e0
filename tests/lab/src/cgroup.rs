//! The control groups of a lab and of its machines, by which their processes are found and ended,
//! whichever process started them.
//!
//! The lab's groups are below the group of the process that made the lab, so that the limits of
//! that hold. In a purely unified hierarchy they are below the root, like those of a container
//! runtime, because there a group with processes cannot have children with controllers.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::command::wait_for;
use crate::error::{Error, Result};
use crate::files;

const ROOT: &str = "/sys/fs/cgroup";

/// One group in every hierarchy of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group(Vec<Member>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    hierarchy: PathBuf,
    /// Below the hierarchy, with a leading slash.
    group: String,
}

impl Member {
    fn folder(&self) -> PathBuf {
        PathBuf::from(format!("{}{}", self.hierarchy.display(), self.group))
    }
}

impl Group {
    /// The group of this name below this process's own, in every hierarchy. Makes nothing yet.
    pub(crate) fn below_ours(name: &str) -> Result<Self> {
        let mounts = files::read_text(Path::new("/proc/self/mounts"))?;
        let ours = files::read_text(Path::new("/proc/self/cgroup"))?;
        Ok(Self::parse(&mounts, &ours, name))
    }

    fn parse(mounts: &str, ours: &str, name: &str) -> Self {
        let member = |(hierarchy, key): (PathBuf, String)| {
            let parent = own_group(ours, &key).filter(|group| group != "/" && hierarchy != Path::new(ROOT));
            Member { hierarchy, group: format!("{}/{name}", parent.unwrap_or_default()) }
        };
        Self(hierarchies(mounts).map(member).collect())
    }

    /// A group below this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        let member = |member: &Member| Member { group: format!("{}/{name}", member.group), ..member.clone() };
        Self(self.0.iter().map(member).collect())
    }

    /// What boot.sh joins: `HIERARCHY:GROUP` words.
    pub(crate) fn words(&self) -> String {
        let words = self.0.iter().map(|member| format!("{}:{}", member.hierarchy.display(), member.group));
        words.collect::<Vec<_>>().join(" ")
    }

    /// Makes the group everywhere, ready to take processes.
    pub(crate) fn make(&self) -> Result<()> {
        self.0.iter().map(Member::folder).try_for_each(|folder| {
            if let Some(parent) = folder.parent() {
                hand_down(parent)?;
            }
            files::make_dir(&folder)?;
            inherit_cpuset(&folder)
        })
    }

    /// Lets everything in it and below it have so many percent of a processor together.
    pub(crate) fn limit_processor(&self, percent: u32) -> Result<()> {
        const PERIOD: u32 = 100_000;
        let quota = PERIOD / 100 * percent;
        let both = [("cpu.cfs_quota_us", quota.to_string()), ("cpu.max", format!("{quota} {PERIOD}"))];
        let files = self
            .0
            .iter()
            .flat_map(|member| both.iter().map(|(name, text)| (member.folder().join(name), text)));
        let mut there = files.filter(|(path, _)| path.exists()).peekable();
        if there.peek().is_none() {
            return Err(Error::Parse {
                path: ROOT.into(),
                reason: "no control group limits processors".into(),
            });
        }
        there.try_for_each(|(path, text)| fs::write(&path, text).map_err(Error::file("write", &path)))
    }

    /// Kills everything in it and below it, waits until it is gone, and removes the group.
    pub(crate) fn end(&self) -> Result<()> {
        let kill_all = || {
            let left: Vec<Pid> = self.0.iter().flat_map(|member| processes_below(&member.folder())).collect();
            left.iter().for_each(|pid| kill(*pid));
            Ok(left.is_empty())
        };
        wait_for("the end of a machine's processes", 20, kill_all, || {
            format!("some are left in {}", self.words())
        })?;
        self.0.iter().try_for_each(|member| remove_tree(&member.folder()))
    }
}

/// Mount point and key (`memory`, `name=systemd`, empty for the unified one) of each hierarchy.
fn hierarchies(mounts: &str) -> impl Iterator<Item = (PathBuf, String)> {
    mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (folder, kind, options) = (words.next()?, words.next()?, words.next()?);
        let path = Path::new(folder);
        let name = path.file_name()?.to_string_lossy();
        match kind {
            "cgroup2" => Some((path.into(), String::new())),
            "cgroup" if options.contains("name=systemd") => Some((path.into(), "name=systemd".into())),
            "cgroup" => Some((path.into(), name.into_owned())),
            _ => None,
        }
    })
}

/// This process's group in a hierarchy, from /proc/self/cgroup: `4:memory:/group`.
fn own_group(ours: &str, key: &str) -> Option<String> {
    ours.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (name, group) = rest.split_once(':')?;
        (name == key).then(|| group.to_owned())
    })
}

/// In a unified hierarchy a group passes on only the controllers that are enabled for its children.
fn hand_down(parent: &Path) -> Result<()> {
    let Ok(controllers) = fs::read_to_string(parent.join("cgroup.controllers")) else { return Ok(()) };
    let enable: Vec<String> = controllers.split_whitespace().map(|name| format!("+{name}")).collect();
    if enable.is_empty() {
        return Ok(());
    }
    let control = parent.join("cgroup.subtree_control");
    fs::write(&control, enable.join(" ")).map_err(Error::file("hand controllers down in", &control))
}

/// In a cpuset of version 1 no process can run until it has processors and memory nodes.
fn inherit_cpuset(folder: &Path) -> Result<()> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let (from, to) = (parent.join(name), folder.join(name));
        if to.exists() && !folder.join("cgroup.controllers").exists() {
            fs::copy(&from, &to).map_err(Error::file("fill", &to))?;
        }
    }
    Ok(())
}

fn processes_below(folder: &Path) -> Vec<Pid> {
    let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let mut found: Vec<Pid> = listed.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
    found.extend(groups_in(folder).iter().flat_map(|group| processes_below(group)));
    found
}

fn groups_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// A process that has ended already is no error.
fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).ok();
}

fn remove_tree(folder: &Path) -> Result<()> {
    groups_in(folder).iter().try_for_each(|group| remove_tree(group))?;
    // A group stays busy for a moment after its last process is gone.
    let gone = || match fs::remove_dir(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(Error::file("remove the group", folder)(error)),
    };
    wait_for("the end of a control group", 10, gone, || format!("{} is busy", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
        cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
        cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
        cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";

    #[test]
    fn groups_lie_below_our_own_where_hierarchies_are_apart() {
        let ours = "3:cpu,cpuacct:/\n2:memory:/session/7\n1:name=systemd:/user\n0::/\n";
        let group = Group::parse(HYBRID, ours, "lab").below("n1");
        let expected = "/sys/fs/cgroup/cpu,cpuacct:/lab/n1 /sys/fs/cgroup/memory:/session/7/lab/n1 \
                        /sys/fs/cgroup/systemd:/user/lab/n1 /sys/fs/cgroup/unified:/lab/n1";
        assert_eq!(group.words(), expected);
    }

    #[test]
    fn groups_lie_below_the_root_of_a_unified_hierarchy() {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        let group = Group::parse(mounts, "0::/user.slice/session-1.scope\n", "lab");
        assert_eq!(group.words(), "/sys/fs/cgroup:/lab");
    }
}
