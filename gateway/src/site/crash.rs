//! Places where a test can have this process killed, to see that a crash there leaves the old
//! state or the new. Does nothing in released builds.

/// Kills this process with SIGKILL if it was started with `FUNICULAR_CRASH_AT` set to `name`.
pub fn point(name: &str) {
    if cfg!(debug_assertions) && std::env::var_os("FUNICULAR_CRASH_AT").is_some_and(|at| at == name)
    {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}
