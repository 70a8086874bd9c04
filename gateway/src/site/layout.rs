//! Where the things of a site lie in the data folder. Builds paths; follows and decides nothing.

use std::path::{Path, PathBuf};

use policy::{Environment, SiteName, SitePath};

use super::{content, covers};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;

/// The data folder.
#[derive(Debug, Clone)]
pub struct Layout {
    data: PathBuf,
}

/// The folder of one site.
#[derive(Debug, Clone)]
pub struct SiteLayout {
    data: PathBuf,
    site: SiteName,
    folder: PathBuf,
}

/// The folder of one environment.
#[derive(Debug, Clone)]
pub struct EnvironmentLayout {
    site: SiteName,
    environment: Environment,
    folder: PathBuf,
}

impl Layout {
    /// Returns the layout of the data folder `data`.
    pub fn new(data: PathBuf) -> Self {
        Self { data }
    }

    /// Returns the folder that holds all sites.
    pub fn sites(&self) -> PathBuf {
        self.data.join("sites")
    }

    /// Returns the folder of one site.
    pub fn site(&self, site: &SiteName) -> SiteLayout {
        SiteLayout {
            data: self.data.clone(),
            site: site.clone(),
            folder: self.sites().join(site.as_str()),
        }
    }
}

impl SiteLayout {
    /// Returns the site's name.
    pub fn name(&self) -> &SiteName {
        &self.site
    }

    /// Returns the site's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the whole gateway's data folder, which no site is made from.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Returns the bare repository.
    pub fn repository(&self) -> PathBuf {
        self.folder.join("repository.git")
    }

    /// Returns the folder of a Multidev that was deleted and can be brought back.
    pub fn deleted(&self, id: &str) -> PathBuf {
        self.folder.join("deleted").join(id)
    }

    /// Returns the same as the environment that it was.
    pub fn deleted_environment(&self, id: &str, environment: &Environment) -> EnvironmentLayout {
        EnvironmentLayout {
            site: self.site.clone(),
            environment: environment.clone(),
            folder: self.deleted(id),
        }
    }

    /// Returns the logs of workflows whose environment is gone, or never came to be.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Returns the folder of one environment.
    pub fn environment(&self, environment: &Environment) -> EnvironmentLayout {
        EnvironmentLayout {
            site: self.site.clone(),
            environment: environment.clone(),
            folder: self.folder.join("environments").join(environment.as_str()),
        }
    }
}

impl EnvironmentLayout {
    /// Returns the site's name.
    pub fn site(&self) -> &SiteName {
        &self.site
    }

    /// Returns the environment's name.
    pub fn name(&self) -> &Environment {
        &self.environment
    }

    /// Returns the environment's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the pointer: a link to the generation that the environment runs.
    pub fn current(&self) -> PathBuf {
        self.folder.join("current")
    }

    /// Returns the folder of all generations.
    pub fn generations(&self) -> PathBuf {
        self.folder.join("generations")
    }

    /// Returns one generation.
    pub fn generation(&self, number: u64) -> PathBuf {
        self.generations().join(number.to_string())
    }

    /// Returns the code of one generation.
    pub fn code(&self, number: u64) -> PathBuf {
        self.generation(number).join("code")
    }

    /// Returns the uploads of the site's visitors and editors: a way through the pointers, to those
    /// of the content that the environment has.
    pub fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// Returns the way to the content that the environment has: through what it runs, or before its
    /// first deploy straight there.
    pub fn content_link(&self) -> PathBuf {
        self.folder.join("content")
    }

    /// Returns the folder of all contents.
    pub fn contents(&self) -> PathBuf {
        self.folder.join("contents")
    }

    /// Returns one content: links to its files and its database, and what the site reads of it.
    pub fn content(&self, number: u64) -> PathBuf {
        self.contents().join(number.to_string())
    }

    /// Returns the folder of files and databases, which contents point to.
    pub fn stores(&self) -> PathBuf {
        self.folder.join("stores")
    }

    /// Returns one store of files.
    pub fn files_store(&self, number: u64) -> PathBuf {
        self.files_shell(number).join("files")
    }

    /// Returns the folder around a store of files, which gives them the name that programs show
    /// people: rsync calls what it sends by the last part of its path.
    pub fn files_shell(&self, number: u64) -> PathBuf {
        self.stores().join(format!("files-{number}"))
    }

    /// Returns one store of a database: what it is, and the files of SQLite.
    pub fn database_store(&self, number: u64) -> PathBuf {
        self.stores().join(format!("database-{number}"))
    }

    /// Returns the logs of workflows.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Returns the scratch space.
    pub fn tmp(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// Returns the backups.
    pub fn backups(&self) -> PathBuf {
        self.folder.join("backups")
    }

    /// Returns the spool for files that are being replaced, which nobody is shown.
    pub fn uploads(&self) -> PathBuf {
        self.folder.join("uploads")
    }

    /// Returns the facts for the site's own programs, which nobody is shown over SFTP.
    pub fn settings(&self) -> PathBuf {
        self.folder.join("settings")
    }

    /// Returns the git index of the writable code tree.
    pub fn index(&self) -> PathBuf {
        self.folder.join("index")
    }
}

/// Makes the folders of an environment, those that are missing.
///
/// # Errors
/// When one cannot be made, or the permit is for another site.
pub fn create_environment_directories(
    permit: &Permit,
    environment: &EnvironmentLayout,
) -> Result<(), Fault> {
    covers(permit, environment.site())?;
    for folder in [
        environment.generations(),
        environment.contents(),
        environment.stores(),
        environment.logs(),
        environment.tmp(),
        environment.backups(),
        environment.uploads(),
    ] {
        std::fs::create_dir_all(&folder)
            .or_fault(|| format!("making the folder {}", folder.display()))?;
    }
    content::found(environment)
}

/// Returns where the link at `files_path` in code leads: out of code to `files` beside it.
pub(super) fn uploads_link(files_path: &SitePath) -> Vec<u8> {
    let mut target = b"../".repeat(files_path.components().count());
    target.extend_from_slice(b"files");
    target
}
