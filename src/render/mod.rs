//! Renders a configuration and its secrets into the files of an asset directory. Pure: the same
//! input gives the same bytes.
//!
//! An object starts as base YAML (`manifests/`, `controller-manifests/`), is parsed into a
//! Kubernetes type, and is changed as that type. A bootstrap pod starts as the pod template of its
//! self-hosted component, and the patches in `bootstrap-manifests/` change it. `Manifests` labels,
//! checksums, patches and writes every object in the same way. No object is made from a text
//! template.

mod addons;
mod args;
mod base;
mod bootstrap;
mod control_plane;
mod customize;
mod error;
mod finished;
mod kubeconfig;
mod manifests;
mod objects;
mod tokens;

use crate::assets::Assets;
use crate::bundle;
use crate::config::{ClusterConfig, Etcd, Networking};
use crate::pki::Bundle;
pub(crate) use bootstrap::{file as bootstrap_file, recovered_pod};
pub use error::Error;
use manifests::Manifests;
pub(crate) use objects::FACTS;
pub use tokens::{Tokens, earlier as earlier_tokens};

/// Every file of the asset directory.
///
/// # Errors
/// If a patch of the configuration does not fit the object that it names, or if a finished object
/// cannot do its work.
pub fn render(config: &ClusterConfig, bundle: &Bundle) -> Result<Assets, Error> {
    let mut manifests = Manifests::new(config);
    credentials(config, bundle, &mut manifests);
    bundles(config, bundle, &mut manifests);
    tokens::add(bundle, &mut manifests)?;
    objects::kubelet_bootstrap(&mut manifests)?;
    control_plane::apiserver(config, bundle, &mut manifests)?;
    control_plane::controller_manager(config, bundle, &mut manifests)?;
    control_plane::scheduler(config, bundle, &mut manifests)?;
    control_plane::agent(config, bundle, &mut manifests)?;
    addons::proxy(config, bundle, &mut manifests)?;
    addons::core_dns(config, &mut manifests)?;
    if config.networking == Networking::Flannel {
        addons::flannel(config, &mut manifests)?;
    }
    if config.etcd == Etcd::StaticPod {
        control_plane::etcd(config, &mut manifests)?;
    }
    objects::cluster_facts(config, &mut manifests)?;
    manifests.finish()
}

/// Keys, certificates and kubeconfigs.
fn credentials(config: &ClusterConfig, bundle: &Bundle, manifests: &mut Manifests) {
    for (path, pem) in &bundle.files {
        manifests.file(format!("tls/{path}"), pem.clone());
    }
    manifests.file(format!("tls/{}", objects::AUTHENTICATION_FILE), objects::AUTHENTICATION);
    manifests.file("auth/kubeconfig", kubeconfig::admin(config, bundle));
    manifests.file("auth/kubeconfig-kubelet", kubeconfig::kubelet(config, bundle));
}

/// What each machine of the list gets.
fn bundles(config: &ClusterConfig, bundle: &Bundle, manifests: &mut Manifests) {
    for node in &config.nodes {
        let Some(token) = bundle.node_tokens.get(&node.name) else { continue };
        let kubeconfig = kubeconfig::of_node(config, token);
        for (path, content) in bundle::render(config, node, kubeconfig, bundle.get("ca.crt")) {
            manifests.file(format!("nodes/{}/{path}", node.name), content);
        }
    }
}
