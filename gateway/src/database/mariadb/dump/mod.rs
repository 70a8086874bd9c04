//! A dump, statement by statement, as the client programs would read it, without what they do beside.

mod reading;
mod scan;

pub(super) use reading::{Dump, Statement};
