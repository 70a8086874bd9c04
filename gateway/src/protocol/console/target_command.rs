//! The commands about who is told of an environment's switches.

use clap::{Args, Subcommand};
use policy::{Environment, SiteName};
use serde::{Deserialize, Serialize};

use super::command::SiteEnvironment;

/// The commands about targets and deliveries.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
pub enum TargetCommand {
    /// Have a program, a URL, another web host or a server told of each switch
    #[command(name = "target:add")]
    Add(NewTarget),
    /// List who is told of an environment's switches
    #[command(name = "target:list", visible_alias = "targets")]
    List {
        /// SITE.ENV
        environment: SiteEnvironment,
    },
    /// Try a target now; a web host takes part from then on
    #[command(name = "target:test")]
    Test {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// Its name
        name: String,
    },
    /// Remove a target, with all that it was to be told
    #[command(name = "target:remove", visible_alias = "target:rm")]
    Remove {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// Its name
        name: String,
    },
    /// List what targets were told and are to be told
    #[command(name = "delivery:list", visible_alias = "deliveries")]
    Deliveries {
        /// SITE or SITE.ENV
        place: Place,
        /// Only those that are: waiting, delivered or failed
        #[arg(long, value_parser = ["waiting", "delivered", "failed"])]
        status: Option<String>,
    },
    /// Have something told again
    #[command(name = "delivery:retry")]
    Retry {
        /// Its id
        id: String,
    },
}

/// A target, as it is asked for.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct NewTarget {
    /// SITE.ENV
    pub environment: SiteEnvironment,
    /// A name for it
    pub name: String,
    /// command, webhook, rsync or reload
    #[arg(value_parser = ["command", "webhook", "rsync", "reload"])]
    pub kind: String,
    /// The program with its arguments (after --), the URL, or USER@HOST:/PATH
    pub what: Vec<String>,
    /// How long it may take, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Take the secret of a webhook from standard input, instead of making one
    #[arg(long)]
    pub secret_from_stdin: bool,
    /// The fingerprint that a web host's key must have (SHA256:…)
    #[arg(long, value_name = "FINGERPRINT")]
    pub fingerprint: Vec<String>,
    /// How many releases a web host keeps [default: 3]
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// The file with the number of the process to reload
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<String>,
    /// The signal by which it reloads: HUP, USR1 or USR2
    #[arg(long, value_parser = crate::site::targets::SIGNALS, default_value = "HUP")]
    pub signal: String,
    /// The systemd unit to reload
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
}

/// `SITE` or `SITE.ENV`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    /// The site.
    pub site: SiteName,
    /// The environment, or all of them.
    pub environment: Option<Environment>,
}

impl std::str::FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('.') {
            let SiteEnvironment { site, environment } = text.parse()?;
            return Ok(Self {
                site,
                environment: Some(environment),
            });
        }
        Ok(Self {
            site: text.parse().map_err(|error| format!("{error}"))?,
            environment: None,
        })
    }
}
