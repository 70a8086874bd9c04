//! What a site says of its content: its engine, tables without rows, and names of hosts.

use policy::{Action, Environment, SiteName, Target};
use serde_json::Value;

use super::command::SiteEnvironment;
use super::table::Table;
use super::{Done, Run, Stop};
use crate::site::blocking;
use crate::site::content::{self, Engine};
use crate::state::for_people;

impl Run<'_> {
    /// `site:set SITE database ENGINE [SERVER]`: the engine, and then each environment gets a database
    /// of it.
    pub(super) async fn site_set_database(&mut self, site: SiteName, words: &[String]) -> Done {
        let permit = self.permit(Action::SetContent, &Target::Site(site.clone()))?;
        let asked = match words {
            [word] => engine(word).map(|engine| (engine, None)),
            [word, server] => engine(word).map(|engine| (engine, Some(server.clone()))),
            _other => Err("Give an engine, and perhaps a server.".to_owned()),
        };
        let (engine, server) = match asked {
            Ok(asked) => asked,
            Err(sentence) => {
                permit.forget();
                return Err(Stop::Failed(sentence));
            }
        };
        let model = self.console.state.model();
        let known = model
            .sites
            .get(&site)
            .ok_or_else(|| Stop::Failed(format!("{site} is gone.")))?;
        let same =
            known.content.engine == engine && (server.is_none() || known.content.server == server);
        let environments: Vec<Environment> = known.environments.keys().cloned().collect();
        let holding = self.holding_tables(&site, &environments).await?;
        if !same && !holding.is_empty() {
            let question = format!(
                "{} of {site} get an empty database by this; what they hold is not translated, and can be brought back for a while (env:undo-content). Go on?",
                holding.join(", ")
            );
            if !self.reply.confirm(&question).await {
                permit.forget();
                return Err(Stop::Failed(format!(
                    "The database of {site} was not changed. Export what is to be kept (export:database), then repeat with --yes."
                )));
            }
        }
        let sites = self.console.sites.clone();
        blocking(move || {
            Ok(content::set_engine(
                &sites,
                permit,
                engine,
                server.as_deref(),
            ))
        })
        .await??;
        let word = engine.map_or("none", Engine::as_str);
        let _ = self
            .reply
            .out(&format!("The database of {site} is {word}.\n"))
            .await;
        for environment in environments {
            let place = SiteEnvironment {
                site: site.clone(),
                environment,
            };
            self.provide(place).await?;
        }
        Ok(())
    }

    async fn provide(&mut self, place: SiteEnvironment) -> Done {
        let run = self.begin(&place, "database").await?;
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let permit = self.permit(Action::SetContent, &target)?;
        let sites = self.console.sites.clone();
        let given = self
            .reply
            .during(run, move |run| content::provide(&sites, run, permit))
            .await??;
        if given {
            self.reply
                .tell(&format!("{place} has an empty database of that engine."))
                .await;
        }
        Ok(())
    }

    async fn holding_tables(
        &self,
        site: &SiteName,
        environments: &[Environment],
    ) -> Result<Vec<String>, Stop> {
        let mut holding = Vec::new();
        for environment in environments {
            let place = SiteEnvironment {
                site: site.clone(),
                environment: environment.clone(),
            };
            let facts = self.facts_of(&place, policy::Elements::default(), None);
            if facts.await?.held.tables {
                holding.push(environment.title().to_owned());
            }
        }
        Ok(holding)
    }

    /// `site:set SITE skip-tables LIST`.
    pub(super) async fn site_set_skipping(&mut self, site: SiteName, words: &[String]) -> Done {
        let permit = self.permit(Action::SetContent, &Target::Site(site.clone()))?;
        let said = words.join(",");
        let patterns = match content::skipped(&said) {
            Ok(patterns) => patterns,
            Err(sentence) => {
                permit.forget();
                return Err(Stop::Failed(sentence));
            }
        };
        content::set_skipping(&self.console.sites, permit, &said)?;
        let text = if patterns == 0 {
            format!("All tables of {site} are copied with their rows.\n")
        } else {
            format!(
                "Tables of {site} that fit '{said}' ({patterns} patterns) are copied without their rows.\n"
            )
        };
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn domain_map(
        &mut self,
        site: SiteName,
        source: &Environment,
        target: &Environment,
        pairs: &[String],
    ) -> Done {
        let permit = self.permit(Action::SetContent, &Target::Site(site.clone()))?;
        let read = match pairs_of(pairs).and_then(|read| {
            content::hosts_fit(&read)?;
            Ok(read)
        }) {
            Ok(read) => read,
            Err(sentence) => {
                permit.forget();
                return Err(Stop::Failed(sentence));
            }
        };
        content::set_domains(&self.console.sites, permit, source, target, &read)?;
        let text = if read.is_empty() {
            format!("Names of hosts stay as they are from {source} to {target} of {site}.\n")
        } else {
            let list: Vec<String> = read
                .iter()
                .map(|(old, new)| format!("{old} becomes {new}"))
                .collect();
            format!(
                "From {source} to {target} of {site}: {}.\n",
                list.join(", ")
            )
        };
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn domain_list(&mut self, site: SiteName) -> Done {
        self.view(&site)?;
        let model = self.console.state.model();
        let mut table = Table::new(&["from", "to", "old", "new"]);
        let known = model.sites.get(&site).map(|site| &site.content.domains);
        for ((source, target), pairs) in known.into_iter().flatten() {
            for (old, new) in pairs {
                table.push(vec![
                    source.as_str().into(),
                    target.as_str().into(),
                    old.as_str().into(),
                    new.as_str().into(),
                ]);
            }
        }
        if table.is_empty() {
            let line = format!("No names of hosts of {site} are replaced in copies.");
            self.reply.tell(&line).await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    /// What `site:info` shows of it.
    pub(super) fn content_of_site(&self, site: &SiteName) -> Vec<(&'static str, Value)> {
        let model = self.console.state.model();
        let Some(content) = model.sites.get(site).map(|site| &site.content) else {
            return Vec::new();
        };
        let said = |text: &str| match text {
            "" => Value::Null,
            text => text.into(),
        };
        vec![
            (
                "database",
                content.engine.map_or("none", Engine::as_str).into(),
            ),
            (
                "database_server",
                said(content.server.as_deref().unwrap_or_default()),
            ),
            ("skip_tables", said(&content.skipping)),
            (
                "launched",
                content
                    .launched
                    .map_or(Value::Null, |since| for_people(since).into()),
            ),
            ("domain_maps", content.domains.len().into()),
        ]
    }

    /// What `env:info` shows of it.
    pub(super) fn content_fields(&self, place: &SiteEnvironment) -> Vec<(&'static str, Value)> {
        let model = self.console.state.model();
        let Some(state) = model.environment(&place.site, &place.environment) else {
            return Vec::new();
        };
        let content = &state.content;
        let now = jiff::Timestamp::now();
        let former = content.former.filter(|(_, until)| *until > now);
        vec![
            (
                "content_from",
                match content.origin.as_str() {
                    "" => Value::Null,
                    origin => policy::escape(origin.as_bytes()).into(),
                },
            ),
            (
                "content_since",
                content
                    .since
                    .map_or(Value::Null, |since| for_people(since).into()),
            ),
            (
                "former_content_until",
                former.map_or(Value::Null, |(_, until)| for_people(until).into()),
            ),
        ]
    }
}

fn engine(word: &str) -> Result<Option<Engine>, String> {
    match word {
        "none" => Ok(None),
        word => word.parse().map(Some).map_err(|_| {
            format!(
                "'{}' is no engine: give sqlite, mariadb, postgresql or none.",
                policy::escape(word.as_bytes())
            )
        }),
    }
}

fn pairs_of(words: &[String]) -> Result<Vec<(String, String)>, String> {
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((old, new)) if !old.is_empty() && !new.is_empty() => {
                Ok((old.to_owned(), new.to_owned()))
            }
            _other => Err(format!(
                "'{}' is no pair of names: give OLD=NEW, such as www.example.org=dev.example.org.",
                policy::escape(word.as_bytes())
            )),
        })
        .collect()
}
