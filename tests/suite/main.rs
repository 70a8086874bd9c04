//! The tests from outside, in one program.

mod crash;
mod crash_disk;
mod crash_kills;
mod crash_site;
mod file_size;
mod git_client;
mod git_hostile;
mod git_routing;
mod layering;
mod login;
mod login_identity;
mod login_limits;
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
