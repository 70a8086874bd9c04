//! What a step finds in its sandbox: its environment's code, files, scratch and settings, the
//! system's programs, and nothing else.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use policy::SitePath;

use super::Surroundings;
use super::groups::Group;
use crate::config;
use crate::fault::Fault;
use crate::sandbox::{self, ACCOUNT, Sandboxed};
use crate::site::layout::EnvironmentLayout;
use crate::site::{Sites, runtime};
use crate::state::Content;

/// How `/proc` can be had in a sandbox here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proc {
    /// With the step's own processes.
    Own,
    /// Not at all: the kernel lets no new one be mounted where the gateway's own is covered in part.
    None,
}

/// The places and facts of one step.
#[derive(Debug)]
pub(super) struct Room {
    layout: EnvironmentLayout,
    code: PathBuf,
    data: PathBuf,
    directory: PathBuf,
    network: bool,
    content: Content,
    facts: Vec<(String, String)>,
}

/// Folders of the system, as far as they are there.
const SYSTEM: [&str; 7] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
];

/// What programs need of `/etc`: no accounts, no keys, no passwords.
const SETTINGS: [&str; 26] = [
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "fonts",
    "gai.conf",
    "host.conf",
    "hosts",
    "ImageMagick-6",
    "ImageMagick-7",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "perl",
    "protocols",
    "python3",
    "resolv.conf",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
];

/// The parts of PHP's settings that its command line reads.
const PHP: [&str; 2] = ["cli", "mods-available"];

/// Bytes that a step may keep in `/dev/shm`.
const SHARED: u64 = 64 << 20;

/// Where a step finds the files of SQLite.
const DATABASE: &str = "/database";

/// Where a step finds programs.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

impl Room {
    pub(super) fn of(
        sites: &Sites,
        place: &Surroundings,
        directory: Option<&SitePath>,
    ) -> Result<Self, Fault> {
        let layout = sites
            .layout
            .site(&place.site)
            .environment(&place.environment);
        let model = sites.state.model();
        let site = model
            .sites
            .get(&place.site)
            .ok_or_else(|| Fault::new("the site is gone"))?;
        let mut inside = PathBuf::from("/code");
        if let Some(directory) = directory {
            inside.push(OsString::from_vec(directory.as_bytes().to_vec()));
        }
        Ok(Self {
            code: match &place.code_of {
                Some(other) => sites.layout.site(&place.site).environment(other),
                None => layout.clone(),
            }
            .code(place.generation),
            data: sites.steps.data.clone(),
            directory: inside,
            network: site.step_network,
            facts: runtime::content_facts(sites, &layout, place.content)?,
            content: place.content,
            layout,
        })
    }

    /// Returns a folder of the file system that the step writes to.
    pub(super) fn writable(&self) -> &Path {
        self.layout.folder()
    }

