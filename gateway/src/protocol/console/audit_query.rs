//! What `audit:list` is asked to look for.

use clap::Args;
use policy::{Environment, SiteName};
use serde::{Deserialize, Serialize};

/// What to look for in the audit.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct AuditQuery {
    /// Only this site
    #[arg(long)]
    pub site: Option<SiteName>,
    /// Only this environment
    #[arg(long)]
    pub env: Option<Environment>,
    /// Only this person
    #[arg(long)]
    pub user: Option<String>,
    /// Only this rule
    #[arg(long)]
    pub rule: Option<String>,
    /// Only permit or refuse
    #[arg(long, value_parser = ["permit", "refuse"])]
    pub decision: Option<String>,
    /// Only paths and refs that contain this
    #[arg(long)]
    pub path: Option<String>,
    /// Only this incident
    #[arg(long)]
    pub incident: Option<String>,
    /// Not before: a date, a time, or an age such as 2h
    #[arg(long)]
    pub since: Option<String>,
    /// Not after
    #[arg(long)]
    pub until: Option<String>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100)]
    pub limit: usize,
    /// Go on showing rows as they come
    #[arg(long)]
    pub follow: bool,
}
