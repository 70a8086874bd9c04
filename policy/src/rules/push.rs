//! Where a push may go. A push over an environment's remote can change only that environment.

use super::{permit, refuse, release, unfit_target};
use crate::context::{Context, PushFacts, RefChange, RefKind};
use crate::decision::Decision;
use crate::environment::{ConnectionMode, Environment};
use crate::name::{HotfixName, SiteName};
use crate::principal::Role;
use crate::target::Target;

/// Decides before git starts whether the person may push over this environment's remote at all.
pub(super) fn begin(role: Role, site: &SiteName, environment: &Environment) -> Decision {
    match (role, environment) {
        (Role::Viewer, _) => refuse(
            "viewer-reads-only",
            format!(
                "The role viewer reads code only; the push to {site}.{environment} was refused."
            ),
            "Ask one of the site's administrators for the role developer.",
        ),
        (Role::Developer, Environment::Test | Environment::Live) => refuse(
            "developer-stays-below-test",
            format!(
                "Pushing to {site}'s {} environment is not for the role developer.",
                environment.title()
            ),
            format!("Push to Dev, and ask a team member to deploy: env:deploy {site}.test."),
        ),
        (Role::Developer, Environment::Dev | Environment::Multidev(_))
        | (Role::TeamMember | Role::Administrator, _) => permit("member-pushes"),
    }
}

/// Decides about one ref.
pub(super) fn update(
    role: Role,
    site: &SiteName,
    remote: &Environment,
    target: &Target,
    context: &Context,
) -> Decision {
    let begun = begin(role, site, remote);
    if !begun.is_permit() {
        return begun;
    }
    let (Target::Ref(_, _, name), Some(facts)) = (target, &context.push) else {
        return unfit_target("update-ref");
    };
    let push = Push {
        site,
        remote,
        name,
        facts,
        context,
    };
    if let Some(refusal) = push.never() {
        return refusal;
    }
    match remote {
        Environment::Dev | Environment::Multidev(_) => push.below(),
        Environment::Test | Environment::Live => push.above(),
    }
}

struct Push<'a> {
    site: &'a SiteName,
    remote: &'a Environment,
    name: &'a str,
    facts: &'a PushFacts,
    context: &'a Context,
}

