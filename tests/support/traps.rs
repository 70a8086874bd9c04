//! Traps: what somebody who writes to a site's disk can plant, so that a request for one place acts on
//! another. And what must stay as it is, whatever is tried.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;

/// What no client may ever be shown.
pub const SECRET: &str = "the-secret-that-lies-outside\n";

/// The name of a file that no listing may show.
pub const SECRET_NAME: &str = "secret-file";

/// A folder beside the gateway's data, with a secret in it.
pub struct Outside(PathBuf);

impl Outside {
    pub fn new(folder: &Path) -> Self {
        let outside = folder.join("outside");
        fs::create_dir_all(outside.join("folder")).unwrap();
        for name in [SECRET_NAME.to_owned(), format!("folder/{SECRET_NAME}")] {
            fs::write(outside.join(name), SECRET).unwrap();
        }
        Self(outside)
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    pub fn file(&self) -> PathBuf {
        self.0.join(SECRET_NAME)
    }
}

/// One trap, planted at a name inside an area.
#[derive(Clone, Debug)]
pub struct Trap {
    pub name: &'static str,
    what: What,
    /// What is asked for below the trap, if it leads to a folder.
    pub below: &'static str,
}

#[derive(Clone, Debug)]
enum What {
    Link(String),
    HardLink(PathBuf),
    Pipe,
    Socket,
    /// A character device by its major and minor number; planted where we may.
    Device(u64, u64),
}

impl Trap {
    /// All traps, in an area `depth` folders below the environment's own. `elsewhere` holds further
    /// folders on the gateway's disk: other environments, another site.
    pub fn all(outside: &Outside, environment: &Path, elsewhere: &[PathBuf]) -> Vec<Self> {
        let link = |name, target: &str, below| Self {
            name,
            what: What::Link(target.to_owned()),
            below,
        };
        let shown = |path: &Path| path.to_str().expect("a test's folder").to_owned();
        let mut all = vec![
            link("absolute file", &shown(&outside.file()), ""),
            link("absolute folder", &shown(outside.folder()), SECRET_NAME),
            link(
                "folder by way of itself",
                &format!("{}/./folder/..", shown(outside.folder())),
                SECRET_NAME,
            ),
            link("the root", "/", "etc/passwd"),
            link("the magic root", "/proc/self/root", "etc/passwd"),
            link("the magic folder", "/proc/self/cwd", "Cargo.toml"),
            link("open files", "/proc/self/fd", "0"),
            link("the gateway's environment", "/proc/self/environ", ""),
            link("memory", "/proc/self/mem", ""),
            link("a device", "/dev/zero", ""),
            link("itself", "itself", ""),
            link("the folder above", "..", "../../files"),
            link("up and down", "../../../../../../../../../../etc", "passwd"),
            link("code", "../code", "index.php"),
            link("code of the pointer", "../../current/code", "index.php"),
            link("the generations", "../../generations", "1/code/index.php"),
            link("files from code", "../../../../files", "page"),
            link("where uploads wait", "../../uploads", "x"),
        ];
        for (name, folder) in ["elsewhere one", "elsewhere two", "elsewhere three"]
            .into_iter()
            .zip(elsewhere)
        {
            all.push(link(name, &shown(folder), "page"));
        }
        let up = climb(environment, outside.folder());
        all.push(Self {
            name: "a relative way out",
            what: What::Link(up),
            below: SECRET_NAME,
        });
        for (name, what) in [
            ("a hard link", What::HardLink(outside.file())),
            ("a pipe", What::Pipe),
            ("a socket", What::Socket),
            ("the null device", What::Device(1, 3)),
            ("a terminal", What::Device(5, 0)),
        ] {
            all.push(Self {
                name,
                what,
                below: "",
            });
        }
        all
    }

    /// Puts the trap at `place`. Returns false where that takes rights that we do not have.
    pub fn plant(&self, place: &Path) -> bool {
        let mode = Mode::from_bits_truncate(0o666);
        match &self.what {
            What::Link(target) => symlink(target, place).unwrap(),
            What::HardLink(file) => fs::hard_link(file, place).unwrap(),
            What::Pipe => mkfifo(place, mode).unwrap(),
            What::Socket => {
                // A socket's name may be 107 bytes long (unix(7)): made nearby, then moved.
                let folder = tempfile::tempdir().unwrap();
                drop(UnixListener::bind(folder.path().join("s")).unwrap());
                return fs::rename(folder.path().join("s"), place).is_ok();
            }
            What::Device(major, minor) => {
                return mknod(place, SFlag::S_IFCHR, mode, makedev(*major, *minor)).is_ok();
            }
        }
        true
    }

    pub fn is_hard_link(&self) -> bool {
        matches!(self.what, What::HardLink(_))
    }
}

/// The relative path from a folder two below `from` to `to`.
fn climb(from: &Path, to: &Path) -> String {
    let steps = from.components().count() + 1;
    format!(
        "{}{}",
        "../".repeat(steps),
        to.strip_prefix("/").unwrap().display()
    )
}

/// Everything below some folders: kinds, rights, owners, times of change, content.
#[derive(PartialEq, Eq, Clone)]
pub struct Print(BTreeMap<PathBuf, String>);

impl Print {
    pub fn of<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut print = BTreeMap::new();
        for folder in folders {
            visit(folder, &mut print);
        }
        Self(print)
    }

    /// Panics with what differs from an earlier print.
    #[track_caller]
    pub fn must_equal(&self, before: &Self, after: &str) {
        let changed: Vec<String> = before
            .0
            .iter()
            .filter(|(path, was)| self.0.get(*path) != Some(was))
            .map(|(path, was)| format!("{}: {was} -> {:?}", path.display(), self.0.get(path)))
            .chain(
                self.0
                    .keys()
                    .filter(|path| !before.0.contains_key(*path))
                    .map(|path| format!("{} is new", path.display())),
            )
            .collect();
        assert!(changed.is_empty(), "{after}:\n{}", changed.join("\n"));
    }
}

fn visit(path: &Path, print: &mut BTreeMap<PathBuf, String>) {
    let Ok(stat) = fs::symlink_metadata(path) else {
        return;
    };
    let kind = stat.file_type();
    let what = if kind.is_symlink() {
        fs::read_link(path).unwrap().display().to_string()
    } else if kind.is_file() {
        format!("{:?}", fs::read(path).unwrap().escape_ascii().to_string())
    } else if kind.is_fifo() || kind.is_socket() || kind.is_char_device() {
        "special".to_owned()
    } else {
        String::new()
    };
    // Of a folder and a link the time of change says nothing about what was written.
    let modified = if kind.is_file() { stat.mtime_nsec() } else { 0 };
    print.insert(
        path.to_owned(),
        format!("{:o} {} {modified} {what}", stat.mode(), stat.uid()),
    );
    if kind.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            visit(&entry.unwrap().path(), print);
        }
    }
}

/// Returns the paths below `folder` of files that hold the secret.
pub fn leaks(folder: &Path) -> Vec<PathBuf> {
    let mut print = BTreeMap::new();
    visit(folder, &mut print);
    let secret = SECRET.trim_end();
    print
        .into_iter()
        .filter(|(path, what)| what.contains(secret) && path.is_file())
        .map(|(path, _)| path)
        .collect()
}
