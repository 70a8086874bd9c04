//! The program's own command line: making a data folder, serving, and the console's commands
//! through the running gateway.

mod client;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use policy::PersonName;

use crate::config::Config;
use crate::confine::Confined;
use crate::daemon;
use crate::fault::Fault;
use crate::protocol::console::{Command, Common, status};
use crate::sandbox::Sandboxed;

/// Where the configuration is looked for when nobody says.
const USUAL_CONFIG: &str = "/etc/funicular/funicular.toml";

/// Funicular: a self-hosted gateway for web sites. Code goes up, content comes down.
#[derive(Debug, Parser)]
#[command(name = "funicular", version, disable_help_subcommand = true)]
struct Arguments {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", env = "FUNICULAR_CONFIG", default_value = USUAL_CONFIG)]
    config: PathBuf,
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Make a data folder with host keys, a configuration and an administrator
    Init {
        /// The folder to make
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The administrator's name
        #[arg(long, value_name = "NAME")]
        admin: PersonName,
        /// The administrator's public key file
        #[arg(long, value_name = "FILE")]
        admin_key: PathBuf,
        /// Where to listen for SSH
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<std::net::SocketAddr>,
        /// The host name in addresses shown to people
        #[arg(long, value_name = "HOST")]
        public_host: Option<String>,
        /// Where to write the configuration [default: DIR/funicular.toml]
        #[arg(long, value_name = "FILE")]
        write_config: Option<PathBuf>,
    },
    /// Serve, in the foreground
    Serve,
    /// Check a configuration file
    CheckConfig {
        /// The file
        file: Option<PathBuf>,
    },
    /// Run a program that the kernel confines; the gateway uses it for its own children
    #[command(hide = true)]
    Confine(Confined),
    /// Run a program in a sandbox; the gateway uses it for the steps of sites
    #[command(hide = true)]
    Sandbox(Sandboxed),
    #[command(flatten)]
    Console(Command),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let Arguments {
        config,
        common,
        task,
    } = Arguments::parse();
    let done = match task {
        Task::Init {
            data,
            admin,
            admin_key,
            listen,
            public_host,
            write_config,
        } => daemon::init(&daemon::Wanted {
            data,
            admin,
            admin_key,
            listen,
            public_host,
            write_config,
        }),
        Task::Serve => match read(&config) {
            Ok(config) => daemon::serve(config).map(|()| status::DONE),
            // Starting again would not help, and systemd is told so by this status.
            Err(fault) => {
                eprintln!("funicular: {fault}");
                Ok(status::USAGE)
            }
        },
        Task::CheckConfig { file } => check(&file.unwrap_or(config)),
        Task::Confine(confined) => Err(confined.enter()),
        Task::Sandbox(sandboxed) => Err(sandboxed.enter()),
        Task::Console(command) => client::call(&config, command, common),
    };
    match done {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)),
        Err(fault) => {
            eprintln!("funicular: {fault}");
            ExitCode::from(status::FAILED as u8)
        }
    }
}

fn check(file: &std::path::Path) -> Result<u32, Fault> {
    read(file)?;
    println!("{} is a sound configuration.", file.display());
    Ok(status::DONE)
}

fn read(file: &std::path::Path) -> Result<Config, Fault> {
    let config = Config::read(file)?;
    daemon::check(&config)?;
    Ok(config)
}
