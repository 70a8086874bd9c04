//! Starts the built daemon on a free port in a temporary folder, and stops it on drop.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::clients::{Client, Finished};
use crate::openssh;
use crate::personas::{Person, Role};
use crate::process::{self, Process};
use crate::programs;
use crate::site::Site;
use crate::tree::Tree;

/// A running gateway with people on it.
pub struct Gateway {
    // Before the folder, so that nothing writes into it while it is removed.
    daemon: Mutex<Option<Process>>,
    pub(crate) folder: tempfile::TempDir,
    address: Mutex<SocketAddr>,
    people: Vec<Person>,
}

/// One change of the configuration: section, key, value as TOML writes it.
pub type Setting<'a> = (&'a str, &'a str, &'a str);

impl Gateway {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a gateway whose configuration has `settings` changed.
    pub fn start_with(settings: &[Setting]) -> Self {
        Self::start_on(settings, |_data| {})
    }

    /// As `start_with`; `prepare` may make the data folder first, on another file system say.
    pub fn start_on(settings: &[Setting], prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("funicular-")
            .tempdir_in(openssh::top())
            .unwrap();
        let people = Role::ALL
            .iter()
            .map(|role| Person::new(&folder.path().join("people"), role.person()))
            .collect();
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let gateway = Self {
            daemon: Mutex::new(None),
            folder,
            address: Mutex::new(address),
            people,
        };
        gateway.make_sample();
        if openssh::stands_in() {
            gateway
                .people
                .iter()
                .for_each(|person| person.meet(address, ""));
            return gateway;
        }
        prepare(&gateway.data());
        gateway.init();
        // Tests fail to log in on purpose, many at once, and all come from the same machine.
        let all_of_us = "[\"127.0.0.0/8\", \"::1\"]";
        change_setting(&gateway.config(), "penalties", "exempt", all_of_us);
        for (section, key, value) in settings {
            change_setting(&gateway.config(), section, key, value);
        }
        gateway.serve();
        gateway.add_people();
        gateway
    }

    /// Starts the daemon, again if it has ended, and waits until it is ready.
    pub fn serve(&self) {
        self.serve_with(&[]);
    }

    /// As `serve`, with variables in the daemon's environment.
    pub fn serve_with(&self, variables: &[(&str, &str)]) {
        self.serve_through(&[], variables);
    }

    /// As `serve_with`; the daemon is started by `starter`, which becomes what its arguments name.
    pub fn serve_through(&self, starter: &[&Path], variables: &[(&str, &str)]) {
        if let Err(ended) = self.try_through(starter, variables) {
            panic!("{ended}:\n{}", self.log_tail());
        }
    }

    /// As `serve_with`, where the daemon may end before it is ready; the error says so.
    pub fn try_to_serve(&self, variables: &[(&str, &str)]) -> Result<(), String> {
        self.try_through(&[], variables)
    }

