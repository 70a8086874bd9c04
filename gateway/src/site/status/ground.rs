//! What the checks look at: the environment, its code and files as they lie on the disk, and which
//! system the site is built on.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::Repository;
use jiff::Timestamp;
use policy::{Environment, SiteName, SitePath};

use crate::fault::{Fault, OrFault};
use crate::site::folder::Folder;
use crate::site::layout::SiteLayout;
use crate::site::scan::{Found, Looking, scan};
use crate::site::{Sites, repository};
use crate::state::{EnvironmentState, Model};

/// All that checks need.
pub(super) struct Ground<'a> {
    pub sites: &'a Sites,
    pub site: &'a SiteName,
    pub environment: &'a Environment,
    pub model: Arc<Model>,
    pub state: EnvironmentState,
    pub files_path: Option<SitePath>,
    pub layout: SiteLayout,
    pub repository: Repository,
    /// The running release, without uploads; none before the first deploy.
    pub code: Option<Tree>,
    pub files: Option<Tree>,
    pub system: System,
    pub now: Timestamp,
}

/// What a site is built on; with the folder of the code in which it lies, empty or with a slash at
/// its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum System {
    WordPress {
        root: String,
    },
    /// Drupal 8 and newer.
    Drupal {
        root: String,
    },
    Drupal7 {
        root: String,
    },
    Other,
}

impl<'a> Ground<'a> {
    pub(super) fn of(
        sites: &'a Sites,
        site: &'a SiteName,
        environment: &'a Environment,
        may_read_files: bool,
    ) -> Result<Self, Fault> {
        let model = sites.state.model();
        let gone = || Fault::new(format!("{site}.{environment} is gone"));
        let known = model.sites.get(site).ok_or_else(gone)?;
        let state = known.environments.get(environment).ok_or_else(gone)?;
        let layout = sites.layout.site(site);
        let place = layout.environment(environment);
        let code = match state.commit {
            Some(_) => Some(Tree::read(
                &place.code(state.generation),
                known.files_path.as_ref(),
            )?),
            None => None,
        };
        let files = place.files();
        let files = match files.canonicalize() {
            Ok(files) => Some(Tree {
                unnamed: !may_read_files,
                ..Tree::read(&files, None)?
            }),
            Err(_missing) => None,
        };
        Ok(Self {
            sites,
            site,
            environment,
            state: state.clone(),
            files_path: known.files_path.clone(),
            repository: repository::open(&layout.repository())?,
            layout,
            system: code.as_ref().map_or(System::Other, System::of),
            code,
            files,
            now: Timestamp::now(),
            model,
        })
    }

    /// `SITE.ENV`, for commands to copy.
    pub(super) fn place(&self) -> String {
        format!("{}.{}", self.site, self.environment)
    }

    /// Whether visitors are here.
    pub(super) fn is_live(&self) -> bool {
        *self.environment == Environment::Live
    }

    /// Whether code here may not change, as on Live.
    pub(super) fn is_deployed(&self) -> bool {
        matches!(self.environment, Environment::Test | Environment::Live)
    }
}

/// A tree on the disk. People change it meanwhile, so no link in it is followed.
pub(super) struct Tree {
    pub path: PathBuf,
    folder: Folder,
    /// Files and links, in the order of paths.
    pub found: Vec<Found>,
    /// Whether its names are not for whoever asks.
    pub unnamed: bool,
}

/// The most of one file that is read, in bytes.
const LONGEST: u64 = 2 << 20;

impl Tree {
    pub(super) fn read(path: &Path, skip: Option<&SitePath>) -> Result<Self, Fault> {
        let folder = Folder::open(path).or_fault(|| format!("opening {}", path.display()))?;
        let found = scan(&folder, skip, Looking::Everything)?.found;
        Ok(Self {
            path: path.to_owned(),
            folder,
            found,
            unnamed: false,
        })
    }

    /// Returns a path of this tree as it is told.
    pub(super) fn named(&self, path: &str) -> String {
        if self.unnamed {
            return "(names are for who may read /files)".to_owned();
        }
        path.to_owned()
    }

    /// Whether there is a file or link of that path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    pub(super) fn find(&self, path: &str) -> Option<&Found> {
        let place = self
            .found
            .binary_search_by(|found| found.path.as_slice().cmp(path.as_bytes()));
        self.found.get(place.ok()?)
    }

    /// Returns the beginning of a regular file as text; none if it cannot be read.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let bytes = self.start(path.as_bytes(), LONGEST)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns the first bytes of a regular file.
    pub(super) fn start(&self, path: &[u8], most: u64) -> Option<Vec<u8>> {
        let file = self.folder.open_file(path).ok()?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Returns the folders that files lie in, each once, the top as an empty path.
    pub(super) fn folders(&self) -> Vec<&[u8]> {
        let mut folders: Vec<&[u8]> = vec![b""];
        for found in &self.found {
            let mut path = found.path.as_slice();
            while let Some(slash) = path.iter().rposition(|byte| *byte == b'/') {
                path = path.get(..slash).unwrap_or_default();
                if folders.last() == Some(&path) {
                    break;
                }
                folders.push(path);
            }
        }
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    /// Returns the permissions of a folder in it.
    pub(super) fn mode_of(&self, folder: &[u8]) -> Option<u32> {
        use std::os::unix::fs::MetadataExt;
        let path = if folder.is_empty() {
            self.path.clone()
        } else {
            self.path.join(std::ffi::OsStr::from_bytes(folder))
        };
        let found = path.symlink_metadata().ok()?;
        found.is_dir().then(|| found.mode())
    }
}

/// Where the web's root is in the repositories of most sites.
const ROOTS: [&str; 9] = [
    "",
    "web/",
    "web/wp/",
    "wp/",
    "public/",
    "public/wp/",
    "docroot/",
    "htdocs/",
    "wordpress/",
];

impl System {
    pub(super) fn of(code: &Tree) -> Self {
        for root in ROOTS {
            let root = root.to_owned();
            if code.has(&format!("{root}wp-includes/version.php")) {
                return System::WordPress { root };
            }
            if code.has(&format!("{root}core/lib/Drupal.php")) {
                return System::Drupal { root };
            }
            if code.has(&format!("{root}modules/system/system.module")) {
                return System::Drupal7 { root };
            }
        }
        System::Other
    }
}
