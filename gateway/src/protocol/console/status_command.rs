//! The command that looks at an environment as a whole.

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use super::site_environment::SiteEnvironment;

/// The commands about how an environment is.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
pub enum StatusCommand {
    /// Look whether an environment is fit for visitors, and what to do
    #[command(name = "env:status")]
    Status {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// End with an error on: warning or failure
        #[arg(long, value_name = "SCORE", value_parser = ["warning", "failure"])]
        fail_on: Option<String>,
    },
}
