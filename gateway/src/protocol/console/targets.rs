//! Who is told of an environment's switches.

use policy::{Action, Environment, SiteName, Target as On};
use serde_json::{Value, json};

use super::command::SiteEnvironment;
use super::table::Table;
use super::target_command::{NewTarget, TargetCommand};
use super::{Done, Run, Stop};
use crate::gate::Permit;
use crate::site::{blocking, targets};
use crate::state::{Delivery, DeliveryStatus, Host, Reload, Secret, Target, TargetKind};

impl Run<'_> {
    pub(super) async fn target(&mut self, command: TargetCommand) -> Done {
        match command {
            TargetCommand::Add(new) => self.target_add(new).await,
            TargetCommand::List { environment } => self.target_list(environment).await,
            TargetCommand::Test { environment, name } => self.target_test(environment, name).await,
            TargetCommand::Remove { environment, name } => {
                self.target_remove(environment, name).await
            }
            TargetCommand::Deliveries { place, status } => self.delivery_list(place, status).await,
            TargetCommand::Retry { id } => self.delivery_retry(&id).await,
        }
    }

    async fn target_add(&mut self, new: NewTarget) -> Done {
        let place = new.environment.clone();
        let permit = self.permit(Action::ManageTargets, &on(&place))?;
        match self.asked(new, &place).await {
            Ok((asked, made)) => self.target_added(permit, asked, made, &place).await,
            Err(stop) => {
                permit.forget();
                Err(stop)
            }
        }
    }

    async fn target_added(
        &mut self,
        permit: Permit,
        asked: targets::Asked,
        made: Option<Secret>,
        place: &SiteEnvironment,
    ) -> Done {
        let sites = self.console.sites.clone();
        let target = blocking(move || targets::add(&sites, permit, asked)).await?;
        let name = &target.name;
        let mut text = format!("{name} is told of each switch of {place}.\n");
        if let Some(secret) = made {
            text = format!(
                "{text}Its messages are signed with this secret, which is not shown again:\n{}\n",
                secret.reveal()
            );
        }
        if let TargetKind::Rsync(host) = &target.kind {
            text = format!(
                "{name} takes part once it was tried: target:test {place} {name}\n\
                 Let this key in for {} on {} first (in its authorized_keys):\nrestrict {}\n",
                host.user, host.host, host.public_key
            );
        }
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    /// Reads what is asked for; with the secret that was made for it, if one was.
    async fn asked(
        &mut self,
        new: NewTarget,
        place: &SiteEnvironment,
    ) -> Result<(targets::Asked, Option<Secret>), Stop> {
        targets::check_name(&new.name)?;
        let there = self.targets_of(&place.site, &place.environment)?;
        if there.iter().any(|target| target.name == new.name) {
            return Err(Stop::Failed(format!(
                "{place} has a target '{}' already; target:remove takes it away.",
                new.name
            )));
        }
        if matches!(new.kind.as_str(), "command" | "reload") && !self.reply.is_local() {
            return Err(Stop::Failed(format!(
                "A target of the kind '{}' acts on the server itself, so it is added on the server \
                 itself only: run this there.",
                new.kind
            )));
        }
        let (mut secret, mut made, mut known_hosts) = (None, None, String::new());
        let kind = match new.kind.as_str() {
            "command" => command(&new)?,
            "reload" => reload(&new)?,
            "webhook" => {
                let url = only(&new, "its URL")?;
                targets::check_address(url)?;
                secret = Some(if new.secret_from_stdin {
                    secret_of(&self.reply.standard_input().await?)?
                } else {
                    let fresh = targets::new_secret()?;
                    made = Some(fresh.clone());
                    fresh
                });
                TargetKind::Webhook {
                    url: url.to_owned(),
                    seconds: seconds(&new, 30)?,
                }
            }
            _rsync => {
                let host = targets::host(only(&new, "USER@HOST:/PATH")?)?;
                known_hosts = self.pin(&host, &new.fingerprint).await?;
                TargetKind::Rsync(Host {
                    seconds: seconds(&new, host.seconds)?,
                    keep: new.keep.unwrap_or(host.keep).clamp(2, 100),
                    ..host
                })
            }
        };
        let asked = targets::Asked {
            name: new.name,
            kind,
            secret,
            known_hosts,
        };
        Ok((asked, made))
    }

    /// Asks a host for its keys, and the person whether they are the right ones.
    async fn pin(&mut self, host: &Host, wanted: &[String]) -> Result<String, Stop> {
        let (name, port) = (host.host.clone(), host.port);
        let shown = blocking(move || targets::scan(&name, port)).await?;
        if shown.is_empty() {
            return Err(Stop::Failed(format!(
                "No SSH server answers at {} port {}.",
                host.host, host.port
            )));
        }
        let chosen: Vec<_> = shown
            .iter()
            .filter(|key| wanted.is_empty() || wanted.contains(&key.fingerprint))
            .collect();
        if chosen.is_empty() {
            return Err(Stop::Failed(format!(
                "{} shows no key of that fingerprint; somebody may be in between. It shows: {}.",
                host.host,
                shown
                    .iter()
                    .map(|key| format!("{} {}", key.kind, key.fingerprint))
                    .collect::<Vec<_>>()
                    .join(", ")
            )));
        }
        if wanted.is_empty() {
            for key in &chosen {
                let line = format!(
                    "{} shows the {} key {}",
                    host.host, key.kind, key.fingerprint
                );
                self.reply.tell(&line).await;
            }
            let question = "Are these its keys? Only they are taken from now on.";
            if !self.reply.confirm(question).await {
                return Err(Stop::Failed("Nothing was added.".to_owned()));
            }
        }
        Ok(chosen.iter().map(|key| format!("{}\n", key.line)).collect())
    }

    async fn target_list(&mut self, place: SiteEnvironment) -> Done {
        self.permit(Action::ViewTargets, &on(&place))?.forget();
        let mut table = Table::new(&["name", "kind", "where", "state", "waiting", "failed", "key"]);
        let standing = |status| {
            let state = &self.console.state;
            state.deliveries(&place.site, Some(&place.environment), Some(status))
        };
        let waiting = standing(DeliveryStatus::Waiting)?;
        let failed = standing(DeliveryStatus::Failed)?;
        for target in self.targets_of(&place.site, &place.environment)? {
            let count =
                |all: &[Delivery]| json!(all.iter().filter(|one| one.target == target.id).count());
            let state = if target.active {
                "active"
            } else {
                "not tried yet"
            };
            let key = match &target.kind {
                TargetKind::Rsync(host) => host.public_key.as_str().into(),
                TargetKind::Command { .. } | TargetKind::Webhook { .. } | TargetKind::Reload(_) => {
                    Value::Null
                }
            };
            table.push(vec![
                target.name.as_str().into(),
                target.kind.as_str().into(),
                targets::described(&target.kind).into(),
                state.into(),
                count(&waiting),
                count(&failed),
                key,
            ]);
        }
        if table.is_empty() {
            let line = format!("Nobody is told of the switches of {place}.");
            self.reply.tell(&line).await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    async fn target_test(&mut self, place: SiteEnvironment, name: String) -> Done {
        let permit = self.permit(Action::ManageTargets, &on(&place))?;
        let target = match self.named(&place, &name) {
            Ok(target) => target,
            Err(stop) => {
                permit.forget();
                return Err(stop);
            }
        };
        let host = matches!(target.kind, TargetKind::Rsync(_));
        let tried = targets::try_target(&self.console.sites, permit, target).await?;
        match tried {
            Ok(said) => {
                let mut text = format!("{name}: {said}\n");
                if host {
                    text = format!("{text}It takes part now, and gets what {place} runs.\n");
                }
                let _ = self.reply.out(&text).await;
                Ok(())
            }
            Err(why) => Err(Stop::Failed(format!("{name} was told in vain: {why}."))),
        }
    }

    async fn target_remove(&mut self, place: SiteEnvironment, name: String) -> Done {
        let permit = self.permit(Action::ManageTargets, &on(&place))?;
        match self.named(&place, &name) {
            Ok(target) => {
                targets::remove(&self.console.sites, permit, &target)?;
                let text = format!("{name} is no longer told of {place}.\n");
                let _ = self.reply.out(&text).await;
                Ok(())
            }
            Err(stop) => {
                permit.forget();
                Err(stop)
            }
        }
    }

    /// Names who is told of an environment's switches, and says who has not taken it.
    pub(super) fn told(&self, place: &SiteEnvironment) -> Result<Value, Stop> {
        let state = &self.console.state;
        let standing =
            |status| state.deliveries(&place.site, Some(&place.environment), Some(status));
        let behind: Vec<Delivery> = standing(DeliveryStatus::Waiting)?
            .into_iter()
            .filter(|one| one.attempts > 0)
            .chain(standing(DeliveryStatus::Failed)?)
            .collect();
        let names: Vec<String> = self
            .targets_of(&place.site, &place.environment)?
            .iter()
            .filter(|target| target.active)
            .map(|target| {
                let missing = behind.iter().filter(|one| one.target == target.id).count();
                match missing {
                    0 => target.name.clone(),
                    some => format!("{} ({some} not delivered)", target.name),
                }
            })
            .collect();
        Ok(if names.is_empty() {
            Value::Null
        } else {
            names.join(", ").into()
        })
    }

    fn named(&self, place: &SiteEnvironment, name: &str) -> Result<Target, Stop> {
        self.targets_of(&place.site, &place.environment)?
            .into_iter()
            .find(|target| target.name == name)
            .ok_or_else(|| {
                Stop::Failed(format!(
                    "{place} has no target '{}'; target:list {place} shows them.",
                    policy::escape(name.as_bytes())
                ))
            })
    }

    pub(super) fn targets_of(
        &self,
        site: &SiteName,
        environment: &Environment,
    ) -> Result<Vec<Target>, Stop> {
        Ok(self.console.state.targets(site, environment)?)
    }
}

fn on(place: &SiteEnvironment) -> On {
    On::Environment(place.site.clone(), place.environment.clone())
}

fn only<'a>(new: &'a NewTarget, what: &str) -> Result<&'a str, String> {
    match new.what.as_slice() {
        [one] => Ok(one),
        _none_or_more => Err(format!("A target of the kind '{}' takes {what}.", new.kind)),
    }
}

