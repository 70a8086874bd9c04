//! The one caller of `policy::decide`. Looks up facts, has the policy decide, keeps refusals in
//! the audit, and makes the [`Permit`]s without which no effect can be called.

mod certified;
mod evidence;
mod held;
mod identity;
mod permit;
mod trust;

use std::sync::Arc;

use jiff::Timestamp;
use policy::{Action, Area, Context, Decision, ModeFacts, Principal, Refusal, Target};

pub use certified::Certified;
pub use evidence::{Denied, Evidence, Refused};
pub use held::Held;
use identity::Asked;
pub use identity::Identity;
pub use permit::Permit;
use permit::Since;
pub use trust::{Sources, Trust};

use crate::audit::{Audit, Decided, IncidentId, Outcome, Record, Who};
use crate::blocking;
use crate::fault::Fault;
use crate::state::{EnvironmentState, Matter, Model, State, Workflow};

/// The gate. One for the whole daemon.
#[derive(Debug)]
pub struct Gate {
    state: Arc<State>,
    audit: Arc<Audit>,
    trust: Arc<Trust>,
    address: String,
}

impl Gate {
    /// Makes the gate; `address` is how people reach this gateway, as `HOST:PORT`.
    pub fn new(state: Arc<State>, audit: Arc<Audit>, address: String) -> Self {
        Self {
            trust: Arc::new(Trust::none(Arc::clone(&state))),
            state,
            audit,
            address,
        }
    }

    /// Takes certificates and revocation into account.
    #[must_use]
    pub fn with_trust(self, trust: Arc<Trust>) -> Self {
        Self { trust, ..self }
    }

    /// Returns what keys and certificates are trusted by.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Returns how people reach this gateway, as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Decides, and keeps a refusal in the audit.
    ///
    /// # Errors
    /// [`Denied::Refused`] when the policy says no; [`Denied::Fault`] when the audit takes no
    /// records, since nothing may then be changed.
    pub fn authorize(
        self: &Arc<Self>,
        who: &Identity,
        action: Action,
        target: &Target,
        evidence: Evidence,
    ) -> Result<Permit, Denied> {
        let epoch = self.state.epoch();
        let (decision, mode, hold) = self.decide(who, action, target, &evidence, Asked::Really);
        let again = permit::Again::new(action, &evidence);
        let detail = held::said(decision.rule(), &hold, evidence.detail);
        let workflow = evidence.workflow;
        let record = || {
            let mut record = self.record(who, action, target, mode, &decision, detail);
            if let Some(workflow) = workflow {
                record.incident = workflow;
            }
            record
        };
        match &decision {
            Decision::Permit(_) => {
                // What changes nothing has no row, and is asked about far more often.
                let record = action.changes().then(record);
                if record.is_some() {
                    self.audit.healthy()?;
                }
                Ok(Permit::new(
                    Arc::clone(self),
                    who.clone(),
                    action,
                    target.clone(),
                    self.since(target, evidence.opened_in, evidence.made),
                    record,
                    (epoch, again),
                ))
            }
            Decision::Refuse(refusal) => {
                let record = record();
                let incident = blocking::wait(|| self.audit.refuse(record))?;
                tracing::debug!(rule = refusal.rule, %incident, "refused: {}", refusal.message);
                let refusal = refusal.clone();
                Err(Denied::Refused(Refused { refusal, incident }))
            }
        }
    }

    /// Returns what a second person has to approve and nobody has asked for yet.
    pub fn wanting_approval(
        &self,
        who: &Identity,
        target: &Target,
        evidence: &Evidence,
    ) -> Option<Matter> {
        let model = self.state.model();
        let matter = held::matter(&model, who, Action::AskApproval, target, evidence)?;
        let asked = held::lasting(&model, target, &matter, Timestamp::now()).is_some();
        (!asked).then_some(matter)
    }

    /// Decides without doing or recording anything, for `explain`.
    pub fn explain(
        &self,
        who: &Identity,
        action: Action,
        target: &Target,
        evidence: &Evidence,
    ) -> Decision {
        self.decide(who, action, target, evidence, Asked::Imagined)
            .0
    }

