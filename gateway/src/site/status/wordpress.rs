//! WordPress, as far as its code tells; after the checks of Pantheon's Launch Check that need no PHP.

use super::ground::{Ground, System, Tree};
use super::{Check, php, some};

/// The newest branch that this gateway knows of. It asks no network, so a newer one is simply good.
const NEWEST: (u32, u32) = (6, 9);

/// Branches before this one get no more security fixes (WordPress.org, July 2025).
const OLDEST_MENDED: (u32, u32) = (4, 7);

/// So many branches back, fixes of the last years are missing that are no security fixes.
const BEHIND: u32 = 3;

/// Plugins that show the inside of a site, and cost time.
const FOR_DEVELOPERS: [&str; 9] = [
    "debug-bar",
    "query-monitor",
    "log-deprecated-notices",
    "wordpress-console",
    "wp-console",
    "theme-check",
    "debug-this",
    "wp-crontrol",
    "rewrite-rules-inspector",
];

pub(super) fn checks(ground: &Ground<'_>, checks: &mut Vec<Check>) {
    let (System::WordPress { root }, Some(code)) = (&ground.system, &ground.code) else {
        return;
    };
    checks.push(version(code, root));
    let config = configuration(code, root);
    checks.push(debugging(
        config.as_deref(),
        ground.is_deployed(),
        ground.is_live(),
    ));
    checks.push(keys(config.as_deref()));
    checks.push(object_cache(code, root, ground.is_live()));
    checks.push(plugins(code, root, ground.is_live()));
}

/// `wp-config.php` without its comments; WordPress also looks one folder above itself.
pub(super) fn configuration(code: &Tree, root: &str) -> Option<String> {
    let above = match root.trim_end_matches('/').rsplit_once('/') {
        Some((above, _)) => format!("{above}/"),
        None => String::new(),
    };
    [root, above.as_str()]
        .iter()
        .find_map(|folder| code.text(&format!("{folder}wp-config.php")))
        .map(|text| php::without_comments(&text))
}

pub(super) fn version(code: &Tree, root: &str) -> Check {
    const NAME: &str = "wp-version";
    let text = code.text(&format!("{root}wp-includes/version.php"));
    let found = text
        .as_deref()
        .and_then(|text| php::assigned(text, "$wp_version"))
        .map(|value| value.trim_matches(['\'', '"']).to_owned());
    let Some(version) = found else {
        return Check::warning(
            NAME,
            "The version of WordPress cannot be read.",
            "Look at wp-includes/version.php.",
        );
    };
    let shown = policy::escape(version.as_bytes());
    let mut parts = version
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let branch = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let update = "Update it on Dev (wp core update), commit, deploy.";
    // Each branch from 3.0 on goes to .9, and then comes the next whole number.
    let count = |branch: (u32, u32)| branch.0 * 10 + branch.1;
    if branch < OLDEST_MENDED {
        return Check::failure(
            NAME,
            format!("WordPress {shown} gets no more security fixes."),
            update,
        );
    }
    if count(branch) + BEHIND <= count(NEWEST) {
        let (major, minor) = NEWEST;
        return Check::warning(
            NAME,
            format!("WordPress {shown} is old: {major}.{minor} is known here."),
            update,
        );
    }
    Check::ok(NAME, format!("WordPress {shown}."))
}

/// Constants that show errors to visitors or cost time.
pub(super) fn debugging(config: Option<&str>, deployed: bool, live: bool) -> Check {
    const NAME: &str = "wp-debug";
    let Some(config) = config else {
        return Check::skipped(NAME, "There is no wp-config.php in code.");
    };
    let on: Vec<&str> = ["WP_DEBUG", "SCRIPT_DEBUG", "SAVEQUERIES"]
        .into_iter()
        .filter(|name| php::defined(config, name).is_some_and(php::is_true))
        .collect();
    if on.is_empty() {
        return Check::ok(NAME, "Debugging is off, or decided by the environment.");
    }
    let found = format!("{} on.", some(&on));
    if !deployed {
        return Check::ok(NAME, found);
    }
    let action =
        "In wp-config.php: define('WP_DEBUG', false); or decide it by FUNICULAR_ENVIRONMENT.";
    if live {
        Check::failure(NAME, found, action)
    } else {
        Check::warning(NAME, found, action)
    }
}

