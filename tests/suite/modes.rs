//! The connection mode: what a change of it does to work under way, to pushes and to open files.

use support::packets::{self, Request};
use support::raw::Raw;
use support::{Clone, Role, gateway};

use crate::work::{edit, git, json, left, mode, put, site, state};

#[test]
fn a_switch_with_work_under_way_asks_and_keeps_it() {
    let (site, tom) = site("m-switch");
    let first = site.tree("dev", "code");
    let desk = tom.desk("m-switch");
    let content = support::tree::noise(7, 300_000);
    std::fs::write(desk.join("noise.bin"), &content).unwrap();
    edit(&site, &tom, "index.php", "no end of line");
    site.sftp(
        &tom,
        "dev",
        format!(
            "put {}/noise.bin /code/noise.bin\nchmod 755 /code/noise.bin\nrm /code/lib/menu.php\n\
             ln -s index.php /code/link.php\nrename /code/lib/footer.php /code/lib/moved.php\n",
            desk.display()
        ),
    )
    .run()
    .ok();
    let work = site.tree("dev", "code");
    assert_eq!(work.content("noise.bin"), Some(&content[..]));

    let before = state(&site);
    let switch = |mode: &str, more: &[&str]| {
        site.console(
            &tom,
            &[&["connection:set", "SITE.dev", mode], more].concat(),
        )
    };
    for answer in ["no\n", "", "what?\n"] {
        switch("git", &[])
            .input(answer)
            .run()
            .code(3)
            .says("uncommitted changes")
            .says("env:commit");
        assert_eq!(state(&site), before, "after the answer {answer:?}");
        site.tree("dev", "code").must_equal(&work);
    }

    switch("git", &["--yes"])
        .run()
        .code(0)
        .says("env:restore-work");
    assert_eq!(mode(&site), "git");
    site.tree("dev", "code").must_equal(&first);
    // The work is on a ref that no clone sees.
    let seen = tom
        .client("git")
        .args(["ls-remote", &site.url("dev")])
        .run()
        .ok();
    let refs = git(&site, &["for-each-ref", "--format=%(refname)"]).out();
    let hidden: Vec<&str> = refs
        .lines()
        .filter(|name| !seen.out().contains(*name))
        .collect();
    assert_eq!(hidden.len(), 1, "{refs}\nseen: {}", seen.out());

    // In Git mode there is no work to bring back to.
    site.console(&tom, &["env:restore-work", "SITE.dev"])
        .run()
        .code(3);
    site.console(&tom, &["env:commit", "SITE.dev", "-m", "none"])
        .run()
        .code(3)
        .says("You can only commit code in an environment that is set to sftp mode.");
    switch("sftp", &[]).run().ok();
    site.console(&tom, &["env:restore-work", "SITE.dev"])
        .run()
        .ok();
    site.tree("dev", "code").must_equal(&work);
    switch("git", &[]).input("yes\n").run().code(0);
    site.tree("dev", "code").must_equal(&first);
}

#[test]
fn a_push_in_sftp_mode_learns_who_set_the_mode_and_when() {
    let (site, tom) = site("m-push");
    let dana = site.person(Role::Developer);
    for mode in ["git", "sftp"] {
        site.console(dana, &["connection:set", "SITE.dev", mode])
            .run()
            .ok();
    }
    let info = json(
        site.command(&["env:info", "SITE.dev", "--format", "json"])
            .run()
            .ok(),
    );
    assert_eq!(info["mode_set_by"], "dana");
    let set_at = info["mode_set_at"].as_str().expect("a time").to_owned();
    let clone = Clone::new(&site, &tom);
    let commit = clone.commit("index.php", "<?php echo 'pushed';\n");
    let before = state(&site);
    let refused = clone.git(&["push", "dev", "main"]).run().fails();
    let refused = refused.says("SFTP mode").says("set by dana").says(&set_at);
    assert_eq!(state(&site), before);
    let switch = support::clone::hint(&refused, "connection:set");
    clone.paste(&switch).run().ok();
    assert_eq!(mode(&site), "git");
    clone.must(&["push", "dev", "main"]);
    assert_eq!(git(&site, &["rev-parse", "main"]).out().trim(), commit);
}

#[test]
fn an_open_file_takes_nothing_more_after_a_switch() {
    let (site, tom) = site("m-open");
    let mut raw = Raw::open(&site, &tom, "dev");
    let handle = raw.open_file("/code/index.php", packets::FLAG_WRITE);
    let write = |raw: &mut Raw| raw.ask(|id| Request::write(id, &handle, 0, b"<?PHP"));
    write(&mut raw).must_be(packets::OK);
    site.set_mode("git");
    let message = write(&mut raw).must_be(packets::PERMISSION_DENIED);
    assert!(message.contains("[incident "), "{message}");
    site.tree("dev", "code").must_equal(&gateway::sample_tree());
    // Nor when SFTP mode is back: the file belongs to a release that is gone.
    site.set_mode("sftp");
    write(&mut raw).must_be(packets::PERMISSION_DENIED);
    site.tree("dev", "code").must_equal(&gateway::sample_tree());
    let _ = raw.ask(|id| Request::of(packets::CLOSE, id, &handle));
    put(&mut raw, "/code/index.php", "<?php echo 'anew';\n");
    assert_eq!(left(&site), ["index.php"]);
}

#[test]
fn the_same_mode_is_a_notice_and_live_has_none() {
    let (site, tom) = site("m-same");
    edit(&site, &tom, "index.php", "<?php echo 'second';\n");
    let before = state(&site);
    site.console(&tom, &["connection:set", "SITE.dev", "sftp"])
        .run()
        .code(0)
        .says("already set to sftp");
    assert_eq!(state(&site), before);
    site.must(&["env:commit", "SITE.dev", "-m", "second"]);
    site.deploy_all();
    for environment in ["test", "live"] {
        for mode in ["sftp", "git"] {
            let place = format!("SITE.{environment}");
            site.console(&tom, &["connection:set", &place, mode, "--yes"])
                .run()
                .code(3)
                .says(&format!(
                    "Connection mode cannot be set on the {environment} environment"
                ));
        }
    }
    site.console(&tom, &["connection:set", "SITE.dev", "ftp"])
        .run()
        .code(2);
}
