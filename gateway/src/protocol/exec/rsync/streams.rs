//! What goes between the client and rsync, on its three streams.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use crate::protocol::exec::input::Input;
use crate::protocol::ssh::Output;

/// Bytes moved at once.
pub(super) const PIECE: usize = 64 * 1024;
/// The longest line of rsync's that is shown in one.
const LONGEST: u64 = 16 * 1024;

/// Hands the client's bytes to rsync; the end of either ends it.
pub(super) async fn feed(input: &mut Input, mut stdin: ChildStdin) {
    loop {
        let bytes = input.some(PIECE).await;
        if bytes.is_empty() {
            return;
        }
        if stdin.write_all(bytes).await.is_err() {
            break;
        }
    }
    input.forget().await;
}

/// Hands rsync's bytes to the client, to the end of either.
pub(super) async fn carry(mut from: ChildStdout, to: &Output) {
    let mut piece = vec![0; PIECE];
    while let Ok(length) = from.read(&mut piece).await {
        let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return;
        };
        if to.out(bytes).await.is_err() {
            return;
        }
    }
}

/// Hands what rsync says on its standard error to the client, line by line: its errors come by this
/// way (rsync(1), `--stderr`). Paths of the server are told as those of the tree.
pub(super) async fn complain(from: ChildStderr, plain: &[(String, String)], to: &Output) {
    let mut from = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        match (&mut from).take(LONGEST).read_until(b'\n', &mut line).await {
            Ok(length) if length > 0 => {}
            Ok(_) | Err(_) => return,
        }
        let mut text = policy::escape(line.trim_ascii_end());
        for (path, shown) in plain {
            text = text.replace(path, shown);
        }
        if to.err(format!("{text}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}