    /// Keeps a refusal that a protocol made before any policy could be asked: a login that
    /// failed, a request that is never served.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn refuse_outright(
        &self,
        who: Who,
        action: &str,
        object: Option<String>,
        refusal: &Refusal,
    ) -> Result<IncidentId, Fault> {
        let now = Timestamp::now();
        self.audit.refuse(Record {
            time: now,
            incident: IncidentId::new(now),
            who,
            site: None,
            environment: None,
            mode: None,
            area: None,
            object,
            action: action.to_owned(),
            decision: Decided::Refuse,
            rule: refusal.rule.to_owned(),
            bytes: 0,
            outcome: Outcome::Refused,
            detail: Some(refusal.message.clone()),
            count: 1,
        })
    }

    /// Keeps a refusal on a target that exists, of something that is never served: no policy has to
    /// be asked. `asked` is the word for it, `object` what it was about.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn refuse_unserved(
        &self,
        who: &Identity,
        target: &Target,
        (asked, object): (&str, &[u8]),
        refusal: Refusal,
    ) -> Result<Refused, Fault> {
        let decision = Decision::Refuse(refusal.clone());
        let action = Action::ReadTree;
        let (_, mode, _) = self.decide(who, action, target, &Evidence::default(), Asked::Really);
        let record = Record {
            object: Some(policy::escape(object)),
            action: asked.to_owned(),
            ..self.record(who, action, target, mode, &decision, None)
        };
        let incident = blocking::wait(|| self.audit.refuse(record))?;
        Ok(Refused { refusal, incident })
    }

    /// Gives start-up repair the permit to end what had been permitted before the gateway was cut
    /// off. Nothing else may call this: it asks nobody.
    pub fn resume(
        self: &Arc<Self>,
        site: &policy::SiteName,
        environment: &policy::Environment,
        workflow: Option<&Workflow>,
    ) -> Permit {
        let target = Target::Environment(site.clone(), environment.clone());
        let now = Timestamp::now();
        let person = workflow.map_or_else(policy::PersonName::local, |workflow| {
            workflow.person.clone()
        });
        let identity = Identity {
            person: person.clone(),
            fingerprint: None,
            certificate: None,
            address: "local".to_owned(),
            client: "start-up repair".to_owned(),
        };
        let who = Who {
            person: Some(person.to_string()),
            fingerprint: None,
            address: Some(identity.address.clone()),
            client: Some(identity.client.clone()),
        };
        let record = Record {
            time: now,
            incident: IncidentId::new(now),
            who,
            site: Some(site.to_string()),
            environment: Some(environment.to_string()),
            mode: None,
            area: None,
            object: workflow.map(|workflow| workflow.id.clone()),
            action: workflow.map_or_else(|| "repair".to_owned(), |workflow| workflow.kind.clone()),
            decision: Decided::Permit,
            rule: "repair".to_owned(),
            bytes: 0,
            outcome: Outcome::Interrupted,
            detail: None,
            count: 1,
        };
        Permit::resumed(Arc::clone(self), identity, target, record)
    }

    fn decide(
        &self,
        who: &Identity,
        action: Action,
        target: &Target,
        evidence: &Evidence,
        asked: Asked,
    ) -> (Decision, Option<String>, policy::Hold) {
        let model = self.state.model();
        let standing = self.standing_for(&model, who, action, target, asked);
        let environment = target
            .site()
            .zip(target.environment())
            .and_then(|(site, environment)| model.environment(site, environment))
            .filter(|found| evidence.made.is_none_or(|made| made == found.created));
        let mode = environment.and_then(|environment| environment.mode.clone());
        let release_replaced = match (evidence.opened_in, environment) {
            (Some(opened), Some(environment)) => Some(opened) != stands_in(target, environment),
            (Some(_), None) => true,
            (None, _) => false,
        };
        let word = mode
            .as_ref()
            .map(|facts: &ModeFacts| facts.mode.as_str().to_owned());
        let principal = Principal {
            person: who.person.clone(),
            standing,
            limits: who.limits(&model),
        };
        let context = Context {
            environment_exists: environment.is_some(),
            mode,
            push: evidence.push.clone(),
            deploy: evidence.deploy.clone(),
            failed_release: evidence.failed_release.clone(),
            multidev: evidence.multidev.clone(),
            content: content_now(&model, target, evidence),
            uncommitted: evidence.uncommitted,
            confirmed: evidence.confirmed,
            release_replaced,
            in_the_way: evidence.in_the_way,
            own_workflow: evidence.own_workflow,
            has_database: environment.is_some_and(|found| found.database_address().is_some()),
            hold: held::facts(&model, who, action, target, evidence),
            address: self.address.clone(),
        };
        let decision = policy::decide(&principal, action, target, &context);
        (decision, word, context.hold)
    }

    /// What a permit given now is about: the environment as it is, and for code the generation.
    fn since(&self, target: &Target, opened_in: Option<u64>, made: Option<Timestamp>) -> Since {
        let (Some(site), Some(name)) = (target.site(), target.environment()) else {
            return Since::default();
        };
        let model = self.state.model();
        let environment = model.environment(site, name);
        let generation = environment.and_then(|found| stands_in(target, found));
        Since {
            generation: opened_in.or(generation),
            made: made.or_else(|| environment.map(|found| found.created)),
        }
    }

    fn record(
        &self,
        who: &Identity,
        action: Action,
        target: &Target,
        mode: Option<String>,
        decision: &Decision,
        detail: Option<String>,
    ) -> Record {
        let now = Timestamp::now();
        let (area, object) = match target {
            Target::Server | Target::Site(_) | Target::Environment(_, _) => (None, None),
            Target::Person(person) => (None, Some(person.to_string())),
            Target::Tree(_, _, area, path) => (Some(area.to_string()), Some(path.to_string())),
            Target::Ref(_, _, name) => (None, Some(policy::escape(name.as_bytes()))),
        };
        let (decided, outcome, detail) = match decision {
            Decision::Permit(_) => (Decided::Permit, Outcome::Interrupted, detail),
            Decision::Refuse(refusal) => (
                Decided::Refuse,
                Outcome::Refused,
                Some(refusal.message.clone()),
            ),
        };
        Record {
            time: now,
            incident: IncidentId::new(now),
            who: Who {
                person: Some(who.person.to_string()),
                fingerprint: who.described_key(),
                address: Some(who.address.clone()),
                client: Some(who.client.clone()),
            },
            site: target.site().map(ToString::to_string),
            environment: target.environment().map(ToString::to_string),
            mode,
            area,
            object,
            action: action.as_str().to_owned(),
            decision: decided,
            rule: decision.rule().to_owned(),
            bytes: 0,
            outcome,
            detail,
            count: 1,
        }
    }
}

/// What is known of content, with what may have been said since it was gathered.
fn content_now(
    model: &Model,
    target: &Target,
    evidence: &Evidence,
) -> Option<policy::ContentFacts> {
    let facts = evidence.content.clone()?;
    let site = target.site().and_then(|site| model.sites.get(site));
    let launched = site.is_some_and(|site| site.content.launched.is_some());
    Some(policy::ContentFacts { launched, ..facts })
}

/// What a place of a tree is part of now: code of a generation, files of a store.
fn stands_in(target: &Target, environment: &EnvironmentState) -> Option<u64> {
    match target {
        Target::Tree(_, _, Area::Code, _) => Some(environment.generation),
        Target::Tree(_, _, Area::Files, _) => Some(environment.content.current.files),
        Target::Tree(_, _, Area::Root | Area::Logs | Area::Tmp | Area::Backups, _)
        | Target::Server
        | Target::Person(_)
        | Target::Site(_)
        | Target::Environment(_, _)
        | Target::Ref(_, _, _) => None,
    }
}
