//! Bytes to meaning and back, for each door. Holds no rules and has no effects of its own.

pub mod sftp;
