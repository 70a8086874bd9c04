//! What a step takes: all processes below its sandbox, counted. They cannot leave it, since whatever
//! loses its parent becomes a child of the sandbox's first process (pid_namespaces(7)).

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a tree of processes takes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processes and threads.
    pub processes: u64,
    /// Memory of their own, in bytes.
    pub memory: u64,
}

/// Measures the processes below one; stops counting at `most`.
pub(super) fn below(process: u32, most: u64) -> Usage {
    let mut usage = Usage::default();
    let mut left = children(process);
    while let Some(one) = left.pop() {
        let threads = threads(one);
        usage.processes += u64::try_from(threads.len()).unwrap_or(u64::MAX).max(1);
        usage.memory = usage.memory.saturating_add(memory(one));
        if usage.processes > most {
            break;
        }
        for thread in threads {
            left.extend(children_of_thread(one, thread));
        }
    }
    usage
}

/// Memory that is counted once for each process though they share it makes a sum too large, so a
/// sum above the limit is looked at again in this dearer way.
pub(super) fn exact_memory_below(process: u32) -> u64 {
    let mut sum = 0_u64;
    let mut left = children(process);
    while let Some(one) = left.pop() {
        let rollup = fs::read_to_string(format!("/proc/{one}/smaps_rollup")).unwrap_or_default();
        let own = field(&rollup, "Pss_Anon:") + field(&rollup, "Pss_Shmem:");
        sum = sum.saturating_add(if own == 0 { memory(one) } else { own });
        left.extend(children(one));
    }
    sum
}

/// Kills all processes below one, by killing the first of their namespace.
pub(super) fn kill_below(process: u32) {
    for child in children(process) {
        if let Ok(child) = i32::try_from(child) {
            // One that has ended needs no signal.
            let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
        }
    }
}

fn threads(process: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn children(process: u32) -> Vec<u32> {
    threads(process)
        .into_iter()
        .flat_map(|thread| children_of_thread(process, thread))
        .collect()
}

fn children_of_thread(process: u32, thread: u32) -> Vec<u32> {
    fs::read_to_string(format!("/proc/{process}/task/{thread}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|id| id.parse().ok())
        .collect()
}

fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    field(&status, "RssAnon:") + field(&status, "RssShmem:")
}

/// Returns a field of proc(5), which are in KiB, in bytes.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kibibytes| kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_tree_is_counted_and_killed_whole() {
        let mut child = Command::new("sh")
            .args(["-c", "sh -c 'sleep 100 & sleep 100 & echo up; wait' & wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut up = [0; 3];
        child.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
        let usage = below(child.id(), 100);
        assert_eq!(usage.processes, 3);
        assert!(usage.memory > 0 && exact_memory_below(child.id()) > 0);
        assert_eq!(below(child.id(), 1).processes, 2);
        let below_it: Vec<u32> = children(child.id())
            .iter()
            .flat_map(|c| children(*c))
            .collect();
        for grandchild in below_it {
            kill(Pid::from_raw(grandchild as i32), Signal::SIGKILL).unwrap();
        }
        kill_below(child.id());
        child.wait().unwrap();
    }
}
