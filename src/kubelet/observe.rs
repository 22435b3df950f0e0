//! Finds kubelet and the container runtime: by kubelet's process if that can be seen, else at the
//! usual places.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use serde_json::Value;

use super::config::{Config, USUAL, document, list, resolved, within, words};
use super::facts::{Health, Kubelet, Place, Runtime, StaticPodFolder};
use super::kubeconfig::Kubeconfig;
use crate::assets::command::{flag, runs, switch};
use crate::error::chain;
use crate::host::cri;
use crate::host::plain;
use crate::host::programs::{self, Program};

const KUBELET: &str = "kubelet";
const HEALTH_PORT: u16 = 10248;
/// The kernel dates processes by the second.
const SLACK: Duration = Duration::from_secs(2);

impl Kubelet {
    /// A setting by its flag, which wins, or by its field in the configuration.
    pub fn setting(&self, name: &str, field: &str) -> Option<String> {
        let of_file = || match self.config.as_ref().ok()?.get(field)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        self.flag(name).or_else(of_file)
    }

    /// A setting that is a list.
    pub fn list(&self, name: &str, field: &str) -> Vec<String> {
        let of_file = || Some(self.config.as_ref().ok()?.get(field)?.as_array()?.iter());
        let of_flag: Vec<String> = list(&self.process, name).into_iter().map(str::to_owned).collect();
        match of_flag.is_empty() {
            true => of_file().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
            false => of_flag,
        }
    }

    /// A flag that has no field.
    pub fn flag(&self, name: &str) -> Option<String> {
        flag(words(&self.process), name)
    }

    /// Whether a flag that may stand alone is on.
    pub fn is_on(&self, name: &str, field: &str) -> bool {
        switch(words(&self.process), name)
            .unwrap_or_else(|| self.setting(name, field).as_deref() == Some("true"))
    }

    /// Where a setting is made, for a message: the flag, else the file. A kubelet that reads no file has only flags.
    pub fn place(&self, name: &str, field: &str) -> Place {
        let file = self.config.as_ref().ok().and_then(|config| config.file_of(field));
        match (self.flag(name), file) {
            (None, Some(file)) => Place::File(file.to_owned()),
            _ => Place::Flag(name.to_owned()),
        }
    }

    /// The file with the CA by which it verifies its clients.
    pub fn client_authority(&self) -> Option<String> {
        self.setting("client-ca-file", "authentication.x509.clientCAFile").filter(|file| !file.is_empty())
    }

    /// Whether it serves every client, as it does by default where it reads no configuration file.
    pub fn serves_all(&self) -> bool {
        let (flag, field) = ("anonymous-auth", "authentication.anonymous.enabled");
        let is_bare = self.config.as_ref().is_ok_and(|config| config.files().next().is_none());
        let takes_anonymous = self.is_on(flag, field) || (is_bare && self.setting(flag, field).is_none());
        let mode = self.setting("authorization-mode", "authorization.mode");
        takes_anonymous && mode.map_or(is_bare, |mode| mode == "AlwaysAllow")
    }

    /// Whether it already has credentials, so that it does not have to request a certificate.
    pub fn has_credentials(&self) -> bool {
        matches!(&self.own, Some(Ok(own)) if own.has_credentials())
    }
}

/// Kubelet among `processes`, and whether it watches `folder`.
pub fn find_kubelet(processes: &[Program], folder: &Path) -> Option<Kubelet> {
    let process = processes.iter().find(|process| runs(words(process), KUBELET))?.clone();
    let kubeconfig = |name: &str| {
        let file = flag(words(&process), name).filter(|file| !file.is_empty())?;
        Some(resolved(&process, &file))
    };
    let (own, bootstrap) = (kubeconfig("kubeconfig"), kubeconfig("bootstrap-kubeconfig"));
    let mut kubelet = Kubelet {
        config: Config::read(&process),
        watched: StaticPodFolder::Nothing,
        own: own.and_then(|file| Kubeconfig::read(&process, &file)),
        bootstrap: bootstrap.map(|file| {
            let missing = || Err(format!("there is no {file}"));
            Kubeconfig::read(&process, &file).unwrap_or_else(missing)
        }),
        authority: None,
        changed: Vec::new(),
        process,
    };
    kubelet.watched = watched(&kubelet, folder);
    kubelet.authority = kubelet
        .client_authority()
        .map(|file| fs::read(within(&kubelet.process, &file)).map_err(|error| format!("{file}: {error}")));
    kubelet.changed = changed(&kubelet);
    Some(kubelet)
}

