//! What a gateway can be doing when it is cut off: one line each. A line makes all tests of its
//! operation; the points at which it is cut off are found by running it.

use support::Client;

use crate::crash_site::{Scene, State};
use crate::{crash, crash_content as content, crash_full};

/// One operation that changes an environment.
pub(crate) struct Operation {
    /// Its place in the table.
    pub(crate) place: usize,
    pub(crate) name: &'static str,
    pub(crate) environment: &'static str,
    /// Makes something to do that has not been done before; the word is in it.
    pub(crate) begin: fn(&Scene, &str) -> Wanted,
    /// Does it.
    pub(crate) act: fn(&Scene, &str) -> Client,
}

/// What the environment has when the operation is done.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Commit(String),
    Mode(&'static str),
    Multidev(String),
    NoMultidev(String),
    /// A commit that only the operation makes.
    Another,
    /// Files and database that say this; the code stays.
    Content(String),
    /// A database that says this; all else stays.
    Database(String),
    /// Files that say this; all else stays.
    Files(String),
    /// This commit, with files and database that say this.
    Both(String, String),
}

impl Operation {
    /// Each how many-th point an ordinary run tries: content takes its time to look at.
    pub(crate) fn step(&self, usual: usize) -> usize {
        if self.brings_content() {
            usual * 3
        } else {
            usual
        }
    }

    /// Whether it builds a content.
    pub(crate) fn brings_content(&self) -> bool {
        self.turns_content() || self.name == "deploy_with_content"
    }

    /// Whether it is the content that turns, by a link of its own.
    pub(crate) fn turns_content(&self) -> bool {
        [
            "clone_content",
            "import_database",
            "import_files",
            "wipe",
            "undo_content",
        ]
        .contains(&self.name)
    }
}

impl Wanted {
    /// Says whether a state is the new one; `before` is the old one.
    pub(crate) fn is_there(&self, environment: &str, before: &State, state: &State) -> bool {
        let found = &state.environments[environment];
        match self {
            Wanted::Commit(commit) => found.commit.as_ref() == Some(commit),
            Wanted::Mode(mode) => found.mode.as_deref() == Some(*mode),
            Wanted::Multidev(name) => state.multidevs.contains_key(name),
            Wanted::NoMultidev(name) => !state.multidevs.contains_key(name),
            Wanted::Another => found.commit != before.environments[environment].commit,
            Wanted::Content(what) => {
                found.content.files == *what && found.content.database == *what
            }
            // The other half must not have come with it.
            Wanted::Database(what) => {
                found.content.database == *what
                    && found.content.files == before.environments[environment].content.files
            }
            Wanted::Files(what) => {
                found.content.files == *what
                    && found.content.database == before.environments[environment].content.database
            }
            Wanted::Both(commit, what) => {
                found.commit.as_ref() == Some(commit)
                    && found.content.files == *what
                    && found.content.database == *what
            }
        }
    }
}

macro_rules! operations {
    ($($name:ident, $environment:literal, $begin:expr, $act:expr;)*) => {
        #[allow(non_camel_case_types, reason = "the names of the table")]
        enum Place { $($name),* }

        pub(crate) const OPERATIONS: &[Operation] = &[$(Operation {
            place: Place::$name as usize,
            name: stringify!($name),
            environment: $environment,
            begin: $begin,
            act: $act,
        }),*];

        mod the_daemon_is_killed_at_each_point_of {
            use super::*;
            $(#[test]
            fn $name() {
                crash::kill_at_each(&OPERATIONS[Place::$name as usize]);
            })*
        }

        mod the_disk_is_full_at_each_point_of {
            use super::*;
            $(#[test]
            fn $name() {
                crash_full::fill_at_each(&OPERATIONS[Place::$name as usize]);
            })*
        }
    };
}

