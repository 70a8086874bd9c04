//! Cuts the bytes of a channel into requests, in whatever pieces they come.
//!
//! A file on its way up is written as it comes: a WRITE is not waited for whole. Every other
//! request is. Requests that come while the client does not read its answers are kept as they are,
//! up to a limit of the configuration; then the channel ends. In one call no more is answered than
//! [`MOST_ANSWERED`], however much the client would take; the rest is gone on with at the next. So
//! neither answers nor requests pile up without end, and nothing ever waits for the client.

use std::time::Instant;

use super::operation::{INIT, Operation, Unreadable, WRITE};
use super::status::{Code, No};
use super::wire::Fields;
use super::{Ended, Output, Session, dialect, reply};

/// Clients are told that a packet may be this long, as OpenSSH has it.
pub(super) const LONGEST_ADVERTISED: u64 = 256 << 10;

/// A packet may be this long, after its length: there is some room.
const LONGEST_PACKET: u32 = 257 << 10;

/// Bytes of requests that are kept while the client does not read, unless the configuration says
/// otherwise. Some clients ask for a whole file at once, 32 KiB at a time: this is enough for 30 GiB.
const MOST_HELD: usize = 32 << 20;

/// A call ends after so many bytes of answers: more than any client takes that waits for all of
/// them before it sends or asks for anything.
const MOST_ANSWERED: usize = 16 << 20;

/// How many such calls are made for a client that has ended its input and has room for all of it.
const MOST_CALLS: usize = 4;

/// Small answers go out together, up to this length.
const GATHERED: usize = 32 << 10;

/// What is between two calls.
#[derive(Debug)]
pub(super) struct Engine {
    /// How many bytes may be held back.
    pub(super) most_held: usize,
    begun: bool,
    /// Bytes that came and are not used: a part of a packet, or requests that are held back.
    held: Vec<u8>,
    /// Where in these the first unused one is.
    held_from: usize,
    /// A file's bytes that are being taken.
    stream: Option<Stream>,
    /// Small answers not yet sent.
    answers: Vec<u8>,
    /// How many bytes were answered in this call.
    answered: usize,
    /// Whether the last call stopped before the end of what is held.
    behind: bool,
    /// Whether the client has said that nothing more will come.
    ended: bool,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            most_held: MOST_HELD,
            begun: false,
            held: Vec::new(),
            held_from: 0,
            stream: None,
            answers: Vec::new(),
            answered: 0,
            behind: false,
            ended: false,
        }
    }
}

/// A WRITE whose bytes have not all come.
#[derive(Debug)]
struct Stream {
    id: u32,
    handle: Vec<u8>,
    offset: u64,
    left: usize,
    no: Option<Box<No>>,
}

/// What the front of the input is.
enum Front {
    /// Not yet enough to tell.
    Unknown,
    /// A packet of this length, after the length itself, all there.
    Packet(usize),
    /// A WRITE whose bytes begin here.
    Stream(Stream, usize),
}

