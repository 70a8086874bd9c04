//! What lies where visitors could fetch it, or run it.

use super::ground::{Ground, System, Tree};
use super::{Check, some};

pub(super) fn checks(ground: &Ground<'_>, checks: &mut Vec<Check>) {
    if let Some(files) = &ground.files {
        checks.push(programs(files, &ground.system));
    }
    let trees: Vec<&Tree> = ground.code.iter().chain(&ground.files).collect();
    checks.push(repositories(&trees));
    checks.push(dumps(&trees));
}

/// What web servers run as PHP.
const PROGRAMS: [&str; 7] = ["php", "phtml", "phar", "pht", "php5", "php7", "php8"];

/// Longer than WordPress's `<?php // Silence is golden.` is no such file.
const SILENCE: i64 = 64;

/// Programs among uploads: most break-ins leave one there.
pub(super) fn programs(files: &Tree, system: &System) -> Check {
    let drupal = matches!(system, System::Drupal { .. } | System::Drupal7 { .. });
    let found: Vec<String> = files
        .found
        .iter()
        .filter_map(|found| {
            let path = String::from_utf8_lossy(&found.path).into_owned();
            let name = path.rsplit('/').next().unwrap_or(&path);
            let (_, extension) = name.rsplit_once('.')?;
            let is_program = PROGRAMS.contains(&extension.to_ascii_lowercase().as_str());
            let silent = name == "index.php" && found.stat.st_size <= SILENCE;
            // Where Drupal keeps its compiled templates.
            let compiled = drupal && path.starts_with("php/twig/");
            (is_program && !silent && !compiled).then(|| files.named(&path))
        })
        .collect();
    if found.is_empty() {
        return Check::ok("php-in-files", "No PHP lies among the uploads.");
    }
    Check::failure(
        "php-in-files",
        format!(
            "{} PHP file(s) lie among the uploads: {}.",
            found.len(),
            some(&found)
        ),
        "Look at them: a break-in leaves such files. Remove them, and let the web server run no PHP there.",
    )
}

/// Repositories within the web's reach: they give away the code and its history.
pub(super) fn repositories(trees: &[&Tree]) -> Check {
    const NAMES: [&str; 4] = [".git", ".svn", ".hg", ".bzr"];
    let mut found: Vec<String> = trees
        .iter()
        .flat_map(|tree| tree.found.iter().map(move |found| (tree, found)))
        .filter_map(|(tree, found)| {
            let path = String::from_utf8_lossy(&found.path).into_owned();
            let parts: Vec<&str> = path.split('/').collect();
            let place = parts.iter().position(|part| NAMES.contains(part))?;
            Some(tree.named(&parts.get(..=place)?.join("/")))
        })
        .collect();
    found.dedup();
    if found.is_empty() {
        return Check::ok(
            "exposed-repository",
            "No repository lies in code or uploads.",
        );
    }
    Check::failure(
        "exposed-repository",
        format!("Visitors may fetch the repository in {}.", some(&found)),
        "Remove it; the gateway needs none there.",
    )
}

/// How dumps begin (mariadb-dump(1), pg_dump(1), phpMyAdmin, SQLite's shell and file format).
const DUMPS: [&[u8]; 8] = [
    b"-- MySQL dump",
    b"-- MariaDB dump",
    b"/*M!999999\\- enable the sandbox mode",
    b"-- phpMyAdmin SQL Dump",
    b"-- PostgreSQL database dump",
    b"PGDMP",
    b"SQLite format 3\0",
    b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;",
];

/// Names of archives and leftovers that nobody means visitors to have.
fn is_left_over(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let packed = [".gz", ".zst", ".xz", ".bz2", ".zip"]
        .iter()
        .find_map(|end| name.strip_suffix(end));
    let archive = packed.is_some_and(|inner| {
        inner.ends_with(".sql")
            || inner.ends_with(".dump")
            || ["backup", "dump", "database"]
                .iter()
                .any(|word| inner.starts_with(word))
    });
    // A copy of the configuration that PHP no longer runs is shown as text.
    let configuration = ["wp-config", "settings", "configuration", "localsettings"]
        .iter()
        .any(|start| name.starts_with(start));
    let copy = [".bak", ".old", ".orig", ".save", ".swp", "~", ".txt"]
        .iter()
        .any(|end| name.ends_with(end));
    let tool = matches!(
        name.as_str(),
        "phpinfo.php" | "info.php" | "adminer.php" | ".htpasswd"
    ) || name.starts_with("adminer-");
    archive || (configuration && name.contains(".php") && copy) || tool
}

/// Dumps, archives and leftovers.
pub(super) fn dumps(trees: &[&Tree]) -> Check {
    let mut found = Vec::new();
    for tree in trees {
        for one in &tree.found {
            let path = String::from_utf8_lossy(&one.path).into_owned();
            let name = path.rsplit('/').next().unwrap_or(&path);
            let data = [".sql", ".dump", ".mysql", ".sqlite", ".sqlite3", ".db"]
                .iter()
                .any(|end| name.to_ascii_lowercase().ends_with(end));
            let begins_so = || {
                tree.start(&one.path, 512).is_some_and(|start| {
                    DUMPS
                        .iter()
                        .any(|dump| start.windows(dump.len()).any(|part| part == *dump))
                })
            };
            // Modules have SQL of their own; that is none of somebody's data.
            if is_left_over(name) || (data && begins_so()) {
                found.push(tree.named(&path));
            }
        }
    }
    if found.is_empty() {
        return Check::ok("dumps", "No dump or leftover lies in code or uploads.");
    }
    Check::failure(
        "dumps",
        format!(
            "{} file(s) that nobody should be able to fetch: {}.",
            found.len(),
            some(&found)
        ),
        "Remove them, from git too, and change the passwords that were in them. Backups belong into /backups.",
    )
}
