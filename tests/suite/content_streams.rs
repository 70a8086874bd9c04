//! Data through commands, in both directions: as large as it is, in little memory, byte by byte, and
//! never taken for whole when it broke off.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::screen::Screen;
use support::{Client, Role, Shared, Site, measure, wait_for};

static SHARED: Shared = Shared::new();

const LARGE: u64 = 300 << 20;

/// So long a workflow may take to see that its input is gone.
const LONG: Duration = Duration::from_secs(90);

#[test]
fn large_archives_go_both_ways_over_ssh_in_little_memory() {
    let site = SHARED.gateway().site("cs-large");
    let ada = site.person(Role::Administrator);
    let desk = ada.desk("cs-large");
    let archive = large_archive(&desk);
    let before = measure::most_memory(&site.gateway);
    let import =
        ada.openssh("ssh")
            .args(["-T", "console@gateway", "import:files", "cs-large.dev", "-"]);
    through(import, Some(&archive), &desk.join("said"));
    assert_eq!(
        sum(&site.disk("dev", "files").join("large")),
        sum(&desk.join("large"))
    );
    let export = ada
        .openssh("ssh")
        .args(["-T", "console@gateway", "export:files", "cs-large.dev"])
        .args(["--archive", "tar", "--format", "json"]);
    let back = desk.join("back.tar");
    through(export, None, &back);
    assert_eq!(sum_in(&back, &desk), sum(&desk.join("large")));
    let grown = measure::most_memory(&site.gateway).saturating_sub(before);
    assert!(grown < 96 << 20, "the gateway grew by {} MiB", grown >> 20);
}

#[test]
fn large_archives_go_both_ways_on_the_server_itself() {
    let site = SHARED.gateway().site("cs-local");
    let desk = site.person(Role::Administrator).desk("cs-local");
    let archive = large_archive(&desk);
    let import = site.command(&["import:files", "SITE.dev", "-"]);
    through(import, Some(&archive), &desk.join("said"));
    assert_eq!(
        sum(&site.disk("dev", "files").join("large")),
        sum(&desk.join("large"))
    );
    let back = desk.join("back.tar");
    through(
        site.command(&["export:files", "SITE.dev", "--archive", "tar"]),
        None,
        &back,
    );
    assert_eq!(sum_in(&back, &desk), sum(&desk.join("large")));
}

#[test]
fn what_breaks_off_is_no_import() {
    let site = SHARED.gateway().site("cs-cut");
    site.command(&["import:files", "SITE.dev", "-"])
        .input(small_archive(&site))
        .run()
        .ok();
    let ada = site.person(Role::Administrator);
    let desk = ada.desk("cs-cut");
    let archive = large_archive(&desk);
    let before = exported(&site);
    let over_ssh =
        ada.openssh("ssh")
            .args(["-T", "console@gateway", "import:files", "cs-cut.dev", "-"]);
    let here = site.command(&["import:files", "SITE.dev", "-"]);
    for (count, client) in [over_ssh, here].into_iter().enumerate() {
        let mut cut = client.start_piped();
        let mut input = cut.child().stdin.take().unwrap();
        let mut from = File::open(&archive).unwrap().take(LARGE / 3);
        std::io::copy(&mut from, &mut input).unwrap();
        // With its pipe still open, so that only the connection's end tells of it.
        cut.signal_group(Signal::SIGKILL);
        let failed = wait_for("the import to fail", LONG, || {
            let flows = rows(&site, &["workflow:list", "SITE"]);
            let failed = flows
                .iter()
                .filter(|flow| flow["workflow"] == "import_files" && flow["status"] == "failed");
            let failed: Vec<Value> = failed.cloned().collect();
            (failed.len() > count).then_some(failed)
        });
        drop(input);
        assert!(
            failed
                .iter()
                .all(|flow| flow["result"].to_string().contains("broke off")),
            "{failed:?}"
        );
        assert_eq!(exported(&site), before);
    }
    // A client that ends its input says that this is all; then the archive has to say so, too.
    let half = std::fs::read(&archive).unwrap();
    let half = &half[..half.len() / 2];
    site.console(ada, &["import:files", "SITE.dev", "-"])
        .input(half)
        .run()
        .fails();
    assert_eq!(exported(&site), before);
}

#[test]
fn a_client_that_goes_ends_an_export() {
    let site = SHARED.gateway().site("cs-gone");
    let ada = site.person(Role::Administrator);
    let desk = ada.desk("cs-gone");
    let archive = large_archive(&desk);
    through(
        site.command(&["import:files", "SITE.dev", "-"]),
        Some(&archive),
        &desk.join("said"),
    );
    let over_ssh = ada.openssh("ssh").args([
        "-T",
        "console@gateway",
        "export:files",
        "cs-gone.dev",
        "--archive",
        "tar",
    ]);
    let here = site.command(&["export:files", "SITE.dev", "--archive", "tar"]);
    for (count, client) in [over_ssh, here].into_iter().enumerate() {
        let mut client = client.start_piped();
        let mut some = vec![0; 1 << 20];
        client
            .child()
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut some)
            .unwrap();
        client.signal_group(Signal::SIGKILL);
        wait_for("the export to end", LONG, || {
            let found = rows(&site, &["audit:list", "--site", "SITE", "--limit", "100"]);
            let failed = found
                .iter()
                .filter(|row| row["action"] == "content-export" && row["outcome"] == "failed");
            (failed.count() > count).then_some(())
        });
    }
}