    /// Returns the variables that a step has, beside those of its own.
    pub(super) fn variables(&self, place: &Surroundings) -> Vec<(String, String)> {
        let commit = |id: Option<git2::Oid>| id.map_or(String::new(), |id| id.to_string());
        let of = [
            ("PATH", PATH.to_owned()),
            ("HOME", "/tmp".to_owned()),
            ("TMPDIR", "/tmp".to_owned()),
            ("USER", "site".to_owned()),
            ("LOGNAME", "site".to_owned()),
            ("SHELL", "/bin/sh".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("FUNICULAR_SITE", place.site.to_string()),
            ("FUNICULAR_ENVIRONMENT", place.environment.to_string()),
            ("FUNICULAR_WORKFLOW", place.workflow.clone()),
            ("FUNICULAR_ACTOR", place.actor.to_string()),
            ("FUNICULAR_NOTE", note(&place.note)),
            ("FUNICULAR_OLD_COMMIT", commit(place.old)),
            ("FUNICULAR_NEW_COMMIT", commit(place.new)),
            ("FUNICULAR_CODE", "/code".to_owned()),
            ("FUNICULAR_FILES", "/files".to_owned()),
            ("FUNICULAR_SETTINGS", "/settings".to_owned()),
        ];
        let mut variables: Vec<_> = of
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        for (name, value) in &self.facts {
            // Places have other names here, so that nothing shows where the data folder is.
            let value = match name.as_str() {
                "FUNICULAR_FILES" => continue,
                "FUNICULAR_DATABASE_DIR" => DATABASE.to_owned(),
                _other => value.clone(),
            };
            variables.push((name.clone(), value));
        }
        variables
    }

    /// Returns the command that runs a program in it.
    pub(super) fn command(
        &self,
        settings: &config::Steps,
        proc: Proc,
        group: Option<&Group>,
        program: &[String],
    ) -> Result<Command, Fault> {
        let bwrap = sandbox::program().ok_or_else(|| Fault::new(MISSING))?;
        let mut words = Words::new(bwrap);
        words.system(settings, proc, self.network);
        // What is read of the system never leads to the gateway's own data.
        if SYSTEM.iter().any(|folder| self.data.starts_with(folder)) {
            words.add(["--tmpfs"]).path(&self.data);
        }
        words.bind("--ro-bind", &self.code, "/code");
        let files = self.layout.files_store(self.content.files);
        words.bind("--bind", &files, "/files");
        words.bind("--bind", &self.layout.tmp(), "/tmp");
        let told = self.layout.content(self.content.number);
        words.bind("--ro-bind-try", &told, "/settings");
        for (name, place) in &self.facts {
            match name.as_str() {
                "FUNICULAR_DATABASE_DIR" => words.bind("--bind", Path::new(place), DATABASE),
                "FUNICULAR_DATABASE_SOCKET" => {
                    words.add(["--ro-bind-try", place.as_str(), place.as_str()]);
                }
                _other => {}
            }
        }
        words
            .add(["--remount-ro", "/", "--chdir"])
            .path(&self.directory);
        words.program(settings, program.iter().map(OsString::from));
        Ok(words.command(group))
    }
}

/// No variable can hold a zero byte, and all of them must fit beside the arguments (execve(2)).
fn note(text: &str) -> String {
    text.chars()
        .filter(|character| *character != '\0')
        .take(LONGEST_NOTE)
        .collect()
}

/// In characters.
const LONGEST_NOTE: usize = 4096;

/// Why there is no sandbox, and what to do.
const MISSING: &str = "bubblewrap is not installed on this server";

/// Tries a sandbox out, and how `/proc` can be had in it.
pub(super) fn try_out(settings: &config::Steps) -> Result<Proc, String> {
    let refusal = |why: &str, hint: &str| {
        format!(
            "This server cannot run steps: {why}. Nothing was run, and nothing was changed. \
             Take them out of {}, or ask the server's administrator: {hint}",
            super::NAME
        )
    };
    let Some(bwrap) = sandbox::program() else {
        return Err(refusal(
            MISSING,
            "apt-get install bubblewrap (other systems: the package with bwrap).",
        ));
    };
    let mut said = String::new();
    for proc in [Proc::Own, Proc::None] {
        let mut words = Words::new(bwrap.clone());
        words.system(settings, proc, false);
        words.add(["--remount-ro", "/", "--chdir", "/"]);
        words.program(settings, [OsString::from("true")]);
        match words.command(None).env("PATH", PATH).output() {
            Ok(output) if output.status.success() => return Ok(proc),
            Ok(output) => said = policy::escape(output.stderr.trim_ascii()),
            Err(error) => said = error.to_string(),
        }
    }
    tracing::warn!("no sandbox for steps: {said}");
    Err(refusal(
        "it lets no sandbox be made",
        "docs/steps.md says what bubblewrap needs (user namespaces); the gateway's log has its own words.",
    ))
}

/// The words of a command of bubblewrap's.
struct Words(Vec<OsString>);

impl Words {
    fn new(bwrap: PathBuf) -> Self {
        Self(vec![bwrap.into()])
    }

    fn add<const N: usize>(&mut self, words: [&str; N]) -> &mut Self {
        self.0.extend(words.map(OsString::from));
        self
    }

    fn path(&mut self, path: &Path) -> &mut Self {
        self.0.push(path.into());
        self
    }

    fn bind(&mut self, how: &str, from: &Path, to: &str) {
        self.add([how]).path(from).add([to]);
    }

    /// What all sandboxes have.
    fn system(&mut self, settings: &config::Steps, proc: Proc, network: bool) {
        let account = ACCOUNT.to_string();
        self.add([
            "--unshare-user",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup-try",
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
        ]);
        self.add(["--uid", &account, "--gid", &account]);
        if !network {
            self.add(["--unshare-net"]);
        }
        for folder in SYSTEM {
            match fs::read_link(folder) {
                Ok(target) => {
                    self.add(["--symlink"]).path(&target).add([folder]);
                }
                Err(_) if Path::new(folder).is_dir() => {
                    self.bind("--ro-bind", Path::new(folder), folder);
                }
                Err(_) => {}
            }
        }
        for name in SETTINGS {
            let path = format!("/etc/{name}");
            self.bind("--ro-bind-try", Path::new(&path), &path);
        }
        for version in fs::read_dir("/etc/php").into_iter().flatten().flatten() {
            for part in PHP {
                let path = version.path().join(part);
                self.add(["--ro-bind-try"]).path(&path).path(&path);
            }
        }
        for path in &settings.readable {
            self.add(["--ro-bind-try"]).path(path).path(path);
        }
        if proc == Proc::Own {
            // Whoever is root outside could otherwise turn the kernel's knobs there.
            self.add(["--proc", "/proc", "--remount-ro", "/proc"]);
        }
        let shared = SHARED.to_string();
        self.add(["--dev", "/dev", "--remount-ro", "/dev"]);
        self.add(["--size", &shared, "--perms", "1777", "--tmpfs", "/dev/shm"]);
        self.add(["--dir", "/var", "--symlink", "/tmp", "/var/tmp"]);
    }

    /// The program, behind the limits that each of its processes has.
    fn program(&mut self, settings: &config::Steps, program: impl IntoIterator<Item = OsString>) {
        self.add(["--", "nice", "-n", "10", "prlimit", "--core=0"]);
        self.add([&format!("--nproc={}", settings.max_processes)]);
        self.add([&format!("--data={}", settings.max_memory_bytes)]);
        self.add(["--"]);
        self.0.extend(program);
    }

    fn command(self, group: Option<&Group>) -> Command {
        Sandboxed {
            parent: std::process::id(),
            group: group.map(|group| group.folder().to_path_buf()),
            program: self.0,
        }
        .command()
    }
}
