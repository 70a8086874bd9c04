//! As `pack-objects`, the program sends the pack whatever becomes of the copy that it keeps.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hooks::{PACK_FOLDER_VARIABLE, PACK_MOST_VARIABLE, PACK_OBJECTS};

#[test]
fn a_full_disk_ends_the_copy_and_not_the_clone() {
    let place = Place::new("full");
    // Files of more than 300 KiB cannot be written, as on a disk that is full.
    let limited = r#"trap "" XFSZ; ulimit -f 600; exec "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", limited, "sh", "git"]);
    place.must_send_the_pack(command);
    assert_eq!(place.kept(), [""; 0]);
    place.must_send_the_pack(Command::new("git"));
    assert_eq!(place.kept().len(), 1);
    place.must_send_the_pack(Command::new("git"));
}

#[test]
fn a_place_that_cannot_be_written_is_no_reason_to_fail() {
    let place = Place::new("gone");
    fs::remove_dir(place.0.join("packs")).unwrap();
    place.must_send_the_pack(Command::new("git"));
    fs::write(place.0.join("packs"), "a file").unwrap();
    place.must_send_the_pack(Command::new("git"));
}

struct Place(PathBuf);

impl Place {
    /// A folder with a repository, a place for packs, and the program as git's hook.
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("packs-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("packs")).unwrap();
        let place = Self(folder);
        let hook = place.0.join(PACK_OBJECTS);
        symlink(env!("CARGO_BIN_EXE_funicular-hook"), &hook).unwrap();
        let config = format!("[uploadpack]\npackObjectsHook = {}\n", hook.display());
        fs::write(place.0.join("config"), config).unwrap();
        place.git(&["init", "-q", "work"]);
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .take(2 << 20)
        .collect();
        fs::write(place.0.join("work/noise"), noise).unwrap();
        place.git(&["-C", "work", "add", "noise"]);
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        place.git(&[&["-C", "work"][..], &who, &["commit", "-qm", "Noise"]].concat());
        place
    }

    fn kept(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.join("packs")).unwrap();
        names
            .map(|name| name.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// Asks upload-pack for all, and has git check what comes (gitprotocol-pack(5)).
    fn must_send_the_pack(&self, mut command: Command) {
        let head = self.git(&["-C", "work", "rev-parse", "HEAD"]).stdout;
        let head = String::from_utf8(head).unwrap();
        let want = format!("want {} ofs-delta\n", head.trim());
        let request = format!("{:04x}{want}00000009done\n", want.len() + 4);
        command
            .args(["upload-pack", "work/.git"])
            .env(PACK_FOLDER_VARIABLE, self.0.join("packs"))
            .env(PACK_MOST_VARIABLE, "100000000");
        let answer = self.run(command, request.as_bytes());
        assert!(answer.status.success(), "{answer:?}");
        let begin = answer.stdout.windows(4).position(|four| four == b"PACK");
        let pack = answer.stdout.get(begin.unwrap()..).unwrap();
        let _ = fs::remove_dir_all(self.0.join("taken"));
        self.git(&["init", "-q", "--bare", "taken"]);
        let mut index = Command::new("git");
        index.args(["-C", "taken", "index-pack", "--strict", "--stdin"]);
        assert!(self.run(index, pack).status.success());
    }

    fn git(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("git");
        command.args(arguments);
        let output = self.run(command, b"");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output
    }

    fn run(&self, mut command: Command, input: &[u8]) -> Output {
        let mut child = command
            .current_dir(&self.0)
            .env("GIT_CONFIG_GLOBAL", self.0.join("config"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        let _ = writer.join();
        output
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _: Result<(), _> = fs::remove_dir_all(Path::new(&self.0));
    }
}
