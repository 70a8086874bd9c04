//! A small site that does what the policy permits, and nothing that it refuses. Where a permit
//! could be read in two ways it takes the worse, so that a rule too wide shows as a change of code.

mod bring;

use std::collections::{BTreeMap, BTreeSet};

use policy::{
    Action, Area, ConnectionMode, Context, DeployFacts, Environment, HotfixName, InTheWay,
    MultidevName, PushFacts, RefChange, RefKind, SitePath, Standing, Target, TreeChange, decide,
};

use crate::words::{ADDRESS, acme, alice, mode, name};

/// A commit, by its place in [`Site::commits`].
pub type Commit = usize;

/// One request, before anything is known of the site it meets.
#[derive(Debug, Clone)]
pub struct Request {
    pub standing: Standing,
    pub environment: Environment,
    pub ask: Ask,
}

#[derive(Debug, Clone)]
pub enum Ask {
    Change(TreeChange, Area, Option<InTheWay>),
    Push(RefKind, Base, bool, Option<String>),
    Workflow(Action),
    Mode(ConnectionMode, bool),
}

/// What a pushed commit grows from; from nothing makes a force-push, `Gone` deletes the ref.
#[derive(Debug, Clone, Copy)]
pub enum Base {
    TheRef,
    Trunk,
    Live,
    Nothing,
    Gone,
}

/// What an environment runs: a commit, and how often its tree was changed in place since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Code {
    pub commit: Commit,
    pub edits: usize,
}

#[derive(Debug, Clone)]
pub struct Site {
    /// The ancestors of each commit, itself among them.
    pub commits: Vec<BTreeSet<Commit>>,
    pub branches: BTreeMap<String, Commit>,
    pub code: BTreeMap<Environment, Code>,
    pub modes: BTreeMap<Environment, ConnectionMode>,
    pub files: BTreeMap<Environment, usize>,
    pub deploy_tags: BTreeMap<String, Commit>,
    pub hotfixes: BTreeMap<HotfixName, Commit>,
    /// What Test and Live ran before, newest last.
    pub before: BTreeMap<Environment, Vec<Commit>>,
    pub kept_work: usize,
    pub force_allowed: bool,
}

impl Site {
    /// A new site: Dev and a Multidev run its first commit; Test and Live nothing yet.
    pub fn new(force_allowed: bool) -> Self {
        let first = Code::default();
        let below = [Environment::Dev, feature()];
        Self {
            commits: vec![BTreeSet::from([0])],
            branches: [("main", 0), ("feature", 0)]
                .map(|(b, c)| (b.to_owned(), c))
                .into(),
            code: below.clone().map(|one| (one, first.clone())).into(),
            modes: below.map(|one| (one, ConnectionMode::Git)).into(),
            files: BTreeMap::new(),
            deploy_tags: BTreeMap::new(),
            hotfixes: BTreeMap::new(),
            before: BTreeMap::new(),
            kept_work: 0,
            force_allowed,
        }
    }

    /// Asks the policy, and does what it permits. Returns the action and whether it was done.
    pub fn take(&mut self, request: &Request) -> (Action, bool) {
        let Request {
            standing,
            environment,
            ask,
        } = request;
        let (action, target) = match ask {
            Ask::Change(change, area, _) => {
                let path = SitePath::normalize(b"index.php").unwrap();
                let target = Target::Tree(acme(), environment.clone(), *area, path);
                (Action::ChangeTree(*change), target)
            }
            Ask::Push(kind, ..) => {
                let target = Target::Ref(acme(), environment.clone(), ref_name(kind));
                (Action::UpdateRef, target)
            }
            Ask::Workflow(action) => (*action, on(environment)),
            Ask::Mode(..) => (Action::SetConnectionMode, on(environment)),
        };
        let mut context = self.facts(environment, action);
        let mut pushed = None;
        match ask {
            Ask::Change(_, _, met) => context.in_the_way = *met,
            Ask::Push(kind, base, is_commit, reason) => {
                pushed = self.make_commit(kind, *base);
                context.push = Some(PushFacts {
                    reason: reason.clone(),
                    is_commit: *is_commit,
                    ..self.push_facts(kind, pushed)
                });
            }
            Ask::Mode(_, confirmed) => context.confirmed = *confirmed,
            Ask::Workflow(_) => {}
        }
        let permitted = decide(&alice(*standing), action, &target, &context).is_permit();
        if permitted {
            match ask {
                Ask::Change(_, area, met) => self.change(environment, *area, met.is_some()),
                Ask::Push(kind, ..) => self.push(environment, kind, pushed),
                Ask::Mode(wanted, _) => self.set_mode(environment, *wanted),
                Ask::Workflow(action) => self.work(environment, *action),
            }
        }
        (action, permitted)
    }