impl Session {
    /// Takes bytes of the channel as they come, in any cut, and answers into `out`.
    ///
    /// # Errors
    /// When the channel has to be closed.
    pub fn receive(&mut self, bytes: &[u8], out: &mut dyn Output) -> Result<(), Ended> {
        if self.engine.ended {
            return Ok(());
        }
        if !self.engine.held.is_empty() {
            self.engine.held.extend_from_slice(bytes);
            return self.proceed(out);
        }
        let used = self.consume(bytes, out)?;
        if let Some(rest) = bytes.get(used..) {
            self.engine.held.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Goes on with requests that were held back because the client did not read its answers.
    ///
    /// # Errors
    /// When the channel has to be closed.
    pub fn proceed(&mut self, out: &mut dyn Output) -> Result<(), Ended> {
        let mut held = std::mem::take(&mut self.engine.held);
        let from = std::mem::take(&mut self.engine.held_from);
        let rest = held.get(from..).unwrap_or_default();
        self.engine.held_from = from + self.consume(rest, out)?;
        let left = held.len().saturating_sub(self.engine.held_from);
        if left > self.engine.most_held {
            return Err(Ended(DOES_NOT_READ));
        }
        // What is left moves to the front seldom enough to cost nothing.
        if self.engine.held_from >= left {
            held.drain(..self.engine.held_from);
            self.engine.held_from = 0;
            if left == 0 && held.capacity() > GATHERED {
                held = Vec::new();
            }
        }
        self.engine.held = held;
        Ok(())
    }

    /// Takes note that the client sends nothing more. What it asked for before is still answered, now
    /// or, while it does not read, by later calls of [`Session::proceed`].
    ///
    /// # Errors
    /// When the channel has to be closed.
    pub fn end_input(&mut self, out: &mut dyn Output) -> Result<(), Ended> {
        self.engine.ended = true;
        self.proceed(out)?;
        // With room for more than one call answers, nothing may come that would call again.
        let mut calls = 1;
        while self.engine.behind && !out.is_full() {
            if calls == MOST_CALLS {
                return Err(Ended(OWED_TOO_MUCH));
            }
            calls += 1;
            self.proceed(out)?;
        }
        Ok(())
    }

    /// Returns true when the client has ended its input and no answer is owed to it any more.
    pub fn is_over(&self) -> bool {
        self.engine.ended && !self.engine.behind
    }

    /// Returns how many bytes of requests are held back.
    pub fn held(&self) -> usize {
        self.engine.held.len()
    }

    /// Uses as much of the input as there are whole requests, and says how much that was.
    fn consume(&mut self, input: &[u8], out: &mut dyn Output) -> Result<usize, Ended> {
        let mut used = 0;
        self.engine.answered = 0;
        self.engine.behind = false;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            if let Some(stream) = self.engine.stream.take() {
                if rest.is_empty() {
                    self.engine.stream = Some(stream);
                    break;
                }
                used += self.take_stream(stream, rest, out);
                continue;
            }
            if out.is_full() || self.engine.answered >= MOST_ANSWERED {
                self.engine.behind = !rest.is_empty();
                break;
            }
            match front(rest).map_err(Ended)? {
                Front::Unknown => break,
                Front::Packet(length) => {
                    let packet = rest.get(4..4 + length).unwrap_or_default();
                    self.packet(packet, out)?;
                    used += 4 + length;
                }
                Front::Stream(_, _) if !self.engine.begun => {
                    return Err(Ended(NOT_BEGUN));
                }
                Front::Stream(mut stream, at) => {
                    stream.no = self.begin_write(&stream.handle).err().map(Box::new);
                    self.engine.stream = Some(stream);
                    used += at;
                }
            }
        }
        self.send_answers(out);
        Ok(used)
    }

    /// Writes what has come of a WRITE, and answers when it was the last. Returns how much that is.
    fn take_stream(&mut self, mut stream: Stream, input: &[u8], out: &mut dyn Output) -> usize {
        let count = stream.left.min(input.len());
        let bytes = input.get(..count).unwrap_or_default();
        if stream.no.is_none() {
            stream.no = self
                .write(&stream.handle, stream.offset, bytes)
                .err()
                .map(Box::new);
        }
        stream.offset = stream.offset.saturating_add(count as u64);
        stream.left -= count;
        if stream.left == 0 {
            let answer = match stream.no {
                None => Ok(reply::done(stream.id)),
                Some(no) => Err(*no),
            };
            self.answer(stream.id, answer, out);
        } else {
            self.engine.stream = Some(stream);
        }
        count
    }

    /// Answers one packet.
    fn packet(&mut self, packet: &[u8], out: &mut dyn Output) -> Result<(), Ended> {
        let mut fields = Fields::of(packet);
        let kind = fields.byte().map_err(|_| Ended(NO_ID))?;
        let number = fields.u32().map_err(|_| Ended(NO_ID))?;
        if kind == INIT {
            self.engine.begun = true;
            self.send(reply::version(), out);
            return Ok(());
        }
        if !self.engine.begun {
            return Err(Ended(NOT_BEGUN));
        }
        let answer = match Operation::read(kind, &mut fields) {
            Ok(read) => self.perform(number, &dialect::meant(read, &self.who.client)),
            Err(Unreadable::Malformed) => {
                Err(No::Status(Code::BadMessage, "The request is malformed."))
            }
            Err(Unreadable::Unknown) => Err(No::Status(
                Code::Unsupported,
                "This server does not know that request.",
            )),
        };
        self.answer(number, answer, out);
        Ok(())
    }

    fn answer(&mut self, id: u32, answer: Result<Vec<u8>, No>, out: &mut dyn Output) {
        match answer {
            Ok(packet) => self.send(packet, out),
            Err(no) => {
                let status = no.dress();
                self.said.say(&status, Instant::now(), out);
                self.send(reply::status(id, &status), out);
            }
        }
    }

    /// Sends a packet; a small one when others are there to go with it, or nothing else is.
    fn send(&mut self, packet: Vec<u8>, out: &mut dyn Output) {
        self.engine.answered += packet.len();
        if self.engine.answers.len() + packet.len() > GATHERED {
            self.send_answers(out);
        }
        if packet.len() > GATHERED {
            out.reply(packet);
        } else if self.engine.answers.is_empty() {
            self.engine.answers = packet;
        } else {
            self.engine.answers.extend_from_slice(&packet);
        }
    }

    fn send_answers(&mut self, out: &mut dyn Output) {
        if !self.engine.answers.is_empty() {
            out.reply(std::mem::take(&mut self.engine.answers));
        }
    }
}

/// Looks at the front of the input.
fn front(input: &[u8]) -> Result<Front, &'static str> {
    let mut fields = Fields::of(input);
    let Ok(length) = fields.u32() else {
        return Ok(Front::Unknown);
    };
    if length == 0 || length > LONGEST_PACKET {
        return Err(BAD_LENGTH);
    }
    let length = length as usize;
    if fields.left() >= length {
        return Ok(Front::Packet(length));
    }
    Ok(
        begun_write(length, fields)
            .map_or(Front::Unknown, |(stream, at)| Front::Stream(stream, at)),
    )
}

/// Reads the head of a WRITE, if it is one that has come and whose lengths agree. One whose lengths
/// do not is waited for whole, and then malformed.
fn begun_write(length: usize, mut fields: Fields<'_>) -> Option<(Stream, usize)> {
    let before = fields.left();
    if fields.byte().ok()? != WRITE {
        return None;
    }
    let id = fields.u32().ok()?;
    let handle = fields.string().ok()?;
    let offset = fields.u64().ok()?;
    let left = fields.u32().ok()? as usize;
    let head = before - fields.left();
    if head + left != length {
        return None;
    }
    let stream = Stream {
        id,
        handle: handle.to_vec(),
        offset,
        left,
        no: None,
    };
    Some((stream, 4 + head))
}

const BAD_LENGTH: &str =
    "The client sent a packet of a length that SFTP does not have here; the channel was closed.";
const NO_ID: &str = "The client sent a packet without an id; the channel was closed.";
const NOT_BEGUN: &str = "The client did not begin with INIT; the channel was closed.";
const OWED_TOO_MUCH: &str = "The client ended its input while more was asked for than is sent at once; the channel was closed.";
/// Why a channel ends whose connection holds too many requests on all of its channels.
pub const HOLDS_TOO_MUCH: Ended = Ended(DOES_NOT_READ);
const DOES_NOT_READ: &str =
    "The client sends requests but does not read the answers; the channel was closed.";
