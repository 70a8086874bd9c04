//! Who may import whom inside the gateway, and that policy and hooks import nothing of ours. The
//! table is that of the design; an offender is named with its arrow.

use std::fs;
use std::path::Path;

/// What everybody may use: how a fault is told, where slow work goes, what the settings are, where
/// tests have the process killed.
const WORDS_FOR_ALL: [&str; 5] = ["fault", "blocking", "config", "pattern", "crash"];

/// What each part of the gateway may use beside itself. A path allows what lies below it.
const MAY_USE: [(&str, &[&str]); 12] = [
    (
        "protocol",
        &[
            "gate",
            "site",
            "state",
            "confine",
            // To read and to tell of; `Record` and `Durability`, which write, are the gate's.
            "audit::self",
            "audit::Audit",
            "audit::Decided",
            "audit::Filter",
            "audit::IncidentId",
            "audit::Outcome",
            "audit::Row",
            "audit::Who",
        ],
    ),
    ("gate", &["state", "audit"]),
    (
        "site",
        &[
            "gate",
            "state",
            "steps_file",
            "sandbox",
            "database",
            "audit::IncidentId",
            "audit::Outcome",
        ],
    ),
    ("state", &["database"]),
    ("database", &["confine"]),
    ("audit", &[]),
    ("config", &["steps_file"]),
    ("steps_file", &[]),
    ("sandbox", &[]),
    ("confine", &[]),
    (
        "daemon",
        &["protocol", "gate", "site", "state", "audit", "confine"],
    ),
    (
        "cli",
        &["protocol::console", "daemon", "confine", "sandbox"],
    ),
];

#[test]
fn the_gateway_keeps_to_its_table() {
    let mut offenders = Vec::new();
    for (path, text) in rust_files("gateway/src") {
        if is_for_tests(&path) {
            continue;
        }
        let inside = path.trim_start_matches("gateway/src/");
        let part = inside.split(['/', '.']).next().unwrap();
        let code = without_tests(&text);
        let root = inside == format!("{part}/mod.rs") || inside == format!("{part}.rs");
        for (number, used) in used_paths(code, root) {
            if !may_use(part, &used) {
                offenders.push(format!("{path}:{number}: {part} -> {used}"));
            }
        }
    }
    assert!(
        offenders.is_empty(),
        "imports against the table of design and tests/suite/layering.rs:\n{}",
        offenders.join("\n")
    );
}

#[test]
fn every_part_stands_in_the_table() {
    for (path, _) in rust_files("gateway/src") {
        let inside = path.trim_start_matches("gateway/src/");
        let part = inside.split(['/', '.']).next().unwrap();
        let known = ["lib", "main"].contains(&part)
            || WORDS_FOR_ALL.contains(&part)
            || MAY_USE.iter().any(|(name, _)| *name == part);
        assert!(
            known,
            "{path} belongs to '{part}', which tests/suite/layering.rs does not know"
        );
    }
}

#[test]
fn only_the_gate_asks_the_policy() {
    for (path, text) in rust_files("gateway/src") {
        let asks = code_lines(without_tests(&text)).any(|(_, line)| {
            line.contains("policy::decide")
                || (line.contains("use policy::") && words(line).any(|word| word == "decide"))
        });
        assert!(
            !asks || path.starts_with("gateway/src/gate/"),
            "{path} asks policy::decide; only the gate may, since it keeps the audit"
        );
    }
}

#[test]
fn only_the_ssh_module_knows_the_library_that_speaks_ssh() {
    for (path, text) in rust_files("gateway/src") {
        if path.starts_with("gateway/src/protocol/ssh/") {
            continue;
        }
        for (number, line) in code_lines(&text) {
            assert!(
                !line.contains("russh::") && !line.contains("use russh"),
                "{path}:{number} names russh; only protocol::ssh may"
            );
        }
    }
}

