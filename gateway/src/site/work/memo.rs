//! Holds in memory what the last comparisons have read: the files of commits, and what trees held. A
//! person who looks again and again does not wait for the same reading. Bounded; all of it can be
//! read again.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use git2::{Index, IndexEntry, Oid, Repository};

use crate::fault::Fault;
use crate::site::contents::{Entry, contents};

/// Returns all files and links of a commit, as [`contents`] does.
pub(super) fn files(repository: &Repository, commit: Oid) -> Result<Arc<Vec<Entry>>, Fault> {
    // What a commit holds never changes. That this repository has it is asked each time.
    let known = match repository.find_commit(commit) {
        Ok(_) => COMMITS.find(&commit),
        Err(_) => None,
    };
    match known {
        Some(files) => Ok(files),
        None => Ok(COMMITS.keep(commit, contents(repository, commit)?)),
    }
}

/// Returns the entries of a git index in the order of paths; one that is missing or damaged has none.
pub(super) fn index(path: &Path) -> Arc<Vec<IndexEntry>> {
    let Some(file) = File::of(path) else {
        return Arc::default();
    };
    if let Some(entries) = INDEXES.find(&file) {
        return entries;
    }
    let mut entries: Vec<IndexEntry> = Index::open(path)
        .map(|index| index.iter().collect())
        .unwrap_or_default();
    entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    // Another comparison may have put a newer one there while this one was read.
    if File::of(path).as_ref() == Some(&file) {
        INDEXES.keep(file, entries)
    } else {
        Arc::new(entries)
    }
}

static COMMITS: Memo<Oid, Entry> = Memo::new();
static INDEXES: Memo<File, IndexEntry> = Memo::new();

/// A file as it was; each writing of an index makes a new one.
#[derive(PartialEq, Eq, Clone)]
struct File {
    path: PathBuf,
    inode: (u64, u64),
    changed: (i64, i64),
    size: u64,
}

impl File {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            path: path.to_path_buf(),
            inode: (found.dev(), found.ino()),
            changed: (found.ctime(), found.ctime_nsec()),
            size: found.len(),
        })
    }
}

/// The lists that were asked for last.
struct Memo<K, V> {
    lists: Mutex<VecDeque<(K, Arc<Vec<V>>)>>,
}

impl<K: PartialEq, V> Memo<K, V> {
    const fn new() -> Self {
        Self {
            lists: Mutex::new(VecDeque::new()),
        }
    }

    fn find(&self, key: &K) -> Option<Arc<Vec<V>>> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let at = lists.iter().position(|(known, _)| known == key)?;
        let found = lists.remove(at)?;
        let list = Arc::clone(&found.1);
        lists.push_front(found);
        Some(list)
    }

    fn keep(&self, key: K, list: Vec<V>) -> Arc<Vec<V>> {
        let list = Arc::new(list);
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.retain(|(known, _)| *known != key);
        lists.push_front((key, Arc::clone(&list)));
        let mut sum = 0;
        lists.retain(|(_, list)| {
            sum += list.len();
            sum <= MOST
        });
        list
    }
}

/// So many entries are held of each sort: some 10 MB of names and ids.
const MOST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_last_is_held_within_a_bound() {
        let memo: Memo<u8, u8> = Memo::new();
        assert!(memo.find(&1).is_none());
        memo.keep(1, vec![1; MOST / 2]);
        memo.keep(2, vec![2; MOST / 2]);
        assert_eq!(memo.find(&1).unwrap().len(), MOST / 2);
        memo.keep(3, vec![3; 1]);
        assert!(memo.find(&2).is_none(), "it was asked for least lately");
        assert!(memo.find(&1).is_some() && memo.find(&3).is_some());
        assert_eq!(memo.keep(4, vec![4; MOST + 1]).len(), MOST + 1);
        assert!(memo.find(&4).is_none(), "too much to be held");
        memo.keep(3, vec![5; 2]);
        assert_eq!(*memo.find(&3).unwrap(), [5; 2]);
    }

    #[test]
    fn an_index_that_was_written_anew_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        assert!(index(&path).is_empty());
        fs::write(&path, "no index").unwrap();
        assert!(index(&path).is_empty());
        fs::remove_file(&path).unwrap();
        Index::open(&path).unwrap().write().unwrap();
        let first = index(&path);
        assert!(Arc::ptr_eq(&first, &index(&path)));
        fs::remove_file(&path).unwrap();
        Index::open(&path).unwrap().write().unwrap();
        assert!(!Arc::ptr_eq(&first, &index(&path)));
    }
}
