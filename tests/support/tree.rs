//! Trees of files: made, read whole, and compared byte for byte. Names are bytes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

/// A tree read into memory: what lies at each path below its top.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tree {
    entries: BTreeMap<Vec<u8>, Entry>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Entry {
    Folder,
    File { content: Vec<u8>, executable: bool },
    Link(Vec<u8>),
}

impl Tree {
    /// Reads all that lies below `top`, without following links.
    pub fn read(top: impl AsRef<Path>) -> Self {
        let mut tree = Self::default();
        tree.read_folder(top.as_ref(), b"");
        tree
    }

    /// A tree that holds what goes wrong with careless programs: odd names, empty and large files,
    /// deep folders, links and an executable.
    pub fn sample() -> Self {
        let mut tree = Self::default()
            .file("index.php", "<?php echo 'hello';\n")
            .file("empty", "")
            .file("name with spaces.txt", "spaces\n")
            .file("quote\"s and 'apostrophes'", "quotes\n")
            .file(b"caf\xe9", "latin-1 name\n")
            .file("日本語.txt", "utf-8 name\n")
            .file("-leading-dash", "dash\n")
            .file("back\\slash", "backslash\n")
            .file("glob[1]*?.txt", "glob\n")
            .file("exact-32k", noise(1, 32 * 1024))
            .file("over-255k", noise(2, 261_121))
            .file("two-megabytes", noise(3, 2 * 1024 * 1024 + 7))
            .folder("empty-folder")
            .file("a/b/c/d/e/f/deep.txt", "deep\n");
        for number in 0..40 {
            tree = tree.file(
                format!("many/file-{number:03}"),
                noise(number, number as usize * 97),
            );
        }
        tree
    }

    #[must_use]
    pub fn file(mut self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.parents(path.as_ref());
        let content = content.as_ref().to_owned();
        self.entries.insert(
            path.as_ref().to_owned(),
            Entry::File {
                content,
                executable: false,
            },
        );
        self
    }

    #[must_use]
    pub fn program(mut self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        self.parents(path.as_ref());
        let content = content.as_ref().to_owned();
        self.entries.insert(
            path.as_ref().to_owned(),
            Entry::File {
                content,
                executable: true,
            },
        );
        self
    }

    #[must_use]
    pub fn folder(mut self, path: impl AsRef<[u8]>) -> Self {
        self.parents(path.as_ref());
        self.entries.insert(path.as_ref().to_owned(), Entry::Folder);
        self
    }

    #[must_use]
    pub fn link(mut self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.parents(path.as_ref());
        self.entries.insert(
            path.as_ref().to_owned(),
            Entry::Link(target.as_ref().to_owned()),
        );
        self
    }

    /// The tree without the entries that `unwanted` names.
    #[must_use]
    pub fn without(mut self, unwanted: impl Fn(&[u8]) -> bool) -> Self {
        self.entries.retain(|path, _| !unwanted(path));
        self
    }

    /// Writes the tree below `top`, which is made if need be.
    pub fn write(&self, top: impl AsRef<Path>) {
        fs::create_dir_all(&top).unwrap();
        for (path, entry) in &self.entries {
            let place = top.as_ref().join(OsStr::from_bytes(path));
            match entry {
                Entry::Folder => fs::create_dir_all(&place).unwrap(),
                Entry::File {
                    content,
                    executable,
                } => {
                    fs::write(&place, content).unwrap();
                    let mode = if *executable { 0o755 } else { 0o644 };
                    fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
                }
                Entry::Link(target) => symlink(OsStr::from_bytes(target), &place).unwrap(),
            }
        }
    }

    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.keys().map(Vec::as_slice)
    }

    /// Returns the content of the file at `path`.
    pub fn content(&self, path: impl AsRef<[u8]>) -> Option<&[u8]> {
        match self.entries.get(path.as_ref()) {
            Some(Entry::File { content, .. }) => Some(content),
            _ => None,
        }
    }

    pub fn holds(&self, path: impl AsRef<[u8]>) -> bool {
        self.entries.contains_key(path.as_ref())
    }

    /// Panics with each path that differs.
    #[track_caller]
    pub fn must_equal(&self, other: &Self) {
        let differences = self.differences(other);
        assert!(
            differences.is_empty(),
            "the trees differ:\n{}",
            differences.join("\n")
        );
    }

    /// As `must_equal`, for clients that do not carry the executable bit across.
    #[track_caller]
    pub fn must_equal_but_modes(&self, other: &Self) {
        self.plain().must_equal(&other.plain());
    }

    fn plain(&self) -> Self {
        let mut plain = self.clone();
        for entry in plain.entries.values_mut() {
            if let Entry::File { executable, .. } = entry {
                *executable = false;
            }
        }
        plain
    }

    fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (path, entry) in &self.entries {
            let shown = path.escape_ascii();
            match other.entries.get(path) {
                None => differences.push(format!("only left:  {shown}")),
                Some(theirs) if theirs != entry => differences.push(format!(
                    "differs:    {shown}: {} / {}",
                    entry.shown(),
                    theirs.shown()
                )),
                Some(_) => {}
            }
        }
        for path in other
            .entries
            .keys()
            .filter(|path| !self.entries.contains_key(*path))
        {
            differences.push(format!("only right: {}", path.escape_ascii()));
        }
        differences
    }

    fn parents(&mut self, path: &[u8]) {
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            self.entries
                .entry(path[..at].to_owned())
                .or_insert(Entry::Folder);
        }
    }

    fn read_folder(&mut self, folder: &Path, prefix: &[u8]) {
        let listing = fs::read_dir(folder)
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()));
        for found in listing {
            let found = found.unwrap();
            let mut path = prefix.to_owned();
            path.extend_from_slice(found.file_name().as_bytes());
            let kind = found.file_type().unwrap();
            if kind.is_dir() {
                self.entries.insert(path.clone(), Entry::Folder);
                path.push(b'/');
                self.read_folder(&found.path(), &path);
            } else if kind.is_symlink() {
                let target = fs::read_link(found.path())
                    .unwrap()
                    .into_os_string()
                    .into_vec();
                self.entries.insert(path, Entry::Link(target));
            } else {
                let content = fs::read(found.path()).unwrap();
                let executable = found.metadata().unwrap().mode() & 0o100 != 0;
                self.entries.insert(
                    path,
                    Entry::File {
                        content,
                        executable,
                    },
                );
            }
        }
    }
}

impl Entry {
    fn shown(&self) -> String {
        match self {
            Self::Folder => "a folder".into(),
            Self::File {
                content,
                executable,
            } => {
                let kind = if *executable { "program" } else { "file" };
                let start = &content[..content.len().min(40)];
                format!(
                    "a {kind} of {} bytes ({})",
                    content.len(),
                    start.escape_ascii()
                )
            }
            Self::Link(target) => format!("a link to {}", target.escape_ascii()),
        }
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.paths().map(|path| path.escape_ascii().to_string()))
            .finish()
    }
}

/// Returns `length` bytes that no compressor or sparse-file trick can shorten; the same for the same
/// seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Returns the name that these bytes make.
pub fn name(bytes: impl AsRef<[u8]>) -> OsString {
    OsString::from_vec(bytes.as_ref().to_owned())
}
