//! Drupal, as far as its code tells; after the checks of its own status page that need no PHP.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use super::ground::{Ground, System, Tree};
use super::{Check, php, some};

/// Until when each version gets security fixes (drupal.org/about/core/policies, endoflife.date).
const ENDS: [(u32, Date); 4] = [
    (7, date(2025, 1, 5)),
    (8, date(2021, 11, 17)),
    (9, date(2023, 11, 1)),
    (10, date(2026, 12, 9)),
];

/// So many days before its end it is told.
const SOON: i32 = 120;

const GROUP_OR_OTHERS_WRITE: u32 = 0o022;

pub(super) fn checks(ground: &Ground<'_>, checks: &mut Vec<Check>) {
    let Some(code) = &ground.code else { return };
    let (root, is_seven) = match &ground.system {
        System::Drupal { root } => (root, false),
        System::Drupal7 { root } => (root, true),
        System::WordPress { .. } | System::Other => return,
    };
    let today = ground.now.to_zoned(TimeZone::UTC).date();
    checks.push(version(code, root, is_seven, today));
    let settings = settings_files(code, root);
    checks.push(permissions(code, &settings));
    let text = settings_text(code, &settings);
    checks.push(trusted_hosts(&text, is_seven, ground.is_live()));
    checks.push(dangerous(&text, is_seven, ground.is_deployed()));
}

pub(super) fn version(code: &Tree, root: &str, is_seven: bool, today: Date) -> Check {
    const NAME: &str = "drupal-version";
    let (path, before) = if is_seven {
        ("includes/bootstrap.inc", "define('VERSION', ")
    } else {
        ("core/lib/Drupal.php", "const VERSION = ")
    };
    let text = code.text(&format!("{root}{path}")).unwrap_or_default();
    let version = text
        .split_once(before)
        .and_then(|(_, after)| after.strip_prefix('\'')?.split('\'').next());
    let Some(version) = version else {
        return Check::warning(
            NAME,
            "The version of Drupal cannot be read.",
            format!("Look at {path}."),
        );
    };
    let shown = policy::escape(version.as_bytes());
    let major = version
        .split('.')
        .next()
        .and_then(|part| part.parse::<u32>().ok());
    let end = ENDS
        .iter()
        .find(|(known, _)| Some(*known) == major)
        .map(|(_, end)| *end);
    let update = "Move to a version that is kept up (composer require drupal/core-recommended …).";
    let Some(end) = end else {
        return Check::ok(NAME, format!("Drupal {shown}."));
    };
    if end < today {
        return Check::failure(
            NAME,
            format!("Drupal {shown} has got no security fixes since {end}."),
            update,
        );
    }
    let left = today.until(end).map_or(0, |span| span.get_days());
    let found = format!("Drupal {shown} gets security fixes until {end}.");
    if left < SOON {
        Check::warning(NAME, found, update)
    } else {
        Check::ok(NAME, found)
    }
}

/// The settings of each of its sites, and what they usually include.
fn settings_files(code: &Tree, root: &str) -> Vec<String> {
    let folder = format!("{root}sites/");
    code.found
        .iter()
        .map(|found| String::from_utf8_lossy(&found.path).into_owned())
        .filter(|path| {
            let Some(rest) = path.strip_prefix(folder.as_str()) else {
                return false;
            };
            let mut parts = rest.split('/');
            let (_site, name, more) = (parts.next(), parts.next(), parts.next());
            more.is_none()
                && name.is_some_and(|name| {
                    name.starts_with("settings") && name.ends_with(".php") || name == "services.yml"
                })
        })
        .collect()
}

fn settings_text(code: &Tree, files: &[String]) -> String {
    let texts = files
        .iter()
        .filter(|path| path.ends_with(".php"))
        .filter_map(|path| code.text(path));
    texts.map(|text| php::without_comments(&text)).collect()
}

fn permissions(code: &Tree, files: &[String]) -> Check {
    const NAME: &str = "drupal-settings";
    if files.is_empty() {
        return Check::warning(
            NAME,
            "There is no sites/*/settings.php in code.",
            "Add one: docs/content.md has a recipe.",
        );
    }
    let open: Vec<&String> = files
        .iter()
        .filter(|path| {
            code.find(path)
                .is_some_and(|found| found.stat.st_mode & GROUP_OR_OTHERS_WRITE != 0)
        })
        .collect();
    if open.is_empty() {
        return Check::ok(NAME, "Only the gateway may write to the settings.");
    }
    Check::failure(
        NAME,
        format!("Others may write to {}.", some(&open)),
        "chmod go-w them.",
    )
}

pub(super) fn trusted_hosts(settings: &str, is_seven: bool, live: bool) -> Check {
    const NAME: &str = "drupal-trusted-hosts";
    if is_seven {
        return if settings.contains("$base_url") {
            Check::ok(NAME, "$base_url is set.")
        } else {
            Check::skipped(NAME, "Drupal 7 has no trusted hosts; $base_url is not set.")
        };
    }
    let set = [
        "$settings['trusted_host_patterns']",
        "$settings['trusted_host_patterns'][]",
    ]
    .iter()
    .any(|name| {
        php::assigned(settings, name).is_some_and(|value| value != "[]" && value != "array()")
    });
    if set {
        return Check::ok(NAME, "trusted_host_patterns is set.");
    }
    let found = "trusted_host_patterns is not set: links in mails can be led to another host.";
    let action = "$settings['trusted_host_patterns'] = ['^www\\.example\\.org$']; in settings.php.";
    if live {
        Check::failure(NAME, found, action)
    } else {
        Check::warning(NAME, found, action)
    }
}

/// Settings that are for developers, or for a moment.
fn dangerous(settings: &str, is_seven: bool, deployed: bool) -> Check {
    const NAME: &str = "drupal-development";
    let mut found = Vec::new();
    let free = if is_seven {
        "$update_free_access"
    } else {
        "$settings['update_free_access']"
    };
    if php::assigned(settings, free).is_some_and(php::is_true) {
        found.push("everybody may run update.php (update_free_access)".to_owned());
    }
    let salt = if is_seven {
        "$drupal_hash_salt"
    } else {
        "$settings['hash_salt']"
    };
    if php::assigned(settings, salt).is_some_and(|value| matches!(value, "''" | "\"\"")) {
        found.push("hash_salt is empty".to_owned());
    }
    if !found.is_empty() {
        return Check::failure(
            NAME,
            format!("In settings.php {}.", found.join(" and ")),
            "Set both right and deploy.",
        );
    }
    let switched_off = ["render", "page", "dynamic_page_cache"].iter().any(|bin| {
        php::assigned(settings, &format!("$settings['cache']['bins']['{bin}']"))
            .is_some_and(|value| value.contains("cache.backend.null"))
    });
    if deployed && switched_off {
        return Check::warning(
            NAME,
            "Caches are switched off in settings.php.",
            "Keep that in a file for developers that is not in git.",
        );
    }
    Check::ok(NAME, "No setting is for developers only.")
}
