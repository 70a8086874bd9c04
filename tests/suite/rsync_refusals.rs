//! What rsync may never do: areas, options, links, git's directory, and the way to uploads.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use support::{Client, Role, Tree};

use crate::rsync::{SHARED, ask, at, audit, audited, everything, fetch, rsync, site, up_of};

#[test]
fn a_refused_area_is_refused_before_rsync_starts() {
    let (site, tom) = site("r-refused");
    site.deploy_all();
    let desk = tom.desk("refused");
    let up = desk.join("up");
    Tree::default().file("evil.php", "evil").write(&up);
    let vera = site.person(Role::Viewer);
    let dan = site.person(Role::Developer);
    site.set_mode("git");
    for (person, environment, place) in [
        (&tom, "live", "/code/"),
        (&tom, "test", "/code/"),
        (&tom, "dev", "/code/"),
        (&tom, "dev", "/logs/"),
        (&tom, "dev", "/backups/"),
        (&tom, "dev", "/"),
        (&tom, "dev", "/nowhere/"),
        (vera, "dev", "/files/"),
        (dan, "live", "/files/"),
    ] {
        let before = everything(&site, environment);
        let refused = rsync(
            &site,
            person,
            environment,
            &["-a", "--delete"],
            &[&up_of(&up)],
            place,
        )
        .run()
        .fails()
        .says("Refused: ");
        audited(&site, &refused);
        assert!(
            everything(&site, environment) == before,
            "{place} of {environment}"
        );
    }
    for (person, environment, place) in [(vera, "dev", "/files/"), (dan, "live", "/files/")] {
        let down = desk.join("never");
        let refused = fetch(&site, person, environment, &["-a"], place, &down)
            .run()
            .fails()
            .says("Refused: ");
        audited(&site, &refused);
    }
    fetch(&site, vera, "live", &["-a"], "/code/", &desk.join("viewer"))
        .run()
        .ok();
    assert!(Tree::read(desk.join("viewer")).holds("index.php"));
}

#[test]
fn options_that_reach_further_are_refused() {
    let (site, tom) = site("r-options");
    let desk = tom.desk("options");
    let up = desk.join("up");
    Tree::default().file("x", "x").write(&up);
    for option in [
        "--inplace",
        "--append",
        "--backup",
        "--link-dest=/etc",
        "--compare-dest=../../",
        "--copy-dest=/etc",
        "-M--log-file=/tmp/funicular-never",
        "-M--config=/etc/passwd",
        "-M--daemon",
        "-M--write-devices",
        "-M--super",
        "-M--fake-super",
        "-M--filter=merge /etc/passwd",
        "-M--exclude-from=/etc/passwd",
        "--usermap=*:root",
        "-K",
        "-X",
    ] {
        let before = everything(&site, "dev");
        rsync(
            &site,
            &tom,
            "dev",
            &["-a", option],
            &[&up_of(&up)],
            "/files/",
        )
        .run()
        .fails()
        .says("Refused: ")
        .says("[incident ");
        assert!(everything(&site, "dev") == before, "{option}");
    }
    for line in [
        "rsync --server --daemon --config=/etc/passwd .",
        "rsync --daemon",
        "rsync -a /etc /tmp",
        "rsync --server -vlogDtpre.iLsfxCIvu . /code/; touch /tmp/funicular-never",
        "/usr/bin/rsync --server -re.iLs . /code/",
    ] {
        let destination = site.destination("dev");
        tom.openssh("ssh")
            .args(["-T", &destination, line])
            .run()
            .fails();
    }
    assert!(!Path::new("/tmp/funicular-never").exists());
    let refused = fetch(
        &site,
        &tom,
        "dev",
        &["-a", "--remove-source-files"],
        "/code/",
        &desk.join("moved"),
    );
    refused.run().fails().says("Refused: ").says("[incident ");
    assert!(site.tree("dev", "code").holds("index.php"));
    // The first of a flood have rows of their own; the rest are counted.
    let rows = audit(&site, &["--decision", "refuse", "--rule", "rsync-option"]);
    assert!(rows.contains("--inplace"), "{rows}");
}

