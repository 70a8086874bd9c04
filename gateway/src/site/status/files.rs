//! Who may read and write what lies on the disk. The web server's account is not known here: what it may
//! do is told by groups and others, and by whose files are there.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::ground::{Ground, System, Tree};
use super::{Check, some};

/// Readable by the group, by others; writable by the group, by others (inode(7)).
const GROUP_READS: u32 = 0o040;
const OTHERS_READ: u32 = 0o004;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_ENTER: u32 = 0o001;
const OWNER_WRITES: u32 = 0o200;

pub(super) fn checks(ground: &Ground<'_>, checks: &mut Vec<Check>) {
    let takes_uploads = ground.files_path.is_some() || ground.system != System::Other;
    if let Some(files) = &ground.files {
        checks.push(writable(files, takes_uploads));
        checks.push(readable("files-readable", files));
        checks.push(open_to_all("files-open", files));
    }
    if let Some(code) = &ground.code {
        checks.push(readable("code-readable", code));
        checks.push(code_writable(code));
        checks.push(secrets(code, reachable_by_others(&code.path)));
    }
    let settings = ground.layout.environment(ground.environment).settings();
    checks.push(settings_private(&settings));
}

/// Whether visitors' and editors' uploads can be written.
pub(super) fn writable(files: &Tree, takes_uploads: bool) -> Check {
    const NAME: &str = "files-writable";
    let Some(mode) = files.mode_of(b"") else {
        return Check::failure(
            NAME,
            "The folder of uploads is gone.",
            "Restart the gateway, which makes it.",
        );
    };
    if mode & OWNER_WRITES == 0 {
        return Check::failure(
            NAME,
            format!(
                "Nobody may write to the folder of uploads (mode {:o}).",
                mode & 0o7777
            ),
            "Give it its permissions back: chmod u+w on its files folder.",
        );
    }
    let ours = std::fs::symlink_metadata(&files.path).map(|found| found.uid());
    let others_wrote = files
        .found
        .iter()
        .any(|found| ours.as_ref().is_ok_and(|ours| found.stat.st_uid != *ours));
    if mode & (GROUP_WRITES | OTHERS_WRITE) != 0 || others_wrote {
        return Check::ok(
            NAME,
            "More than the gateway's account may write to uploads.",
        );
    }
    if !takes_uploads {
        return Check::skipped(NAME, "The site is not known to take uploads.");
    }
    Check::warning(
        NAME,
        "Only the gateway's own account may write to the folder of uploads; if PHP runs as another, uploads fail.",
        "Give the folder to PHP's group: chgrp -R GROUP files; chmod -R g+w files; find files -type d -exec chmod g+s {} +.",
    )
}

/// Files that the web server cannot read, unless it runs as the gateway's account.
fn readable(name: &'static str, tree: &Tree) -> Check {
    let hidden: Vec<String> = tree
        .found
        .iter()
        .filter(|found| found.kind.is_some() && !is_link(found.stat.st_mode))
        .filter(|found| found.stat.st_mode & (GROUP_READS | OTHERS_READ) == 0)
        .map(|found| tree.named(&String::from_utf8_lossy(&found.path)))
        .collect();
    if hidden.is_empty() {
        return Check::ok(name, "The gateway's group may read all files.");
    }
    Check::warning(
        name,
        format!(
            "Only their owner may read {} file(s): {}.",
            hidden.len(),
            some(&hidden)
        ),
        "Let the group read them (chmod g+r), or visitors get errors where the web server has another account.",
    )
}

fn is_link(mode: u32) -> bool {
    mode & 0o170_000 == 0o120_000
}

/// What anybody on the server may write, as paths.
fn written_by(tree: &Tree, bits: u32) -> Vec<String> {
    let files = tree
        .found
        .iter()
        .filter(|found| !is_link(found.stat.st_mode) && found.stat.st_mode & bits != 0)
        .map(|found| tree.named(&String::from_utf8_lossy(&found.path)));
    let folders = tree
        .folders()
        .into_iter()
        .filter(|folder| tree.mode_of(folder).is_some_and(|mode| mode & bits != 0))
        .map(|folder| tree.named(&format!("{}/", String::from_utf8_lossy(folder))));
    folders.chain(files).collect()
}

