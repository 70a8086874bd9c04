//! Who may clone, import, export, empty, keep and bring back content, and which way it goes.

use policy::{
    Action, ContentFacts, ContentSource, Context, DatabaseKind, DeployFacts, Environment,
};

use super::table::Answers;
use super::words::{clone_of, content, name};
use super::{Item, everywhere, on_environment, vary};

pub fn items() -> Vec<Item> {
    let mut items = Vec::new();
    for source in ["live", "test", "dev", "other"] {
        cloning(&mut items, name(source));
    }
    for source in ["live", "dev"] {
        restoring(&mut items, name(source));
    }
    for action in [
        Action::UndoContent,
        Action::ImportContent,
        Action::ExportContent,
        Action::WipeContent,
        Action::CreateBackup,
        Action::ReadBackups,
        Action::ScheduleBackups,
        Action::RotatePassword,
        Action::ViewStatus,
        Action::SetContent,
    ] {
        alone(&mut items, action);
    }
    syncing(&mut items);
    items
}

fn cloning(items: &mut Vec<Item>, source: Environment) {
    let action = Action::CloneContent;
    let ask = |change: &dyn Fn(&mut ContentFacts)| ask(action, &clone_of(source.clone()), change);
    let from =
        |change: &dyn Fn(&mut ContentSource)| ask(&|facts| change(facts.source.as_mut().unwrap()));
    vary(
        items,
        &format!("environment, from {source}"),
        action.as_str(),
        ask(&|_| {}),
        [
            ("launched", ask(&|facts| facts.launched = true)),
            ("name not typed", ask(&|facts| facts.name_typed = false)),
            (
                "the target runs nothing",
                ask(&|facts| facts.initialised = false),
            ),
            (
                "no backup can be made",
                ask(&|facts| facts.backed_up_first = false),
            ),
            (
                "the source has no content",
                from(&|source| source.ready = false),
            ),
            (
                "the source is empty",
                from(&|source| source.held = policy::Holdings::default()),
            ),
            (
                "the source has no tables",
                from(&|source| source.held.tables = false),
            ),
            (
                "the source has no files",
                from(&|source| source.held.files = false),
            ),
            (
                "neither has files",
                ask(&|facts| {
                    facts.source.as_mut().unwrap().held.files = false;
                    facts.held.files = false;
                }),
            ),
            (
                "files only, and the source has none",
                ask(&|facts| {
                    facts.source.as_mut().unwrap().held.files = false;
                    facts.wanted.database = false;
                }),
            ),
            (
                "database only, and there is none",
                ask(&|facts| {
                    facts.database = DatabaseKind::None;
                    facts.wanted.files = false;
                }),
            ),
            (
                "there is no database",
                ask(&|facts| {
                    facts.database = DatabaseKind::None;
                }),
            ),
            ("no source", ask(&|facts| facts.source = None)),
            (
                "no facts",
                everywhere(action, Context::default(), on_environment),
            ),
        ],
    );
}

fn restoring(items: &mut Vec<Item>, source: Environment) {
    let action = Action::RestoreBackup;
    let good = clone_of(source.clone());
    let code = |facts: &mut ContentFacts| facts.wanted.code = true;
    vary(
        items,
        &format!("environment, of {source}"),
        action.as_str(),
        ask(action, &good, &|_| {}),
        [
            (
                "launched",
                ask(action, &good, &|facts| facts.launched = true),
            ),
            (
                "name not typed",
                ask(action, &good, &|facts| facts.name_typed = false),
            ),
            (
                "it runs nothing",
                ask(action, &good, &|facts| facts.initialised = false),
            ),
            ("code too", ask(action, &good, &code)),
            (
                "code too, over uncommitted work",
                over_work(action, &good, &code),
            ),
            (
                "database only, and there is none",
                ask(action, &good, &|facts| {
                    facts.database = DatabaseKind::None;
                    facts.wanted.files = false;
                }),
            ),
            (
                "no source",
                ask(action, &good, &|facts| facts.source = None),
            ),
            (
                "no facts",
                everywhere(action, Context::default(), on_environment),
            ),
        ],
    );
}

fn alone(items: &mut Vec<Item>, action: Action) {
    let good = content();
    let code = |facts: &mut ContentFacts| facts.wanted.code = true;
    vary(
        items,
        "environment",
        action.as_str(),
        ask(action, &good, &|_| {}),
        [
            (
                "launched",
                ask(action, &good, &|facts| facts.launched = true),
            ),
            (
                "name not typed",
                ask(action, &good, &|facts| facts.name_typed = false),
            ),
            (
                "nothing former is kept",
                ask(action, &good, &|facts| facts.former = false),
            ),
            (
                "it runs nothing",
                ask(action, &good, &|facts| facts.initialised = false),
            ),
            ("code too", ask(action, &good, &code)),
            (
                "code too, over uncommitted work",
                over_work(action, &good, &code),
            ),
            (
                "the database is embedded",
                ask(action, &good, &|facts| {
                    facts.database = DatabaseKind::Embedded;
                }),
            ),
            (
                "there is no database",
                ask(action, &good, &|facts| {
                    facts.database = DatabaseKind::None;
                }),
            ),
            (
                "database only, and there is none",
                ask(action, &good, &|facts| {
                    facts.database = DatabaseKind::None;
                    facts.wanted.files = false;
                }),
            ),
            (
                "no facts",
                everywhere(action, Context::default(), on_environment),
            ),
        ],
    );
}

/// Deploys that bring content along.
fn syncing(items: &mut Vec<Item>) {
    let action = Action::Deploy;
    let deploying = |content: Option<ContentFacts>| {
        let context = Context {
            content,
            deploy: Some(DeployFacts {
                source_ready: true,
                on_trunk: true,
                would_lose: Vec::new(),
            }),
            ..Context::default()
        };
        everywhere(action, context, on_environment)
    };
    let live = || clone_of(Environment::Live);
    let mut launched = live();
    launched.launched = true;
    let mut uninitialised = live();
    uninitialised.source.as_mut().unwrap().ready = false;
    vary(
        items,
        "environment, with content from live",
        action.as_str(),
        deploying(Some(live())),
        [
            ("launched", deploying(Some(launched))),
            ("the source has no content", deploying(Some(uninitialised))),
            ("from dev", deploying(Some(clone_of(Environment::Dev)))),
        ],
    );
}

fn ask(action: Action, good: &ContentFacts, change: &dyn Fn(&mut ContentFacts)) -> Answers {
    over(action, good, change, 0)
}

fn over_work(action: Action, good: &ContentFacts, change: &dyn Fn(&mut ContentFacts)) -> Answers {
    over(action, good, change, 3)
}

fn over(
    action: Action,
    good: &ContentFacts,
    change: &dyn Fn(&mut ContentFacts),
    uncommitted: usize,
) -> Answers {
    let mut facts = good.clone();
    change(&mut facts);
    let context = Context {
        content: Some(facts),
        uncommitted,
        ..Context::default()
    };
    everywhere(action, context, on_environment)
}
