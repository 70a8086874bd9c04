//! What a client shows while it runs.

use std::fs;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clients::Client;
use crate::process::Process;
use crate::wait_for;

/// A client that runs, and all that it has shown so far, on both streams together.
pub struct Screen {
    pub process: Process,
    shown: Arc<Mutex<Vec<u8>>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

/// So long a client has to show or do something on a busy machine.
const LONG: Duration = Duration::from_secs(90);

impl Screen {
    /// Starts a client whose input stays open.
    pub fn start(client: Client) -> Self {
        let mut process = client.start_piped();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let child = process.child();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers = vec![read(out, &shown), read(err, &shown)];
        Self {
            process,
            shown,
            readers,
        }
    }

    /// Starts a client whose input has ended, as with `</dev/null`.
    pub fn start_without_input(client: Client) -> Self {
        let mut screen = Self::start(client);
        drop(screen.process.child().stdin.take());
        screen
    }

    /// Types something.
    pub fn types(&mut self, keys: &[u8]) {
        let stdin = self.process.child().stdin.as_mut().expect("it is open");
        stdin.write_all(keys).unwrap();
        stdin.flush().unwrap();
    }

    /// Returns all that it has shown.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits until it shows `text`.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        let deadline = std::time::Instant::now() + LONG;
        while !self.text().contains(text) {
            assert!(
                std::time::Instant::now() < deadline,
                "it never showed {text:?}: {}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for its end; returns its exit code and all that it has shown.
    #[track_caller]
    pub fn ends(mut self) -> (Option<i32>, String) {
        let status = self.process.wait(LONG);
        let status = status.unwrap_or_else(|| panic!("it did not end: {}", self.text()));
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        (status.code(), self.text())
    }

    /// Waits for the end of the client itself, by whatever; what it has started may still run.
    #[track_caller]
    pub fn died(mut self) {
        let status = self.process.wait(LONG);
        let status = status.unwrap_or_else(|| panic!("it did not end: {}", self.text()));
        assert!(!status.success(), "it ended well: {}", self.text());
    }

    /// Returns the process of this name that it has started, directly or not; waits for it.
    #[track_caller]
    pub fn started(&self, name: &str) -> Pid {
        let id = i32::try_from(self.process.id()).unwrap();
        let found = wait_for(name, LONG, || {
            descendants(id).into_iter().find(|id| {
                let comm = fs::read_to_string(format!("/proc/{id}/comm"));
                comm.is_ok_and(|comm| comm.trim() == name)
            })
        });
        Pid::from_raw(found)
    }

    /// Sends a signal to a process that it has started.
    pub fn signal(&self, id: Pid, signal: Signal) {
        kill(id, signal).unwrap();
    }
}

fn read(
    mut from: impl Read + Send + 'static,
    into: &Arc<Mutex<Vec<u8>>>,
) -> std::thread::JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            into.lock().unwrap().extend_from_slice(&piece[..length]);
        }
    })
}

fn descendants(id: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let children: Vec<i32> = children
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|id| id.parse().ok())
        .collect();
    let mut all = children.clone();
    all.extend(children.into_iter().flat_map(descendants));
    all
}
