//! Without an answer that it understands, the hook refuses and says so.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use hooks::{SOCKET_VARIABLE, TOKEN_VARIABLE};

#[test]
fn without_its_variables() {
    refused(&run("pre-receive", UPDATE, &[]));
    refused(&run("pre-receive", UPDATE, &[(TOKEN_VARIABLE, "x")]));
    refused(&run("proc-receive", OFFER, &[]));
}

#[test]
fn without_a_gateway() {
    let socket = Socket::new("none");
    refused(&socket.run("pre-receive", UPDATE));
    refused(&socket.run("proc-receive", OFFER));
    // A socket that nobody listens on any more, as a killed gateway leaves it.
    drop(UnixListener::bind(&socket.0).unwrap());
    refused(&socket.run("pre-receive", UPDATE));
    refused(&socket.run("proc-receive", OFFER));
}

#[test]
fn when_the_gateway_goes_away() {
    refused(&answered("closed", "pre-receive", UPDATE, b""));
    refused(&answered("closed-later", "proc-receive", OFFER, b""));
    let said = br#"{"say":"Preparing"}"#;
    refused(&answered(
        "said",
        "pre-receive",
        UPDATE,
        &[said, &b"\n"[..]].concat(),
    ));
    refused(&answered(
        "cut-off",
        "pre-receive",
        UPDATE,
        br#"{"verdict":true}"#,
    ));
}

#[test]
fn when_the_answer_is_garbage() {
    let long = vec![b'x'; 3 << 20];
    let answers: [&[u8]; 8] = [
        b"\n",
        b"yes\n",
        b"true\n",
        b"{}\n",
        b"{\"verdict\":\"yes\"}\n",
        b"{\"verdict\":true} {}\n",
        b"\xff\xfe\n",
        &long,
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let name = format!("garbage-{number}");
        refused(&answered(&name, "pre-receive", UPDATE, answer));
        refused(&answered(&name, "proc-receive", OFFER, answer));
    }
}

#[test]
fn when_the_answer_is_for_another_question() {
    refused(&answered(
        "other",
        "pre-receive",
        UPDATE,
        b"{\"results\":[]}\n",
    ));
    refused(&answered(
        "other",
        "proc-receive",
        OFFER,
        b"{\"verdict\":true}\n",
    ));
}

#[test]
fn when_the_answer_is_no() {
    let output = answered("no", "pre-receive", UPDATE, b"{\"verdict\":false}\n");
    assert_eq!(output.status.code(), Some(1));
    let output = answered("yes", "pre-receive", UPDATE, b"{\"verdict\":true}\n");
    assert_eq!(
        output.status.code(),
        Some(0),
        "the answers above are near to a right one"
    );
}

#[test]
fn when_git_says_what_it_does_not_understand() {
    for input in [&b"too few\n"[..], b"\xff\xfe \xff x\n"] {
        refused(&answered(
            "odd",
            "pre-receive",
            input,
            b"{\"verdict\":true}\n",
        ));
    }
    for input in [&b""[..], b"0000", b"zzzz", b"000fversion=2\n0000", b"00"] {
        refused(&answered(
            "odd-offer",
            "proc-receive",
            input,
            b"{\"results\":[]}\n",
        ));
    }
}

#[test]
fn under_any_other_name() {
    for name in ["update", "post-receive", "funicular-hook", ""] {
        refused(&run(name, UPDATE, &[]));
    }
}

const UPDATE: &[u8] = b"0000000000000000000000000000000000000000 \
    1111111111111111111111111111111111111111 refs/heads/main\n";

const OFFER: &[u8] = b"000fversion=1\0\n0000\
    00660000000000000000000000000000000000000000 \
    1111111111111111111111111111111111111111 refs/heads/main\n0000";

#[track_caller]
fn refused(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("Refused, and nothing was changed: "),
        "{said}"
    );
    assert!(said.trim_end().ends_with('.'), "{said}");
    let reported = String::from_utf8_lossy(&output.stdout);
    assert!(!reported.contains("ok refs/"), "{reported}");
}

/// Runs the hook against a gateway that reads one question, answers and goes away.
fn answered(name: &str, hook: &str, input: &[u8], answer: &[u8]) -> Output {
    let socket = Socket::new(&format!("{name}-{hook}"));
    let listener = UnixListener::bind(&socket.0).unwrap();
    let answer = answer.to_vec();
    // A hook that refuses before it asks never connects; the thread ends with the program.
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = String::new();
        let copy: UnixStream = stream.try_clone().unwrap();
        let _ = BufReader::new(copy).read_line(&mut question);
        let _ = stream.write_all(&answer);
    });
    socket.run(hook, input)
}

/// The path of a socket, removed at the end.
struct Socket(PathBuf);

impl Socket {
    fn new(name: &str) -> Self {
        let name = format!("funicular-hook-{}-{name}.sock", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn run(&self, hook: &str, input: &[u8]) -> Output {
        let socket = self.0.to_str().unwrap();
        run(
            hook,
            input,
            &[(SOCKET_VARIABLE, socket), (TOKEN_VARIABLE, "x")],
        )
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn run(hook: &str, input: &[u8], variables: &[(&str, &str)]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_funicular-hook"))
        .arg0(hook)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A hook that refuses at once does not read it.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}
