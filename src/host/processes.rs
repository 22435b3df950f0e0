//! Processes of containers: of which pod, since when, and which sockets they hold.
//!
//! A container is known by its termination-message file, whose path names pod and container. This
//! needs the host's PID namespace; processes that it cannot see are left out.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::{fs, io};

use procfs::process::{FDTarget, Process, all_processes};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Where kubelet mounts that file.
const LAST_WORDS: &str = "/dev/termination-log";

/// The first process of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerProcess {
    /// Its number.
    pub pid: i32,
    /// When it began, in clock ticks since the machine did.
    pub began: u64,
    /// UID of the pod. A static pod's is the digest of its file.
    pub pod: String,
    /// Name of the container in the pod.
    pub container: String,
}

impl ContainerProcess {
    /// Numbers of the sockets it holds; none if it has ended.
    pub fn sockets(&self) -> BTreeSet<u32> {
        let descriptors = Process::new(self.pid).and_then(|process| process.fd());
        let sockets =
            descriptors.into_iter().flatten().flatten().filter_map(|descriptor| match descriptor.target {
                FDTarget::Socket(inode) => u32::try_from(inode).ok(),
                _ => None,
            });
        sockets.collect()
    }

    /// Something that can be waited on: readable once the process has ended.
    pub fn end(&self) -> io::Result<OwnedFd> {
        let pid = Pid::from_raw(self.pid).ok_or(io::ErrorKind::NotFound)?;
        Ok(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
    }
}

/// Processes of containers called `container`, whatever their pods, the oldest first.
pub fn of_container(container: &str) -> io::Result<Vec<ContainerProcess>> {
    let all = all_processes().map_err(io::Error::other)?;
    let mut found: Vec<_> = all.flatten().filter_map(|process| read(&process)).collect();
    found.retain(|process| process.container == container);
    found.sort_by_key(|process| process.began);
    Ok(found)
}

/// When this machine began, to compare with clocks.
pub fn machine_began() -> io::Result<std::time::SystemTime> {
    let stat = fs::read_to_string("/proc/stat")?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    let seconds = seconds.ok_or_else(|| io::Error::other("/proc/stat has no btime"))?;
    Ok(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

fn read(process: &Process) -> Option<ContainerProcess> {
    let mounts = process.mountinfo().ok()?; // it may have ended since it was listed
    let file = mounts.into_iter().find(|mount| mount.mount_point == Path::new(LAST_WORDS))?;
    let (pod, container) = pod_and_container(&file.root)?;
    let began = process.stat().ok()?.starttime;
    Some(ContainerProcess { pid: process.pid(), began, pod, container })
}

/// From `…/pods/UID/containers/NAME/ID`.
fn pod_and_container(path: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = path.rsplit('/').collect();
    match parts.as_slice() {
        [_id, container, "containers", pod, "pods", ..] => Some(((*pod).to_owned(), (*container).to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_kubelets_names_pod_and_container() {
        let path = "/disk/kubelet/pods/5f2c-1/containers/kube-apiserver/0a1b";
        assert_eq!(pod_and_container(path), Some(("5f2c-1".into(), "kube-apiserver".into())));
        assert_eq!(pod_and_container("/etc/hosts"), None);
    }

    #[test]
    fn the_sockets_of_a_process_are_those_the_kernel_knows() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inode = crate::host::sockets::listeners(port).unwrap()[0].inode;
        let pid = i32::try_from(std::process::id()).unwrap();
        let this = ContainerProcess { pid, began: 0, pod: String::new(), container: String::new() };
        assert!(this.sockets().contains(&inode));
    }
}
