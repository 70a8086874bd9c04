//! Lists of Multidevs: those that there are, and those that can be brought back.

use jiff::{SignedDuration, Timestamp};
use policy::{Environment, SiteName};
use serde_json::Value;

use super::table::Table;
use super::{Done, Run};
use crate::site::{blocking, multidev};
use crate::state::for_people;

impl Run<'_> {
    pub(super) async fn multidev_list(&mut self, name: SiteName) -> Done {
        let (sites, site) = (self.console.sites.clone(), name.clone());
        let counted = blocking(move || multidev::ahead_behind(&sites, &site)).await?;
        let model = self.console.state.model();
        let mut table = Table::new(&[
            "id",
            "created",
            "connection_mode",
            "commit",
            "ahead",
            "behind",
        ]);
        let known = model.sites.get(&name).map(|site| &site.environments);
        for (environment, state) in known.into_iter().flatten() {
            let Environment::Multidev(multidev) = environment else {
                continue;
            };
            let (ahead, behind) = counted
                .get(multidev)
                .map_or((Value::Null, Value::Null), |(ahead, behind)| {
                    ((*ahead).into(), (*behind).into())
                });
            table.push(vec![
                multidev.as_str().into(),
                for_people(state.created).into(),
                state
                    .mode
                    .as_ref()
                    .map_or(Value::Null, |facts| facts.mode.as_str().into()),
                state
                    .commit
                    .map_or(Value::Null, |commit| commit.to_string().into()),
                ahead,
                behind,
            ]);
        }
        if table.is_empty() {
            self.reply.tell("You have no multidev environments.").await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn multidev_list_deleted(&mut self, site: SiteName) -> Done {
        let mut table = Table::new(&[
            "name",
            "id",
            "deleted_at",
            "deleted_by",
            "branch",
            "commit",
            "kept_until",
        ]);
        for kept in self.console.state.deleted_multidevs(Some(&site))? {
            table.push(vec![
                kept.name.as_str().into(),
                kept.id.as_str().into(),
                for_people(kept.time).into(),
                kept.person.as_str().into(),
                if kept.branch_kept { "kept" } else { "deleted" }.into(),
                kept.commit
                    .map_or(Value::Null, |commit| commit.to_string().into()),
                self.kept_until(kept.time).into(),
            ]);
        }
        if table.is_empty() {
            self.reply
                .tell("No deleted multidev environment is kept.")
                .await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    /// Says until when something that was deleted then can be brought back.
    pub(super) fn kept_until(&self, deleted: Timestamp) -> String {
        let keep =
            SignedDuration::try_from(self.console.keep_deleted).unwrap_or(SignedDuration::MAX);
        deleted
            .checked_add(keep)
            .map_or_else(|_| "further notice".to_owned(), for_people)
    }
}
