//! Drupal's database; after the checks of Pantheon's Launch Check.

use std::collections::BTreeMap;

use super::data::Data;
use super::ground::{Ground, System, Tree};
use super::{Check, php, sized, some, told};
use crate::database::Engine;
use crate::fault::Fault;

const LOG_ROWS: u64 = 100_000;
const LOG_BYTES: u64 = 256 << 20;
const CACHE_BYTES: u64 = 1 << 30;
const SESSIONS: u64 = 100_000;

pub(super) fn checks(ground: &Ground<'_>, data: Option<&Data<'_>>, checks: &mut Vec<Check>) {
    let Some(code) = &ground.code else { return };
    let is_seven = match &ground.system {
        System::Drupal { .. } => false,
        System::Drupal7 { .. } => true,
        System::WordPress { .. } | System::Other => return,
    };
    look(data, is_seven, ground.is_deployed(), Some(code), checks);
}

/// The checks, for a database that may be any.
pub(super) fn look(
    data: Option<&Data<'_>>,
    is_seven: bool,
    deployed: bool,
    code: Option<&Tree>,
    checks: &mut Vec<Check>,
) {
    let own: &[&str] = if is_seven {
        &["system", "variable"]
    } else {
        &["key_value", "config"]
    };
    let installed = data.and_then(|data| Some((data, data.prefix(own)?)));
    let Some((data, prefix)) = installed else {
        checks.push(Check::skipped(
            "drupal-database",
            "The tables of Drupal are not there to be looked at.",
        ));
        return;
    };
    checks.push(log(data, &prefix));
    checks.push(caches(data, &prefix));
    checks.push(sessions(data, &prefix));
    checks.push(told(
        "drupal-caching",
        caching(data, &prefix, is_seven, deployed),
    ));
    checks.push(told(
        "drupal-errors",
        errors(data, &prefix, is_seven, deployed),
    ));
    if let Some(code) = code {
        checks.push(told(
            "drupal-updates",
            updates(data, &prefix, is_seven, code),
        ));
    }
}

fn log(data: &Data<'_>, prefix: &str) -> Check {
    const NAME: &str = "drupal-log";
    let Some(table) = data.table(&format!("{prefix}watchdog")) else {
        return Check::ok(NAME, "The log is not kept in the database.");
    };
    let found = format!(
        "The log has about {} row(s), {}.",
        table.rows,
        sized(table.bytes)
    );
    if table.rows > LOG_ROWS || table.bytes > LOG_BYTES {
        Check::warning(
            NAME,
            found,
            "Look what is logged so often (drush watchdog:show), keep fewer rows (admin/config/development/logging) and see that cron runs.",
        )
    } else {
        Check::ok(NAME, found)
    }
}

fn caches(data: &Data<'_>, prefix: &str) -> Check {
    const NAME: &str = "drupal-caches";
    let start = format!("{prefix}cache");
    let bytes = data
        .tables
        .iter()
        .filter(|table| table.name.starts_with(&start))
        .map(|table| table.bytes)
        .sum();
    let found = format!("Caches in the database have {}.", sized(bytes));
    if bytes > CACHE_BYTES {
        Check::warning(
            NAME,
            found,
            "Keep them in Redis or Memcached, or limit them: $settings['database_cache_max_rows'].",
        )
    } else {
        Check::ok(NAME, found)
    }
}

fn sessions(data: &Data<'_>, prefix: &str) -> Check {
    const NAME: &str = "drupal-sessions";
    let rows = data
        .table(&format!("{prefix}sessions"))
        .map_or(0, |table| table.rows);
    let found = format!("About {rows} session(s).");
    if rows > SESSIONS {
        Check::warning(
            NAME,
            found,
            "Sessions of visitors who never log in keep pages from being cached: look who begins them.",
        )
    } else {
        Check::ok(NAME, found)
    }
}

/// A configuration, as Drupal keeps it: serialised.
fn config(data: &Data<'_>, prefix: &str, name: &str) -> Result<String, Fault> {
    let column = if data.engine == Engine::Postgresql {
        "encode(data, 'escape')"
    } else {
        "data"
    };
    let rows = data.query(&format!(
        "SELECT {column} FROM {prefix}config WHERE name = '{name}' AND collection = ''"
    ))?;
    Ok(rows.into_iter().next().unwrap_or_default())
}

/// A variable of Drupal 7, serialised.
fn variable(data: &Data<'_>, prefix: &str, name: &str) -> Result<Option<String>, Fault> {
    let column = if data.engine == Engine::Postgresql {
        "encode(value, 'escape')"
    } else {
        "value"
    };
    let rows = data.query(&format!(
        "SELECT {column} FROM {prefix}variable WHERE name = '{name}'"
    ))?;
    Ok(rows.into_iter().next())
}

