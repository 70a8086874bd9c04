//! Git, the hooks and the daemon are killed in the middle of pushes.

use std::fs;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::clients::Running;
use support::{Finished, tree, wait_for};

use crate::crash_site::{Scene, State, command_line, process_ids};

#[test]
fn git_is_killed_while_it_receives() {
    let scene = Scene::new("kill-receive");
    for victim in ["receive-pack", "index-pack"] {
        one_kill(&scene, victim, "receive-pack", victim);
    }
}

#[test]
fn git_or_the_hook_is_killed_while_the_release_is_prepared() {
    let scene = Scene::new("kill-pre");
    for victim in ["hooks/pre-receive", "receive-pack"] {
        one_kill(&scene, victim, "hooks/pre-receive", victim);
    }
}

#[test]
fn git_or_the_hook_is_killed_while_the_push_is_carried_out() {
    let scene = Scene::new("kill-proc");
    for victim in ["hooks/proc-receive", "receive-pack", "update-ref"] {
        one_kill(&scene, victim, "hooks/proc-receive", victim);
    }
}

#[test]
fn the_daemon_is_killed_at_any_moment_of_pushes() {
    let scene = Scene::new("kill-random");
    // How long an undisturbed push is, counted in looks at it.
    large_change(&scene, "undisturbed");
    let mut push = scene.push().start();
    let looks = looks_until(&mut push, usize::MAX);
    push.finish().ok();
    let mut random = 2_463_534_242_u64;
    let mut before = scene.state();
    for round in 0..10 {
        let commit = large_change(&scene, &format!("round-{round}"));
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let delay = usize::try_from(random % (looks as u64 + 1)).expect("it is small");
        let mut push = scene.push().start();
        looks_until(&mut push, delay);
        scene.gateway.signal(Signal::SIGKILL);
        scene.gateway.ended();
        push.finish();
        let said = scene.recover();
        let after = scene.state();
        if after.environments["dev"].commit.as_ref() != Some(&commit) {
            assert_eq!(before, after, "after {delay} looks of {looks}: {said}");
        }
        scene.push().run().ok();
        before = scene.state();
        assert_eq!(before.environments["dev"].commit.as_ref(), Some(&commit));
    }
}

/// Pushes until `victim` was killed while `moment` ran, at most a few times; after each of them the
/// site is as it was or as it should be, and the next push works.
fn one_kill(scene: &Scene, victim: &str, moment: &str, name: &str) {
    let name = name.replace('/', "-");
    for attempt in 0..25 {
        let before = scene.state();
        let commit = large_change(scene, &format!("{name}-{attempt}"));
        let mut push = scene.push().start();
        let caught = catch(scene, &mut push, victim, moment);
        let finished = push.finish();
        // The daemon ends a push on its own after git is gone.
        let after = ended(scene, &before);
        let moved = after.environments["dev"].commit.as_ref() == Some(&commit);
        if !moved {
            assert_eq!(before, after, "{victim} was killed: {finished}");
        }
        if caught {
            told_of_failure(&finished, victim, moved);
        }
        scene.push().run().ok();
        // What a killed git has left of its pack is removed at the next start.
        scene.state_without_sweep();
        scene.gateway.stop(Signal::SIGTERM);
        scene.recover();
        let again = scene.state();
        assert_eq!(again.environments["dev"].commit.as_ref(), Some(&commit));
        if caught {
            return;
        }
    }
    panic!("{victim} was never caught in the act");
}

fn told_of_failure(finished: &Finished, victim: &str, moved: bool) {
    // A killed `update-ref` may have done its work, or the gateway finishes it.
    if victim == "update-ref" && moved {
        return;
    }
    assert_ne!(finished.code, Some(0), "{victim} was killed: {finished}");
}

/// Waits for `moment` among the descendants of the daemon and kills `victim`, while the daemon
/// stands still.
fn catch(scene: &Scene, push: &mut Running, victim: &str, moment: &str) -> bool {
    let id = |id: u32| i32::try_from(id).expect("a process id is an i32");
    let (daemon, client) = (id(scene.gateway.process_id()), id(push.process.id()));
    let mut caught = false;
    look(push, |_| {
        let Some(found) = find(daemon, client, victim) else {
            return ControlFlow::Continue(());
        };
        if find(daemon, client, moment).is_none() {
            return ControlFlow::Continue(());
        }
        scene.gateway.signal(Signal::SIGSTOP);
        caught =
            command_line(found).is_some() && kill(Pid::from_raw(found), Signal::SIGKILL).is_ok();
        scene.gateway.signal(Signal::SIGCONT);
        ControlFlow::Break(())
    });
    caught
}

/// Looks at a push until it has ended or been looked at `most` times; returns how often.
fn looks_until(push: &mut Running, most: usize) -> usize {
    look(push, |looks| match looks < most {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    })
}

fn look(push: &mut Running, mut at: impl FnMut(usize) -> ControlFlow<()>) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut looks = 0;
    while push
        .process
        .child()
        .try_wait()
        .is_ok_and(|ended| ended.is_none())
    {
        assert!(Instant::now() < deadline, "a push takes too long");
        if at(looks).is_break() {
            break;
        }
        looks += 1;
        std::thread::yield_now();
    }
    looks
}

/// Returns the state once what a push had prepared is gone.
pub(crate) fn ended(scene: &Scene, before: &State) -> State {
    scene.settle();
    // Git may be gone while the daemon is still at what it has prepared.
    wait_for(
        "no workflow to be under way",
        Duration::from_secs(60),
        || {
            let flows = scene.json(&["workflow:list", "SITE"]);
            let mut flows = flows.as_array()?.iter();
            flows
                .all(|one| one["status"] != "running" && one["status"] != "queued")
                .then_some(())
        },
    );
    let generations = scene.folder("dev").join("generations");
    let release = before.environments["dev"].release();
    let told = format!(
        "{} to hold nothing newer than it runs",
        generations.display()
    );
    wait_for(&told, Duration::from_secs(20), || {
        let current = fs::read_link(scene.folder("dev").join("current")).unwrap();
        let names = fs::read_dir(&generations).unwrap();
        let newest = names
            .filter_map(|name| {
                name.ok()?
                    .file_name()
                    .to_str()?
                    .split('.')
                    .next()?
                    .parse()
                    .ok()
            })
            .max()
            .unwrap_or(release);
        current
            .ends_with(format!("generations/{newest}"))
            .then_some(())
    });
    scene.state_without_sweep()
}

/// Commits enough for a push that takes a while at each of its steps.
fn large_change(scene: &Scene, what: &str) -> String {
    let folder = scene.clone.folder().join("large");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let seed = what.bytes().map(u64::from).sum::<u64>();
    for number in 0..300 {
        let content = tree::noise(seed * 1000 + number, 20_000);
        fs::write(folder.join(format!("{what}-{number}")), content).unwrap();
    }
    scene.change(what)
}

/// Finds a descendant of `ancestor` whose command line holds `what`, among those that were started
/// after the process `after`: few are looked at, so that a short life is seen.
pub(crate) fn find(ancestor: i32, after: i32, what: &str) -> Option<i32> {
    process_ids()
        .filter(|&id| id > after)
        .filter(|&id| command_line(id).is_some_and(|line| line.contains(what)))
        .find(|&id| descends(id, ancestor))
}

fn descends(mut id: i32, ancestor: i32) -> bool {
    while let Some(parent) = parent(id) {
        if parent == ancestor {
            return true;
        }
        id = parent;
    }
    false
}

/// Returns the parent as proc(5) tells it, in the second field after the name in brackets.
fn parent(id: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}
