//! A small HTTP server that hears what webhooks say, and answers well or badly.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::wait_for;

/// How the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// With this status line and these headers and body.
    Says(String),
    /// Not at all, and keeps the connection.
    Hangs,
    /// Not at all, and closes the connection.
    Drops,
}

impl Manner {
    pub fn status(status: &str) -> Self {
        Self::Says(format!(
            "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ))
    }
}

/// One request that was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    pub line: String,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Heard {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

struct Shared {
    manner: Mutex<Manner>,
    heard: Mutex<Vec<Heard>>,
    held: Mutex<Vec<TcpStream>>,
    over: AtomicBool,
}

/// The server; it ends, and its port refuses, when this is dropped.
pub struct Hearer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl Hearer {
    /// Starts one on a free port, which answers 200.
    pub fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts one at an address, that of one that has ended say.
    pub fn at(address: SocketAddr) -> Self {
        let listener = wait_for("the port", Duration::from_secs(20), || {
            TcpListener::bind(address).ok()
        });
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            manner: Mutex::new(Manner::status("200 OK")),
            heard: Mutex::default(),
            held: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let listening = {
            let shared = shared.clone();
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if shared.over.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = shared.clone();
                    thread::spawn(move || serve(&shared, stream));
                }
            })
        };
        Self {
            address,
            shared,
            listening: Some(listening),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn answers(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// Returns all that was heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// Waits until `count` requests were heard, and returns them.
    #[track_caller]
    pub fn hears(&self, count: usize) -> Vec<Heard> {
        wait_for(
            &format!("{count} requests"),
            Duration::from_secs(60),
            || Some(self.heard()).filter(|heard| heard.len() >= count),
        )
    }
}

impl Drop for Hearer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // What waits for a connection wakes up with one.
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) {
    let Some(heard) = read(&stream) else {
        return;
    };
    let manner = shared.manner.lock().unwrap().clone();
    shared.heard.lock().unwrap().push(heard);
    match manner {
        Manner::Says(answer) => {
            let _ = stream.write_all(answer.as_bytes());
        }
        Manner::Hangs => shared.held.lock().unwrap().push(stream),
        Manner::Drops => {}
    }
}

fn read(stream: &TcpStream) -> Option<Heard> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Heard {
        line: line.trim_end().to_owned(),
        headers,
        body: String::from_utf8(body).ok()?,
    })
}
