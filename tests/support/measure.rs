//! What the gateway holds: memory and descriptors.

use std::fs;

use crate::gateway::Gateway;

/// Returns the bytes that the gateway holds in memory.
pub fn memory(gateway: &Gateway) -> u64 {
    of_status(gateway, "VmRSS:")
}

/// Returns the most that it held at any time.
pub fn most_memory(gateway: &Gateway) -> u64 {
    of_status(gateway, "VmHWM:")
}

/// Returns how many files and sockets the gateway has open.
pub fn descriptors(gateway: &Gateway) -> usize {
    fs::read_dir(format!("/proc/{}/fd", gateway.process_id()))
        .unwrap()
        .count()
}

/// Returns how many connections the gateway has, and files of sites: what sessions hold.
pub fn held_by_sessions(gateway: &Gateway) -> Vec<String> {
    fs::read_dir(format!("/proc/{}/fd", gateway.process_id()))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .filter(|target| target.starts_with("socket:") || target.contains("/sites/"))
        .collect()
}

fn of_status(gateway: &Gateway, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.process_id())).unwrap();
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name} in {status}"));
    let kibibytes: u64 = value.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024
}
