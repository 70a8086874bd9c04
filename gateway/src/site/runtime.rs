//! What a site's own programs are told of where they run: files in the content of the environment,
//! written anew whenever a fact changes. They are no part of a release or of git, and SFTP shows them
//! to nobody, since facts of Live are not for everybody who may look at it.
//!
//! `settings.env` is for a shell to source, `settings.json` for programs, `settings.php` for PHP to
//! include: it returns an array. In the environment's folder `settings` links lead to those of the
//! content that it has now, so that who opens one gets database and files of one content. PHP keeps
//! included files, and where links lead, for minutes; so `settings.php` itself never changes, reads
//! the JSON anew each time, and has PHP forget where links led before.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use policy::{Environment, SiteName};

use super::layout::EnvironmentLayout;
use super::{Sites, content, covers};
use crate::database::{Address, Database};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::state::Content;

/// A fact, by the name of its variable.
pub(super) type Facts = Vec<(String, String)>;

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

/// Writes the files of a content that nobody points to yet.
///
/// # Errors
/// When they cannot be written.
pub(super) fn prepare(
    sites: &Sites,
    permit: &Permit,
    environment: &EnvironmentLayout,
    content: Content,
) -> Result<(), Fault> {
    covers(permit, environment.site())?;
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let facts = facts(sites, environment.site(), environment.name(), content)?;
    put(&environment.content(content.number), &facts)
}

/// Returns the facts about a content: its files, and its database if it has one.
pub(super) fn content_facts(
    sites: &Sites,
    environment: &EnvironmentLayout,
    content: Content,
) -> Result<Facts, Fault> {
    let fact = |name: &str, value: String| (format!("FUNICULAR_{name}"), value);
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut facts = vec![fact("FILES", path(&environment.files_store(content.files)))];
    let model = sites.state.model();
    let outside = model
        .environment(environment.site(), environment.name())
        .and_then(|state| state.database.as_deref())
        .and_then(|address| address.rsplit_once(':'));
    if let Some((host, port)) = outside {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        facts.push(fact("DATABASE_HOST", bare.unwrap_or(host).to_owned()));
        facts.push(fact("DATABASE_PORT", port.to_owned()));
        return Ok(facts);
    }
    let Some(database) = content::database_in(sites, environment, content)? else {
        return Ok(facts);
    };
    facts.push(fact(
        "DATABASE_ENGINE",
        database.engine().as_str().to_owned(),
    ));
    match database {
        Database::Sqlite { folder } => facts.push(fact("DATABASE_DIR", path(&folder))),
        Database::Served {
            server,
            name,
            user,
            password,
        } => {
            match sites.databases.for_sites(&server) {
                Address::Tcp { host, port } => {
                    facts.push(fact("DATABASE_HOST", host));
                    facts.push(fact("DATABASE_PORT", port.to_string()));
                }
                Address::Socket(socket) => {
                    facts.push(fact("DATABASE_HOST", "localhost".to_owned()));
                    facts.push(fact("DATABASE_SOCKET", path(&socket)));
                }
            }
            facts.push(fact("DATABASE_NAME", name));
            facts.push(fact("DATABASE_USER", user));
            facts.push(fact("DATABASE_PASSWORD", password.reveal().to_owned()));
        }
    }
    Ok(facts)
}

fn facts(
    sites: &Sites,
    site: &SiteName,
    environment: &Environment,
    content: Content,
) -> Result<Facts, Fault> {
    let model = sites.state.model();
    // A Multidev that is being made is not known yet.
    let state = model.environment(site, environment);
    let mut facts = vec![
        ("FUNICULAR_SITE".to_owned(), site.to_string()),
        ("FUNICULAR_ENVIRONMENT".to_owned(), environment.to_string()),
    ];
    if let Some(commit) = state.and_then(|state| state.commit) {
        facts.push(("FUNICULAR_COMMIT".to_owned(), commit.to_string()));
    }
    let deployments = sites.state.deployments(site, environment)?;
    if let Some(newest) = deployments.first() {
        let tag = format!("{environment}_{}", newest.number);
        facts.push(("FUNICULAR_DEPLOY".to_owned(), tag));
    }
    if let Some(url) = state.and_then(|state| state.front.url.as_ref()) {
        facts.push(("FUNICULAR_URL".to_owned(), url.clone()));
    }
    let layout = sites.layout.site(site).environment(environment);
    facts.extend(content_facts(sites, &layout, content)?);
    Ok(facts)
}

fn write(sites: &Sites, site: &SiteName, environment: &Environment) -> Result<(), Fault> {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let layout = sites.layout.site(site).environment(environment);
    let content = content::current(&layout)?;
    let facts = facts(sites, site, environment, content)?;
    put(&layout.content(content.number), &facts)?;
    let folder = layout.settings();
    let doing = || format!("making the folder {}", folder.display());
    match DirBuilder::new().mode(0o750).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error).or_fault(doing);
        }
        _there => {}
    }
    replace(&folder, "settings.php", PHP_THROUGH_LINKS.as_bytes()).or_fault(doing)?;
    for name in ["settings.env", "settings.json"] {
        let target = format!("../content/{name}");
        let path = folder.join(name);
        if fs::read_link(&path).is_ok_and(|there| there == Path::new(&target)) {
            continue;
        }
        let fresh = folder.join(format!(".{name}.new"));
        let _ = fs::remove_file(&fresh);
        symlink(&target, &fresh)
            .and_then(|()| fs::rename(&fresh, &path))
            .or_fault(doing)?;
    }
    Ok(())
}

fn put(folder: &Path, facts: &Facts) -> Result<(), Fault> {
    for (name, text) in [
        ("settings.env", shell(facts)),
        ("settings.json", json(facts)?),
        ("settings.php", PHP.to_owned()),
    ] {
        replace(folder, name, text.as_bytes())
            .or_fault(|| format!("writing {name} into {}", folder.display()))?;
    }
    Ok(())
}

/// PHP keeps an included file by its path; a file that it reads it opens anew.
const PHP: &str =
    "<?php\nreturn json_decode(file_get_contents(__DIR__ . '/settings.json'), true);\n";

/// The same from outside of the content, through the links that turn. Whatever PHP opens, it first looks up
/// where links led up to two minutes ago (`realpath_cache_ttl`), also for `file_get_contents` and for
/// uploads: it would read the settings of one content and the files of another. `readlink` asks the
/// system.
const PHP_THROUGH_LINKS: &str = r#"<?php
return (static function () {
    $top = dirname(__DIR__);
    for ($try = 0; $try < 5; $try++) {
        if (!function_exists('readlink') || !function_exists('realpath_cache_get')) {
            clearstatcache(true);
            $content = "$top/content";
        } else {
            $way = @readlink("$top/content");
            if ($way === 'current/content') {
                $release = @readlink("$top/current");
                $way = @readlink("$top/$release/content");
            }
            $content = "$top/contents/" . basename((string) $way);
            $files = "$top/stores/" . basename((string) @readlink("$content/files"));
            foreach (realpath_cache_get() as $kept) {
                $led = $kept['realpath'] . '/';
                if ((strpos($led, "$top/contents/") === 0 && strpos($led, "$content/") !== 0)
                    || (strpos($led, "$top/stores/files-") === 0 && strpos($led, "$files/") !== 0)
                ) {
                    clearstatcache(true);
                    break;
                }
            }
        }
        $text = @file_get_contents("$content/settings.json");
        if ($text !== false) {
            return json_decode($text, true);
        }
    }
    throw new RuntimeException("The settings of this environment cannot be read: $content/settings.json");
})();
"#;

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
            ("settings.php", PHP.to_owned()),
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
