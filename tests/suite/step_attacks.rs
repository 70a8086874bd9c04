//! Steps of sites as attacks: pushes whose `funicular.toml` tries to read what is not the site's, to
//! change what was deployed, and to get out.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::gateway::Setting;
use support::{Client, Clone, Finished, Gateway, Person, Role, Site};

use crate::deploys::{refs, rows};

/// Small limits, so that an attack meets them soon.
const LIMITS: &[Setting] = &[
    ("steps", "max_processes", "64"),
    ("steps", "max_memory_bytes", "268435456"),
    ("steps", "max_output_bytes", "200000"),
];

pub(crate) struct Attacker {
    pub gateway: Arc<Gateway>,
    pub site: Site,
    pub tom: Person,
    pub clone: Clone,
}

impl Attacker {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, LIMITS)
    }

    pub(crate) fn with(name: &str, settings: &[Setting]) -> Self {
        let gateway = Arc::new(Gateway::start_with(settings));
        let site = gateway.site(name);
        site.set_mode("git");
        let tom = site.person(Role::TeamMember).clone();
        let clone = Clone::new(&site, &tom);
        Self {
            gateway,
            site,
            tom,
            clone,
        }
    }

    /// Commits a script that is run at a stage of `sync_code`, with further keys of its step.
    pub(crate) fn commit(&self, stage: &str, keys: &str, script: &str) {
        let folder = self.clone.folder();
        fs::write(folder.join("attack.sh"), script).unwrap();
        let step = format!(
            "[[step]]\nname = 'attack'\nevent = 'sync_code'\nstage = '{stage}'\n\
             command = ['sh', '/code/attack.sh']\ntimeout = 120\n{keys}\n"
        );
        let step = match keys.contains("timeout") {
            true => step.replacen("timeout = 120\n", "", 1),
            false => step,
        };
        self.clone.commit("funicular.toml", &step);
    }

    /// The same, and pushes it.
    pub(crate) fn push(&self, stage: &str, keys: &str, script: &str) -> Finished {
        self.commit(stage, keys, script);
        self.start_push().run()
    }

    pub(crate) fn start_push(&self) -> Client {
        let push = self.clone.git(&["push", "dev", "main"]);
        push.limit(Duration::from_secs(240))
    }

    pub(crate) fn environment(&self) -> std::path::PathBuf {
        let sites = self.gateway.data().join("sites");
        sites.join(&self.site.name).join("environments/dev")
    }
}

