//! containerd's configuration, as far as the checks of images need it: mirrors, and the image of
//! pod sandboxes.
//!
//! `containerd config default` writes every key, most of them empty. Only what is not empty counts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::rooted;

/// Where containerd looks for its configuration unless its command line says otherwise.
pub const CONFIG: &str = "/etc/containerd/config.toml";
/// The plugin that pulls images for kubelet, by version of the file: 1, 2, and from 3 on.
const PLUGINS: [&str; 3] = ["cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"];
/// Where newer versions of containerd look for mirrors if the file does not say.
const CONFIG_PATH: &str = "/etc/containerd/certs.d:/etc/docker/certs.d";
/// Docker Hub's name in configurations, and the host that it is reached at.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// What the file says, with the files that it imports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The image of pod sandboxes.
    pub sandbox_image: Option<String>,
    /// Folders with a folder for each registry, separated by colons. Empty means none.
    config_path: Option<String>,
    /// Endpoints by registry; the form of before `config_path`.
    mirrors: BTreeMap<String, BTreeSet<String>>,
}

impl Config {
    /// Reads the configuration at `file` of the machine whose files are under `root`. Without a
    /// file containerd has its defaults.
    pub fn read(root: &Path, file: &str) -> Result<Self, String> {
        let mut config = Self::default();
        let (mut pending, mut seen) = (VecDeque::from([PathBuf::from(file)]), BTreeSet::new());
        while let Some(file) = pending.pop_front() {
            if !seen.insert(file.clone()) {
                continue;
            }
            let Some(found) = parse(root, &file)? else { continue };
            config.take(&found);
            pending.extend(imports(root, &file, &found));
        }
        Ok(config)
    }

    /// What a file says counts over the files before it, where it is not empty.
    fn take(&mut self, file: &Value) {
        for plugin in PLUGINS.iter().map(|name| &file["plugins"][name]) {
            let image = [&plugin["sandbox_image"], &plugin["pinned_images"]["sandbox"]];
            let image = image.into_iter().filter_map(Value::as_str).find(|image| !image.is_empty());
            self.sandbox_image = image.map(str::to_owned).or(self.sandbox_image.take());
            let registry = &plugin["registry"];
            if let Some(path) = registry["config_path"].as_str()
                && (!path.is_empty() || self.config_path.is_none())
            {
                self.config_path = Some(path.to_owned());
            }
            for (host, mirror) in registry["mirrors"].as_object().into_iter().flatten() {
                let endpoints = mirror["endpoint"].as_array().into_iter().flatten().filter_map(Value::as_str);
                self.mirrors.entry(host.clone()).or_default().extend(endpoints.map(str::to_owned));
            }
        }
    }

    /// The mirror that containerd has for the registry at `host`, by the file that names it.
    pub fn mirror(&self, root: &Path, host: &str) -> Option<String> {
        let name = if host == HUB.1 { HUB.0 } else { host };
        let folders = self.config_path.as_deref().unwrap_or(CONFIG_PATH);
        let mut folders = folders.split(':').filter(|folder| !folder.is_empty());
        let listed = || {
            let endpoints = [name, "*"].into_iter().filter_map(|name| self.mirrors.get(name)).flatten();
            endpoints
                .into_iter()
                .find(|endpoint| !is_at(endpoint, host))
                .map(|url| without_credentials(url).to_owned())
        };
        folders.find_map(|folder| of_folder(root, folder, name, host)).or_else(listed)
    }
}

/// The file as a value; `None` if there is none.
fn parse(root: &Path, file: &Path) -> Result<Option<Value>, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    match fs::read_to_string(rooted::path(root, file)) {
        Ok(text) => toml::from_str::<Value>(&text).map(Some).map_err(|error| named(&error.message())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(&error)),
    }
}

/// Files that `file` imports: relative to its folder, and by patterns.
fn imports(root: &Path, file: &Path, found: &Value) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let named = found["imports"].as_array().into_iter().flatten().filter_map(Value::as_str);
    named.flat_map(|import| matching(root, &folder.join(import))).collect()
}

