//! Merges between Dev and the Multidev, and reverts, in the model.

use policy::{Action, Environment};

use super::{Site, branch_of, feature};

impl Site {
    pub(super) fn bring(&mut self, environment: &Environment, action: Action) {
        let other = if *environment == Environment::Dev {
            feature()
        } else {
            Environment::Dev
        };
        let mut parents = Vec::from_iter(self.runs(environment));
        if action == Action::Merge {
            parents.extend(self.runs(&other));
        }
        let new = self.grow(&parents);
        self.branches.insert(branch_of(environment), new);
        self.switch(environment, new);
        self.close_merged();
    }
}
