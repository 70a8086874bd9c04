//! ssh-audit looks at the gateway and, in the same run, at this machine's own OpenSSH server: what
//! it faults here it must fault there too.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use support::process::{self, Process};
use support::{Client, Gateway, Person, Role, Shared, personas, wait_for};

static SHARED: Shared = Shared::new();

const SOON: Duration = Duration::from_secs(60);

#[test]
fn it_faults_nothing_that_it_does_not_fault_in_openssh() {
    let gateway = SHARED.gateway();
    let sshd = Sshd::start(&gateway);
    let (ours, theirs) = (audited(gateway.address()), audited(sshd.address));
    let only_ours: Vec<_> = faults(&ours)
        .difference(&faults(&theirs))
        .cloned()
        .collect();
    assert!(
        only_ours.is_empty(),
        "faulted here and not in OpenSSH: {only_ours:#?}"
    );
    // Both lists must have been read, else there is nothing to compare.
    assert!(!faults(&theirs).is_empty() && !names(&ours, "kex").is_empty());
    assert!(ours["cves"].as_array().is_none_or(Vec::is_empty), "{ours}");
}

#[test]
fn the_usual_set_is_as_described() {
    let gateway = SHARED.gateway();
    let report = audited(gateway.address());
    assert_eq!(
        names(&report, "kex")[..2],
        ["mlkem768x25519-sha256", "curve25519-sha256"]
    );
    assert!(names(&report, "kex").contains(&"kex-strict-s-v00@openssh.com".to_owned()));
    assert_eq!(names(&report, "enc")[0], "aes128-gcm@openssh.com");
    for part in ["kex", "key", "enc", "mac"] {
        for name in names(&report, part) {
            for weak in [
                "sha1", "cbc", "3des", "arcfour", "ssh-dss", "umac-64", "md5",
            ] {
                assert!(!name.contains(weak), "{name} is offered");
            }
            assert_ne!(name, "ssh-rsa");
        }
    }
    // This machine decides whether ChaCha20 is left out; Intel and AMD have AES for ten years.
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let has_aes = ["flags", "Features"].iter().any(|key| {
        cpu.lines()
            .filter(|line| line.starts_with(key))
            .any(|line| line.split_whitespace().any(|flag| flag == "aes"))
    });
    let chacha = names(&report, "enc").contains(&"chacha20-poly1305@openssh.com".to_owned());
    assert_eq!(chacha, !has_aes);
    // And what it is left out for: OpenSSH's client takes AES.
    let said = gateway
        .person(Role::TeamMember)
        .openssh("ssh")
        .args(["-v", "-T", "console@gateway", "site:list"])
        .run()
        .ok();
    if has_aes {
        said.says("server->client cipher: aes128-gcm@openssh.com");
    }
}

#[test]
fn the_strict_set_has_no_fault_but_the_curve_for_older_clients() {
    let gateway = std::sync::Arc::new(Gateway::start_with(&[("ssh", "algorithms", "\"strict\"")]));
    let report = audited(gateway.address());
    let faults: Vec<_> = faults(&report)
        .into_iter()
        .filter(|(_, _, note)| !note.contains("post-quantum"))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(names(&report, "enc"), ["aes256-gcm@openssh.com"]);
    assert_eq!(names(&report, "key"), ["ssh-ed25519"]);
    let tom = gateway.person(Role::TeamMember);
    tom.console(&["site:list"]).run().ok();

    // People's keys of other kinds are known, and let nobody in, whatever a client believes.
    let key = tom.desk("keys").join("rsa");
    personas::make_key(&key, &["-t", "rsa", "-b", "3072"], "rsa");
    let public = format!("{}.pub", key.display());
    gateway.must(&["ssh-key:add", &public, "--user", "tom"]);
    let nobody = Person::new(&gateway.folder().join("nobodies"), "rsa-only");
    let known_hosts = std::fs::read_to_string(tom.known_hosts()).unwrap();
    nobody.meet(gateway.address(), &known_hosts);
    nobody
        .openssh("ssh")
        .args(["-T", "-i", &key.display().to_string()])
        .args(["-o", "PubkeyAcceptedAlgorithms=rsa-sha2-256,rsa-sha2-512"])
        .args(["console@gateway", "site:list"])
        .run()
        .code(255)
        .says("Permission denied");
    nobody
        .openssh("ssh")
        .args(["-T", "-o", "Ciphers=aes128-ctr", "console@gateway"])
        .run()
        .code(255)
        .says("no matching cipher");
}

