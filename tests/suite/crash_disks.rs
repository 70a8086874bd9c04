//! Disks whose power can be cut: file systems in image files that are copied, all at once, while
//! they are mounted and written to. The copy holds what had reached the disk in that moment; what the
//! kernel still kept in memory is lost in it, as with the power.
//!
//! The images lie on an XFS of their own, since it copies a file in one instant (`FICLONE`): a copy
//! that takes its time would mix moments, and show what no disk ever held.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::{Client, wait_for};

/// Images, and what is mounted of them. All is unmounted and removed at the end, also when the test
/// panics or its process is killed.
pub(crate) struct Disks {
    folder: PathBuf,
    janitor: Mutex<Child>,
    holds_xfs: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
}

/// Lives as long as its input is open, and then unmounts what it was told, the last first.
const JANITOR: &str = r#"
paths=
while read -r path; do
    paths="$path
$paths"
done
printf '%s' "$paths" | while read -r path; do
    while mountpoint -q "$path"; do umount --lazy "$path" || break; done
    rmdir "$path" "$(dirname "$path")" 2>/dev/null
done
rm -rf --one-file-system "$1"
"#;

impl Disks {
    /// Makes the place for images; none where this machine has no loop devices, and whoever runs
    /// the tests has said that they know.
    pub(crate) fn new() -> Option<Self> {
        let folder = tempfile::Builder::new()
            .prefix("funicular-disks-")
            .tempdir()
            .unwrap()
            .keep();
        let janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let disks = Self {
            folder,
            janitor: Mutex::new(janitor),
            holds_xfs: AtomicBool::new(false),
        };
        let outer = disks.folder.join("outer.img");
        sparse(&outer, 8 << 30);
        let mut mkfs = Client::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]);
        mkfs = mkfs.arg(&outer);
        mkfs.run().ok();
        let mounted = disks.try_to_mount(&outer, &disks.images());
        if let Err(why) = mounted {
            let knows = std::env::var("FUNICULAR_TESTS_WITHOUT_LOOP").is_ok_and(|one| one == "1");
            assert!(
                knows,
                "This test cuts the power of a disk, for which it needs root, a loop device (losetup) \
                 and XFS in the kernel. With FUNICULAR_TESTS_WITHOUT_LOOP=1 it is left out. {why}"
            );
            eprintln!("left out, as FUNICULAR_TESTS_WITHOUT_LOOP says: {why}");
            return None;
        }
        Some(disks)
    }

    /// Makes a file system in an image.
    pub(crate) fn image(&self, kind: Kind) -> PathBuf {
        let image = self.images().join(format!("{kind:?}.img"));
        // A gigabyte is what copies of content leave free for others; the file is sparse.
        let size = 1400 << 20;
        let program = match kind {
            Kind::Ext4 => "mkfs.ext4",
            Kind::Xfs => "mkfs.xfs",
        };
        self.holds_xfs.store(kind == Kind::Xfs, Ordering::Relaxed);
        sparse(&image, size);
        Client::new(program).arg("-q").arg(&image).run().ok();
        image
    }

    /// Copies an image as it is in this moment.
    pub(crate) fn copy(&self, image: &Path, name: &str) -> PathBuf {
        let copy = self.images().join(name);
        Client::new("cp")
            .arg("--reflink=always")
            .args([image, &copy])
            .run()
            .ok();
        copy
    }

    #[track_caller]
    pub(crate) fn mount(&self, image: &Path, place: &Path) {
        self.try_to_mount(image, place)
            .unwrap_or_else(|why| panic!("{why}"));
    }

    fn try_to_mount(&self, image: &Path, place: &Path) -> Result<(), String> {
        fs::create_dir_all(place).unwrap();
        {
            let mut janitor = self.janitor.lock().unwrap();
            let told = janitor.stdin.as_mut().expect("its input is a pipe");
            writeln!(told, "{}", place.display()).unwrap();
        }
        // Somebody else's mount namespace may still hold the copy that was mounted before, and XFS
        // knows file systems by an id that copies share.
        let options = match self.holds_xfs.load(Ordering::Relaxed) {
            true => "loop,nouuid",
            false => "loop",
        };
        let mounted = Client::new("mount")
            .args(["-o", options])
            .args([image, place])
            .run();
        match mounted.code {
            Some(0) => Ok(()),
            _ => Err(mounted.to_string()),
        }
    }

    /// Unmounts, once nobody uses it any more.
    #[track_caller]
    pub(crate) fn unmount(&self, place: &Path) {
        wait_for("a disk to be unmounted", Duration::from_secs(30), || {
            let done = Client::new("umount").arg(place).run();
            (done.code == Some(0)).then_some(())
        });
    }

    fn images(&self) -> PathBuf {
        self.folder.join("images")
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        if let Ok(janitor) = self.janitor.get_mut() {
            drop(janitor.stdin.take());
            let _ = janitor.wait();
        }
    }
}

fn sparse(path: &Path, size: u64) {
    fs::File::create(path).unwrap().set_len(size).unwrap();
}
