//! Signing in: the server's greeting, the answer to it, and the ways of proving a password that
//! servers of today ask for (`mysql_native_password`, `caching_sha2_password`, `unix_socket`).

use mysql_common::crypto;
use mysql_common::scramble::{scramble_native, scramble_sha256};

use super::packets::{Login, Packets};
use super::{Wrong, error};

const LONG_PASSWORD: u32 = 1;
const LONG_FLAG: u32 = 1 << 2;
const CONNECT_WITH_DB: u32 = 1 << 3;
const LOCAL_FILES: u32 = 1 << 7;
const PROTOCOL_41: u32 = 1 << 9;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;

const UTF8MB4: u8 = 45;
/// The longest packet that the server may send us.
const LONGEST_PACKET: u32 = 1 << 30;

/// Signs in.
pub(super) fn sign_in(packets: &mut Packets<'_>, login: &Login<'_>) -> Result<(), Wrong> {
    let greeting = packets.receive()?.to_vec();
    if greeting.first() == Some(&0xff) {
        return Err(error(&greeting));
    }
    let (nonce, plugin) =
        read_greeting(&greeting).ok_or_else(|| Wrong::protocol("the server's greeting"))?;
    let password = login.password.unwrap_or_default().as_bytes();

    let mut flags =
        LONG_PASSWORD | LONG_FLAG | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH;
    if login.database.is_some() {
        flags |= CONNECT_WITH_DB;
    }
    if login.files {
        flags |= LOCAL_FILES;
    }
    let plugin = match plugin.as_slice() {
        b"caching_sha2_password" => plugin,
        _ => b"mysql_native_password".to_vec(),
    };
    let proof = prove(&plugin, &nonce, password)?;
    let mut answer = Vec::new();
    answer.extend(flags.to_le_bytes());
    answer.extend(LONGEST_PACKET.to_le_bytes());
    answer.push(UTF8MB4);
    answer.extend([0; 23]);
    answer.extend(login.user.as_bytes());
    answer.push(0);
    answer.push(u8::try_from(proof.len()).unwrap_or(0));
    answer.extend(proof);
    if let Some(database) = login.database {
        answer.extend(database.as_bytes());
        answer.push(0);
    }
    answer.extend(&plugin);
    answer.push(0);
    packets.send(&answer)?;
    be_let_in(packets, nonce, password)
}

fn be_let_in(packets: &mut Packets<'_>, nonce: Vec<u8>, password: &[u8]) -> Result<(), Wrong> {
    let mut nonce = nonce;
    loop {
        let payload = packets.receive()?.to_vec();
        match payload.split_first() {
            Some((0, _)) => return Ok(()),
            Some((0xff, _)) => return Err(error(&payload)),
            // The server wants it proved in another way.
            Some((0xfe, asked)) => {
                let mut parts = asked.splitn(2, |byte| *byte == 0);
                let plugin = parts.next().unwrap_or_default();
                let fresh = parts.next().unwrap_or_default();
                nonce = fresh.strip_suffix(&[0]).unwrap_or(fresh).to_vec();
                let proof = prove(plugin, &nonce, password)?;
                packets.send(&proof)?;
            }
            // It knows the password from before: nothing is to be done.
            Some((1, [3])) => {}
            Some((1, [4])) => send_whole(packets, &nonce, password)?,
            _ => return Err(Wrong::protocol("an answer to the password")),
        }
    }
}

/// Sends the password itself: over a socket as it is, else under the server's key.
fn send_whole(packets: &mut Packets<'_>, nonce: &[u8], password: &[u8]) -> Result<(), Wrong> {
    let mut whole = password.to_vec();
    whole.push(0);
    if packets.is_private() {
        packets.send(&whole)?;
        return Ok(());
    }
    packets.send(&[2])?;
    let key = packets.receive()?;
    let key = match key.split_first() {
        Some((1, key)) => key.to_vec(),
        _ => return Err(Wrong::protocol("the server's public key")),
    };
    for (byte, with) in whole.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= with;
    }
    packets.send(&crypto::encrypt(&whole, &key))?;
    Ok(())
}

fn prove(plugin: &[u8], nonce: &[u8], password: &[u8]) -> Result<Vec<u8>, Wrong> {
    if password.is_empty() {
        return Ok(Vec::new());
    }
    let nothing = Vec::new;
    match plugin {
        b"mysql_native_password" => {
            Ok(scramble_native(nonce, password).map_or_else(nothing, |proof| proof.to_vec()))
        }
        b"caching_sha2_password" => {
            Ok(scramble_sha256(nonce, password).map_or_else(nothing, |proof| proof.to_vec()))
        }
        b"unix_socket" | b"auth_socket" => Ok(Vec::new()),
        other => Err(Wrong::Server {
            code: 2059,
            message: format!(
                "the server asks for the password in a way that is not known here ({})",
                String::from_utf8_lossy(other)
            ),
        }),
    }
}

/// What the password is to be mixed with, and how it is to be proved.
fn read_greeting(greeting: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let rest = greeting.strip_prefix(&[10])?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let rest = rest.get(end + 1..)?;
    // The connection's number, and the first half.
    let (first, rest) = rest.get(4..)?.split_at_checked(8)?;
    // A zero, flags, character set, status, flags, the length of the nonce, and room for more.
    let rest = rest.get(1 + 2 + 1 + 2 + 2 + 1 + 10..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (second, rest) = rest.split_at_checked(end)?;
    let plugin = rest.get(1..).unwrap_or_default();
    let plugin = plugin.split(|byte| *byte == 0).next().unwrap_or_default();
    let nonce = [first, second].concat();
    Some((nonce, plugin.to_vec()))
}
