//! Who may cancel what others, or they themselves, have begun.

use policy::{Action, Context};

use super::{Item, everywhere, on_environment, vary};

pub fn items() -> Vec<Item> {
    let mut items = Vec::new();
    let mine = Context {
        own_workflow: true,
        ..Context::default()
    };
    let ask = |context| everywhere(Action::CancelWorkflow, context, on_environment);
    let (own, others) = (ask(mine), ask(Context::default()));
    let verb = Action::CancelWorkflow.as_str();
    vary(
        &mut items,
        "environment",
        verb,
        others,
        [("one's own", own)],
    );
    items
}
