//! An OCI image layout: blobs by digest, one index with every image under its name.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Image, Layer};
use crate::cache::hex;
use crate::error::{Error, Result};
use crate::files;

/// A folder in the OCI image layout.
#[derive(Debug)]
pub struct Layout {
    folder: PathBuf,
    manifests: Vec<Value>,
}

impl Layout {
    /// Writes images into one archive, what `ctr images import` and `docker load` read. Works in a
    /// folder beside it.
    pub fn write_archive(images: &[Image], to: &Path) -> Result<()> {
        let folder = to.with_extension("layout");
        files::remove(&folder)?;
        let mut layout = Self::create(&folder)?;
        images.iter().try_for_each(|image| layout.add(image))?;
        layout.finish()?;
        let file = File::create(to).map_err(Error::file("make", to))?;
        Self::archive(&folder, BufWriter::new(file)).map_err(Error::file("write", to))?;
        files::remove(&folder)
    }

    /// Starts a layout in an empty folder.
    pub fn create(folder: &Path) -> Result<Self> {
        files::make_dir(&folder.join("blobs/sha256"))?;
        Ok(Self { folder: folder.to_path_buf(), manifests: Vec::new() })
    }

    /// Adds an image; layers that are already there are not written again.
    pub fn add(&mut self, image: &Image) -> Result<()> {
        let layers = image.layers.iter().map(|layer| self.layer(layer)).collect::<Result<Vec<_>>>()?;
        let diffs: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        let config = self.json(
            "application/vnd.oci.image.config.v1+json",
            &json!({
                "architecture": architecture(), "os": "linux",
                "config": {"Entrypoint": image.entrypoint, "User": image.user, "WorkingDir": "/",
                    "Env": [format!("PATH={}", crate::process::PATH)]},
                "rootfs": {"type": "layers", "diff_ids": diffs},
            }),
        )?;
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
        let mut entry = self.json(media_type, &manifest)?;
        // The first name is containerd's, which understands full references; the second is the
        // standard's.
        let tag = image.reference.rsplit(':').next();
        entry["annotations"] =
            json!({"io.containerd.image.name": image.reference, "org.opencontainers.image.ref.name": tag});
        self.manifests.push(entry);
        Ok(())
    }

    /// Writes the index; before this the folder is no layout.
    pub fn finish(self) -> Result<()> {
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": self.manifests});
        files::write(&self.folder.join("index.json"), index.to_string().as_bytes(), 0o644)?;
        let version = json!({"imageLayoutVersion": "1.0.0"}).to_string();
        files::write(&self.folder.join("oci-layout"), version.as_bytes(), 0o644)
    }

    /// Writes a finished layout as an archive.
    pub fn archive(folder: &Path, to: impl Write) -> std::io::Result<()> {
        let mut tar = tar::Builder::new(to);
        tar.append_dir_all(".", folder)?;
        tar.finish()
    }

    fn layer(&self, layer: &Layer) -> Result<Value> {
        let temporary = self.folder.join("blobs/layer.partial");
        let file = File::create(&temporary).map_err(Error::file("make", &temporary))?;
        let mut writer =
            Hashing { inner: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new(), size: 0 };
        layer.write(&mut writer)?;
        writer.flush().map_err(Error::file("write", &temporary))?;
        let digest = hex(&writer.hash.finalize());
        let blob = self.blob(&digest);
        fs::rename(&temporary, &blob).map_err(Error::file("keep", &blob))?;
        Ok(descriptor("application/vnd.oci.image.layer.v1.tar", &digest, writer.size))
    }

    fn json(&self, media_type: &str, value: &Value) -> Result<Value> {
        let bytes = value.to_string().into_bytes();
        let digest = hex(&Sha256::digest(&bytes));
        files::write(&self.blob(&digest), &bytes, 0o644)?;
        Ok(descriptor(media_type, &digest, bytes.len() as u64))
    }

    fn blob(&self, digest: &str) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest)
    }
}

fn descriptor(media_type: &str, digest: &str, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
}

/// Go's name for what this program was built for.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Counts and digests what passes through.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blob_has_the_digest_and_size_that_it_is_listed_with_and_shared_layers_are_there_once() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("program");
        fs::write(&source, b"program").unwrap();
        let shared = Layer::default().file("/usr/bin/program", &source);
        let image = |name: &str| Image {
            reference: format!("example.org/{name}:v1"),
            entrypoint: vec![],
            user: String::new(),
            layers: vec![shared.clone(), Layer::default().link(name, "/usr/bin/program")],
        };
        let at = folder.path().join("layout");
        let mut layout = Layout::create(&at).unwrap();
        layout.add(&image("one")).unwrap();
        layout.add(&image("two")).unwrap();
        layout.finish().unwrap();
        let index: Value = serde_json::from_slice(&fs::read(at.join("index.json")).unwrap()).unwrap();
        let names: Vec<_> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| &m["annotations"]["io.containerd.image.name"])
            .collect();
        assert_eq!(names, ["example.org/one:v1", "example.org/two:v1"]);
        let blobs: Vec<_> = fs::read_dir(at.join("blobs/sha256")).unwrap().flatten().collect();
        assert_eq!(blobs.len(), 2 + 2 + 1 + 2, "two manifests, two configs, a shared layer and one each");
        for blob in blobs {
            let bytes = fs::read(blob.path()).unwrap();
            assert_eq!(hex(&Sha256::digest(bytes)), blob.file_name().to_string_lossy());
        }
    }
}
