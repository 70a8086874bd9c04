//! Where each client of the matrix is tried: Dev in SFTP mode, which takes what the client does, and
//! the forbidden twin, Live's code, which nobody changes over SFTP. docs/clients.md is the table of
//! what the tests of these files show.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Client, Finished, Person, Role, Shared, Site, Tree, wait_for};

static SHARED: Shared = Shared::new();

/// A site, somebody of its team, and a folder of theirs to work in.
pub(crate) struct Stage {
    pub site: Site,
    pub tom: Person,
    pub desk: PathBuf,
}

impl Stage {
    /// A site whose Dev takes uploads.
    pub fn dev(name: &str) -> Self {
        let site = SHARED.gateway().site(name);
        let tom = site.person(Role::TeamMember).clone();
        let desk = tom.desk(name);
        Self { site, tom, desk }
    }

    /// A site that has been deployed up to Live; `evil.php` and the folder `evil` lie on the desk.
    pub fn live(name: &str) -> Self {
        let stage = Self::dev(name);
        stage.site.deploy_all();
        Tree::default()
            .file("evil.php", "evil ".repeat(20))
            .file("evil/one.php", "one")
            .file("evil/two.php", "two")
            .write(&stage.desk);
        stage
    }

    /// Prepares a client's program on the desk; where the environment is stands in HOST, PORT, LOGIN
    /// and KEY too.
    pub fn client(&self, program: &str, environment: &str) -> Client {
        self.with_address(self.tom.client(program), environment)
    }

    /// Tells `client` where the environment is, and puts it at the desk.
    pub fn with_address(&self, client: Client, environment: &str) -> Client {
        client
            .folder(&self.desk)
            .env("HOME", self.tom.home())
            .env("HOST", self.site.address().ip().to_string())
            .env("PORT", self.port())
            .env("LOGIN", self.site.login(environment))
            .env("KEY", self.tom.key())
    }

    pub fn port(&self) -> String {
        self.site.address().port().to_string()
    }

    /// Returns where `path` (`files/up`) of Dev lies on the gateway's disk.
    pub fn disk(&self, path: &str) -> PathBuf {
        let (area, below) = path.split_once('/').unwrap_or((path, ""));
        self.site.disk("dev", area).join(below)
    }

    /// Requires that a file of Dev, and what has come back to the desk, are what was sent.
    #[track_caller]
    pub fn same(&self, sent: &str, on_disk: &str, back: &str) {
        let sent = fs::read(self.desk.join(sent)).unwrap();
        self.holds(&self.disk(on_disk), &sent);
        self.holds(&self.desk.join(back), &sent);
    }

    #[track_caller]
    pub fn holds(&self, file: &Path, content: &[u8]) {
        let found = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let same = found.iter().zip(content).take_while(|(a, b)| a == b);
        assert!(
            found == content,
            "{} has {} bytes, not {}; the first {} are the same",
            file.display(),
            found.len(),
            content.len(),
            same.count()
        );
    }

    /// Lets a client try something with Live's code: nothing changes, and the audit tells of `path`, a
    /// path in code that nobody was refused before.
    #[track_caller]
    pub fn refused<T>(&self, path: &str, attempt: impl FnOnce() -> T) -> T {
        let before = self.site.tree("live", "code");
        assert!(!self.refusals().contains(path), "{path} was refused before");
        let outcome = attempt();
        self.site.tree("live", "code").must_equal(&before);
        // Floods are collapsed, so the row may be a moment late.
        wait_for(
            &format!("a refused row of {path}"),
            Duration::from_secs(10),
            || self.refusals().contains(path).then_some(()),
        );
        outcome
    }

    fn refusals(&self) -> String {
        let listed = self.site.must(&[
            "audit:list",
            "--site",
            "SITE",
            "--env",
            "live",
            "--decision",
            "refuse",
            "--format",
            "json",
        ]);
        listed.out()
    }
}

/// Requires the whole reason on the person's own screen.
#[track_caller]
pub(crate) fn says_why(finished: Finished) -> Finished {
    finished
        .says("Live environment is read-only")
        .says("Change it in Dev")
        .says("[incident ")
}

/// Sets the time of last change of a file on the desk, far back.
pub(crate) fn age(stage: &Stage, files: &[&str]) {
    stage
        .client("touch", "dev")
        .args(["-d", "2001-02-03 04:05:06 UTC"])
        .args(files)
        .run()
        .ok();
}

/// What `age` sets.
pub(crate) const AGE: i64 = 981_173_106;
