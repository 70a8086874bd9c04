//! Logs of workflows as files: kept in a number, read over SFTP, written by nobody.

use std::sync::Arc;

use support::{Gateway, Role};

use crate::deploys::{push, rows};
use crate::freezes::refused;

#[test]
fn the_newest_logs_are_kept_of_each_environment() {
    let gateway = Arc::new(Gateway::start_with(&[("workflows", "keep_logs", "3")]));
    let site = gateway.site("l-rotate");
    site.set_mode("git");
    let tom = site.person(Role::TeamMember).clone();
    let clone = support::Clone::new(&site, &tom);
    for number in 0..5 {
        push(&clone, &format!("page {number}"));
    }
    site.deploy_all();
    let flows = rows(&site, &["workflow:list", "SITE"]);
    let ids = |environment: &str| -> Vec<String> {
        let rows = flows.iter().filter(|row| row["env"] == environment);
        rows.map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let list = |environment: &str| {
        let listed = site
            .sftp(&tom, environment, "ls -1 /logs/workflows\n")
            .run()
            .ok();
        let mut names: Vec<String> = listed
            .out()
            .lines()
            .filter_map(|line| {
                Some(
                    line.trim()
                        .rsplit_once('/')?
                        .1
                        .strip_suffix(".log")?
                        .to_owned(),
                )
            })
            .collect();
        names.sort();
        names.reverse();
        names
    };
    let dev = ids("dev");
    assert_eq!(dev.len(), 6, "five pushes and a mode: {flows:?}");
    assert_eq!(list("dev"), dev[..3]);
    assert_eq!(list("live"), ids("live"));
    let last = site.must(&["workflow:logs", &dev[0]]).out();
    assert!(last.trim_end().ends_with("succeeded: done"), "{last}");
    site.command(&["workflow:logs", &dev[5]])
        .run()
        .code(1)
        .says("no longer kept");
    // What is known of it stays.
    site.must(&["workflow:info", &dev[5]]).says("succeeded");
}

#[test]
fn logs_are_read_by_who_may_and_written_by_nobody() {
    let site = crate::deploys::SHARED.gateway().site("l-read");
    site.set_mode("git");
    site.must(&["env:deploy", "SITE.test"]);
    let flows = rows(&site, &["workflow:list", "SITE"]);
    let id = |environment: &str| {
        let row = flows.iter().find(|row| row["env"] == environment).unwrap();
        row["id"].as_str().unwrap().to_owned()
    };
    let (dev, test) = (id("dev"), id("test"));
    let ada = site
        .person(Role::Administrator)
        .at_another_computer("l-read");
    let desk = ada.desk("l-read");
    let get = |id: &str| {
        format!(
            "get /logs/workflows/{id}.log {}\n",
            desk.join("copy").display()
        )
    };
    let before = site.tree("test", "logs");
    for role in [Role::Administrator, Role::TeamMember] {
        site.sftp(site.person(role), "test", get(&test)).run().ok();
        let copy = std::fs::read_to_string(desk.join("copy")).unwrap();
        assert!(copy.contains("succeeded: done"), "{copy}");
    }
    let dana = site.person(Role::Developer);
    site.sftp(dana, "dev", get(&dev)).run().ok();
    site.sftp(dana, "test", get(&test))
        .run()
        .fails()
        .says("not for the role developer");
    let vera = site.person(Role::Viewer);
    site.sftp(vera, "dev", get(&dev))
        .run()
        .fails()
        .says("not for the role viewer");

    let log = format!("/logs/workflows/{test}.log");
    let upload = desk.join("upload");
    std::fs::write(&upload, "all went well\n").unwrap();
    for batch in [
        format!("put {} {log}\n", upload.display()),
        format!("put {} /logs/workflows/mine.log\n", upload.display()),
        format!("rm {log}\n"),
        format!("rename {log} /logs/workflows/other.log\n"),
        format!("rename {log} /tmp/stolen.log\n"),
        format!("chmod 666 {log}\n"),
        format!("ln {log} /tmp/second\n"),
        "mkdir /logs/workflows/new\n".to_owned(),
        "rmdir /logs/workflows\n".to_owned(),
    ] {
        let done = site.sftp(&ada, "test", &batch).run().fails();
        assert!(
            !done.screen().contains("incident") || done.screen().contains("read-only"),
            "{batch}: {done}"
        );
    }
    site.tree("test", "logs").must_equal(&before);
    refused(&site, "write", "logs-are-read-only");
    refused(&site, "remove", "logs-are-read-only");
}
