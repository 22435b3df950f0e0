//! The objects that a pod names, which the agent must read for a copy.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Pod, Volume};

/// Names of objects in the namespace of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Secrets.
    pub secrets: BTreeSet<String>,
    /// ConfigMaps.
    pub config_maps: BTreeSet<String>,
}

/// What a copy of `pod` is made of. Image pull secrets are left out, because a copy cannot use
/// them.
pub fn needs(pod: &Pod) -> Needs {
    let mut needs = Needs::default();
    let Some(spec) = &pod.spec else { return needs };
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        needs.container(container);
    }
    for volume in spec.volumes.iter().flatten() {
        needs.volume(volume);
    }
    needs
}

impl Needs {
    fn secret(&mut self, name: Option<&String>) {
        self.secrets.extend(name.cloned());
    }

    fn config_map(&mut self, name: Option<&String>) {
        self.config_maps.extend(name.cloned());
    }

    fn container(&mut self, container: &Container) {
        for from in container.env_from.iter().flatten() {
            self.secret(from.secret_ref.as_ref().map(|source| &source.name));
            self.config_map(from.config_map_ref.as_ref().map(|source| &source.name));
        }
        for from in container.env.iter().flatten().filter_map(|env| env.value_from.as_ref()) {
            self.secret(from.secret_key_ref.as_ref().map(|source| &source.name));
            self.config_map(from.config_map_key_ref.as_ref().map(|source| &source.name));
        }
    }

    fn volume(&mut self, volume: &Volume) {
        if super::volumes::is_unasked_token(volume) {
            return;
        }
        self.secret(volume.secret.as_ref().and_then(|source| source.secret_name.as_ref()));
        self.config_map(volume.config_map.as_ref().map(|source| &source.name));
        let projected = volume.projected.as_ref().and_then(|projected| projected.sources.as_ref());
        for source in projected.into_iter().flatten() {
            self.secret(source.secret.as_ref().map(|source| &source.name));
            self.config_map(source.config_map.as_ref().map(|source| &source.name));
        }
    }
}
