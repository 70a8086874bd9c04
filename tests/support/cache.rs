//! What tests/install-clients.sh has fetched for the tests and no package manager keeps: the folder,
//! and what lies in it.

use std::path::PathBuf;

/// Returns the folder.
pub fn folder() -> PathBuf {
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    home("FUNICULAR_TEST_CACHE").unwrap_or_else(|| {
        home("XDG_CACHE_HOME")
            .or_else(|| home("HOME").map(|home| home.join(".cache")))
            .expect("HOME is set")
            .join("funicular-tests")
    })
}

/// Returns FileZilla's SFTP engine, of Debian's package `filezilla`.
pub fn fzsftp() -> PathBuf {
    present("fzsftp", "FileZilla's SFTP engine")
}

/// Returns Node's modules, with `ssh2-sftp-client` among them.
pub fn node_modules() -> PathBuf {
    let modules = present("node/node_modules", "Node's modules");
    present(
        "node/node_modules/ssh2-sftp-client",
        "Node's SFTP client ssh2-sftp-client",
    );
    modules
}

/// Returns `path` in the folder; panics when it is not there.
pub(crate) fn present(path: &str, what: &str) -> PathBuf {
    let place = folder().join(path);
    assert!(
        place.exists(),
        "This test needs {what} in {}. tests/install-clients.sh puts it there.",
        place.display()
    );
    place
}
