//! Content that comes from another environment: which way it may go, and from what.

use super::content::Asked;
use super::{permit, refuse, unfit_target};
use crate::action::Action;
use crate::content::{ContentFacts, ContentSource, DatabaseKind};
use crate::context::Context;
use crate::decision::Decision;
use crate::environment::Environment;
use crate::name::SiteName;
use crate::principal::Role;

/// Refuses the content that a deploy would bring, where it may not come along.
pub(super) fn with_deploy(
    role: Role,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Option<Decision> {
    let facts = context.content.as_ref()?;
    let asked = Asked {
        role,
        action: Action::Deploy,
        site,
        environment,
        context,
    };
    if *environment != Environment::Test {
        return Some(refuse(
            "sync-content-is-for-test",
            format!(
                "A deploy to {site}.{environment} brings no content: that comes down from Live, to Test."
            ),
            "Deploy without --sync-content.",
        ));
    }
    match asked.clone_from(facts) {
        Decision::Permit(_) => None,
        refused @ Decision::Refuse(_) => Some(refused),
    }
}

impl Asked<'_> {
    pub(super) fn clone_from(&self, facts: &ContentFacts) -> Decision {
        let Some(source) = facts.source.as_ref().filter(|_| !facts.wanted.code) else {
            return unfit_target(self.action.as_str());
        };
        let Asked {
            site, environment, ..
        } = self;
        if source.environment == **environment {
            return refuse(
                "same-environment",
                format!(
                    "{site}.{environment} is both source and target, so there is nothing to clone."
                ),
                format!("Name another target: env:clone-content {site}.{environment} ENV."),
            );
        }
        if let Some(refusal) = self.source_out_of_reach(source) {
            return refusal;
        }
        let upward = source.environment.is_below(environment);
        if upward && let Some(refusal) = self.upward(facts, source) {
            return refusal;
        }
        let impossible = self
            .uninitialised(facts)
            .or_else(|| self.no_engine(facts))
            .or_else(|| self.empty(facts, source));
        if let Some(refusal) = impossible {
            return refusal;
        }
        if !upward {
            return permit("member-clones-content");
        }
        if !facts.backed_up_first {
            return refuse(
                "upward-needs-backup",
                format!(
                    "Content goes up to {site}.{environment} after a backup of it only, and none can be made now."
                ),
                "Ask the server's administrator to set up backups.",
            );
        }
        self.typed(facts, "administrator-clones-upward")
    }

    /// What a developer may not read, they may not copy to where they read it.
    pub(super) fn source_out_of_reach(&self, source: &ContentSource) -> Option<Decision> {
        match (self.role, &source.environment) {
            (Role::Viewer | Role::Developer, Environment::Test | Environment::Live) => {
                Some(refuse(
                    "source-not-for-developers",
                    format!(
                        "Content of {}'s {} environment is not for the role {}, nor is a copy of it.",
                        self.site,
                        source.environment.title(),
                        self.role
                    ),
                    "Take Dev or a Multidev as the source, or ask a team member of the site.",
                ))
            }
            (Role::Viewer | Role::Developer, Environment::Dev | Environment::Multidev(_))
            | (Role::TeamMember | Role::Administrator, _) => None,
        }
    }

    fn upward(&self, facts: &ContentFacts, source: &ContentSource) -> Option<Decision> {
        let Asked {
            role,
            site,
            environment,
            ..
        } = self;
        let from = source.environment.title();
        let to = environment.title();
        if facts.launched {
            return Some(refuse(
                "content-goes-down",
                format!(
                    "{site} is launched, so content no longer goes up from {from} to {to}: it would overwrite what visitors have left there."
                ),
                format!(
                    "Content comes down: env:clone-content {site}.{environment} {}   code goes up: env:deploy {site}.{environment}.",
                    source.environment
                ),
            ));
        }
        (*role < Role::Administrator).then(|| {
            refuse(
                "upward-is-for-administrators",
                format!(
                    "Cloning content up from {from} to {to} of {site} is not for the role {role}."
                ),
                "Ask one of the site's administrators.",
            )
        })
    }

    /// Cloning nothing would empty the target, which nobody means by it.
    fn empty(&self, facts: &ContentFacts, source: &ContentSource) -> Option<Decision> {
        let Asked {
            site, environment, ..
        } = self;
        let from = &source.environment;
        if !source.ready {
            return Some(refuse(
                "source-uninitialised",
                format!(
                    "{site}.{from} does not exist or has no content yet, so there is nothing to clone."
                ),
                format!(
                    "See which there are: env:list {site}; a first deploy or import initialises one."
                ),
            ));
        }
        let wanted = facts.wanted;
        let database = wanted.database && facts.database != DatabaseKind::None;
        let bare = |wanted: bool, here: bool, there: bool| wanted && !here && there;
        let anything = (database && source.held.tables) || (wanted.files && source.held.files);
        let (what, instead) = if !anything {
            (
                "nothing that was asked for",
                format!(
                    "Fill {site}.{from} first; if you mean to empty the target: env:wipe {site}.{environment}."
                ),
            )
        } else if bare(database, source.held.tables, facts.held.tables) {
            (
                "no tables",
                format!(
                    "Clone the files alone: env:clone-content {site}.{from} {environment} --files-only."
                ),
            )
        } else if bare(wanted.files, source.held.files, facts.held.files) {
            (
                "no files",
                format!(
                    "Clone the database alone: env:clone-content {site}.{from} {environment} --db-only."
                ),
            )
        } else {
            return None;
        };
        Some(refuse(
            "source-empty",
            format!(
                "{site}.{from} holds {what}, so cloning it would only empty {site}.{environment}."
            ),
            instead,
        ))
    }
}