/// Uploads that everybody on the server may write.
fn open_to_all(name: &'static str, files: &Tree) -> Check {
    let open = written_by(files, OTHERS_WRITE);
    if open.is_empty() {
        return Check::ok(name, "Not everybody on the server may write to uploads.");
    }
    Check::warning(
        name,
        format!(
            "Everybody on the server may write to {}: {}.",
            open.len(),
            some(&open)
        ),
        "Take that away: chmod -R o-w, and let PHP's group write instead.",
    )
}

/// Code that others than the gateway may write: what breaks into the site could stay in it.
pub(super) fn code_writable(code: &Tree) -> Check {
    const NAME: &str = "code-writable";
    let action = "Take that away (chmod -R go-w): code is changed by the gateway alone, and PHP must not run as its account.";
    let all = written_by(code, OTHERS_WRITE);
    if !all.is_empty() {
        return Check::failure(
            NAME,
            format!("Everybody on the server may write to code: {}.", some(&all)),
            action,
        );
    }
    let group = written_by(code, GROUP_WRITES);
    if !group.is_empty() {
        return Check::warning(
            NAME,
            format!(
                "The group, and so perhaps the web server, may write to code: {}.",
                some(&group)
            ),
            action,
        );
    }
    Check::ok(NAME, "Only the gateway may write to code.")
}

/// Whether everybody on the server can come to a path at all.
fn reachable_by_others(path: &Path) -> bool {
    path.ancestors().all(|folder| {
        folder
            .metadata()
            .is_ok_and(|found| found.mode() & OTHERS_ENTER != 0)
    })
}

/// Files with passwords in code.
const SECRETS: [&str; 6] = [
    ".env",
    ".env.local",
    ".env.production",
    "auth.json",
    "settings.local.php",
    "wp-config.php",
];

/// Passwords that all accounts of the server can read, or that are in git at all.
pub(super) fn secrets(code: &Tree, reachable: bool) -> Check {
    const NAME: &str = "secrets";
    let mut in_git = Vec::new();
    let mut open = Vec::new();
    for found in &code.found {
        let path = String::from_utf8_lossy(&found.path).into_owned();
        let name = path.rsplit('/').next().unwrap_or(&path);
        if !SECRETS.contains(&name) {
            continue;
        }
        if reachable && found.stat.st_mode & OTHERS_READ != 0 {
            open.push(path.clone());
        }
        if name.starts_with(".env") || name == "auth.json" {
            in_git.push(path);
        }
    }
    if !open.is_empty() {
        return Check::failure(
            NAME,
            format!("Every account of the server can read {}.", some(&open)),
            "Close the data folder to others: chmod o-rx on it.",
        );
    }
    if !in_git.is_empty() {
        return Check::warning(
            NAME,
            format!(
                "Files that usually hold passwords are in code, and so in git: {}.",
                some(&in_git)
            ),
            "Let the site read the settings of its environment instead (docs/steps.md), remove the file, and change what was in it.",
        );
    }
    Check::ok(NAME, "No file with passwords is open to other accounts.")
}

/// The settings of the environment, with its password.
fn settings_private(folder: &Path) -> Check {
    const NAME: &str = "settings-private";
    let open: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            // What is a link leads to the settings of the content.
            entry
                .path()
                .metadata()
                .is_ok_and(|found| found.mode() & 0o007 != 0)
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    if open.is_empty() {
        return Check::ok(NAME, "The settings are open to the gateway's group alone.");
    }
    Check::failure(
        NAME,
        format!(
            "Everybody on the server may read or write the settings: {}.",
            some(&open)
        ),
        "chmod 0640 them, and change the database's password (env:rotate-password).",
    )
}
