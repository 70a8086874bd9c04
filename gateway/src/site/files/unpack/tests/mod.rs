mod hostile;
mod real;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;
use crate::site::files::copy::Quiet;

fn room() -> Room {
    Room::unlimited().leaving_free(0)
}

/// Runs a program in a folder, which must succeed.
fn run(folder: &Path, words: &[&str]) {
    let output = Command::new(words[0])
        .args(&words[1..])
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be run: {error}", words[0]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
}

/// Runs Python programs, each of which leaves an archive at `archive`, with what they need at hand;
/// returns where the archives are.
fn pythons(folder: &Path, programs: &[String]) -> Vec<PathBuf> {
    let before = "\
import io, os, stat, struct, tarfile, zipfile
def entry(name, kind=tarfile.REGTYPE, content=b'', link='', mode=0o644):
    one = tarfile.TarInfo(name)
    one.type, one.size, one.linkname, one.mode = kind, len(content), link, mode
    return one, io.BytesIO(content)
def tar(*entries, **how):
    with tarfile.open('archive', 'w', **how) as archive:
        for one in entries:
            archive.addfile(*one)
DIR, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
";
    let mut child = Command::new("python3")
        .args(["-W", "ignore", "-"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(before.as_bytes()).unwrap();
    let mut archives = Vec::new();
    for (number, program) in programs.iter().enumerate() {
        let name = format!("archive-{number}");
        let keep = format!("\nos.rename('archive', '{name}')\n");
        stdin.write_all(program.as_bytes()).unwrap();
        stdin.write_all(keep.as_bytes()).unwrap();
        archives.push(folder.join(name));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success(), "{programs:?}");
    archives
}

fn python(folder: &Path, program: &str) -> PathBuf {
    pythons(folder, &[program.to_owned()]).remove(0)
}

/// Unpacks a file both as a stream and as a file; both must come to the same.
fn unpack_both(archive: &Path, target: &Path) -> Result<Copied, Trouble> {
    let mut stream = File::open(archive).unwrap();
    let streamed = super::unpack(&mut stream, target, &room(), &Quiet);
    let again = target.with_extension("again");
    let file = super::unpack_file(File::open(archive).unwrap(), &again, &room(), &Quiet);
    assert_eq!(format!("{streamed:?}"), format!("{file:?}"));
    fs::remove_dir_all(again).unwrap();
    streamed
}

/// What is said of an archive that must be refused, with nothing written outside.
fn refused(folder: &Path, archive: &Path) -> String {
    let target = folder.join("target");
    let said = match unpack_both(archive, &target) {
        Err(Trouble::Refused(said)) => said,
        other => panic!("{other:?}"),
    };
    fs::remove_dir_all(&target).unwrap();
    said
}
