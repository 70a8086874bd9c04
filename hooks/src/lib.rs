//! What the hook program and the gateway say to each other, over a private socket.
//!
//! One question, then lines of progress, then one answer. Each message is a line of JSON. Whatever
//! is not an answer (a closed socket, a broken line, silence) is a refusal.

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

/// The environment variable that holds the path of the gateway's socket.
pub const SOCKET_VARIABLE: &str = "FUNICULAR_HOOK_SOCKET";

/// The environment variable that holds the token of this push; the gateway answers no other.
pub const TOKEN_VARIABLE: &str = "FUNICULAR_HOOK_TOKEN";

/// The name under which the program stands in for `git pack-objects` (git-config(1),
/// `uploadpack.packObjectsHook`).
pub const PACK_OBJECTS: &str = "pack-objects";

/// The environment variable that holds the folder of kept packs of one site.
pub const PACK_FOLDER_VARIABLE: &str = "FUNICULAR_PACK_FOLDER";

/// The environment variable that holds the largest pack that may be kept now, in bytes.
pub const PACK_MOST_VARIABLE: &str = "FUNICULAR_PACK_MOST";

/// The longest line that either side reads, in bytes: room for tens of thousands of refs.
pub const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// What the hook program asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Question {
    /// The token of the push.
    pub token: String,
    /// Which hook git runs.
    pub hook: Hook,
    /// The refs that the push would change.
    pub updates: Vec<Update>,
    /// The push options (`git push -o`).
    pub options: Vec<String>,
    /// Where git keeps the pushed objects until the push is accepted (git-receive-pack(1),
    /// QUARANTINE ENVIRONMENT).
    pub quarantine: Option<String>,
}

/// The hooks that are served (githooks(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Decides, while the objects are in quarantine.
    PreReceive,
    /// Moves the refs, after the objects have left quarantine.
    ProcReceive,
}

/// One ref that a push would change. Object ids are hexadecimal, all zeros for "none".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// What the ref is.
    pub old: String,
    /// What it would become.
    pub new: String,
    /// Its full name.
    pub name: String,
}

/// What the gateway says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// A line for the person who pushes.
    Say(String),
    /// The answer to `pre-receive`.
    Verdict(bool),
    /// The answer to `proc-receive`.
    Results(Vec<RefResult>),
}

/// What became of one ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefResult {
    /// The ref as it was pushed.
    pub name: String,
    /// Why it was not changed; absent when it was.
    pub failure: Option<String>,
    /// The ref that was changed in its place, with its old and new object id.
    pub instead: Option<Update>,
}

/// Reads one line of JSON; `None` when the other side has gone.
///
/// # Errors
/// For a line that is too long, cut off, or not the expected message.
pub fn read_line<T: for<'a> Deserialize<'a>>(reader: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    reader.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a message was cut off or is too long",
        ));
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// Returns a message as one line of JSON.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}
