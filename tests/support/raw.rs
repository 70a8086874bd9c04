//! A conversation in bare SFTP packets over a real `ssh -s sftp`, for what no client would say.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::packets::{self, Reply, Request};
use crate::personas::Person;
use crate::process::Process;
use crate::site::Site;

/// An open SFTP channel.
pub struct Raw {
    pub process: Process,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    replies: Option<Receiver<Reply>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    next_id: u32,
}

impl Raw {
    /// Opens the channel and exchanges versions.
    #[track_caller]
    pub fn open(site: &Site, person: &Person, environment: &str) -> Self {
        let mut raw = Self::connect(site, person, environment);
        raw.send(&Request::init(3));
        let version = raw.receive();
        assert_eq!(
            (version.kind, version.id),
            (packets::VERSION, 3),
            "the answer to INIT"
        );
        raw
    }

    /// Opens the channel and says nothing.
    pub fn connect(site: &Site, person: &Person, environment: &str) -> Self {
        let mut process = person
            .openssh("ssh")
            .args(["-T", "-s"])
            .arg(site.destination(environment))
            .arg("sftp")
            .start_piped();
        let child = process.child();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stderr = gather(child.stderr.take().expect("stderr is a pipe"));
        Self {
            process,
            stdin,
            stdout,
            replies: None,
            stderr,
            next_id: 100,
        }
    }

    pub fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    pub fn send(&mut self, request: &Request) {
        self.send_bytes(&request.bytes());
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes)
            .expect("ssh takes what it is given");
    }

    /// As `send_bytes`, for a channel that may be closed already.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes)?;
        stdin.flush()
    }

    /// Gives away the pen: to write from another thread, or to write for ever.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is open")
    }

    /// Says that nothing more will be sent.
    pub fn end(&mut self) {
        self.stdin = None;
    }

    /// Returns the next packet.
    #[track_caller]
    pub fn receive(&mut self) -> Reply {
        match self.try_receive(PATIENCE) {
            Ok(reply) => reply,
            Err(RecvTimeoutError::Timeout) => {
                panic!("no answer in {PATIENCE:?}; stderr: {}", self.stderr())
            }
            Err(RecvTimeoutError::Disconnected) => {
                panic!("the channel ended; stderr: {}", self.stderr())
            }
        }
    }

    pub fn try_receive(&mut self, limit: Duration) -> Result<Reply, RecvTimeoutError> {
        if self.replies.is_none() {
            self.replies = Some(read_packets(self.stdout.take().expect("stdout is open")));
        }
        self.replies
            .as_ref()
            .expect("set just now")
            .recv_timeout(limit)
    }

    /// Sends one request and returns its answer, which must come under the request's id.
    #[track_caller]
    pub fn ask(&mut self, request: impl FnOnce(u32) -> Request) -> Reply {
        let id = self.id();
        self.send(&request(id));
        let reply = self.receive();
        assert_eq!(reply.id, id, "the answer came under another id: {reply:?}");
        reply
    }

    /// Receives the answers to `ids`, in whichever order they come.
    #[track_caller]
    pub fn answers(&mut self, ids: impl IntoIterator<Item = u32>) -> HashMap<u32, Reply> {
        let wanted: Vec<u32> = ids.into_iter().collect();
        let mut answers = HashMap::new();
        while answers.len() < wanted.len() {
            let reply = self.receive();
            assert!(
                wanted.contains(&reply.id),
                "an answer to nothing we asked: {reply:?}"
            );
            assert!(
                answers.insert(reply.id, reply).is_none(),
                "two answers to one request"
            );
        }
        answers
    }

    /// Requires that the server ends the channel.
    #[track_caller]
    pub fn must_end(&mut self) {
        loop {
            match self.try_receive(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the channel is still open"),
            }
        }
        self.stdin = None;
        let ended = self.process.wait(PATIENCE);
        assert!(
            ended.is_some(),
            "ssh has not ended: the channel is still open"
        );
    }

    /// What has come on the channel's stderr so far.
    pub fn stderr(&self) -> String {
        let stderr = self
            .stderr
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        String::from_utf8_lossy(&stderr).into_owned()
    }

    #[track_caller]
    pub fn open_file(&mut self, path: impl AsRef<[u8]>, flags: u32) -> Vec<u8> {
        self.ask(|id| Request::open(id, path, flags)).handle()
    }

    /// Reads a whole file, as a check that the session still serves.
    #[track_caller]
    pub fn read_file(&mut self, path: impl AsRef<[u8]>) -> Vec<u8> {
        let handle = self.open_file(path, packets::FLAG_READ);
        let mut content = Vec::new();
        loop {
            let offset = content.len() as u64;
            let reply = self.ask(|id| Request::read(id, &handle, offset, 32768));
            if reply.kind != packets::DATA {
                reply.must_be(packets::EOF);
                break;
            }
            content.extend_from_slice(&reply.data());
        }
        self.ask(|id| Request::of(packets::CLOSE, id, &handle))
            .must_be(packets::OK);
        content
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

fn read_packets(mut stdout: ChildStdout) -> Receiver<Reply> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        loop {
            let mut length = [0; 4];
            if stdout.read_exact(&mut length).is_err() {
                break;
            }
            let length = u32::from_be_bytes(length) as usize;
            assert!(
                length <= 16 << 20,
                "a packet of {length} bytes: the server is out of step"
            );
            let mut packet = vec![0; length];
            if stdout.read_exact(&mut packet).is_err() {
                break;
            }
            let Some(reply) = Reply::parse(&packet) else {
                break;
            };
            if tell.send(reply).is_err() {
                break;
            }
        }
    });
    told
}

fn gather(mut stderr: ChildStderr) -> Arc<Mutex<Vec<u8>>> {
    let gathered = Arc::new(Mutex::new(Vec::new()));
    let into = gathered.clone();
    std::thread::spawn(move || {
        let mut some = [0; 1024];
        while let Ok(length @ 1..) = stderr.read(&mut some) {
            into.lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .extend(&some[..length]);
        }
    });
    gathered
}