#[test]
fn no_link_leads_rsync_out_of_its_area() {
    let (site, tom) = site("r-links");
    let desk = tom.desk("links");
    let code = site.disk("dev", "code");
    let files = site.disk("dev", "files");
    fs::write(files.join("secret"), "secret of files").unwrap();
    let host_keys = site.gateway.data().join("host_keys");
    // Planted on the disk, past every rule.
    symlink("/etc/passwd", code.join("passwd")).unwrap();
    symlink("/etc", code.join("etc")).unwrap();
    symlink(&host_keys, code.join("keys")).unwrap();
    symlink("../../../files", code.join("up")).unwrap();
    symlink("/proc/self/root/etc/passwd", code.join("proc")).unwrap();
    for flags in [&["-rL"][..], &["-rl", "--copy-unsafe-links"], &["-rlk"]] {
        let down = desk.join(format!("down{}", flags.join("")));
        fetch(&site, &tom, "dev", flags, "/code/", &down).run();
        let got = Tree::read(&down);
        assert!(got.holds("index.php"));
        for path in ["passwd", "proc", "up/secret", "etc/passwd", "etc/hostname"] {
            assert!(got.content(path).is_none(), "{flags:?} gave {path}");
        }
        let keys = fs::read_dir(down.join("keys")).map(|found| found.count());
        assert!(keys.unwrap_or_default() == 0, "{flags:?} gave host keys");
    }
    for place in ["/code/etc/passwd", "/code/up/secret", "/code/keys/"] {
        let down = desk.join("through");
        fetch(&site, &tom, "dev", &["-rL"], place, &down)
            .run()
            .fails();
        assert!(!down.join("passwd").exists() && !down.join("secret").exists());
    }
    // Written through, or planted by the client.
    let up = desk.join("up");
    Tree::default().file("evil", "evil").write(&up);
    for place in ["/code/up/", "/code/etc/", "/code/keys/", "/code/up/made/"] {
        let before = everything(&site, "dev");
        rsync(&site, &tom, "dev", &["-a"], &[&up_of(&up)], place)
            .run()
            .fails();
        assert!(!files.join("evil").exists() && !host_keys.join("evil").exists());
        drop(before);
    }
    let planting = desk.join("planting");
    fs::create_dir_all(planting.join("deep")).unwrap();
    symlink("/etc/passwd", planting.join("absolute")).unwrap();
    symlink("../../../../../etc/passwd", planting.join("deep/climbs")).unwrap();
    rsync(
        &site,
        &tom,
        "dev",
        &["-a"],
        &[&up_of(&planting)],
        "/files/planted/",
    )
    .run();
    for link in ["absolute", "deep/climbs"] {
        let path = files.join("planted").join(link);
        let led = fs::canonicalize(&path);
        assert!(
            led.is_err() || led.unwrap().starts_with(&files),
            "{link} leads out of files"
        );
        if let Ok(content) = fs::read_link(&path) {
            assert!(content.is_relative(), "{link} -> {}", content.display());
        }
    }
}

