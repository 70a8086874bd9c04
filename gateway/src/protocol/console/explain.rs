//! "Could ALICE write code/index.php in test.acme now, and why (not)?", without doing it.

use jiff::Timestamp;
use policy::{Action, Area, Decision, Environment, PersonName, SitePath, Target};

use super::contents::elements;
use super::table::Table;
use super::{Done, Run, Stop};
use crate::gate::{Evidence, Identity};
use crate::site::multidev::{self, From};
use crate::site::{blocking, content, deploy, mode, push};

impl Run<'_> {
    pub(super) async fn explain(
        &mut self,
        person: PersonName,
        action: String,
        target: String,
        reason: Option<String>,
        key: Option<String>,
    ) -> Done {
        let wanted = Action::all()
            .find(|known| known.as_str() == action)
            .ok_or_else(|| {
                let mut words: Vec<&str> = Action::all().map(Action::as_str).collect();
                words.sort_unstable();
                Stop::Failed(format!(
                    "'{}' is no action; there are: {}.",
                    policy::escape(action.as_bytes()),
                    words.join(", ")
                ))
            })?;
        let read = read_target(&target, &person)?;
        if person != self.who.person {
            let over = read.site().cloned().map_or(Target::Server, Target::Site);
            self.permit(Action::ExplainOthers, &over)?.forget();
        }
        let who = self.as_person(&person, key.as_deref())?;
        let knows_site = match read.site() {
            Some(site) => {
                let site = Target::Site(site.clone());
                let gate = &self.console.gate;
                gate.explain(&who, Action::ViewSite, &site, &Evidence::default())
                    .is_permit()
            }
            None => true,
        };
        let evidence = if knows_site {
            self.evidence(wanted, &read, reason).await?
        } else {
            Evidence::default()
        };
        let decision = self.console.gate.explain(&who, wanted, &read, &evidence);
        let (answer, sentence, hint) = match &decision {
            Decision::Permit(_) => ("permit", String::new(), String::new()),
            Decision::Refuse(refusal) => ("refuse", refusal.message.clone(), refusal.hint.clone()),
        };
        let table = Table::record(vec![
            ("person", person.as_str().into()),
            ("action", wanted.as_str().into()),
            ("target", policy::escape(target.as_bytes()).into()),
            ("decision", answer.into()),
            ("rule", decision.rule().into()),
            ("sentence", sentence.into()),
            ("hint", hint.into()),
        ]);
        self.reply.print(&table).await?;
        Ok(())
    }

    /// Returns the identity that somebody would have: oneself as one is logged in, others by the
    /// key that limits them least, or by the one that is named.
    fn as_person(&self, person: &PersonName, key: Option<&str>) -> Result<Identity, Stop> {
        if *person == self.who.person && key.is_none() {
            return Ok(self.who.clone());
        }
        let model = self.console.state.model();
        let mut keys = model.keys.values().filter(|known| known.person == *person);
        let fingerprint = match key {
            Some(id) => Some(
                keys.find(|known| known.id == id || known.fingerprint == id)
                    .ok_or_else(|| {
                        Stop::Failed(format!(
                            "{person} has no key '{}'; ssh-key:list --user {person} shows the ids.",
                            policy::escape(id.as_bytes())
                        ))
                    })?,
            ),
            None => keys.min_by_key(|known| {
                let limits = &known.limits;
                let ended = known.expires.is_some_and(|end| end <= Timestamp::now());
                let limited = [
                    limits.sites.is_empty(),
                    limits.environments.is_empty(),
                    limits.actions.is_empty(),
                ];
                (
                    ended,
                    limited.into_iter().filter(|free| !free).count(),
                    known.sources.is_some(),
                )
            }),
        };
        // Somebody without a key has none that could be removed, but may come with a certificate.
        Ok(Identity {
            person: person.clone(),
            fingerprint: Some(
                fingerprint
                    .map(|known| known.fingerprint.clone())
                    .unwrap_or_default(),
            ),
            certificate: None,
            address: self.who.address.clone(),
            client: self.who.client.clone(),
        })
    }

    /// Looks up what the real request would look up.
    async fn evidence(
        &self,
        action: Action,
        target: &Target,
        reason: Option<String>,
    ) -> Result<Evidence, Stop> {
        let (Some(site), Some(environment)) =
            (target.site().cloned(), target.environment().cloned())
        else {
            return Ok(Evidence::default());
        };
        let sites = self.console.sites.clone();
        let target = target.clone();
        let evidence = blocking(move || {
            let mut evidence = Evidence::default();
            match action {
                Action::Deploy | Action::Rollback | Action::AskApproval => {
                    let plan = if action == Action::Rollback {
                        deploy::plan_rollback(&sites, &site, &environment, None)
                    } else {
                        deploy::plan(&sites, &site, &environment, None)
                    };
                    evidence.held.commit = plan.as_ref().ok().and_then(|plan| plan.commit);
                    let (facts, failed) =
                        plan.map_or_else(|_| Default::default(), |plan| (plan.facts, plan.failed));
                    evidence.deploy = Some(facts);
                    evidence.failed_release = failed;
                }
                Action::CreateMultidev => {
                    if let Environment::Multidev(name) = &environment {
                        let from = From::Environment(Environment::Dev);
                        let (facts, _commit) = multidev::facts(&sites, &site, name, &from)?;
                        evidence.multidev = Some(facts);
                    }
                }
                Action::SetConnectionMode
                | Action::DeleteMultidev
                | Action::Merge
                | Action::Revert => {
                    evidence.uncommitted = mode::uncommitted(&sites, &site, &environment)?;
                }
                Action::CloneContent
                | Action::UndoContent
                | Action::ImportContent
                | Action::ExportContent
                | Action::WipeContent
                | Action::CreateBackup
                | Action::RestoreBackup
                | Action::RotatePassword => {
                    let source = imagined_source(action, &environment);
                    let wanted = elements(content::Parts::ALL);
                    let facts =
                        content::facts(&sites, &site, &environment, wanted, source.as_ref())?;
                    evidence.content = Some(policy::ContentFacts {
                        backed_up_first: sites.backups.unavailable().is_none(),
                        ..facts
                    });
                }
                Action::MergeHotfix => {
                    evidence.uncommitted = mode::uncommitted(&sites, &site, &Environment::Dev)?;
                }
                Action::UpdateRef => {
                    if let Target::Ref(_, _, name) = &target {
                        evidence.push = push::imagined(&sites, &site, name, reason)?;
                    }
                }
                Action::ReadTree
                | Action::ChangeTree(_)
                | Action::Fetch
                | Action::Push
                | Action::Commit
                | Action::Discard
                | Action::RestoreWork
                | Action::DropHotfix
                | Action::RestoreMultidev
                | Action::CancelWorkflow
                | Action::AllowRelease
                | Action::Freeze
                | Action::EndFreeze
                | Action::SetWindows
                | Action::Approve
                | Action::DenyApproval
                | Action::ConnectDatabase
                | Action::SetDatabase
                | Action::SetFront
                | Action::SetStepNetwork
                | Action::ReadBackups
                | Action::ScheduleBackups
                | Action::LaunchSite
                | Action::SetContent
                | Action::ViewStatus
                | Action::ViewTargets
                | Action::ManageTargets
                | Action::ViewSite
                | Action::ChangeTeam
                | Action::CreateSite
                | Action::ManagePeople
                | Action::ManageOwnKeys
                | Action::ViewAudit
                | Action::ExplainOthers => {}
            }
            Ok(evidence)
        });
        Ok(evidence.await?)
    }
}

