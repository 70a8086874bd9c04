//! Steps of sites that take what they may not: processes, memory, time, the screen of who pushed.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Gateway, wait_for};

use crate::deploys::{refs, rows};
use crate::step_attacks::Attacker;

/// What a loaded machine may take to bury processes.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Processes whose command line has a word in it.
pub(crate) fn running(word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(word) && entry.file_name() != std::process::id().to_string().as_str() {
            found.push(line);
        }
    }
    found
}

#[track_caller]
fn all_gone(word: &str) {
    wait_for("the step's processes to end", SOON, || {
        running(word).is_empty().then_some(())
    });
}

/// A name that no other test's processes have.
fn marker(gateway: &Gateway, name: &str) -> String {
    let folder = gateway.folder().file_name().unwrap().to_string_lossy();
    format!("{name}-{folder}")
}

#[test]
fn a_step_that_forks_without_end_is_stopped_whole() {
    let attacker = Attacker::new("a-bomb");
    let before = refs(&attacker.site);
    let marker = marker(&attacker.gateway, "bomb");
    let script =
        format!("# {marker}\nf() {{ sh -c 'sleep 300; : {marker}' & f & f & }}\nf\nsleep 300\n");
    let pushed = attacker.push("before", "timeout = 20", &script).fails();
    pushed.says("was stopped, with all that it had started");
    all_gone(&marker);
    assert_eq!(refs(&attacker.site), before);
    // The gateway goes on.
    attacker.push("before", "", "echo well\n").ok().says("well");
}

#[test]
fn a_step_that_eats_memory_is_stopped() {
    let attacker = Attacker::new("a-glutton");
    let marker = marker(&attacker.gateway, "glutton");
    let alone = "python3 -c 'b = []\nwhile True: b.append(bytearray(8 << 20))'\n";
    attacker
        .push("before", "", alone)
        .fails()
        .says("The step 'attack'");
    // Many that take a little each, none of which is above the limit alone.
    let together = format!(
        "for i in 1 2 3 4 5 6; do python3 -c 'import time
b = bytearray(80 << 20)
for i in range(0, len(b), 4096): b[i] = 1
time.sleep(300)' {marker} & done\nwait\n"
    );
    let pushed = attacker.push("before", "", &together).fails();
    pushed.says("was stopped").says("256 MiB of memory");
    all_gone(&marker);
    // Memory that belongs to no process: shared, in a file that is none, in System V's.
    let hidden = "head -c 200M /dev/zero >/dev/shm/x && echo GOT shm
python3 -c 'import os; os.memfd_create(\"x\"); print(\"GOT memfd\")'
head -c 200M /dev/zero >/run/x && echo GOT run
ipcmk -M 1G && echo GOT ipc
echo tried\n";
    let pushed = attacker.push("before", "", hidden).ok();
    pushed.says("tried").says_not("GOT ");
}

#[test]
fn a_step_that_outlives_its_limit_is_killed_with_all_its_children() {
    let attacker = Attacker::new("a-zombie");
    let marker = marker(&attacker.gateway, "zombie");
    let script = format!(
        "trap '' TERM INT HUP
setsid sh -c 'trap \"\" TERM HUP; while :; do sleep 1; : {marker}; done' &
(setsid sh -c '(trap \"\" TERM; sleep 300; : {marker}) & exit' &)
nohup sh -c 'sleep 300; : {marker}' >/dev/null 2>&1 &
exec >/dev/null 2>&1
while :; do sleep 1; done\n"
    );
    let before = refs(&attacker.site);
    let pushed = attacker.push("before", "timeout = 3", &script).fails();
    pushed.says("it took longer than 3 s");
    all_gone(&marker);
    assert_eq!(refs(&attacker.site), before);
    let rows = rows(&attacker.site, &["audit:list", "--site", "SITE"]);
    let last = rows.last().unwrap();
    assert_eq!(
        (&last["outcome"], &last["action"]),
        (&"failed".into(), &"update-ref".into())
    );
    assert!(last.to_string().contains("longer than 3 s"), "{last}");
}

#[test]
fn what_a_step_leaves_behind_ends_with_it() {
    let attacker = Attacker::new("a-squatter");
    let marker = marker(&attacker.gateway, "squatter");
    let script = format!(
        "setsid nohup sh -c 'trap \"\" TERM HUP; sleep 300; : {marker}' >/dev/null 2>&1 &
(setsid sh -c 'sleep 300; : {marker}' &)
sleep 0.5; echo left\n"
    );
    attacker.push("before", "", &script).ok().says("left");
    all_gone(&marker);
}

#[test]
fn a_step_dies_with_the_gateway_and_with_its_workflow() {
    let attacker = Attacker::new("a-orphan");
    let gateway = &attacker.gateway;
    let marker = marker(gateway, "orphan");
    let script = format!("sh -c 'sleep 300; : {marker}' &\necho up\nwait\n");
    let before = refs(&attacker.site);
    let is_up = || (!running(&marker).is_empty()).then_some(());

    attacker.commit("before", "", &script);
    let push = attacker.start_push().start();
    wait_for("the step to run", SOON, is_up);
    let listed = rows(&attacker.site, &["workflow:list", "SITE"]);
    let id = listed
        .iter()
        .find(|row| row["status"] == "running")
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .unwrap();
    let cancel = attacker
        .site
        .console(&attacker.tom, &["workflow:cancel", &id]);
    cancel.run().ok();
    push.finish().fails().says("tom has cancelled this");
    all_gone(&marker);
    assert_eq!(refs(&attacker.site), before);
    let info = attacker.site.must(&["workflow:info", &id]).out();
    assert!(info.contains("cancelled"), "{info}");

    let push = attacker.start_push().start();
    wait_for("the step to run", SOON, is_up);
    gateway.stop(Signal::SIGKILL);
    all_gone(&marker);
    push.finish().fails();
    gateway.serve();
    assert_eq!(refs(&attacker.site), before);
    attacker
        .push("before", "", "echo again\n")
        .ok()
        .says("again");
}

#[test]
fn a_flood_of_output_is_bounded_and_harmless() {
    let attacker = Attacker::new("a-flood");
    let script = r#"
printf '\033]0;owned\007\033[2J\033[1;31mred\033[0m \342\200\256turned\n'
printf 'remote: \r\033[Aoverwritten\n'
head -c 3000000 /dev/zero | tr '\0' x
head -c 3000000 /dev/urandom
yes flood | head -c 30000000
"#;
    let pushed = attacker.push("before", "", script).ok();
    let pushed = pushed.says("red turned").says("which are not kept");
    let shown = pushed.screen();
    assert!(shown.len() < 3_000_000, "{} bytes were shown", shown.len());
    let bad =
        |c: char| c == '\u{202e}' || (c.is_control() && !"\n\r\t".contains(c) && c != '\u{1b}');
    assert!(!shown.contains(bad), "{shown:?}");
    // Git itself clears the rest of each line it is told (sideband.c); nothing else remains.
    assert!(
        !shown.replace("\u{1b}[K", "").contains('\u{1b}'),
        "{shown:?}"
    );
    for log in fs::read_dir(attacker.environment().join("logs/workflows")).unwrap() {
        let log = fs::read(log.unwrap().path()).unwrap();
        assert!(log.len() < 9 << 20 && !log.contains(&0x1b));
    }
}
