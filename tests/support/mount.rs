//! An environment mounted as a file system.

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::clients::Client;
use crate::personas::Person;
use crate::process::Process;
use crate::site::Site;
use crate::wait_for;

/// A mounted environment; unmounted on drop.
pub struct Mount {
    program: Process,
    point: PathBuf,
}

impl Mount {
    /// Mounts the whole tree of `environment` with sshfs.
    pub fn sshfs(site: &Site, person: &Person, environment: &str) -> Self {
        let point = person.desk(&format!("mounted-{}", site.name));
        let sshfs = person
            .client("sshfs")
            .args(["-f", "-o", "auto_unmount", "-F"])
            .arg(person.config())
            .arg(format!("{}:/", site.destination(environment)))
            .arg(&point);
        Self::wait(sshfs, point)
    }

    /// Waits until `program`, which runs in the foreground, has mounted something at `point`.
    pub fn wait(program: Client, point: PathBuf) -> Self {
        let outside = fs::metadata(&point).unwrap().dev();
        let program = program.start_piped();
        let mount = Self { program, point };
        wait_for("the mount", Duration::from_secs(30), || {
            fs::metadata(&mount.point)
                .is_ok_and(|mounted| mounted.dev() != outside)
                .then_some(())
        });
        mount
    }

    pub fn path(&self, area: &str) -> PathBuf {
        self.point.join(area)
    }

    /// Unmounts, and returns what the program has said on its stderr.
    pub fn told(mut self) -> String {
        let mut told = Vec::new();
        let stderr = self.program.child().stderr.take();
        self.unmount();
        if let Some(mut stderr) = stderr {
            stderr.read_to_end(&mut told).unwrap();
        }
        String::from_utf8_lossy(&told).into_owned()
    }

    fn unmount(&mut self) {
        if matches!(self.program.child().try_wait(), Ok(Some(_))) {
            return;
        }
        let unmount = Client::new("fusermount3")
            .args(["-u", "-z"])
            .arg(&self.point)
            .run();
        if unmount.code != Some(0) {
            eprintln!("{unmount}");
        }
        if self.program.wait(Duration::from_secs(10)).is_none() {
            self.program.signal_group(Signal::SIGKILL);
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// Says whether file systems can be mounted here. A container without /dev/fuse may skip these
/// tests, and says so; CI may not.
pub fn fuse_is_there() -> bool {
    let device = Path::new("/dev/fuse");
    match OpenOptions::new().read(true).write(true).open(device) {
        Ok(_) => true,
        Err(error) => {
            let why = format!("{} cannot be opened: {error}", device.display());
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
            eprintln!("Nothing is tested with mounts here: {why}");
            false
        }
    }
}
