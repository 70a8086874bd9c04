//! The tree of Debian's `wordpress` package, unpacked by tests/install-clients.sh: thousands of files
//! as people really have them.

use std::path::PathBuf;

use crate::cache;

/// Returns the folder with WordPress in it.
pub fn tree() -> PathBuf {
    cache::present("wordpress/wp-settings.php", "WordPress's files");
    cache::folder().join("wordpress")
}
