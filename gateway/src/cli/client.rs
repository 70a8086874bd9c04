//! Sends a command to the running gateway, and shows what it says.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::config::Config;
use crate::daemon::{CONTROL_SOCKET, Call, LONGEST_PIECE, place};
use crate::fault::{Fault, OrFault};
use crate::protocol::console::{Command, Common, Invocation, Said};

/// Runs one command. Returns its exit status.
pub(super) fn call(config: &Path, command: Command, common: Common) -> Result<u32, Fault> {
    let config = Config::read(config)?;
    let command = with_local_files(command)?;
    let socket = config.data_directory.join(place::RUN).join(CONTROL_SOCKET);
    let mut stream = UnixStream::connect(&socket).or_fault(|| {
        "the gateway does not answer; is it running (funicular serve), and are you its user or root"
    })?;
    let call = Call {
        invocation: Invocation { command, common },
        attended: io::stdin().is_terminal() && io::stderr().is_terminal(),
    };
    let mut line = serde_json::to_vec(&call).or_fault(|| "writing the command")?;
    line.push(b'\n');
    let doing = || "talking to the gateway";
    stream.write_all(&line).or_fault(doing)?;
    forward_input(stream.try_clone().or_fault(doing)?);
    let mut answers = BufReader::with_capacity(256 * 1024, stream);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned().or_fault(doing)?);
    let mut line = String::new();
    loop {
        line.clear();
        if answers.read_line(&mut line).or_fault(doing)? == 0 {
            return Err(Fault::new("the gateway ended before the command did"));
        }
        match serde_json::from_str(&line).or_fault(doing)? {
            Said::Out(text) => {
                // A reader that has gone, as with `| head`, is no failure.
                if output.write_all(text.as_bytes()).is_err() {
                    return Ok(0);
                }
            }
            Said::Data(mut data) => {
                if output.is_terminal() {
                    return Err(Fault::new(
                        "standard output is a terminal: lead it to a file with > FILE, or name one below /backups with --to NAME",
                    ));
                }
                answers.read_exact(&mut data).or_fault(doing)?;
                output
                    .write_all(&data)
                    .or_fault(|| "writing to standard output")?;
            }
            Said::Err(text) => eprint!("{text}"),
            Said::Exit(status) => return Ok(status),
        }
    }
}

/// Answers to questions. The thread ends with the program.
fn forward_input(mut stream: UnixStream) {
    std::thread::spawn(move || {
        let mut piece = vec![0; LONGEST_PIECE as usize];
        let mut input = io::stdin().lock();
        loop {
            let bytes = match input.read(&mut piece) {
                Ok(length) => piece.get(..length).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // The gateway must not take it for one that has ended: it sees the connection end before
                // that is said, and so does the other thread.
                Err(error) => {
                    eprintln!("funicular: reading standard input: {error}");
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                    return;
                }
            };
            let length = u32::try_from(bytes.len()).unwrap_or_default().to_be_bytes();
            if stream.write_all(&length).is_err() || stream.write_all(bytes).is_err() {
                return;
            }
            if bytes.is_empty() {
                return;
            }
        }
    });
}

/// Reads the files that a command names here, where the person is, not where the gateway is.
fn with_local_files(command: Command) -> Result<Command, Fault> {
    match command {
        Command::KeyAdd { file, user, limits } if is_path(&file) => Ok(Command::KeyAdd {
            file: key_file(&file)?,
            user,
            limits,
        }),
        Command::CaAdd { file, name } if is_path(&file) => Ok(Command::CaAdd {
            file: key_file(&file)?,
            name,
        }),
        Command::SiteCreate {
            name,
            from: Some(from),
            trunk,
            files_path,
        } if Path::new(&from).exists() => {
            let from = std::fs::canonicalize(&from)
                .or_fault(|| format!("finding {from}"))?
                .to_string_lossy()
                .into_owned();
            Ok(Command::SiteCreate {
                name,
                from: Some(from),
                trunk,
                files_path,
            })
        }
        other => Ok(other),
    }
}

fn is_path(file: &str) -> bool {
    file != "-" && !file.contains(' ')
}

fn key_file(file: &str) -> Result<String, Fault> {
    let text = std::fs::read_to_string(file).or_fault(|| format!("reading the key {file}"))?;
    if !text.trim().contains(' ') {
        return Err(Fault::new(format!("{file} holds no public key")));
    }
    Ok(text.trim().to_owned())
}
