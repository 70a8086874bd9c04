//! The `funicular` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    funicular::cli::main()
}
