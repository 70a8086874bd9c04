//! Several sessions on one environment, and the end of one.

use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Screen, Session, session};
use crate::site::tree::Tree;

impl Desk {
    /// Another session of the same person, in place of this one, which is closed.
    pub(super) fn again(&mut self) {
        self.besides("alice").close();
    }

    /// Another session, of anybody, in place of this one, which goes on: see [`Desk::swap`].
    pub(super) fn besides(&mut self, person: &str) -> Session {
        let tree = Tree::open_with(&self.root(), Some(Arc::clone(&self.parts))).unwrap();
        let next = session(&self.gate, &self.state, &self.environment, tree, person);
        let before = std::mem::replace(&mut self.session, next);
        self.screen = Screen::default();
        self.begin();
        before
    }

    /// Goes on with another session.
    pub(super) fn swap(&mut self, other: &mut Session) {
        std::mem::swap(&mut self.session, other);
    }

    /// The gateway is killed and starts again: nothing is left but what is on the disk.
    pub(super) fn killed(&mut self) {
        let tree = Tree::open(&self.root()).unwrap();
        tree.remove_leftovers(Duration::from_secs(3600)).unwrap();
        self.parts = tree.parts();
        let next = session(&self.gate, &self.state, &self.environment, tree, "alice");
        std::mem::forget(std::mem::replace(&mut self.session, next));
        self.begin();
    }
}
