//! A small site's content: where the data of each environment has got to, after any sequence of
//! requests of which the permitted ones are done. Where a permit could be read in two ways, the
//! worse is done.

use std::collections::{BTreeMap, BTreeSet};

use policy::{
    Action, ContentFacts, Context, DeployFacts, Environment, Role, Standing, Target, decide,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::anything::environment;
use crate::model::feature;
use crate::words::{ADDRESS, STANDINGS, acme, alice, clone_of, mode};

/// The environments whose own data is among some content.
pub type Origins = BTreeSet<Environment>;

#[derive(Debug, Clone)]
pub struct Wish {
    pub standing: Standing,
    pub action: Action,
    pub target: Environment,
    pub source: Environment,
    pub typed: bool,
    pub code: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    pub now: BTreeMap<Environment, (Origins, usize)>,
    pub former: BTreeMap<Environment, (Origins, usize)>,
    pub backups: BTreeMap<Environment, Origins>,
    pub launched: bool,
    /// What the one who asked last has been given to keep.
    pub taken: Origins,
    changes: usize,
}

impl Contents {
    pub fn new() -> Self {
        let all = [
            Environment::Dev,
            feature(),
            Environment::Test,
            Environment::Live,
        ];
        Self {
            now: all
                .into_iter()
                .map(|one| (one.clone(), (Origins::from([one]), 0)))
                .collect(),
            ..Self::default()
        }
    }

    /// Asks the policy, and does what it permits. Returns whether it was done.
    pub fn take(&mut self, wish: &Wish) -> bool {
        let target = match wish.action {
            Action::LaunchSite => Target::Site(acme()),
            _any_other => Target::Environment(acme(), wish.target.clone()),
        };
        let permitted = decide(
            &alice(wish.standing),
            wish.action,
            &target,
            &self.facts(wish),
        )
        .is_permit();
        self.taken.clear();
        if permitted {
            self.act(wish);
        }
        permitted
    }

    fn facts(&self, wish: &Wish) -> Context {
        let mut facts = ContentFacts {
            launched: self.launched,
            name_typed: wish.typed,
            former: self.former.contains_key(&wish.target),
            ..clone_of(wish.source.clone())
        };
        facts.wanted.code = wish.code;
        Context {
            environment_exists: true,
            mode: wish
                .target
                .takes_code()
                .then(|| mode(policy::ConnectionMode::Git)),
            content: Some(facts),
            deploy: Some(DeployFacts {
                source_ready: true,
                on_trunk: true,
                would_lose: Vec::new(),
            }),
            address: ADDRESS.to_owned(),
            ..Context::default()
        }
    }

    fn act(&mut self, wish: &Wish) {
        let target = &wish.target;
        match wish.action {
            Action::CloneContent | Action::Deploy => {
                let origins = self.now[&wish.source].0.clone();
                self.put(target, origins);
            }
            Action::RestoreBackup => {
                if let Some(origins) = self.backups.get(&wish.source).cloned() {
                    self.put(target, origins);
                }
            }
            Action::UndoContent => {
                if let Some(former) = self.former.remove(target) {
                    self.now.insert(target.clone(), former);
                }
            }
            Action::ImportContent | Action::WipeContent => self.put(target, Origins::new()),
            Action::CreateBackup => {
                let origins = self.now[target].0.clone();
                self.backups.insert(target.clone(), origins);
            }
            Action::ExportContent => self.taken.clone_from(&self.now[target].0),
            Action::ReadBackups => {
                self.taken = self.backups.get(target).cloned().unwrap_or_default();
            }
            Action::LaunchSite => self.launched = !self.launched,
            _changes_no_content => {}
        }
    }

    fn put(&mut self, target: &Environment, origins: Origins) {
        self.changes += 1;
        let new = (origins, self.changes);
        if let Some(before) = self.now.insert(target.clone(), new) {
            self.former.insert(target.clone(), before);
        }
    }
}

pub fn wish() -> impl Strategy<Value = Wish> {
    let standing = prop_oneof![3 => select(&STANDINGS[..4]), 1 => select(&STANDINGS[..])];
    let actions = vec![
        Action::CloneContent,
        Action::CloneContent,
        Action::Deploy,
        Action::RestoreBackup,
        Action::UndoContent,
        Action::ImportContent,
        Action::WipeContent,
        Action::CreateBackup,
        Action::ExportContent,
        Action::ReadBackups,
        Action::ScheduleBackups,
        Action::RotatePassword,
        Action::SetContent,
        Action::ViewStatus,
        Action::LaunchSite,
    ];
    (
        standing,
        select(actions),
        environment(),
        environment(),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(standing, action, target, source, typed, code)| Wish {
            standing,
            action,
            target,
            source,
            typed,
            code,
        })
}

/// Data of Test and Live goes nowhere, and comes to no harm, by those who may not see it.
pub fn lesser_roles_keep_away(
    before: &Contents,
    after: &Contents,
    wish: &Wish,
) -> Result<(), TestCaseError> {
    if wish.standing.role() >= Some(Role::TeamMember) {
        return Ok(());
    }
    let above = [Environment::Test, Environment::Live];
    for one in &above {
        prop_assert_eq!(&before.now[one], &after.now[one], "{:?}", wish);
        prop_assert_eq!(before.former.get(one), after.former.get(one));
        prop_assert_eq!(before.backups.get(one), after.backups.get(one));
    }
    prop_assert!(wish.target.takes_code() || after.taken.is_empty());
    // Where they read, only those who may see it have brought it.
    let reachable: Origins = [Environment::Dev, feature()]
        .iter()
        .flat_map(|one| {
            let held = [before.now.get(one), before.former.get(one)];
            let held = held.into_iter().flatten().map(|held| &held.0);
            held.chain(before.backups.get(one)).flatten().cloned()
        })
        .collect();
    let here = [Environment::Dev, feature()];
    for origin in here
        .iter()
        .flat_map(|one| &after.now[one].0)
        .chain(&after.taken)
    {
        prop_assert!(reachable.contains(origin), "{wish:?} got at {origin}");
    }
    prop_assert_eq!(before.launched, after.launched);
    Ok(())
}

/// Once launched, nothing that was put somewhere comes from further down.
pub fn nothing_goes_up_once_launched(
    before: &Contents,
    after: &Contents,
    wish: &Wish,
) -> Result<(), TestCaseError> {
    let height = |one: &Environment| match one {
        Environment::Live => 2,
        Environment::Test => 1,
        Environment::Dev | Environment::Multidev(_) => 0,
    };
    for (one, held) in &after.now {
        if before.now[one] == *held {
            continue;
        }
        prop_assert_eq!(
            one,
            &wish.target,
            "another environment's request changed it"
        );
        let brought = matches!(
            wish.action,
            Action::CloneContent | Action::Deploy | Action::RestoreBackup
        );
        if brought && (before.launched || wish.action == Action::RestoreBackup) {
            prop_assert!(height(&wish.source) >= height(one), "{wish:?} went up");
        }
        let live = *one == Environment::Live;
        if live || (brought && height(&wish.source) < height(one)) {
            prop_assert!(wish.typed, "{wish:?} without its name typed");
            prop_assert_eq!(wish.standing.role(), Some(Role::Administrator));
        }
        let brings_code = wish.code && wish.action != Action::UndoContent;
        prop_assert!(!brings_code || one.takes_code(), "{wish:?} brought code");
    }
    Ok(())
}
