//! Wiring: opens everything, repairs, listens, drains.

mod control;
mod converse;
mod descriptors;
mod doors;
mod init;
mod listen;
mod logging;
mod notify;
mod penalties;
mod proxy;
mod turned_away;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub use control::{CONTROL_SOCKET, Call, LONGEST_PIECE};
pub use init::{Wanted, init};

use crate::audit::Audit;
use crate::config::Config;
use crate::confine;
use crate::fault::{Fault, OrFault};
use crate::gate::{Gate, Trust};
use crate::protocol::console::Console;
use crate::protocol::exec;
use crate::protocol::git::{HookServer, Pushes, Service};
use crate::protocol::ssh::{self, HostKeys};
use crate::site::content::{self, Servers};
use crate::site::layout::Layout;
use crate::site::packs::PackCache;
use crate::site::steps::Steps;
use crate::site::workflow::Keeping;
use crate::site::{
    Backups, Sites, Targets, Uploads, Workflows, backup, blocking, multidev, repair, targets,
};
use crate::state::{Quota, State};
use doors::Doors;
use listen::Reception;

/// Names inside the data folder.
pub mod place {
    /// Host keys.
    pub const HOST_KEYS: &str = "host_keys";
    /// The state.
    pub const STATE: &str = "state.db";
    /// The audit.
    pub const AUDIT: &str = "audit.db";
    /// Sockets and what else lasts as long as the process.
    pub const RUN: &str = "run";
    /// The folder of git's hooks.
    pub const HOOKS: &str = "hooks";
    /// The folder of sites.
    pub const SITES: &str = "sites";
    /// The keys by which other web hosts are reached.
    pub const TARGETS: &str = "targets";
    /// The packs of clones, kept to be sent again.
    pub const PACKS: &str = "packs";
}

/// The name of the program that git runs as a hook.
const HOOK_PROGRAM: &str = "funicular-hook";

/// The time between two looks for uploads that nobody resumed, and for what else has had its time.
const EXPIRY: Duration = Duration::from_secs(5 * 60);

/// Where packages put it.
const HOOK_FOLDER: &str = "/usr/lib/funicular";

/// Says whether a configuration makes sense in what only its users can tell.
///
/// # Errors
/// With what is wrong.
pub fn check(config: &Config) -> Result<(), Fault> {
    Trust::check(&config.identity)
}

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn serve(config: Config) -> Result<(), Fault> {
    logging::start(&config.log);
    ssh::listen_to_library();
    descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .or_fault(|| "starting the runtime")?;
    let served = runtime.block_on(run(config));
    // Git and hooks that outlived the drain end with their pipes.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn run(config: Config) -> Result<(), Fault> {
    let data = config.data_directory.clone();
    let keys = HostKeys::read(&data.join(place::HOST_KEYS))?;
    let state = Arc::new(State::open(&data.join(place::STATE))?);
    let audit_path = data.join(place::AUDIT);
    let audit = Arc::new(Audit::open(&audit_path)?);

    let mut listeners = Vec::new();
    for address in &config.listen.ssh {
        let listener = TcpListener::bind(address)
            .await
            .or_fault(|| format!("listening on {address}"))?;
        listeners.push(listener);
    }
    let first = listeners
        .first()
        .ok_or_else(|| Fault::new("listen.ssh names no address"))?
        .local_addr()
        .or_fault(|| "reading the address listened on")?;
    let port = config.listen.public_port.unwrap_or(first.port());
    let address = format!("{}:{port}", config.listen.public_host);

    let trust = Arc::new(Trust::new(Arc::clone(&state), &config.identity)?);
    tokio::spawn(Arc::clone(&trust).watch());
    let gate = Gate::new(Arc::clone(&state), Arc::clone(&audit), address);
    let gate = Arc::new(gate.with_trust(trust));
    let sites = Arc::new(Sites {
        state: Arc::clone(&state),
        layout: Layout::new(data.clone()),
        workflows: Arc::new(Workflows::new(
            Arc::clone(&state),
            Layout::new(data.clone()),
            Keeping {
                wait_seconds: config.workflows.max_wait_seconds,
                logs: config.workflows.keep_logs,
                approval_seconds: config.workflows.approval_seconds,
            },
        )),
        uploads: Uploads::new(config.uploads.keep()),
        steps: Steps::new(
            config.steps.clone(),
            config.server_steps.clone(),
            data.clone(),
        ),
        targets: Targets::new(config.targets.clone(), data.join(place::TARGETS)),
        backups: Backups::new(config.backups.clone()),
        databases: Servers::new(&config.database_servers)?,
        keep_former: config.content.keep_former(),
        import_networks: config.content.import_from_networks.clone(),
        quota: Quota {
            bytes: config.quota.bytes,
            files: config.quota.files,
        },
    });
    {
        let (sites, gate) = (Arc::clone(&sites), Arc::clone(&gate));
        for line in blocking(move || repair::repair(&sites, &gate)).await? {
            tracing::warn!("repair: {line}");
        }
    }

    tokio::spawn(expire_uploads(Arc::clone(&sites)));
    tokio::spawn(targets::deliver(Arc::clone(&sites)));
    tokio::spawn(backup::run_by_itself(Arc::clone(&sites), Arc::clone(&gate)));
    tokio::spawn(expire_content(Arc::clone(&sites), Arc::clone(&gate)));
    tokio::spawn(expire_multidevs(
        Arc::clone(&sites),
        Arc::clone(&gate),
        config.multidev.keep_deleted(),
    ));

    let run_folder = private_folder(&data.join(place::RUN))?;
    let hooks = hooks_folder(&data)?;
    let pushes = Arc::new(Pushes::new(
        Arc::clone(&gate),
        Arc::clone(&sites),
        run_folder.join("hooks.sock"),
    ));
    let hook_server = HookServer::bind(pushes.socket(), Arc::clone(&pushes))?;
    tokio::spawn(hook_server.run());

    let console = Arc::new(Console {
        gate: Arc::clone(&gate),
        state: Arc::clone(&state),
        audit: Arc::clone(&audit),
        audit_path,
        sites: Arc::clone(&sites),
        spool: run_folder.clone(),
        keep_deleted: config.multidev.keep_deleted(),
    });
    let control = control::Control::bind(&run_folder.join(CONTROL_SOCKET), Arc::clone(&console))?;
    tokio::spawn(control.run());

    if let Err(fault) = confine::available() {
        tracing::warn!("rsync will be refused: {fault}");
    }
    tell_of_steps(Arc::clone(&sites));
    let server = Arc::new(ssh::Server {
        gate: Arc::clone(&gate),
        state,
        sites: Arc::clone(&sites),
        exec: Arc::new(exec::Service::new(Arc::clone(&gate), Arc::clone(&sites))),
        git: Arc::new(Service::new(
            Arc::clone(&gate),
            sites,
            pushes,
            hooks,
            PackCache::open(data.join(place::PACKS), config.git.pack_cache_bytes)?,
            config.git.clone(),
        )),
        console,
        limits: config.limits.clone(),
        algorithms: config.ssh.algorithms,
    });
    let doors = Doors::new(&config.limits);
    let offer = ssh::Offer::new(keys, &config);
    let reception = Arc::new(Reception::new(config.clone(), offer, server, doors.clone()));
    let listening: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::spawn(Arc::clone(&reception).accept(listener)))
        .collect();

    tracing::info!(ssh = %first, "ready");
    println!("Funicular is ready: ssh {first}");
    notify::ready();

    stop_signal().await?;
    notify::stopping();
    for task in &listening {
        task.abort();
    }
    tracing::info!(
        connections = doors.open(),
        "stopping: no more connections are taken, those that are open may end their work"
    );
    doors
        .drain(Duration::from_secs(config.limits.drain_seconds))
        .await;
    blocking(move || audit.close()).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Says how steps of sites are held, or that they will be refused. Trying it takes a moment, and
