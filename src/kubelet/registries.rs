//! Registries that missing images would come from: reached from here, or perhaps by the runtime
//! alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures::future::join_all;

use crate::assets::command::flag;
use crate::host::containerd::{self, Config, without_credentials};
use crate::host::cri;
use crate::host::crio;
use crate::host::plain;
use crate::host::programs::{self, Program};

/// Environment variables that make a program use a proxy, and those that name hosts for which it
/// does not.
const PROXY: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];
const CRIO: &str = "crio";
const CONTAINERD: &str = "containerd";

/// A registry that an image would come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registry {
    /// It can.
    Reached,
    /// It cannot be reached, and no mirror or proxy was found.
    Unreached(String),
    /// It cannot be reached from here, but the runtime may use this mirror or proxy.
    Detour(String),
}

/// The container runtime's process and files.
pub struct Machine<'a> {
    /// The folder under which this process sees the machine's files.
    pub root: PathBuf,
    pub processes: &'a [Program],
}

impl Machine<'_> {
    /// Whether each registry can be reached.
    pub async fn reach(&self, hosts: &BTreeSet<String>) -> BTreeMap<String, Registry> {
        let asked = hosts.iter().map(async |host| {
            let reached = reach(host).await;
            let found = reached.map_or_else(|why| self.beyond(host, why), |()| Registry::Reached);
            (host.clone(), found)
        });
        join_all(asked).await.into_iter().collect()
    }

    /// containerd's configuration; `None` if another runtime runs.
    fn containerd(&self) -> Option<Result<Config, String>> {
        let process = self.runtime(CONTAINERD);
        if process.is_none() && self.runtime(CRIO).is_some() {
            return None;
        }
        let words = process.into_iter().flat_map(|process| process.words.iter().map(String::as_str));
        let words: Vec<&str> = words.collect();
        let short = || flag(words.iter().copied(), "c");
        let file = flag(words.iter().copied(), "config").or_else(short);
        Some(Config::read(&self.root, file.as_deref().unwrap_or(containerd::CONFIG)))
    }

    /// The image of sandboxes by the configuration of containerd 2, which does not tell it in
    /// another way.
    pub fn sandbox_image(&self) -> Option<String> {
        self.containerd()?.ok()?.sandbox_image
    }

    fn runtime(&self, name: &str) -> Option<&Program> {
        self.processes.iter().find(|process| process.name() == name)
    }

    /// A registry that cannot be reached from here, because of `why`.
    fn beyond(&self, host: &str, why: String) -> Registry {
        match self.way_around(host) {
            Some(way) => Registry::Detour(way),
            None => Registry::Unreached(why),
        }
    }

    /// By what the runtime may get images of a registry that cannot be reached.
    fn way_around(&self, host: &str) -> Option<String> {
        let runtime = self.runtime(CONTAINERD).or_else(|| self.runtime(CRIO));
        let Some(runtime) = runtime else {
            return Some("a proxy: its process cannot be seen from here".into());
        };
        let mirror = match self.containerd() {
            Some(Ok(config)) => config.mirror(&self.root, host),
            Some(Err(why)) => Some(why),
            None => crio::mirror(&self.root),
        };
        mirror.map(|mirror| format!("a mirror ({mirror})")).or_else(|| proxy(runtime, host))
    }
}

/// The image that the runtime at `socket` makes sandboxes from: by its own word, else by its
/// configuration under `root`.
pub async fn sandbox_image(socket: &Path, root: &Path) -> Result<Option<String>, cri::Error> {
    let told = cri::status(socket).await?.sandbox_image;
    Ok(told.or_else(|| {
        let processes = programs::all().unwrap_or_default();
        Machine { root: root.to_owned(), processes: &processes }.sandbox_image()
    }))
}

/// The proxy that a runtime uses for `host`.
fn proxy(runtime: &Program, host: &str) -> Option<String> {
    let proxy = runtime.variable(&PROXY)?;
    let exempt = runtime.variable(&NO_PROXY).unwrap_or_default();
    let name = host.split(':').next().unwrap_or(host);
    let is_exempt = |entry: &str| {
        let domain = entry.trim_start_matches('.');
        entry == "*" || entry == host || name == domain || name.ends_with(&format!(".{domain}"))
    };
    let mut entries = exempt.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    (!entries.any(is_exempt))
        .then(|| format!("the proxy of {} ({})", runtime.name(), without_credentials(&proxy)))
}

async fn reach(host: &str) -> Result<(), String> {
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:443") };
    plain::reach(address).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::files::machine;

    /// A machine with this file, on which a process with these words runs.
    fn way(file: &str, text: &str, words: &[&str]) -> Option<String> {
        let root = machine(&[(file, text)]);
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let processes = [Program { pid: std::process::id(), words }];
        Machine { root: root.path().to_owned(), processes: &processes }.way_around("quay.io")
    }

    const MIRROR: &str = "[[registry]]\nlocation = \"quay.io\"\n[[registry.mirror]]\nlocation = \"m.test\"\n";

    #[test]
    fn registries_of_cri_o_count_for_cri_o_alone_and_only_with_a_mirror() {
        let file = "etc/containers/registries.conf";
        assert!(way(file, MIRROR, &["/usr/bin/crio"]).unwrap().contains("/etc/containers/registries.conf"));
        let plain = "unqualified-search-registries = [\"docker.io\"]\n";
        assert_eq!(way(file, plain, &["/usr/bin/crio"]), None);
        assert_eq!(way(file, MIRROR, &["/usr/bin/containerd"]), None);
    }

    #[test]
    fn the_file_of_containerds_command_line_is_read() {
        let list = "[plugins.cri.registry.mirrors.\"quay.io\"]\nendpoint = [\"https://m.test\"]\n";
        assert!(way("srv/c.toml", list, &["containerd", "--config", "/srv/c.toml"]).is_some());
        assert!(way("srv/c.toml", list, &["containerd", "-c", "/srv/c.toml"]).is_some());
        assert_eq!(way("srv/c.toml", list, &["containerd"]), None);
    }

    #[test]
    fn a_runtime_that_cannot_be_seen_may_have_a_proxy() {
        assert!(way("x", "", &["sshd"]).unwrap().contains("cannot be seen"));
    }
}
