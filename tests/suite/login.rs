//! Who gets in with OpenSSH's own client, and what is refused once they are in.

use std::fs;
use std::time::Duration;

use support::{Person, Role, Shared, Site, personas};

pub(crate) static SHARED: Shared = Shared::new();

/// What OpenSSH says in the end; behind it stand the methods, of which only public keys let anyone in.
const DENIED: &str = "Permission denied (publickey";

#[test]
fn every_kind_of_key_logs_in() {
    let (site, tom) = site("t-keys");
    let kinds: [(&str, &[&str], &[&str]); 6] = [
        ("ed25519", &["-t", "ed25519"], &[]),
        ("ecdsa-256", &["-t", "ecdsa", "-b", "256"], &[]),
        ("ecdsa-384", &["-t", "ecdsa", "-b", "384"], &[]),
        ("ecdsa-521", &["-t", "ecdsa", "-b", "521"], &[]),
        (
            "rsa-256",
            &["-t", "rsa", "-b", "3072"],
            &["-o", "PubkeyAcceptedAlgorithms=rsa-sha2-256"],
        ),
        (
            "rsa-512",
            &["-t", "rsa", "-b", "3072"],
            &["-o", "PubkeyAcceptedAlgorithms=rsa-sha2-512"],
        ),
    ];
    for (name, options, ssh_options) in kinds {
        let key = tom.desk("keys").join(name);
        personas::make_key(&key, options, name);
        let with_key = |batch: &str| {
            let identity = format!("IdentityFile={}", key.display());
            let options = [&["-o", &identity], ssh_options].concat();
            let desk_person = without_key(&tom, &site.name);
            site.sftp_with(&desk_person, "dev", &options, batch).run()
        };
        with_key("ls\n").fails().says(DENIED);
        let public = format!("{}.pub", key.display());
        site.must(&["ssh-key:add", &public, "--user", "tom"]);
        with_key("ls /code\n").ok();
    }
}

#[test]
fn a_removed_key_opens_nothing() {
    let (site, tom) = site("t-removed-key");
    let key = tom.desk("removed").join("id");
    personas::make_key(&key, &["-t", "ed25519"], "to-be-removed");
    site.must(&[
        "ssh-key:add",
        &format!("{}.pub", key.display()),
        "--user",
        "tom",
    ]);
    let identity = format!("IdentityFile={}", key.display());
    let nobody = without_key(&tom, &site.name);
    let enter = || {
        site.sftp_with(&nobody, "dev", &["-o", &identity], "ls\n")
            .run()
    };
    enter().ok();
    let listed = site
        .must(&["ssh-key:list", "--user", "tom", "--format", "json"])
        .out();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let keys = listed.as_array().expect("a list of keys");
    let row = keys
        .iter()
        .find(|row| row.to_string().contains("to-be-removed"))
        .unwrap_or_else(|| panic!("the key is not listed: {listed}"));
    let id = row["id"]
        .as_str()
        .map_or_else(|| row["id"].to_string(), str::to_owned);
    site.must(&["ssh-key:remove", &id]);
    enter().fails().says(DENIED);
}

#[test]
fn an_unknown_key_is_refused_and_passwords_are_not_asked_for() {
    let (site, _) = site("t-unknown");
    let nobody = Person::new(&site.gateway.folder().join("nobodies"), "nobody");
    nobody.meet(
        site.address(),
        &fs::read_to_string(site.gateway.people()[0].known_hosts()).unwrap(),
    );
    for login in ["dev.t-unknown", "console", "root"] {
        nobody
            .openssh("ssh")
            .args(["-T", &format!("{login}@gateway"), "site:list"])
            .run()
            .code(255)
            .says(DENIED);
    }
    let tom = site.person(Role::TeamMember);
    for method in [
        "password",
        "keyboard-interactive",
        "hostbased",
        "gssapi-with-mic",
    ] {
        tom.openssh("ssh")
            .args([
                "-T",
                "-o",
                "BatchMode=no",
                "-o",
                &format!("PreferredAuthentications={method}"),
            ])
            .args(["console@gateway", "site:list"])
            .run()
            .code(255)
            .says(DENIED);
    }
}

