//! The tests from outside, in one program.

mod git_client;
mod git_hostile;
mod git_routing;
mod login;
mod login_identity;
mod login_limits;
mod sftp_openssh;
mod sftp_openssh_commands;
