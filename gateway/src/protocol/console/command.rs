//! The commands: one set for the command line on the server and for `ssh HOST COMMAND`. Words are
//! Terminus's where it has them.

use clap::{Args, Parser, Subcommand};
use policy::{ConnectionMode, HotfixName, PersonName, Role, SiteName};
use serde::{Deserialize, Serialize};

use super::audit_query::AuditQuery;
use super::backup_command::BackupCommand;
use super::content_command::{Beside, ContentCommand};
use super::hold_command::HoldCommand;
use super::key_limits::KeyLimits;
use super::multidev_command::MultidevCommand;
use super::releases::ReleaseCommand;
pub(super) use super::site_environment::SiteEnvironment;
use super::status_command::StatusCommand;
use super::target_command::TargetCommand;
use super::workflow_command::WorkflowCommand;

/// A command with what applies to all of them.
#[derive(Debug, Clone, Parser, Serialize, Deserialize)]
#[command(
    name = "funicular",
    disable_help_subcommand = true,
    about = "Code goes up, content comes down."
)]
pub struct Invocation {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What applies to all commands.
    #[command(flatten)]
    pub common: Common,
}

/// What applies to all commands.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct Common {
    /// How to print: table or json
    #[arg(long, global = true, value_name = "FORMAT", default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
    /// Print only this field
    #[arg(long, global = true, value_name = "NAME")]
    pub field: Option<String>,
    /// Answer every question with yes
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
    /// Do not wait while somebody else changes the environment
    #[arg(long, global = true)]
    #[serde(default)]
    pub no_wait: bool,
}

