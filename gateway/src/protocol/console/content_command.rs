//! The commands about content: cloned, imported, exported, emptied, brought back, and what a site says
//! of it.

use clap::{Args, Subcommand};
use policy::{Environment, SiteName};
use serde::{Deserialize, Serialize};

use super::command::SiteEnvironment;

/// The commands about content.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
pub enum ContentCommand {
    /// Give an environment the database and files of another one
    #[command(name = "env:clone-content")]
    Clone {
        /// SITE.ENV to take them from
        source: SiteEnvironment,
        /// The environment that gets them
        target: Environment,
        /// Only the database
        #[arg(long, conflicts_with = "files_only")]
        db_only: bool,
        /// Only the files
        #[arg(long)]
        files_only: bool,
        /// Run the site's updates of its database on the copy (updatedb in funicular.toml)
        #[arg(long)]
        updatedb: bool,
        /// Clear the site's caches on the copy (cache_clear in funicular.toml)
        #[arg(long = "cc")]
        clear_caches: bool,
        /// That this is meant
        #[command(flatten)]
        meant: Meant,
    },
    /// Bring back the content that an environment had before the last was put in its place
    #[command(name = "env:undo-content")]
    Undo {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// That this is meant
        #[command(flatten)]
        meant: Meant,
    },
    /// Empty an environment's database and files; its code stays
    #[command(name = "env:wipe")]
    Wipe {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// That this is meant
        #[command(flatten)]
        meant: Meant,
    },
    /// Give an environment's database a new password, and tell the site
    #[command(name = "env:rotate-password")]
    RotatePassword {
        /// SITE.ENV
        environment: SiteEnvironment,
    },
    /// Say that Live has visitors: from now on content goes down only
    #[command(name = "site:launch")]
    Launch {
        /// The site
        site: SiteName,
        /// Say that it has none any more
        #[arg(long)]
        undo: bool,
    },
    /// Fill an environment's database from a dump
    #[command(name = "import:database", visible_alias = "import:db")]
    ImportDatabase {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// A file in the environment's /tmp, - for standard input, or an address of http or https
        #[arg(value_name = "FILE|-|URL")]
        file: String,
        /// That this is meant
        #[command(flatten)]
        meant: Meant,
    },
    /// Fill an environment's files from an archive: tar (gz, zst, xz) or zip
    #[command(name = "import:files")]
    ImportFiles {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// A file in the environment's /tmp, - for standard input, or an address of http or https
        #[arg(value_name = "FILE|-|URL")]
        file: String,
        /// That this is meant
        #[command(flatten)]
        meant: Meant,
    },
    /// Fill Dev from one archive with code/, files/ and a dump: a commit and content, all or nothing
    #[command(name = "import:site")]
    ImportSite {
        /// The site
        site: SiteName,
        /// A file in Dev's /tmp, - for standard input, or an address of http or https
        #[arg(value_name = "FILE|-|URL")]
        file: String,
    },
    /// Write a dump of an environment's database to standard output
    #[command(name = "export:database", visible_alias = "export:db")]
    ExportDatabase {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// Where else
        #[command(flatten)]
        to: To,
    },
    /// Write an archive of an environment's files to standard output
    #[command(name = "export:files")]
    ExportFiles {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// How the archive is compressed
        #[arg(long = "archive", value_name = "KIND", default_value = "tar.gz", value_parser = ["tar", "tar.gz", "tar.zst"])]
        kind: String,
        /// Where else
        #[command(flatten)]
        to: To,
    },
    /// Say how much an environment may hold
    #[command(name = "quota:set")]
    QuotaSet {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// Bytes, such as 500M or 20G; or none
        bytes: String,
        /// Files, links and folders; or none
        #[arg(default_value = "none")]
        files: String,
    },
    /// Say which host names become which when content goes from one environment to another
    #[command(name = "domain:map")]
    DomainMap {
        /// The site
        site: SiteName,
        /// Where content comes from
        source: Environment,
        /// Where it goes
        target: Environment,
        /// Pairs such as www.example.org=dev.example.org, in the place of those that were there
        #[arg(value_name = "OLD=NEW", required = true)]
        pairs: Vec<String>,
    },
    /// List which host names become which
    #[command(name = "domain:list", visible_alias = "domains")]
    DomainList {
        /// The site
        site: SiteName,
    },
    /// Have host names stay as they are when content goes from one environment to another
    #[command(name = "domain:unmap")]
    DomainUnmap {
        /// The site
        site: SiteName,
        /// Where content comes from
        source: Environment,
        /// Where it goes
        target: Environment,
    },
}

/// How somebody says that they mean what cannot be meant by habit.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct Meant {
    /// The name of the environment that is overwritten, as SITE.ENV: asked for on Live, and upward
    #[arg(long, value_name = "SITE.ENV")]
    pub confirm: Option<String>,
}

/// Where an export goes but to standard output.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct To {
    /// A name in the environment's /backups, instead of standard output
    #[arg(long, value_name = "NAME")]
    pub to: Option<String>,
}

/// What a deploy does beside bringing code.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct Beside {
    /// Bring Live's content down at the same time, to Test
    #[arg(long)]
    #[serde(default)]
    pub sync_content: bool,
    /// Run the site's updates of its database (updatedb in funicular.toml)
    #[arg(long)]
    #[serde(default)]
    pub updatedb: bool,
    /// Clear the site's caches (cache_clear in funicular.toml)
    #[arg(long = "cc")]
    #[serde(default)]
    pub clear_caches: bool,
}
