//! Pushes that break off, lie or aim at what is not theirs: each gets a clear no, and nothing stays.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::process::Process;
use support::{Clone, Person, Site, Tree, tree, wait_for};

use crate::git_client::{git_site, has_remote_sentence, objects};

#[test]
fn a_pack_that_is_cut_off_leaves_nothing() {
    let (site, tom) = git_site("h-cut");
    let clone = Clone::new(&site, &tom);
    let (old, new, pack) = large_commit(&clone);
    let before = objects(&site.repository());
    let mut push = ReceivePack::start(&site, &tom);
    push.command(&old, &new, "refs/heads/main");
    push.write(&pack[..pack.len() / 2]);
    let said = push.finish();
    assert!(!said.contains("ok refs/heads/main"), "{said}");
    nothing_stays(&site, &clone, &old, &before);

    // The same with its last byte wrong: the pack's own checksum tells.
    let mut wrong = pack.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let mut push = ReceivePack::start(&site, &tom);
    push.command(&old, &new, "refs/heads/main");
    push.write(&wrong);
    let said = push.finish();
    assert!(
        said.contains("unpack") && !said.contains("ok refs/heads/main"),
        "{said}"
    );
    nothing_stays(&site, &clone, &old, &before);
    clone.must(&["push", "--quiet", "dev", "main"]);
}

#[test]
fn a_client_killed_in_the_middle_of_a_push_leaves_nothing() {
    let (site, tom) = git_site("h-kill");
    let clone = Clone::new(&site, &tom);
    let (old, new, pack) = large_commit(&clone);
    let before = objects(&site.repository());
    let mut push = ReceivePack::start(&site, &tom);
    push.command(&old, &new, "refs/heads/main");
    push.write(&pack[..pack.len() / 2]);
    wait_for("git to take in the pack", Duration::from_secs(30), || {
        (objects(&site.repository()) != before).then_some(())
    });
    push.process.signal_group(Signal::SIGKILL);
    drop(push);
    nothing_stays(&site, &clone, &old, &before);
    clone.must(&["push", "--quiet", "dev", "main"]);
}

#[test]
fn refs_with_strange_names_are_kept_exactly_or_refused_in_words() {
    let (site, tom) = git_site("h-names");
    let clone = Clone::new(&site, &tom);
    let head = clone.ask(&["rev-parse", "HEAD"]);
    let long = format!("refs/heads/{}", "l".repeat(200));
    for name in [
        "refs/heads/ünïcödé",
        "refs/heads/it's-\"quoted\"",
        "refs/heads/$(touch${IFS}pwned)",
        "refs/heads/`touch`;touch|touch&touch",
        "refs/heads/a/b/c/d/e",
        "refs/heads/-rf",
        "refs/heads/%2e%2e",
        "refs/heads/main2",
        "refs/heads/xmain",
        "refs/heads/hotfix",
        "refs/heads/test",
        "refs/heads/refs/heads/main",
        "refs/tags/--force",
        "refs/tags/test_1x",
        "refs/tags/xlive_1",
        long.as_str(),
    ] {
        let pushed = clone.git(&["push", "dev", &format!("HEAD:{name}")]).run();
        let stored = clone.ask(&["ls-remote", "dev"]);
        let stored = stored.lines().any(|line| line == format!("{head}\t{name}"));
        match pushed.code {
            Some(0) => assert!(stored, "{name} was taken and is not there: {pushed}"),
            _ => {
                has_remote_sentence(&pushed);
                assert!(!stored, "{name} was refused and is there: {pushed}");
            }
        }
    }
    for name in [
        "refs/meta/config",
        "refs/notes/commits",
        "refs/replace/0000000000000000000000000000000000000001",
        "refs/funicular/work/1",
        "refs/remotes/origin/main",
        "refs/stash",
    ] {
        let refused = clone
            .git(&["push", "dev", &format!("HEAD:{name}")])
            .run()
            .fails();
        has_remote_sentence(&refused);
    }
    assert_eq!(
        site.tree("dev", "code").content("index.php"),
        Some(&b"<?php echo 'first';\n"[..])
    );
}

