//! Uploads that have not taken their places, told to those who look at an environment.

use policy::{Action, Area, Decision, Target};

use super::command::SiteEnvironment;
use super::{Run, Stop};
use crate::gate::Evidence;
use crate::site::blocking;
use crate::site::tree::Unfinished;
use crate::state::for_people;

impl Run<'_> {
    /// Returns a line for each, of one area or of all. Where the person may not read, the path is
    /// not told.
    pub(super) async fn unfinished(
        &self,
        place: &SiteEnvironment,
        only: Option<Area>,
    ) -> Result<Vec<String>, Stop> {
        let (sites, at) = (self.console.sites.clone(), place.clone());
        let all = blocking(move || sites.unfinished(&at.site, &at.environment)).await?;
        Ok(all
            .iter()
            .filter(|one| only.is_none_or(|area| area == one.area))
            .map(|one| self.line(place, one))
            .collect())
    }

    fn line(&self, place: &SiteEnvironment, one: &Unfinished) -> String {
        let target = Target::Tree(
            place.site.clone(),
            place.environment.clone(),
            one.area,
            one.path.clone(),
        );
        let gate = &self.console.gate;
        let decision = gate.explain(self.who, Action::ReadTree, &target, &Evidence::default());
        let path = match decision {
            Decision::Permit(_) => format!("/{}/{}", one.area, one.path),
            Decision::Refuse(_) => format!("a file in /{}", one.area),
        };
        let since = match one.idle_since {
            Some(since) => format!("broken off at {}", for_people(since)),
            None => "under way".to_owned(),
        };
        format!("{path} by {}, {} bytes, {since}", one.person, one.size)
    }
}
