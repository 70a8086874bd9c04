//! The tree of Debian's `wordpress` package, unpacked by tests/install-clients.sh: thousands of files
//! as people really have them.

use std::path::PathBuf;

/// Returns the folder with WordPress in it.
pub fn tree() -> PathBuf {
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = home("FUNICULAR_TEST_CACHE").unwrap_or_else(|| {
        home("XDG_CACHE_HOME")
            .or_else(|| home("HOME").map(|home| home.join(".cache")))
            .expect("HOME is set")
            .join("funicular-tests")
    });
    let tree = cache.join("wordpress");
    assert!(
        tree.join("wp-settings.php").exists(),
        "This test needs WordPress's files in {}, from the Debian package wordpress. \
         tests/install-clients.sh unpacks it there.",
        tree.display()
    );
    tree
}
