//! Effects. Every function that changes something takes a [`crate::gate::Permit`].

pub mod tree;
