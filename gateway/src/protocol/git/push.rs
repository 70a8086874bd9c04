//! Pushes under way: what the hooks of each are told, and what they have prepared.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use data_encoding::HEXLOWER;
use hooks::{Question, RefResult, Update};
use policy::{Action, Environment, SiteName, Target};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Mutex, Notify};

use crate::gate::{Denied, Evidence, Gate, Held, Identity, Permit};
use crate::protocol::refusal_lines;
use crate::site::holds;
use crate::site::push::{self, Examined, Ready};
use crate::site::workflow::{Asked, Entry, Heard, Watch};
use crate::site::{Run, Sites, Undone, blocking};

/// One push, from the start of `git receive-pack` to its end.
#[derive(Debug)]
pub struct Push {
    token: String,
    who: Identity,
    site: SiteName,
    environment: Environment,
    ready: Mutex<Option<(Ready, Watch)>>,
    left: Notify,
}

impl Push {
    /// Returns the site.
    pub fn site(&self) -> &SiteName {
        &self.site
    }

    /// Says that who pushes has gone. A push that waits for its turn ends with that; one that has
    /// begun goes on to its end.
    pub fn leave(&self) {
        self.left.notify_one();
    }

    /// Returns the secret by which the hooks of this push are known.
    pub fn token(&self) -> &str {
        &self.token
    }
}

/// All pushes under way.
#[derive(Debug)]
pub struct Pushes {
    gate: Arc<Gate>,
    sites: Arc<Sites>,
    socket: PathBuf,
    under_way: StdMutex<HashMap<String, Arc<Push>>>,
}

impl Pushes {
    /// Makes an empty list; `socket` is where hooks ask.
    pub fn new(gate: Arc<Gate>, sites: Arc<Sites>, socket: PathBuf) -> Self {
        Self {
            gate,
            sites,
            socket,
            under_way: StdMutex::new(HashMap::new()),
        }
    }

    /// Returns where hooks ask.
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Adds a push that begins.
    pub fn begin(&self, who: Identity, site: SiteName, environment: Environment) -> Arc<Push> {
        let mut secret = [0_u8; 32];
        let token = match getrandom::fill(&mut secret) {
            Ok(()) => HEXLOWER.encode(&secret),
            // Without randomness there is no secret, so no hook is answered and the push refused.
            Err(_) => String::new(),
        };
        let push = Arc::new(Push {
            token: token.clone(),
            who,
            site,
            environment,
            ready: Mutex::new(None),
            left: Notify::new(),
        });
        if !token.is_empty() {
            self.under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(token, Arc::clone(&push));
        }
        push
    }

