//! Control groups of version 2 (cgroups(7)), where the gateway has been given a part of the tree
//! (systemd: `Delegate=yes`): the kernel itself holds the limits of each step then.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::config;
use crate::fault::{Fault, OrFault};

/// Where the tree is mounted.
const TREE: &str = "/sys/fs/cgroup";
/// The group that the gateway itself is in, since a group with groups below it that have limits
/// holds no processes.
const OWN: &str = "gateway";

/// Where groups of steps are made, if they can be.
#[derive(Debug)]
pub(super) struct Groups {
    folder: Option<PathBuf>,
    next: AtomicU64,
}

/// The group of one step. What is left in it dies when it is dropped.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
}

impl Groups {
    /// Looks for the gateway's part of the tree, and prepares it.
    pub(super) fn find() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let folder = own
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .map(|path| Path::new(TREE).join(path.trim_start_matches('/')))
            // The top of the tree is the whole machine's.
            .filter(|folder| {
                folder != Path::new(TREE) && folder.join("cgroup.controllers").exists()
            });
        Self::at(folder)
    }

    fn at(folder: Option<PathBuf>) -> Self {
        let folder = folder.filter(|folder| match delegate(folder) {
            Ok(()) => true,
            Err(fault) => {
                tracing::debug!("no control groups for steps: {fault}");
                false
            }
        });
        Self {
            folder,
            next: AtomicU64::new(0),
        }
    }

    pub(super) fn are_there(&self) -> bool {
        self.folder.is_some()
    }

    /// Makes a group with the limits of a step.
    pub(super) fn make(&self, settings: &config::Steps) -> Result<Option<Group>, Fault> {
        let Some(above) = &self.folder else {
            return Ok(None);
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = above.join(format!("step-{}-{number}", std::process::id()));
        let doing = || "making the control group of a step";
        fs::create_dir(&folder).or_fault(doing)?;
        let group = Group { folder };
        group.set("pids.max", &(settings.max_processes + 1).to_string())?;
        group.set("memory.max", &settings.max_memory_bytes.to_string())?;
        // A step that has too much is ended whole, not one process of it at random.
        group.set("memory.oom.group", "1")?;
        // Only where there is swap.
        let _ = group.set("memory.swap.max", "0");
        // Only where the processor is shared out as well: 100 is everybody else's.
        let _ = group.set("cpu.weight", "25");
        Ok(Some(group))
    }
}

/// Moves the gateway aside and has the kernel hold limits of groups beside it.
fn delegate(folder: &Path) -> Result<(), Fault> {
    let doing = || format!("preparing the control group {}", folder.display());
    let controllers = fs::read_to_string(folder.join("cgroup.controllers")).or_fault(doing)?;
    let has = |name: &str| controllers.split_whitespace().any(|one| one == name);
    if !has("memory") || !has("pids") {
        return Err(Fault::new(format!("{}: it has no limits", doing())));
    }
    let own = folder.join(OWN);
    if !own.exists() {
        fs::create_dir(&own).or_fault(doing)?;
    }
    fs::write(own.join("cgroup.procs"), std::process::id().to_string()).or_fault(doing)?;
    let control = folder.join("cgroup.subtree_control");
    fs::write(&control, "+memory +pids").or_fault(doing)?;
    if has("cpu") {
        let _ = fs::write(&control, "+cpu");
    }
    for entry in fs::read_dir(folder).or_fault(doing)?.flatten() {
        // Of a gateway that was killed; its steps died with it.
        if entry.file_name().to_string_lossy().starts_with("step-") {
            let _ = fs::remove_dir(entry.path());
        }
    }
    Ok(())
}

impl Group {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns whether the kernel has ended it for want of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        fs::read_to_string(self.folder.join("memory.events"))
            .unwrap_or_default()
            .lines()
            .filter_map(|line| line.strip_prefix("oom_kill "))
            .any(|count| count.trim() != "0")
    }

    fn set(&self, name: &str, value: &str) -> Result<(), Fault> {
        fs::write(self.folder.join(name), value).or_fault(|| format!("limiting a step by {name}"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
        // The kernel lets a group go when its last process has been buried.
        for _ in 0..100 {
            match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                _gone_or_never => return,
            }
        }
        tracing::warn!("the control group {} is left", self.folder.display());
    }
}
