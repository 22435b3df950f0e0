//! What every machine starts from: programs in /usr/local, and a containerd root into which all
//! images were imported once. A new machine links its files, because importing 400 MB takes long.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::{Cache, Fingerprint};
use crate::error::{Error, Result};
use crate::image::{Image, Layout, kubernetes_images};
use crate::lab::Lab;
use crate::programs::Programs;
use crate::{files, progress};

/// What the programs are called on a machine.
const TOOLS: &[&str] = &["etcd", "kubeadm", "kubectl", "kubelet"];

/// Everything built that machines are made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Laid over the host's /usr.
    pub(crate) usr: PathBuf,
    /// A containerd root with all images; none while it is being made.
    pub(crate) store: Option<PathBuf>,
}

impl Parts {
    /// Builds what is not in the cache.
    pub fn build(cache: &Cache) -> Result<Self> {
        let programs = Programs::build(cache)?;
        let usr = cache.entry("usr", &programs.digest, |folder| make_usr(&programs, folder))?;
        let images = kubernetes_images(&programs)?;
        let images =
            cache.entry("images", &images_digest(&images)?, |folder| make_images(&images, folder))?;
        let digest = digest_of(&images.join("index.json"))?;
        let store = cache.entry("store", &digest, |folder| make_store(&usr, &images, folder))?;
        Ok(Self { usr, store: Some(store) })
    }
}

fn make_usr(programs: &Programs, folder: &Path) -> Result<()> {
    let library = folder.join("local/lib/hyperkube");
    files::make_dir(&folder.join("local/lib"))?;
    fs::hard_link(&programs.hyperkube, &library).map_err(Error::file("link", &library))?;
    TOOLS.iter().try_for_each(|name| files::link("../lib/hyperkube", &folder.join("local/bin").join(name)))
}

/// Of what goes into the images, the host's own files among it.
fn images_digest(images: &[Image]) -> Result<String> {
    let mut layers = images.iter().flat_map(|image| &image.layers);
    let names = Fingerprint::default().part(format!("{images:?}").as_bytes());
    layers.try_fold(names, |digest, layer| layer.fingerprint(digest)).map(Fingerprint::finish)
}

fn make_images(images: &[Image], folder: &Path) -> Result<()> {
    progress("making images");
    let mut layout = Layout::create(folder)?;
    images.iter().try_for_each(|image| layout.add(image))?;
    layout.finish()
}

fn digest_of(path: &Path) -> Result<String> {
    Ok(Fingerprint::default().file(path)?.finish())
}

/// Imports the images on a machine of a lab of its own, and keeps that machine's containerd root.
/// That lab is always in the same folder, so that the next one ends what a killed one left.
fn make_store(usr: &Path, images: &Path, folder: &Path) -> Result<()> {
    progress("importing images");
    let parts = Parts { usr: usr.to_path_buf(), store: None };
    let lab = Lab::of_parts(&folder.with_file_name("importer"), 1, &parts)?;
    let machine = lab.machine("n1")?;
    machine.import_layout(images)?;
    machine.power_cut()?;
    let root = machine.home().join("root/var/lib/containerd");
    for entry in fs::read_dir(&root).map_err(Error::file("list", &root))? {
        let from = entry.map_err(Error::file("list", &root))?.path();
        let to = folder.join(from.file_name().unwrap_or_default());
        fs::rename(&from, &to).map_err(Error::file("keep", &to))?;
    }
    lab.down()
}