impl Push<'_> {
    /// What no remote takes.
    fn never(&self) -> Option<Decision> {
        let Push {
            site, name, facts, ..
        } = self;
        match &facts.kind {
            RefKind::DeployTag => {
                return Some(refuse(
                    "deploy-tags-are-immutable",
                    format!(
                        "{name} is a deploy tag of {site}; only a deploy makes one, and nothing moves or deletes it."
                    ),
                    format!("Deploy instead: env:deploy {site}.test, then env:deploy {site}.live."),
                ));
            }
            RefKind::Reserved => {
                return Some(refuse(
                    "ref-not-allowed",
                    format!("{name} is neither a branch nor a tag that a push may change."),
                    "Push to refs/heads/ or refs/tags/.",
                ));
            }
            RefKind::Trunk | RefKind::MultidevBranch(_) => {
                if facts.change == RefChange::Delete {
                    return Some(refuse(
                        "environment-branch-stays",
                        format!(
                            "{name} is what an environment of {site} runs; it cannot be deleted."
                        ),
                        "Push another commit to it instead.",
                    ));
                }
            }
            RefKind::Hotfix(_) | RefKind::PlainBranch | RefKind::PlainTag => {}
        }
        if facts.change == RefChange::Delete {
            return None;
        }
        let branch = facts.kind != RefKind::PlainTag;
        if branch && !facts.is_commit {
            return Some(refuse(
                "branch-needs-a-commit",
                format!("{name} is a branch, and what was pushed to it is not a commit."),
                "Push a commit.",
            ));
        }
        if let Some(path) = &facts.forbidden_path {
            return Some(refuse(
                "forbidden-path-in-code",
                format!("The commit pushed to {name} holds '{path}', which no release may hold."),
                "Remove that path from the commit and push again.",
            ));
        }
        if let Some(path) = &facts.uploads_path {
            return Some(refuse(
                "uploads-are-not-code",
                format!(
                    "The commit pushed to {name} holds '{path}', where {site} keeps its uploads; uploads are content, not code."
                ),
                "Take the path out of the commit (git rm -r --cached) and upload it over SFTP to /files.",
            ));
        }
        None
    }

    /// Over Dev's or a Multidev's remote.
    fn below(&self) -> Decision {
        let Push {
            site,
            remote,
            name,
            facts,
            ..
        } = self;
        match &facts.kind {
            RefKind::Trunk => match remote {
                Environment::Dev => self.environment_branch(),
                Environment::Multidev(_) | Environment::Test | Environment::Live => {
                    self.other_environment(&Environment::Dev, &facts.trunk)
                }
            },
            RefKind::MultidevBranch(owner) => match remote {
                Environment::Multidev(here) if here == owner => self.environment_branch(),
                Environment::Multidev(_)
                | Environment::Dev
                | Environment::Test
                | Environment::Live => {
                    self.other_environment(&Environment::Multidev(owner.clone()), owner.as_str())
                }
            },
            RefKind::Hotfix(hotfix) => {
                if facts.change == RefChange::Delete {
                    return drop_instead(site, hotfix);
                }
                refuse(
                    "hotfix-goes-to-live",
                    format!(
                        "{name} is a hotfix; over the remote of {site}.{remote} it would reach no visitor."
                    ),
                    format!(
                        "Push it to Live: git push -o reason=\"why\" {} HEAD:hotfix/{hotfix}",
                        self.url(&Environment::Live)
                    ),
                )
            }
            RefKind::PlainBranch => permit("branch-without-environment"),
            RefKind::PlainTag => permit("plain-tag"),
            RefKind::DeployTag | RefKind::Reserved => unfit_target("update-ref"),
        }
    }

    /// The branch that the remote's environment runs.
    fn environment_branch(&self) -> Decision {
        let Push {
            site,
            remote,
            facts,
            context,
            ..
        } = self;
        match &context.mode {
            Some(mode) if mode.mode == ConnectionMode::Git => {}
            Some(mode) => {
                return refuse(
                    "sftp-mode-takes-no-push",
                    format!(
                        "{site}.{remote} is in SFTP mode, set by {} at {}, and takes no push.",
                        mode.set_by, mode.set_at
                    ),
                    format!(
                        "Switch it to Git mode: ssh -p {} {} connection:set {site}.{remote} git",
                        self.port(),
                        self.console()
                    ),
                );
            }
            None => {
                return refuse(
                    "mode-unknown",
                    format!("The connection mode of {site}.{remote} is not known."),
                    "Try again; if it stays so, show the incident id to the server's administrator.",
                );
            }
        }
        if let Some(refusal) = release::failed(site, remote, context) {
            return refusal;
        }
        if facts.change == RefChange::Force {
            if let Some(lost) = facts.would_lose.first() {
                return refuse(
                    "force-push-loses-deployed-code",
                    format!(
                        "This force-push to {} would take away what {site}'s {} environment runs.",
                        facts.trunk,
                        lost.title()
                    ),
                    "Undo with git revert and an ordinary push.",
                );
            }
            if facts.kind == RefKind::Trunk && !facts.force_allowed {
                return refuse(
                    "force-push-to-trunk",
                    format!(
                        "{site} does not let its trunk '{}' be force-pushed.",
                        facts.trunk
                    ),
                    format!(
                        "Fetch and rebase, or have an administrator allow it: site:set {site} force-push yes."
                    ),
                );
            }
            return permit("force-push-allowed");
        }
        permit("git-mode-push")
    }

    /// Over Test's or Live's remote: hotfixes only.
    fn above(&self) -> Decision {
        let Push {
            site,
            remote,
            name,
            facts,
            ..
        } = self;
        let RefKind::Hotfix(hotfix) = &facts.kind else {
            return refuse(
                "code-goes-up-by-deploy",
                format!(
                    "{} of {site} takes no push of {name}; code gets there by a deploy.",
                    remote.title()
                ),
                format!(
                    "In an emergency push a branch hotfix/NAME grown from what Live runs; else push to \
                     Dev, then env:deploy {site}.{remote}: git push {} HEAD:{}",
                    self.url(&Environment::Dev),
                    facts.trunk
                ),
            );
        };
        if facts.change == RefChange::Delete {
            return drop_instead(site, hotfix);
        }
        if !facts.live_deployed {
            return refuse(
                "live-never-deployed",
                format!(
                    "Live of {site} has never been deployed, so there is nothing to fix there."
                ),
                format!("Deploy first: env:deploy {site}.test, then env:deploy {site}.live."),
            );
        }
        if !facts.descends_from_live || facts.brings_trunk {
            return refuse(
                "hotfix-grows-from-live",
                if facts.descends_from_live {
                    format!(
                        "{name} does not descend from what Live of {site} runs alone: it also brings \
                         commits of '{}' that have not been deployed.",
                        facts.trunk
                    )
                } else {
                    format!(
                        "{name} does not descend from what Live of {site} runs, so it is no hotfix of it."
                    )
                },
                "Fetch, begin the branch at the newest live_N tag, and put your fix on top of it.",
            );
        }
        if matches!(remote, Environment::Live) && facts.untested {
            return refuse(
                "hotfix-goes-to-test-first",
                format!(
                    "{site} asks that a hotfix runs on Test before it goes to Live, and this commit of {name} has not."
                ),
                format!(
                    "Try it: git push {} HEAD:hotfix/{hotfix}   and then push the same commit to Live.",
                    self.url(&Environment::Test)
                ),
            );
        }
        let reason = facts.reason.as_deref().unwrap_or_default();
        if matches!(remote, Environment::Live) && reason.trim().is_empty() {
            return refuse(
                "hotfix-needs-a-reason",
                format!(
                    "A hotfix to Live of {site} needs a reason, for those who look at it afterwards."
                ),
                format!(
                    "Say why: git push -o reason=\"why\" {} HEAD:hotfix/{hotfix}",
                    self.url(&Environment::Live)
                ),
            );
        }
        if let Some(refusal) = release::failed(site, remote, self.context) {
            return refusal;
        }
        permit("hotfix-push")
    }

    fn other_environment(&self, owner: &Environment, branch: &str) -> Decision {
        let Push {
            site, remote, name, ..
        } = self;
        refuse(
            "branch-of-another-environment",
            format!(
                "{name} is what {} of {site} runs; over the remote of {site}.{remote} it cannot be changed.",
                owner.title()
            ),
            format!("Push it there: git push {} HEAD:{branch}", self.url(owner)),
        )
    }

    fn url(&self, environment: &Environment) -> String {
        format!(
            "ssh://{environment}.{}@{}/repository.git",
            self.site, self.context.address
        )
    }

    fn port(&self) -> &str {
        self.context
            .address
            .rsplit_once(':')
            .map_or("2222", |(_, port)| port)
    }

    fn console(&self) -> &str {
        self.context
            .address
            .rsplit_once(':')
            .map_or("HOST", |(host, _)| host)
    }
}

fn drop_instead(site: &SiteName, hotfix: &HotfixName) -> Decision {
    refuse(
        "hotfix-is-not-lost",
        format!(
            "A push does not delete hotfix/{hotfix} of {site}, so that no hotfix is lost silently."
        ),
        format!("Give it up by name: hotfix:drop {site} {hotfix} --reason \"why\""),
    )
}
