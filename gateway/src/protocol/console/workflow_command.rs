//! The commands that follow, wait for and cancel workflows.

use clap::Subcommand;
use policy::SiteName;
use serde::{Deserialize, Serialize};

/// The commands about workflows.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
pub enum WorkflowCommand {
    /// List what was done to a site's environments
    #[command(name = "workflow:list", visible_alias = "workflows")]
    List {
        /// The site
        site: SiteName,
    },
    /// Show one workflow and its steps
    #[command(name = "workflow:info")]
    Info {
        /// Its id
        id: String,
    },
    /// Show the log of a workflow
    #[command(name = "workflow:logs")]
    Logs {
        /// Its id
        id: String,
        /// Go on to its end
        #[arg(long, short = 'f')]
        follow: bool,
    },
    /// Follow all workflows of a site, also those to come
    #[command(name = "workflow:watch")]
    Watch {
        /// The site
        site: SiteName,
    },
    /// Wait for the end of a workflow; its failure and a time-out are failures
    #[command(name = "workflow:wait")]
    Wait {
        /// Its id
        id: String,
        /// The longest wait, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 180)]
        max: u64,
    },
    /// Have a workflow end before it changes anything
    #[command(name = "workflow:cancel")]
    Cancel {
        /// Its id
        id: String,
    },
}