    pub fn runs(&self, environment: &Environment) -> Option<Commit> {
        self.code.get(environment).map(|code| code.commit)
    }

    /// Whether `commit` has `ancestor` among its ancestors, or is it.
    pub fn contains(&self, commit: Commit, ancestor: Commit) -> bool {
        self.commits[commit].contains(&ancestor)
    }

    fn facts(&self, environment: &Environment, action: Action) -> Context {
        let set = self.modes.get(environment);
        let deploy = match action {
            Action::Deploy => Some(self.deploy_facts(environment)),
            Action::Rollback => Some(DeployFacts {
                source_ready: self
                    .before
                    .get(environment)
                    .is_some_and(|one| !one.is_empty()),
                ..DeployFacts::default()
            }),
            _any_other => None,
        };
        Context {
            environment_exists: true,
            mode: set.map(|set| mode(*set)),
            uncommitted: self.code.get(environment).map_or(0, |code| code.edits),
            deploy,
            address: ADDRESS.to_owned(),
            ..Context::default()
        }
    }

    fn deploy_facts(&self, environment: &Environment) -> DeployFacts {
        let Some(commit) = self.source(environment) else {
            return DeployFacts::default();
        };
        let lost = |fix: &Commit| !self.contains(commit, *fix);
        let live = *environment == Environment::Live;
        let would_lose = self.hotfixes.iter().filter(|(_, fix)| live && lost(fix));
        DeployFacts {
            source_ready: true,
            on_trunk: self.contains(self.branches["main"], commit),
            would_lose: would_lose.map(|(name, _)| name.clone()).collect(),
        }
    }

    fn source(&self, environment: &Environment) -> Option<Commit> {
        match environment {
            Environment::Live => self.runs(&Environment::Test),
            Environment::Test | Environment::Dev | Environment::Multidev(_) => {
                self.runs(&Environment::Dev)
            }
        }
    }

    fn push_facts(&self, kind: &RefKind, new: Option<Commit>) -> PushFacts {
        let old = self.branches.get(&branch(kind)).copied();
        let change = match (old, new) {
            (_, None) => RefChange::Delete,
            (None, Some(_)) => RefChange::Create,
            (Some(old), Some(new)) if self.contains(new, old) => RefChange::FastForward,
            (Some(_), Some(_)) => RefChange::Force,
        };
        let live = self.runs(&Environment::Live);
        let grown = |new: Commit| live.is_some_and(|live| new != live && self.contains(new, live));
        let lost = |environment: &Environment| match (self.runs(environment), old, new) {
            (Some(runs), Some(old), Some(new)) => {
                self.contains(old, runs) && !self.contains(new, runs)
            }
            _nothing_to_lose => false,
        };
        PushFacts {
            kind: kind.clone(),
            change,
            trunk: "main".to_owned(),
            force_allowed: self.force_allowed,
            would_lose: [Environment::Test, Environment::Live]
                .into_iter()
                .filter(lost)
                .collect(),
            live_deployed: live.is_some(),
            descends_from_live: new.is_some_and(grown),
            brings_trunk: false,
            untested: false,
            reason: None,
            uploads_path: None,
            forbidden_path: None,
            is_commit: true,
        }
    }

    fn make_commit(&mut self, kind: &RefKind, base: Base) -> Option<Commit> {
        let parent = match base {
            Base::Gone => return None,
            Base::TheRef => self.branches.get(&branch(kind)).copied(),
            Base::Trunk => self.branches.get("main").copied(),
            Base::Live => self.runs(&Environment::Live),
            Base::Nothing => None,
        };
        let parents: Vec<Commit> = parent.into_iter().collect();
        Some(self.grow(&parents))
    }

    fn grow(&mut self, parents: &[Commit]) -> Commit {
        let new = self.commits.len();
        let mut ancestors = BTreeSet::from([new]);
        for parent in parents {
            ancestors.extend(self.commits[*parent].iter().copied());
        }
        self.commits.push(ancestors);
        new
    }

    /// A change through a link that leaves its area reaches code.
    fn change(&mut self, environment: &Environment, area: Area, leaves: bool) {
        if area == Area::Code || leaves {
            self.code.entry(environment.clone()).or_default().edits += 1;
        } else {
            *self.files.entry(environment.clone()).or_default() += 1;
        }
    }

