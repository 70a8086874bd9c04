//! Builds a generation that nobody points to yet.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use git2::Oid;
use policy::{SitePath, escape};

use super::pointer::{HALF_BUILT, next, remove};
use super::{Origin, Prepared, ReleaseKind, Reuse};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::blobs::Blobs;
use crate::site::contents::{Entry, Kind, contents};
use crate::site::layout::{EnvironmentLayout, uploads_link};
use crate::site::folder::{Folder, Standing, split, standing};
use crate::site::{covers, crash};

/// Builds the next generation of an environment from a commit.
///
/// # Errors
/// When it cannot be built; what was built of it is removed.
pub fn prepare(
    permit: &Permit,
    environment: &EnvironmentLayout,
    origin: &Origin<'_>,
    kind: ReleaseKind,
    files_path: Option<&SitePath>,
    reuse: Option<Reuse<'_>>,
) -> Result<Prepared, Fault> {
    covers(permit, environment.site())?;
    let generation = next(environment)?;
    let doing = || format!("preparing generation {generation} of {}", environment.name());
    let generations = Folder::open(&environment.generations()).or_fault(doing)?;
    let name = generation.to_string().into_bytes();
    let half = [&name, HALF_BUILT].concat();
    generations.remove_all(&half).or_fault(doing)?;
    let built = generations
        .make_folder(&half)
        .or_fault(doing)
        .and_then(|folder| build(&folder, origin, kind, files_path, reuse))
        .and_then(|counts| {
            generations
                .rename(&half, &generations, &name)
                // Without this a power cut after the switch leaves a tree of empty files.
                .and_then(|()| generations.sync_file_system())
                .or_fault(doing)?;
            Ok(counts)
        });
    let (entries, shared) = match built {
        Ok(counts) => counts,
        Err(fault) => {
            let cleared = generations
                .remove_all(&half)
                .and_then(|()| remove(environment, generation));
            if let Err(error) = cleared {
                tracing::warn!("half of generation {generation} could not be removed: {error}");
            }
            return Err(fault);
        }
    };
    crash::point("prepare-end");
    Ok(Prepared {
        generation,
        entries,
        shared,
    })
}

/// Removes a generation that is not wanted after all.
///
/// # Errors
/// When it cannot be removed.
pub fn discard(
    permit: &Permit,
    environment: &EnvironmentLayout,
    prepared: Prepared,
) -> Result<(), Fault> {
    covers(permit, environment.site())?;
    let Prepared { generation, .. } = prepared;
    remove(environment, generation).or_fault(|| format!("removing generation {generation}"))
}

/// Builds a generation in an empty folder; returns how many entries it has and how many of them
/// are shared.
fn build(
    folder: &Folder,
    origin: &Origin<'_>,
    kind: ReleaseKind,
    files_path: Option<&SitePath>,
    reuse: Option<Reuse<'_>>,
) -> Result<(usize, usize), Fault> {
    let doing = || "making the folders of a release";
    let entries = contents(origin.repository, origin.commit)?;
    folder.make_link(b"files", b"../../files").or_fault(doing)?;
    let code = folder.make_folder(b"code").or_fault(doing)?;
    make_folders(&code, &entries, files_path).or_fault(doing)?;
    let mut plan = Plan {
        code: &code,
        entries: &entries,
        kind,
        shareable: None,
    };
    if let (ReleaseKind::ReadOnly, Some(reuse)) = (kind, reuse) {
        let known = contents(origin.repository, reuse.commit)?;
        let known = known.into_iter().map(|entry| (entry.path, (entry.oid, entry.kind)));
        let from = Folder::open(reuse.code).or_fault(|| "opening the release to share with")?;
        plan.shareable = Some((from, known.collect()));
    }
    let shared = plan.carry_out(origin)?;
    if let Some(path) = files_path {
        let (above, name) = split(path.as_bytes());
        code.below(above)
            .and_then(|above| above.make_link(name, &uploads_link(path)))
            .or_fault(|| format!("making the link at {path} to the uploads"))?;
    }
    let expected = entries.len() + usize::from(files_path.is_some());
    let found = count(&code).or_fault(|| "verifying a release")?;
    if found != expected {
        return Err(Fault::new(format!(
            "verifying a release: it has {found} files where its commit has {expected}"
        )));
    }
    Ok((entries.len(), shared))
}

fn make_folders(code: &Folder, entries: &[Entry], files_path: Option<&SitePath>) -> io::Result<()> {
    let uploads = files_path.map(SitePath::as_bytes);
    let mut folders = BTreeSet::new();
    for path in entries.iter().map(|entry| &*entry.path).chain(uploads) {
        let mut above = split(path).0;
        while !above.is_empty() && folders.insert(above) {
            above = split(above).0;
        }
    }
    // A folder sorts before what is in it.
    for path in folders {
        let (above, name) = split(path);
        code.below(above)?.make_folder(name)?;
    }
    Ok(())
}

