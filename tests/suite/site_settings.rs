//! The files by which a site learns where it runs, read by what reads them in practice.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use support::{Client, Clone, Role, Shared, Site};

static SHARED: Shared = Shared::new();

fn folder(site: &Site, environment: &str) -> PathBuf {
    let sites = site.gateway.data().join("sites").join(&site.name);
    sites
        .join("environments")
        .join(environment)
        .join("settings")
}

/// What each form says of a fact, as a shell, Python and PHP understand it.
fn read(site: &Site, environment: &str, name: &str) -> String {
    let folder = folder(site, environment);
    let scripts = [
        (
            "sh",
            "-c",
            format!(". ./settings.env; printf '%s' \"${name}\""),
        ),
        (
            "python3",
            "-c",
            format!(
                "import json; print(json.load(open('settings.json')).get('{name}', ''), end='')"
            ),
        ),
        (
            "php",
            "-r",
            format!("$s = require './settings.php'; echo $s['{name}'] ?? '';"),
        ),
    ];
    let answers = scripts.map(|(program, argument, script)| {
        Client::new(program)
            .args([argument, &script])
            .folder(&folder)
            .run()
            .ok()
            .out()
    });
    let [first, others @ ..] = answers;
    for other in others {
        assert_eq!(first, other, "{name}");
    }
    first
}

#[test]
fn a_site_learns_where_it_runs_and_whenever_that_changes() {
    let site = SHARED.gateway().site("f-facts");
    let tom = site.person(Role::TeamMember).at_another_computer("f-facts");
    for environment in ["dev", "test", "live"] {
        assert_eq!(read(&site, environment, "FUNICULAR_SITE"), "f-facts");
        assert_eq!(
            read(&site, environment, "FUNICULAR_ENVIRONMENT"),
            environment
        );
    }
    assert_eq!(read(&site, "live", "FUNICULAR_COMMIT"), "");
    site.set_mode("git");
    let clone = Clone::new(&site, &tom);
    let commit = clone.commit("index.php", "<?php echo 'second';\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    assert_eq!(read(&site, "dev", "FUNICULAR_COMMIT"), commit);
    site.deploy_all();
    assert_eq!(read(&site, "live", "FUNICULAR_COMMIT"), commit);
    assert_eq!(read(&site, "live", "FUNICULAR_DEPLOY"), "live_1");
    site.must(&["env:set", "SITE.live", "database", "[2001:db8::1]:3306"]);
    assert_eq!(
        read(&site, "live", "FUNICULAR_DATABASE_HOST"),
        "2001:db8::1"
    );
    assert_eq!(read(&site, "live", "FUNICULAR_DATABASE_PORT"), "3306");
    assert_eq!(read(&site, "dev", "FUNICULAR_DATABASE_PORT"), "");
    site.must(&["env:set", "SITE.live", "database", "none"]);
    assert_eq!(read(&site, "live", "FUNICULAR_DATABASE_HOST"), "");
    let before = clone.commit("index.php", "<?php echo 'third';\n");
    clone.must(&["push", "--quiet", "dev", "main"]);
    site.deploy_all();
    assert_eq!(read(&site, "live", "FUNICULAR_COMMIT"), before);
    site.must(&["env:rollback", "SITE.live"]);
    assert_eq!(read(&site, "live", "FUNICULAR_COMMIT"), commit);
    assert_eq!(read(&site, "live", "FUNICULAR_DEPLOY"), "live_3");
}

#[test]
fn settings_are_beside_the_code_and_nobody_elses() {
    let gateway = std::sync::Arc::new(support::Gateway::start());
    let site = gateway.site("f-beside");
    let tom = site.person(Role::TeamMember).clone();
    let folder = folder(&site, "dev");
    for entry in fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let mode = fs::metadata(entry.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7137, 0, "{:?} {mode:o}", entry.path());
    }
    let listed = site.sftp(&tom, "dev", "ls -a /\n").run().ok().out();
    assert!(!listed.contains("settings"), "{listed}");
    for place in ["/settings/settings.env", "/code/../settings/settings.env"] {
        let into = tom.desk("copy").join("copy");
        let get = format!("get {place} {}\n", into.display());
        site.sftp(&tom, "dev", get).run().fails();
        assert!(!into.exists());
    }
    // The path that docs/steps.md gives, from where a release really lies.
    let current = folder.with_file_name("current").join("code");
    let script =
        "$s = require getcwd() . '/../../../settings/settings.php'; echo $s['FUNICULAR_SITE'];";
    let real = fs::canonicalize(&current).unwrap();
    let php = Client::new("php")
        .args(["-r", script])
        .folder(&real)
        .run()
        .ok();
    assert_eq!(php.out(), "f-beside");
    // What a start finds wrong or missing it writes anew.
    fs::write(folder.join("settings.env"), "wrong").unwrap();
    fs::remove_file(folder.join("settings.php")).unwrap();
    gateway.stop(nix::sys::signal::Signal::SIGTERM);
    gateway.serve();
    assert_eq!(read(&site, "dev", "FUNICULAR_SITE"), "f-beside");
    // A step reads them, and at the same place in relation to the code.
    site.set_mode("git");
    let clone = Clone::new(&site, &tom);
    let step = "[[step]]\nname = 'read'\nevent = 'sync_code'\nstage = 'before'\n\
        command = ['sh', '-c', '. ../settings/settings.env && echo it is $FUNICULAR_SITE']\n";
    clone.commit("funicular.toml", step);
    clone
        .git(&["push", "dev", "main"])
        .run()
        .ok()
        .says("it is f-beside");
}
