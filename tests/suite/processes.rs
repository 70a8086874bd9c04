//! The processes of the machine, as tests look for what a gateway has left.

use std::fs;

pub(crate) fn process_ids() -> impl Iterator<Item = i32> {
    let found = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    found.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Returns the command line of a process that has not ended.
pub(crate) fn command_line(id: i32) -> Option<String> {
    let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    (!line.is_empty()).then_some(line)
}
