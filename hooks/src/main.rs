//! The program that git runs as `pre-receive` and as `proc-receive` (githooks(5)).
//!
//! It decides nothing. It asks the gateway, shows the person what the gateway says, and refuses
//! when there is no answer, whatever the cause. As `pack-objects` it serves clones from the cache.

mod pack;
mod packet;

use std::env;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use hooks::{Hook, Message, Question, RefResult, SOCKET_VARIABLE, TOKEN_VARIABLE, Update};

fn main() -> ExitCode {
    let name = env::args_os().next().unwrap_or_default();
    let name = Path::new(&name)
        .file_name()
        .unwrap_or_default()
        .to_os_string();
    let answered = match name.to_str() {
        Some("pre-receive") => pre_receive(),
        Some("proc-receive") => proc_receive(),
        Some(hooks::PACK_OBJECTS) => return pack::run(),
        _other => Err(io::Error::other("this hook is not served")),
    };
    match answered {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("Refused, and nothing was changed: {error}.");
            ExitCode::FAILURE
        }
    }
}

fn pre_receive() -> io::Result<bool> {
    let mut input = String::new();
    io::stdin()
        .take(hooks::LONGEST_LINE)
        .read_to_string(&mut input)
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => io::Error::other("the name of a ref is not UTF-8"),
            _other => error,
        })?;
    let updates = input.lines().map(update).collect::<io::Result<_>>()?;
    match ask(Hook::PreReceive, updates, options_of_environment()?)? {
        Message::Verdict(accepted) => Ok(accepted),
        Message::Results(_) | Message::Say(_) => Err(unexpected()),
    }
}

fn proc_receive() -> io::Result<bool> {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let offer = packet::read_lines(&mut input)?;
    let (version, features) = offer
        .first()
        .and_then(|line| line.split_once('\0').or(Some((line, ""))))
        .ok_or_else(unexpected)?;
    if version != "version=1" {
        return Err(unexpected());
    }
    let takes_options = features.split(' ').any(|feature| feature == "push-options");
    packet::write(
        &mut output,
        if takes_options {
            "version=1\0push-options"
        } else {
            "version=1"
        },
    )?;
    packet::flush(&mut output)?;
    let updates = packet::read_lines(&mut input)?
        .iter()
        .map(|line| update(line))
        .collect::<io::Result<_>>()?;
    let options = if takes_options {
        packet::read_lines(&mut input)?
    } else {
        Vec::new()
    };
    let Message::Results(results) = ask(Hook::ProcReceive, updates, options)? else {
        return Err(unexpected());
    };
    for result in &results {
        report(&mut output, result)?;
    }
    packet::flush(&mut output)?;
    Ok(true)
}

fn report(output: &mut impl Write, result: &RefResult) -> io::Result<()> {
    if let Some(reason) = &result.failure {
        return packet::write(output, &format!("ng {} {reason}", result.name));
    }
    packet::write(output, &format!("ok {}", result.name))?;
    if let Some(instead) = &result.instead {
        packet::write(output, &format!("option refname {}", instead.name))?;
        packet::write(output, &format!("option old-oid {}", instead.old))?;
        packet::write(output, &format!("option new-oid {}", instead.new))?;
    }
    Ok(())
}

fn ask(hook: Hook, updates: Vec<Update>, options: Vec<String>) -> io::Result<Message> {
    let variable =
        |name| env::var(name).map_err(|_| io::Error::other(format!("{name} is not set")));
    let mut socket = UnixStream::connect(variable(SOCKET_VARIABLE)?).map_err(|_| no_answer())?;
    let question = Question {
        token: variable(TOKEN_VARIABLE)?,
        hook,
        updates,
        options,
        quarantine: env::var("GIT_QUARANTINE_PATH").ok(),
    };
    socket.write_all(&hooks::line(&question)?)?;
    let mut answers = BufReader::new(socket);
    loop {
        match hooks::read_line(&mut answers)? {
            Some(Message::Say(line)) => eprintln!("{line}"),
            Some(answer @ (Message::Verdict(_) | Message::Results(_))) => return Ok(answer),
            None => return Err(no_answer()),
        }
    }
}

fn update(line: &str) -> io::Result<Update> {
    let mut words = line.splitn(3, ' ').map(str::to_owned);
    match (words.next(), words.next(), words.next()) {
        (Some(old), Some(new), Some(name)) => Ok(Update { old, new, name }),
        _fewer => Err(unexpected()),
    }
}

/// Push options come to `pre-receive` as variables (githooks(5), pre-receive).
fn options_of_environment() -> io::Result<Vec<String>> {
    let count = match env::var("GIT_PUSH_OPTION_COUNT") {
        Ok(count) => count.parse::<u32>().map_err(io::Error::other)?,
        Err(_) => 0,
    };
    (0..count)
        .map(|number| env::var(format!("GIT_PUSH_OPTION_{number}")).map_err(io::Error::other))
        .collect()
}

fn no_answer() -> io::Error {
    io::Error::other("the gateway did not answer; push again")
}

fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an unexpected message")
}
