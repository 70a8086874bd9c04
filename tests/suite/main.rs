//! The tests from outside, in one program.

mod sftp_openssh;
mod sftp_openssh_commands;
