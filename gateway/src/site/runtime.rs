//! What a site's own programs are told of where they run: three files beside the releases, written
//! anew whenever a fact changes. They are no part of a release or of git, and SFTP shows them to
//! nobody, since facts of Live are not for everybody who may look at it.
//!
//! `settings.env` is for a shell to source, `settings.json` for programs, `settings.php` for PHP to
//! include: it returns an array.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use policy::{Environment, SiteName};

use super::{Sites, covers};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::state::Model;

/// A fact, by the name of its variable.
type Facts = Vec<(String, String)>;

/// Who writes takes what is true at that moment, and nobody else writes meanwhile: so what is
/// written last is what is true last.
static WRITING: Mutex<()> = Mutex::new(());

/// Writes the files of an environment where they differ from what is true now. That they could not
/// be written undoes nothing: the next change or start writes them.
pub(super) fn refresh(sites: &Sites, permit: &Permit, site: &SiteName, environment: &Environment) {
    if let Err(fault) = covers(permit, site).and_then(|()| write(sites, site, environment)) {
        tracing::error!(%site, %environment, "the settings of an environment: {fault}");
    }
}

/// Returns the facts about an environment's database; none where it has none.
pub(super) fn database(model: &Model, site: &SiteName, environment: &Environment) -> Facts {
    let address = model
        .environment(site, environment)
        .and_then(|state| state.database.as_deref())
        .and_then(|address| address.rsplit_once(':'));
    let Some((host, port)) = address else {
        return Facts::new();
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    vec![
        (
            "FUNICULAR_DATABASE_HOST".to_owned(),
            bare.unwrap_or(host).to_owned(),
        ),
        ("FUNICULAR_DATABASE_PORT".to_owned(), port.to_owned()),
    ]
}

fn facts(sites: &Sites, site: &SiteName, environment: &Environment) -> Result<Facts, Fault> {
    let model = sites.state.model();
    let state = model
        .environment(site, environment)
        .ok_or_else(|| Fault::new("the environment is gone"))?;
    let mut facts = vec![
        ("FUNICULAR_SITE".to_owned(), site.to_string()),
        ("FUNICULAR_ENVIRONMENT".to_owned(), environment.to_string()),
    ];
    if let Some(commit) = state.commit {
        facts.push(("FUNICULAR_COMMIT".to_owned(), commit.to_string()));
    }
    let deployments = sites.state.deployments(site, environment)?;
    if let Some(newest) = deployments.first() {
        let tag = format!("{environment}_{}", newest.number);
        facts.push(("FUNICULAR_DEPLOY".to_owned(), tag));
    }
    if let Some(url) = &state.front.url {
        facts.push(("FUNICULAR_URL".to_owned(), url.clone()));
    }
    facts.extend(database(&model, site, environment));
    Ok(facts)
}

fn write(sites: &Sites, site: &SiteName, environment: &Environment) -> Result<(), Fault> {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let facts = facts(sites, site, environment)?;
    let folder = sites.layout.site(site).environment(environment).settings();
    let doing = || format!("making the folder {}", folder.display());
    match DirBuilder::new().mode(0o750).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error).or_fault(doing);
        }
        _there => {}
    }
    for (name, text) in [
        ("settings.env", shell(&facts)),
        ("settings.json", json(&facts)?),
        ("settings.php", php(&facts)),
    ] {
        replace(&folder, name, text.as_bytes())
            .or_fault(|| format!("writing {name} of {site}.{environment}"))?;
    }
    Ok(())
}

/// Writes a file whole, unless it is right already.
fn replace(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let path = folder.join(name);
    if fs::read(&path).is_ok_and(|now| now == bytes) {
        return Ok(());
    }
    let fresh = folder.join(format!(".{name}.new"));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _gone => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        // The web server is let in by group membership, as to releases; nobody else.
        .mode(0o640)
        .open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    File::open(folder)?.sync_all()
}

/// Single quotes keep all but themselves (POSIX.1-2024, Shell Command Language, 2.2.2).
fn shell(facts: &Facts) -> String {
    let mut text = String::new();
    for (name, value) in facts {
        let value = value.replace('\0', "").replace('\'', r"'\''");
        text.push_str(&format!("{name}='{value}'\n"));
    }
    text
}

fn json(facts: &Facts) -> Result<String, Fault> {
    let map: serde_json::Map<String, serde_json::Value> = facts
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let mut text = serde_json::to_string_pretty(&map).or_fault(|| "writing settings as JSON")?;
    text.push('\n');
    Ok(text)
}

/// In single quotes PHP knows two escapes, and a closing tag is no tag.
fn php(facts: &Facts) -> String {
    let mut text = "<?php\nreturn [\n".to_owned();
    for (name, value) in facts {
        let value = value.replace('\\', r"\\").replace('\'', r"\'");
        text.push_str(&format!("    '{name}' => '{value}',\n"));
    }
    text.push_str("];\n");
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    /// Values that an unwary writer would break, as the programs that read them see them.
    #[test]
    fn each_form_gives_back_what_was_put_in() {
        let values = [
            "plain",
            "",
            "it's 'quoted'",
            "\"double\" $HOME `id` $(id) \\ \\' \\\\",
            "two\nlines\n",
            "?> <?php echo 1; /* */ // #",
            "ünïcödé 💡 \u{2028}",
            "tab\t\u{1b}[0m \\n",
        ];
        let facts: Facts = values
            .iter()
            .enumerate()
            .map(|(number, value)| (format!("V{number}"), (*value).to_owned()))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("settings.env", shell(&facts)),
            ("settings.json", json(&facts).unwrap()),
            ("settings.php", php(&facts)),
        ] {
            replace(folder.path(), name, text.as_bytes()).unwrap();
        }
        let all: Vec<u8> = values
            .iter()
            .flat_map(|value| [value.as_bytes(), b"\0"].concat())
            .collect();
        let names: Vec<String> = (0..values.len())
            .map(|number| format!("V{number}"))
            .collect();
        let each = |one: &str, join: &str| {
            let parts: Vec<_> = names.iter().map(|name| one.replace('@', name)).collect();
            parts.join(join)
        };
        for (program, argument, script) in [
            (
                "sh",
                "-c",
                format!(". ./settings.env; {}", each("printf '%s\\0' \"$@\"", "; ")),
            ),
            (
                "python3",
                "-c",
                "import json, sys\nfor v in json.load(open('settings.json', encoding='utf-8')).values(): sys.stdout.buffer.write(v.encode() + b'\\0')".to_owned(),
            ),
            (
                "php",
                "-r",
                "foreach (require './settings.php' as $v) { echo $v, \"\\0\"; }".to_owned(),
            ),
        ] {
            let output = Command::new(program)
                .args([argument, &script])
                .current_dir(folder.path())
                .output()
                .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&all),
                "{program}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_only_when_it_differs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.env");
        replace(folder.path(), "settings.env", b"one").unwrap();
        let reader = File::open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
        // What a crash left.
        fs::write(folder.path().join(".settings.env.new"), "half").unwrap();
        replace(folder.path(), "settings.env", b"two").unwrap();
        assert_eq!(std::io::read_to_string(reader).unwrap(), "one");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let changed = fs::metadata(&path).unwrap().modified().unwrap();
        replace(folder.path(), "settings.env", b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), changed);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