#[test]
fn a_step_reads_nothing_but_its_environment() {
    let attacker = Attacker::new("a-spy");
    let gateway = &attacker.gateway;
    gateway.stop(Signal::SIGTERM);
    gateway.serve_with(&[("GATEWAY_SECRET", "hunter2")]);
    let other = gateway.site("a-victim");
    let victim = gateway.data().join("sites").join(&other.name);
    fs::write(victim.join("environments/dev/files/secret"), "s").unwrap();
    let data = gateway.data().display().to_string();
    // Planted beforehand where steps can write, and in the code itself.
    let environment = attacker.environment();
    for place in ["files", "tmp"] {
        symlink(&data, environment.join(place).join("planted")).unwrap();
    }
    symlink(&data, attacker.clone.folder().join("planted")).unwrap();
    let script = format!(
        r#"
data='{data}'
got() {{ echo "GOT $1"; }}
for top in "" /code/planted/../.. /proc/1/root /proc/1/cwd/.. /proc/*/root /files/.. /tmp/../..; do
    for path in state.db audit.db funicular.toml host_keys run/hooks.sock sites/a-victim; do
        ls "$top$data/$path" >/dev/null 2>&1 && got "$top$data/$path"
        head -c 1 "$top$data/$path" >/dev/null 2>&1 && got "$top$data/$path"
    done
done
for planted in /code /files /tmp; do
    ls "$planted/planted/" >/dev/null 2>&1 && got "$planted/planted"
    cat "$planted/planted/state.db" >/dev/null 2>&1 && got "$planted/planted/state.db"
done
cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | grep -q GATEWAY_SECRET && got environment
env | grep -q GATEWAY_SECRET && got variable
for line in /proc/[0-9]*/cmdline; do
    case $(tr '\0' ' ' <"$line" 2>/dev/null) in *"$data"*) got paths ;; esac
done
cat /etc/shadow >/dev/null 2>&1 && got shadow
find / -xdev -maxdepth 4 -name 'state.db' 2>/dev/null | grep -q . && got find
for fd in /proc/[0-9]*/fd/*; do
    case $(readlink "$fd") in *.db | *sock*) got "$fd" ;; esac
done
for name in hooks.sock control.sock; do
    python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])' "$data/run/$name" 2>/dev/null && got "$name"
done
echo searched
"#
    );
    // Outside, the same script finds all of it: so it searches rightly.
    let outside = Client::new("sh").args(["-c", &script]).run();
    for found in ["state.db", "sites/a-victim", "hooks.sock", "environment"] {
        assert!(outside.out().contains(found), "{found}: {outside}");
    }
    let pushed = attacker.push("before", "", &script).ok();
    pushed.says("searched").says_not("GOT ");
    // Nor does a folder that leads out, or the shell's own way up.
    let folder = attacker.push("before", "directory = 'planted'", "pwd -P; echo ran\n");
    let screen = folder.screen();
    assert!(
        !screen.contains(&data) || !screen.contains("ran"),
        "{folder}"
    );
}

#[test]
fn a_step_cannot_rewrite_a_release() {
    let attacker = Attacker::new("a-forger");
    let script = r#"
{
    echo evil >/code/index.php
    echo evil >>/code/lib/menu.php
    chmod 777 /code /code/index.php
    rm -rf /code/lib
    mv /code/index.php /code/index2.php
    cp /code/attack.sh /code/new
    sed -i s/first/evil/ /code/index.php
    truncate -s 0 /code/index.php
    ln /code/index.php /files/linked && echo evil >/files/linked
    ln -s /code/index.php /files/pointing && echo evil >/files/pointing
    mount -o remount,rw /code
    mount --bind /files /code
    echo evil >/settings/settings.env
    python3 -c 'import os
f = os.open("/code/index.php", os.O_RDONLY)
open("/proc/self/fd/%d" % f, "w").write("evil")'
    touch -d 2001-01-01 /code/index.php
    setfattr -n user.x -v y /code/index.php
} >/dev/null 2>&1
ls /code | tr '\n' ' '
(setsid sh -c 'while :; do echo evil >/code/index.php; chmod 777 /code/index.php; sleep 0.01; done' >/dev/null 2>&1 &)
echo tried
"#;
    let generations = attacker.environment().join("generations");
    let snapshot = || {
        let mut seen = Vec::new();
        for release in fs::read_dir(&generations).unwrap() {
            let file = release.unwrap().path().join("code/index.php");
            let what = fs::metadata(&file).unwrap();
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains("first"), "{}: {text}", file.display());
            assert_eq!(what.mode() & 0o222, 0, "{}", file.display());
            seen.push((what.ino(), what.mtime()));
        }
        seen
    };
    // Releases that share this file by hard links.
    attacker.clone.commit("README", "one\n");
    attacker.clone.must(&["push", "--quiet", "dev", "main"]);
    attacker.clone.commit("README", "two\n");
    attacker.clone.must(&["push", "--quiet", "dev", "main"]);
    let shared = |all: &[(u64, i64)]| {
        all.iter()
            .filter(|one| one.0 == all.last().unwrap().0)
            .count()
    };
    for stage in ["before", "after"] {
        attacker
            .push(stage, "on_failure = 'stop'", script)
            .ok()
            .says("tried");
        let seen = snapshot();
        assert!(shared(&seen) > 1, "nothing was shared: {seen:?}");
        let deployed = attacker.site.tree("dev", "code");
        assert!(deployed.content("new").is_none() && deployed.content("lib/menu.php").is_some());
    }
    let settings = attacker.environment().join("settings/settings.env");
    assert!(
        fs::read_to_string(settings)
            .unwrap()
            .contains("FUNICULAR_SITE='a-forger'")
    );
}

#[test]
fn no_file_of_a_step_lends_the_gateways_account() {
    let attacker = Attacker::new("a-lender");
    let script = r#"
for bits in 4755 2755 6755; do
    cp /bin/true /files/sh$bits
    chmod $bits /files/sh$bits
    mkdir -m $bits /files/folder$bits
done
python3 - <<'END'
import os, stat
for number, make in enumerate([
    lambda path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o4755)),
    lambda path: os.mknod(path, stat.S_IFREG | 0o4755),
    lambda path: (open(path, "w"), os.chmod(path, 0o2755)),
    lambda path: os.fchmod(os.open(path, os.O_CREAT | os.O_WRONLY, 0o755), 0o4755),
    lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 1)),
]):
    try:
        make("/files/made%d" % number)
    except OSError as error:
        print(error)
END
echo tried
"#;
    attacker.push("before", "", script).ok().says("tried");
    let mut seen = 0;
    for entry in fs::read_dir(attacker.environment().join("files")).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o6000, 0, "{:?} {mode:o}", entry.path());
        assert!(entry.file_type().unwrap().is_file() || entry.file_type().unwrap().is_dir());
        seen += 1;
    }
    assert!(seen >= 3, "it made nothing");
}

#[test]
fn a_step_reaches_the_network_only_where_the_server_lets_it() {
    let attacker = Attacker::new("a-caller");
    let port = attacker.gateway.address().port();
    let script = format!(
        "python3 -c 'import socket
print(socket.create_connection((\"127.0.0.1\", {port}), 20).recv(7))' && echo GOT network; echo tried\n"
    );
    attacker
        .push("before", "", &script)
        .ok()
        .says("tried")
        .says_not("GOT ");
    let site = &attacker.site;
    let allow = ["site:set", "SITE", "step-network", "yes"];
    let sten = Role::Stranger.person();
    site.must(&["site:team:add", "SITE", sten, "administrator"]);
    for role in [Role::Stranger, Role::TeamMember, Role::Developer] {
        let refused = site.console(site.person(role), &allow).run().code(3);
        refused.says("for the server's administrators");
    }
    let info = |site: &Site| {
        site.must(&["site:info", "SITE", "--field", "step_network"])
            .out()
    };
    assert_eq!(info(site).trim(), "false");
    site.console(site.person(Role::Administrator), &allow)
        .run()
        .ok();
    assert_eq!(info(site).trim(), "true");
    attacker.clone.commit("README", "again\n");
    attacker
        .start_push()
        .run()
        .ok()
        .says("GOT network")
        .says("SSH-2.0");
    site.must(&["site:set", "SITE", "step-network", "no"]);
    attacker.clone.commit("README", "and again\n");
    attacker
        .start_push()
        .run()
        .ok()
        .says("tried")
        .says_not("GOT ");
}

/// All of Debian's programs but one.
fn programs_without(gateway: &Gateway, missing: &str) -> String {
    let programs = gateway.folder().join("programs");
    fs::create_dir(&programs).unwrap();
    for program in fs::read_dir(Path::new("/usr/bin")).unwrap().flatten() {
        if program.file_name() != missing {
            symlink(program.path(), programs.join(program.file_name())).unwrap();
        }
    }
    programs.display().to_string()
}

#[test]
fn without_a_sandbox_nothing_is_run() {
    let attacker = Attacker::new("a-bare");
    let (gateway, site) = (&attacker.gateway, &attacker.site);
    gateway.stop(Signal::SIGTERM);
    let path = programs_without(gateway, "bwrap");
    gateway.serve_with(&[("PATH", &path)]);
    let before = refs(site);
    for stage in ["before", "after"] {
        let pushed = attacker
            .push(stage, "", "echo GOT; touch /files/ran\n")
            .fails();
        pushed
            .says("This server cannot run steps: bubblewrap is not installed")
            .says("apt-get install bubblewrap")
            .says_not("GOT");
        assert_eq!(refs(site), before, "{stage}");
        let rows = rows(site, &["audit:list", "--site", "SITE"]);
        assert_eq!(rows.last().unwrap()["outcome"], "failed", "{stage}");
    }
    assert!(!attacker.environment().join("files/ran").exists());
    assert!(gateway.logged().contains("steps of sites will be refused"));
    // A site without steps needs none.
    fs::remove_file(attacker.clone.folder().join("funicular.toml")).unwrap();
    attacker.clone.commit("README", "no steps\n");
    attacker.start_push().run().ok();
    gateway.stop(Signal::SIGTERM);
    gateway.serve();
    attacker.push("before", "", "echo ran\n").ok().says("ran");
}