    /// A push over Test's or Live's remote runs there, whatever it pushes; the branch of an
    /// environment runs in that environment, over whichever remote it came.
    fn push(&mut self, remote: &Environment, kind: &RefKind, new: Option<Commit>) {
        if *kind == RefKind::DeployTag {
            self.deploy_tags
                .insert(ref_name(kind), new.unwrap_or(Commit::MAX));
        }
        let Some(new) = new else {
            self.branches.remove(&branch(kind));
            return;
        };
        self.branches.insert(branch(kind), new);
        match kind {
            RefKind::Trunk => self.switch(&Environment::Dev, new),
            RefKind::MultidevBranch(owner) => {
                self.switch(&Environment::Multidev(owner.clone()), new);
            }
            RefKind::Hotfix(_)
            | RefKind::PlainBranch
            | RefKind::DeployTag
            | RefKind::PlainTag
            | RefKind::Reserved => {}
        }
        if !remote.takes_code() {
            self.release(remote, new);
        }
        if let (RefKind::Hotfix(name), Environment::Live) = (kind, remote) {
            self.hotfixes.insert(name.clone(), new);
        }
        self.close_merged();
    }

    fn set_mode(&mut self, environment: &Environment, wanted: ConnectionMode) {
        self.keep_work(environment);
        self.modes.insert(environment.clone(), wanted);
    }

    fn work(&mut self, environment: &Environment, action: Action) {
        match action {
            Action::Commit => {
                let Some(code) = self.code.get(environment).cloned() else {
                    return;
                };
                let new = self.grow(&[code.commit]);
                self.branches.insert(branch_of(environment), new);
                self.switch(environment, new);
            }
            Action::Discard => self.keep_work(environment),
            Action::RestoreWork => self.change(environment, Area::Code, false),
            Action::Deploy => {
                if let Some(commit) = self.source(environment) {
                    self.release(environment, commit);
                }
            }
            Action::Rollback => {
                let last = self.before.get_mut(environment).and_then(Vec::pop);
                if let Some(commit) = last {
                    self.switch(environment, commit);
                }
            }
            Action::MergeHotfix => {
                if let Some(fix) = self.hotfixes.values().next().copied() {
                    let new = self.grow(&[self.branches["main"], fix]);
                    self.branches.insert("main".to_owned(), new);
                    self.switch(environment, new);
                    self.close_merged();
                }
            }
            Action::Merge | Action::Revert => self.bring(environment, action),
            Action::DropHotfix => {
                self.hotfixes.pop_first();
            }
            other => unreachable!("{other:?} is no workflow"),
        }
    }

    fn keep_work(&mut self, environment: &Environment) {
        if let Some(code) = self.code.get_mut(environment) {
            self.kept_work += code.edits;
            code.edits = 0;
        }
    }

    fn release(&mut self, environment: &Environment, commit: Commit) {
        if let Some(last) = self.runs(environment) {
            self.before
                .entry(environment.clone())
                .or_default()
                .push(last);
        }
        let tag = format!("{environment}_{}", self.deploy_tags.len() + 1);
        self.deploy_tags.insert(tag, commit);
        self.switch(environment, commit);
    }

    fn switch(&mut self, environment: &Environment, commit: Commit) {
        let code = Code { commit, edits: 0 };
        self.code.insert(environment.clone(), code);
    }

    fn close_merged(&mut self) {
        let trunk = self.commits[self.branches["main"]].clone();
        self.hotfixes.retain(|_, fix| !trunk.contains(fix));
    }
}

pub fn feature() -> Environment {
    Environment::Multidev(name::<MultidevName>("feature"))
}

fn on(environment: &Environment) -> Target {
    Target::Environment(acme(), environment.clone())
}

fn branch_of(environment: &Environment) -> String {
    match environment {
        Environment::Dev => "main".to_owned(),
        Environment::Test | Environment::Live | Environment::Multidev(_) => environment.to_string(),
    }
}

fn branch(kind: &RefKind) -> String {
    match kind {
        RefKind::Trunk => "main".to_owned(),
        RefKind::MultidevBranch(owner) => owner.to_string(),
        RefKind::Hotfix(name) => format!("hotfix/{name}"),
        RefKind::PlainBranch => "topic".to_owned(),
        RefKind::DeployTag | RefKind::PlainTag | RefKind::Reserved => ref_name(kind),
    }
}

fn ref_name(kind: &RefKind) -> String {
    match kind {
        RefKind::DeployTag => "live_1".to_owned(),
        RefKind::PlainTag => "v1".to_owned(),
        RefKind::Reserved => "refs/funicular/work/1".to_owned(),
        RefKind::Trunk | RefKind::MultidevBranch(_) | RefKind::Hotfix(_) | RefKind::PlainBranch => {
            format!("refs/heads/{}", branch(kind))
        }
    }
}
