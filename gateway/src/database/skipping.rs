//! Tables that are copied without their rows: what a site's setting says, and the lists for Drupal and
//! WordPress. The tables themselves are always made, so no page fails for want of one.
//!
//! What is in the lists can be rebuilt, has an end by itself, or is a log: caches, sessions, locks, hits. It is
//! also where most of a site's personal data is that nobody needs on Dev. WordPress keeps its caches, the
//! transients, among its options; those rows come along, and the sanitise step of `docs/content.md` removes them.

use crate::fault::Fault;

/// Drupal 7 to 11, core and the modules with the largest logs (pantheon.io/docs/pantheon-workflow and the
/// schemas). A site with a prefix lists the names itself (`drupal,main_cache_*,main_sessions`).
pub const DRUPAL: &[&str] = &[
    "cache",
    "cache_*",
    "cachetags",
    "accesslog",
    "watchdog",
    "sessions",
    "semaphore",
    "flood",
    "batch",
    "key_value_expire",
    "captcha_sessions",
    "ctools_object_cache",
    "ctools_css_cache",
    "dblog_filter",
    "login_history",
    "media_bulk_upload_sessions",
];

/// WordPress has no such table of its own; these are of the plugins that most sites have, behind the prefix that
/// each site chooses, and in a multisite behind the number of each of its sites.
pub const WORDPRESS: &[&str] = &[
    // Action Scheduler, WooCommerce.
    "*_actionscheduler_logs",
    "*_woocommerce_sessions",
    "*_woocommerce_log",
    "*_wc_rate_limits",
    // Wordfence.
    "*_wfcrawlers",
    "*_wffilemods",
    "*_wfhits",
    "*_wfhoover",
    "*_wfknownfilelist",
    "*_wflivetraffichuman",
    "*_wflogins",
    "*_wfsnipcache",
    "*_wfstatus",
    "*_wftrafficrates",
    // Other security and activity logs.
    "*_aiowps_audit_log",
    "*_aiowps_events",
    "*_aiowps_failed_logins",
    "*_aiowps_login_activity",
    "*_cerber_log",
    "*_cerber_traffic",
    "*_itsec_logs",
    "*_itsec_temp",
    "*_simple_history",
    "*_simple_history_contexts",
    "*_wsal_metadata",
    "*_wsal_occurrences",
    // Mail that was sent.
    "*_email_log",
    "*_wpmailsmtp_emails_log",
    "*_wpmailsmtp_debug_events",
    // Statistics and searches.
    "*_matomo_log_*",
    "*_redirection_404",
    "*_redirection_logs",
    "*_relevanssi_log",
    "*_slim_events",
    "*_slim_stats",
    "*_slim_stats_archive",
    "*_statistics_visit",
    "*_statistics_visitor",
    "*_wpforms_logs",
];

/// Returns the patterns of the tables whose rows are left out, for a site's setting: `none`, or a list with
/// commas of `drupal`, `wordpress` and names with `*` and `?`.
///
/// # Errors
/// When a name cannot be one, or would leave out every table; the sentence is for the person.
pub fn patterns(setting: &str) -> Result<Vec<String>, Fault> {
    let mut patterns: Vec<String> = Vec::new();
    if setting.trim() == "none" {
        return Ok(patterns);
    }
    for name in setting.split(',').map(str::trim) {
        match name {
            "drupal" => patterns.extend(DRUPAL.iter().map(|name| (*name).to_owned())),
            "wordpress" => patterns.extend(WORDPRESS.iter().map(|name| (*name).to_owned())),
            "" | "none" => return Err(wrong(name)),
            name => patterns.push(checked(name)?),
        }
    }
    patterns.sort();
    patterns.dedup();
    Ok(patterns)
}

fn checked(name: &str) -> Result<String, Fault> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | '*' | '?');
    if name.len() > 128 || !name.chars().all(fits) {
        return Err(wrong(name));
    }
    if !name.contains(char::is_alphanumeric) {
        return Err(Fault::new(format!(
            "{name} would leave out the rows of every table: name those that hold caches, sessions or logs"
        )));
    }
    Ok(name.to_owned())
}

fn wrong(name: &str) -> Fault {
    Fault::new(format!(
        "{name:?} is no name of a table: give drupal, wordpress, none, or names with * such as cache_*,*_log"
    ))
}

#[cfg(test)]
mod tests {
    use super::patterns;
    use crate::pattern::matches;

    fn skips(setting: &str, table: &str) -> bool {
        patterns(setting)
            .unwrap()
            .iter()
            .any(|pattern| matches(pattern.as_bytes(), table.as_bytes()))
    }

    #[test]
    fn caches_sessions_and_logs_are_left_out_and_content_is_not() {
        // The list of the original, whole.
        for table in "cache cache_block cache_bootstrap cache_field cache_filter cache_form cache_image cache_menu \
                      cache_page cache_path cache_update cache_views cache_views_data accesslog watchdog sessions \
                      cache_dynamic_page_cache semaphore"
            .split_whitespace()
        {
            assert!(skips("drupal", table), "{table}");
        }
        for table in "users users_data node node__body key_value config queue file_managed url_alias cached sessions2"
            .split_whitespace()
        {
            assert!(!skips("drupal", table), "{table}");
        }
        for table in [
            "wp_wfhits",
            "x7_wfhits",
            "wp_12_actionscheduler_logs",
            "wp_woocommerce_sessions",
        ] {
            assert!(skips("wordpress", table), "{table}");
        }
        for table in [
            "wp_options",
            "wp_posts",
            "wp_users",
            "wp_usermeta",
            "wp_wfconfig",
            "wp_wfls_2fa_secrets",
            "wp_actionscheduler_actions",
            "wp_blogs",
        ] {
            assert!(!skips("wordpress", table), "{table}");
        }
    }

    #[test]
    fn lists_and_names_can_be_combined() {
        assert!(patterns("none").unwrap().is_empty());
        assert!(skips("wordpress, *_hits,my_log", "wp_hits"));
        assert!(skips("wordpress, *_hits,my_log", "my_log"));
        assert!(skips("wordpress, *_hits,my_log", "wp_wfhits"));
        assert!(!skips("my_log", "wp_my_log"));
        for wrong in [
            "", ",", "a,,b", "a b", "none,a", "*", "*,a", "_?", "a;b", "`a`", "a.b",
        ] {
            assert!(patterns(wrong).is_err(), "{wrong}");
        }
    }
}
