//! The `funicular` program.

use std::process::ExitCode;

/// Gives back what ended sessions leave, which the C library's allocator keeps. Built without huge
/// pages, which would take 2 MiB for the first byte of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    funicular::cli::main()
}
