//! An SSH client that may lie, for what OpenSSH's `ssh` would never do: sign with another key than it
//! offered, send no signature, be a security key without being one.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use russh::client::{self, AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_key::public::{EcdsaPublicKey, KeyData, SkEcdsaSha2NistP256, SkEd25519};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{ChannelMsg, SendError, Signer};

/// Accepts any host key; takes part in nothing.
pub struct Guest;

impl client::Handler for Guest {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// Connects and exchanges keys; does not log in.
pub async fn connect(address: SocketAddr) -> Handle<Guest> {
    try_connect(address)
        .await
        .expect("the gateway takes a connection")
}

pub async fn try_connect(address: SocketAddr) -> Result<Handle<Guest>, russh::Error> {
    client::connect(Arc::new(client::Config::default()), address, Guest).await
}

/// Logs in with the private key at `path`; an RSA key signs with `hash` (`None` is SHA-1).
pub async fn log_in(
    handle: &mut Handle<Guest>,
    login: &str,
    path: &Path,
    hash: Option<HashAlg>,
) -> bool {
    let key = Arc::new(private_key(path));
    let key = PrivateKeyWithHashAlg::new(key, hash);
    handle
        .authenticate_publickey(login, key)
        .await
        .is_ok_and(|result| result.success())
}

/// Offers `offered`, and answers the request for a signature with what `sign` makes of it.
///
/// `sign` gets the session's id and the packet as they would be signed, and returns what is sent
/// instead; `None` leaves the request unanswered.
pub async fn offer(
    handle: &mut Handle<Guest>,
    login: &str,
    offered: PublicKey,
    sign: impl FnMut(Vec<u8>) -> Option<Vec<u8>> + Send,
) -> bool {
    let result = handle
        .authenticate_publickey_with(login, offered, None, &mut Liar(sign))
        .await;
    matches!(result, Ok(AuthResult::Success))
}

struct Liar<F>(F);

impl<F: FnMut(Vec<u8>) -> Option<Vec<u8>> + Send> Signer for Liar<F> {
    type Error = Unsigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        (self.0)(to_sign).ok_or(Unsigned)
    }
}

/// No signature was given.
#[derive(Debug)]
pub struct Unsigned;

impl From<SendError> for Unsigned {
    fn from(_: SendError) -> Self {
        Self
    }
}

pub fn private_key(path: &Path) -> PrivateKey {
    russh::keys::load_secret_key(path, None).expect("a key made by ssh-keygen")
}

pub fn public_key(path: &Path) -> PublicKey {
    russh::keys::load_public_key(path).expect("a key made by ssh-keygen")
}

/// Adds to `to_sign` the signature that `key` makes over it.
pub fn signed(key: &PrivateKey, to_sign: Vec<u8>) -> Vec<u8> {
    let signature = key.try_sign(&to_sign).expect("an ed25519 key signs");
    let mut blob = string(signature.algorithm().as_str().as_bytes());
    blob.extend(string(signature.as_bytes()));
    let mut all = to_sign;
    all.extend(string(&blob));
    all
}

/// Returns `to_sign` with the packet replaced by one that names the key `key` and is signed by it.
pub fn swapped(key: &PrivateKey, login: &str, to_sign: &[u8]) -> Vec<u8> {
    let length = u32::from_be_bytes(to_sign[..4].try_into().expect("four bytes")) as usize;
    let mut packet = to_sign[..4 + length].to_vec();
    packet.push(50);
    packet.extend(string(login.as_bytes()));
    packet.extend(string(b"ssh-connection"));
    packet.extend(string(b"publickey"));
    packet.push(1);
    packet.extend(string(key.algorithm().as_str().as_bytes()));
    packet.extend(string(
        &key.public_key().to_bytes().expect("a key has bytes"),
    ));
    signed(key, packet)
}

/// A FIDO security key made of software (PROTOCOL.u2f): an ed25519 or ECDSA P-256 key behind an
/// application name, flags and a counter.
pub struct SecurityKey {
    key: PrivateKey,
    counter: u32,
}

/// The flag that says that a person touched the key.
pub const TOUCHED: u8 = 0x01;
const APPLICATION: &str = "ssh:";

impl SecurityKey {
    /// Takes the key at `path` for the security key's inner one.
    pub fn new(path: &Path) -> Self {
        Self {
            key: private_key(path),
            counter: 0,
        }
    }

    pub fn public(&self) -> PublicKey {
        let data = match self.key.public_key().key_data() {
            KeyData::Ed25519(inner) => KeyData::SkEd25519(SkEd25519::new(*inner, APPLICATION)),
            KeyData::Ecdsa(EcdsaPublicKey::NistP256(inner)) => {
                KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(*inner, APPLICATION))
            }
            other => panic!("security keys are not made of {:?}", other.algorithm()),
        };
        PublicKey::new(data, "a security key")
    }

    /// Adds to `to_sign` the signature that a security key makes over it.
    pub fn signed(&mut self, flags: u8, to_sign: Vec<u8>) -> Vec<u8> {
        self.counter += 1;
        let mut message = HashAlg::Sha256.digest(APPLICATION.as_bytes());
        message.push(flags);
        message.extend(self.counter.to_be_bytes());
        message.extend(HashAlg::Sha256.digest(&to_sign));
        let signature = self.key.try_sign(&message).expect("the inner key signs");
        let mut blob = string(self.public().algorithm().as_str().as_bytes());
        blob.extend(string(signature.as_bytes()));
        blob.push(flags);
        blob.extend(self.counter.to_be_bytes());
        let mut all = to_sign;
        all.extend(string(&blob));
        all
    }
}

/// What came of a request on a channel of its own.
#[derive(Debug, Default)]
pub struct Heard {
    pub accepted: bool,
    pub refused: bool,
    pub closed: bool,
    pub exit_status: Option<u32>,
    pub text: String,
}

/// Listens on `channel` until it closes or an answer of the wanted kind has come.
pub async fn listen(
    channel: &mut russh::Channel<client::Msg>,
    enough: impl Fn(&Heard) -> bool,
) -> Heard {
    let mut heard = Heard::default();
    while !enough(&heard) {
        match channel.wait().await {
            Some(ChannelMsg::Success) => heard.accepted = true,
            Some(ChannelMsg::Failure) => heard.refused = true,
            Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. }) => {
                heard.text.push_str(&String::from_utf8_lossy(&data));
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => heard.exit_status = Some(exit_status),
            Some(ChannelMsg::Close) | None => {
                heard.closed = true;
                break;
            }
            Some(_) => {}
        }
    }
    heard
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a test's text is short");
    let mut string = length.to_be_bytes().to_vec();
    string.extend(bytes);
    string
}
