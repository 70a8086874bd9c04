//! The commands about backups.

use clap::Subcommand;
use policy::Environment;
use serde::{Deserialize, Serialize};

use super::command::SiteEnvironment;
use super::content_command::{Meant, To};

/// The commands about backups.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
pub enum BackupCommand {
    /// Make a backup of an environment
    #[command(name = "backup:create")]
    Create {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// all, code, files or database
        #[arg(long, default_value = "all", value_parser = ["all", "code", "files", "database", "db"])]
        element: String,
        /// For how many days it is kept [default: backups.keep_days of the configuration]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        keep_for: Option<u32>,
    },
    /// List the backups of an environment
    #[command(name = "backup:list", visible_alias = "backups")]
    List {
        /// SITE.ENV
        environment: SiteEnvironment,
    },
    /// Show a backup
    #[command(name = "backup:info")]
    Info {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// Its id, or latest
        #[arg(default_value = "latest")]
        id: String,
    },
    /// Write a part of a backup to standard output
    #[command(name = "backup:get")]
    Get {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// Its id, or latest
        #[arg(default_value = "latest")]
        id: String,
        /// code (a git bundle), files (tar.gz) or database (sql.gz)
        #[arg(long, value_parser = ["code", "files", "database", "db"])]
        element: String,
        /// Where else
        #[command(flatten)]
        to: To,
    },
    /// Restore a backup: its content, or one part of it
    #[command(name = "backup:restore")]
    Restore {
        /// SITE.ENV that gets it
        environment: SiteEnvironment,
        /// Its id, or latest
        #[arg(default_value = "latest")]
        id: String,
        /// code, files or database [default: files and database]
        #[arg(long, value_parser = ["code", "files", "database", "db"])]
        element: Option<String>,
        /// The environment that it is a backup of, if another one
        #[arg(long, value_name = "ENV")]
        from: Option<Environment>,
        /// That this is meant
        #[command(flatten)]
        meant: Meant,
    },
    /// Have backups made daily, and those of one day a week kept for longer
    #[command(name = "backup:automatic:enable")]
    Enable {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// The day whose backups are kept for longer, such as monday [default: today's]
        #[arg(long, value_parser = DAYS)]
        day: Option<String>,
        /// At which hour, UTC [default: an hour of the environment's own]
        #[arg(long, value_parser = clap::value_parser!(i8).range(0..=23))]
        hour: Option<i8>,
        /// For how many days that day's are kept [default: 32]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        keep_for: Option<u32>,
    },
    /// Have no backups made by themselves
    #[command(name = "backup:automatic:disable")]
    Disable {
        /// SITE.ENV
        environment: SiteEnvironment,
    },
    /// Show when backups are made by themselves
    #[command(name = "backup:automatic:info")]
    Schedule {
        /// SITE.ENV
        environment: SiteEnvironment,
    },
}

/// The words for days of the week, from Monday on.
pub(super) const DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
