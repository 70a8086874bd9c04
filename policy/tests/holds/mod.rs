//! What a freeze, hours of deploys and an approval that is owed take away, and who may say so.

use policy::{
    Action, Approval, ApprovalState, Area, Context, DeployFacts, Environment, Freeze, Hold,
    RefChange, RefKind, SitePath, Target, TreeChange,
};

use super::words::{acme, clone_of, closed, frozen, good_push, name};
use super::{Item, everywhere, on_environment, vary};

pub fn items() -> Vec<Item> {
    let mut items = Vec::new();
    for (subject, action, target) in held() {
        let ask = |hold: Hold| {
            let context = Context {
                hold,
                ..facts(&subject)
            };
            everywhere(action, context, &target)
        };
        let freeze = |change: &dyn Fn(&mut Hold)| {
            let mut hold = Hold {
                freeze: Some(frozen()),
                ..Hold::default()
            };
            change(&mut hold);
            ask(hold)
        };
        let hours = |overriding: Option<&str>| {
            ask(Hold {
                hours: Some(closed()),
                overriding: overriding.map(str::to_owned),
                ..Hold::default()
            })
        };
        let approval = |state| {
            ask(Hold {
                approval: Some(Approval {
                    request: Some("01ABC".to_owned()),
                    state,
                }),
                ..Hold::default()
            })
        };
        vary(
            &mut items,
            &subject,
            action.as_str(),
            ask(Hold::default()),
            [
                ("frozen", freeze(&|_| {})),
                ("frozen, content too", freeze(&content)),
                (
                    "frozen, overridden",
                    freeze(&|hold| overridden(hold, "why")),
                ),
                (
                    "frozen, overridden for no reason",
                    freeze(&|hold| overridden(hold, " ")),
                ),
                ("outside the hours of deploys", hours(None)),
                (
                    "outside the hours of deploys, overridden",
                    hours(Some("why")),
                ),
                ("approval owed", approval(ApprovalState::Asked)),
                ("approved", approval(ApprovalState::Given(name("bob")))),
                (
                    "approved by who may not any more",
                    approval(ApprovalState::Withdrawn(name("bob"))),
                ),
            ],
        );
    }
    items.extend(holding());
    items
}

fn content(hold: &mut Hold) {
    hold.freeze = Some(Freeze {
        content: true,
        ..frozen()
    });
}

fn overridden(hold: &mut Hold, why: &str) {
    hold.overriding = Some(why.to_owned());
}

const CONTENT: &str = "content of an environment";
const WITH_CODE: &str = "content and code of an environment";

type Asked = (String, Action, Box<dyn Fn(Environment) -> Target>);

fn held() -> Vec<Asked> {
    let mut asked: Vec<Asked> = Vec::new();
    for area in [Area::Code, Area::Files, Area::Tmp] {
        let write = Action::ChangeTree(TreeChange::Write);
        asked.push((
            format!("/{area}/x"),
            write,
            Box::new(move |environment| {
                let path = SitePath::normalize(b"x").unwrap();
                Target::Tree(acme(), environment, area, path)
            }),
        ));
    }
    for reference in [
        "refs/heads/main",
        "refs/heads/feature",
        "refs/heads/hotfix/x",
        "refs/heads/topic",
        "refs/tags/v1",
    ] {
        asked.push((
            reference.to_owned(),
            Action::UpdateRef,
            Box::new(move |environment| Target::Ref(acme(), environment, reference.to_owned())),
        ));
    }
    for action in [
        Action::Fetch,
        Action::Push,
        Action::Commit,
        Action::Discard,
        Action::RestoreWork,
        Action::SetConnectionMode,
        Action::Deploy,
        Action::Rollback,
        Action::MergeHotfix,
        Action::DropHotfix,
        Action::CancelWorkflow,
        Action::ConnectDatabase,
        Action::SetDatabase,
        Action::AskApproval,
    ] {
        asked.push(("environment".to_owned(), action, Box::new(on_environment)));
    }
    for action in [
        Action::CloneContent,
        Action::UndoContent,
        Action::ImportContent,
        Action::ExportContent,
        Action::WipeContent,
        Action::CreateBackup,
        Action::RestoreBackup,
        Action::RotatePassword,
    ] {
        asked.push((CONTENT.to_owned(), action, Box::new(on_environment)));
    }
    for action in [Action::ImportContent, Action::RestoreBackup] {
        asked.push((WITH_CODE.to_owned(), action, Box::new(on_environment)));
    }
    asked
}

fn facts(subject: &str) -> Context {
    let kind = match subject {
        "refs/heads/main" => RefKind::Trunk,
        "refs/heads/feature" => RefKind::MultidevBranch(name("feature")),
        "refs/heads/hotfix/x" => RefKind::Hotfix(name("x")),
        "refs/tags/v1" => RefKind::PlainTag,
        _topic => RefKind::PlainBranch,
    };
    let mut content = clone_of(Environment::Live);
    content.wanted.code = subject == WITH_CODE;
    Context {
        content: [CONTENT, WITH_CODE].contains(&subject).then_some(content),
        push: Some(good_push(kind, RefChange::FastForward)),
        deploy: Some(DeployFacts {
            source_ready: true,
            on_trunk: true,
            would_lose: Vec::new(),
        }),
        has_database: true,
        ..Context::default()
    }
}

/// Freezing, ending that, saying when deploys go, and answering requests.
fn holding() -> Vec<Item> {
    let mut items = Vec::new();
    for action in [
        Action::Freeze,
        Action::EndFreeze,
        Action::SetWindows,
        Action::Approve,
        Action::DenyApproval,
    ] {
        let ask = |hold: Hold| {
            let context = Context {
                hold,
                ..Context::default()
            };
            everywhere(action, context, on_environment)
        };
        let by = |by_administrator| {
            ask(Hold {
                freeze: Some(Freeze {
                    by_administrator,
                    ..frozen()
                }),
                ..Hold::default()
            })
        };
        vary(
            &mut items,
            "environment",
            action.as_str(),
            ask(Hold::default()),
            [
                ("frozen by a team member", by(false)),
                ("frozen by an administrator", by(true)),
                (
                    "one's own request",
                    ask(Hold {
                        own_request: true,
                        ..Hold::default()
                    }),
                ),
            ],
        );
    }
    items
}
