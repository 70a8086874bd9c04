//! Records on their way to the disk: which wait, how much memory they take, and how far the
//! writer has come with them.

use std::collections::VecDeque;
use std::time::Instant;

use super::record::Record;

/// Records that are not yet committed. The number of a record in the order of arrival is its
/// ticket.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Record>,
    waiting_since: Option<Instant>,
    /// The size of all that is not yet committed, also of what the writer has taken.
    bytes: usize,
    taken_in: u64,
    committed: u64,
    synced: u64,
    /// The last ticket that somebody waits for.
    wanted: u64,
    /// The last ticket that somebody wants to read.
    read: u64,
}

/// What the writer is to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// To be written, after what it still holds.
    pub records: Vec<Record>,
    /// How many of them have tickets.
    pub tickets: u64,
    /// Whether somebody waits for it to be on the disk.
    pub durable: bool,
    /// Whether this is the end, after which nothing more comes.
    pub last: bool,
}

impl Backlog {
    /// Takes a record in, and returns its ticket.
    pub(super) fn push(&mut self, record: Record) -> u64 {
        self.bytes = self.bytes.saturating_add(record.size());
        self.taken_in += 1;
        self.waiting_since.get_or_insert_with(Instant::now);
        self.waiting.push_back(record);
        self.taken_in
    }

    /// Notes that somebody waits for this ticket to be on the disk.
    pub(super) fn want(&mut self, ticket: u64) {
        self.wanted = self.wanted.max(ticket);
    }

    pub(super) fn is_synced(&self, ticket: u64) -> bool {
        self.synced >= ticket
    }

    /// Notes that somebody wants to read all that was taken in, and returns the last ticket.
    pub(super) fn want_to_read(&mut self) -> u64 {
        self.read = self.taken_in;
        self.read
    }

    /// Says whether somebody wants to read what waits.
    pub(super) fn is_to_be_read(&self) -> bool {
        self.read > self.committed && !self.waiting.is_empty()
    }

    pub(super) fn is_committed(&self, ticket: u64) -> bool {
        self.committed >= ticket
    }

    /// Says whether somebody waits for what is not on the disk yet.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted > self.synced
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Returns since when the first of those that wait has waited.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// Hands records to the writer, with rows that have no ticket since nobody waits for them.
    pub(super) fn take(&mut self, most: usize, counts: Vec<Record>, closing: bool) -> Work {
        let taken = most.min(self.waiting.len());
        let mut records: Vec<Record> = self.waiting.drain(..taken).collect();
        let counted: usize = counts.iter().map(Record::size).sum();
        self.bytes = self.bytes.saturating_add(counted);
        records.extend(counts);
        if self.waiting.is_empty() {
            self.waiting_since = None;
        }
        Work {
            records,
            tickets: taken as u64,
            durable: self.is_wanted(),
            last: closing && self.waiting.is_empty(),
        }
    }

    /// Notes that so many tickets and bytes are committed, and perhaps synced.
    pub(super) fn committed(&mut self, tickets: u64, bytes: usize, synced: bool) {
        self.committed += tickets;
        self.bytes = self.bytes.saturating_sub(bytes);
        if synced {
            self.synced = self.committed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::testing;

    #[test]
    fn tickets_are_done_when_synced_and_bytes_when_committed() {
        let mut backlog = Backlog::default();
        let first = backlog.push(testing::record("alice", "1"));
        let second = backlog.push(testing::record("alice", "2"));
        backlog.want(first);
        let work = backlog.take(1, vec![testing::refusal("bob", "x")], true);
        assert_eq!((work.records.len(), work.tickets), (2, 1));
        assert!(work.durable && !work.last);
        let size = work.records.iter().map(Record::size).sum();
        backlog.committed(1, size, true);
        assert!(backlog.is_synced(first) && !backlog.is_synced(second) && !backlog.is_wanted());
        let work = backlog.take(9, Vec::new(), true);
        assert!(work.last && !work.durable);
        backlog.committed(1, work.records.iter().map(Record::size).sum(), false);
        assert_eq!((backlog.bytes(), backlog.waiting_since()), (0, None));
        assert!(!backlog.is_synced(second));
    }
}
