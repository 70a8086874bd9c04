//! The bytes of an SFTP channel, in any order and cut.
#![no_main]

#[path = "../ground.rs"]
mod ground;

libfuzzer_sys::fuzz_target!(|input: &[u8]| ground::with(|ground| ground.bytes(input)));
