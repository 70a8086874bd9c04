//! Drives a session with packets made by hand, on a tree in a temporary folder.

mod abuse;
mod audit;
mod bad_input;
mod checksums;
mod copies;
mod folders;
mod links;
mod operations;
mod packets;
mod policy;
mod resuming;
mod sessions;
mod uploads;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::policy::{ConnectionMode, Environment, PersonName, Role, SitePath};
use git2::Oid;
use jiff::Timestamp;
use tempfile::TempDir;

use super::{Output, Session};
use crate::audit::{Audit, Filter, Record};
use crate::gate::{Gate, Identity};
use crate::site::tree::{Parts, Tree};
use crate::state::{Intent, Key, Lease, NewSite, State, Workflow, WorkflowStatus};
use packets::*;

/// A site `acme` whose uploads are `/code/wp-content/uploads`, and somebody at work on it.
pub(super) struct Desk {
    folder: TempDir,
    pub(super) state: Arc<State>,
    gate: Arc<Gate>,
    audit: Arc<Audit>,
    pub(super) environment: Environment,
    pub(super) session: Session,
    pub(super) parts: Arc<Parts>,
    pub(super) screen: Screen,
    last_id: u32,
}

/// What the client has seen.
#[derive(Default)]
pub(super) struct Screen {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: Vec<String>,
    pub(super) full: bool,
    pub(super) replies: usize,
}

impl Output for Screen {
    fn reply(&mut self, packets: Vec<u8>) {
        self.replies += 1;
        self.bytes.extend_from_slice(&packets);
    }

    fn say(&mut self, line: &str) {
        self.lines.push(line.to_owned());
    }

    fn is_full(&self) -> bool {
        self.full
    }
}

impl Desk {
    /// Dev in SFTP mode, by a team member.
    pub(super) fn dev() -> Self {
        Self::new(Environment::Dev, Role::TeamMember)
    }

    /// Live, by a team member.
    pub(super) fn live() -> Self {
        Self::new(Environment::Live, Role::TeamMember)
    }