/// The files that a path with `*` in its last part stands for, in order.
fn matching(root: &Path, path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(pattern)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let pattern = pattern.to_string_lossy();
    if !pattern.contains('*') {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(rooted::path(root, folder)).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut found: Vec<PathBuf> =
        names.filter(|name| is_match(&pattern, name)).map(|name| folder.join(name)).collect();
    found.sort();
    found
}

fn is_match(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|left| {
            let ends = left.char_indices().map(|(at, _)| at).chain([left.len()]);
            ends.into_iter().any(|at| is_match(rest, &left[at..]))
        }),
    }
}

/// The file below one folder of `config_path` that names a mirror. containerd takes the first of
/// three folders that exists, and looks into no other.
fn of_folder(root: &Path, folder: &str, name: &str, host: &str) -> Option<String> {
    let with_port = name.rsplit_once(':').map(|(host, port)| format!("{host}_{port}_"));
    let names = with_port.as_deref().into_iter().chain([name, "_default"]);
    let folders = names.map(|name| Path::new(folder).join(name));
    let folder = folders.into_iter().find(|folder| rooted::path(root, folder).is_dir())?;
    let file = folder.join("hosts.toml");
    match parse(root, &file) {
        Ok(None) => None,
        Ok(Some(hosts)) => leads_elsewhere(&hosts, host).then(|| file.display().to_string()),
        Err(why) => Some(why), // nothing says that it has no mirror
    }
}

/// Whether a `hosts.toml` names another host than the registry's own.
fn leads_elsewhere(hosts: &Value, host: &str) -> bool {
    let others = hosts["host"].as_object().into_iter().flatten().map(|(endpoint, _)| endpoint.as_str());
    let server = hosts["server"].as_str().filter(|server| !server.is_empty());
    others.chain(server).any(|endpoint| !is_at(endpoint, host))
}

