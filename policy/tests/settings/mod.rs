//! Where an environment's database is, where it is served, and which of its releases may go there.

use policy::{Action, Context};

use super::{Item, everywhere, on_environment, vary};

pub fn items() -> Vec<Item> {
    let mut items = Vec::new();
    for action in [
        Action::ConnectDatabase,
        Action::SetDatabase,
        Action::SetFront,
        Action::AllowRelease,
    ] {
        let known = |has_database| Context {
            has_database,
            ..Context::default()
        };
        vary(
            &mut items,
            "environment",
            action.as_str(),
            everywhere(action, known(true), on_environment),
            [(
                "nobody has said where it is",
                everywhere(action, known(false), on_environment),
            )],
        );
    }
    items
}
