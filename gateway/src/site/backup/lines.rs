//! What restic says, in lines of JSON.

use std::path::Path;

use nix::errno::Errno;
use serde::Deserialize;

/// The lines of JSON that restic writes while it makes a snapshot.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Line {
    pub message_type: String,
    pub bytes_done: u64,
    pub total_files_processed: u64,
    pub total_bytes_processed: u64,
    pub data_added: u64,
    pub item: String,
    pub path: String,
    pub modifier: String,
    pub error: serde_json::Value,
}

/// Lines of JSON out of pieces of them.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes a piece, and hands on each line that is whole; what is no such line is passed over.
    pub(super) fn take(&mut self, bytes: &[u8], each: &mut dyn FnMut(Line)) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let after = self.rest.split_off(end + 1);
            let line = std::mem::replace(&mut self.rest, after);
            if let Ok(line) = serde_json::from_slice(&line) {
                each(line);
            }
        }
    }
}

/// So many names are told.
const MOST_NAMED: usize = 5;

/// The names of what could not be read and is still there.
pub(super) fn unread(complaint: &str, folder: &Path) -> Vec<String> {
    let mut lines = Lines::default();
    let mut names = Vec::new();
    let mut others = 0_usize;
    lines.take(complaint.as_bytes(), &mut |line| {
        // ENOENT: it went away between being listed and being read, as if it had gone before.
        let gone = line.error.get("Err").and_then(serde_json::Value::as_i64)
            == Some(i64::from(Errno::ENOENT as i32));
        if line.message_type != "error" || (gone && !Path::new(&line.item).exists()) {
            return;
        }
        if names.len() == MOST_NAMED {
            others += 1;
            return;
        }
        let path = Path::new(&line.item);
        let path = path.strip_prefix(folder).unwrap_or(path);
        names.push(policy::escape(path.as_os_str().as_encoded_bytes()));
    });
    if others > 0 {
        names.push(format!("and {others} more"));
    }
    names
}
