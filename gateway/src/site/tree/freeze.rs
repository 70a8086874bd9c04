//! A time in which no code of an environment changes: while its connection mode is switched, what
//! is written between the keeping of uncommitted work and the new release would be in neither.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use nix::errno::Errno;

use super::parts::Parts;

/// How many want code to stay as it is. Whoever changes content of code reads this and holds on to
/// it meanwhile, so that who begins waits for those that are at it.
#[derive(Debug, Default)]
pub(super) struct Freeze(RwLock<usize>);

/// Lets code change again when it goes.
#[derive(Debug)]
pub struct Frozen(Arc<Parts>);

impl Freeze {
    /// Makes sure that code may change, as long as what is returned lives.
    ///
    /// # Errors
    /// `EAGAIN` while it may not.
    pub(super) fn thaw(&self) -> Result<RwLockReadGuard<'_, usize>, Errno> {
        let wanted = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if *wanted == 0 {
            Ok(wanted)
        } else {
            Err(Errno::EAGAIN)
        }
    }

    fn add(&self, change: impl FnOnce(usize) -> usize) {
        let mut wanted = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *wanted = change(*wanted);
    }
}

impl Parts {
    /// Lets nobody change code over SFTP until what is returned goes. Uploads go on; they cannot
    /// take their places meanwhile.
    pub fn freeze_code(self: &Arc<Self>) -> Frozen {
        self.freeze.add(|wanted| wanted.saturating_add(1));
        Frozen(Arc::clone(self))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0.freeze.add(|wanted| wanted.saturating_sub(1));
    }
}