    fn try_through(&self, starter: &[&Path], variables: &[(&str, &str)]) -> Result<(), String> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let words = starter.iter().copied().chain([programs::funicular()]);
        let words: Vec<&Path> = words.collect();
        let mut command = process::command(words[0]);
        command
            .args(&words[1..])
            .arg("serve")
            .arg("--config")
            .arg(self.config());
        command
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut daemon = Process::start(command).expect("the daemon starts");
        let stdout = daemon.child().stdout.take().expect("stdout is a pipe");
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        let ready = told
            .recv_timeout(READY)
            .map_err(|why| format!("the daemon was not ready in {READY:?}: {why}"))?;
        let address = ready
            .strip_prefix("Funicular is ready: ssh ")
            .and_then(|address| address.split_whitespace().next())
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("not the line that says it is ready: {ready:?}"));
        *self.daemon.lock().unwrap() = Some(daemon);
        *self.address.lock().unwrap() = address;
        let known_hosts = self.known_hosts();
        self.people
            .iter()
            .for_each(|person| person.meet(address, &known_hosts));
        Ok(())
    }

    /// Ends the daemon with `signal` and returns its exit code (`None` when the signal ended it).
    pub fn stop(&self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.ended().code()
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: Signal) {
        let daemon = self.daemon.lock().unwrap();
        daemon.as_ref().expect("the daemon runs").signal(signal);
    }

    /// Waits for the daemon's end; `None` when `limit` has passed first, and it runs on.
    pub fn ended_within(&self, limit: Duration) -> Option<ExitStatus> {
        let mut place = self.daemon.lock().unwrap();
        let status = place.as_mut().expect("the daemon runs").wait(limit)?;
        *place = None;
        Some(status)
    }

    /// Waits until the daemon has ended.
    pub fn ended(&self) -> ExitStatus {
        let daemon = self.daemon.lock().unwrap().take();
        let status = daemon
            .expect("the daemon runs")
            .wait(Duration::from_secs(30));
        status.expect("the daemon ends within 30 s")
    }

    pub fn process_id(&self) -> u32 {
        let daemon = self.daemon.lock().unwrap();
        daemon.as_ref().expect("the daemon runs").id()
    }

    pub fn address(&self) -> SocketAddr {
        *self.address.lock().unwrap()
    }

    pub fn person(&self, role: Role) -> &Person {
        self.people
            .iter()
            .find(|person| person.name == role.person())
            .expect("each role has a person")
    }

    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Prepares a command of the command line, on the server itself.
    pub fn command(&self, words: &[&str]) -> Client {
        Client::new(programs::funicular())
            .arg("--config")
            .arg(self.config())
            .args(words)
    }

    /// Runs a command on the server itself, which must succeed.
    #[track_caller]
    pub fn must(&self, words: &[&str]) -> Finished {
        self.command(words).run().ok()
    }

    /// Makes the site `name` from the sample with its whole team; Dev is in SFTP mode.
    pub fn site(self: &Arc<Self>, name: &str) -> Site {
        Site::create(self, name, &[])
    }

    /// As `site`, with further options of `site:create`.
    pub fn site_with(self: &Arc<Self>, name: &str, options: &[&str]) -> Site {
        Site::create(self, name, options)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn config(&self) -> PathBuf {
        self.data().join("funicular.toml")
    }

    /// The git repository that sites of the tests start from.
    pub fn sample(&self) -> PathBuf {
        self.folder.path().join("sample")
    }

    /// Returns the gateway's host keys as the lines of a known_hosts file for the name `gateway`.
    fn known_hosts(&self) -> String {
        let mut lines = String::new();
        for found in fs::read_dir(self.data().join("host_keys")).unwrap() {
            let path = found.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "pub") {
                lines += &format!("gateway {}\n", fs::read_to_string(path).unwrap().trim());
            }
        }
        assert!(
            !lines.is_empty(),
            "no host_keys/*.pub in {}",
            self.data().display()
        );
        lines
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("daemon.log")
    }

    /// Returns all that the daemon has logged, over all its starts.
    pub fn logged(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Returns the end of the daemon's log.
    pub fn log_tail(&self) -> String {
        let log = self.logged();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    fn init(&self) {
        let ada = self.person(Role::Administrator);
        Client::new(programs::funicular())
            .arg("init")
            .arg("--data")
            .arg(self.data())
            .args(["--admin", &ada.name, "--admin-key"])
            .arg(ada.public_key())
            .args(["--listen", "127.0.0.1:0"])
            .run()
            .ok();
    }

    fn add_people(&self) {
        for person in &self.people {
            if person.name != Role::Administrator.person() {
                let key = person.public_key();
                self.must(&[
                    "user:add",
                    &person.name,
                    "--email",
                    &format!("{}@example.org", person.name),
                ]);
                self.must(&[
                    "ssh-key:add",
                    &key.display().to_string(),
                    "--user",
                    &person.name,
                ]);
            }
        }
    }

    fn make_sample(&self) {
        sample_tree().write(self.sample());
        let ada = self.person(Role::Administrator);
        let git = |args: &[&str]| {
            ada.client("git")
                .folder(self.sample())
                .args(args)
                .run()
                .ok()
        };
        git(&["init", "--quiet"]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", "Start the site"]);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("-- the daemon's log ends so --\n{}", self.log_tail());
        }
        // Before the folder goes: what still runs would write into it while it is removed.
        drop(self.daemon.get_mut().map(Option::take));
    }
}

/// What the code of each new site holds.
pub fn sample_tree() -> Tree {
    Tree::default()
        .file("index.php", "<?php echo 'first';\n")
        .file("lib/menu.php", "<?php // the menu\n")
        .file("lib/footer.php", "<?php // the footer\n")
        .file("theme/style.css", "body { color: black }\n")
        .program("bin/tool", "#!/bin/sh\necho tool\n")
        .link("theme/current.css", "style.css")
}

/// Sets one key of the configuration that `init` wrote, whether it stands there commented out or not.
pub fn change_setting(config: &Path, section: &str, key: &str, value: &str) {
    let text = fs::read_to_string(config).unwrap();
    let header = format!("[{section}]");
    let mut lines: Vec<String> = Vec::new();
    let (mut inside, mut done) = (section.is_empty(), false);
    if section.is_empty() {
        lines.push(format!("{key} = {value}"));
        done = true;
    }
    for line in text.lines() {
        let bare = line.trim_start_matches(['#', ' ']).trim();
        if line.trim_start().starts_with('[') || (bare == header && !done) {
            inside = bare == header || (section.is_empty() && lines.len() == 1);
            if inside && !done {
                lines.push(header.clone());
                lines.push(format!("{key} = {value}"));
                done = true;
                continue;
            }
        }
        let sets_key = line
            .split('=')
            .next()
            .is_some_and(|name| name.trim() == key);
        if !(inside && sets_key) {
            lines.push(line.to_owned());
        }
    }
    if !done {
        lines.push(format!("\n{header}\n{key} = {value}"));
    }
    let mut file = File::create(config).unwrap();
    writeln!(file, "{}", lines.join("\n")).unwrap();
}

const READY: Duration = Duration::from_secs(30);
