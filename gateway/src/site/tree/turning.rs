//! Which code and which files a tree shows: those of the generation and the store that it was turned to last.

use nix::fcntl::openat;
use nix::sys::stat::Mode;
use policy::Area;

use super::{Files, HANDLE, Release, Tree};
use crate::fault::{Fault, OrFault};

impl Tree {
    /// Makes `/code` that of another generation; 0 is empty.
    ///
    /// # Errors
    /// When the generation's code cannot be opened; `/code` is then what it was.
    pub fn turn_to(&mut self, generation: u64) -> Result<(), Fault> {
        if generation == self.code.generation {
            return Ok(());
        }
        let code = if generation == 0 {
            None
        } else {
            let path = format!("generations/{generation}/{}", Area::Code.as_str());
            let opened = openat(&self.environment, path.as_str(), HANDLE, Mode::empty())
                .or_fault(|| format!("opening the code of generation {generation}"))?;
            Some(opened)
        };
        self.code = Release { generation, code };
        Ok(())
    }

    /// Makes `/files` those of another store.
    ///
    /// # Errors
    /// When they cannot be opened; `/files` is then what it was.
    pub fn turn_files_to(&mut self, store: u64) -> Result<(), Fault> {
        if store != self.files.store {
            let path = format!("stores/files-{store}/files");
            let folder = openat(&self.environment, path.as_str(), HANDLE, Mode::empty())
                .or_fault(|| format!("opening the files of store {store}"))?;
            self.files = Files { store, folder };
        }
        Ok(())
    }

    /// Returns what a handle on a place belongs to, so that what has come in its place is known as
    /// another: the generation of code, the store of files.
    pub fn opened_in(&self, area: Area) -> Option<u64> {
        match area {
            Area::Code => Some(self.code.generation),
            Area::Files => Some(self.files.store).filter(|store| *store > 0),
            Area::Root | Area::Logs | Area::Tmp | Area::Backups => None,
        }
    }

    /// Returns the store that `/files` is.
    pub fn files_store(&self) -> u64 {
        self.files.store
    }

    /// Returns the generation that `/code` is of.
    pub fn generation(&self) -> u64 {
        self.code.generation
    }
}
