//! Operations on paths, in a tree full of links that lead out.
#![no_main]

#[path = "../ground.rs"]
mod ground;

libfuzzer_sys::fuzz_target!(|input: &[u8]| ground::with(|ground| ground.paths(input)));