/// Files that kubelet reads when it starts, and that were changed later.
fn changed(kubelet: &Kubelet) -> Vec<String> {
    let Some(started) = kubelet.process.started() else { return Vec::new() };
    let configuration = kubelet.config.iter().flat_map(Config::files);
    let bootstrap = kubelet.bootstrap.iter().flatten().map(|bootstrap| bootstrap.file.as_str());
    let bootstrap = bootstrap.filter(|_| !kubelet.has_credentials());
    let is_newer = |file: &&str| {
        let changed = fs::metadata(within(&kubelet.process, file)).and_then(|found| found.modified());
        changed.is_ok_and(|changed| changed > started + SLACK)
    };
    configuration.chain(bootstrap).filter(is_newer).map(str::to_owned).collect()
}

/// The configuration with which kubelet will start, where none runs.
pub fn at_rest() -> Option<Value> {
    document(Path::new(USUAL), USUAL).ok()
}

fn watched(kubelet: &Kubelet, folder: &Path) -> StaticPodFolder {
    if let (None, Err(why)) = (kubelet.flag("pod-manifest-path"), &kubelet.config) {
        return StaticPodFolder::Unknown(why.clone());
    }
    match kubelet.setting("pod-manifest-path", "staticPodPath").filter(|path| !path.is_empty()) {
        None => StaticPodFolder::Nothing,
        Some(path) => {
            let path = resolved(&kubelet.process, &path);
            match is_same(&within(&kubelet.process, &path), &path, folder) {
                true => StaticPodFolder::Ours,
                false => StaticPodFolder::Other(path),
            }
        }
    }
}

/// Whether both are one folder: by inode, else by name.
fn is_same(facts: &Path, name: &str, folder: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    match (identity(facts), identity(folder)) {
        (Some(one), Some(other)) => one == other,
        _ => Path::new(name).components().eq(folder.components()),
    }
}

/// Queries kubelet's health endpoint.
pub async fn health(kubelet: Option<&Kubelet>) -> Health {
    let port = kubelet.and_then(|kubelet| kubelet.setting("healthz-port", "healthzPort"));
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(HEALTH_PORT);
    if port == 0 {
        return Health::Off;
    }
    let address = kubelet.and_then(|kubelet| kubelet.setting("healthz-bind-address", "healthzBindAddress"));
    let address = address.and_then(|address| address.parse().ok()).unwrap_or(Ipv4Addr::LOCALHOST.into());
    let address = SocketAddr::new(address, port);
    match plain::get(address, "/healthz").await {
        Ok((200, _)) => Health::Healthy,
        Ok((status, body)) => Health::Sick(format!("http://{address}/healthz says {status} {}", body.trim())),
        Err(error) => Health::Silent(format!("http://{address}/healthz: {error}")),
    }
}

/// Queries the runtime that kubelet uses, else one at a usual socket.
pub async fn runtime(kubelet: Option<&Program>) -> Runtime {
    match socket(kubelet) {
        Ok(socket) => query_runtime(socket).await,
        Err(why) => Runtime::Unseen(why),
    }
}

/// The socket of the runtime, and the folder under which this process sees its files; else why it
/// cannot be seen.
pub fn locate_runtime() -> Result<(PathBuf, PathBuf), String> {
    let processes = programs::all().unwrap_or_default();
    let kubelet = processes.iter().find(|process| runs(words(process), KUBELET));
    let elsewhere = kubelet.filter(|kubelet| !kubelet.shares_our_files());
    let root = elsewhere.map_or_else(|| PathBuf::from("/"), Program::root);
    Ok((socket(kubelet)?, root))
}

/// The socket that kubelet uses, else a usual one that exists.
fn socket(kubelet: Option<&Program>) -> Result<PathBuf, String> {
    let words = kubelet.into_iter().flat_map(words);
    let endpoint = flag(words, "container-runtime-endpoint").or_else(|| {
        let config = match kubelet {
            Some(kubelet) => Config::read(kubelet).ok()?,
            None => Config::of(USUAL, at_rest()?),
        };
        config.get("containerRuntimeEndpoint")?.as_str().map(str::to_owned)
    });
    let path = endpoint.as_deref().map(|endpoint| endpoint.trim_start_matches("unix://"));
    let visible = |path: &str| match kubelet {
        Some(kubelet) if !kubelet.shares_our_files() => within(kubelet, path),
        _ => PathBuf::from(path),
    };
    let usual = || cri::SOCKETS.into_iter().map(visible).find(|path| path.exists());
    match (path.map(visible).or_else(usual), kubelet) {
        (Some(socket), _) => Ok(socket),
        (None, Some(_)) => Ok(PathBuf::from(cri::SOCKETS[0])),
        (None, None) => Err(format!("neither {} can be seen from here", cri::SOCKETS.join(" nor "))),
    }
}