#[test]
fn weak_algorithms_are_not_spoken() {
    let (site, tom) = site("t-weak");
    for weak in [
        "KexAlgorithms=diffie-hellman-group14-sha1",
        "KexAlgorithms=diffie-hellman-group1-sha1",
        "HostKeyAlgorithms=ssh-rsa",
        "Ciphers=aes128-cbc",
        "Ciphers=3des-cbc",
        "MACs=hmac-sha1",
    ] {
        // A cipher with its own integrity would make the MAC of no account.
        let cipher = if weak.starts_with("MACs") {
            "Ciphers=aes128-ctr"
        } else {
            "Compression=no"
        };
        tom.openssh("ssh")
            .args(["-T", "-o", weak, "-o", cipher, &site.destination("dev")])
            .run()
            .code(255)
            .says("no matching");
    }
}

#[test]
fn the_greeting_names_the_person_and_their_sites() {
    let (_site, tom) = site("t-greeting");
    let greeting = tom
        .openssh("ssh")
        .args(["-T", "console@gateway"])
        .run()
        .ok();
    greeting
        .says("tom")
        .says("t-greeting")
        .says("dev.t-greeting");
    let gateway = SHARED.gateway();
    let sten = gateway.person(Role::Stranger);
    sten.openssh("ssh")
        .args(["-T", "console@gateway"])
        .run()
        .ok()
        .says("sten")
        .says_not("t-greeting");
}

#[test]
fn there_is_no_shell_and_no_terminal() {
    let (site, tom) = site("t-shell");
    let there = site.destination("dev");
    let refused = tom.openssh("ssh").args(["-T", &there]).run().fails();
    assert!(
        has_a_sentence(&refused.screen(), "shell"),
        "no sentence about the shell: {refused}"
    );
    // At a terminal; `script` makes one.
    let line = format!("{} {there}", tom.ssh_command());
    let refused = tom
        .client("script")
        .args(["-qec", &line, "/dev/null"])
        .run()
        .fails();
    for about in ["terminal", "shell"] {
        assert!(
            has_a_sentence(&refused.screen(), about),
            "no sentence about the {about}: {refused}"
        );
    }
    // Who insists on a terminal would see nothing but their client's own line if it were refused.
    for words in [&["-tt", there.as_str()][..], &["-tt", &there, "bash"]] {
        let refused = tom
            .openssh("ssh")
            .args(words)
            .limit(Duration::from_secs(30))
            .run()
            .fails();
        let screen = refused.screen();
        assert!(
            has_a_sentence(&screen, ""),
            "no sentence for {words:?}: {refused}"
        );
        assert_eq!(
            screen.matches('\n').count(),
            screen.matches("\r\n").count() + usize::from(screen.contains("closed.\n")),
            "lines do not begin at the left: {screen:?}"
        );
    }
    // A command is answered all the same, and its question too.
    let answered = tom
        .openssh("ssh")
        .args(["-tt", "console@gateway", "site:list"])
        .limit(Duration::from_secs(30))
        .run()
        .ok();
    assert!(
        has_a_sentence(&answered.screen(), "terminal"),
        "no sentence: {answered}"
    );
    answered.says("t-shell");
    for command in [
        "sh",
        "rm -rf /",
        "ls",
        "sftp-server",
        "git-shell",
        "scp -t /etc",
        "git-upload-pack",
    ] {
        let refused = tom
            .openssh("ssh")
            .args(["-T", &there, command])
            .run()
            .fails();
        assert!(
            has_a_sentence(&refused.screen(), ""),
            "no sentence for {command:?}: {refused}"
        );
    }
    let refused = tom
        .openssh("ssh")
        .args(["-s", &there, "netconf"])
        .run()
        .fails();
    assert!(
        has_a_sentence(&refused.screen(), ""),
        "no sentence for a subsystem: {refused}"
    );
}

