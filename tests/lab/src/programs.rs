//! The programs that Debian does not package, built from Go modules of pinned versions. The version
//! numbers are read from go.mod, so that they are written down once. `programs.sh` compiles: the
//! Makefile starts it beside cargo.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::cache::{Cache, Fingerprint};
use crate::command::run;
use crate::error::{Error, Result};
use crate::{files, progress, sources};

/// Compiles a program.
const SCRIPT: &str = "programs.sh";
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
    /// Builds what is not in the cache: about five minutes for the first time on two cores.
    pub fn build(cache: &Cache) -> Result<Self> {
        let kubernetes = Module::open("kubernetes/v1.36")?;
        let coredns = Module::open("coredns")?;
        let pause = Module::open("pause")?;
        let kubernetes_version = kubernetes.version_of("k8s.io/kubernetes")?;
        let built = [
            kubernetes.build(cache, "hyperkube")?,
            coredns.build(cache, "coredns")?,
            pause.build(cache, "pause")?,
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

/// A program beside those of a cluster, built when it is not in the cache: one that has a folder
/// below `tests/lab`, or crictl, etcdctl or etcdutl, which share one.
pub fn tool(cache: &Cache, name: &str) -> Result<PathBuf> {
    let folder = if sources().join(name).exists() { name } else { "tools" };
    Module::open(folder)?.build(cache, name).map(|(program, _)| program)
}

/// `go` with the flags of the lab's programs, in a folder below `tests/lab`: packages that those
/// use are not compiled again.
pub fn go(below: &str) -> Command {
    let mut go = Command::new(sources().join("go"));
    go.current_dir(sources().join(below));
    go
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
    fn build(&self, cache: &Cache, name: &str) -> Result<(PathBuf, String)> {
        let digest = self.digest()?;
        let entry = cache.entry(name, &digest, |folder| {
            progress(&format!("building {name}, which takes minutes if it is not compiled yet"));
            let built = cache.compiled();
            run(Command::new(sources().join(SCRIPT)).arg(&built).arg(name))?;
            let program = folder.join(name);
            // Not a link: Go dates its file anew whenever it finds it up to date, and images go by dates.
            fs::copy(built.join(name), &program).map(drop).map_err(Error::file("copy to", &program))
        })?;
        Ok((entry.join(name), digest))
    }

    fn digest(&self) -> Result<String> {
        let go = run(go(".").arg("version"))?;
        let mut digest = Fingerprint::default().part(go.as_bytes());
        let scripts = ["go", SCRIPT].map(|script| sources().join(script));
        let ours = ["go.mod", "go.sum", "main.go"].map(|file| self.folder.join(file));
        for path in scripts.iter().chain(&ours).filter(|path| path.exists()) {
            digest = digest.file(path)?;
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
}
