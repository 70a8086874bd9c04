//! Views, triggers, routines and events: what somebody wrote, with the settings it was written under.

use super::{Connection, Wrong, name};

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database::mariadb) enum Object {
    View,
    Trigger,
    Routine,
    Event,
}

/// An object that runs as somebody.
#[derive(Debug)]
pub(in crate::database::mariadb) struct Code {
    pub(in crate::database::mariadb) object: Object,
    pub(in crate::database::mariadb) name: String,
    /// The statement that makes it.
    pub(in crate::database::mariadb) made: String,
    /// Settings that it is made under and remembers, as `SET` takes them.
    pub(in crate::database::mariadb) settings: String,
}

/// Takes what a `SHOW CREATE` answers: its columns, by their places, are the statement, the mode and
/// the collation.
fn code(
    server: &mut Connection<'_>,
    object: Object,
    named: &str,
    show: &str,
    places: [usize; 3],
) -> Result<Option<Code>, Wrong> {
    let rows = server.texts(show)?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(None);
    };
    let [made, mode, collation] = places.map(|place| row.get(place).cloned().unwrap_or_default());
    if made.is_empty() {
        return Err(Wrong::Server {
            code: 1227,
            message: format!("the gateway's account may not read how {named} is made"),
        });
    }
    Ok(Some(Code {
        object,
        name: named.to_owned(),
        made,
        settings: format!(
            "SESSION sql_mode = {}, collation_connection = {}",
            super::text(&mode),
            super::text(&collation)
        ),
    }))
}

pub(super) fn views(
    server: &mut Connection<'_>,
    schema: &str,
    notes: &mut Vec<String>,
) -> Result<Vec<Code>, Wrong> {
    let listed = server.texts(format!(
        "SELECT TABLE_NAME, COLLATION_CONNECTION FROM information_schema.VIEWS \
         WHERE TABLE_SCHEMA = {schema} ORDER BY TABLE_NAME"
    ))?;
    let mut views = Vec::new();
    for row in &listed {
        let [view, collation] = row.as_slice() else {
            continue;
        };
        // A view whose tables are gone can be made nowhere.
        if let Err(wrong) = server.run(format!("SELECT 1 FROM {} LIMIT 0", name(view)))
            && is_broken(&wrong)
        {
            notes.push(format!(
                "the view {view} is broken in the source and was left out: {wrong}"
            ));
            continue;
        }
        let rows = server.texts(format!("SHOW CREATE VIEW {}", name(view)))?;
        let Some(made) = rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(1))
        else {
            continue;
        };
        views.push(Code {
            object: Object::View,
            name: view.clone(),
            made,
            settings: format!(
                "SESSION sql_mode = '', collation_connection = {}",
                super::text(collation)
            ),
        });
    }
    Ok(views)
}

/// Errors of a view that refers to what is not there, or to what its definer may not see.
fn is_broken(wrong: &Wrong) -> bool {
    [1054, 1146, 1305, 1356, 1449].contains(&wrong.code())
}

pub(super) fn triggers(server: &mut Connection<'_>, schema: &str) -> Result<Vec<Code>, Wrong> {
    let listed = server.texts(format!(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {schema} \
         ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER"
    ))?;
    let mut triggers = Vec::new();
    for trigger in listed.iter().flatten() {
        let show = format!("SHOW CREATE TRIGGER {}", name(trigger));
        triggers.extend(code(server, Object::Trigger, trigger, &show, [2, 1, 4])?);
    }
    Ok(triggers)
}

pub(super) fn routines(server: &mut Connection<'_>, schema: &str) -> Result<Vec<Code>, Wrong> {
    // Packages before their bodies.
    let listed = server.texts(format!(
        "SELECT ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES \
         WHERE ROUTINE_SCHEMA = {schema} ORDER BY ROUTINE_TYPE, ROUTINE_NAME"
    ))?;
    let mut routines = Vec::new();
    for row in &listed {
        let [routine, kind] = row.as_slice() else {
            continue;
        };
        let show = format!("SHOW CREATE {kind} {}", name(routine));
        routines.extend(code(server, Object::Routine, routine, &show, [2, 1, 4])?);
    }
    Ok(routines)
}

pub(super) fn events(server: &mut Connection<'_>, schema: &str) -> Result<Vec<Code>, Wrong> {
    let listed = server.texts(format!(
        "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {schema} \
         ORDER BY EVENT_NAME"
    ))?;
    let mut events = Vec::new();
    for event in listed.iter().flatten() {
        let show = format!("SHOW CREATE EVENT {}", name(event));
        let mut made = code(server, Object::Event, event, &show, [3, 1, 5])?;
        if let Some(event) = &mut made {
            let zone = server.texts(&show)?;
            let zone = zone
                .into_iter()
                .next()
                .and_then(|row| row.into_iter().nth(2));
            if let Some(zone) = zone.filter(|zone| !zone.is_empty()) {
                event
                    .settings
                    .push_str(&format!(", time_zone = {}", super::text(&zone)));
            }
        }
        events.extend(made);
    }
    Ok(events)
}
