//! What a site says of its content, and the passwords of its databases.

use jiff::Timestamp;
use policy::{Environment, SiteName};

use super::account::{Account, database, password};
use super::fresh::{Fresh, end};
use super::{Parts, collect};
use crate::audit::Outcome;
use crate::database::Engine;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::layout::EnvironmentLayout;
use crate::site::workflow::{Run, Undone};
use crate::site::{Sites, crash, runtime};

/// Says what the databases of a site are; `provide` then gives each environment one.
///
/// # Errors
/// [`Undone::Impossible`] when no such server is known.
pub fn set_engine(
    sites: &Sites,
    mut permit: Permit,
    engine: Option<Engine>,
    server: Option<&str>,
) -> Result<(), Undone> {
    let site = permit.site()?.clone();
    let chosen = match engine {
        None | Some(Engine::Sqlite) => None,
        Some(engine) => match sites.databases.choose(engine, server) {
            Ok(server) => Some(server.name.clone()),
            Err(sentence) => return Err(end(permit, Undone::Impossible(sentence))),
        },
    };
    let word = engine.map_or("none", Engine::as_str);
    permit.describe(match &chosen {
        Some(server) => format!("database {word} on {server}"),
        None => format!("database {word}"),
    });
    sites.state.set_engine(&site, engine, chosen.as_deref())?;
    Ok(permit.finish(Outcome::Done)?)
}

/// Gives an environment an empty database of the site's engine, unless it has one of that engine;
/// its files stay. What it had is kept for a while, as ever. Returns whether it got one.
///
/// # Errors
/// [`Undone`]; the environment has what it had.
pub fn provide(sites: &Sites, run: &Run, permit: Permit) -> Result<bool, Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    let model = sites.state.model();
    let wanted = model
        .sites
        .get(&site)
        .ok_or_else(|| Fault::new("the site is gone"))?;
    let wanted = (wanted.content.engine, wanted.content.server.clone());
    let layout = sites.layout.site(&site).environment(&environment);
    let now = super::current(&layout)?.database;
    let account = Account::read(&layout.database_store(now))?;
    let has = match (now, &account) {
        (0, _) => (None, None),
        (_, Some(account)) => (Some(account.engine), Some(account.server.clone())),
        (_, None) => (Some(Engine::Sqlite), None),
    };
    if has == wanted {
        permit.forget();
        return Ok(false);
    }
    run.perform("a database of the site's engine", || {
        let parts = Parts {
            database: true,
            files: false,
        };
        let begun = run.step("database", || {
            Fresh::begin(sites, &permit, parts, "a new engine".to_owned())
        });
        let fresh = match begun {
            Ok(fresh) => fresh,
            Err(undone) => return Err(end(permit, undone)),
        };
        if let Err(fault) = fresh.complete(sites, &permit) {
            return Err(fresh.give_up(sites, permit, fault.into()));
        }
        fresh.carry_out(sites, run, permit, None)?;
        Ok(true)
    })
}

/// Says which tables are copied without their rows.
///
/// # Errors
/// When it cannot be kept.
pub fn set_skipping(sites: &Sites, mut permit: Permit, skipping: &str) -> Result<(), Fault> {
    permit.describe(format!(
        "skip-tables {}",
        policy::escape(skipping.as_bytes())
    ));
    let site = permit.site()?.clone();
    sites.state.set_skipping(&site, skipping)?;
    permit.finish(Outcome::Done)
}

/// Says which names of hosts become which on the way from one environment to another.
///
/// # Errors
/// When it cannot be kept.
pub fn set_domains(
    sites: &Sites,
    mut permit: Permit,
    source: &Environment,
    target: &Environment,
    pairs: &[(String, String)],
) -> Result<(), Fault> {
    let list: Vec<String> = pairs
        .iter()
        .map(|(old, new)| format!("{old}={new}"))
        .collect();
    permit.describe(format!(
        "domains from {source} to {target}: {}",
        list.join(" ")
    ));
    let site = permit.site()?.clone();
    sites.state.set_domains(&site, source, target, pairs)?;
    permit.finish(Outcome::Done)
}

/// Says that Live has visitors, or not yet: from then on content goes down only.
///
/// # Errors
/// When it cannot be kept.
pub fn launch(sites: &Sites, mut permit: Permit, launched: bool) -> Result<(), Fault> {
    permit.describe(if launched { "launched" } else { "not launched" });
    let site = permit.site()?.clone();
    sites
        .state
        .set_launched(&site, launched.then(Timestamp::now))?;
    permit.finish(Outcome::Done)
}

/// Gives the user of an environment's databases another password, and tells the site. Who is
/// connected stays so.
///
/// # Errors
/// When the server is away; the password is then what it was, or the next start makes it what was
/// written down.
pub fn rotate_password(sites: &Sites, mut permit: Permit) -> Result<(), Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    match rotate(sites, &permit, &site, &environment) {
        Ok(changed) => {
            permit.describe(format!("{changed} passwords changed"));
            Ok(permit.finish(Outcome::Done)?)
        }
        Err(fault) => Err(end(permit, fault.into())),
    }
}

/// Gives all databases of an environment other passwords; returns how many.
pub(in crate::site) fn rotate(
    sites: &Sites,
    permit: &Permit,
    site: &SiteName,
    environment: &Environment,
) -> Result<usize, Fault> {
    let layout = sites.layout.site(site).environment(environment);
    let mut changed = 0;
    for store in collect::numbers(&layout, "database-")? {
        let path = layout.database_store(store);
        let Some(mut account) = Account::read(&path)? else {
            continue;
        };
        account.next = Some(password()?);
        // Before the server knows it, so that it is never known to the server alone.
        account.write(&path)?;
        crash::point("password-noted");
        finish_rotation(sites, &layout, store)?;
        changed += 1;
    }
    runtime::refresh(sites, permit, site, environment);
    Ok(changed)
}

/// Makes a password that was written down what the server knows.
pub(in crate::site) fn finish_rotation(
    sites: &Sites,
    layout: &EnvironmentLayout,
    store: u64,
) -> Result<(), Fault> {
    let path = layout.database_store(store);
    let Some(mut account) = Account::read(&path)? else {
        return Ok(());
    };
    let Some(next) = account.next.take() else {
        return Ok(());
    };
    if let Some(database) = database(&sites.databases, layout, store)? {
        database.set_password(&next)?;
    }
    crash::point("password-set");
    account.password = next;
    account.write(&path)
}

/// Ends rotations that a crash cut off.
///
/// # Errors
/// When a server is away.
pub(in crate::site) fn finish_rotations(
    sites: &Sites,
    layout: &EnvironmentLayout,
) -> Result<(), Fault> {
    for store in collect::numbers(layout, "database-")? {
        finish_rotation(sites, layout, store)?;
    }
    Ok(())
}
