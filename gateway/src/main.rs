//! The `funicular` program.

use std::process::ExitCode;

/// Gives back what ended sessions leave, which the C library's allocator keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    funicular::cli::main()
}
