//! A visitor who does not wait: reads the settings, opens a new connection, counts tables and compares
//! what belongs together, over and over; and a site that writes meanwhile.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use support::process::{self, Process};
use support::wait_for;

use crate::content_scene::Scene;

/// A program that prints a line for each time that it has done something.
pub(crate) struct Looping {
    process: Process,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Looping {
    /// Reads what an environment shows.
    pub(crate) fn reader(scene: &Scene, environment: &str) -> Self {
        let settings = scene.settings_file(environment).with_extension("php");
        let mut arguments = vec![settings.display().to_string()];
        arguments.extend(scene.queries());
        Self::start("content-reader.php", &arguments)
    }

    /// Writes into an environment, so many times a second.
    pub(crate) fn writer(scene: &Scene, environment: &str, pace: usize) -> Self {
        let settings = scene.settings_file(environment).display().to_string();
        Self::start("content-writer.php", &[settings, pace.to_string()])
    }

    fn start(script: &str, arguments: &[String]) -> Self {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/scripts");
        let mut command = process::command("php");
        command
            .arg(scripts.join(script))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = Process::start(command).expect("php is there (tests/install-clients.sh)");
        let stdout = process.child().stdout.take().expect("stdout is a pipe");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let looping = Self { process, lines };
        looping.goes_on(3);
        looping
    }

    /// How often it has done it.
    pub(crate) fn times(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    /// Waits until it has done it so many more times.
    pub(crate) fn goes_on(&self, times: usize) {
        let wanted = self.times() + times;
        wait_for("a program in a loop", Duration::from_secs(120), || {
            (self.times() >= wanted).then_some(())
        });
    }

    /// The lines from one time on.
    pub(crate) fn since(&self, time: usize) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.get(time..).unwrap_or_default().to_vec()
    }

    /// Ends it; returns what it has printed, and how often.
    pub(crate) fn end(mut self) -> BTreeMap<String, usize> {
        // One whole pass that began after what is looked at.
        self.goes_on(2);
        self.process.signal(Signal::SIGKILL);
        let _ = self.process.wait(Duration::from_secs(30));
        let mut seen = BTreeMap::new();
        for line in self.lines.lock().unwrap().drain(..) {
            *seen.entry(line).or_insert(0) += 1;
        }
        seen
    }
}
