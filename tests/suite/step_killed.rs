//! A step's process is killed by somebody else: before the switch nothing has moved, after it the
//! release is turned back; the next deploy works.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Role, wait_for};

use crate::crash_site::{command_line, process_ids};
use crate::deploys::{SHARED, code, refs, rows, runs};
use crate::step_strain::{SOON, running};
use crate::steps::{in_git_mode, step};

#[test]
fn a_killed_step_leaves_the_old_release() {
    let (site, _, clone) = in_git_mode(SHARED.gateway().site("sk-killed"));
    let tom = site.person(Role::TeamMember);
    let commit = |page: &str, file: &str| {
        clone.commit("funicular.toml", file);
        crate::deploys::push(&clone, page)
    };
    let good = commit("good", "");
    site.must(&["env:deploy", "SITE.test"]);
    let (before, tags) = (
        code(&site, "test"),
        refs(&site).matches("refs/tags").count(),
    );
    for (stage, why) in [("before", "failed"), ("after", "after the switch")] {
        let marker = format!("funicular-killed-{stage}-{}", std::process::id());
        let script = format!("sh -c 'sleep 300; : {marker}'");
        let waiting = step("waits", "'deploy'", stage, &script) + "on_failure = 'stop'\n";
        let bad = commit(stage, &waiting);
        let deploy = site.console(tom, &["env:deploy", "SITE.test"]).start();
        let words = format!("sh -c sleep 300; : {marker}");
        let waiting = wait_for("the step to run", SOON, || {
            process_ids().find(|id| command_line(*id).is_some_and(|line| line.starts_with(&words)))
        });
        kill(Pid::from_raw(waiting), Signal::SIGKILL).unwrap();
        let failed = deploy.finish();
        assert_eq!(failed.code, Some(1), "{failed}");
        failed.says("waits").says(why);
        assert_eq!(code(&site, "test"), before, "{stage}");
        assert_eq!(runs(&site, "test"), good, "{stage}");
        assert_eq!(refs(&site).matches("refs/tags").count(), tags, "{stage}");
        let listed = rows(&site, &["release:list", "SITE.test"]);
        let is_marked = listed.iter().any(|row| row["commit"] == bad.as_str());
        assert_eq!(is_marked, stage == "after", "{listed:?}");
        assert!(running(&marker).is_empty());
    }
    let next = commit("next", "");
    site.console(tom, &["env:deploy", "SITE.test"]).run().ok();
    assert_eq!(runs(&site, "test"), next);
}