/// What is to be written where.
struct Plan<'a> {
    code: &'a Folder,
    entries: &'a [Entry],
    kind: ReleaseKind,
    /// A read-only release, and what its commit holds.
    shareable: Option<(Folder, HashMap<Vec<u8>, (Oid, Kind)>)>,
}

impl Plan<'_> {
    /// Writes all entries and returns how many of them are shared. First those that can be shared,
    /// which is quick; then the rest, in two threads.
    fn carry_out(&self, origin: &Origin<'_>) -> Result<usize, Fault> {
        let own = self.share_all();
        let next = AtomicUsize::new(0);
        let (repository, quarantine) = (origin.repository.path(), origin.quarantine);
        let write = || -> Result<(), Fault> {
            let blobs = Blobs::open(repository, quarantine)?;
            let mut place = Place::new(self.code);
            loop {
                let from = next.fetch_add(BATCH, Ordering::Relaxed);
                let batch = own.iter().skip(from).take(BATCH);
                if batch.len() == 0 {
                    return Ok(());
                }
                for entry in batch {
                    self.write(&blobs, &mut place, entry)?;
                }
                if from <= own.len() / 2 {
                    crash::point("prepare-middle");
                }
            }
        };
        std::thread::scope(|scope| {
            let beside = (own.len() > BATCH).then(|| scope.spawn(write));
            let here = write();
            let there = beside.map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Fault::new("a thread that wrote a release died")))
            });
            here.and(there.unwrap_or(Ok(())))
        })?;
        Ok(self.entries.len() - own.len())
    }

    /// Shares what can be shared; returns the rest.
    fn share_all(&self) -> Vec<&Entry> {
        let Some((from, known)) = &self.shareable else {
            return self.entries.iter().collect();
        };
        let (mut from, mut to) = (Place::new(from), Place::new(self.code));
        let cannot_share = |entry: &&Entry| {
            let same = known.get(&entry.path) == Some(&(entry.oid, entry.kind));
            !same || !self.share(&mut from, &mut to, entry)
        };
        self.entries.iter().filter(cannot_share).collect()
    }

    fn share(&self, from: &mut Place<'_>, to: &mut Place<'_>, entry: &Entry) -> bool {
        let (above, name) = split(&entry.path);
        let (Ok(from), Ok(to), Some(mode)) = (from.at(above), to.at(above), self.mode(entry.kind))
        else {
            return false;
        };
        // A file that its owner may write is no part of a read-only release, whoever says so.
        let right = from.stat(name).is_ok_and(|stat| {
            standing(&stat) == Standing::File && stat.st_mode & 0o7777 == mode
        });
        // A file can have only so many names; then it gets a copy of its own.
        right && to.share_file(from, name).is_ok()
    }

    fn write(&self, blobs: &Blobs, place: &mut Place<'_>, entry: &Entry) -> Result<(), Fault> {
        let doing = || format!("writing {} of a release", escape(&entry.path));
        let (above, name) = split(&entry.path);
        let folder = place.at(above).or_fault(doing)?;
        match self.mode(entry.kind) {
            Some(mode) => {
                let file = folder.create_file(name, mode).or_fault(doing)?;
                blobs.copy(entry.oid, file).or_fault(doing)
            }
            None => {
                let target = blobs.read(entry.oid)?;
                folder.make_link(name, &target).or_fault(doing)
            }
        }
    }

    /// Returns the permissions of a file; links have none.
    fn mode(&self, kind: Kind) -> Option<u32> {
        match (self.kind, kind) {
            (ReleaseKind::ReadOnly, Kind::File) => Some(0o444),
            (ReleaseKind::ReadOnly, Kind::Executable) => Some(0o555),
            (ReleaseKind::Writable, Kind::File) => Some(0o644),
            (ReleaseKind::Writable, Kind::Executable) => Some(0o755),
            (_, Kind::Link) => None,
        }
    }
}

/// The folder that was last used beneath another, since files come folder by folder.
struct Place<'a> {
    root: &'a Folder,
    last: Option<(Vec<u8>, Folder)>,
}

impl<'a> Place<'a> {
    fn new(root: &'a Folder) -> Self {
        Self { root, last: None }
    }

    fn at(&mut self, path: &[u8]) -> io::Result<&Folder> {
        let folder = match self.last.take() {
            Some((last, folder)) if last == path => folder,
            _other => self.root.below(path)?,
        };
        Ok(&self.last.insert((path.to_vec(), folder)).1)
    }
}

