//! The other SFTP clients people use, each in its own way of working: rclone, lftp, psftp. (sshfs has
//! a file of its own.)

use std::fs;
use std::path::Path;

use support::{Client, Person, Role, Shared, Site, Tree, putty};

static SHARED: Shared = Shared::new();

#[test]
fn rclone_syncs_up_checks_and_syncs_down() {
    let (site, tom) = site("c-rclone");
    let desk = tom.desk("rclone");
    // rclone itself cannot carry names that are not UTF-8.
    let sample = Tree::sample().without(|path| std::str::from_utf8(path).is_err());
    sample.write(desk.join("up"));
    for area in ["files", "code"] {
        let there = format!(":sftp:/{area}/synced");
        let rclone = |words: &[&str]| rclone(&site, &tom, &desk, words).run().ok();
        rclone(&["sync", "--create-empty-src-dirs", "up", &there]);
        Tree::read(site.disk("dev", area).join("synced")).must_equal_but_modes(&sample);
        rclone(&["check", "--download", "up", &there]).says("0 differences found");
        let down = format!("down-{area}");
        rclone(&["sync", "--create-empty-src-dirs", &there, &down]);
        Tree::read(desk.join(down)).must_equal_but_modes(&sample);
    }
    // A second sync carries only what has changed, and takes away what is gone.
    fs::remove_file(desk.join("up/index.php")).unwrap();
    fs::write(desk.join("up/new.php"), "new").unwrap();
    rclone(&site, &tom, &desk, &["sync", "up", ":sftp:/files/synced"])
        .run()
        .ok();
    let files = site.tree("dev", "files");
    assert!(!files.holds("synced/index.php") && files.holds("synced/new.php"));
}

#[test]
fn rclone_is_refused_in_live_and_fails() {
    let (site, tom) = site("c-rclone-live");
    site.deploy_all();
    let desk = tom.desk("rclone-live");
    Tree::default()
        .file("evil.php", "evil")
        .write(desk.join("up"));
    let before = site.tree("live", "code");
    let refused = rclone_at(
        &site,
        &tom,
        "live",
        &desk,
        &["copy", "--retries", "1", "up", ":sftp:/code"],
    );
    // rclone puts its own words in the place of the status message.
    refused.run().fails().says("permission denied");
    site.tree("live", "code").must_equal(&before);
}

#[test]
fn lftp_mirrors_both_ways_in_parallel() {
    let (site, tom) = site("c-lftp");
    let desk = tom.desk("lftp");
    // lftp takes a backslash in a name for an escape of its own.
    let sample = Tree::sample().without(|path| path.contains(&b'\\'));
    sample.write(desk.join("up"));
    let script = "mirror -R -P 4 up /files/up\nmirror -P 4 /files/up down\n\
                  mirror -P 4 --use-pget-n=4 /files/up segments\n\
                  mirror -R -P 4 --delete up /code/up\n\
                  put -O /files up/index.php\nmv /files/index.php /files/moved.php\n\
                  mkdir -p /files/a/b\nchmod 600 /files/moved.php\nrm -r /files/a\n";
    lftp(&site, &tom, "dev", &desk, script).run().ok();
    for place in [
        site.disk("dev", "files").join("up"),
        site.disk("dev", "code").join("up"),
        desk.join("down"),
        desk.join("segments"),
    ] {
        Tree::read(place).must_equal_but_modes(&sample);
    }
    let files = site.tree("dev", "files");
    assert!(files.holds("moved.php") && !files.holds("a"));
}

#[test]
fn lftp_shows_the_reason_of_a_refusal() {
    let (site, tom) = site("c-lftp-live");
    site.deploy_all();
    let desk = tom.desk("lftp-live");
    Tree::default().file("evil.php", "evil").write(&desk);
    let before = site.tree("live", "code");
    let refused = lftp(&site, &tom, "live", &desk, "put -O /code evil.php\n")
        .run()
        .fails();
    refused.says("read-only").says("[incident ");
    site.tree("live", "code").must_equal(&before);
}

#[test]
fn psftp_puts_gets_and_lists() {
    let (site, tom) = site("c-psftp");
    let desk = tom.desk("psftp");
    let sample = Tree::sample().without(|path| {
        // psftp takes its commands' text in its own character set, and * as a pattern.
        std::str::from_utf8(path).is_err() || path.contains(&b'*') || path.contains(&b'"')
    });
    sample.write(desk.join("up"));
    let batch = "pwd\ncd /files\nput -r up\nget -r up down\nls up/many\nmkdir made\nrmdir made\n\
                 cd /code\nput up/index.php pushed.php\nmv pushed.php moved.php\nchmod 755 moved.php\n\
                 del index.php\nquit\n";
    psftp(&site, &tom, "dev", &desk, batch)
        .run()
        .ok()
        .says("file-039");
    Tree::read(site.disk("dev", "files").join("up")).must_equal_but_modes(&sample);
    Tree::read(desk.join("down")).must_equal_but_modes(&sample);
    let code = site.tree("dev", "code");
    assert!(code.holds("moved.php") && !code.holds("index.php"));
}

#[test]
fn rsync_is_served_or_refused_in_words() {
    let (site, tom) = site("c-rsync");
    let desk = tom.desk("rsync");
    Tree::sample().write(desk.join("up"));
    let to = format!("{}:/files/rsync/", site.destination("dev"));
    let finished = tom
        .client("rsync")
        .args(["-a", "-e", &tom.ssh_command(), "up/", &to])
        .folder(&desk)
        .run();
    if finished.code == Some(0) {
        Tree::read(site.disk("dev", "files").join("rsync")).must_equal(&Tree::sample());
    } else {
        let sentence = finished.err().lines().any(|line| {
            line.contains("rsync") && line.contains('.') && line.split_whitespace().count() > 5
        });
        assert!(
            sentence,
            "no sentence says that rsync is not served: {finished}"
        );
    }
}

fn rclone(site: &Site, person: &Person, desk: &Path, words: &[&str]) -> Client {
    rclone_at(site, person, "dev", desk, words)
}

fn rclone_at(
    site: &Site,
    person: &Person,
    environment: &str,
    desk: &Path,
    words: &[&str],
) -> Client {
    person
        .client("rclone")
        .folder(desk)
        .env("RCLONE_CONFIG", "/dev/null")
        .env("RCLONE_SFTP_HOST", site.address().ip().to_string())
        .env("RCLONE_SFTP_PORT", site.address().port().to_string())
        .env("RCLONE_SFTP_USER", site.login(environment))
        .env("RCLONE_SFTP_KEY_FILE", person.key())
        .args(words)
}

pub(crate) fn lftp(
    site: &Site,
    person: &Person,
    environment: &str,
    desk: &Path,
    script: &str,
) -> Client {
    let settings = format!(
        "set cmd:fail-exit yes\nset net:max-retries 2\nset net:timeout 60\n\
         set sftp:connect-program \"ssh -a -x -F {}\"\nopen sftp://{}:@{}:{}\n",
        person.config().display(),
        site.login(environment),
        site.address().ip(),
        site.address().port()
    );
    person
        .client("lftp")
        .folder(desk)
        .args(["-c", &(settings + script)])
}

fn psftp(site: &Site, person: &Person, environment: &str, desk: &Path, batch: &str) -> Client {
    fs::write(desk.join("batch"), batch).unwrap();
    putty::client("psftp", site, person, desk)
        .args(["-b", "batch"])
        .arg(putty::address(site, environment))
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}
