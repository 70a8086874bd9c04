//! Content comes down: who may fill an environment from where, empty it, take its content away, and
//! keep or bring back backups of it.

use super::{permit, refuse, unfit_target};
use crate::action::Action;
use crate::content::{ContentFacts, DatabaseKind};
use crate::context::Context;
use crate::decision::Decision;
use crate::environment::Environment;
use crate::name::SiteName;
use crate::principal::Role;

pub(super) fn decide(
    role: Role,
    action: Action,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Decision {
    // A check names neither rows nor files of content, and whoever reads the code sees most of it.
    if action == Action::ViewStatus {
        return permit("member-views-status");
    }
    let asked = Asked {
        role,
        action,
        site,
        environment,
        context,
    };
    if let Some(refusal) = asked.out_of_reach() {
        return refusal;
    }
    match (action, &context.content) {
        (Action::ReadBackups, _) => permit("member-views-backups"),
        (Action::ScheduleBackups, _) => permit("member-schedules-backups"),
        (_, None) => unfit_target(action.as_str()),
        (Action::CloneContent, Some(facts)) => asked.clone_from(facts),
        (Action::UndoContent, Some(facts)) => asked.undo(facts),
        (Action::ImportContent, Some(facts)) => asked.import(facts),
        (Action::WipeContent, Some(facts)) => asked.wipe(facts),
        (Action::RestoreBackup, Some(facts)) => asked.restore(facts),
        (Action::ExportContent, Some(facts)) => asked.needs_engine(facts, "member-exports-content"),
        (Action::CreateBackup, Some(facts)) => asked.needs_engine(facts, "member-makes-backup"),
        (Action::RotatePassword, Some(facts)) => asked.rotate(facts),
        (_, Some(_)) => unfit_target(action.as_str()),
    }
}

/// What is asked, and of what.
pub(super) struct Asked<'a> {
    pub(super) role: Role,
    pub(super) action: Action,
    pub(super) site: &'a SiteName,
    pub(super) environment: &'a Environment,
    pub(super) context: &'a Context,
}

