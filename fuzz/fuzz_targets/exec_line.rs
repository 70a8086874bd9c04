//! Exec lines: what stands behind `ssh ENV.SITE@host`.
#![no_main]

libfuzzer_sys::fuzz_target!(|line: &[u8]| funicular::protocol::ssh::fuzzing::exec_line(line));
