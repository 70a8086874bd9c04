//! People who come with a certificate rather than with a key that the gateway knows.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::Certificate;
use support::authority::{Authority, fingerprint, newcomer, try_to_enter};
use support::gateway::Setting;
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Clone, Gateway, Person, Role, Site, guest, personas, wait_for};

#[test]
fn a_certificate_alone_gives_a_person_their_rights_until_the_person_is_removed() {
    let (site, authority) = site("c-rights", &[]);
    let zoe = newcomer(&site.gateway, "zoe");
    site.must(&["user:add", "zoe"]);
    site.must(&["site:team:add", "SITE", "zoe", "developer"]);
    authority.sign(
        &zoe,
        &["-I", "zoe@laptop", "-n", "zoe", "-V", "+1h", "-z", "7"],
    );

    // Before anybody trusts an authority, a certificate is no more than an unknown key.
    try_to_enter(&zoe)
        .code(255)
        .says("Funicular lets people in by their public key only");
    let own = fingerprint(&zoe.public_key());
    wait_for("the row of the login", Duration::from_secs(5), || {
        failed_logins(&site).contains(&own).then_some(())
    });
    let public = authority.public_key().display().to_string();
    site.must(&["ca:add", &public, "--name", "The office"])
        .says(&authority.fingerprint());
    site.must(&["ca:list"])
        .says("The office")
        .says(&authority.fingerprint());

    try_to_enter(&zoe)
        .code(0)
        .says("Hello, zoe!")
        .says("c-rights");
    site.sftp(
        &zoe,
        "dev",
        "ls /code\nput /etc/hostname /code/by-zoe.txt\n",
    )
    .run()
    .ok()
    .says("index.php");
    assert!(site.tree("dev", "code").holds("by-zoe.txt"));
    site.console(&zoe, &["env:commit", "SITE.dev", "-m", "By certificate"])
        .run()
        .ok();
    site.set_mode("git");
    let clone = Clone::new(&site, &zoe);
    clone.commit("pushed.php", "<?php // by zoe\n");
    clone.git(&["push", "dev", "main"]).run().ok();
    assert!(site.tree("dev", "code").holds("pushed.php"));

    // The rights of a developer, and no more; no key that would outlive the certificate.
    let lasting = fs::read_to_string(site.person(Role::Attacker).public_key()).unwrap();
    zoe.console(&["ssh-key:add", "-"])
        .input(&lasting)
        .run()
        .code(3)
        .says("a new one would outlive it");
    site.console(&zoe, &["env:deploy", "SITE.test"])
        .run()
        .code(3)
        .says("developer");
    site.console(&zoe, &["ca:list"]).run().code(3);

    // Each row tells whose key, which certificate, which authority.
    let rows = audit(&site, &["--user", "zoe", "--path", "by-zoe.txt"]);
    let proof = rows[0]["fingerprint"].as_str().unwrap();
    for part in [
        &fingerprint(&zoe.public_key()),
        "certificate 'zoe@laptop'",
        "serial 7",
        &format!("CA {}", authority.fingerprint()),
    ] {
        assert!(proof.contains(part), "{part:?} is not in {proof:?}");
    }

    site.set_mode("sftp");
    let mut raw = Raw::open(&site, &zoe, "dev");
    let handle = raw.open_file("/code/open.txt", packets::FLAG_WRITE | packets::FLAG_CREATE);
    raw.ask(|id| Request::write(id, &handle, 0, b"before"))
        .must_be(packets::OK);
    site.must(&["user:remove", "zoe"]);
    let told = raw
        .ask(|id| Request::write(id, &handle, 6, b" and after"))
        .must_be(packets::PERMISSION_DENIED);
    assert!(told.contains("no longer stands for zoe"), "{told}");
    // It was never whole, so it never came to be there.
    assert!(!site.tree("dev", "code").holds("open.txt"));
    try_to_enter(&zoe)
        .code(255)
        .says("No principal of your certificate (zoe) is a person of this server");
}