#[test]
fn refs_that_are_no_refs_are_refused() {
    let (site, tom) = git_site("h-no-refs");
    let clone = Clone::new(&site, &tom);
    let head = clone.ask(&["rev-parse", "HEAD"]);
    let nothing = "0".repeat(40);
    let empty = clone
        .git(&["pack-objects", "--quiet", "--stdout"])
        .run()
        .ok()
        .stdout;
    let before = Tree::read(site.repository()).without(|path| path.starts_with(b"objects"));
    for name in [
        "HEAD",
        "config",
        "refs/heads/../../config",
        "refs/heads/a..b",
        "refs/heads/x.lock",
        "refs/heads/two words",
        "refs/heads/tilde~1",
        "refs/heads/",
        "refs",
        "/etc/cron.d/evil",
        "../state.db",
        "refs/heads/new\nline",
        "refs/heads/\x1b[31mred",
        "hooks/pre-receive",
    ] {
        let mut push = ReceivePack::start(&site, &tom);
        push.command(&nothing, &head, name);
        push.write(&empty);
        let said = push.finish();
        assert!(
            !said.contains("\nok ") && !said.contains("000eok"),
            "{name:?} was taken: {said}"
        );
        let after = Tree::read(site.repository()).without(|path| path.starts_with(b"objects"));
        after.must_equal(&before);
    }
}

