//! A release is asked by a real PHP-FPM before anybody is shown it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::Role;
use support::web_server::get;

use crate::deploys::{refs, rows, runs};
use crate::web_servers::{Scene, documented};

#[test]
fn a_release_that_fails_before_the_switch_is_never_seen() {
    let scene = Scene::new("pf-php");
    let site = &scene.site;
    let asks = "[[probe]]\nname = \"front page\"\nstage = \"before\"\nenvironments = [\"live\"]\n\
                path = \"index.php?from=probe\"\nmarker = \"1 1 1 1\"\ntimeout = 20\n";
    scene.clone.commit("funicular.toml", asks);
    let tom = site.person(Role::TeamMember);
    // Errors are shown on the page, whose status is 200 as soon as something was written.
    let php = "pm.max_children = 3\nphp_admin_value[display_errors] = 1\n\
               php_admin_value[output_buffering] = 0";
    let server = scene.serve(&documented(), php);
    let unknown = site.console(tom, &["env:set", "SITE.live", "fastcgi", &server.fastcgi()]);
    unknown
        .run()
        .code(3)
        .says("only the server's administrators");
    site.must(&["env:set", "SITE.live", "fastcgi", &server.fastcgi()]);
    scene.deploy(1);
    assert_eq!(scene.page(&server), 1);

    let (before, good) = (refs(site), runs(site, "live"));
    let over = Arc::new(AtomicBool::new(false));
    let visitor = {
        let (over, address) = (over.clone(), server.address());
        thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let answer = get(address, "/");
                assert_eq!(answer.body, "1 1 1 1", "{answer:?}");
            }
        })
    };
    let deploy = || site.console(tom, &["env:deploy", "SITE.live"]).run();
    for (page, why) in [
        (
            "<?php echo 'almost '; no_such_function();\n",
            "lacks the marker '1 1 1 1'",
        ),
        ("<?php syntax error\n", "index.php"),
        (
            "<?php http_response_code(503); echo '1 1 1 1';\n",
            "503 instead of 200",
        ),
    ] {
        let bad = scene.clone.commit("index.php", page);
        scene.clone.must(&["push", "--quiet", "dev", "main"]);
        site.must(&["env:deploy", "SITE.test"]);
        let tags = refs(site);
        deploy()
            .code(1)
            .says("failed before the switch")
            .says(why)
            .says("release:allow pf-php.live");
        assert_eq!(refs(site), tags);
        assert_ne!(tags, before);
        assert_eq!(runs(site, "live"), good);
        deploy().code(3).says("failed on pf-php.live");
        let listed = rows(site, &["release:list", "SITE.live"]);
        let kept = listed.iter().find(|row| row["commit"] == bad.as_str());
        assert_eq!(kept.expect("it is listed")["status"], "failed");
    }
    over.store(true, Ordering::SeqCst);
    visitor.join().unwrap();
}