fn count(folder: &Folder) -> io::Result<usize> {
    let mut count = 0;
    for name in folder.names()? {
        if standing(&folder.stat(&name)?) == Standing::Folder {
            count += self::count(&folder.below(&name)?)?;
        } else {
            count += 1;
        }
    }
    Ok(count)
}

/// So many files are written at a time by one thread.
const BATCH: usize = 32;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use git2::Repository;
    use policy::Environment;

    use super::*;
    use crate::site::release::verify;
    use crate::site::repository::open_in_quarantine;
    use crate::site::testing::{Bench, commit_all, git, git_changes, write};

    fn origin(repository: &Repository, commit: Oid) -> Origin<'_> {
        Origin {
            repository,
            quarantine: None,
            commit,
        }
    }

    /// A site of all that git can keep, in two commits, pushed.
    fn site(bench: &Bench) -> (Repository, Oid, Oid) {
        let (repository, _) = bench.repository(&[("a/b", "b"), ("a/c", "c"), ("index.php", "one")]);
        let clone = bench.clone();
        write(&clone.join("run"), "#!/bin/sh");
        fs::set_permissions(clone.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("/etc/passwd", clone.join("link")).unwrap();
        symlink("a", clone.join("folder-link")).unwrap();
        write(&clone.join("empty"), "");
        for number in 0..200 {
            write(&clone.join(format!("many/{number}/file")), &"x".repeat(number));
        }
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
        fs::write(clone.join("a").join(name), "latin").unwrap();
        let large = vec![b'L'; crate::site::blobs::IN_MEMORY + 1];
        fs::write(clone.join("large"), large).unwrap();
        let one = commit_all(&clone, "One");
        write(&clone.join("index.php"), "two");
        fs::remove_file(clone.join("a/c")).unwrap();
        fs::set_permissions(clone.join("run"), fs::Permissions::from_mode(0o644)).unwrap();
        fs::remove_file(clone.join("folder-link")).unwrap();
        write(&clone.join("folder-link/inside"), "now a folder");
        let two = commit_all(&clone, "Two");
        git(&clone, &["push", "-q", "origin", "main"]);
        (repository, one, two)
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_release_is_what_its_commit_says() {
        let bench = Bench::new();
        let (repository, one, two) = site(&bench);
        let environment = bench.environment(Environment::Live);
        let uploads = SitePath::normalize(b"wp-content/uploads").unwrap();
        let permit = bench.permit();
        for (commit, kind) in [(one, ReleaseKind::ReadOnly), (two, ReleaseKind::Writable)] {
            let origin = origin(&repository, commit);
            let prepared =
                prepare(&permit, &environment, &origin, kind, Some(&uploads), None).unwrap();
            assert_eq!(prepared.shared, 0);
            let code = environment.code(prepared.generation);
            let listed = git(repository.path(), &["ls-tree", "-r", &commit.to_string()]);
            assert_eq!(prepared.entries, listed.lines().count());
            assert_eq!(verify(&repository, commit, &code, Some(&uploads)).unwrap(), []);
            let link = code.join("wp-content/uploads");
            assert_eq!(fs::read_link(&link).unwrap(), Path::new("../../files"));
            fs::remove_file(link).unwrap();
            assert_eq!(git_changes(&repository, commit, &code), [""; 0]);
            let expected = match kind {
                ReleaseKind::ReadOnly => (0o444, 0o555),
                ReleaseKind::Writable => (0o644, 0o644),
            };
            assert_eq!((mode(&code.join("index.php")), mode(&code.join("run"))), expected);
            assert_eq!(mode(&code.join("many/1")), 0o755);
            let files = environment.generation(prepared.generation).join("files");
            assert_eq!(
                fs::canonicalize(files).unwrap(),
                fs::canonicalize(environment.files()).unwrap()
            );
        }
        assert_eq!(fs::read_dir(environment.generations()).unwrap().count(), 2);
    }

    #[test]
    fn unchanged_files_are_shared_between_read_only_releases_alone() {
        let bench = Bench::new();
        let (repository, one, two) = site(&bench);
        let permit = bench.permit();
        let live = bench.environment(Environment::Live);
        let test = bench.environment(Environment::Test);
        let build = |environment, commit, kind, reuse| {
            let origin = origin(&repository, commit);
            prepare(&permit, environment, &origin, kind, None, reuse).unwrap()
        };
        let first = build(&test, one, ReleaseKind::ReadOnly, None);
        let code = test.code(first.generation);
        let reuse = Some(Reuse {
            code: &code,
            commit: one,
        });
        let second = build(&live, two, ReleaseKind::ReadOnly, reuse);
        let linked = live.code(second.generation);
        // All but three changes, one new file and the link.
        assert_eq!(second.shared, second.entries - 4);
        assert_eq!(verify(&repository, two, &linked, None).unwrap(), []);
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        assert_eq!(inode(&code.join("a/b")), inode(&linked.join("a/b")));
        for changed in ["index.php", "run"] {
            assert_ne!(inode(&code.join(changed)), inode(&linked.join(changed)));
        }
        assert_eq!(fs::read(code.join("index.php")).unwrap(), b"one");
        let writable = build(&live, one, ReleaseKind::Writable, reuse);
        assert_eq!(writable.shared, 0);
        let written = live.code(writable.generation);
        assert_eq!(fs::metadata(written.join("a/b")).unwrap().nlink(), 1);
        let reuse = Some(Reuse {
            code: &written,
            commit: one,
        });
        assert_eq!(build(&live, one, ReleaseKind::ReadOnly, reuse).shared, 0);
        assert_eq!(fs::metadata(written.join("a/b")).unwrap().nlink(), 1);
        discard(&permit, &live, second).unwrap();
        assert!(!linked.exists());
        assert_eq!(verify(&repository, one, &code, None).unwrap(), []);
    }

    #[test]
    fn a_push_can_be_built_before_its_objects_are_kept() {
        let bench = Bench::new();
        let (kept, first) = bench.repository(&[("a", "a")]);
        let clone = bench.clone();
        write(&clone.join("b"), "b");
        let large = vec![b'L'; crate::site::blobs::IN_MEMORY + 1];
        fs::write(clone.join("large"), large).unwrap();
        let second = commit_all(&clone, "Second");
        let environment = bench.environment(Environment::Dev);
        let objects = clone.join(".git/objects");
        let repository = open_in_quarantine(kept.path(), &objects).unwrap();
        let origin = Origin {
            repository: &repository,
            quarantine: Some(&objects),
            commit: second,
        };
        let kind = ReleaseKind::ReadOnly;
        let prepared =
            prepare(&bench.permit(), &environment, &origin, kind, None, None).unwrap();
        let code = environment.code(prepared.generation);
        assert_eq!(verify(&repository, second, &code, None).unwrap(), []);
        assert!(kept.find_commit(second).is_err());
        assert!(kept.find_commit(first).is_ok());
    }

    #[test]
    fn a_release_that_cannot_be_built_leaves_nothing() {
        let bench = Bench::new();
        let (repository, commit) = bench.repository(&[("a/b", "b"), ("c", "c"), ("d", "d")]);
        let environment = bench.environment(Environment::Live);
        let kind = ReleaseKind::ReadOnly;
        let fails = |files_path: Option<&[u8]>, commit| {
            let files_path = files_path.map(|path| SitePath::normalize(path).unwrap());
            let origin = origin(&repository, commit);
            let built = prepare(
                &bench.permit(),
                &environment,
                &origin,
                kind,
                files_path.as_ref(),
                None,
            );
            let fault = built.unwrap_err().to_string();
            assert_eq!(fs::read_dir(environment.generations()).unwrap().count(), 0);
            fault
        };
        for taken in [&b"a"[..], b"a/b", b"c/d"] {
            fails(Some(taken), commit);
        }
        let odb = repository.odb().unwrap();
        let write = |kind, bytes: &[u8]| odb.write(kind, bytes).unwrap();
        let blob = write(git2::ObjectType::Blob, b"x");
        let commit_of = |entries: &[(&str, &str, Oid)]| {
            let mut tree = Vec::new();
            for (mode, name, oid) in entries {
                tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
                tree.extend_from_slice(oid.as_bytes());
            }
            let tree = write(git2::ObjectType::Tree, &tree);
            let text =
                format!("tree {tree}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n");
            write(git2::ObjectType::Commit, text.as_bytes())
        };
        fails(None, commit_of(&[("160000", "sub", commit)]));
        let folder = write(
            git2::ObjectType::Tree,
            &[b"100644 evil\0", blob.as_bytes()].concat(),
        );
        let outside = write(git2::ObjectType::Blob, b"../..");
        // A name that is both a link and a folder would lead out of the release.
        fails(None, commit_of(&[("120000", "a", outside), ("40000", "a", folder)]));
        assert!(!environment.generations().join("evil").exists());
        fails(None, commit_of(&[("100644", "..", blob)]));
        fails(None, commit_of(&[("100644", "x/y", blob)]));
        fails(None, commit_of(&[("40000", "..", folder)]));
        fails(None, "1234567890123456789012345678901234567890".parse().unwrap());
        // A file that the repository has lost.
        let object = blob.to_string();
        let (first, rest) = object.split_at(2);
        let lost = commit_of(&[("100644", "a", blob), ("100644", "b", blob)]);
        fs::remove_file(repository.path().join("objects").join(first).join(rest)).unwrap();
        fails(None, lost);
        let permit = bench.permit_for("other");
        let origin = origin(&repository, commit);
        assert!(prepare(&permit, &environment, &origin, kind, None, None).is_err());
    }
}