/// All commands.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
pub enum Command {
    /// Greet, and show where you can work
    #[command(name = "greet", hide = true)]
    Greet {
        /// The environment that the login name leads to
        environment: Option<SiteEnvironment>,
    },
    /// List the commands
    #[command(name = "help")]
    Help,
    /// Make a site
    #[command(name = "site:create")]
    SiteCreate {
        /// The name of the site
        name: SiteName,
        /// A folder on the server, the URL of a git repository, or a bundle on the server
        #[arg(long, value_name = "FROM")]
        from: Option<String>,
        /// The branch that Dev runs [default: main, or what the source has checked out]
        #[arg(long)]
        trunk: Option<String>,
        /// Where uploads lie in code, for instance wp-content/uploads
        #[arg(long, value_name = "PATH")]
        files_path: Option<String>,
    },
    /// List the sites that you have a part in
    #[command(name = "site:list", visible_alias = "sites")]
    SiteList,
    /// Show a site
    #[command(name = "site:info")]
    SiteInfo {
        /// The site
        site: SiteName,
    },
    /// Change a setting of a site: database, skip-tables, force-push, approve-live …
    #[command(name = "site:set")]
    SiteSet {
        /// The site
        site: SiteName,
        /// The setting
        #[arg(value_parser = ["database", "skip-tables", "force-push", "hotfix-require-test", "approve-live", "approve-hotfix", "step-network"])]
        setting: String,
        /// Its value: yes or no; for database sqlite, mariadb, postgresql or none, and a server; for
        /// skip-tables drupal, wordpress, names of tables, or none
        #[arg(required = true, value_name = "VALUE")]
        values: Vec<String>,
    },
    /// List who is in a site's team
    #[command(name = "site:team:list")]
    TeamList {
        /// The site
        site: SiteName,
    },
    /// Add somebody to a site's team
    #[command(name = "site:team:add")]
    TeamAdd {
        /// The site
        site: SiteName,
        /// Who
        person: PersonName,
        /// administrator, team_member, developer or viewer
        #[arg(default_value = "team_member")]
        role: Role,
    },
    /// Change somebody's role in a site's team
    #[command(name = "site:team:role")]
    TeamRole {
        /// The site
        site: SiteName,
        /// Who
        person: PersonName,
        /// administrator, team_member, developer or viewer
        role: Role,
    },
    /// Take somebody out of a site's team
    #[command(name = "site:team:remove", visible_alias = "site:team:rm")]
    TeamRemove {
        /// The site
        site: SiteName,
        /// Who
        person: PersonName,
    },
    /// List the people of this server
    #[command(name = "user:list")]
    UserList,
    /// Add somebody to this server, or change their address
    #[command(name = "user:add")]
    UserAdd {
        /// Their name
        name: PersonName,
        /// The address that their commits carry
        #[arg(long)]
        email: Option<String>,
        /// Let them administer the whole server
        #[arg(long)]
        administrator: bool,
    },
    /// Remove somebody with their keys and memberships
    #[command(name = "user:remove", visible_alias = "user:rm")]
    UserRemove {
        /// Their name
        name: PersonName,
    },
    /// Add a public key
    #[command(name = "ssh-key:add")]
    KeyAdd {
        /// A public key file, or - for standard input
        file: String,
        /// Whose key it is, if not yours
        #[arg(long, value_name = "NAME")]
        user: Option<PersonName>,
        /// What it is limited to
        #[command(flatten)]
        limits: KeyLimits,
    },
    /// List public keys
    #[command(name = "ssh-key:list", visible_alias = "ssh-keys")]
    KeyList {
        /// Whose keys, if not yours
        #[arg(long, value_name = "NAME")]
        user: Option<PersonName>,
    },
    /// Remove a public key
    #[command(name = "ssh-key:remove", visible_alias = "ssh-key:rm")]
    KeyRemove {
        /// Its id
        id: String,
    },
    /// Trust an authority: certificates that it signs let people in
    #[command(name = "ca:add")]
    CaAdd {
        /// The authority's public key file, or - for standard input
        file: String,
        /// A name for it [default: the key's comment]
        #[arg(long)]
        name: Option<String>,
    },
    /// List trusted authorities
    #[command(name = "ca:list")]
    CaList,
    /// Trust an authority no more
    #[command(name = "ca:remove", visible_alias = "ca:rm")]
    CaRemove {
        /// Its name or fingerprint
        name: String,
    },
    /// List the environments of a site
    #[command(name = "env:list", visible_alias = "envs")]
    EnvList {
        /// The site
        site: SiteName,
    },
    /// Show an environment
    #[command(name = "env:info")]
    EnvInfo {
        /// SITE.ENV
        environment: SiteEnvironment,
    },
    /// Show how to connect to an environment
    #[command(name = "connection:info")]
    ConnectionInfo {
        /// SITE.ENV
        environment: SiteEnvironment,
    },
    /// Set the connection mode of Dev or a Multidev
    #[command(name = "connection:set")]
    ConnectionSet {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// sftp or git
        mode: ConnectionMode,
    },
    /// Say where an environment's database is, or where it is served
    #[command(name = "env:set")]
    EnvSet {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// database, url or fastcgi
        #[arg(value_parser = ["database", "url", "fastcgi"])]
        setting: String,
        /// HOST:PORT, https://HOST, unix:PATH, or none
        value: String,
    },
    /// Show uncommitted work
    #[command(name = "env:diffstat")]
    Diffstat {
        /// SITE.ENV
        environment: SiteEnvironment,
    },
    /// Commit work that was done over SFTP
    #[command(name = "env:commit")]
    Commit {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// What was done
        #[arg(long, short = 'm')]
        message: String,
        /// Files and folders to commit [default: all]
        paths: Vec<String>,
    },
    /// Put work back to the last commit, keeping it aside
    #[command(name = "env:discard")]
    Discard {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// Files and folders to put back [default: all]
        paths: Vec<String>,
    },
    /// Bring back work that was put aside
    #[command(name = "env:restore-work")]
    RestoreWork {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// Which [default: the newest]
        id: Option<String>,
        /// List what there is
        #[arg(long)]
        list: bool,
    },
    /// Deploy code to Test or Live
    #[command(name = "env:deploy", visible_alias = "deploy")]
    Deploy {
        /// SITE.test or SITE.live
        environment: SiteEnvironment,
        /// What this deploy is about
        #[arg(long)]
        note: Option<String>,
        /// An older commit of trunk, for Test
        #[arg(long = "ref", value_name = "COMMIT")]
        reference: Option<String>,
        /// As an administrator, why not within the hours of deploys
        #[arg(long = "override", value_name = "REASON")]
        overriding: Option<String>,
        /// Only show what it would bring and take away, and whether it is allowed
        #[arg(long)]
        #[serde(default)]
        dry_run: bool,
        /// What it does beside
        #[command(flatten)]
        beside: Beside,
    },
    /// Return Test or Live to its last good release
    #[command(name = "env:rollback", visible_alias = "rollback")]
    Rollback {
        /// SITE.test or SITE.live
        environment: SiteEnvironment,
        /// Which release, such as live_7 [default: the newest good one]
        #[arg(long, value_name = "RELEASE")]
        to: Option<String>,
        /// Why
        #[arg(long)]
        note: Option<String>,
        /// As an administrator, why in spite of a freeze
        #[arg(long = "override", value_name = "REASON")]
        overriding: Option<String>,
        /// Only show what it would bring and take away, and whether it is allowed
        #[arg(long)]
        #[serde(default)]
        dry_run: bool,
    },
    /// What concerns releases
    #[command(flatten)]
    Release(ReleaseCommand),
    /// Show which commits each environment runs, and what is pending
    #[command(name = "env:code-log")]
    CodeLog {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// How many commits
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// List hotfixes
    #[command(name = "hotfix:list")]
    HotfixList {
        /// The site
        site: SiteName,
    },
    /// Merge a hotfix into trunk
    #[command(name = "hotfix:merge")]
    HotfixMerge {
        /// The site
        site: SiteName,
        /// What follows hotfix/
        name: HotfixName,
    },
    /// Give up a hotfix
    #[command(name = "hotfix:drop")]
    HotfixDrop {
        /// The site
        site: SiteName,
        /// What follows hotfix/
        name: HotfixName,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// What concerns content
    #[command(flatten)]
    Content(ContentCommand),
    /// What concerns backups
    #[command(flatten)]
    Backup(BackupCommand),
    /// What holds code where it is
    #[command(flatten)]
    Hold(HoldCommand),
    /// What concerns Multidevs
    #[command(flatten)]
    Multidev(MultidevCommand),
    /// What concerns workflows
    #[command(flatten)]
    Workflow(WorkflowCommand),
    /// How an environment is
    #[command(flatten)]
    Status(StatusCommand),
    /// Who is told of switches
    #[command(flatten)]
    Target(TargetCommand),
    /// Search the audit
    #[command(name = "audit:list", visible_alias = "audit")]
    AuditList(AuditQuery),
    /// Check that no row of the audit was changed, removed or moved
    #[command(name = "audit:verify")]
    AuditVerify,
    /// Say whether somebody could do something now, and why (not)
    #[command(name = "explain")]
    Explain {
        /// Who
        person: PersonName,
        /// The action: write, read, push, deploy, commit …
        action: String,
        /// The target: SITE, SITE.ENV, SITE.ENV:/code/index.php or SITE.ENV:refs/heads/main
        target: String,
        /// For a hotfix: the reason that would be given
        #[arg(long)]
        reason: Option<String>,
        /// With which of their keys; its id
        #[arg(long, value_name = "ID")]
        key: Option<String>,
    },
}
