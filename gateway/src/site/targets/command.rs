//! Messages to a program on this server.

use std::process::Command;
use std::time::Duration;

use super::message::Message;
use super::program;

/// Runs the administrator's program, as the gateway's own user and outside of any sandbox.
///
/// # Errors
/// With a sentence without a full stop.
pub(super) fn send(words: &[String], limit: Duration, message: &Message) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("it names no program")?;
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .envs(message.variables())
        .current_dir("/");
    let ended = program::run(command, message.json().as_bytes(), limit, &|| false)?;
    let said = program::one_line(&ended.output);
    Ok(if said.is_empty() {
        "done".to_owned()
    } else {
        format!("done: {said}")
    })
}
