//! A site as people really have one: WordPress, pushed, edited over SFTP, committed, deployed and
//! hotfixed, with every byte of its thousands of files where it belongs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use support::{Client, Clone, Role, Shared, Tree, wordpress};

static SHARED: Shared = Shared::new();

#[test]
fn wordpress_goes_the_whole_way_up_and_a_hotfix_comes_back() {
    let gateway = SHARED.gateway();
    let site = gateway.site_with("wordpress", &["--files-path", "wp-content/uploads"]);
    let tom = site.person(Role::TeamMember);
    site.set_mode("git");

    // Pushed.
    let clone = Clone::new(&site, tom);
    copy(&wordpress::tree(), clone.folder());
    clone.must(&["add", "--all"]);
    clone.must(&["commit", "--quiet", "--message", "Add WordPress"]);
    clone
        .git(&["push", "--quiet", "dev", "main"])
        .limit(LONG)
        .run()
        .ok();
    let pushed = Tree::read(clone.folder()).without(|path| path.starts_with(b".git"));
    assert!(pushed.paths().count() > 2000, "that is no WordPress");
    let code = |environment: &str| site.tree(environment, "code").without(of_uploads);
    code("dev").must_equal(&pushed);

    // Edited over SFTP, and an upload that is not code.
    site.set_mode("sftp");
    let desk = tom.desk("wordpress-edit");
    fs::write(desk.join("hello.php"), "<?php /* Plugin Name: Hello */\n").unwrap();
    fs::write(desk.join("photo.jpg"), "a photo").unwrap();
    let batch = format!(
        "lcd {}\nmkdir /code/wp-content/plugins/hello\nput hello.php /code/wp-content/plugins/hello/hello.php\n\
         rename /code/readme.html /code/about.html\nrm /code/wp-config-sample.php\n\
         put photo.jpg /code/wp-content/uploads/photo.jpg\n",
        desk.display()
    );
    site.sftp(tom, "dev", batch).run().ok();
    let changes = site.console(tom, &["env:diffstat", "SITE.dev"]).run().ok();
    let changes = changes
        .says("wp-content/plugins/hello/hello.php")
        .says("wp-config-sample.php");
    changes.says("about.html").says_not("photo.jpg");
    site.console(tom, &["env:commit", "SITE.dev", "-m", "Say hello"])
        .run()
        .ok();
    site.must(&["env:diffstat", "SITE.dev"])
        .says_not("hello.php");

    // The commit is Tom's, and holds what is on the server.
    clone.must(&["fetch", "--quiet", "dev"]);
    clone.must(&["reset", "--quiet", "--hard", "dev/main"]);
    assert!(
        clone
            .ask(&["log", "-1", "--format=%an %s"])
            .starts_with("tom Say hello")
    );
    let committed = Tree::read(clone.folder()).without(|path| path.starts_with(b".git"));
    code("dev").must_equal(&committed);

    // Deployed.
    site.deploy_all();
    code("test").must_equal(&committed);
    code("live").must_equal(&committed);
    assert!(
        !site.tree("live", "files").holds("photo.jpg"),
        "content does not go up"
    );

    // Hotfixed, and back again.
    clone.must(&["fetch", "--quiet", "--tags", "live"]);
    clone.must(&["checkout", "--quiet", "-b", "hotfix/login", "live_1"]);
    let login = fs::read_to_string(clone.folder().join("wp-login.php")).unwrap();
    clone.commit("wp-login.php", &format!("{login}// fixed\n"));
    clone.must(&[
        "push",
        "-o",
        "reason=nobody can log in",
        "live",
        "hotfix/login",
    ]);
    let fixed = Tree::read(clone.folder()).without(|path| path.starts_with(b".git"));
    code("live").must_equal(&fixed);
    code("dev").must_equal(&committed);
    site.must(&["hotfix:merge", "SITE", "login"]);
    code("dev").must_equal(&fixed);
    assert_eq!(
        site.tree("dev", "files").content("photo.jpg"),
        Some(&b"a photo"[..])
    );
    site.must(&["audit:verify"]);
}

const LONG: Duration = Duration::from_secs(300);

/// The link that stands where the site keeps its uploads is the gateway's, not the repository's.
fn of_uploads(path: &[u8]) -> bool {
    path.starts_with(b"wp-content/uploads")
}

fn copy(from: &Path, to: &Path) {
    Client::new("cp")
        .arg("-r")
        .arg(from.join("."))
        .arg(to)
        .run()
        .ok();
    // git knows no empty folders.
    Client::new("find")
        .arg(to)
        .args([
            "-type", "d", "-empty", "-not", "-path", "*/.git/*", "-delete",
        ])
        .run()
        .ok();
}
