//! WordPress's database; after the checks of Pantheon's Launch Check.

use std::collections::BTreeSet;

use super::address::Address;
use super::data::Data;
use super::ground::{Ground, System, Tree};
use super::wordpress::{configuration, plugins_of};
use super::{Check, php, sized, some, told};
use crate::database::Engine;
use crate::fault::Fault;

/// What each page reads from the options at least, in bytes: told from here (Site Health says 800 KB).
const AUTOLOAD: u64 = 800_000;

/// And from here a failure: object caches refuse values of a megabyte.
const AUTOLOAD_TOO_MUCH: u64 = 1_000_000;

/// From here on the table of options is slow (WP Launch Check).
const OPTIONS: u64 = 10_000;

const TRANSIENTS: u64 = 1_000;

const SESSIONS: u64 = 50_000;

const ACTIVE_PLUGINS: usize = 100;

/// What overdue events of cron may wait for, in seconds.
const OVERDUE: i64 = 24 * 3600;

/// All words for it since WordPress 6.6.
const AUTOLOADED: &str = "autoload IN ('yes', 'on', 'auto', 'auto-on')";

/// What the address checks need to know besides the database.
pub(super) struct Around<'a> {
    /// The address of this environment.
    pub url: Option<&'a str>,
    /// That of Live, where this is another.
    pub live_url: Option<&'a str>,
    /// `wp-config.php` without comments.
    pub config: Option<String>,
    /// Now, in seconds since 1970.
    pub now: i64,
}

pub(super) fn checks(ground: &Ground<'_>, data: Option<&Data<'_>>, checks: &mut Vec<Check>) {
    let (System::WordPress { root }, Some(code)) = (&ground.system, &ground.code) else {
        return;
    };
    let live = ground
        .model
        .environment(ground.site, &policy::Environment::Live);
    let around = Around {
        url: ground.state.front.url.as_deref(),
        live_url: live
            .filter(|_| !ground.is_live())
            .and_then(|live| live.front.url.as_deref()),
        config: configuration(code, root),
        now: ground.now.as_second(),
    };
    look(data, &around, Some((code, root.as_str())), checks);
}

/// The checks, for a database that may be any.
pub(super) fn look(
    data: Option<&Data<'_>>,
    around: &Around<'_>,
    code: Option<(&Tree, &str)>,
    checks: &mut Vec<Check>,
) {
    let installed =
        data.and_then(|data| Some((data, data.prefix(&["options", "posts", "users"])?)));
    let Some((data, prefix)) = installed else {
        checks.push(Check::skipped(
            "wp-database",
            "The tables of WordPress are not there to be looked at.",
        ));
        return;
    };
    let options = format!("{prefix}options");
    checks.push(told("wp-autoload", autoload(data, &options)));
    if data.engine == Engine::Mariadb {
        checks.push(told("wp-autoload-index", autoload_index(data, &options)));
    }
    checks.push(told("wp-options", option_rows(data, &options)));
    checks.push(told("wp-transients", transients(data, &options)));
    checks.push(sessions(data, &prefix));
    checks.push(told("wp-address", address(data, &options, around)));
    checks.push(told("wp-cron", cron(data, &options, around)));
    checks.push(told(
        "wp-active-plugins",
        active_plugins(data, &options, code),
    ));
}

fn autoload(data: &Data<'_>, options: &str) -> Result<Check, Fault> {
    const NAME: &str = "wp-autoload";
    let bytes = data.number(&format!(
        "SELECT COALESCE(SUM(LENGTH(option_value)), 0) FROM {options} WHERE {AUTOLOADED}"
    ))?;
    let found = format!("Each page reads {} of options.", sized(bytes));
    if bytes < AUTOLOAD {
        return Ok(Check::ok(NAME, found));
    }
    let largest = data.query(&format!(
        "SELECT {} FROM {options} WHERE {AUTOLOADED} ORDER BY LENGTH(option_value) DESC LIMIT 5",
        data.joined("option_name", "LENGTH(option_value)")
    ))?;
    let largest: Vec<String> = largest
        .iter()
        .filter_map(|row| {
            let (name, size) = row.rsplit_once(':')?;
            Some(format!("{name} ({})", sized(size.parse().ok()?)))
        })
        .collect();
    let found = format!("{found} The largest: {}.", some(&largest));
    let action = "Remove what plugins have left, or have it not loaded each time: wp option set-autoload NAME off.";
    Ok(if bytes >= AUTOLOAD_TOO_MUCH {
        Check::failure(NAME, found, action)
    } else {
        Check::warning(NAME, found, action)
    })
}

