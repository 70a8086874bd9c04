//! The tests from outside, in one program.

mod login;
mod login_identity;
mod login_limits;
mod sftp_openssh;
mod sftp_openssh_commands;