#[test]
fn commits_that_would_harm_a_checkout_are_refused() {
    let (site, tom) = git_site("h-harm");
    let clone = Clone::new(&site, &tom);
    let blob = clone.ask(&["rev-parse", "HEAD:index.php"]);
    let before = objects(&site.repository());
    for (mode, name) in [
        ("100644", ".git"),
        ("100644", ".GIT"),
        ("100644", "git~1"),
        ("100644", ".."),
        ("100644", "."),
        ("100644", "a/b"),
        ("120000", ".gitmodules"),
    ] {
        let mut entry = format!("{mode} {name}\0").into_bytes();
        entry.extend((0..20).map(|at| u8::from_str_radix(&blob[at * 2..at * 2 + 2], 16).unwrap()));
        let hash = ["hash-object", "-t", "tree", "--literally", "-w", "--stdin"];
        let tree = clone.git(&hash).input(&entry).run().ok().out();
        let commit = clone.ask(&["commit-tree", tree.trim(), "-p", "HEAD", "-m", "harm"]);
        let refused = clone
            .git(&["push", "dev", &format!("{commit}:refs/heads/main")])
            .run()
            .fails();
        assert!(
            refused.err().contains("remote: "),
            "no reason for {name:?}: {refused}"
        );
        assert_eq!(objects(&site.repository()), before, "{name:?} was kept");
    }
    // A path that only looks like it is fine.
    clone.commit(".gitignore", "*.log\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    assert!(site.tree("dev", "code").holds(".gitignore"));
}

#[test]
fn a_commit_with_git_s_folder_below_is_refused() {
    let (site, tom) = git_site("h-nested");
    let clone = Clone::new(&site, &tom);
    let sub = clone.ask(&["rev-parse", "HEAD:lib"]);
    let entry = format!("040000 tree {sub}\t.git\n");
    let made = clone.git(&["mktree"]).input(&entry).run();
    if made.code != Some(0) {
        // Newer git will not even make it; the case above has built the same by hand.
        return;
    }
    let lib = made.out();
    let top = clone
        .git(&["mktree"])
        .input(format!("040000 tree {}\tlib\n", lib.trim()))
        .run()
        .ok()
        .out();
    let commit = clone.ask(&["commit-tree", top.trim(), "-p", "HEAD", "-m", "nested"]);
    clone
        .git(&["push", "dev", &format!("{commit}:main")])
        .run()
        .fails();
    assert!(!site.tree("dev", "code").holds("lib/.git"));
}

#[test]
fn nonsense_in_place_of_a_push_is_answered_and_ended() {
    let (site, tom) = git_site("h-nonsense");
    let nonsense = tree::noise(5, 4096);
    for sent in [
        &b""[..],
        b"0000",
        b"zzzz",
        b"0001",
        b"ffff",
        b"0032",
        &nonsense,
    ] {
        let mut push = ReceivePack::start(&site, &tom);
        push.write(sent);
        push.finish();
    }
    let clone = Clone::new(&site, &tom);
    clone.commit("index.php", "<?php echo 'still works';\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
}

/// Commits enough that no pack of it travels at once; returns trunk's commit, the new one and the pack.
fn large_commit(clone: &Clone) -> (String, String, Vec<u8>) {
    let old = clone.ask(&["rev-parse", "HEAD"]);
    fs::write(
        clone.folder().join("large.bin"),
        tree::noise(21, 16 * 1024 * 1024),
    )
    .unwrap();
    let new = clone.commit("index.php", "<?php echo 'large';\n");
    let pack = clone
        .git(&["pack-objects", "--quiet", "--revs", "--stdout"])
        .input(format!("{new}\n^{old}\n"))
        .run()
        .ok()
        .stdout;
    assert!(pack.len() > 16 * 1024 * 1024);
    (old, new, pack)
}

#[track_caller]
fn nothing_stays(
    site: &Site,
    clone: &Clone,
    old: &str,
    before: &std::collections::BTreeSet<Vec<u8>>,
) {
    assert!(
        clone
            .ask(&["ls-remote", "dev", "refs/heads/main"])
            .starts_with(old)
    );
    wait_for(
        "git to clear away what came",
        Duration::from_secs(30),
        || (objects(&site.repository()) == *before).then_some(()),
    );
    assert_eq!(
        site.tree("dev", "code").content("index.php"),
        Some(&b"<?php echo 'first';\n"[..])
    );
    let checked = Command::new("git")
        .args(["fsck", "--no-dangling", "--no-progress"])
        .env("GIT_DIR", site.repository())
        .output()
        .unwrap();
    assert!(checked.status.into_raw() == 0, "{checked:?}");
}

/// A conversation with `git-receive-pack` over ssh, spoken by hand.
struct ReceivePack {
    process: Process,
    first: bool,
}

impl ReceivePack {
    fn start(site: &Site, person: &Person) -> Self {
        let process = site
            .ssh_for_git(person, "dev", "git-receive-pack '/repository.git'")
            .start_piped();
        let mut push = Self {
            process,
            first: true,
        };
        push.read_advertisement();
        push
    }

    fn read_advertisement(&mut self) {
        let stdout = self
            .process
            .child()
            .stdout
            .as_mut()
            .expect("stdout is a pipe");
        loop {
            let mut length = [0; 4];
            stdout.read_exact(&mut length).expect("an advertisement");
            let length = std::str::from_utf8(&length)
                .ok()
                .and_then(|hex| usize::from_str_radix(hex, 16).ok());
            match length.expect("a length in hex") {
                0 => break,
                length => {
                    let mut line = vec![0; length - 4];
                    stdout.read_exact(&mut line).expect("a line");
                }
            }
        }
    }

    fn command(&mut self, old: &str, new: &str, name: &str) {
        let capabilities = if self.first {
            "\0report-status side-band-64k agent=test/1"
        } else {
            ""
        };
        self.first = false;
        let line = format!("{old} {new} {name}{capabilities}");
        self.write(format!("{:04x}{line}0000", line.len() + 4).as_bytes());
    }

    /// Writes as long as the other side reads.
    fn write(&mut self, bytes: &[u8]) {
        let stdin = self
            .process
            .child()
            .stdin
            .as_mut()
            .expect("stdin is a pipe");
        let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
    }

    /// Ends our side and returns all that the other said.
    fn finish(mut self) -> String {
        self.process.child().stdin = None;
        let mut said = Vec::new();
        let stdout = self
            .process
            .child()
            .stdout
            .as_mut()
            .expect("stdout is a pipe");
        let _ = stdout.read_to_end(&mut said);
        let mut errors = Vec::new();
        let stderr = self
            .process
            .child()
            .stderr
            .as_mut()
            .expect("stderr is a pipe");
        let _ = stderr.read_to_end(&mut errors);
        let ended = self.process.wait(Duration::from_secs(30));
        assert!(ended.is_some(), "the push never ended");
        said.extend(errors);
        String::from_utf8_lossy(&said).into_owned()
    }
}
