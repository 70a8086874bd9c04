//! The commands about what holds code where it is: freezes, hours of deploys, approvals.

use clap::Subcommand;
use policy::SiteName;
use serde::{Deserialize, Serialize};

use super::command::SiteEnvironment;

/// The commands about freezes, hours of deploys, and approvals.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
pub enum HoldCommand {
    /// Freeze an environment: it takes no code until that ends
    #[command(name = "lock:enable")]
    LockEnable {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// Why
        #[arg(long)]
        reason: String,
        /// When it ends by itself: a day (its end), a time, or how long, such as 2h
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Freeze files and the database as well
        #[arg(long)]
        content: bool,
    },
    /// End a freeze
    #[command(name = "lock:disable")]
    LockDisable {
        /// SITE.ENV
        environment: SiteEnvironment,
    },
    /// List what is frozen of a site
    #[command(name = "lock:list", visible_alias = "locks")]
    LockList {
        /// The site
        site: SiteName,
    },
    /// Let deploys go to Test or Live at these hours only
    #[command(name = "window:set")]
    WindowSet {
        /// SITE.test or SITE.live
        environment: SiteEnvironment,
        /// Hours, such as "mon-thu 09:00-16:00 Europe/Berlin"; several may be given
        #[arg(required = true)]
        hours: Vec<String>,
    },
    /// Let deploys go to Test or Live at any hour
    #[command(name = "window:clear")]
    WindowClear {
        /// SITE.test or SITE.live
        environment: SiteEnvironment,
    },
    /// List the hours at which deploys go to a site's environments
    #[command(name = "window:list", visible_alias = "windows")]
    WindowList {
        /// The site
        site: SiteName,
    },
    /// Approve somebody else's deploy or hotfix
    #[command(name = "deploy:approve")]
    Approve {
        /// The id of the request
        id: String,
    },
    /// Deny a deploy or hotfix the approval that it needs
    #[command(name = "deploy:deny")]
    Deny {
        /// The id of the request
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// List deploys and hotfixes that were to be approved
    #[command(name = "deploy:requests")]
    Requests {
        /// The site
        site: SiteName,
    },
}
