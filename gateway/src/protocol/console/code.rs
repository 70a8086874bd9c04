//! Work on the server: what has changed, committing it, putting it aside and back.

use policy::{Action, Area, SitePath, Target};

use super::command::SiteEnvironment;
use super::table::Table;
use super::{Done, Run, Stop};
use crate::gate::{Evidence, Permit};
use crate::site::work::{self, Status};
use crate::site::{blocking, mode, push, repository};
use crate::state::for_people;

impl Run<'_> {
    pub(super) async fn diffstat(&mut self, place: SiteEnvironment) -> Done {
        self.view(&place.site)?;
        self.environment(&place)?;
        let (sites, at) = (self.console.sites.clone(), place.clone());
        let (changes, ignored) = blocking(move || {
            mode::with_work(&sites, &at.site, &at.environment, |work| match work {
                Some(work) => work.status(),
                None => Ok((Vec::new(), Vec::new())),
            })
        })
        .await?;
        let mut table = Table::new(&["file", "status", "deletions", "additions"]);
        for change in &changes {
            let status = match change.status {
                Status::Added => "A",
                Status::Modified => "M",
                Status::Deleted => "D",
                Status::TypeChanged => "T",
            };
            table.push(vec![
                change.path.to_string().into(),
                status.into(),
                change.deletions.into(),
                change.additions.into(),
            ]);
        }
        if table.is_empty() {
            self.reply.tell("No changes on server.").await;
        }
        if !ignored.is_empty() {
            let names: Vec<String> = ignored.iter().take(10).map(ToString::to_string).collect();
            let line = format!(
                "{} ignored file(s) or folder(s) are there and are never committed: {}{}",
                ignored.len(),
                names.join(", "),
                if ignored.len() > names.len() {
                    " …"
                } else {
                    ""
                }
            );
            self.reply.tell(&line).await;
        }
        for one in self.unfinished(&place, Some(Area::Code)).await? {
            self.reply
                .tell(&format!("Not in its place yet, and in no commit: {one}"))
                .await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn commit(
        &mut self,
        place: SiteEnvironment,
        message: String,
        paths: Vec<String>,
    ) -> Done {
        let paths = site_paths(&paths)?;
        let run = self.begin(&place, "commit").await?;
        let permit = self.on(Action::Commit, &place, &run)?;
        if message.trim().is_empty() {
            permit.forget();
            return Err(Stop::Failed(
                "A commit needs a message: -m \"what you did\".".to_owned(),
            ));
        }
        let sites = self.console.sites.clone();
        let made = self
            .reply
            .during(run, move |run| {
                mode::commit(&sites, run, permit, &message, paths.as_deref())
            })
            .await??;
        for path in &made.left_out {
            self.reply
                .tell(&format!("'{path}' is being written, so it was left out."))
                .await;
        }
        let text = format!(
            "Your code was committed: {} with {} file(s).\n",
            push::short(made.commit),
            made.files.len()
        );
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn discard(&mut self, place: SiteEnvironment, paths: Vec<String>) -> Done {
        let paths = site_paths(&paths)?;
        let run = self.begin(&place, "discard").await?;
        let permit = self.on(Action::Discard, &place, &run)?;
        let asked = format!(
            "Put {} of {place} back to the last commit? The work is kept aside.",
            if paths.is_some() {
                "these files"
            } else {
                "all files"
            }
        );
        if !self.reply.confirm(&asked).await {
            permit.forget();
            return Err(Stop::Failed(
                "Nothing was changed; answer yes or repeat with --yes.".to_owned(),
            ));
        }
        let sites = self.console.sites.clone();
        let saved = self
            .reply
            .during(run, move |run| {
                mode::discard(&sites, run, permit, paths.as_deref())
            })
            .await??;
        let text = match saved {
            Some(saved) => format!(
                "Put back {} file(s). Their work is kept as {}; env:restore-work {place} {} brings it back.\n",
                saved.files, saved.id, saved.id
            ),
            None => "No changes on server.\n".to_owned(),
        };
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn restore_work(
        &mut self,
        place: SiteEnvironment,
        id: Option<String>,
        list: bool,
    ) -> Done {
        self.view(&place.site)?;
        self.environment(&place)?;
        let (sites, at) = (self.console.sites.clone(), place.clone());
        let saved = blocking(move || {
            let repository = repository::open(&sites.layout.site(&at.site).repository())?;
            work::saved(&repository, &at.environment)
        })
        .await?;
        if list {
            let mut table = Table::new(&["id", "time", "person", "files", "reason"]);
            for one in &saved {
                table.push(vec![
                    one.id.as_str().into(),
                    for_people(one.time).into(),
                    one.person.as_str().into(),
                    one.files.into(),
                    one.why.as_str().into(),
                ]);
            }
            if table.is_empty() {
                self.reply.tell("No work has been kept aside.").await;
            }
            self.reply.print(&table).await?;
            return Ok(());
        }
        let run = self.begin(&place, "restore_work").await?;
        let permit = self.on(Action::RestoreWork, &place, &run)?;
        let Some(id) = id.or_else(|| saved.first().map(|newest| newest.id.clone())) else {
            permit.forget();
            return Err(Stop::Nothing("No work has been kept aside.".to_owned()));
        };
        let sites = self.console.sites.clone();
        let named = id.clone();
        let files = self
            .reply
            .during(run, move |run| mode::restore(&sites, run, permit, &id))
            .await??;
        let text = format!("Brought back work {named}: {} file(s).\n", files.len());
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    /// Asks for a permit for what a workflow does to an environment.
    pub(super) fn on(
        &self,
        action: Action,
        place: &SiteEnvironment,
        run: &crate::site::Run,
    ) -> Result<Permit, Stop> {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let evidence = Evidence {
            workflow: Some(run.id().clone()),
            ..Evidence::default()
        };
        Ok(self
            .console
            .gate
            .authorize(self.who, action, &target, evidence)?)
    }
}

/// Reads paths as people write them: relative to the code, or as they see them over SFTP.
fn site_paths(paths: &[String]) -> Result<Option<Vec<SitePath>>, Stop> {
    if paths.is_empty() {
        return Ok(None);
    }
    let read = paths.iter().map(|path| {
        let inside = path.strip_prefix("/code/").unwrap_or(path);
        SitePath::normalize(inside.as_bytes())
            .ok()
            .filter(|read| !read.is_empty() && !inside.split('/').any(|part| part == ".."))
            .ok_or_else(|| {
                Stop::Failed(format!(
                    "'{}' is no path of code.",
                    policy::escape(path.as_bytes())
                ))
            })
    });
    read.collect::<Result<Vec<_>, _>>().map(Some)
}