    pub(super) fn new(environment: Environment, role: Role) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("state.db");
        State::create(&path).unwrap();
        let state = Arc::new(State::open(&path).unwrap());
        let person: PersonName = "alice".parse().unwrap();
        for name in ["alice", "bob"] {
            let person: PersonName = name.parse().unwrap();
            state.put_person(&person, None, None).unwrap();
            state
                .add_key(&Key {
                    id: format!("k-{name}"),
                    person,
                    line: format!("ssh-ed25519 AAAA{name}"),
                    fingerprint: format!("SHA256:{name}"),
                    comment: String::new(),
                    created: Timestamp::now(),
                    expires: None,
                    sources: None,
                    limits: ::policy::Limits::default(),
                })
                .unwrap();
        }
        state
            .add_site(&NewSite {
                name: "acme".parse().unwrap(),
                trunk: "main".to_owned(),
                files_path: Some(SitePath::normalize(b"wp-content/uploads").unwrap()),
                commit: Oid::ZERO_SHA1,
                generation: 1,
                person: person.clone(),
            })
            .unwrap();
        for person in [&person, &"bob".parse().unwrap()] {
            let site = "acme".parse().unwrap();
            state.put_member(&site, person, role).unwrap();
        }
        let root = folder.path().join("environment");
        for area in "stores/files-1/files logs tmp backups uploads generations".split(' ') {
            fs::create_dir_all(root.join(area)).unwrap();
        }
        symlink("stores/files-1/files", root.join("files")).unwrap();
        let path = folder.path().join("audit.db");
        Audit::create(&path).unwrap();
        let audit = Arc::new(Audit::open(&path).unwrap());
        let gate = Arc::new(Gate::new(
            Arc::clone(&state),
            Arc::clone(&audit),
            "127.0.0.1:2222".to_owned(),
        ));
        release(&root, 1);
        if environment != Environment::Dev {
            settle(&state, &environment, Some(1), None);
        }
        let tree = Tree::open(&root).unwrap();
        let parts = tree.parts();
        let session = session(&gate, &state, &environment, tree, "alice");
        let mut desk = Self {
            folder,
            state,
            gate,
            audit,
            environment,
            session,
            parts,
            screen: Screen::default(),
            last_id: 0,
        };
        desk.begin();
        desk
    }

    /// Ends all and returns what is in the audit.
    pub(super) fn rows(self) -> Vec<Record> {
        self.session.close();
        self.audit.close().unwrap();
        let rows = self.audit.list(&Filter::default()).unwrap();
        rows.into_iter().map(|row| row.record).collect()
    }

    pub(super) fn begin(&mut self) {
        self.send(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).unwrap();
        assert!(matches!(
            self.replies().as_slice(),
            [(_, Reply::Version(_))]
        ));
    }

    /// The folder of the environment.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("environment")
    }

    /// A place in the area `code` on the disk.
    pub(super) fn code(&self, path: &str) -> PathBuf {
        self.root().join("generations/1/code").join(path)
    }

    /// A place elsewhere in the environment on the disk.
    pub(super) fn disk(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Makes another generation current.
    pub(super) fn deploy(&self, generation: u64) {
        release(&self.root(), generation);
        settle(&self.state, &self.environment, Some(generation), None);
    }

    pub(super) fn set_mode(&self, mode: ConnectionMode) {
        settle(&self.state, &self.environment, None, Some(mode));
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), super::Ended> {
        self.session.receive(bytes, &mut self.screen)
    }

    /// Returns the answers since the last look, each under its id.
    pub(super) fn replies(&mut self) -> Vec<(u32, Reply)> {
        let bytes = std::mem::take(&mut self.screen.bytes);
        read_replies(&bytes)
    }

    /// Sends one request and returns its answer.
    pub(super) fn ask(&mut self, kind: u8, fields: &[Field<'_>]) -> Reply {
        self.last_id += 1;
        let request = request(kind, self.last_id, fields);
        self.send(&request).unwrap();
        let mut replies = self.replies();
        assert_eq!(replies.len(), 1, "{replies:?}");
        let (id, reply) = replies.remove(0);
        assert_eq!(id, self.last_id);
        reply
    }

    /// Sends one request and returns the code of its status.
    pub(super) fn code_of(&mut self, kind: u8, fields: &[Field<'_>]) -> u32 {
        match self.ask(kind, fields) {
            Reply::Status(code, _) => code,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn extended(&mut self, name: &str, fields: Vec<Field<'_>>) -> Reply {
        let mut all = vec![Field::Text(name.as_bytes())];
        all.extend(fields);
        self.ask(200, &all)
    }

    pub(super) fn open(&mut self, path: &[u8], flags: u32) -> Reply {
        self.ask(3, &[Field::Text(path), Field::Short(flags), Field::Nothing])
    }

    pub(super) fn handle(&mut self, path: &[u8], flags: u32) -> Vec<u8> {
        match self.open(path, flags) {
            Reply::Handle(handle) => handle,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn write(&mut self, handle: &[u8], offset: u64, bytes: &[u8]) -> u32 {
        self.code_of(
            6,
            &[Field::Text(handle), Field::Long(offset), Field::Text(bytes)],
        )
    }

    pub(super) fn read(&mut self, handle: &[u8], offset: u64, length: u32) -> Reply {
        self.ask(
            5,
            &[
                Field::Text(handle),
                Field::Long(offset),
                Field::Short(length),
            ],
        )
    }

    pub(super) fn close(&mut self, handle: &[u8]) -> u32 {
        self.code_of(4, &[Field::Text(handle)])
    }

    /// Uploads a file as clients do.
    pub(super) fn put(&mut self, path: &[u8], content: &[u8]) -> u32 {
        match self.open(path, WRITE | CREATE | TRUNCATE) {
            Reply::Handle(handle) => {
                assert_eq!(self.write(&handle, 0, content), OK);
                self.close(&handle)
            }
            Reply::Status(code, _) => code,
            other => panic!("{other:?}"),
        }
    }

    /// Downloads a file as clients do.
    pub(super) fn get(&mut self, path: &[u8]) -> Vec<u8> {
        let handle = self.handle(path, READ);
        let mut content = Vec::new();
        loop {
            match self.read(&handle, content.len() as u64, 261_120) {
                Reply::Data(bytes) => content.extend_from_slice(&bytes),
                Reply::Status(EOF, _) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(self.close(&handle), OK);
        content
    }

    pub(super) fn stat(&mut self, path: &[u8]) -> Result<Seen, u32> {
        seen(self.ask(17, &[Field::Text(path)]))
    }

    pub(super) fn lstat(&mut self, path: &[u8]) -> Result<Seen, u32> {
        seen(self.ask(7, &[Field::Text(path)]))
    }

    /// Lists a directory, without `.` and `..`, sorted.
    pub(super) fn list(&mut self, path: &[u8]) -> Vec<(Vec<u8>, Seen)> {
        let Reply::Handle(handle) = self.ask(11, &[Field::Text(path)]) else {
            panic!("no listing of {}", String::from_utf8_lossy(path));
        };
        let mut all = Vec::new();
        loop {
            match self.ask(12, &[Field::Text(&handle)]) {
                Reply::Names(names) => all.extend(names),
                Reply::Status(EOF, _) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(self.close(&handle), OK);
        assert!(all.iter().any(|(name, _)| name == b"."));
        assert!(all.iter().any(|(name, _)| name == b".."));
        all.retain(|(name, _)| name != b"." && name != b"..");
        all.sort_by(|one, two| one.0.cmp(&two.0));
        all
    }

    pub(super) fn names(&mut self, path: &[u8]) -> Vec<String> {
        self.list(path)
            .into_iter()
            .map(|(name, _)| String::from_utf8_lossy(&name).into_owned())
            .collect()
    }
}

fn session(
    gate: &Arc<Gate>,
    state: &Arc<State>,
    environment: &Environment,
    tree: Tree,
    person: &str,
) -> Session {
    let who = Identity {
        person: person.parse().unwrap(),
        fingerprint: Some(format!("SHA256:{person}")),
        certificate: None,
        address: "192.0.2.1".to_owned(),
        client: "test".to_owned(),
    };
    Session::new(
        Arc::clone(gate),
        Arc::clone(state),
        who,
        "acme".parse().unwrap(),
        environment.clone(),
        tree,
    )
}

/// Makes a release on the disk.
fn release(root: &Path, generation: u64) {
    let generation_folder = root.join(format!("generations/{generation}"));
    let code = generation_folder.join("code");
    fs::create_dir_all(code.join("wp-content")).unwrap();
    fs::write(code.join("index.php"), format!("<?php // {generation}")).unwrap();
    symlink("../../files", code.join("wp-content/uploads")).unwrap();
    symlink("../../files", generation_folder.join("files")).unwrap();
}

/// Sets what an environment runs, or its mode, as a workflow does.
fn settle(
    state: &State,
    environment: &Environment,
    generation: Option<u64>,
    mode: Option<ConnectionMode>,
) {
    let workflow = Workflow {
        id: format!("w{}", state.epoch()),
        site: "acme".parse().unwrap(),
        environment: environment.clone(),
        kind: "test".to_owned(),
        person: "alice".parse().unwrap(),
        started: Timestamp::now(),
        finished: None,
        status: WorkflowStatus::Running,
        intent: Some(Intent {
            commit: generation.map(|_| Oid::ZERO_SHA1.to_string()),
            generation,
            mode,
            ..Intent::default()
        }),
        result: None,
        origin: String::new(),
        note: String::new(),
        steps: Vec::new(),
    };
    let lease = Lease {
        owner: "test".to_owned(),
        reason: String::new(),
    };
    state.begin_workflow(&workflow, &lease).unwrap();
    state.complete_workflow(&workflow, "").unwrap();
}