#[test]
fn data_and_terminals_do_not_mix() {
    let site = SHARED.gateway().site("cs-terminal");
    let ada = site.person(Role::Administrator);
    for (words, said) in [
        (
            &["export:files", "cs-terminal.dev"][..],
            "Standard output is a terminal here",
        ),
        (
            &["import:files", "cs-terminal.dev", "-"],
            "Standard input is a terminal here",
        ),
    ] {
        let client = ada
            .openssh("ssh")
            .args(["-tt", "console@gateway"])
            .args(words);
        let screen = Screen::start(client);
        screen.shows(said);
        assert_eq!(screen.ends().0, Some(1));
    }
}

#[test]
fn an_export_stands_in_backups_when_it_is_whole() {
    let site = SHARED.gateway().site("cs-kept");
    site.command(&["import:files", "SITE.dev", "-"])
        .input(small_archive(&site))
        .run()
        .ok();
    let tom = site.person(Role::TeamMember);
    let to = |name: &str| {
        let words = ["export:files", "SITE.dev", "--archive", "tar", "--to", name];
        site.console(tom, &words).run()
    };
    let done = to("mine.tar").ok();
    assert_eq!(done.out(), "Wrote /backups/mine.tar of cs-kept.dev.\n");
    let desk = tom.desk("cs-kept");
    let got = desk.join("got.tar");
    let get = format!("get /backups/mine.tar {}\n", got.display());
    site.sftp(tom, "dev", get).run().ok();
    let listed = Client::new("tar").arg("-tf").arg(&got).run().ok();
    assert!(listed.out().contains("small.txt"), "{listed}");
    to("mine.tar")
        .code(1)
        .says("There is a file /backups/mine.tar already");
    for name in ["../x", ".x", "a/b", ""] {
        to(name).code(1).says("is no name for a file in /backups");
    }
    let kept = std::fs::read_dir(site.disk("dev", "backups")).unwrap();
    assert_eq!(kept.count(), 1);
}

/// Runs a client with a file as its input and one as its output.
#[track_caller]
fn through(client: Client, from: Option<&Path>, to: &Path) {
    let input = from.map_or_else(Stdio::null, |from| File::open(from).unwrap().into());
    let said = to.with_extension("err");
    let (output, errors) = (File::create(to).unwrap(), File::create(&said).unwrap());
    let mut running = client.start_between(input, output.into(), errors.into());
    let status = running.wait(Duration::from_secs(300));
    let said = std::fs::read_to_string(&said).unwrap();
    assert!(
        status.is_some_and(|status| status.success()),
        "{status:?}: {said}"
    );
}

/// An archive with one large file of which no two blocks are the same.
fn large_archive(desk: &Path) -> PathBuf {
    let large = desk.join("large");
    let mut file = std::io::BufWriter::with_capacity(1 << 20, File::create(&large).unwrap());
    let mut number: u64 = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..LARGE / 8 {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        file.write_all(&number.to_le_bytes()).unwrap();
    }
    file.into_inner().unwrap();
    let archive = desk.join("large.tar");
    let tar = Client::new("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(desk);
    tar.arg("large").run().ok();
    archive
}

fn small_archive(site: &Site) -> Vec<u8> {
    let desk = site
        .person(Role::Administrator)
        .desk(&format!("{}-small", site.name));
    std::fs::write(desk.join("small.txt"), "small\n").unwrap();
    let tar = Client::new("tar").arg("-cf").arg("-").arg("-C").arg(&desk);
    tar.arg("small.txt").run().ok().stdout
}

fn exported(site: &Site) -> String {
    let done = site.must(&["export:files", "SITE.dev", "--archive", "tar"]);
    let listed = Client::new("tar").args(["-tvf", "-"]).input(done.stdout);
    listed.run().ok().out()
}

fn sum(path: &Path) -> String {
    let done = Client::new("sha256sum").arg("-b").arg(path).run().ok();
    done.out().split(' ').next().unwrap().to_owned()
}

/// The sum of the large file in an archive.
fn sum_in(archive: &Path, desk: &Path) -> String {
    let out = desk.join("out");
    std::fs::create_dir_all(&out).unwrap();
    let tar = Client::new("tar")
        .arg("-xf")
        .arg(archive)
        .arg("-C")
        .arg(&out);
    tar.run().ok();
    let found = Client::new("find")
        .arg(&out)
        .args(["-name", "large"])
        .run()
        .ok();
    sum(Path::new(found.out().trim()))
}

fn rows(site: &Site, words: &[&str]) -> Vec<Value> {
    let printed = site.must(&[words, &["--format", "json"]].concat());
    match serde_json::from_slice(&printed.stdout) {
        Ok(Value::Array(rows)) => rows,
        other => panic!("no list: {other:?}: {printed}"),
    }
}