#[test]
fn nothing_is_forwarded() {
    let (site, tom) = site("t-forward");
    let target = site.gateway.address().to_string();
    let there = site.destination("dev");
    let refused = tom
        .openssh("ssh")
        .args(["-W", &target, &there])
        .run()
        .fails();
    let refused = refused.says("administratively prohibited");
    assert!(
        has_a_sentence(&refused.screen(), "forward"),
        "no sentence: {refused}"
    );
    for remote in ["0:localhost:22", "/tmp/funicular-forwarded:localhost:22"] {
        tom.openssh("ssh")
            .args(["-N", "-o", "ExitOnForwardFailure=yes", "-R", remote, &there])
            .run()
            .fails()
            .says("remote port forwarding failed");
    }
    assert!(!std::path::Path::new("/tmp/funicular-forwarded").exists());
}

#[test]
fn what_a_client_sends_unasked_does_no_harm() {
    let (site, tom) = site("t-unasked");
    for option in [
        "SetEnv=GIT_DIR=/etc",
        "SendEnv=LC_*",
        "ForwardAgent=yes",
        "Compression=yes",
    ] {
        site.sftp_with(&tom, "dev", &["-o", option], "ls /code\n")
            .run()
            .ok()
            .says("index.php");
    }
}

#[test]
fn an_unknown_site_and_a_foreign_one_give_the_same_answer() {
    let (site, _) = site("t-foreign");
    let sten = site.person(Role::Stranger);
    let screens = |name: &str| -> Vec<(Option<i32>, String)> {
        let there = format!("dev.{name}@gateway");
        let url = format!("ssh://{there}/repository.git");
        let live = format!("live.{name}@gateway");
        let odd = format!("nowhere.{name}@gateway");
        [
            sten.openssh("sftp").args(["-b", "-", &there]).input("ls\n"),
            sten.openssh("sftp").args(["-b", "-", &live]).input("ls\n"),
            sten.openssh("sftp").args(["-b", "-", &odd]).input("ls\n"),
            sten.openssh("ssh").args(["-T", &there]),
            sten.client("git").args(["ls-remote", &url]),
            sten.client("git").args([
                "clone",
                &url,
                &format!("{}/clone", sten.desk(name).display()),
            ]),
            sten.console(&["site:info", name]),
            sten.console(&["env:list", name]),
            sten.console(&["env:commit", &format!("{name}.dev"), "-m", "mine"]),
            sten.console(&["site:team:add", name, "sten", "administrator"]),
        ]
        .map(|client| client.run().fails())
        .map(|refused| (refused.code, neutral(&refused.screen(), name)))
        .into()
    };
    // As long as each other, so that no column shifts.
    let foreign = screens("t-foreign");
    let unknown = screens("t-nowhere");
    assert_eq!(foreign, unknown);
}

/// Blanks what must differ between two answers: the name asked for and the incident's id.
fn neutral(screen: &str, name: &str) -> String {
    let mut neutral = screen.replace(name, "SITE");
    while let Some(start) = neutral.find("[incident ") {
        let Some(length) = neutral[start..].find(']') else {
            break;
        };
        neutral.replace_range(start..=start + length, "(id)");
    }
    neutral
}

/// Says whether a line of the screen is a sentence, and one about `about`.
fn has_a_sentence(screen: &str, about: &str) -> bool {
    screen.lines().any(|line| {
        line.split_whitespace().count() >= 4
            && line.contains('.')
            && line.to_lowercase().contains(about)
            && !line.starts_with("Connection")
    })
}

/// The same person at a computer that has no key of theirs.
fn without_key(person: &Person, computer: &str) -> Person {
    let bare = person.at_another_computer(computer);
    let _ = fs::remove_file(bare.key());
    let _ = fs::remove_file(bare.public_key());
    bare
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}
