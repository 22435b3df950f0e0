//! Removing what interrupted work left.

use super::list::Listing;
use super::{Error, Store, file_name, write};

impl Store {
    /// Removes what interrupted work left, copies that cannot run, and files that no copy mounts.
    /// For when the agent starts, and from time to time.
    pub fn sweep(&self) -> Result<(), Error> {
        for path in write::temporary(&self.inactive, "")? {
            write::remove_file(&path)?;
        }
        let listing = self.list()?;
        for entry in &listing.entries {
            for path in write::temporary(&self.manifests, &file_name(&entry.id))? {
                write::remove_file(&path)?;
            }
            if entry.is_broken {
                self.remove_manifest(&self.kept(&entry.id), &entry.id)?;
            }
            self.prune(&entry.id)?;
        }
        // A file that cannot be read may be what mounts them.
        if listing.unreadable.is_empty() { self.prune_unknown(&listing) } else { Ok(()) }
    }

    /// Removes the files of workloads of which there is no copy.
    fn prune_unknown(&self, listing: &Listing) -> Result<(), Error> {
        let folders = write::entries(&self.secrets)?.into_iter().filter(|path| path.is_dir()); // locks lie beside them
        for namespace in folders {
            for folder in write::entries(&namespace)? {
                if !listing.entries.iter().any(|entry| self.files(&entry.id) == folder) {
                    write::remove_tree(&folder)?;
                }
            }
            write::remove_empty(&namespace)?;
        }
        Ok(())
    }
}
