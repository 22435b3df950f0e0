//! One configuration, as far as no other program is needed: validated, rendered, read back.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bootkube::assets::Assets;
use bootkube::assets::load::{Layout, load};
use bootkube::config::{ClusterConfig, Flags, resolve};
use bootkube::finding::Findings;
use bootkube::{pki, render, yaml};
use serde_json::Value;
use time::OffsetDateTime;

use crate::configurations::{Configuration, Generator};

const FILE: &str = "cluster.yaml";

pub struct Case {
    pub seed: u64,
    pub index: u64,
    pub text: String,
    /// Whether each address family is IPv4, the first one first.
    pub families: Vec<bool>,
}

/// A configuration that `config validate` accepts, and what `render` makes of it.
pub struct Accepted {
    pub case: Case,
    pub config: ClusterConfig,
    pub assets: Assets,
    /// Objects and static pods, as `start` reads them.
    pub objects: Vec<Value>,
}

impl Case {
    pub fn new(seed: u64, index: u64) -> Self {
        let Configuration { fields, families } = Generator::new(seed, index).configuration();
        Self { seed, index, text: yaml::write(&fields), families }
    }

    /// A problem of this configuration, for a message.
    pub fn problem(&self, what: &str) -> String {
        format!("BOOTKUBE_SEED={}, configuration {}: {what}\n{}", self.seed, self.index, self.text)
    }

    /// Whether it is accepted, and what it becomes. An error is a mistake of bootkube's.
    pub fn judge(self, root: &Path) -> Result<Option<Accepted>, String> {
        match catch_unwind(AssertUnwindSafe(|| self.accepted())) {
            Ok(Ok(Some((config, assets)))) => self.read(config, assets, root).map(Some),
            Ok(Ok(None)) => Ok(None),
            Ok(Err(problem)) => Err(self.problem(&problem)),
            Err(_) => Err(self.problem("it makes bootkube panic")),
        }
    }

    /// What `config validate` and `render` do.
    fn accepted(&self) -> Result<Option<(ClusterConfig, Assets)>, String> {
        let config = match resolve(Flags::default(), Some((FILE, &self.text))) {
            Ok((config, _)) => config,
            Err(findings) => return helpful(&findings).map(|()| None),
        };
        let (bundle, _) = pki::validate(&config, OffsetDateTime::now_utc())
            .map_err(|error| format!("no file is supplied, and yet: {error:?}"))?;
        match render::render(&config, &bundle) {
            Ok(assets) => Ok(Some((config, assets))),
            Err(error) => {
                let said = error.to_string();
                let named = said.contains("components.");
                if named { Ok(None) } else { Err(format!("refused without its field: {said}")) }
            }
        }
    }

    fn read(self, config: ClusterConfig, assets: Assets, root: &Path) -> Result<Accepted, String> {
        let folder = root.join(self.index.to_string());
        write(&assets, &folder);
        let read = load(&folder);
        fs::remove_dir_all(&folder).unwrap();
        let layout = read.map_err(|findings| self.problem(&format!("start refuses it: {findings}")))?;
        if !layout.warnings.is_empty() {
            return Err(self.problem(&format!("start warns: {:?}", layout.warnings)));
        }
        Ok(Accepted { case: self, config, assets, objects: objects(layout) })
    }
}

/// Whether every finding names file, field and cure.
fn helpful(Findings(findings): &Findings) -> Result<(), String> {
    let lacks = findings.iter().find(|finding| {
        let names_field = finding.field.strip_prefix(FILE).is_some_and(|field| field.len() > 2);
        !names_field || finding.problem.is_empty() || finding.cure.is_empty()
    });
    match (findings.is_empty(), lacks) {
        (true, _) => Err("refused without a finding".into()),
        (false, Some(finding)) => Err(format!("a finding that does not help: {finding:?}")),
        (false, None) => Ok(()),
    }
}

/// Writes files as `render` does, but for what makes it safe.
pub fn write(assets: &Assets, folder: &Path) {
    for (path, content) in &assets.files {
        let path: PathBuf = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

fn objects(layout: Layout) -> Vec<Value> {
    let pods = layout.bootstrap_manifests.into_iter().chain(layout.controller_manifests);
    layout.objects.into_iter().map(|object| object.value).chain(pods.map(|pod| pod.value)).collect()
}