#[test]
fn chacha_is_offered_to_those_who_ask() {
    let gateway = Gateway::start_with(&[("ssh", "ciphers", "\"all\"")]);
    let report = audited(gateway.address());
    assert!(names(&report, "enc").contains(&"chacha20-poly1305@openssh.com".to_owned()));
}

fn audited(address: SocketAddr) -> Value {
    let finished = Client::new("/usr/bin/python3")
        .env("PYTHONPATH", ssh_audit())
        .args(["-m", "ssh_audit", "--json", "--skip-rate-test", "--port"])
        .args([address.port().to_string(), address.ip().to_string()])
        .limit(SOON)
        .run();
    // Its exit code is the gravest level; what it says is what counts.
    serde_json::from_str(&finished.out())
        .unwrap_or_else(|error| panic!("no report of ssh-audit ({error}): {finished}"))
}

fn ssh_audit() -> PathBuf {
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = home("FUNICULAR_TEST_CACHE").unwrap_or_else(|| {
        home("XDG_CACHE_HOME")
            .or_else(|| home("HOME").map(|home| home.join(".cache")))
            .expect("HOME is set")
            .join("funicular-tests")
    });
    let folder = cache.join("ssh-audit-3.9.0");
    assert!(
        folder.join("ssh_audit").is_dir(),
        "This test needs ssh-audit in {}; tests/install-clients.sh puts it there.",
        folder.display()
    );
    folder
}

/// Failures and warnings: part, algorithm, what is said of it.
fn faults(report: &Value) -> BTreeSet<(String, String, String)> {
    let mut found = BTreeSet::new();
    for part in ["kex", "key", "enc", "mac"] {
        for entry in report[part].as_array().expect("a list of algorithms") {
            for level in ["fail", "warn"] {
                for note in entry["notes"][level].as_array().into_iter().flatten() {
                    found.insert((
                        part.to_owned(),
                        entry["algorithm"].as_str().unwrap_or_default().to_owned(),
                        note.as_str().unwrap_or_default().to_owned(),
                    ));
                }
            }
        }
    }
    found
}

fn names(report: &Value, part: &str) -> Vec<String> {
    report[part]
        .as_array()
        .expect("a list of algorithms")
        .iter()
        .map(|entry| entry["algorithm"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// This machine's OpenSSH server as Debian sets it up, as far as algorithms go.
struct Sshd {
    _process: Process,
    address: SocketAddr,
}

impl Sshd {
    fn start(gateway: &Gateway) -> Self {
        let folder = gateway.folder().join("sshd");
        std::fs::create_dir_all(&folder).unwrap();
        for kind in ["ed25519", "rsa", "ecdsa"] {
            personas::make_key(&folder.join(kind), &["-t", kind], "host");
        }
        let address = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap();
        let shown = folder.display();
        let config = folder.join("config");
        let text = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {shown}/ed25519\nHostKey {shown}/rsa\n\
             HostKey {shown}/ecdsa\nPidFile none\nUsePAM no\n",
            address.port()
        );
        std::fs::write(&config, text).unwrap();
        // Where sshd runs as root it wants this.
        let _ = std::fs::create_dir_all("/run/sshd");
        let sshd = support::clients::find("sshd").expect("the Debian package openssh-server");
        let mut command = process::command(sshd);
        command.args(["-D", "-e", "-f"]).arg(config);
        let log = std::fs::File::create(folder.join("log")).unwrap();
        command.stdin(std::process::Stdio::null()).stderr(log);
        let process = Process::start(command).expect("sshd starts");
        wait_for("sshd", SOON, || {
            std::net::TcpStream::connect(address).is_ok().then_some(())
        });
        Self {
            _process: process,
            address,
        }
    }
}
