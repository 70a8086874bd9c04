//! What the fuzzers in `fuzz/` drive: a whole session on a tree full of traps. Nothing that a client
//! sends may make it panic, answer out of step, or reach what lies outside the environment.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "a fuzzer tells what it found by a panic"
)]

mod requests;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::Oid;
use nix::sys::stat::Mode;
use nix::sys::statvfs::statvfs;
use nix::unistd::mkfifo;
use policy::{Environment, Role, SitePath};

use requests::{normal, path, requests};

use super::wire::Fields;
use super::{Output, Session};
use crate::audit::Audit;
use crate::gate::{Gate, Identity};
use crate::site::tree::Tree;
use crate::state::{NewSite, State};

/// A site on which somebody may do anything, and what lies beside it, which nobody may reach.
#[derive(Debug)]
pub struct Ground {
    folder: PathBuf,
    gate: Arc<Gate>,
    state: Arc<State>,
    audit: Arc<Audit>,
    /// Masked, since the fuzzer looks at what is compared and would bring it along.
    secret: Vec<u8>,
}

/// What the client has got.
#[derive(Debug, Default)]
struct Screen {
    bytes: Vec<u8>,
    full: bool,
}

impl Output for Screen {
    fn reply(&mut self, packets: Vec<u8>) {
        self.bytes.extend_from_slice(&packets);
    }

    fn say(&mut self, line: &str) {
        assert!(
            !line.chars().any(char::is_control),
            "a line that plays with the terminal: {line:?}"
        );
    }

    fn is_full(&self) -> bool {
        self.full
    }
}

impl Ground {
    /// Makes the site in an empty folder.
    pub fn new(folder: &Path) -> Self {
        let state_file = folder.join("state.db");
        State::create(&state_file).expect("the state is made");
        let state = Arc::new(State::open(&state_file).expect("the state opens"));
        people(&state);
        let audit_file = folder.join("audit.db");
        Audit::create(&audit_file).expect("the audit is made");
        let audit = Arc::new(Audit::open(&audit_file).expect("the audit opens"));
        let gate = Gate::new(
            Arc::clone(&state),
            Arc::clone(&audit),
            "127.0.0.1:22".into(),
        );
        // Another in each process, so that no input of the corpus has it.
        let secret = format!("secret-{:?}", std::time::Instant::now()).into_bytes();
        let ground = Self {
            folder: folder.to_owned(),
            gate: Arc::new(gate),
            state,
            audit,
            secret: secret.iter().map(|byte| byte ^ MASK).collect(),
        };
        let outside = folder.join("outside");
        fs::create_dir_all(outside.join("folder")).expect("a folder is made");
        fs::write(outside.join("file"), &secret).expect("a file is written");
        fs::write(outside.join("folder/file"), &secret).expect("a file is written");
        ground
    }

    /// Bytes of a channel after INIT, as they are. The first says how they are cut, and whether the
    /// client reads.
    pub fn bytes(&self, input: &[u8]) {
        let Some((how, bytes)) = input.split_first() else {
            return;
        };
        self.plant();
        let (mut session, mut screen) = self.session();
        screen.full = how & 0x80 != 0;
        for piece in bytes.chunks(usize::from(how & 0x7f).max(1) * 7) {
            if session.receive(piece, &mut screen).is_err() {
                break;
            }
        }
        screen.full = false;
        let _ = session.proceed(&mut screen);
        session.close();
        self.check(&screen.bytes);
    }

    /// A sequence of operations on paths: an operation, and for each of its two paths a length and
    /// bytes.
    pub fn paths(&self, mut input: &[u8]) {
        self.plant();
        let (mut session, mut screen) = self.session();
        let mut id = 0;
        let mut handle = Vec::new();
        for _ in 0..MOST_OPERATIONS {
            let Some((operation, rest)) = input.split_first() else {
                break;
            };
            input = rest;
            let (one, two) = (path(operation >> 6, &mut input), path(0, &mut input));
            normal(&one);
            for request in requests(*operation & 0x3f, &mut id, &one, &two, &handle) {
                let from = screen.bytes.len();
                session
                    .receive(&request, &mut screen)
                    .expect("a whole request never ends the channel");
                let answer = screen.bytes.get(from..).unwrap_or_default();
                let answers = packets(answer);
                assert_eq!(answers.len(), 1, "one request, one answer");
                if let Some((HANDLE, answered)) = answers.first().copied() {
                    let mut fields = Fields::of(answered);
                    let _id = fields.u32();
                    handle = fields.string().expect("a handle").to_vec();
                }
            }
        }
        session.close();
        self.check(&screen.bytes);
    }

    /// Ends the audit's writer.
    pub fn close(self) {
        let _ = self.audit.close();
    }

    fn session(&self) -> (Session, Screen) {
        let who = Identity {
            person: "alice".parse().expect("a name"),
            fingerprint: None,
            certificate: None,
            address: "192.0.2.1".to_owned(),
            client: "fuzzer".to_owned(),
        };
        let tree = Tree::open(&self.folder.join("environment")).expect("the tree opens");
        let disk = statvfs(&self.folder).expect("the disk tells its room");
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        let tree = tree.leaving_free(free.saturating_sub(COPIED));
        let mut session = Session::new(
            Arc::clone(&self.gate),
            Arc::clone(&self.state),
            who,
            "acme".parse().expect("a name"),
            Environment::Dev,
            tree,
        );
        let mut screen = Screen::default();
        session
            .receive(&[0, 0, 0, 5, 1, 0, 0, 0, 3], &mut screen)
            .expect("INIT is taken");
        screen.bytes.clear();
        (session, screen)
    }

