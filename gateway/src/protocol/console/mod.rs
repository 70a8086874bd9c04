//! The console: the commands of `ssh HOST COMMAND` and of the command line on the server.

mod approvals;
mod audit_query;
mod audits;
mod authorities;
mod backup_command;
mod backups;
mod carry;
mod code;
mod command;
mod content_command;
mod content_settings;
mod contents;
mod databases;
mod deliveries;
mod deploy_plan;
mod deploys;
mod environments;
mod explain;
mod exports;
mod greeting;
mod hold_command;
mod holds;
mod imports;
mod key_limits;
mod keys;
mod leaving;
mod merges;
mod multidev_command;
mod multidev_list;
mod multidevs;
mod people;
mod quotas;
mod releases;
mod reply;
mod site_environment;
mod sites;
mod status_command;
mod statuses;
mod table;
mod target_command;
mod targets;
mod unfinished;
mod workflow_command;
mod workflows;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, Parser};

pub use command::{Command, Common, Invocation};
pub use reply::{Reply, Said};

use crate::audit::Audit;
use crate::fault::Fault;
use crate::gate::{Denied, Gate, Identity};
use crate::protocol::refusal_lines;
use crate::site::{Busy, Sites, Undone};
use crate::state::State;
use table::Format;

/// Exit statuses, the same at each door.
pub mod status {
    /// Done, or nothing to do.
    pub const DONE: u32 = 0;
    /// It failed.
    pub const FAILED: u32 = 1;
    /// The command was not understood.
    pub const USAGE: u32 = 2;
    /// The policy refused it.
    pub const REFUSED: u32 = 3;
}

/// Runs commands for all doors.
#[derive(Debug)]
pub struct Console {
    /// Decides.
    pub gate: Arc<Gate>,
    /// What is known.
    pub state: Arc<State>,
    /// What was.
    pub audit: Arc<Audit>,
    /// Where the audit's file is.
    pub audit_path: PathBuf,
    /// All sites.
    pub sites: Arc<Sites>,
    /// Where standard input waits that comes before it is read; no file keeps its name there.
    pub spool: PathBuf,
    /// For how long a deleted Multidev can be brought back.
    pub keep_deleted: Duration,
}

/// Why a command did not do what it was to do.
#[derive(Debug)]
enum Stop {
    /// The gate did not let it.
    Denied(Denied),
    /// It could not be done, as the sentence says.
    Failed(String),
    /// There was nothing to do, as the sentence says.
    Nothing(String),
}

impl From<Denied> for Stop {
    fn from(denied: Denied) -> Self {
        Stop::Denied(denied)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Denied(Denied::Fault(fault))
    }
}

impl From<Busy> for Stop {
    fn from(busy: Busy) -> Self {
        Stop::Failed(busy.to_string())
    }
}

impl From<String> for Stop {
    fn from(sentence: String) -> Self {
        Stop::Failed(sentence)
    }
}

impl From<Undone> for Stop {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Nothing(sentence) => Stop::Nothing(sentence),
            Undone::Fault(fault) => Stop::Denied(Denied::Fault(fault)),
            other @ (Undone::Moved(_)
            | Undone::Conflicts(_)
            | Undone::Impossible(_)
            | Undone::TurnedBack(_)
            | Undone::Cancelled(_)) => Stop::Failed(other.to_string()),
        }
    }
}

type Done = Result<(), Stop>;

/// One command being run: who, and the other end.
struct Run<'a> {
    console: &'a Console,
    who: &'a Identity,
    reply: &'a mut Reply,
}

impl Console {
    /// Runs a command given as words. Returns its exit status.
    pub async fn run_words(&self, who: &Identity, words: &[String], reply: &mut Reply) -> u32 {
        match parse(words) {
            Ok(invocation) => self.run(who, invocation, reply).await,
            Err(error) => {
                if error.use_stderr() {
                    reply.tell(error.render().to_string().trim_end()).await;
                    return status::USAGE;
                }
                let _ = reply.out(&error.render().to_string()).await;
                status::DONE
            }
        }
    }

    /// Runs a command. Returns its exit status.
    pub async fn run(&self, who: &Identity, invocation: Invocation, reply: &mut Reply) -> u32 {
        let Invocation { command, common } = invocation;
        reply.format = match common.format.as_str() {
            "json" => Format::Json,
            _table => Format::Table,
        };
        reply.field = common.field;
        reply.yes = common.yes;
        reply.waits = !common.no_wait;
        let mut run = Run {
            console: self,
            who,
            reply,
        };
        match run.command(command).await {
            Ok(()) => status::DONE,
            Err(Stop::Nothing(sentence)) => {
                reply.tell(&sentence).await;
                status::DONE
            }
            Err(Stop::Failed(sentence)) => {
                reply.tell(&sentence).await;
                status::FAILED
            }
            Err(Stop::Denied(denied)) => {
                let status = match &denied {
                    Denied::Refused(_) => status::REFUSED,
                    Denied::Fault(_) => status::FAILED,
                };
                for line in refusal_lines(denied) {
                    reply.tell(&line).await;
                }
                status
            }
        }
    }
}