impl Asked<'_> {
    /// Roles, which come before anything that could tell what is there.
    fn out_of_reach(&self) -> Option<Decision> {
        let Asked {
            role,
            action,
            site,
            environment,
            ..
        } = self;
        let verb = action.as_str();
        match (role, environment) {
            (Role::Viewer, _) => Some(refuse(
                "viewer-reads-code-only",
                format!(
                    "The role viewer reads code only; '{verb}' on {site}.{environment} was refused."
                ),
                "Ask one of the site's administrators for the role developer or team_member.",
            )),
            (Role::Developer, Environment::Test | Environment::Live) => Some(refuse(
                "developer-stays-below-test",
                format!(
                    "Content of {site}'s {} environment is not for the role developer; '{verb}' was refused.",
                    environment.title()
                ),
                "Work on Dev or a Multidev, or ask one of the site's administrators for the role team_member.",
            )),
            (Role::TeamMember, Environment::Live) if self.replaces() => Some(refuse(
                "live-content-is-for-administrators",
                format!(
                    "'{verb}' replaces what visitors of {site} see, and is not for the role team_member."
                ),
                "Ask one of the site's administrators; Test, Dev and the Multidevs are open to you.",
            )),
            (Role::Developer | Role::TeamMember | Role::Administrator, _) => None,
        }
    }

    /// Whether it puts other content in the place of what is there, from no other environment.
    fn replaces(&self) -> bool {
        matches!(
            self.action,
            Action::UndoContent
                | Action::ImportContent
                | Action::WipeContent
                | Action::RestoreBackup
        )
    }

    fn undo(&self, facts: &ContentFacts) -> Decision {
        let Asked {
            site, environment, ..
        } = self;
        if !facts.former {
            return refuse(
                "nothing-to-undo",
                format!("{site}.{environment} has no former content that is still kept."),
                format!("Look for a backup: backup:list {site}.{environment}."),
            );
        }
        self.typed_on_live(facts, "member-undoes-content")
    }

    fn import(&self, facts: &ContentFacts) -> Decision {
        self.uninitialised(facts)
            .or_else(|| self.no_engine(facts))
            .or_else(|| self.code_too(facts))
            .unwrap_or_else(|| self.typed_on_live(facts, "member-imports-content"))
    }

    fn wipe(&self, facts: &ContentFacts) -> Decision {
        if facts.wanted.code {
            return unfit_target(self.action.as_str());
        }
        self.uninitialised(facts)
            .or_else(|| self.no_engine(facts))
            .unwrap_or_else(|| self.typed_on_live(facts, "member-wipes-content"))
    }

    fn restore(&self, facts: &ContentFacts) -> Decision {
        let Some(source) = &facts.source else {
            return unfit_target(self.action.as_str());
        };
        if let Some(refusal) = self.source_out_of_reach(source) {
            return refusal;
        }
        let Asked {
            site, environment, ..
        } = self;
        if source.environment.is_below(environment) {
            return refuse(
                "restore-goes-down",
                format!(
                    "A backup of {site}.{} is not restored upward, into {site}.{environment}.",
                    source.environment
                ),
                format!(
                    "Restore one of its own: backup:list {site}.{environment}   or restore into the same or a lower environment."
                ),
            );
        }
        self.uninitialised(facts)
            .or_else(|| self.no_engine(facts))
            .or_else(|| self.code_too(facts))
            .unwrap_or_else(|| self.typed_on_live(facts, "member-restores-backup"))
    }

    fn rotate(&self, facts: &ContentFacts) -> Decision {
        let Asked {
            site, environment, ..
        } = self;
        match facts.database {
            DatabaseKind::Served => permit("member-rotates-password"),
            DatabaseKind::Embedded | DatabaseKind::None => refuse(
                "no-database-password",
                format!(
                    "{site}.{environment} has no database on a server, so there is no password to change."
                ),
                format!("See what it has: env:info {site}.{environment}."),
            ),
        }
    }

    fn needs_engine(&self, facts: &ContentFacts, rule: &'static str) -> Decision {
        self.no_engine(facts).unwrap_or_else(|| permit(rule))
    }

    /// Nobody could tell whether the code takes content that there is no code for.
    pub(super) fn uninitialised(&self, facts: &ContentFacts) -> Option<Decision> {
        let Asked {
            site, environment, ..
        } = self;
        (!facts.initialised && self.action != Action::Deploy).then(|| {
            refuse(
                "target-uninitialised",
                format!("{site}.{environment} runs no code yet, so it takes no content."),
                format!("Deploy to it first: env:deploy {site}.{environment}."),
            )
        })
    }

    /// A site without a database is still copied and kept as a whole, but no database is promised
    /// that is not there.
    pub(super) fn no_engine(&self, facts: &ContentFacts) -> Option<Decision> {
        let wanted = facts.wanted;
        let Asked {
            site, environment, ..
        } = self;
        if !wanted.database && !wanted.files && !wanted.code {
            return Some(unfit_target(self.action.as_str()));
        }
        let alone = wanted.database && !wanted.files && !wanted.code;
        let missing = facts.database == DatabaseKind::None
            && (alone || (wanted.database && self.action == Action::ImportContent));
        missing.then(|| {
            refuse(
                "no-database-engine",
                format!("{site} has no database, and so has {site}.{environment}."),
                format!(
                    "One of the site's administrators chooses one: site:set {site} database sqlite, or mariadb or postgresql with a server."
                ),
            )
        })
    }

    /// Code that comes along enters where code enters, by a commit over no one's unsaved work.
    fn code_too(&self, facts: &ContentFacts) -> Option<Decision> {
        let Asked {
            site,
            environment,
            context,
            ..
        } = self;
        if !facts.wanted.code {
            return None;
        }
        if !environment.takes_code() {
            return Some(refuse(
                "only-where-code-enters",
                format!(
                    "Code of {site}'s {} environment changes by deploys only.",
                    environment.title()
                ),
                format!(
                    "Leave the code out: --element database, or files; env:rollback {site}.{environment} returns it to earlier code."
                ),
            ));
        }
        if context.mode.is_none() {
            return Some(refuse(
                "mode-unknown",
                format!("The connection mode of {site}.{environment} is not known."),
                "Try again; if it stays so, show the incident id to the server's administrator.",
            ));
        }
        (context.uncommitted > 0).then(|| {
            refuse(
                "uncommitted-work-in-the-way",
                format!(
                    "{site}.{environment} has uncommitted work in {} file(s), which this would change under it.",
                    context.uncommitted
                ),
                format!(
                    "Commit it first: env:commit {site}.{environment} -m \"what you did\", or env:discard {site}.{environment}."
                ),
            )
        })
    }

    fn typed_on_live(&self, facts: &ContentFacts, rule: &'static str) -> Decision {
        if *self.environment == Environment::Live {
            self.typed(facts, rule)
        } else {
            permit(rule)
        }
    }

    /// A name is typed by who means this environment; a yes is said by habit, and by scripts.
    pub(super) fn typed(&self, facts: &ContentFacts, rule: &'static str) -> Decision {
        let Asked {
            action,
            site,
            environment,
            ..
        } = self;
        if facts.name_typed {
            return permit(rule);
        }
        refuse(
            "name-not-typed",
            format!(
                "'{}' replaces the content of {site}.{environment}, so the name of the environment has to be typed; nothing was changed.",
                action.as_str()
            ),
            format!("If you mean it, repeat with --confirm {site}.{environment}."),
        )
    }
}
