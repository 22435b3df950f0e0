//! Finds kubelet and the container runtime: by kubelet's process if that can be seen, else at the
//! usual places.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::Value;

use super::super::facts::{Health, Kubelet, Runtime, StaticPodFolder};
use super::super::plain;
use crate::assets::command::{flag, runs, switch};
use crate::error::chain;
use crate::host::cri;
use crate::host::programs::{self, Program};
use crate::yaml;

const HEALTH_PORT: u16 = 10248;
/// Where the packages of kubelet expect its configuration.
const USUAL_CONFIG: &str = "/var/lib/kubelet/config.yaml";

impl Kubelet {
    /// A setting by its flag, which wins, or by its field in the configuration file.
    pub fn setting(&self, name: &str, field: &str) -> Option<String> {
        let of_flag = flag(self.process.words.iter().map(String::as_str), name);
        let of_file = || match self.config.as_ref().ok()?.get(field)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        of_flag.or_else(of_file)
    }

    /// A flag that has no field.
    pub fn flag(&self, name: &str) -> Option<String> {
        flag(self.process.words.iter().map(String::as_str), name)
    }

    /// Whether a flag that may stand alone is on.
    pub fn is_on(&self, name: &str, field: &str) -> bool {
        let words = self.process.words.iter().map(String::as_str);
        switch(words, name).unwrap_or_else(|| self.setting(name, field).as_deref() == Some("true"))
    }
}

/// Kubelet among `processes`, and whether it watches `folder`.
pub fn find_kubelet(processes: &[Program], folder: &Path) -> Option<Kubelet> {
    let is_kubelet = |process: &&Program| runs(process.words.iter().map(String::as_str), "kubelet");
    let process = processes.iter().find(is_kubelet)?.clone();
    let config = config(&process);
    let mut kubelet = Kubelet { process, config, watched: StaticPodFolder::Nothing, has_credentials: false };
    kubelet.watched = watched(&kubelet, folder);
    kubelet.has_credentials =
        kubelet.flag("kubeconfig").is_some_and(|path| has_credentials(&kubelet.process, &path));
    Some(kubelet)
}

/// Whether a kubeconfig has credentials. Kubelet writes the file before it gets the certificate
/// that the file names.
fn has_credentials(process: &Program, path: &str) -> bool {
    let Ok(kubeconfig) = parse(&within(process, path)) else { return false };
    let users = kubeconfig["users"].as_array().into_iter().flatten().map(|user| &user["user"]);
    let has = |user: &Value, field: &str| user[field].as_str().is_some_and(|text| !text.is_empty());
    let has_file = |user: &Value| {
        let file = user["client-certificate"].as_str();
        file.is_some_and(|file| Path::new(file).is_absolute() && within(process, file).exists())
    };
    let inline = ["client-certificate-data", "token", "tokenFile"];
    users
        .into_iter()
        .any(|user| inline.iter().any(|field| has(user, field)) || user["exec"].is_object() || has_file(user))
}

/// The configuration with which kubelet will start, where none runs.
pub fn at_rest() -> Option<Value> {
    parse(Path::new(USUAL_CONFIG)).ok()
}

/// The configuration file with the drop-ins of `--config-dir`, merged as kubelet does it.
fn config(process: &Program) -> Result<Value, String> {
    if let Err(error) = fs::metadata(process.root().join(".")) {
        return Err(format!("the files of process {} cannot be seen: {error}", process.pid));
    }
    let named = |name: &str| flag(process.words.iter().map(String::as_str), name);
    let mut config = match named("config") {
        Some(path) => parse(&within(process, &path))?,
        None => Value::Object(serde_json::Map::new()),
    };
    let folder = named("config-dir").map(|path| within(process, &path));
    let entries = folder.map(fs::read_dir).transpose().map_err(|error| error.to_string())?;
    let mut files: Vec<PathBuf> = entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    for file in files {
        json_patch::merge(&mut config, &parse(&file)?);
    }
    Ok(config)
}

fn parse(path: &Path) -> Result<Value, String> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let documents = yaml::parse(&text, &name).map_err(|error| error.to_string())?;
    documents.into_iter().next().ok_or_else(|| format!("{name} is empty"))
}

/// An absolute path as the process sees it. Kubelet's paths are never relative.
fn within(process: &Program, path: &str) -> PathBuf {
    process.root().join(path.trim_start_matches('/'))
}

fn watched(kubelet: &Kubelet, folder: &Path) -> StaticPodFolder {
    if let (None, Err(why)) = (kubelet.flag("pod-manifest-path"), &kubelet.config) {
        return StaticPodFolder::Unknown(why.clone());
    }
    match kubelet.setting("pod-manifest-path", "staticPodPath").filter(|path| !path.is_empty()) {
        None => StaticPodFolder::Nothing,
        Some(path) if is_same(&within(&kubelet.process, &path), &path, folder) => StaticPodFolder::Ours,
        Some(path) => StaticPodFolder::Other(path),
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
    let kubelet = processes.iter().find(|process| runs(process.words.iter().map(String::as_str), "kubelet"));
    let elsewhere = kubelet.filter(|kubelet| !kubelet.shares_our_files());
    let root = elsewhere.map_or_else(|| PathBuf::from("/"), Program::root);
    Ok((socket(kubelet)?, root))
}

/// The socket that kubelet uses, else a usual one that exists.
fn socket(kubelet: Option<&Program>) -> Result<PathBuf, String> {
    let words = || kubelet.into_iter().flat_map(|kubelet| kubelet.words.iter().map(String::as_str));
    let endpoint = flag(words(), "container-runtime-endpoint").or_else(|| {
        let config = kubelet.map_or_else(at_rest, |kubelet| config(kubelet).ok())?;
        config["containerRuntimeEndpoint"].as_str().map(str::to_owned)
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
    let (version, status, images) =
        futures::join!(cri::version(&socket), cri::status(&socket), cri::images(&socket));
    match (version, status) {
        (Ok(version), Ok(cri::Status { conditions, sandbox_image })) => Runtime::Answers {
            version: version.to_string(),
            conditions,
            sandbox_image,
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
        let missing = kubelet(&["kubelet", "--config=/none.yaml"], &ours);
        assert!(matches!(missing.watched, StaticPodFolder::Unknown(_)));
    }

    #[test]
    fn a_kubeconfig_without_its_certificate_file_has_no_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let flag = format!("--kubeconfig={}", path("kubeconfig"));
        let has_credentials = || kubelet(&["kubelet", &flag], Path::new("/")).has_credentials;
        assert!(!has_credentials());
        let user = json!({"client-certificate": path("client.pem"), "client-key": path("client.pem")});
        fs::write(path("kubeconfig"), json!({"users": [{"name": "u", "user": user}]}).to_string()).unwrap();
        assert!(!has_credentials());
        fs::write(path("client.pem"), "PEM").unwrap();
        assert!(has_credentials());
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