/// Reads words as a command.
///
/// # Errors
/// With clap's explanation, which may also be the help that was asked for.
pub fn parse(words: &[String]) -> Result<Invocation, clap::Error> {
    Invocation::try_parse_from(std::iter::once("funicular").chain(words.iter().map(String::as_str)))
}

impl Run<'_> {
    async fn command(&mut self, command: Command) -> Done {
        match command {
            Command::Greet { environment } => self.greet(environment).await,
            Command::Help => {
                let help = Invocation::command().render_help().to_string();
                let _ = self.reply.out(&help).await;
                Ok(())
            }
            Command::SiteCreate {
                name,
                from,
                trunk,
                files_path,
            } => self.site_create(name, from, trunk, files_path).await,
            Command::SiteList => self.site_list().await,
            Command::SiteInfo { site } => self.site_info(site).await,
            Command::SiteSet {
                site,
                setting,
                values,
            } => self.site_set(site, &setting, &values).await,
            Command::TeamList { site } => self.team_list(site).await,
            Command::TeamAdd { site, person, role } => self.team_add(site, person, role).await,
            Command::TeamRole { site, person, role } => self.team_role(site, person, role).await,
            Command::TeamRemove { site, person } => self.team_remove(site, person).await,
            Command::UserList => self.user_list().await,
            Command::UserAdd {
                name,
                email,
                administrator,
            } => self.user_add(name, email, administrator).await,
            Command::UserRemove { name } => self.user_remove(name).await,
            Command::KeyAdd { file, user, limits } => self.key_add(file, user, limits).await,
            Command::CaAdd { file, name } => self.ca_add(file, name).await,
            Command::CaList => self.ca_list().await,
            Command::CaRemove { name } => self.ca_remove(name).await,
            Command::KeyList { user } => self.key_list(user).await,
            Command::KeyRemove { id } => self.key_remove(id).await,
            Command::EnvList { site } => self.env_list(site).await,
            Command::EnvInfo { environment } => self.env_info(environment).await,
            Command::ConnectionInfo { environment } => self.connection_info(environment).await,
            Command::ConnectionSet { environment, mode } => {
                self.connection_set(environment, mode).await
            }
            Command::EnvSet {
                environment,
                setting,
                value,
            } => self.env_set(environment, &setting, &value).await,
            Command::Diffstat { environment } => self.diffstat(environment).await,
            Command::Commit {
                environment,
                message,
                paths,
            } => self.commit(environment, message, paths).await,
            Command::Discard { environment, paths } => self.discard(environment, paths).await,
            Command::RestoreWork {
                environment,
                id,
                list,
            } => self.restore_work(environment, id, list).await,
            Command::Deploy {
                environment,
                reference,
                dry_run: true,
                beside,
                ..
            } => self.deploy_plan(environment, reference, &beside).await,
            Command::Rollback {
                environment,
                to,
                dry_run: true,
                ..
            } => self.rollback_plan(environment, to).await,
            Command::Deploy {
                environment,
                note,
                reference,
                overriding,
                beside,
                ..
            } => {
                self.deploy(environment, (note, overriding), reference, beside)
                    .await
            }
            Command::Rollback {
                environment,
                to,
                note,
                overriding,
                ..
            } => self.rollback(environment, to, (note, overriding)).await,
            Command::Release(command) => self.release(command).await,
            Command::CodeLog { environment, limit } => self.code_log(environment, limit).await,
            Command::HotfixList { site } => self.hotfix_list(site).await,
            Command::HotfixMerge { site, name } => self.hotfix_merge(site, name).await,
            Command::HotfixDrop { site, name, reason } => {
                self.hotfix_drop(site, name, reason).await
            }
            Command::Content(command) => self.content(command).await,
            Command::Backup(command) => self.backup(command).await,
            Command::Hold(command) => self.hold(command).await,
            Command::Multidev(command) => self.multidev(command).await,
            Command::Workflow(command) => self.workflow(command).await,
            Command::Status(command) => self.env_status(command).await,
            Command::Target(command) => self.target(command).await,
            Command::AuditList(query) => self.audit_list(query).await,
            Command::AuditVerify => self.audit_verify().await,
            Command::Explain {
                person,
                action,
                target,
                reason,
                key,
            } => self.explain(person, action, target, reason, key).await,
        }
    }
}
