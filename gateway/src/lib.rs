//! Funicular: a gateway for web sites. Code goes up, content comes down.
//!
//! Each request takes one road: `protocol` turns bytes into a principal, an action and a target;
//! `gate` has the policy decide and keeps the audit; a [`gate::Permit`] opens an effect in `site`;
//! `protocol` dresses the answer.

#![cfg_attr(
    test,
    allow(
        clippy::unreachable,
        clippy::string_slice,
        clippy::non_octal_unix_permissions,
        private_interfaces,
        unreachable_pub,
        unused_qualifications,
        reason = "a test says what it expects by failing, and is nobody's interface"
    )
)]

pub mod audit;
pub mod blocking;
pub mod cli;
pub mod config;
pub mod confine;
pub mod crash;
pub mod daemon;
pub mod database;
pub mod fault;
pub mod gate;
pub mod pattern;
pub mod protocol;
pub mod sandbox;
pub mod site;
pub mod state;
pub mod steps_file;
