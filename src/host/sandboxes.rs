//! Pods as the container runtime has them: which run that came from files, and an end to one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use prost::Message;

use super::cri::{Error, ask};

/// Where runtimes usually listen.
const SOCKETS: [&str; 2] = ["/run/containerd/containerd.sock", "/run/crio/crio.sock"];
/// Says where kubelet has a pod from.
const SOURCE: &str = "kubernetes.io/config.source";
/// State of one that has not been stopped.
const READY: i32 = 0;

/// A pod that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The runtime's name for it.
    pub id: String,
    /// `namespace/name`.
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Name {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

#[derive(Clone, PartialEq, Message)]
struct Listed {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    name: Option<Name>,
    #[prost(int32, tag = "3")]
    state: i32,
    #[prost(map = "string, string", tag = "6")]
    annotations: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    sandboxes: Vec<Listed>,
}

#[derive(Clone, PartialEq, Message)]
struct All {}

#[derive(Clone, PartialEq, Message)]
struct Stop {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct Stopped {}

/// The runtime's socket, if there is one where they usually are.
pub fn socket() -> Option<PathBuf> {
    SOCKETS.into_iter().map(PathBuf::from).find(|socket| socket.exists())
}

/// Static pods that run.
pub async fn static_pods(socket: &Path) -> Result<Vec<Sandbox>, Error> {
    let list: List = ask(socket, "/runtime.v1.RuntimeService/ListPodSandbox", &All {}).await?;
    let runs = |listed: &Listed| {
        listed.state == READY && listed.annotations.get(SOURCE).is_some_and(|source| source == "file")
    };
    let sandbox = |Listed { id, name, .. }: Listed| {
        let Name { name, namespace } = name.unwrap_or_default();
        Sandbox { id, name: format!("{namespace}/{name}") }
    };
    Ok(list.sandboxes.into_iter().filter(runs).map(sandbox).collect())
}

/// Stops a pod with all that runs in it. One that has stopped already is fine.
pub async fn stop(socket: &Path, id: &str) -> Result<(), Error> {
    let stop = Stop { id: id.to_owned() };
    let _: Stopped = ask(socket, "/runtime.v1.RuntimeService/StopPodSandbox", &stop).await?;
    Ok(())
}
