//! Finds the built programs, and sees to it that they are built from the sources as they are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Returns the path of the built `funicular`; `funicular-hook` lies beside it.
///
/// FUNICULAR_PROGRAMS names a folder with other ones, such as those of an installed package.
pub fn funicular() -> &'static Path {
    static FUNICULAR: OnceLock<PathBuf> = OnceLock::new();
    FUNICULAR.get_or_init(|| {
        let folder = match std::env::var_os("FUNICULAR_PROGRAMS") {
            Some(folder) => PathBuf::from(folder),
            None => {
                let folder = folder();
                build(&folder);
                folder
            }
        };
        for program in ["funicular", "funicular-hook"] {
            let program = folder.join(program);
            assert!(program.exists(), "{} is not there", program.display());
        }
        folder.join("funicular")
    })
}

/// The folder of the profile that the tests were built with: `target/debug/deps/suite-…` lies one
/// below it.
fn folder() -> PathBuf {
    let test = std::env::current_exe().expect("a program knows its own path");
    let folder = test.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.parent().expect("deps lies in a folder").to_owned()
    } else {
        folder.to_owned()
    }
}

/// `cargo test` for this package alone leaves the programs as they were, or unbuilt.
fn build(folder: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "build",
            "--quiet",
            "-p",
            "funicular",
            "-p",
            "funicular-hooks",
        ])
        .current_dir(workspace())
        .env(
            "CARGO_TARGET_DIR",
            folder.parent().expect("a profile's folder lies in target"),
        );
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    // Cargo tells a test about its package. A build script that watches for these (ring's does)
    // would take them for a change, and everything would be built again, twice.
    for (name, _) in std::env::vars_os() {
        let told = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_CRATE_",
            "CARGO_BIN_",
        ];
        if told
            .iter()
            .any(|start| name.to_string_lossy().starts_with(start))
        {
            cargo.env_remove(name);
        }
    }
    cargo.env_remove("LD_LIBRARY_PATH");
    let built = cargo.status().expect("cargo starts");
    assert!(
        built.success(),
        "cargo could not build funicular and funicular-hook"
    );
}

/// Returns the top folder of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests lies in the workspace")
}