fn autoload_index(data: &Data<'_>, options: &str) -> Result<Check, Fault> {
    const NAME: &str = "wp-autoload-index";
    let found = data.query(&format!(
        "SELECT index_name FROM information_schema.statistics WHERE table_schema = DATABASE() \
         AND table_name = '{options}' AND column_name = 'autoload' AND seq_in_index = 1"
    ))?;
    Ok(if found.is_empty() {
        Check::warning(
            NAME,
            format!("{options} has no index on autoload, so each page reads the whole table."),
            format!(
                "ALTER TABLE {options} ADD INDEX autoload (autoload); as WordPress has it since 5.3."
            ),
        )
    } else {
        Check::ok(NAME, "Options that each page reads are found by an index.")
    })
}

fn option_rows(data: &Data<'_>, options: &str) -> Result<Check, Fault> {
    const NAME: &str = "wp-options";
    let rows = data.number(&format!("SELECT COUNT(*) FROM {options}"))?;
    let found = format!("{rows} option(s).");
    Ok(if rows > OPTIONS {
        Check::warning(
            NAME,
            found,
            "Look for a plugin that keeps its data there; remove expired transients (wp transient delete --expired).",
        )
    } else {
        Check::ok(NAME, found)
    })
}

fn transients(data: &Data<'_>, options: &str) -> Result<Check, Fault> {
    const NAME: &str = "wp-transients";
    // Without LIKE, in which `_` is a joker that engines escape differently.
    let rows = data.number(&format!(
        "SELECT COUNT(*) FROM {options} WHERE SUBSTR(option_name, 1, 11) = '_transient_' \
         OR SUBSTR(option_name, 1, 16) = '_site_transient_'"
    ))?;
    let found = format!("{rows} row(s) of transients.");
    Ok(if rows > TRANSIENTS {
        Check::warning(
            NAME,
            found,
            "Remove those that have expired (wp transient delete --expired), or keep them in an object cache.",
        )
    } else {
        Check::ok(NAME, found)
    })
}

/// Sessions that shops keep in the database.
fn sessions(data: &Data<'_>, prefix: &str) -> Check {
    const NAME: &str = "wp-sessions";
    let rows = data
        .table(&format!("{prefix}woocommerce_sessions"))
        .map_or(0, |table| table.rows);
    let found = format!("About {rows} session(s) of shoppers.");
    if rows > SESSIONS {
        Check::warning(
            NAME,
            found,
            "Its cron does not clear them: see wp-cron; WooCommerce, Status, Tools clears them by hand.",
        )
    } else {
        Check::ok(NAME, found)
    }
}

/// `home` and `siteurl`: a copy that says it is Live sends its visitors, and its editors, there.
fn address(data: &Data<'_>, options: &str, around: &Around<'_>) -> Result<Check, Fault> {
    const NAME: &str = "wp-address";
    let config = around.config.as_deref().unwrap_or_default();
    if php::defined(config, "WP_HOME").is_some() && php::defined(config, "WP_SITEURL").is_some() {
        return Ok(Check::ok(NAME, "wp-config.php says which address this is."));
    }
    let said = data.query(&format!(
        "SELECT option_value FROM {options} WHERE option_name IN ('home', 'siteurl') ORDER BY option_name"
    ))?;
    let hosts: BTreeSet<String> = said
        .iter()
        .filter_map(|url| Address::read(url))
        .map(|address| address.host)
        .collect();
    let shown: Vec<&String> = said.iter().collect();
    let shown = some(&shown);
    let action = "Map the domain (domain:map) and clone again, or: wp search-replace OLD NEW; or set WP_HOME and WP_SITEURL in wp-config.php.";
    let host = |url: Option<&str>| url.and_then(Address::read).map(|address| address.host);
    if let Some(here) = host(around.url) {
        return Ok(
            if hosts.iter().all(|host| *host == here) && !hosts.is_empty() {
                Check::ok(NAME, format!("It knows its address, {here}."))
            } else {
                Check::failure(
                    NAME,
                    format!("Its address is {here}, and its options say {shown}."),
                    action,
                )
            },
        );
    }
    if let Some(live) = host(around.live_url)
        && hosts.contains(&live)
    {
        return Ok(Check::warning(
            NAME,
            format!("Its options lead to Live: {shown}."),
            action,
        ));
    }
    Ok(Check::skipped(
        NAME,
        format!("No address is set for this environment; its options say {shown}."),
    ))
}