#[test]
fn uploads_behind_their_link_outlive_a_mirror_of_code() {
    let site = SHARED
        .gateway()
        .site_with("r-uploads", &["--files-path", "wp-content/uploads"]);
    let tom = site
        .person(Role::TeamMember)
        .at_another_computer("r-uploads");
    let desk = tom.desk("uploads");
    fs::write(site.disk("dev", "files").join("photo.jpg"), "photo").unwrap();
    let link = site.disk("dev", "code").join("wp-content/uploads");
    let leads_to = fs::read_link(&link).unwrap();
    let up = desk.join("up");
    Tree::default().file("index.php", "new").write(&up);
    // A checkout that knows nothing of uploads.
    rsync(
        &site,
        &tom,
        "dev",
        &["-a", "--delete"],
        &[&up_of(&up)],
        "/code/",
    )
    .run()
    .ok();
    assert_eq!(fs::read_link(&link).unwrap(), leads_to);
    // One that has a folder of its own there.
    Tree::default()
        .file("wp-content/uploads/mine.jpg", "mine")
        .write(up.clone());
    for flags in [
        &["-a", "--delete"][..],
        &["-a", "--delete", "--delay-updates"],
        &["-rc", "--force", "--ignore-errors", "--delete-before"],
    ] {
        let refused = rsync(&site, &tom, "dev", flags, &[&up_of(&up)], "/code/")
            .run()
            .fails()
            .says("keeps its uploads");
        audited(&site, &refused);
        assert_eq!(fs::read_link(&link).unwrap(), leads_to, "{flags:?}");
        Tree::read(site.disk("dev", "files"))
            .must_equal(&Tree::default().file("photo.jpg", "photo"));
    }
    let refused = ask(
        &site,
        &tom,
        &[
            "-aR",
            "--no-implied-dirs",
            &format!("{}/./wp-content/uploads/mine.jpg", up.display()),
            &at(&site, "dev", "/code/"),
        ],
    );
    refused.run().fails();
    assert_eq!(fs::read_link(&link).unwrap(), leads_to);
    Tree::read(site.disk("dev", "files")).must_equal(&Tree::default().file("photo.jpg", "photo"));
    // By its name, it is /files.
    let mine = up.join("wp-content/uploads");
    rsync(
        &site,
        &tom,
        "dev",
        &["-a"],
        &[&up_of(&mine)],
        "/code/wp-content/uploads/",
    )
    .run()
    .ok();
    assert!(site.tree("dev", "files").holds("mine.jpg"));
    let down = desk.join("down");
    fetch(&site, &tom, "dev", &["-a"], "/code/", &down)
        .run()
        .ok();
    assert!(fs::symlink_metadata(down.join("wp-content/uploads")).is_err());
}

#[test]
fn gits_own_directory_is_neither_sent_nor_taken() {
    let (site, tom) = site("r-git");
    let desk = tom.desk("git");
    let up = desk.join("up");
    Tree::default()
        .file("index.php", "new")
        .file(".git/config", "evil")
        .file("lib/.GIT/hooks/x", "evil")
        .file(".gitignore", "kept")
        .write(&up);
    let refused = rsync(&site, &tom, "dev", &["-a"], &[&up_of(&up)], "/code/")
        .run()
        .fails()
        .says("git");
    audited(&site, &refused);
    let code = site.tree("dev", "code");
    assert!(code.holds(".gitignore") && !code.holds(".git") && !code.holds("lib/.GIT"));
    fs::create_dir(site.disk("dev", "code").join(".git")).unwrap();
    let down = desk.join("down");
    fetch(&site, &tom, "dev", &["-a"], "/code/", &down)
        .run()
        .ok();
    assert!(!down.join(".git").exists() && down.join(".gitignore").exists());
    fs::remove_dir(site.disk("dev", "code").join(".git")).unwrap();
}

#[test]
fn what_rsync_complains_of_is_shown_without_paths_of_the_server() {
    let (site, tom) = site("r-complains");
    let desk = tom.desk("complains");
    let up = desk.join("up");
    Tree::default().file("a", "a").write(&up);
    Client::new("mkfifo").arg(up.join("pipe")).run().ok();
    let code = site.disk("dev", "code");
    fs::write(code.join("secret"), "secret").unwrap();
    let data = site.gateway.data().display().to_string();
    rsync(&site, &tom, "dev", &["-a"], &[&up_of(&up)], "/code/odd/")
        .run()
        .fails()
        .says("pipe")
        .says("/code/odd")
        .says_not("generations")
        .says_not(&data);
    let odd = site.tree("dev", "code");
    assert!(odd.holds("odd/a") && !odd.holds("odd/pipe"));
    let down = desk.join("down");
    fetch(&site, &tom, "dev", &["-a"], "/code/nothing", &down)
        .run()
        .fails()
        .says("/code/nothing")
        .says("No such file")
        .says_not(&data);
}
