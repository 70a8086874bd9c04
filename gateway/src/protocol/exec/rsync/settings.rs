//! What rsync's daemon is told: its settings, its arguments, and what the kernel lets it reach.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use policy::{Area, SitePath};

use super::Transfer;
use super::greeting::MODULE;
use super::log::Lines;
use crate::confine::Confined;
use crate::fault::Fault;
use crate::site::workplace::{Partial, Workplace, area_folder};

/// What a confined rsync is started with.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) confined: Confined,
    /// The arguments that the greeting hands over.
    pub(super) arguments: Vec<Vec<u8>>,
    /// Where its log comes out.
    pub(super) log: PathBuf,
    base: String,
}

/// The most memory of each of rsync's two processes, in bytes: some five million files of one
/// transfer, by the hundred and some bytes that rsync takes for each.
pub(super) const MEMORY: u64 = 1 << 30;

/// After so many seconds in which nothing was sent either way, rsync ends. A working transfer sends
/// something to keep the line alive long before.
const SILENCE: u32 = 3600;

/// Names of git's own directory, as patterns (see [`SitePath::names_git_directory`]).
const GIT: [&str; 6] = [
    ".[gG][iI][tT]",
    ".[gG][iI][tT]/***",
    ".[gG][iI][tT][. ]*",
    "[gG][iI][tT]~1",
    "[gG][iI][tT]~1/***",
    "[gG][iI][tT]~1[. ]*",
];

impl Settings {
    /// Prepares a transfer; `None` when there is nothing at its area, as in the code of what was
    /// never deployed.
    pub(super) fn of(
        transfer: &Transfer,
        workplace: &Workplace,
        partial: Option<&Partial>,
        program: PathBuf,
        secret: &str,
    ) -> Result<Option<Self>, Fault> {
        let Some(base) = area_folder(&transfer.tree, transfer.place.area) else {
            return Ok(None);
        };
        let area = workplace.environment().join(&base);
        let log = workplace.pipe("log")?;
        // The names of a list are looked up from the module's root (rsync 3.5.0 loses the folder).
        let lists = transfer.arguments.sends && transfer.arguments.has_list;
        let below = OsStr::from_bytes(transfer.place.path.as_bytes());
        let path = if lists {
            area.join(below)
        } else {
            workplace.environment().to_path_buf()
        };
        let never = workplace.write("never", &never(transfer, &base, lists))?;
        let mut settings = format!(
            "use chroot = no\nmunge symlinks = no\nnumeric ids = yes\nreverse lookup = no\n\
             max verbosity = 2\ntimeout = {SILENCE}\nlog file = {}\ntransfer logging = yes\nlog format = {}\n",
            log.display(),
            Lines::format(secret),
        );
        if nix::unistd::geteuid().is_root() {
            settings.push_str("uid = 0\ngid = 0\n");
        }
        settings.push_str(&format!(
            "[{MODULE}]\npath = {}\nlist = no\nexclude from = {}\nread only = {}\n\
             incoming chmod = ug-s,o-t,u+rw,Du+x\n",
            path.display(),
            never.display(),
            if transfer.arguments.sends {
                "yes"
            } else {
                "no"
            },
        ));
        let configuration = workplace.write("rsyncd.conf", settings.as_bytes())?;

        let mut confined = Confined {
            read: vec![configuration.clone(), never],
            write: vec![log.clone()],
            memory: Some(MEMORY),
            file_size: super::quota::longest_file(transfer),
            program: vec![
                program.into(),
                "--server".into(),
                "--daemon".into(),
                joined("--config=", &configuration),
                ".".into(),
            ],
        };
        let mut arguments = transfer.arguments.options.clone();
        if transfer.arguments.sends {
            confined.read.push(area);
        } else {
            confined.write.push(area.clone());
            // A folder that may not be written must be known as such before it is made; it is not
            // where folders are sent ahead of the list.
            arguments.extend([b"--no-inc-recursive".to_vec(), b"--no-super".to_vec()]);
            arguments.push(b"--safe-links".to_vec());
            if workplace.is_beside(&area) {
                let temporary = workplace.folder("temp")?;
                arguments.push(format!("--temp-dir={}/temp", workplace.inside()).into_bytes());
                confined.write.push(temporary);
            }
            if transfer.arguments.delays {
                arguments.push(b"--delay-updates".to_vec());
                if transfer.arguments.keeps_partial {
                    arguments.push(b"--partial".to_vec());
                }
            } else if let Some(partial) = partial {
                arguments.push(format!("--partial-dir={}", partial.inside).into_bytes());
                confined.write.push(partial.path.clone());
            }
        }
        arguments.push(b".".to_vec());
        if lists {
            arguments.push(format!("{MODULE}/").into_bytes());
        }
        for one in transfer.named.iter().filter(|_| !lists) {
            let mut path = format!("{MODULE}/{base}").into_bytes();
            if transfer.arguments.sends {
                // With --relative, names begin at the area, as those of a plain server would.
                path = path_from_area(&path, transfer.place.area);
            }
            let pattern = one.pattern();
            if !pattern.is_empty() {
                path.push(b'/');
                path.extend_from_slice(&pattern);
            }
            if one.ends_in_slash {
                path.push(b'/');
            }
            arguments.push(path);
        }
        Ok(Some(Self {
            confined,
            arguments,
            log,
            base,
        }))
    }

    /// Returns what the server's own paths are called in what a person is told.
    pub(super) fn plain_paths(&self, workplace: &Workplace, area: Area) -> Vec<(String, String)> {
        vec![
            (workplace.environment().display().to_string(), String::new()),
            (self.base.clone(), area.to_string()),
            (format!(" (in {MODULE})"), String::new()),
        ]
    }
}

/// Puts rsync's mark for where names begin (`/./`, rsync(1) at `--relative`) before the area.
fn path_from_area(path: &[u8], area: Area) -> Vec<u8> {
    let name = area.as_str().as_bytes();
    match path.strip_suffix(name) {
        Some(above) => [above, b"./", name].concat(),
        None => path.to_vec(),
    }
}

/// The rules of what rsync neither shows nor writes, one a line.
fn never(transfer: &Transfer, base: &str, lists: bool) -> Vec<u8> {
    let mut rules = GIT.join("\n").into_bytes();
    rules.push(b'\n');
    let link = transfer
        .files_path
        .as_ref()
        .filter(|link| transfer.place.area == Area::Code && !link.is_empty());
    let anchored = link.and_then(|link| {
        if lists {
            let below = link.strip_prefix(&transfer.place.path)?;
            return Some([b"/", below.as_bytes()].concat());
        }
        Some([b"/", base.as_bytes(), b"/", link.as_bytes()].concat())
    });
    if let Some(path) = anchored {
        let has_wildcard = path.iter().any(|byte| b"*?[".contains(byte));
        let quoted = quoted(&path);
        // A rule without wildcards is no pattern, and so has nothing quoted.
        rules.extend_from_slice(if has_wildcard { &quoted } else { &path });
        rules.push(b'\n');
        rules.extend_from_slice(&quoted);
        rules.extend_from_slice(b"/***\n");
    }
    rules
}

fn quoted(path: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(path.len());
    for byte in path {
        if b"*?[\\".contains(byte) {
            quoted.push(b'\\');
        }
        quoted.push(*byte);
    }
    quoted
}

fn joined(option: &str, path: &std::path::Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}

/// Returns true if a path of code is where uploads are reached from.
pub(super) fn is_uploads(path: &SitePath, files_path: Option<&SitePath>) -> bool {
    files_path.is_some_and(|link| !link.is_empty() && path.starts_with(link))
}