/// The oldest event that waits, from the keys of the serialised array.
fn cron(data: &Data<'_>, options: &str, around: &Around<'_>) -> Result<Check, Fault> {
    const NAME: &str = "wp-cron";
    let rows = data.query(&format!(
        "SELECT option_value FROM {options} WHERE option_name = 'cron'"
    ))?;
    let oldest = rows.first().and_then(|value| oldest_event(value));
    let config = around.config.as_deref().unwrap_or_default();
    let by_system = php::defined(config, "DISABLE_WP_CRON").is_some_and(php::is_true);
    let how = if by_system {
        "by the system (DISABLE_WP_CRON)"
    } else {
        "by visits"
    };
    let Some(oldest) = oldest else {
        return Ok(Check::skipped(NAME, "No event is planned."));
    };
    let late = around.now - oldest;
    Ok(if late > OVERDUE {
        Check::warning(
            NAME,
            format!(
                "An event has been overdue for {} hour(s); cron is to be run {how}.",
                late / 3600
            ),
            "Have the system run it: */5 * * * * wp cron event run --due-now. (On a copy of Live this may be meant.)",
        )
    } else {
        Check::ok(NAME, format!("No event is overdue; cron is run {how}."))
    })
}

/// The keys of the outer array are times; a `version` stands among them.
pub(super) fn oldest_event(value: &str) -> Option<i64> {
    let mut oldest: Option<i64> = None;
    let mut rest = value;
    while let Some((_, after)) = rest.split_once("i:") {
        rest = after;
        let Some((number, next)) = after.split_once(';') else {
            break;
        };
        // Only keys of the outer array are followed by an array whose keys are names of events.
        let is_event = next.starts_with("a:")
            && next
                .split_once('{')
                .is_some_and(|(_, inside)| inside.starts_with("s:"));
        if let (true, Ok(time)) = (is_event, number.parse::<i64>())
            && time > 1_000_000_000
        {
            oldest = Some(oldest.map_or(time, |known| known.min(time)));
        }
    }
    oldest
}

/// Plugins that are switched on, against those in code.
fn active_plugins(
    data: &Data<'_>,
    options: &str,
    code: Option<(&Tree, &str)>,
) -> Result<Check, Fault> {
    const NAME: &str = "wp-active-plugins";
    let rows = data.query(&format!(
        "SELECT option_value FROM {options} WHERE option_name = 'active_plugins'"
    ))?;
    let active: Vec<&str> = rows
        .first()
        .map(|value| {
            value
                .split('"')
                .filter(|part| part.ends_with(".php"))
                .collect()
        })
        .unwrap_or_default();
    if let Some((code, root)) = code {
        let there = plugins_of(code, root);
        let missing: Vec<&str> = active
            .iter()
            .copied()
            .filter(|file| !there.iter().any(|plugin| plugin.file == *file))
            .collect();
        if !missing.is_empty() {
            return Ok(Check::failure(
                NAME,
                format!(
                    "Plugins are active that are not in code: {}.",
                    some(&missing)
                ),
                "Deploy code that has them, or switch them off: wp plugin deactivate NAME.",
            ));
        }
    }
    let found = format!("{} plugin(s) are active.", active.len());
    Ok(if active.len() > ACTIVE_PLUGINS {
        Check::warning(
            NAME,
            found,
            "Each costs time on each page: remove what is not needed.",
        )
    } else {
        Check::ok(NAME, found)
    })
}
