//! Making sites: from what they can be made, and from what not.

use std::fs;
use std::path::PathBuf;

use support::{Client, Gateway, Role, Shared, Tree, gateway};

pub(crate) static SHARED: Shared = Shared::new();

#[test]
fn a_site_is_made_from_each_kind_of_source() {
    let gateway = SHARED.gateway();
    let plain = folder(&gateway, "plain");
    gateway::sample_tree().write(&plain);
    let bundle = gateway.folder().join("all.bundle");
    let sample = gateway.sample();
    git(&gateway)
        .folder(&sample)
        .args(["bundle", "create", "--quiet"])
        .arg(&bundle)
        .arg("--all")
        .run()
        .ok();
    let sources = [
        ("s-plain", plain.display().to_string()),
        ("s-repository", sample.display().to_string()),
        ("s-bundle", bundle.display().to_string()),
        ("s-url", format!("file://{}", sample.display())),
    ];
    let head = git(&gateway)
        .folder(&sample)
        .args(["rev-parse", "HEAD"])
        .run()
        .ok()
        .out();
    for (name, source) in sources {
        gateway
            .must(&["site:create", name, "--from", &source])
            .says(name);
        let site = gateway.data().join("sites").join(name);
        Tree::read(site.join("environments/dev/current/code")).must_equal(&gateway::sample_tree());
        let main = git(&gateway)
            .folder(site.join("repository.git"))
            .args(["rev-parse", "main"])
            .run()
            .ok()
            .out();
        assert_eq!(main == head, name != "s-plain", "{name} keeps the history");
        gateway
            .must(&[
                "env:info",
                &format!("{name}.dev"),
                "--field",
                "connection_mode",
            ])
            .says("sftp");
        gateway
            .must(&[
                "env:info",
                &format!("{name}.live"),
                "--field",
                "initialized",
            ])
            .says("false");
        gateway
            .must(&["env:diffstat", &format!("{name}.dev")])
            .says("No changes on server.");
        gateway
            .command(&["site:create", name])
            .run()
            .code(1)
            .says("already");
    }
    gateway.must(&["site:create", "s-empty"]);
    gateway.must(&["site:create", "s-trunk", "--trunk", "trunk"]);
    gateway
        .must(&["site:info", "s-trunk", "--field", "trunk"])
        .says("trunk");
    let ada = gateway.person(Role::Administrator);
    ada.console(&["site:create", "s-remote", "--from", "/etc"])
        .run()
        .code(1)
        .says("on the server itself");
    ada.console(&[
        "site:create",
        "s-remote",
        "--from",
        &format!("file://{}", sample.display()),
    ])
    .run()
    .code(1);
    ada.console(&["site:create", "s-remote"]).run().ok();
}

#[test]
fn an_unsuitable_source_leaves_nothing() {
    let gateway = SHARED.gateway();
    let empty = folder(&gateway, "empty");
    let text = gateway.folder().join("no.bundle");
    fs::write(&text, "no bundle\n").unwrap();
    let unborn = folder(&gateway, "unborn");
    git(&gateway)
        .folder(&unborn)
        .args(["init", "--quiet"])
        .run()
        .ok();
    let cut = gateway.folder().join("cut.bundle");
    let sample = gateway.sample();
    git(&gateway)
        .folder(&sample)
        .args(["bundle", "create", "--quiet"])
        .arg(&cut)
        .arg("--all")
        .run()
        .ok();
    let whole = fs::read(&cut).unwrap();
    fs::write(&cut, &whole[..whole.len() - 40]).unwrap();
    let shallow = gateway.folder().join("shallow");
    fs::write(sample.join("more.php"), "more").unwrap();
    git(&gateway)
        .folder(&sample)
        .args(["checkout", "--quiet", "-b", "more"])
        .run()
        .ok();
    git(&gateway)
        .folder(&sample)
        .args(["add", "--all"])
        .run()
        .ok();
    git(&gateway)
        .folder(&sample)
        .args(["commit", "--quiet", "-m", "more"])
        .run()
        .ok();
    let url = format!("file://{}", sample.display());
    git(&gateway)
        .args(["clone", "--quiet", "--depth", "1", &url])
        .arg(&shallow)
        .run()
        .ok();
    git(&gateway)
        .folder(&sample)
        .args(["checkout", "--quiet", "main"])
        .run()
        .ok();
    let before = listing(&gateway);
    for (source, more) in [
        (empty.display().to_string(), &[][..]),
        (text.display().to_string(), &[]),
        (unborn.display().to_string(), &[]),
        (cut.display().to_string(), &[]),
        (shallow.display().to_string(), &[]),
        (gateway.folder().join("nowhere").display().to_string(), &[]),
        ("relative".to_owned(), &[]),
        (String::new(), &[]),
        (format!("file://{}/nowhere", sample.display()), &[]),
        ("ext::sh -c 'touch pwned'".to_owned(), &[]),
        (sample.display().to_string(), &["--trunk", "no-such-branch"]),
        (
            sample.display().to_string(),
            &["--trunk", "--upload-pack=x"],
        ),
        (
            sample.display().to_string(),
            &["--files-path", "../uploads"],
        ),
        (
            sample.display().to_string(),
            &["--files-path", ".git/uploads"],
        ),
    ] {
        let words = [&["site:create", "s-unsuitable", "--from", &source], more].concat();
        let refused = gateway.command(&words).run().fails();
        let code = refused.code.unwrap_or_default();
        assert!(
            code == 1 || (code == 2 && more.contains(&"--upload-pack=x")),
            "{refused}"
        );
        assert!(
            refused.err().split_whitespace().count() > 3,
            "no sentence: {refused}"
        );
        assert!(!refused.err().contains("panicked"), "{refused}");
        assert_eq!(listing(&gateway), before, "{source} {more:?}");
    }
    // The name is free as before.
    gateway.must(&[
        "site:create",
        "s-unsuitable",
        "--from",
        &sample.display().to_string(),
    ]);
}

#[test]
fn names_that_are_no_names() {
    // Of its own, since others make sites meanwhile.
    let gateway = Gateway::start();
    let before = listing(&gateway);
    let long = "a".repeat(300);
    for name in [
        "", " ", ".", "..", "../x", "a/b", "a.b", ".hidden", "-x", "--", "A B", "a\nb", "ä",
        "a\\b", "CON*", "a:b", "a@b", "$(id)", &long,
    ] {
        let refused = gateway.command(&["site:create", "--", name]).run();
        assert_eq!(refused.code, Some(2), "{name:?}: {refused}");
    }
    for name in ["", "../x", "a b", "-x", "a\nb"] {
        gateway.command(&["user:add", "--", name]).run().code(2);
    }
    assert_eq!(listing(&gateway), before);
}

fn folder(gateway: &Gateway, name: &str) -> PathBuf {
    let folder = gateway.folder().join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn git(gateway: &Gateway) -> Client {
    gateway.person(Role::Administrator).client("git")
}

/// The sites that are known, and the folders that hold any; other tests make some meanwhile.
fn listing(gateway: &Gateway) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(gateway.data().join("sites"))
        .unwrap()
        .map(|found| found.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let known = gateway.must(&["site:list", "--field", "name"]).out();
    names.extend(known.lines().map(|name| format!("{name} is known")));
    let ours = [
        "s-plain",
        "s-repository",
        "s-bundle",
        "s-url",
        "s-empty",
        "s-trunk",
        "s-remote",
    ];
    names.retain(|name| !ours.iter().any(|other| name.starts_with(other)));
    names.sort();
    names
}
