//! A Multidev that is asked for twice at once, and one that cannot be made.

use std::fs;

use crate::deploys::rows;
use crate::multidev::{held, index, last_row, site};

#[test]
fn of_two_at_once_one_is_made() {
    let (site, dana, _) = site("m-twice");
    let started: Vec<_> = (0..3)
        .map(|_| {
            let words = ["multidev:create", "SITE.dev", "feature-x"];
            site.console(&dana, &words).start()
        })
        .collect();
    let ended: Vec<_> = started.into_iter().map(|one| one.finish()).collect();
    let made = ended.iter().filter(|one| one.code == Some(0)).count();
    let refused = ended.iter().filter(|one| one.code == Some(3)).count();
    assert_eq!((made, refused), (1, 2), "{}", ended[0]);
    assert!(index(&site, "feature-x").contains("first"));
}

#[test]
fn one_that_cannot_be_made_leaves_nothing_but_its_log() {
    let (site, dana, clone) = site("m-fails");
    clone.must(&["checkout", "--quiet", "-b", "topic"]);
    clone.commit("index.php", "<?php echo 'a content of its own';\n");
    clone.must(&["push", "--quiet", "dev", "topic"]);
    let blob = clone.ask(&["rev-parse", "topic:index.php"]);
    let object = site
        .repository()
        .join("objects")
        .join(&blob[..2])
        .join(&blob[2..]);
    let aside = site.gateway.folder().join("aside");
    fs::rename(&object, &aside).unwrap();
    let before = held(&site);
    let words = [
        "multidev:create",
        "SITE.dev",
        "topic",
        "--from-branch",
        "topic",
    ];
    site.console(&dana, &words).run().code(1);
    assert_eq!(held(&site), before);
    let flow = &rows(&site, &["workflow:list", "SITE"])[0];
    assert_eq!(
        (&flow["workflow"], &flow["status"]),
        (&"multidev_create".into(), &"failed".into())
    );
    site.must(&["workflow:logs", flow["id"].as_str().unwrap()])
        .says("Preparing");
    assert_eq!(last_row(&site, "topic")["outcome"], "failed");
    fs::rename(&aside, &object).unwrap();
    // What lies there of no environment is nobody's, and is kept.
    let folder = site.gateway.data().join("sites/m-fails");
    fs::create_dir(folder.join("environments/topic")).unwrap();
    fs::write(folder.join("environments/topic/found"), "x").unwrap();
    site.console(&dana, &words).run().ok();
    assert!(index(&site, "topic").contains("of its own"));
    let kept = fs::read_dir(folder.join("deleted")).unwrap().next();
    assert!(kept.unwrap().unwrap().path().join("found").exists());
}
