//! The tests from outside, in one program.

mod audit_strain;
mod audits;
mod deploys;
mod file_size;
mod git_client;
mod git_hostile;
mod git_routing;
mod hotfixes;
mod layering;
mod login;
mod login_identity;
mod login_limits;
mod modes;
mod sftp_clients;
mod sftp_escape;
mod sftp_openssh;
mod sftp_openssh_commands;
mod sftp_policy;
mod sftp_python;
mod sftp_raw;
mod sftp_refusals;
mod sftp_sshfs;
mod sftp_strain;
mod wordpress;
mod work;