operations! {
    push, "dev", change, |scene, _| scene.push();
    deploy_to_test, "test", pushed, |scene, _| deploy(scene, "SITE.test");
    deploy_to_live, "live", tested, |scene, _| deploy(scene, "SITE.live");
    hotfix_on_test, "test", change, |scene, what| hotfix(scene, "test", what);
    hotfix_on_live, "live", change, |scene, what| hotfix(scene, "live", what);
    rollback, "live", to_be_rolled_back, |scene, _| scene.console(&["env:rollback", "SITE.live"]);
    hotfix_merge, "dev", hotfix_to_merge, |scene, what| scene.console(&["hotfix:merge", "SITE", what]);
    sftp_mode, "dev", |scene, _| mode(scene, "git", "sftp"), |scene, _| set(scene, "sftp");
    git_mode, "dev", |scene, _| mode(scene, "sftp", "git"), |scene, _| set(scene, "git");
    multidev_create, "dev", to_be_made, |scene, what| create(scene, what);
    multidev_delete, "dev", made, |scene, what| delete(scene, what);
    multidev_merge, "dev", to_be_merged, |scene, what| {
        scene.console(&["multidev:merge-to-dev", &format!("SITE.{what}")])
    };
    commit, "dev", uncommitted, |scene, what| scene.console(&["env:commit", "SITE.dev", "--message", what]);
    clone_content, "dev", content::new_on_live, |scene, _| content::clone(scene);
    import_database, "dev", content::dump_to_come, content::import_database;
    import_files, "dev", content::files_to_come, content::import_files;
    wipe, "dev", content::something_there, |scene, _| content::wipe(scene);
    undo_content, "dev", content::wiped, |scene, _| content::undo(scene);
    deploy_with_content, "test", content::new_on_both, |scene, _| content::deploy(scene);
}

fn change(scene: &Scene, what: &str) -> Wanted {
    Wanted::Commit(scene.change(what))
}

fn pushed(scene: &Scene, what: &str) -> Wanted {
    let commit = scene.change(what);
    scene.push().run().ok();
    Wanted::Commit(commit)
}

fn tested(scene: &Scene, what: &str) -> Wanted {
    let wanted = pushed(scene, what);
    scene.site.must(&["env:deploy", "SITE.test"]);
    wanted
}

fn deploy(scene: &Scene, place: &str) -> Client {
    scene.console(&["env:deploy", place, "--note", "a test"])
}

fn hotfix(scene: &Scene, remote: &str, what: &str) -> Client {
    let branch = format!("HEAD:refs/heads/hotfix/{what}");
    scene
        .clone
        .git(&["push", "-o", "reason=a test", remote, &branch])
}

fn to_be_rolled_back(scene: &Scene, what: &str) -> Wanted {
    let runs = scene.runs("live");
    tested(scene, what);
    scene.site.must(&["env:deploy", "SITE.live"]);
    Wanted::Commit(runs)
}

fn hotfix_to_merge(scene: &Scene, what: &str) -> Wanted {
    scene.change(what);
    hotfix(scene, "live", what).run().ok();
    Wanted::Another
}

fn set(scene: &Scene, mode: &str) -> Client {
    scene.console(&["connection:set", "SITE.dev", mode, "--yes"])
}

fn mode(scene: &Scene, from: &str, to: &'static str) -> Wanted {
    set(scene, from).run().ok();
    Wanted::Mode(to)
}

fn uncommitted(scene: &Scene, what: &str) -> Wanted {
    set(scene, "sftp").run().ok();
    let file = scene.tom.desk("uncommitted").join("file");
    std::fs::write(&file, what).unwrap();
    let put = format!("put {} /code/index.php\n", file.display());
    scene.site.sftp(&scene.tom, "dev", &put).run().ok();
    Wanted::Another
}

fn create(scene: &Scene, name: &str) -> Client {
    scene.console(&["multidev:create", "SITE.dev", name])
}

fn delete(scene: &Scene, name: &str) -> Client {
    let place = format!("SITE.{name}");
    scene.console(&["multidev:delete", &place, "--delete-branch"])
}

fn to_be_made(scene: &Scene, name: &str) -> Wanted {
    // One at a time, for a site may have only so many.
    for former in scene.state().multidevs.keys() {
        delete(scene, former).run().ok();
    }
    Wanted::Multidev(name.to_owned())
}

fn made(scene: &Scene, name: &str) -> Wanted {
    create(scene, name).run().ok();
    Wanted::NoMultidev(name.to_owned())
}

/// Makes a Multidev with a commit that trunk does not have.
fn to_be_merged(scene: &Scene, name: &str) -> Wanted {
    to_be_made(scene, name);
    create(scene, name).run().ok();
    let git = |words: &[&str]| scene.clone.must(words);
    git(&["fetch", "--quiet", "dev"]);
    git(&["checkout", "--quiet", "-B", name, &format!("dev/{name}")]);
    scene.change(name);
    git(&["push", "--quiet", &scene.site.url(name), name]);
    Wanted::Another
}
