//! Checksum commands, as clients that compare by hash run them, byte for byte as coreutils answers.

use std::fs;
use std::path::Path;

use support::{Client, Finished, Person, Role, Shared, Site, Tree, personas, tree};

static SHARED: Shared = Shared::new();

const COMMANDS: [&str; 6] = [
    "md5sum",
    "sha1sum",
    "sha224sum",
    "sha256sum",
    "sha384sum",
    "sha512sum",
];

#[test]
fn sums_are_those_of_coreutils() {
    let (site, tom) = site("h-sums");
    let files = site.disk("dev", "files");
    Tree::sample()
        .file("new\nline", "a newline")
        .file("return\rs", "a carriage return")
        .file("large", tree::noise(9, 9 << 20))
        .write(&files);
    let names = [
        "index.php",
        "empty",
        "name with spaces.txt",
        "quote\"s and 'apostrophes'",
        "日本語.txt",
        "back\\slash",
        "glob[1]*?.txt",
        "new\nline",
        "return\rs",
        "large",
        "./a/b/../b/c/d/e/f/deep.txt",
    ];
    for command in COMMANDS {
        for option in ["", "-b", "-t", "--"] {
            let words: Vec<&str> = [option]
                .into_iter()
                .filter(|option| !option.is_empty())
                .chain(names)
                .collect();
            let wanted = Client::new(command).folder(&files).args(&words).run().ok();
            let line: Vec<String> = words
                .iter()
                .map(|word| match *word {
                    "-b" | "-t" | "--" => (*word).to_owned(),
                    name => personas::quoted(&format!("files/{name}")),
                })
                .collect();
            let heard = tell(
                &site,
                &tom,
                "dev",
                &format!("{command} {}", line.join(" ")),
                "",
            )
            .ok();
            let heard = heard.out().replace("files/", "");
            assert_eq!(heard, wanted.out(), "{command} {option}");
        }
        let wanted = Client::new(command).input("abc").run().ok();
        assert_eq!(
            tell(&site, &tom, "dev", command, "abc").ok().stdout,
            wanted.stdout
        );
        let heard = tell(&site, &tom, "dev", &format!("{command} -b -"), "abc").ok();
        let wanted = Client::new(command)
            .args(["-b", "-"])
            .input("abc")
            .run()
            .ok();
        assert_eq!(heard.stdout, wanted.stdout);
    }
    let matched = tell(&site, &tom, "dev", "md5sum /files/many/file-00*", "").ok();
    assert_eq!(matched.out().lines().count(), 10);
    tell(
        &site,
        &tom,
        "dev",
        "md5sum /files/index.php /files/nothing",
        "",
    )
    .code(1)
    .says("No such file or directory")
    .says("/files/index.php");
    tell(&site, &tom, "dev", "md5sum /files/many", "")
        .code(1)
        .says("directory");
}

#[test]
fn only_what_may_be_read_is_summed() {
    let (site, tom) = site("h-refused");
    site.deploy_all();
    fs::write(site.disk("live", "files").join("private"), "private").unwrap();
    let dan = site.person(Role::Developer);
    let vera = site.person(Role::Viewer);
    let refused = tell(&site, dan, "live", "sha256sum /files/private", "").code(1);
    assert!(refused.stdout.is_empty());
    let incident = refused.says("Refused: ").screen();
    let incident = incident.split("[incident ").nth(1).unwrap();
    let incident = incident.split(']').next().unwrap();
    let rows = site.must(&["audit:list", "--site", "SITE", "--decision", "refuse"]);
    rows.says(incident);
    tell(&site, vera, "live", "md5sum /files/private", "")
        .code(1)
        .says("Refused: ");
    tell(&site, vera, "live", "md5sum /code/index.php", "").ok();
    std::os::unix::fs::symlink("/etc/passwd", site.disk("dev", "files").join("out")).unwrap();
    for path in [
        "/files/out",
        "/etc/passwd",
        "/code/../../../../etc/passwd",
        "/proc/self/environ",
    ] {
        let heard = tell(&site, &tom, "dev", &format!("md5sum {path}"), "").fails();
        assert!(heard.stdout.is_empty(), "{path}: {heard}");
    }
    for line in [
        "md5sum -c /files/list",
        "md5sum /files/a; id",
        "md5sum $(id)",
        "md5sum 'x",
    ] {
        let heard = tell(&site, &tom, "dev", line, "").fails();
        assert!(!heard.screen().contains("uid="), "{heard}");
    }
}

#[test]
fn rclone_checks_by_hash_without_being_told_how() {
    let (site, tom) = site("h-rclone");
    let desk = tom.desk("rclone");
    let sample = Tree::sample()
        .without(|path| std::str::from_utf8(path).is_err())
        .file("new\nline", "a newline");
    sample.write(desk.join("up"));
    for area in ["files", "code"] {
        let there = format!(":sftp:/{area}/checked");
        rclone(&site, &tom, &desk, &["copy", "up", &there])
            .run()
            .ok();
        rclone(&site, &tom, &desk, &["check", "-vv", "up", &there])
            .run()
            .ok()
            .says("0 differences found")
            .says("Shell type \"unix\" detected")
            .says_not("hashes could not be checked");
        for hash in ["md5", "sha1"] {
            // One at a time: several would ask at once which hashes there are, and rclone 1.60 tells
            // all but the first that there are none.
            let sums = |place: &str| {
                let words = ["hashsum", "--checkers=1", "--transfers=1", hash, place];
                rclone(&site, &tom, &desk, &words).run().ok()
            };
            let (near, far) = (sums("up"), sums(&there));
            assert_eq!(sorted(&near), sorted(&far), "{hash}");
        }
        // The same length and time, and other bytes.
        let disk = site.disk("dev", area).join("checked/exact-32k");
        let time = fs::metadata(&disk).unwrap().modified().unwrap();
        fs::write(&disk, tree::noise(99, 32 * 1024)).unwrap();
        fs::File::options()
            .write(true)
            .open(&disk)
            .unwrap()
            .set_modified(time)
            .unwrap();
        rclone(&site, &tom, &desk, &["check", "up", &there])
            .run()
            .fails()
            .says("1 differences found");
        rclone(&site, &tom, &desk, &["sync", "--checksum", "up", &there])
            .run()
            .ok();
        rclone(&site, &tom, &desk, &["check", "up", &there])
            .run()
            .ok();
    }
    rclone(&site, &tom, &desk, &["about", ":sftp:/files"])
        .run()
        .ok()
        .says("Total");
}

fn sorted(finished: &Finished) -> Vec<String> {
    let mut lines: Vec<String> = finished.out().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).at_another_computer(name);
    (site, tom)
}

fn tell(site: &Site, person: &Person, environment: &str, command: &str, input: &str) -> Finished {
    let destination = site.destination(environment);
    person
        .openssh("ssh")
        .args(["-T", &destination, command])
        .input(input)
        .run()
}

fn rclone(site: &Site, person: &Person, desk: &Path, words: &[&str]) -> Client {
    person
        .client("rclone")
        .folder(desk)
        .env("RCLONE_CONFIG", "/dev/null")
        .env("RCLONE_SFTP_HOST", site.address().ip().to_string())
        .env("RCLONE_SFTP_PORT", site.address().port().to_string())
        .env("RCLONE_SFTP_USER", site.login("dev"))
        .env("RCLONE_SFTP_KEY_FILE", person.key())
        .args(words)
}