    /// Returns the push with this token.
    pub fn find(&self, token: &str) -> Option<Arc<Push>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(token)
            .cloned()
    }

    /// Ends a push: what it prepared and never carried out goes away.
    pub async fn end(&self, push: &Push) {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&push.token);
        push.leave();
        if let Some((ready, _watch)) = push.ready.lock().await.take() {
            self.drop_prepared(ready).await;
        }
    }

    async fn drop_prepared(&self, ready: Ready) {
        let sites = Arc::clone(&self.sites);
        let dropped = blocking(move || {
            push::abandon(&sites, ready);
            Ok(())
        });
        if let Err(fault) = dropped.await {
            tracing::error!("dropping what a push had prepared: {fault}");
        }
    }

    /// Answers `pre-receive`: decides each ref, and prepares what the push will deploy. One
    /// refused ref refuses the push whole.
    pub async fn decide(
        &self,
        push: &Push,
        question: Question,
        say: UnboundedSender<String>,
    ) -> bool {
        match self.prepare(push, question, &say).await {
            Ok(Some(ready)) => {
                let mut place = push.ready.lock().await;
                // Git or the hook was killed meanwhile, and `end` found nothing to drop.
                if self.find(&push.token).is_none() {
                    drop(place);
                    self.drop_prepared(ready.0).await;
                    return false;
                }
                *place = Some(ready);
                true
            }
            Ok(None) => false,
            Err(Undone::Fault(fault)) => {
                tracing::error!("preparing a push: {fault}");
                let _ = say.send(
                    "The push failed inside the gateway, and nothing was changed.".to_owned(),
                );
                let _ = say.send(format!("Cause: {}", fault.for_person()));
                false
            }
            Err(undone) => {
                let _ = say.send(undone.to_string());
                false
            }
        }
    }

    /// Answers `proc-receive`: moves the refs and switches what runs from them.
    pub async fn carry_out(
        &self,
        push: &Push,
        question: Question,
        say: UnboundedSender<String>,
    ) -> Vec<RefResult> {
        let updates = question.updates;
        let Some((ready, mut watch)) = push.ready.lock().await.take() else {
            return failed(&updates, "the gateway had not accepted this push");
        };
        if !ready.covers(&updates) {
            let sites = Arc::clone(&self.sites);
            let _ = blocking(move || {
                push::abandon(&sites, ready);
                Ok(())
            })
            .await;
            return failed(&updates, "git asks for other refs than were accepted");
        }
        let sites = Arc::clone(&self.sites);
        let work = blocking(move || Ok(push::carry_out(&sites, ready)));
        let done = follow(&mut watch, &say, work).await;
        match done {
            Ok(results) => results,
            Err(fault) => {
                tracing::error!("carrying out a push: {fault}");
                failed(&updates, &fault.for_person())
            }
        }
    }

    async fn prepare(
        &self,
        push: &Push,
        question: Question,
        say: &UnboundedSender<String>,
    ) -> Result<Option<(Ready, Watch)>, Undone> {
        let run = match self.begin_run(push, say).await {
            Ok(run) => run,
            Err(sentence) => {
                let _ = say.send(sentence);
                return Ok(None);
            }
        };
        let quarantine = question.quarantine.clone().map(PathBuf::from);
        let examined = {
            let (sites, site, remote) = (
                Arc::clone(&self.sites),
                push.site.clone(),
                push.environment.clone(),
            );
            blocking(move || {
                push::examine(&sites, &site, &remote, &question, quarantine.as_deref())
            })
            .await?
        };
        let Some(permits) = self.ask(push, &run, &examined, say) else {
            return Ok(None);
        };
        let sites = Arc::clone(&self.sites);
        let mut watch = run.watch();
        let work = blocking(move || Ok(push::prepare(&sites, run, examined, permits)));
        let ready = follow(&mut watch, say, work).await??;
        Ok(Some((ready, watch)))
    }

    async fn begin_run(&self, push: &Push, say: &UnboundedSender<String>) -> Result<Run, String> {
        let asked = Asked {
            site: push.site.clone(),
            environment: push.environment.clone(),
            kind: "push",
            person: push.who.person.clone(),
            origin: push.who.origin(),
            waits: true,
        };
        let beginning = self.sites.workflows.begin(asked, |line| {
            let _ = say.send(line.to_owned());
        });
        tokio::select! {
            biased;
            begun = beginning => begun.map_err(|busy| busy.to_string()),
            () = push.left.notified() => {
                Err("Who pushed has gone; the push has left the queue.".to_owned())
            }
        }
    }

    /// Asks the gate about each ref. Every refused ref is explained, not just the first.
    fn ask(
        &self,
        push: &Push,
        run: &Run,
        examined: &Examined,
        say: &UnboundedSender<String>,
    ) -> Option<Vec<Permit>> {
        let mut permits = Vec::new();
        let mut refused = false;
        for one in &examined.updates {
            let target = Target::Ref(
                push.site.clone(),
                push.environment.clone(),
                one.update.name.clone(),
            );
            let evidence = Evidence {
                push: Some(one.facts.clone()),
                failed_release: one.failed.clone(),
                detail: Some(one.describe()),
                workflow: permits.is_empty().then(|| run.id().clone()),
                held: Held {
                    commit: one.new_commit(),
                    overriding: examined.overriding.clone(),
                    request: Some(holds::new_request()),
                    ..Held::default()
                },
                ..Evidence::default()
            };
            let (gate, who) = (&self.gate, &push.who);
            let answer = gate.authorize(who, Action::UpdateRef, &target, evidence.clone());
            let answer = answer.map_err(|denied| {
                holds::ask_for_approval(&self.sites, gate, who, &target, evidence, denied)
            });
            match answer {
                Ok(permit) => permits.push(permit),
                Err(denied) => {
                    refused = true;
                    if let Denied::Fault(fault) = &denied {
                        tracing::error!("deciding about a push: {fault}");
                    }
                    for line in refusal_lines(denied) {
                        let _ = say.send(line);
                    }
                }
            }
        }
        if refused {
            for permit in permits {
                permit.forget();
            }
            return None;
        }
        Some(permits)
    }
}

/// Tells the pusher what is said while `work` goes on.
async fn follow<T>(
    watch: &mut Watch,
    say: &UnboundedSender<String>,
    work: impl Future<Output = T>,
) -> T {
    let tell = |entry: Entry| {
        if let Some(line) = entry.shown() {
            let _ = say.send(line);
        }
    };
    let mut work = Box::pin(work);
    let done = loop {
        match watch.during(&mut work).await {
            Heard::Entry(entry) => tell(entry),
            Heard::Done(done) => break done,
        }
    };
    while let Some(entry) = watch.ready() {
        tell(entry);
    }
    done
}

fn failed(updates: &[Update], reason: &str) -> Vec<RefResult> {
    updates
        .iter()
        .map(|update| RefResult {
            name: update.name.clone(),
            failure: Some(reason.replace(['\n', '\r'], " ")),
            instead: None,
        })
        .collect()
}
