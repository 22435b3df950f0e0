//! What every machine starts from: Debian from its packages, Kubernetes' programs laid out as its
//! packages lay them, and a containerd root into which all images were imported once. A new machine
//! links its files, because importing 400 MB takes long.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{Cache, Fingerprint};
use crate::command::run;
use crate::error::{Error, Result};
use crate::image::{Image, Layout, kubernetes_images};
use crate::lab::Lab;
use crate::programs::Programs;
use crate::{files, progress};

/// Where the programs are on a machine, below /usr. They are one file.
const HYPERKUBE: &str = "local/lib/hyperkube";
/// Where Kubernetes' packages have them (etcd is in none), and the way from there to the one file.
/// It is a relative one, so that the host, too, can run the kubectl of a machine.
const TOOLS: &[(&str, &str)] = &[
    ("bin/kubeadm", "../local/lib/hyperkube"),
    ("bin/kubectl", "../local/lib/hyperkube"),
    ("bin/kubelet", "../local/lib/hyperkube"),
    ("local/bin/etcd", "../lib/hyperkube"),
];
/// The unit of kubelet's package, and the drop-in of kubeadm's.
const UNITS: &[(&str, &str)] = &[
    ("lib/systemd/system/kubelet.service", include_str!("machine/kubelet.service")),
    ("lib/systemd/system/kubelet.service.d/10-kubeadm.conf", include_str!("machine/10-kubeadm.conf")),
];
/// Makes Debian.
const BASE: &str = include_str!("machine/base.sh");
/// What a machine has besides Debian's minimal base, a name to a line.
const PACKAGES: &str = include_str!("machine/packages");

/// Everything built that machines are made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Debian.
    pub(crate) base: PathBuf,
    /// Laid over Debian's /usr.
    pub(crate) usr: PathBuf,
    /// A containerd root with all images; none while it is being made.
    pub(crate) store: Option<PathBuf>,
}

impl Parts {
    /// Builds what is not in the cache.
    pub fn build(cache: &Cache) -> Result<Self> {
        let base = Self::debian(cache)?;
        let programs = Programs::build(cache)?;
        let layout = UNITS.iter().fold(Fingerprint::default(), |all, (_, text)| all.part(text.as_bytes()));
        let digest = layout.part(format!("{TOOLS:?}{}", programs.digest).as_bytes()).finish();
        let usr = cache.entry("usr", &digest, |folder| make_usr(&programs, folder))?;
        let images = kubernetes_images(&programs)?;
        let images =
            cache.entry("images", &images_digest(&images)?, |folder| make_images(&images, folder))?;
        let digest = digest_of(&images.join("index.json"))?;
        let store = cache.entry("store", &digest, |folder| make_store(&base, &usr, &images, folder))?;
        Ok(Self { base, usr, store: Some(store) })
    }

    /// Debian alone, made when it is not in the cache.
    pub fn debian(cache: &Cache) -> Result<PathBuf> {
        let digest =
            [BASE, PACKAGES].iter().fold(Fingerprint::default(), |all, text| all.part(text.as_bytes()));
        cache.entry("base", &digest.finish(), make_base)
    }
}

fn make_base(folder: &Path) -> Result<()> {
    progress("making Debian from its packages");
    let script = folder.with_file_name("base.sh");
    files::write(&script, BASE.as_bytes(), 0o755)?;
    let packages = PACKAGES.split_whitespace().collect::<Vec<_>>().join(",");
    run(Command::new("bash").arg(&script).arg(folder).arg(packages)).map(drop)
}

fn make_usr(programs: &Programs, folder: &Path) -> Result<()> {
    let library = folder.join(HYPERKUBE);
    files::make_dir(&folder.join("local/lib"))?;
    fs::hard_link(&programs.hyperkube, &library).map_err(Error::file("link", &library))?;
    TOOLS.iter().try_for_each(|(name, program)| files::link(program, &folder.join(name)))?;
    UNITS.iter().try_for_each(|(path, text)| files::write(&folder.join(path), text.as_bytes(), 0o644))
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
fn make_store(base: &Path, usr: &Path, images: &Path, folder: &Path) -> Result<()> {
    progress("importing images");
    let parts = Parts { base: base.to_path_buf(), usr: usr.to_path_buf(), store: None };
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