fn command(new: &NewTarget) -> Result<TargetKind, String> {
    if !new.what.first().is_some_and(|word| word.starts_with('/')) {
        return Err("Name the program by its absolute path, after --.".to_owned());
    }
    Ok(TargetKind::Command {
        command: new.what.clone(),
        seconds: seconds(new, 60)?,
    })
}

fn reload(new: &NewTarget) -> Result<TargetKind, String> {
    let plain = |unit: &str| {
        !unit.starts_with('-')
            && unit
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"@._:-".contains(&byte))
    };
    let reload = match (&new.pid_file, &new.unit) {
        (Some(file), None) if file.starts_with('/') => Reload::Signal {
            file: file.clone(),
            signal: new.signal.clone(),
        },
        (None, Some(unit)) if plain(unit) && !unit.is_empty() => Reload::Unit(unit.clone()),
        _other => {
            return Err(
                "Say what reloads: --pid-file /FILE with --signal, or --unit UNIT.".to_owned(),
            );
        }
    };
    Ok(TargetKind::Reload(reload))
}

fn seconds(new: &NewTarget, otherwise: u64) -> Result<u64, String> {
    match new.timeout.unwrap_or(otherwise) {
        seconds @ 1..=3600 => Ok(seconds),
        _other => Err("--timeout is 1 to 3600 seconds.".to_owned()),
    }
}

fn secret_of(text: &str) -> Result<Secret, String> {
    let secret = text.trim();
    if secret.len() < LEAST_SECRET || secret.contains(char::is_whitespace) {
        return Err(format!(
            "A secret has at least {LEAST_SECRET} characters, on one line and without spaces."
        ));
    }
    Ok(Secret::new(secret.to_owned()))
}

/// A shorter one can be guessed from one message and its signature.
const LEAST_SECRET: usize = 16;