fn caching(data: &Data<'_>, prefix: &str, is_seven: bool, deployed: bool) -> Result<Check, Fault> {
    const NAME: &str = "drupal-caching";
    let mut off = Vec::new();
    if is_seven {
        for (name, words) in [
            ("cache", "pages of visitors"),
            ("preprocess_css", "style sheets are not joined"),
            ("preprocess_js", "scripts are not joined"),
        ] {
            let value = variable(data, prefix, name)?.unwrap_or_default();
            let set = value
                .rsplit([':', ';'])
                .map(|part| part.trim_matches('"'))
                .any(|part| part == "1");
            if !set {
                off.push(words);
            }
        }
    } else {
        let performance = config(data, prefix, "system.performance")?;
        let age = php::serialised(&performance, "max_age").and_then(php::number);
        if age.unwrap_or(0) == 0 {
            off.push("pages of visitors are not cached (cache.page.max_age)");
        }
        let mut parts = performance.split("s:10:\"preprocess\";").skip(1);
        for words in ["style sheets are not joined", "scripts are not joined"] {
            if parts.next().is_some_and(|value| value.starts_with("b:0")) {
                off.push(words);
            }
        }
    }
    if off.is_empty() {
        return Ok(Check::ok(
            NAME,
            "Pages, style sheets and scripts are cached.",
        ));
    }
    let found = format!("Off in the database: {}.", some(&off));
    Ok(if deployed {
        Check::warning(
            NAME,
            found,
            "admin/config/development/performance, unless settings.php sets it.",
        )
    } else {
        Check::ok(NAME, found)
    })
}

fn errors(data: &Data<'_>, prefix: &str, is_seven: bool, deployed: bool) -> Result<Check, Fault> {
    const NAME: &str = "drupal-errors";
    let hidden = if is_seven {
        // 2, all errors, is what it is when nothing is set.
        variable(data, prefix, "error_level")?
            .as_deref()
            .and_then(|value| php::number(value.trim_end_matches(';')))
            == Some(0)
    } else {
        let logging = config(data, prefix, "system.logging")?;
        php::serialised(&logging, "error_level").is_none_or(|value| value.ends_with("\"hide\""))
    };
    if hidden {
        return Ok(Check::ok(NAME, "Visitors are shown no errors."));
    }
    let found = "Errors are shown to visitors (system.logging.error_level).";
    Ok(if deployed {
        Check::warning(
            NAME,
            found,
            "admin/config/development/logging: none; or $config['system.logging']['error_level'] = 'hide'; in settings.php.",
        )
    } else {
        Check::ok(NAME, found)
    })
}

/// Updates that code has (`hook_update_N`) and the database has not had.
fn updates(data: &Data<'_>, prefix: &str, is_seven: bool, code: &Tree) -> Result<Check, Fault> {
    const NAME: &str = "drupal-updates";
    let rows = if is_seven {
        let pair = match data.engine {
            Engine::Postgresql => data.joined("name", "schema_version::text"),
            Engine::Mariadb | Engine::Sqlite => data.joined("name", "schema_version"),
        };
        data.query(&format!(
            "SELECT {pair} FROM {prefix}system WHERE type = 'module' AND status = 1 AND schema_version >= 0"
        ))?
    } else {
        let value = if data.engine == Engine::Postgresql {
            "encode(value, 'escape')"
        } else {
            "value"
        };
        data.query(&format!(
            "SELECT {} FROM {prefix}key_value WHERE collection = 'system.schema'",
            data.joined("name", value)
        ))?
    };
    let has: BTreeMap<String, i64> = rows
        .iter()
        .filter_map(|row| {
            let (name, value) = row.split_once(':')?;
            Some((name.to_owned(), php::number(value.trim_end_matches(';'))?))
        })
        .collect();
    let mut pending = Vec::new();
    for found in &code.found {
        let path = String::from_utf8_lossy(&found.path);
        let name = path.rsplit('/').next().unwrap_or(&path);
        let Some((module, installed)) = name
            .strip_suffix(".install")
            .and_then(|module| Some((module, has.get(module)?)))
        else {
            continue;
        };
        let newest = code
            .text(&path)
            .and_then(|text| newest_update(&text, module));
        if newest.is_some_and(|newest| newest > *installed) {
            pending.push(module.to_owned());
        }
    }
    if pending.is_empty() {
        return Ok(Check::ok(
            NAME,
            "The database has had all updates of the code (hook_update_N).",
        ));
    }
    Ok(Check::failure(
        NAME,
        format!("The database lacks updates of {}.", some(&pending)),
        "Run them: drush updatedb, or deploy with --updatedb.",
    ))
}

/// The highest `N` of the functions `MODULE_update_N`.
pub(super) fn newest_update(text: &str, module: &str) -> Option<i64> {
    let start = format!("function {module}_update_");
    text.split(start.as_str())
        .skip(1)
        .filter_map(|after| {
            let end = after
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(after.len());
            after.get(..end)?.parse().ok()
        })
        .max()
}
