//! Who may make, delete and bring back Multidevs, merge between them and Dev, and revert.

use policy::{Action, Context, MultidevFacts};

use super::{Item, everywhere, on_environment, vary};

pub fn items() -> Vec<Item> {
    let mut items = Vec::new();
    making(&mut items);
    let ask = |action, context| everywhere(action, context, on_environment);
    let restore = Action::RestoreMultidev;
    vary(
        &mut items,
        "environment",
        restore.as_str(),
        ask(restore, Context::default()),
        [],
    );
    let uncommitted = |confirmed| Context {
        uncommitted: 2,
        confirmed,
        ..Context::default()
    };
    for action in [Action::DeleteMultidev, Action::Merge, Action::Revert] {
        vary(
            &mut items,
            "environment",
            action.as_str(),
            ask(action, Context::default()),
            [
                ("uncommitted work", ask(action, uncommitted(false))),
                (
                    "uncommitted work, confirmed",
                    ask(action, uncommitted(true)),
                ),
            ],
        );
    }
    items
}

fn making(items: &mut Vec<Item>) {
    let ask = |change: &dyn Fn(&mut MultidevFacts)| {
        let mut facts = good();
        change(&mut facts);
        let context = Context {
            multidev: Some(facts),
            ..Context::default()
        };
        everywhere(Action::CreateMultidev, context, on_environment)
    };
    let taken = |from: Option<&str>| {
        let from = from.map(str::to_owned);
        ask(&|facts| {
            facts.branch_exists = true;
            facts.from_branch.clone_from(&from);
        })
    };
    vary(
        items,
        "environment",
        Action::CreateMultidev.as_str(),
        ask(&|_| {}),
        [
            (
                "trunk has the name",
                ask(&|facts| facts.trunk = "feature".to_owned()),
            ),
            (
                "the source runs nothing",
                ask(&|facts| facts.source_ready = false),
            ),
            (
                "from a branch that is not there",
                ask(&|facts| {
                    facts.source_ready = false;
                    facts.from_branch = Some("topic".to_owned());
                }),
            ),
            ("a branch has the name", taken(None)),
            (
                "a branch has the name, and another was named",
                taken(Some("topic")),
            ),
            (
                "a branch has the name, and was named",
                taken(Some("feature")),
            ),
            (
                "a branch is in the way",
                ask(&|facts| facts.in_the_way = Some("feature/x".to_owned())),
            ),
            (
                "the branch holds a forbidden path",
                ask(&|facts| facts.forbidden_path = Some(".git".to_owned())),
            ),
            (
                "no facts",
                everywhere(Action::CreateMultidev, Context::default(), on_environment),
            ),
        ],
    );
}

fn good() -> MultidevFacts {
    MultidevFacts {
        trunk: "main".to_owned(),
        from_branch: None,
        source_ready: true,
        branch_exists: false,
        in_the_way: None,
        forbidden_path: None,
    }
}
