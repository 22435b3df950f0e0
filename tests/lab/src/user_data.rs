//! The programs that read what a machine is set up by at its first boot. They only check it here.

use std::path::PathBuf;
use std::process::Command;

use crate::cache::Cache;
use crate::command::run;
use crate::error::Result;

/// Fetches Debian's package and unpacks it. Installed, it would change this machine at its next
/// boot.
const UNPACK: &str = "apt-get download -q cloud-init && dpkg-deb --extract cloud-init_*.deb .";

/// The folder of cloud-init's Python modules, fetched when it is not in the cache. The Makefile
/// installs the modules that they need.
pub fn cloud_init(cache: &Cache) -> Result<PathBuf> {
    let entry = cache.entry("cloud-init", "unpacked", |folder| {
        run(Command::new("bash").args(["-c", UNPACK]).current_dir(folder)).map(drop)
    })?;
    Ok(entry.join("usr/lib/python3/dist-packages"))
}