#[test]
fn policy_and_hooks_import_nothing_of_ours() {
    for (part, others) in [
        ("policy", ["funicular", "hooks"]),
        ("hooks", ["funicular", "policy"]),
    ] {
        for (path, text) in rust_files(&format!("{part}/src")) {
            for (number, line) in code_lines(&text) {
                for other in others {
                    let used = line.contains(&format!("use {other}::"))
                        || line.contains(&format!(" {other}::"));
                    assert!(
                        !used || path.ends_with("/main.rs"),
                        "{path}:{number}: {part} -> {other}"
                    );
                }
            }
        }
        let manifest = fs::read_to_string(root().join(part).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split_once("[dependencies]").unwrap().1;
        for other in others {
            assert!(
                !dependencies.contains(other),
                "{part}/Cargo.toml depends on {other}"
            );
        }
    }
}

#[test]
fn nobody_climbs_two_modules() {
    for folder in ["gateway/src", "policy/src", "hooks/src", "tests"] {
        for (path, text) in rust_files(folder) {
            for (number, line) in code_lines(&text) {
                let climbs = line.contains(concat!("super", "::super"));
                assert!(!climbs, "{path}:{number}: name it from crate:: instead");
            }
        }
    }
}

/// The reader of imports must see what it is for.
#[test]
fn imports_are_read_in_every_form() {
    let text = "//! crate::cli\nuse crate::audit::{\n    self, Who,\n    query::{Filter, Row},\n};\n\
                pub use crate::{site::tree, state};\nfn f() { crate::gate::Gate::new(); } // crate::daemon\n\
                use super::daemon;\n";
    let used = |root| {
        used_paths(text, root)
            .into_iter()
            .map(|(_, path)| path)
            .collect::<Vec<_>>()
    };
    let wanted = [
        "audit::self",
        "audit::Who",
        "audit::query::Filter",
        "audit::query::Row",
        "site::tree",
        "state",
        "gate::Gate::new",
    ];
    assert_eq!(used(false), wanted);
    assert_eq!(used(true), [&wanted[..], &["daemon"]].concat());
    assert!(may_use("site", "audit::Outcome::Failed") && !may_use("site", "audit::Outcomes"));
    assert!(may_use("state", "fault::Fault") && !may_use("state", "gate"));
}

/// All Rust files below a folder of the project, with their text, in order.
pub fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut left = vec![root().join(folder)];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                left.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no Rust file below {folder}");
    found.sort();
    found
}

/// A file up to the tests that stand in it.
pub fn without_tests(text: &str) -> &str {
    let starts = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\nmod tests;"];
    let end = starts
        .into_iter()
        .filter_map(|start| text.find(start))
        .min();
    &text[..end.unwrap_or(text.len())]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Tests set up more than the part that they test.
fn is_for_tests(path: &str) -> bool {
    path.split('/')
        .any(|name| ["tests", "tests.rs", "testing.rs"].contains(&name))
}

fn may_use(part: &str, used: &str) -> bool {
    let below = |allowed: &str| {
        used.strip_prefix(allowed)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    if ["lib", "main"].contains(&part) || below(part) {
        return true;
    }
    let table = MAY_USE.iter().find(|(name, _)| *name == part);
    WORDS_FOR_ALL.into_iter().any(below)
        || table.is_some_and(|(_, allowed)| allowed.iter().any(|one| below(one)))
}

/// The paths that code names from the crate's root, with their lines; from the file of a part at
/// the root, `super::` names them too.
fn used_paths(code: &str, super_is_root: bool) -> Vec<(usize, String)> {
    let mut plain = String::new();
    for (_, line) in code_lines(code) {
        plain.push_str(line);
        plain.push('\n');
    }
    let mut found = Vec::new();
    let starts: &[&str] = if super_is_root {
        &["crate::", "super::"]
    } else {
        &["crate::"]
    };
    for start in starts {
        for (at, _) in plain.match_indices(start) {
            let number = plain[..at].matches('\n').count() + 1;
            let mut paths = Vec::new();
            read_path(&plain[at + start.len()..], "", &mut paths);
            found.extend(paths.into_iter().map(|path| (number, path)));
        }
    }
    found
}

/// Reads one path, `a::b` or `a::{b, c::d}`, and returns what stands behind it.
fn read_path<'a>(text: &'a str, before: &str, found: &mut Vec<String>) -> &'a str {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || "_:*".contains(c)))
        .unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let path = format!("{before}{name}");
    if !rest.starts_with('{') {
        found.push(path.trim_end_matches("::").to_owned());
        return rest;
    }
    loop {
        rest = rest[1..].trim_start();
        if !rest.starts_with('}') {
            rest = read_path(rest, &path, found);
        }
        // A name given to an import (`as`) is no path.
        rest = &rest[rest.find([',', '}']).unwrap_or(rest.len())..];
        if !rest.starts_with(',') {
            return rest.strip_prefix('}').unwrap_or(rest);
        }
    }
}

/// The lines of a text, numbered, without comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| {
        let code = if line.trim_start().starts_with("//") {
            ""
        } else {
            line
        };
        (at + 1, code.split(" // ").next().unwrap_or_default())
    })
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}