#[test]
fn every_kind_of_key_can_be_certified() {
    let (site, authority) = site("c-kinds", &[]);
    site.must(&["ca:add", &authority.public_key().display().to_string()]);
    let zoe = newcomer(&site.gateway, "zoe");
    site.must(&["user:add", "zoe"]);
    for kind in [
        &["-t", "ed25519"][..],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-b", "521"],
        &["-t", "rsa", "-b", "3072"],
    ] {
        personas::make_key(&zoe.key(), kind, "zoe");
        authority.sign(&zoe, &["-I", "x", "-n", "zoe"]);
        try_to_enter(&zoe).code(0).says("Hello, zoe!");
    }
    personas::make_key(&zoe.key(), &["-t", "rsa", "-b", "1024"], "zoe");
    authority.sign(&zoe, &["-I", "small", "-n", "zoe"]);
    try_to_enter(&zoe).code(255).says_not("Hello");
}

#[test]
fn each_certificate_that_does_not_count_is_refused_with_its_reason() {
    let (site, authority) = site("c-refused", &[]);
    let top = site.gateway.folder().join("c-refused");
    site.must(&["ca:add", &authority.public_key().display().to_string()]);
    let zoe = newcomer(&site.gateway, "zoe");
    site.must(&["user:add", "zoe"]);
    site.must(&["user:add", "yan"]);
    let other = Authority::new(&top, "another");

    authority.sign(&zoe, &["-I", "x", "-n", "zoe"]);
    try_to_enter(&zoe).code(0).says("Hello, zoe!");
    let cases = [
        (
            &["-n", "nobody"][..],
            "No principal of your certificate (nobody) is a person",
        ),
        (&[], "names no principal"),
        (&["-n", "zoe,yan"], "names several people"),
        (
            &["-n", "zoe", "-V", "-2h:-1h"],
            "has expired or is not valid yet",
        ),
        (
            &["-n", "zoe", "-V", "+1h:+2h"],
            "has expired or is not valid yet",
        ),
        (
            &[
                "-n",
                "zoe",
                "-O",
                "source-address=192.0.2.0/24,2001:db8::/32",
            ],
            "may not be used from 127.0.0.1",
        ),
        (&["-n", "zoe", "-O", "verify-required"], "cannot check"),
        (
            &["-n", "zoe", "-O", "critical:spell@example.org=abracadabra"],
            "critical option 'spell@example.org', which is unknown",
        ),
    ];
    for (number, (options, reason)) in cases.into_iter().enumerate() {
        let id = format!("case-{number}");
        authority.sign(&zoe, &[&["-I", &id], options].concat());
        refused(&site, &zoe, reason);
    }
    for options in [
        &[
            "-n",
            "zoe",
            "-O",
            "source-address=127.0.0.0/8,2001:db8::/32",
        ][..],
        &[
            "-n",
            "zoe",
            "-O",
            "no-pty",
            "-O",
            "extension:spell@example.org=x",
        ],
        &["-n", "nobody,zoe"],
    ] {
        authority.sign(&zoe, &[&["-I", "x"], options].concat());
        try_to_enter(&zoe).code(0).says("Hello, zoe!");
    }
    other.sign(&zoe, &["-I", "x", "-n", "zoe"]);
    refused(&site, &zoe, "is no authority that is trusted here");
    try_to_enter(&zoe).says(&other.fingerprint());

    // Whom an authority certified is no authority.
    authority.sign(&zoe, &["-I", "x", "-n", "zoe"]);
    let mallory = newcomer(&site.gateway, "mallory-2");
    let nested = Authority::with_key(&top, "nested", &zoe.key());
    nested.sign(&mallory, &["-I", "ada", "-n", "ada"]);
    refused(&site, &mallory, "is no authority that is trusted here");

    // An RSA authority that signs with SHA-1.
    let rsa = newcomer(&site.gateway, "rsa");
    support::personas::make_key(&rsa.key(), &["-t", "rsa", "-b", "3072"], "rsa");
    let rsa = Authority::with_key(&top, "rsa", &rsa.key());
    site.must(&["ca:add", &rsa.public_key().display().to_string()]);
    rsa.sign(&zoe, &["-t", "rsa-sha2-512", "-I", "x", "-n", "zoe"]);
    try_to_enter(&zoe).code(0).says("Hello, zoe!");
    rsa.sign(&zoe, &["-t", "ssh-rsa", "-I", "x", "-n", "zoe"]);
    try_to_enter(&zoe).code(255).says_not("Hello");
}