    /// Makes the environment anew, with everything in it that could lead out.
    fn plant(&self) {
        let environment = self.folder.join("environment");
        if environment.exists() {
            open_up(&environment);
            fs::remove_dir_all(&environment).expect("the environment is removed");
        }
        let code = environment.join("generations/1/code");
        for folder in ["stores/files-1/files", "logs", "tmp", "backups", "uploads"] {
            fs::create_dir_all(environment.join(folder)).expect("a folder is made");
        }
        symlink("stores/files-1/files", environment.join("files")).expect("a link is made");
        fs::create_dir_all(&code).expect("a folder is made");
        let outside = self.folder.join("outside");
        let outside = outside.to_str().expect("a temporary folder's name");
        for area in [environment.join("files"), code] {
            fs::create_dir_all(area.join("d/e")).expect("a folder is made");
            fs::write(area.join("f"), "file").expect("a file is written");
            fs::write(area.join("d/e/f"), "file").expect("a file is written");
            mkfifo(&area.join("p"), Mode::from_bits_truncate(0o600)).expect("a pipe is made");
            for (name, target) in [
                ("o", outside),
                ("u", "../../outside"),
                ("v", "../../../../outside"),
                ("c", "../generations/1/code"),
                ("g", "../../../files"),
                ("l", "l"),
                ("i", "d"),
                ("r", "/proc/self/root"),
                ("x", "/proc/self/fd"),
                ("w", "."),
                ("d/b", ".."),
                ("d/z", "../.."),
            ] {
                symlink(target, area.join(name)).expect("a link is made");
            }
        }
    }

    fn is_secret(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.secret.len()
            && bytes
                .iter()
                .zip(&self.secret)
                .all(|(byte, masked)| byte ^ MASK == *masked)
    }

    /// Panics unless the answers are packets, and what lies outside is as it was and unseen.
    fn check(&self, answers: &[u8]) {
        packets(answers);
        let seen = answers
            .windows(self.secret.len())
            .any(|window| self.is_secret(window));
        assert!(!seen, "what lies outside was read");
        let outside = self.folder.join("outside");
        for (folder, expected) in [("", &["file", "folder"][..]), ("folder", &["file"])] {
            let mut names: Vec<String> = fs::read_dir(outside.join(folder))
                .expect("the folder outside is there")
                .map(|entry| entry.expect("an entry").file_name().display().to_string())
                .collect();
            names.sort();
            assert_eq!(names, expected, "what lies outside was changed");
            let file = outside.join(folder).join("file");
            let content = fs::read(&file).expect("the file outside is there");
            assert!(self.is_secret(&content), "the file outside was written");
            let mode = fs::metadata(&file).expect("its mode").permissions().mode();
            assert_eq!(mode & 0o022, 0, "the file outside was opened to all");
        }
    }
}

/// Cuts answers into their kinds and bodies.
fn packets(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let mut fields = Fields::of(bytes);
        let packet = fields.string().expect("answers are whole packets");
        let (kind, body) = packet.split_first().expect("a packet has a kind");
        assert!(
            packet.len() <= 256 << 10,
            "an answer that is longer than clients take"
        );
        found.push((*kind, body));
        bytes = bytes.get(4 + packet.len()..).unwrap_or_default();
    }
    found
}

/// Lets folders be removed whose rights were taken.
fn open_up(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

fn people(state: &State) {
    let person: policy::PersonName = "alice".parse().expect("a name");
    state.put_person(&person, None, None).expect("a person");
    let site: policy::SiteName = "acme".parse().expect("a name");
    let new = NewSite {
        name: site.clone(),
        trunk: "main".to_owned(),
        files_path: Some(SitePath::normalize(b"wp/up").expect("a path")),
        commit: Oid::ZERO_SHA1,
        generation: 1,
        person: person.clone(),
    };
    state.add_site(&new).expect("a site");
    state
        .put_member(&site, &person, Role::TeamMember)
        .expect("a member");
}

/// What copies on the server may fill of the memory that the fuzzer's folder lies in, in bytes.
const COPIED: u64 = 32 << 20;
const MASK: u8 = 0x5a;
const HANDLE: u8 = 102;
const MOST_OPERATIONS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::fuzzed::corpus;

    #[test]
    fn what_the_fuzzer_knows_of_bytes_holds() {
        let folder = tempfile::TempDir::new().unwrap();
        let ground = Ground::new(folder.path());
        for (_, input) in corpus("sftp_bytes") {
            ground.bytes(&input);
        }
    }

    #[test]
    fn what_the_fuzzer_knows_of_paths_holds() {
        let folder = tempfile::TempDir::new().unwrap();
        let ground = Ground::new(folder.path());
        for (_, input) in corpus("sftp_paths") {
            ground.paths(&input);
        }
    }
}
