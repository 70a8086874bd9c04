//! The commands about Multidevs, and the one that takes code back.

use clap::Subcommand;
use policy::SiteName;
use serde::{Deserialize, Serialize};

use super::command::SiteEnvironment;

/// The commands about Multidevs.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
pub enum MultidevCommand {
    /// Make a Multidev environment with a branch of its own
    #[command(name = "multidev:create", visible_alias = "env:create")]
    Create {
        /// SITE.ENV whose code it begins with
        from: SiteEnvironment,
        /// Its name: up to 63 lower-case letters, digits and dashes
        name: String,
        /// Begin with an empty database
        #[arg(long)]
        no_db: bool,
        /// Begin without files
        #[arg(long)]
        no_files: bool,
        /// Take the code of this branch; one of the new name is taken over
        #[arg(long, value_name = "BRANCH")]
        from_branch: Option<String>,
    },
    /// Delete a Multidev environment; it can be brought back for a while
    #[command(name = "multidev:delete", visible_alias = "env:delete")]
    Delete {
        /// SITE.NAME
        environment: SiteEnvironment,
        /// Delete its branch as well
        #[arg(long)]
        delete_branch: bool,
    },
    /// Bring back a Multidev environment that was deleted
    #[command(name = "multidev:restore")]
    Restore {
        /// SITE.NAME
        environment: SiteEnvironment,
        /// Which, as multidev:list --deleted shows it [default: the newest of that name]
        id: Option<String>,
    },
    /// List the Multidev environments of a site, and how far each is from trunk
    #[command(name = "multidev:list", visible_alias = "multidevs")]
    List {
        /// The site
        site: SiteName,
        /// List those that were deleted and can be brought back
        #[arg(long)]
        deleted: bool,
    },
    /// Merge a Multidev's branch into trunk, which Dev runs
    #[command(name = "multidev:merge-to-dev", visible_alias = "env:merge-to-dev")]
    MergeToDev {
        /// SITE.NAME
        environment: SiteEnvironment,
    },
    /// Merge trunk into a Multidev's branch
    #[command(name = "multidev:merge-from-dev", visible_alias = "env:merge-from-dev")]
    MergeFromDev {
        /// SITE.NAME
        environment: SiteEnvironment,
    },
    /// Take back a commit, or all that a deploy brought, by a new commit
    #[command(name = "env:revert")]
    Revert {
        /// SITE.dev or a Multidev
        environment: SiteEnvironment,
        /// A commit, or a release such as live_7
        what: String,
    },
}
