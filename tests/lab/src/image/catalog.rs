//! Which images there are: those of a Kubernetes release under their own names, and one to test
//! with. Only the last one holds a shell, and those that tests make of a program.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Capability, Layer};
use crate::command::run;
use crate::error::{Error, Result};
use crate::programs::{PAUSE, Programs};

const REGISTRY: &str = "registry.k8s.io";
const HYPERKUBE: &str = "/usr/local/lib/hyperkube";
/// What the test image's shell can call by name.
const APPLETS: &[&str] =
    &["cat", "env", "httpd", "id", "ls", "nc", "nslookup", "sh", "sleep", "true", "wget"];

/// An image to be.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Image {
    pub reference: String,
    pub entrypoint: Vec<String>,
    pub user: String,
    pub layers: Vec<Layer>,
}

impl Image {
    fn new(reference: String, layers: Vec<Layer>) -> Self {
        Self { reference, entrypoint: Vec::new(), user: String::new(), layers }
    }

    fn entrypoint(self, program: &str) -> Self {
        Self { entrypoint: vec![program.to_owned()], ..self }
    }

    /// bootkube itself: the binary at /bootkube and nothing else.
    pub fn bootkube(reference: &str, binary: &Path) -> Self {
        Self::new(reference.to_owned(), vec![Layer::default().file("/bootkube", binary)])
    }

    /// An image that runs `program`, and has the test image's shell beside it.
    pub fn with_shell(reference: &str, program: &Path) -> Self {
        let layers = vec![shell(), Layer::default().file("/program", program)];
        Self::new(reference.to_owned(), layers).entrypoint("/program")
    }
}

/// Everything a cluster needs under the names that are rendered by default, and busybox.
pub fn kubernetes_images(programs: &Programs) -> Result<Vec<Image>> {
    let Programs { kubernetes_version, etcd_version, coredns_version, .. } = programs;
    let hyperkube = Layer::default().file(HYPERKUBE, &programs.hyperkube);
    let component = |image: String, name: &str| {
        let link = Layer::default().link(&format!("/usr/local/bin/{name}"), HYPERKUBE);
        Image::new(format!("{REGISTRY}/{image}"), vec![hyperkube.clone(), link])
    };
    let kubernetes = |name: &str| component(format!("{name}:{kubernetes_version}"), name);
    let mut proxy = kubernetes("kube-proxy");
    proxy.layers.push(packet_filter_tools()?);
    let coredns = Layer::default().file_with("/coredns", &programs.coredns, Capability::NetBindService);
    let coredns = Image::new(format!("{REGISTRY}/coredns/coredns:{coredns_version}"), vec![coredns]);
    let pause = Layer::default().file("/pause", &programs.pause);
    Ok(vec![
        kubernetes("kube-apiserver"),
        kubernetes("kube-controller-manager"),
        kubernetes("kube-scheduler"),
        proxy,
        component(format!("etcd:{etcd_version}-0"), "etcd"),
        Image { user: "65532:65532".into(), ..coredns.entrypoint("/coredns") },
        Image::new(format!("{REGISTRY}/pause:{PAUSE}"), vec![pause]).entrypoint("/pause"),
        busybox(),
    ])
}

fn busybox() -> Image {
    Image::new("docker.io/library/busybox:1.36".into(), vec![shell()])
}

fn shell() -> Layer {
    let programs = Layer::default().file("/bin/busybox", "/bin/busybox");
    APPLETS.iter().fold(programs, |layer, name| layer.link(&format!("/bin/{name}"), "/bin/busybox"))
}

/// Names of protocols, as the released image of kube-proxy has them. Without, nft lists `6` for `tcp`,
/// and kube-proxy deletes the rules of every Service that it does not recognize.
const PROTOCOLS: &str = "/etc/protocols";

/// nft and conntrack with the libraries that they link, each where the program looks for it.
fn packet_filter_tools() -> Result<Layer> {
    let names = Layer::default().file(PROTOCOLS, PROTOCOLS);
    ["nft", "conntrack"].iter().try_fold(names, |layer, name| {
        let program = on_path(name)?;
        let libraries = run(Command::new("ldd").arg(&program))?;
        let layer = layer.file(&format!("/usr/sbin/{name}"), program);
        Ok(library_paths(&libraries).fold(layer, |layer, path| layer.file(path, path)))
    })
}

/// The absolute paths in what ldd prints.
fn library_paths(listed: &str) -> impl Iterator<Item = &str> {
    listed.split_whitespace().filter(|word| word.starts_with('/'))
}

fn on_path(program: &str) -> Result<PathBuf> {
    let folders = crate::process::PATH.split(':').map(|folder| Path::new(folder).join(program));
    folders.into_iter().find(|path| path.exists()).ok_or_else(|| Error::Start {
        command: program.to_owned(),
        source: std::io::ErrorKind::NotFound.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_taken_from_ldd_with_and_without_an_arrow() {
        let listed =
            "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x2)\n\t/lib64/ld.so.2 (0x3)\n";
        assert_eq!(library_paths(listed).collect::<Vec<_>>(), ["/lib/x/libc.so.6", "/lib64/ld.so.2"]);
    }
}