/// Where content would come from if nobody says: from above, as it usually does.
fn imagined_source(action: Action, environment: &Environment) -> Option<Environment> {
    match (action, environment) {
        (Action::RestoreBackup, own) => Some(own.clone()),
        (Action::CloneContent, Environment::Live) => Some(Environment::Test),
        (Action::CloneContent, _) => Some(Environment::Live),
        (_from_nowhere, _) => None,
    }
}

/// Reads `SITE`, `SITE.ENV`, `SITE.ENV:/area/path`, `SITE.ENV:refs/…`, `server` or `own`.
fn read_target(text: &str, person: &PersonName) -> Result<Target, Stop> {
    let unreadable = || {
        Stop::Failed(format!(
            "'{}' is no target: give server, own, SITE, SITE.ENV, SITE.ENV:/code/index.php or SITE.ENV:refs/heads/main.",
            policy::escape(text.as_bytes())
        ))
    };
    match text {
        "server" => return Ok(Target::Server),
        "own" => return Ok(Target::Person(person.clone())),
        _site => {}
    }
    let (place, inside) = match text.split_once(':') {
        Some((place, inside)) => (place, Some(inside)),
        None => (text, None),
    };
    let Some((site, environment)) = place.split_once('.') else {
        return place.parse().map(Target::Site).map_err(|_| unreadable());
    };
    let site = site.parse().map_err(|_| unreadable())?;
    let environment = environment.parse().map_err(|_| unreadable())?;
    match inside {
        None => Ok(Target::Environment(site, environment)),
        Some(name) if name.starts_with("refs/") => {
            Ok(Target::Ref(site, environment, name.to_owned()))
        }
        Some(path) => {
            let path = SitePath::normalize(path.as_bytes()).map_err(|_| unreadable())?;
            let Some((first, rest)) = path.split_first() else {
                return Ok(Target::Tree(site, environment, Area::Root, path));
            };
            let area = Area::BELOW_ROOT
                .into_iter()
                .find(|area| area.as_str().as_bytes() == first);
            match area {
                Some(area) => Ok(Target::Tree(site, environment, area, rest)),
                None => Ok(Target::Tree(site, environment, Area::Root, path.clone())),
            }
        }
    }
}