/// The secrets that the sample configuration has.
fn keys(config: Option<&str>) -> Check {
    const NAME: &str = "wp-keys";
    let Some(config) = config else {
        return Check::skipped(NAME, "There is no wp-config.php in code.");
    };
    if config.contains("put your unique phrase here") {
        return Check::failure(
            NAME,
            "The secrets in wp-config.php are those of the sample: anybody can forge a login.",
            "Give it new ones (https://api.wordpress.org/secret-key/1.1/salt/), best derived from each environment's settings.",
        );
    }
    Check::ok(NAME, "The secrets are not those of the sample.")
}

fn object_cache(code: &Tree, root: &str, live: bool) -> Check {
    const NAME: &str = "wp-object-cache";
    if content(root)
        .iter()
        .any(|content| code.has(&format!("{content}object-cache.php")))
    {
        return Check::ok(NAME, "An object cache is installed.");
    }
    let found = "No object cache is installed: each page asks the database for everything.";
    if live {
        Check::warning(
            NAME,
            found,
            "Install one: the plugin of Redis or Memcached brings object-cache.php.",
        )
    } else {
        Check::ok(NAME, found)
    }
}

/// Where plugins are: beside WordPress, or in Bedrock's `app`.
fn content(root: &str) -> [String; 2] {
    let above = root.trim_end_matches('/').strip_suffix("wp").unwrap_or("");
    [format!("{root}wp-content/"), format!("{above}app/")]
}

/// A plugin by the folder or file that it has, and what its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plugin {
    /// `folder/file.php` or `file.php`, as WordPress names it.
    pub file: String,
    pub version: String,
}

/// Finds plugins by their headers (WordPress, get_plugins(): files at the top and in the first folders).
pub(super) fn plugins_of(code: &Tree, root: &str) -> Vec<Plugin> {
    let mut plugins = Vec::new();
    for content in content(root) {
        let folder = format!("{content}plugins/");
        for found in &code.found {
            let path = String::from_utf8_lossy(&found.path);
            let Some(file) = path.strip_prefix(folder.as_str()) else {
                continue;
            };
            if !file.ends_with(".php") || file.matches('/').count() > 1 {
                continue;
            }
            // As much as WordPress itself looks at.
            let Some(start) = code.start(&found.path, 8192) else {
                continue;
            };
            let start = String::from_utf8_lossy(&start).into_owned();
            if header(&start, "Plugin Name").is_some() {
                plugins.push(Plugin {
                    file: file.to_owned(),
                    version: header(&start, "Version").unwrap_or_default(),
                });
            }
        }
    }
    plugins
}

fn header(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim_start_matches([' ', '\t', '/', '*', '#', '@']);
        let value = line.strip_prefix(name)?.strip_prefix(':')?.trim();
        (!value.is_empty()).then(|| value.trim_end_matches("*/").trim().to_owned())
    })
}

fn plugins(code: &Tree, root: &str, live: bool) -> Check {
    const NAME: &str = "wp-plugins";
    let plugins = plugins_of(code, root);
    let names: Vec<String> = plugins
        .iter()
        .map(|plugin| {
            let name = plugin.file.split('/').next().unwrap_or(&plugin.file);
            format!("{} {}", name.trim_end_matches(".php"), plugin.version)
        })
        .collect();
    let for_developers: Vec<&str> = FOR_DEVELOPERS
        .into_iter()
        .filter(|tool| {
            plugins
                .iter()
                .any(|plugin| plugin.file.split('/').next() == Some(tool))
        })
        .collect();
    if live && !for_developers.is_empty() {
        return Check::warning(
            NAME,
            format!(
                "Plugins for developers are on Live: {}.",
                some(&for_developers)
            ),
            "Remove them from the code that is deployed, or see that they are not active on Live.",
        );
    }
    if names.is_empty() {
        return Check::ok(NAME, "No plugin lies in code.");
    }
    Check::ok(
        NAME,
        format!("{} plugin(s): {}.", names.len(), some(&names)),
    )
}
