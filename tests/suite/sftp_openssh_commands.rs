//! The commands of OpenSSH's `sftp` that are not transfers: each does what it says, or says why not.

use std::fs;
use std::os::unix::fs::MetadataExt;

use support::{Person, Role, Site, Tree};

use crate::sftp_openssh::SHARED;

#[test]
fn home_is_the_root_and_holds_the_areas() {
    let (site, tom) = site("t-home");
    let listed = site.sftp(&tom, "dev", "pwd\nls -1\n").run().ok();
    let listed = listed.says("Remote working directory: /\n").out();
    for area in ["code", "files", "logs", "tmp", "backups"] {
        assert!(
            listed.lines().any(|line| line.trim() == area),
            "{area} in {listed}"
        );
    }
    let moved = site
        .sftp(
            &tom,
            "dev",
            "cd code/lib\npwd\ncd ..\npwd\ncd ../../../..\npwd\n",
        )
        .run()
        .ok();
    let seen: Vec<_> = moved
        .out()
        .lines()
        .filter_map(|line| {
            line.strip_prefix("Remote working directory: ")
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(seen, ["/code/lib", "/code", "/"]);
    site.sftp(&tom, "dev", "cd /nowhere\n")
        .run()
        .fails()
        .says("No such file");
    site.sftp(&tom, "dev", "cd /code/index.php\n").run().fails();
}

#[test]
fn listings_show_kinds_sizes_and_modes() {
    let (site, tom) = site("t-list");
    let listed = site.sftp(&tom, "dev", "ls -la /code\n").run().ok().out();
    let line = |name: &str| {
        listed
            .lines()
            .find(|line| line.ends_with(name))
            .unwrap_or_else(|| panic!("{name} is missing in {listed}"))
            .to_owned()
    };
    assert!(line("index.php").starts_with("-rw"));
    assert!(line("lib").starts_with("drwx"));
    assert!(
        line("index.php").contains(" 20 "),
        "the size: {}",
        line("index.php")
    );
    let listed = site
        .sftp(&tom, "dev", "ls -l /code/bin\nls -ln /code/theme\n")
        .run()
        .ok()
        .out();
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with("-rwx") && line.ends_with("tool")),
        "{listed}"
    );
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with("lrwx") && line.contains("current.css")),
        "{listed}"
    );
    let matched = site
        .sftp(&tom, "dev", "ls -1 /code/lib/*.php\n")
        .run()
        .ok()
        .out();
    assert!(
        matched.contains("menu.php") && matched.contains("footer.php"),
        "{matched}"
    );
    site.sftp(&tom, "dev", "ls /code/missing\n")
        .run()
        .fails()
        .says("not found");
}

#[test]
fn git_s_own_folder_does_not_exist() {
    let (site, tom) = site("t-hidden");
    let listed = site.sftp(&tom, "dev", "ls -la /code\n").run().ok().out();
    assert!(!listed.contains(".git"), "{listed}");
    let desk = tom.desk("hidden");
    fs::write(desk.join("config"), "[core]\n").unwrap();
    for forbidden in [
        "ls /code/.git",
        "get /code/.git/config",
        "mkdir /code/.git",
        "put config /code/.git",
        "put config /code/.git/config",
        "mkdir /code/lib/.git",
        "ln -s /tmp /code/.git",
        "rename /code/lib /code/.git",
    ] {
        site.sftp(
            &tom,
            "dev",
            format!("lcd {}\n{forbidden}\n", desk.display()),
        )
        .run()
        .fails();
    }
    assert!(
        !site
            .tree("dev", "code")
            .paths()
            .any(|path| path.ends_with(b".git"))
    );
}

#[test]
fn folders_are_made_and_removed() {
    let (site, tom) = site("t-folders");
    site.sftp(&tom, "dev", "mkdir /code/new\nmkdir /code/new/inner\n")
        .run()
        .ok();
    assert!(site.tree("dev", "code").holds("new/inner"));
    site.sftp(&tom, "dev", "mkdir /code/new\n").run().fails();
    site.sftp(&tom, "dev", "rmdir /code/new\n").run().fails();
    site.sftp(&tom, "dev", "rmdir /code/missing\n")
        .run()
        .fails();
    site.sftp(&tom, "dev", "rmdir /code/index.php\n")
        .run()
        .fails();
    site.sftp(&tom, "dev", "rm /code/new\n").run().fails();
    site.sftp(
        &tom,
        "dev",
        "rmdir /code/new/inner\nrmdir /code/new\nrm /code/index.php\n",
    )
    .run()
    .ok();
    let code = site.tree("dev", "code");
    assert!(!code.holds("new") && !code.holds("index.php"));
    site.sftp(&tom, "dev", "rm /code/index.php\n").run().fails();
}

