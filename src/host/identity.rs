//! What this machine is called. In a container the name may be the container's; the boot id is the
//! kernel's, the same everywhere on it.

use std::path::Path;
use std::{fs, io};

use super::files::{Error, failed};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A machine, since it was switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub host: String,
    /// Differs from boot to boot.
    pub boot: String,
}

impl Identity {
    /// This one.
    pub fn of_this_machine() -> Result<Self, Error> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let boot: io::Result<String> = fs::read_to_string(BOOT_ID);
        let boot = boot.map_err(failed("read", Path::new(BOOT_ID)))?.trim().to_owned();
        Ok(Self { host, boot })
    }
}
