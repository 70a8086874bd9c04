//! Quotas of environments, as they are set and told.

use policy::{Environment, SiteName};

use super::{Limits, Room, Usage, room};
use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::Sites;
use crate::site::tree::Space;

/// Sets how much an environment may hold, in bytes and in files and folders; for those who write to
/// it now, too. What it holds already stays.
///
/// # Errors
/// When it cannot be kept.
pub fn set(sites: &Sites, mut permit: Permit, limits: Limits) -> Result<(), Fault> {
    permit.describe(format!("quota {}", told(limits)));
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    sites.state.set_quota(&site, &environment, limits)?;
    sites.parts(&site, &environment)?.meter().set(limits);
    permit.finish(Outcome::Done)
}

/// Says what limits are, for people.
pub fn told(limits: Limits) -> String {
    match (limits.bytes, limits.files) {
        (None, None) => "none".to_owned(),
        (Some(bytes), None) => room::size(bytes),
        (None, Some(files)) => format!("{files} files and folders"),
        (Some(bytes), Some(files)) => {
            format!("{}, {files} files and folders", room::size(bytes))
        }
    }
}

/// Says what is held, for people.
pub fn told_usage(held: Usage) -> String {
    format!(
        "{} in {} files and folders",
        room::size(held.bytes),
        held.files
    )
}

impl Sites {
    /// Returns how much an environment may hold: what was set for it, or what the configuration
    /// has for all.
    pub fn limits(&self, site: &SiteName, environment: &Environment) -> Limits {
        let model = self.state.model();
        model
            .sites
            .get(site)
            .and_then(|site| site.environments.get(environment))
            .and_then(|environment| environment.quota)
            .unwrap_or(self.quota)
    }

    /// Returns how much an environment holds: files, scratch, and its database as far as it is
    /// files. It is counted when that was not done lately, which takes a while; to be called off
    /// the asynchronous workers.
    ///
    /// # Errors
    /// When its folders cannot be opened.
    pub fn held(&self, site: &SiteName, environment: &Environment) -> Result<Usage, Fault> {
        Ok(self.parts(site, environment)?.meter().used())
    }

    /// Returns the room for a content that is built to take the place of an environment's present
    /// one: its quota, less what `beside` holds.
    pub fn room(&self, site: &SiteName, environment: &Environment, beside: Usage) -> Room {
        Room::new(self.limits(site, environment), beside)
    }

    /// Has an environment counted anew before the next no: its content was switched.
    ///
    /// # Errors
    /// When its folders cannot be opened.
    pub fn recount(&self, site: &SiteName, environment: &Environment) -> Result<(), Fault> {
        self.parts(site, environment)?.meter().forget();
        Ok(())
    }
}

/// Makes the room of a disk look as large as the quota.
pub(in crate::site) fn within(space: Space, limits: Limits, held: Usage) -> Space {
    let mut space = space;
    if let Some(most) = limits.bytes {
        let unit = space.fragment_size.max(1);
        let left = most.saturating_sub(held.bytes) / unit;
        space.blocks = most.div_ceil(unit);
        space.blocks_available = left.min(space.blocks_available);
        space.blocks_free = space.blocks_available;
    }
    if let Some(most) = limits.files {
        let left = most.saturating_sub(held.files);
        // File systems that make inodes as they need them say zero.
        let on_disk = match space.files {
            0 => u64::MAX,
            _ => space.files_available,
        };
        space.files = most;
        space.files_available = left.min(on_disk);
        space.files_free = space.files_available;
    }
    space
}
