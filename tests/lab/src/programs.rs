//! The programs that Debian does not package, built from Go modules of pinned versions. The version numbers are read from
//! go.mod, so that they are written down once.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{Cache, Fingerprint};
use crate::command::run;
use crate::error::{Error, Result};
use crate::{files, progress, sources};

/// The folder below `tests/lab/kubernetes` that is used unless another is asked for.
pub const KUBERNETES: &str = "v1.36";
/// The version the pause image calls itself, the one that kubeadm of this Kubernetes version uses.
pub const PAUSE: &str = "3.10.2";

/// Everything built, and what version it is.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Programs {
    pub hyperkube: PathBuf,
    pub coredns: PathBuf,
    pub pause: PathBuf,
    pub kubernetes_version: String,
    pub etcd_version: String,
    pub coredns_version: String,
    /// Changes when any of the programs does.
    pub digest: String,
}

impl Programs {
    /// Builds what is not in the cache: about six minutes for the first time on two cores.
    pub fn build(cache: &Cache) -> Result<Self> {
        let kubernetes = Module::open(&format!("kubernetes/{KUBERNETES}"))?;
        let coredns = Module::open("coredns")?;
        let pause = Module::open("pause")?;
        let kubernetes_version = kubernetes.version_of("k8s.io/kubernetes")?;
        let built = [
            kubernetes.build(cache, "hyperkube", &version_flags(&kubernetes_version))?,
            coredns.build(cache, "coredns", "")?,
            pause.build(cache, "pause", "")?,
        ];
        let digest =
            built.iter().fold(Fingerprint::default(), |all, (_, digest)| all.part(digest.as_bytes()));
        let [hyperkube, coredns_program, pause] = built.map(|(program, _)| program);
        Ok(Self {
            hyperkube,
            coredns: coredns_program,
            pause,
            etcd_version: kubernetes.version_of("go.etcd.io/etcd/server/v3")?.trim_start_matches('v').into(),
            coredns_version: coredns.version_of("github.com/coredns/coredns")?,
            kubernetes_version,
            digest: digest.finish(),
        })
    }
}

/// The program that asks an API server over kept connections, built when it is not in the cache.
pub(crate) fn keepalive(cache: &Cache) -> Result<PathBuf> {
    Module::open("keepalive")?.build(cache, "keepalive", "").map(|(program, _)| program)
}

/// The program that saves and restores snapshots of etcd, built when it is not in the cache.
pub fn etcd_snapshot(cache: &Cache) -> Result<PathBuf> {
    Module::open("snapshot")?.build(cache, "etcd-snapshot", "").map(|(program, _)| program)
}

/// Without these the components call themselves v0.0.0 and refuse each other.
fn version_flags(version: &str) -> String {
    let package = "k8s.io/component-base/version";
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    format!(
        "-X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean"
    )
}

/// A folder with a main package of ours.
struct Module {
    folder: PathBuf,
    requirements: String,
}

impl Module {
    fn open(below: &str) -> Result<Self> {
        let folder = sources().join(below);
        let requirements = files::read_text(&folder.join("go.mod"))?;
        Ok(Self { folder, requirements })
    }

    fn version_of(&self, module: &str) -> Result<String> {
        required_version(&self.requirements, module).ok_or_else(|| Error::Parse {
            path: self.folder.join("go.mod"),
            reason: format!("it does not require {module}"),
        })
    }

    /// The program and the digest of its sources.
    fn build(&self, cache: &Cache, name: &str, linker_flags: &str) -> Result<(PathBuf, String)> {
        let flags = ["-trimpath", "-ldflags", &format!("-s -w {linker_flags}")].map(str::to_owned);
        let digest = self.digest(&flags)?;
        let entry = cache.entry(name, &digest, |folder| {
            progress(&format!("building {name}; the first time takes minutes"));
            self.compile(&flags, &folder.join(name))
        })?;
        Ok((entry.join(name), digest))
    }

    fn compile(&self, flags: &[String], program: &Path) -> Result<()> {
        let mut go = Command::new("go");
        go.arg("build").args(flags).arg("-o").arg(program).arg(".");
        run(go.current_dir(&self.folder).env("CGO_ENABLED", "0")).map(drop)
    }

    fn digest(&self, flags: &[String]) -> Result<String> {
        let go = run(Command::new("go").arg("version"))?;
        let mut digest = Fingerprint::default().part(go.as_bytes());
        for flag in flags {
            digest = digest.part(flag.as_bytes());
        }
        for file in ["go.mod", "go.sum", "main.go"] {
            let path = self.folder.join(file);
            if path.exists() {
                digest = digest.file(&path)?;
            }
        }
        Ok(digest.finish())
    }
}

/// The version in a `require` line of go.mod; lines of `replace` hold `=>`.
fn required_version(requirements: &str, module: &str) -> Option<String> {
    let lines = requirements.lines().filter(|line| !line.contains("=>"));
    let mut words = lines.map(|line| line.trim().trim_start_matches("require ").split_whitespace());
    words.find_map(|mut line| if line.next() == Some(module) { line.next().map(str::to_owned) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_requirements_and_not_from_replacements() {
        let text = "module m\n\nrequire one v1.0.0\nrequire (\n\ttwo v2.3.4 // indirect\n)\nreplace three => three v9\n";
        assert_eq!(required_version(text, "one").as_deref(), Some("v1.0.0"));
        assert_eq!(required_version(text, "two").as_deref(), Some("v2.3.4"));
        assert_eq!(required_version(text, "three"), None);
    }

    #[test]
    fn the_linker_is_told_major_and_minor_version() {
        let flags = version_flags("v1.36.3");
        assert!(flags.contains("gitMajor=1 ") && flags.contains("gitMinor=36 "), "{flags}");
    }
}