#[test]
fn the_areas_themselves_stay() {
    let (site, tom) = site("t-areas");
    for forbidden in [
        "rmdir /code",
        "rmdir /files",
        "rename /files /uploads",
        "rename /code /files/code",
        "mkdir /new",
        "ln -s /code /new",
    ] {
        site.sftp(&tom, "dev", format!("{forbidden}\n"))
            .run()
            .fails();
    }
    let listed = site.sftp(&tom, "dev", "ls -1 /\n").run().ok().out();
    let mut areas: Vec<&str> = listed
        .lines()
        .filter(|line| !line.contains('>'))
        .map(|line| line.trim().trim_start_matches('/'))
        .collect();
    areas.sort_unstable();
    assert_eq!(areas, ["backups", "code", "files", "logs", "tmp"]);
}

#[test]
fn rename_moves_files_and_folders() {
    let (site, tom) = site("t-rename");
    let batch = "rename /code/index.php /code/lib/start.php\nrename /code/lib /code/library\n\
                 rename /code/library/menu.php /code/library/footer.php\n";
    site.sftp(&tom, "dev", batch).run().ok();
    let code = site.tree("dev", "code");
    assert_eq!(
        code.content("library/start.php"),
        Some(&b"<?php echo 'first';\n"[..])
    );
    assert_eq!(
        code.content("library/footer.php"),
        Some(&b"<?php // the menu\n"[..]),
        "posix-rename replaces"
    );
    assert!(!code.holds("lib") && !code.holds("index.php") && !code.holds("library/menu.php"));
    // The plain rename of SFTP version 3 never replaces.
    site.sftp(
        &tom,
        "dev",
        "rename -l /code/library/start.php /code/library/footer.php\n",
    )
    .run()
    .fails();
    site.sftp(&tom, "dev", "rename /code/missing /code/other\n")
        .run()
        .fails();
    site.sftp(&tom, "dev", "rename /code/library /code/library/inner\n")
        .run()
        .fails();
}

#[test]
fn links_are_made_and_followed() {
    let (site, tom) = site("t-links");
    let desk = tom.desk("links");
    let batch = format!(
        "lcd {}\ncd /code\nln -s ../index.php lib/start.php\nln index.php second.php\n\
         ln -s nowhere dangling\nget lib/start.php down\nls -l /code\n",
        desk.display()
    );
    site.sftp(&tom, "dev", batch).run().ok();
    let expected = Tree::read(site.disk("dev", "code"));
    assert_eq!(
        fs::read_link(site.disk("dev", "code").join("lib/start.php"))
            .unwrap()
            .to_str(),
        Some("../index.php")
    );
    assert_eq!(
        fs::read_link(site.disk("dev", "code").join("dangling"))
            .unwrap()
            .to_str(),
        Some("nowhere")
    );
    assert_eq!(
        expected.content("second.php"),
        Some(&b"<?php echo 'first';\n"[..])
    );
    assert_eq!(
        fs::read(desk.join("down")).unwrap(),
        b"<?php echo 'first';\n"
    );
    site.sftp(&tom, "dev", "get /code/dangling\n").run().fails();
    site.sftp(&tom, "dev", "rm /code/dangling\nrm /code/lib/start.php\n")
        .run()
        .ok();
    assert!(
        site.tree("dev", "code").holds("index.php"),
        "removing a link leaves what it leads to"
    );
}

#[test]
fn modes_change() {
    let (site, tom) = site("t-modes");
    site.sftp(
        &tom,
        "dev",
        "chmod 755 /code/index.php\nchmod 644 /code/bin/tool\nchmod 755 /code/lib\n",
    )
    .run()
    .ok();
    let mode = |path: &str| {
        fs::metadata(site.disk("dev", "code").join(path))
            .unwrap()
            .mode()
            & 0o111
    };
    assert_ne!(mode("index.php"), 0);
    assert_eq!(mode("bin/tool"), 0);
    site.sftp(&tom, "dev", "chmod 755 /code/missing\n")
        .run()
        .fails();
}

#[test]
fn free_space_is_told() {
    let (site, tom) = site("t-space");
    let told = site
        .sftp(&tom, "dev", "df\ndf -h /files\ndf -i /code\n")
        .run()
        .ok()
        .out();
    assert!(told.contains("Avail") && told.contains('%'), "{told}");
}

#[test]
fn the_server_copies_within_itself() {
    let (site, tom) = site("t-copy");
    site.sftp(
        &tom,
        "dev",
        "cp /code/index.php /code/copy.php\ncp /code/index.php /files/copy.php\n",
    )
    .run()
    .ok();
    assert_eq!(
        site.tree("dev", "code").content("copy.php"),
        Some(&b"<?php echo 'first';\n"[..])
    );
    assert_eq!(
        site.tree("dev", "files").content("copy.php"),
        Some(&b"<?php echo 'first';\n"[..])
    );
}

#[test]
fn an_upload_that_is_synced_is_whole() {
    let (site, tom) = site("t-fsync");
    let desk = tom.desk("fsync");
    fs::write(desk.join("up"), "safe\n").unwrap();
    let batch = format!("lcd {}\nput -f up /code/safe\n", desk.display());
    site.sftp(&tom, "dev", batch).run().ok();
    assert_eq!(
        site.tree("dev", "code").content("safe"),
        Some(&b"safe\n"[..])
    );
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}