async fn query_runtime(socket: PathBuf) -> Runtime {
    let (version, status, images, tells_driver) = futures::join!(
        cri::version(&socket),
        cri::status(&socket),
        cri::images(&socket),
        cri::tells_cgroup_driver(&socket)
    );
    match (version, status) {
        (Ok(version), Ok(cri::Status { conditions, sandbox_image, uses_systemd })) => Runtime::Answers {
            version: version.to_string(),
            conditions,
            sandbox_image,
            uses_systemd: uses_systemd.filter(|_| tells_driver.is_ok_and(|tells| !tells)),
            images: images.map_err(|error| chain(&error)),
        },
        (Err(error), _) | (_, Err(error)) if is_forbidden(&error) => Runtime::Unseen(chain(&error)),
        (Err(error), _) | (_, Err(error)) => Runtime::Silent { why: chain(&error), socket },
    }
}

/// Whether only root may use the socket.
fn is_forbidden(error: &cri::Error) -> bool {
    matches!(error, cri::Error::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// This process, with other words: its root is ours.
    fn kubelet(words: &[&str], folder: &Path) -> Kubelet {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        find_kubelet(&[Program { pid: std::process::id(), words }], folder).unwrap()
    }

    #[test]
    fn the_watched_folder_comes_from_the_configuration_file_and_its_drop_ins() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("config.yaml"), "staticPodPath: /elsewhere\nrotateCertificates: true\n").unwrap();
        let config = format!("--config={}", path("config.yaml"));
        let plain = kubelet(&["/usr/bin/kubelet", &config], folder.path());
        assert_eq!(plain.watched, StaticPodFolder::Other("/elsewhere".into()));
        assert!(plain.is_on("rotate-certificates", "rotateCertificates"));

        fs::create_dir(path("config.d")).unwrap();
        fs::create_dir(path("manifests")).unwrap();
        let over = json!({"staticPodPath": path("manifests")}).to_string();
        fs::write(path("config.d/10-folder.conf"), over).unwrap();
        let over = format!("--config-dir={}", path("config.d"));
        let ours = folder.path().join("manifests");
        assert_eq!(kubelet(&["kubelet", &config, &over], &ours).watched, StaticPodFolder::Ours);
        let flag = "--pod-manifest-path=/a/b/";
        let by_flag = kubelet(&["kubelet", &config, &over, flag], Path::new("/a/b"));
        assert_eq!(by_flag.watched, StaticPodFolder::Ours);
        assert_eq!(kubelet(&["hyperkube", "kubelet"], &ours).watched, StaticPodFolder::Nothing);
        let place = |kubelet: &Kubelet| kubelet.place("cluster-dns", "clusterDNS");
        assert_eq!(place(&plain), Place::File(path("config.yaml")));
        let flag = Place::Flag("cluster-dns".into());
        assert_eq!(place(&kubelet(&["kubelet"], &ours)), flag, "it reads no file");
        assert_eq!(place(&kubelet(&["kubelet", &config, "--cluster-dns=10.3.0.10"], &ours)), flag);
        assert!(kubelet(&["kubelet", "--client-ca-file="], &ours).authority.is_none());
        let missing = kubelet(&["kubelet", "--config=/none.yaml"], &ours);
        assert!(matches!(missing.watched, StaticPodFolder::Unknown(_)));
    }

    #[tokio::test]
    async fn a_configured_runtime_that_does_not_exist_is_silent() {
        let words = ["kubelet", "--container-runtime-endpoint=unix:///none.sock"];
        let named = kubelet(&words, Path::new("/"));
        let Runtime::Silent { why, .. } = runtime(Some(&named.process)).await else { panic!("it answers") };
        assert!(why.contains("/none.sock"), "{why}");
    }

    #[tokio::test]
    async fn health_is_queried_on_the_configured_port() {
        assert_eq!(
            health(Some(&kubelet(&["kubelet", "--healthz-port=0"], Path::new("/")))).await,
            Health::Off
        );
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let told = format!("--healthz-port={free}");
        let Health::Silent(why) = health(Some(&kubelet(&["kubelet", &told], Path::new("/")))).await else {
            panic!("nothing listens there");
        };
        assert!(why.contains(&free.to_string()), "{why}");
    }
}
