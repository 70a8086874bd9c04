//! From the way in which a client over ssh begins to the way in which rsync's daemon does.
//!
//! The daemon is taken because it alone can be told what it must never write (`exclude` in
//! rsyncd.conf(5)), keeps a log that is ours, and confines its paths by itself. Over ssh, both ends
//! begin by sending their version as four bytes; a daemon and its client greet each other in lines,
//! name a module and send the arguments. After that, both ways are the same (`setup_protocol` in
//! rsync's compat.c, `rsync_module` in clientserver.c).

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::fault::{Fault, OrFault};

/// The name of the one module.
pub(super) const MODULE: &str = "tree";

/// The oldest version of the protocol that is spoken: that of rsync 3.0, of 2008.
pub(super) const OLDEST: u32 = 30;

/// How the daemon answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Greeted {
    /// It serves; the version that it speaks.
    Serves(u32),
    /// It does not, and says why.
    Refuses(String),
    /// It is older than what is spoken here.
    TooOld,
}

/// Greets the daemon in the name of a client that speaks `version`, and hands it the arguments.
///
/// # Errors
/// When the daemon says something else than a daemon says.
pub(super) async fn greet(
    version: u32,
    arguments: &[Vec<u8>],
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<Greeted, Fault> {
    let doing = || "greeting rsync";
    let hello = line(from).await?;
    let Some(own) = hello
        .strip_prefix("@RSYNCD: ")
        .and_then(|rest| rest.split(['.', ' ']).next())
        .and_then(|version| version.parse().ok())
    else {
        return Ok(Greeted::Refuses(hello));
    };
    if own < OLDEST {
        return Ok(Greeted::TooOld);
    }
    // The list of digests is for passwords, of which there are none.
    let answer = format!("@RSYNCD: {version}.0 sha512 sha256 sha1 md5 md4\n{MODULE}\n");
    to.write_all(answer.as_bytes()).await.or_fault(doing)?;
    loop {
        match line(from).await?.as_str() {
            "@RSYNCD: OK" => break,
            refusal if refusal.starts_with("@ERROR") => {
                return Ok(Greeted::Refuses(refusal.to_owned()));
            }
            // A message of the day, which our configuration has none of.
            _ => {}
        }
    }
    let mut sent = Vec::new();
    for argument in arguments {
        sent.extend_from_slice(argument);
        sent.push(0);
    }
    sent.push(0);
    to.write_all(&sent).await.or_fault(doing)?;
    Ok(Greeted::Serves(own))
}

async fn line(from: &mut (impl AsyncRead + Unpin)) -> Result<String, Fault> {
    let mut line = Vec::new();
    // By the byte, since what follows the last line is the client's to read.
    while line.len() < LONGEST {
        match from
            .read_u8()
            .await
            .or_fault(|| "reading rsync's greeting")?
        {
            b'\n' => return Ok(policy::escape(&line)),
            byte => line.push(byte),
        }
    }
    Err(Fault::new("rsync's greeting has no end"))
}

const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_daemon_is_greeted() {
        let mut said = &b"@RSYNCD: 32.0 sha512 md5\n@RSYNCD: OK\nrest"[..];
        let mut sent = Vec::new();
        let arguments = [b"--server".to_vec(), b".".to_vec()];
        let greeted = greet(31, &arguments, &mut said, &mut sent).await.unwrap();
        assert_eq!(greeted, Greeted::Serves(32));
        assert_eq!(said, b"rest");
        assert!(sent.starts_with(b"@RSYNCD: 31.0 "));
        assert!(sent.ends_with(b"\ntree\n--server\0.\0\0"));
    }

    #[tokio::test]
    async fn an_old_daemon_is_told_apart() {
        let mut said = &b"@RSYNCD: 29\n"[..];
        let mut sent = Vec::new();
        let greeted = greet(31, &[], &mut said, &mut sent).await.unwrap();
        assert_eq!((greeted, sent), (Greeted::TooOld, Vec::new()));
    }

    #[tokio::test]
    async fn what_a_daemon_refuses_is_told() {
        let mut said = &b"@RSYNCD: 32.0\n@ERROR: Unknown module 'tree'\n"[..];
        let greeted = greet(31, &[], &mut said, &mut Vec::new()).await.unwrap();
        assert_eq!(
            greeted,
            Greeted::Refuses("@ERROR: Unknown module 'tree'".to_owned())
        );
    }
}