/// Host and port of a URL, for messages: before them a user's name and password may stand.
pub fn without_credentials(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    host.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Whether an endpoint is the registry itself.
fn is_at(endpoint: &str, host: &str) -> bool {
    let (_, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let found = rest.split('/').next().unwrap_or_default();
    let found = found.strip_suffix(":443").unwrap_or(found);
    found == host || (found == HUB.0 && host == HUB.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::files::machine;

    /// What `containerd config default` of 1.6 and of 2.1 writes about registries and sandboxes.
    const DEFAULT_2: &str = r#"version = 2
imports = []
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "registry.k8s.io/pause:3.6"
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = ""
      [plugins."io.containerd.grpc.v1.cri".registry.auths]
      [plugins."io.containerd.grpc.v1.cri".registry.mirrors]
"#;
    const DEFAULT_3: &str = r"version = 3
imports = []
[plugins]
  [plugins.'io.containerd.cri.v1.images']
    snapshotter = 'overlayfs'
    [plugins.'io.containerd.cri.v1.images'.pinned_images]
      sandbox = 'registry.k8s.io/pause:3.10'
    [plugins.'io.containerd.cri.v1.images'.registry]
      config_path = ''
";

    fn mirror(files: &[(&str, &str)], host: &str) -> Option<String> {
        let root = machine(files);
        Config::read(root.path(), CONFIG).unwrap().mirror(root.path(), host)
    }

    const FILE: &str = "etc/containerd/config.toml";
    const HOSTS: &str = "server = \"https://registry.k8s.io\"\n[host.\"https://mirror.example.test\"]\n";

    #[test]
    fn messages_hold_no_credentials_of_a_proxy_or_a_mirror() {
        for (url, shown) in [
            ("http://user:password@proxy.test:3128", "proxy.test:3128"),
            ("https://user:p/w@mirror.test/v2/", "mirror.test"),
            ("proxy.test:3128", "proxy.test:3128"),
            ("user:password@[2001:db8::1]:80/", "[2001:db8::1]:80"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }

    #[test]
    fn the_default_configuration_has_no_mirror_and_names_the_image_of_sandboxes() {
        for (text, image) in
            [(DEFAULT_2, "registry.k8s.io/pause:3.6"), (DEFAULT_3, "registry.k8s.io/pause:3.10")]
        {
            let root = machine(&[(FILE, text)]);
            let config = Config::read(root.path(), CONFIG).unwrap();
            assert_eq!(config.sandbox_image.as_deref(), Some(image));
            assert_eq!(config.mirror(root.path(), "registry.k8s.io"), None);
        }
        assert_eq!(mirror(&[], "registry.k8s.io"), None, "without a file");
    }

    #[test]
    fn a_folder_of_config_path_counts_only_with_a_hosts_file_that_leads_elsewhere() {
        let set = |text: &str| text.replace("''", "'/c:/d'").replace("\"\"", "\"/c:/d\"");
        for text in [set(DEFAULT_2), set(DEFAULT_3)] {
            let with = |file: &str, hosts: &str| mirror(&[(FILE, &text), (file, hosts)], "registry.k8s.io");
            assert_eq!(with("d/registry.k8s.io/hosts.toml", HOSTS).unwrap(), "/d/registry.k8s.io/hosts.toml");
            assert_eq!(with("c/_default/hosts.toml", HOSTS).unwrap(), "/c/_default/hosts.toml");
            assert_eq!(with("c/registry.k8s.io/ca.crt", ""), None);
            assert_eq!(with("c/registry.k8s.io/hosts.toml", "server = \"https://registry.k8s.io\"\n"), None);
            assert_eq!(with("c/quay.io/hosts.toml", HOSTS), None, "it is of another registry");
            assert!(with("c/registry.k8s.io/hosts.toml", "[").unwrap().contains("hosts.toml"));
        }
        let unset = [(FILE, "version = 3\n"), ("etc/containerd/certs.d/docker.io/hosts.toml", HOSTS)];
        assert!(mirror(&unset, "registry-1.docker.io").is_some(), "containerd 2.2 looks there by itself");
        let off = [(FILE, DEFAULT_3), unset[1]];
        assert_eq!(mirror(&off, "registry-1.docker.io"), None);
        let port = [(FILE, "version = 3\n"), ("etc/containerd/certs.d/a.test_5000_/hosts.toml", HOSTS)];
        assert!(mirror(&port, "a.test:5000").is_some());
    }

    #[test]
    fn a_listed_mirror_counts_if_it_has_an_endpoint_other_than_the_registry() {
        let listed = |host: &str, endpoint: &str| {
            let table = format!("[plugins.cri.registry.mirrors.\"{host}\"]\nendpoint = [{endpoint}]\n");
            mirror(&[(FILE, &table)], "registry-1.docker.io")
        };
        assert_eq!(listed("docker.io", "\"https://m.test\"").unwrap(), "m.test");
        assert_eq!(listed("*", "\"https://m.test\"").unwrap(), "m.test");
        assert_eq!(listed("docker.io", "\"https://registry-1.docker.io\""), None);
        assert_eq!(listed("docker.io", ""), None);
        assert_eq!(listed("quay.io", "\"https://m.test\""), None);
    }

    #[test]
    fn imported_files_count_over_the_file_that_imports_them() {
        let main = format!(
            "{}{}",
            "imports = [\"conf.d/*.toml\", \"/etc/more.toml\"]\n",
            &DEFAULT_3.replace("imports = []\n", "")
        );
        let drop_in = "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/m'\n";
        let pinned = "[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'a.test/pause:1'\n";
        let files = [
            (FILE, main.as_str()),
            ("etc/containerd/conf.d/10-mirror.toml", drop_in),
            ("etc/containerd/conf.d/readme", "["),
            ("etc/more.toml", pinned),
            ("m/registry.k8s.io/hosts.toml", HOSTS),
        ];
        let root = machine(&files);
        let config = Config::read(root.path(), CONFIG).unwrap();
        assert_eq!(config.mirror(root.path(), "registry.k8s.io").unwrap(), "/m/registry.k8s.io/hosts.toml");
        assert_eq!(config.sandbox_image.as_deref(), Some("a.test/pause:1"));
        assert!(is_match("*.toml", "a.toml") && is_match("a*b*", "aXbY") && !is_match("*.toml", "a.conf"));
    }

    #[test]
    fn a_file_that_is_not_toml_is_named() {
        let root = machine(&[(FILE, "version = \n")]);
        assert!(Config::read(root.path(), CONFIG).unwrap_err().contains(CONFIG));
    }
}
