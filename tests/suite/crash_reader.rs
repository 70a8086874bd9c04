//! Reads what environments serve, over and over, as a web server would: each time the pointer is
//! resolved once, and all that is found from there must be one whole release.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use support::Client;

use crate::crash_site::Scene;

/// What lies at each path: its kind and its content.
pub(crate) type Manifest = BTreeMap<Vec<u8>, Vec<u8>>;

/// A reader at work. It must be brought to its end.
pub(crate) struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Seen>>,
}

#[derive(Default)]
struct Seen {
    passes: usize,
    releases: Vec<(String, Manifest)>,
    broken: Vec<String>,
}

impl Reader {
    /// Begins to read environments of a site.
    pub(crate) fn of(scene: &Scene, environments: &[&str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let folders: Vec<_> = environments
            .iter()
            .map(|name| ((*name).to_owned(), scene.folder(name)))
            .collect();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut seen = Seen::default();
            while !stopped.load(Ordering::Relaxed) {
                for (name, folder) in &folders {
                    seen.look(name, folder);
                }
                // A pace, so that what is tested gets its share of the processor.
                thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Ends it; each tree that it has met must be that of a commit. Returns how many it has read.
    #[track_caller]
    pub(crate) fn end(mut self, scene: &Scene) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is ended once");
        let seen = thread.join().expect("the reader does not panic");
        assert!(seen.passes > 0, "nothing was read");
        assert!(seen.broken.is_empty(), "{:#?}", seen.broken);
        let known = releases(scene);
        for (what, met) in &seen.releases {
            let nearest = known
                .iter()
                .map(|one| differences(one, met))
                .min_by_key(Vec::len)
                .expect("a site has a commit");
            assert!(
                nearest.is_empty(),
                "{what} is no release; it differs from the nearest in {nearest:?}"
            );
        }
        seen.passes
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Seen {
    fn look(&mut self, name: &str, folder: &Path) {
        let current = folder.join("current");
        let Ok(leads_to) = fs::read_link(&current) else {
            if self.passes > 0 {
                self.broken.push(format!("{name} serves nothing"));
            }
            return;
        };
        // The handle stays where it is when the pointer turns.
        let read = File::open(folder.join(&leads_to).join("code")).and_then(|code| {
            let mut manifest = Manifest::new();
            let top = PathBuf::from(format!("/proc/self/fd/{}", code.as_raw_fd()));
            read_below(&top, b"", &mut manifest)?;
            Ok(manifest)
        });
        match read {
            Ok(manifest) => {
                self.passes += 1;
                if !self.releases.iter().any(|(_, known)| *known == manifest) {
                    let what = format!("{name}'s {}", leads_to.display());
                    self.releases.push((what, manifest));
                }
            }
            // Two deploys later it is collected; who reads as slowly as that begins anew.
            Err(_) if fs::read_link(&current).ok().as_ref() != Some(&leads_to) => {}
            Err(error) => self
                .broken
                .push(format!("{name}'s {}: {error}", leads_to.display())),
        }
    }
}

/// Reads what every commit of the site holds, also of those that no ref reaches.
pub(crate) fn releases(scene: &Scene) -> Vec<Manifest> {
    let repository = scene.site.repository();
    let git = |words: &[&str]| {
        Client::new("git")
            .folder(&repository)
            .args(words)
            .run()
            .ok()
    };
    let all = git(&["cat-file", "--batch-all-objects", "--batch-check"]).out();
    let commits = all.lines().filter_map(|line| {
        let (object, what) = line.split_once(' ')?;
        what.starts_with("commit ").then(|| object.to_owned())
    });
    let folder = scene.tom.desk("releases");
    let mut found = Vec::new();
    for commit in commits {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let script = "git archive \"$0\" | tar -x -C \"$1\"";
        Client::new("sh")
            .folder(&repository)
            .args(["-c", script, &commit])
            .arg(&folder)
            .run()
            .ok();
        let mut manifest = Manifest::new();
        read_below(&folder, b"", &mut manifest).unwrap();
        found.push(manifest);
    }
    found
}

pub(crate) fn manifest(folder: &Path) -> io::Result<Manifest> {
    let mut manifest = Manifest::new();
    read_below(folder, b"", &mut manifest)?;
    Ok(manifest)
}

fn read_below(top: &Path, above: &[u8], manifest: &mut Manifest) -> io::Result<()> {
    for entry in fs::read_dir(top)? {
        let entry = entry?;
        let mut path = above.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(entry.file_name().as_bytes());
        let kind = entry.file_type()?;
        let full = entry.path();
        if kind.is_dir() {
            read_below(&full, &path, manifest)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&full)?;
            manifest.insert(path, [b"link ", target.as_os_str().as_bytes()].concat());
        } else {
            let runs = entry.metadata()?.permissions().mode() & 0o100 != 0;
            let kind: &[u8] = if runs { b"program " } else { b"file " };
            manifest.insert(path, [kind, &fs::read(&full)?].concat());
        }
    }
    Ok(())
}

/// Returns the paths at which two manifests differ.
pub(crate) fn differences(one: &Manifest, other: &Manifest) -> Vec<String> {
    let paths = one.keys().chain(other.keys());
    let mut different: Vec<String> = paths
        .filter(|path| one.get(*path) != other.get(*path))
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect();
    different.sort();
    different.dedup();
    different
}