/// nobody needs to wait for it.
fn tell_of_steps(sites: Arc<Sites>) {
    tokio::task::spawn_blocking(move || match sites.steps.available() {
        Ok(()) => {
            tracing::info!(
                "steps of sites run in sandboxes; limits are held by {}",
                sites.steps.protection()
            );
        }
        Err(why) => tracing::warn!("steps of sites will be refused: {why}"),
    });
}

/// Removes uploads that nobody resumed, from time to time.
async fn expire_uploads(sites: Arc<Sites>) {
    loop {
        tokio::time::sleep(EXPIRY).await;
        let sites = Arc::clone(&sites);
        let expired = blocking(move || {
            sites.uploads.expire();
            Ok(())
        });
        if let Err(fault) = expired.await {
            tracing::error!("uploads that nobody resumed could not be removed: {fault}");
        }
    }
}

/// Removes former contents whose time is over, at the start and from time to time.
async fn expire_content(sites: Arc<Sites>, gate: Arc<Gate>) {
    loop {
        if let Err(fault) = content::expire(&sites, &gate).await {
            tracing::error!("former contents could not be removed: {fault}");
        }
        tokio::time::sleep(EXPIRY).await;
    }
}

/// Removes deleted Multidevs whose time is over, at the start and from time to time.
async fn expire_multidevs(sites: Arc<Sites>, gate: Arc<Gate>, keep: Duration) {
    loop {
        if let Err(fault) = multidev::expire(&sites, &gate, keep).await {
            tracing::error!("deleted Multidevs could not be removed: {fault}");
        }
        tokio::time::sleep(EXPIRY).await;
    }
}

async fn stop_signal() -> Result<(), Fault> {
    let doing = || "waiting for signals";
    let mut terminate = signal(SignalKind::terminate()).or_fault(doing)?;
    let mut interrupt = signal(SignalKind::interrupt()).or_fault(doing)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn private_folder(path: &Path) -> Result<PathBuf, Fault> {
    let doing = || format!("making {}", path.display());
    if !path.exists() {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(path)
            .or_fault(doing)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).or_fault(doing)?;
    Ok(path.to_path_buf())
}

/// Makes the folder that git is forced to take its hooks from: links to our program.
fn hooks_folder(data: &Path) -> Result<PathBuf, Fault> {
    let folder = data.join(place::HOOKS);
    let program = hook_program()?;
    if folder.exists() {
        fs::remove_dir_all(&folder).or_fault(|| "clearing the hooks")?;
    }
    fs::create_dir(&folder).or_fault(|| "making the folder of hooks")?;
    for hook in ["pre-receive", "proc-receive", ::hooks::PACK_OBJECTS] {
        symlink(&program, folder.join(hook)).or_fault(|| "linking a hook")?;
    }
    Ok(folder)
}

/// Without its hook program the gateway would refuse every push, so it does not start.
fn hook_program() -> Result<PathBuf, Fault> {
    let own = std::env::current_exe().or_fault(|| "finding the gateway's own program")?;
    let beside = own.with_file_name(HOOK_PROGRAM);
    let packaged = Path::new(HOOK_FOLDER).join(HOOK_PROGRAM);
    [beside, packaged]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Fault::new(format!(
                "{HOOK_PROGRAM} is neither beside {} nor in {HOOK_FOLDER}",
                own.display()
            ))
        })
}
