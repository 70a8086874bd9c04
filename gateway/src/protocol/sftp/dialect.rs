//! Where clients differ about what a request says, told by the name that a client gave itself.
//!
//! The draft has a SYMLINK's link first and then its content; OpenSSH's server has it the other way
//! round (its PROTOCOL, section 4.1), and most clients have followed. Some send OpenSSH's order to a
//! server that calls itself OpenSSH only, and the draft's to every other one.

use super::operation::Operation;

/// How the names begin of those who follow the draft here: libssh (not libssh2), AsyncSSH, Node's
/// ssh2, phpseclib and WinSCP.
const FOLLOW_THE_DRAFT: [&str; 6] = [
    "libssh_",
    "libssh-",
    "AsyncSSH_",
    "ssh2js",
    "phpseclib_",
    "WinSCP_",
];

/// Returns what `client` means by a request that was read in OpenSSH's order. A name says nothing
/// about who somebody is: both readings are decided by the same rules.
pub(super) fn meant<'a>(read: Operation<'a>, client: &str) -> Operation<'a> {
    match read {
        Operation::Symlink { content, path } if follows_the_draft(client) => Operation::Symlink {
            content: path,
            path: content,
        },
        as_read => as_read,
    }
}

fn follows_the_draft(client: &str) -> bool {
    FOLLOW_THE_DRAFT
        .iter()
        .any(|beginning| client.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_where_the_client_puts_it() {
        for (client, expected) in [
            ("OpenSSH_9.2p1 Debian-2+deb12u10", "second"),
            ("libssh2_1.10.0", "second"),
            ("paramiko_2.12.0", "second"),
            ("", "second"),
            ("libssh_0.10.6", "first"),
            ("libssh-0.7.0", "first"),
            ("AsyncSSH_2.10.1", "first"),
            ("ssh2js1.17.0", "first"),
            ("phpseclib_3.0 (libsodium, openssl, gmp)", "first"),
            ("WinSCP_release_6.3.5", "first"),
        ] {
            let read = Operation::Symlink {
                content: b"first",
                path: b"second",
            };
            let Operation::Symlink { path, content } = meant(read, client) else {
                panic!("another request");
            };
            assert_eq!(path, expected.as_bytes(), "{client}");
            assert_ne!(path, content, "{client}");
        }
    }

    #[test]
    fn nothing_else_is_changed() {
        let read = Operation::Rename {
            from: b"first",
            to: b"second",
        };
        let Operation::Rename { from, to } = meant(read, "libssh_0.10.6") else {
            panic!("another request");
        };
        assert_eq!((from, to), (&b"first"[..], &b"second"[..]));
    }
}
