//! Collects the rendered files. Every object passes here: it is labelled, patched, checksummed and
//! written as YAML.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec, Secret, Volume};
use sha2::{Digest, Sha256};

use super::Error;
use super::base::Base;
use super::customize::{self, Object};
use super::finished::{self, Contents, History, Subject};
use crate::FIELD_MANAGER;
use crate::assets::Assets;
use crate::config::{ClusterConfig, Component};
use crate::finding::{Finding, Findings};

/// Annotation of a pod template: digest of the Secrets and ConfigMaps that it mounts. A change of
/// it starts a rollout.
pub const CHECKSUM: &str = "bootkube.dev/checksum";

/// The files of an asset directory that have been rendered so far.
pub struct Manifests<'a> {
    config: &'a ClusterConfig,
    assets: Assets,
    digests: BTreeMap<(&'static str, String), Vec<u8>>,
    contents: Contents,
    /// What is wrong with finished objects.
    findings: Vec<Finding>,
    /// Patches of the configuration that were applied to an object.
    applied: Vec<(Component, usize)>,
}

impl<'a> Manifests<'a> {
    /// No files yet.
    pub fn new(config: &'a ClusterConfig) -> Self {
        Self {
            config,
            assets: Assets::default(),
            digests: BTreeMap::new(),
            contents: Contents::new(),
            findings: Vec::new(),
            applied: Vec::new(),
        }
    }

    /// Adds a file that is not an object.
    pub fn file(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.assets.insert(path, content);
    }

    /// Adds an object of `component` under `path`.
    pub fn add<T: Object>(&mut self, path: &str, component: Component, object: T) -> Result<(), Error> {
        let object = self.finish_object(component, object)?;
        self.file(path, customize::to_yaml(&object));
        Ok(())
    }

    /// Labels the object, applies the user's patches, and looks at the result.
    fn finish_object<T: Object>(&mut self, component: Component, mut object: T) -> Result<T, Error> {
        let labels = object.metadata_mut().labels.get_or_insert_default();
        labels.insert("app.kubernetes.io/managed-by".to_owned(), FIELD_MANAGER.to_owned());
        let changes = self.config.component(component);
        let mut history = History::new(customize::to_value(&object));
        for (index, patch) in changes.patches.iter().enumerate().filter(|(_, patch)| patch.kind == T::KIND) {
            object = customize::patch(object, patch).map_err(|problem| Error::Patch {
                component: component.name(),
                index,
                problem,
            })?;
            self.applied.push((component, index));
            history.add(index, customize::to_value(&object));
        }
        let has_own_image = self.config.has_own_image(component);
        let subject = Subject { component, changes: &changes, contents: &self.contents, has_own_image };
        self.findings.extend(finished::findings(&subject, &history));
        Ok(object)
    }

    /// Adds a base manifest as it is.
    pub fn add_base<T: Object>(&mut self, component: Component, base: &Base) -> Result<(), Error> {
        self.add(&format!("manifests/{}", base.file_name()), component, base.parse::<T>())
    }

    /// Adds a Secret. Pod templates that mount it get its digest.
    pub fn add_secret(&mut self, path: &str, component: Component, secret: Secret) -> Result<(), Error> {
        let secret = self.finish_object(component, secret)?;
        let entries = secret.data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice()));
        self.remember("Secret", secret.metadata.name.as_deref(), entries);
        self.file(path, customize::to_yaml(&secret));
        Ok(())
    }

    /// Adds a ConfigMap. Pod templates that mount it get its digest.
    pub fn add_config_map(&mut self, path: &str, component: Component, map: ConfigMap) -> Result<(), Error> {
        let map = self.finish_object(component, map)?;
        let entries = map.data.iter().flatten().map(|(key, value)| (key.as_str(), value.as_bytes()));
        self.remember("ConfigMap", map.metadata.name.as_deref(), entries);
        self.file(path, customize::to_yaml(&map));
        Ok(())
    }

    /// Annotates a pod template with the digest of what it mounts, which must have been added
    /// before.
    pub fn stamp(&self, template: &mut PodTemplateSpec) {
        let volumes = template.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let mut digest = Sha256::new();
        let mut used = false;
        for key in volumes.filter_map(source) {
            if let Some(data) = self.digests.get(&key) {
                digest.update(data);
                used = true;
            }
        }
        if used {
            let annotations = template.metadata.get_or_insert_default().annotations.get_or_insert_default();
            annotations.insert(CHECKSUM.to_owned(), hex(&digest.finalize()));
        }
    }

    /// All files.
    ///
    /// # Errors
    /// If a patch names a kind of which this component has no object, or a finished object cannot do
    /// its work.
    pub fn finish(self) -> Result<Assets, Error> {
        let rendered =
            self.config.components.iter().filter(|(component, _)| self.config.renders(**component));
        for (component, changes) in rendered {
            for (index, patch) in changes.patches.iter().enumerate() {
                if !self.applied.contains(&(*component, index)) {
                    let problem =
                        format!("kind {}: this component has no such object; name another kind", patch.kind);
                    return Err(Error::Patch { component: component.name(), index, problem });
                }
            }
        }
        match finished::once(self.findings) {
            findings if findings.is_empty() => Ok(self.assets),
            findings => Err(Error::Unfit(Findings(findings))),
        }
    }

    fn remember<'d>(
        &mut self,
        kind: &'static str,
        name: Option<&str>,
        entries: impl Iterator<Item = (&'d str, &'d [u8])>,
    ) {
        let mut digest = Sha256::new();
        let mut names = BTreeSet::new();
        for (key, value) in entries {
            names.insert(key.to_owned());
            digest.update((key.len() as u64).to_be_bytes());
            digest.update(key);
            digest.update((value.len() as u64).to_be_bytes());
            digest.update(value);
        }
        let key = (kind, name.unwrap_or_default().to_owned());
        self.contents.insert(key.clone(), names);
        self.digests.insert(key, digest.finalize().to_vec());
    }
}

/// The Secret or ConfigMap behind a volume.
fn source(volume: &Volume) -> Option<(&'static str, String)> {
    let secret = volume.secret.as_ref().and_then(|source| source.secret_name.clone());
    let map = volume.config_map.as_ref().map(|source| source.name.clone());
    secret.map(|name| ("Secret", name)).or_else(|| map.map(|name| ("ConfigMap", name)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