/// The attack: certificates are no secret, they lie on disks and in logs. Mallory has Zoe's, but not
/// her key; then he changes one of his own to name her.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_its_key_or_with_other_words_lets_nobody_in() {
    let (site, authority) = site("c-stolen", &[]);
    site.must(&["ca:add", &authority.public_key().display().to_string()]);
    site.must(&["user:add", "zoe"]);
    let zoe = newcomer(&site.gateway, "zoe");
    let mallory = site.person(Role::Attacker);
    let stolen = authority.sign(&zoe, &["-I", "x", "-n", "zoe"]);
    let stolen = Certificate::from_openssh(&fs::read_to_string(stolen).unwrap()).unwrap();
    let enter = async |key: &Path, certificate: Certificate| {
        let mut handle = guest::connect(site.address()).await;
        let key = Arc::new(guest::private_key(key));
        let entered = handle
            .authenticate_openssh_cert("console", key, certificate)
            .await;
        entered.is_ok_and(|result| result.success())
    };
    assert!(enter(&zoe.key(), stolen.clone()).await, "zoe herself");
    assert!(!enter(&mallory.key(), stolen).await, "without her key");

    // OpenSSH's client does not even offer a host's certificate for a user.
    let hosts = authority.sign(&zoe, &["-h", "-I", "h", "-n", "zoe"]);
    let hosts = Certificate::from_openssh(&fs::read_to_string(hosts).unwrap()).unwrap();
    assert!(!enter(&zoe.key(), hosts).await, "with a host's certificate");
    wait_for("the row of the login", Duration::from_secs(5), || {
        failed_logins(&site)
            .contains("for a host, not for a user")
            .then_some(())
    });

    let own = authority.sign(mallory, &["-I", "x", "-n", "eve"]);
    let own = Certificate::from_openssh(&fs::read_to_string(own).unwrap()).unwrap();
    let mut bytes = own.to_bytes().unwrap();
    let at = bytes.windows(3).position(|three| three == b"eve").unwrap();
    bytes[at..at + 3].copy_from_slice(b"zoe");
    let changed = Certificate::from_bytes(&bytes).unwrap();
    assert!(!enter(&mallory.key(), changed).await, "with other words");
    let rows = wait_for("the row of the login", Duration::from_secs(5), || {
        let rows = failed_logins(&site);
        rows.contains("is not that of the authority")
            .then_some(rows)
    });
    assert!(!rows.contains("Hello"), "{rows}");
}

/// Requires that somebody is not let in, is told why, and leaves a row that says it.
#[track_caller]
pub(crate) fn refused(site: &Site, person: &Person, reason: &str) {
    try_to_enter(person)
        .code(255)
        .says(reason)
        .says_not("Hello");
    wait_for("the row of the login", Duration::from_secs(5), || {
        failed_logins(site).contains(reason).then_some(())
    });
}

fn failed_logins(site: &Site) -> String {
    let rows = audit(site, &["--rule", "login-failed", "--decision", "refuse"]);
    serde_json::to_string(&rows).unwrap()
}

pub(crate) fn audit(site: &Site, options: &[&str]) -> Vec<serde_json::Value> {
    let command = [
        &["audit:list", "--format", "json", "--limit", "1000"],
        options,
    ]
    .concat();
    serde_json::from_str(&site.must(&command).out()).unwrap()
}

/// A gateway of one's own with a site, and an authority that nobody trusts yet.
pub(crate) fn site(name: &str, settings: &[Setting]) -> (Site, Authority) {
    let gateway = Arc::new(Gateway::start_with(settings));
    let authority = Authority::new(gateway.folder(), "office");
    (gateway.site(name), authority)
}
