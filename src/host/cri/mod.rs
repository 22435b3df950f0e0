//! The container runtime, asked over its socket by the protocol that kubelet uses: CRI v1, a gRPC
//! service.
//!
//! A call is one message on a connection of its own (`rpc`). That needs HTTP/2 (`h2`) and protocol
//! buffers (`prost`), but neither generated code nor a gRPC framework. Only the fields that
//! bootkube uses are declared (`messages`); others are skipped. No call changes the state of the
//! runtime, except [`stop_sandbox`].

mod container;
mod messages;
mod rpc;

use std::path::{Path, PathBuf};

use serde_json::Value;

pub use container::{
    Container, ContainerStatus, Sandbox, State, container_status, containers, sandboxes, stop_sandbox,
};
pub use messages::{Condition, Version};
pub use rpc::Error;

use messages::{Images, Question, RawRuntimeStatus, StatusQuestion};
use rpc::ask;

/// Where runtimes usually listen.
pub const SOCKETS: [&str; 2] = ["/run/containerd/containerd.sock", "/run/crio/crio.sock"];

/// The runtime's socket, if it is at one of the usual paths.
pub fn usual_socket() -> Option<PathBuf> {
    SOCKETS.into_iter().map(PathBuf::from).find(|socket| socket.exists())
}

/// Name and version of the runtime at `socket`.
pub async fn version(socket: &Path) -> Result<Version, Error> {
    ask(socket, "/runtime.v1.RuntimeService/Version", &Question {}).await
}

/// The status of a runtime.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// What it can do.
    pub conditions: Vec<Condition>,
    /// The image that it makes pod sandboxes from, if it says. containerd 2 does not.
    pub sandbox_image: Option<String>,
    /// Whether it leaves control groups to systemd, if it says. kubelet must do the same, unless it
    /// takes the runtime's word ([`tells_cgroup_driver`]).
    pub uses_systemd: Option<bool>,
}

/// The status of the runtime at `socket`.
pub async fn status(socket: &Path) -> Result<Status, Error> {
    let question = StatusQuestion { verbose: true };
    let raw: RawRuntimeStatus = ask(socket, "/runtime.v1.RuntimeService/Status", &question).await?;
    let config = raw.info.get("config").and_then(|config| serde_json::from_str::<Value>(config).ok());
    Ok(Status {
        conditions: raw.status.unwrap_or_default().conditions,
        sandbox_image: config.as_ref().and_then(sandbox_image),
        uses_systemd: config.as_ref().and_then(uses_systemd),
    })
}

/// From the runtime's own configuration, in which kubeadm looks for it, too.
fn sandbox_image(config: &Value) -> Option<String> {
    config["sandboxImage"].as_str().filter(|image| !image.is_empty()).map(str::to_owned)
}

/// From the options of the runtime that pods get. containerd's default is not systemd.
fn uses_systemd(config: &Value) -> Option<bool> {
    let name = config["containerd"]["defaultRuntimeName"].as_str()?;
    let options = &config["containerd"]["runtimes"].get(name)?["options"];
    Some(options["SystemdCgroup"] == true)
}

/// Whether kubelet takes the driver of control groups from the runtime, whatever its own
/// configuration says. containerd answers this since 2.0.
pub async fn tells_cgroup_driver(socket: &Path) -> Result<bool, Error> {
    match ask::<Question>(socket, "/runtime.v1.RuntimeService/RuntimeConfig", &Question {}).await {
        Ok(_) => Ok(true),
        Err(Error::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The images in the runtime, by tag and by digest.
pub async fn images(socket: &Path) -> Result<Vec<String>, Error> {
    let found: Images = ask(socket, "/runtime.v1.ImageService/ListImages", &Question {}).await?;
    Ok(found.images.into_iter().flat_map(|image| image.tags.into_iter().chain(image.digests)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_image_of_sandboxes_is_in_the_runtimes_configuration() {
        let told = json!({"sandboxImage": "registry.k8s.io/pause:3.8", "registry": {"configPath": ""}});
        assert_eq!(sandbox_image(&told).as_deref(), Some("registry.k8s.io/pause:3.8"));
        for silent in [json!({"sandboxImage": ""}), json!({"containerd": {}}), json!(5)] {
            assert_eq!(sandbox_image(&silent), None);
        }
    }

    #[test]
    fn the_driver_of_control_groups_is_that_of_the_default_runtime() {
        let told = |options: &Value| {
            uses_systemd(
                &json!({"containerd": {"defaultRuntimeName": "runc", "runtimes": {"runc": {"options": options}}}}),
            )
        };
        assert_eq!(told(&json!({"SystemdCgroup": true})), Some(true));
        assert_eq!(told(&json!({"SystemdCgroup": false})), Some(false));
        assert_eq!(told(&Value::Null), Some(false));
        assert_eq!(uses_systemd(&json!({"containerd": {"defaultRuntimeName": "kata"}})), None);
    }

    #[tokio::test]
    async fn a_socket_without_a_listener_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("runtime.sock");
        let error = version(&socket).await.unwrap_err();
        assert!(
            matches!(error, Error::Connect { .. }) && error.to_string().contains("runtime.sock"),
            "{error}"
        );
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(matches!(version(&socket).await.unwrap_err(), Error::Connect { .. }));
    }
}
