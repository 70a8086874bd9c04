//! The one thing that is forwarded, an environment's own database, and all that is not.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::process::Process;
use support::{Client, Person, Role, Shared, Site, wait_for};

static SHARED: Shared = Shared::new();

/// Nothing here may hang.
const SOON: Duration = Duration::from_secs(30);

#[test]
fn the_database_is_reached_by_its_name_and_by_its_address() {
    let (site, database) = site("t-database");
    let tom = site.person(Role::TeamMember);
    site.must(&["env:set", "SITE.dev", "database", &database.at()])
        .says(&database.at());
    for name in [
        "database:3306",
        "database:1",
        "Database:3306",
        &database.at(),
    ] {
        through(&site, tom, "dev", name)
            .run()
            .ok()
            .says("you said hello");
    }
    // As people use it, with a client of the database's own on the near side.
    let near = free_address();
    let ssh = tom
        .openssh("ssh")
        .args(["-N", "-o", "ExitOnForwardFailure=yes", "-L"])
        .arg(format!("{near}:database:3306"))
        .arg(site.destination("dev"))
        .start();
    let mut stream = wait_for("the tunnel", SOON, || TcpStream::connect(near).ok());
    // More than any buffer on the way holds, so that both directions wait for each other.
    let long = vec![b'x'; 3_000_000];
    let writing = {
        let (mut stream, long) = (stream.try_clone().unwrap(), long.clone());
        std::thread::spawn(move || {
            stream.write_all(&long).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        })
    };
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    writing.join().unwrap();
    assert!(answer.starts_with(b"you said xxx"));
    assert_eq!(answer.len(), long.len() + b"you said ".len());
    ssh.kill();

    let rows = rows(&site, "database-connect");
    assert!(
        rows.iter()
            .any(|row| row.contains(&format!("opened, to {}", database.at()))),
        "{rows:#?}"
    );
    assert!(
        rows.iter()
            .any(|row| row.contains("ended; 6 bytes to the database, 15 from it")),
        "{rows:#?}"
    );
    wait_for("the end of the long one", SOON, || {
        self::rows(&site, "database-connect")
            .iter()
            .any(|row| row.contains("ended; 3000000 bytes to the database, 3000009 from it"))
            .then_some(())
    });
    // A shown command is one that works.
    site.console(tom, &["connection:info", "SITE.dev"])
        .run()
        .ok()
        .says("-L 3306:database:3306 dev.t-database@");
}

#[test]
fn nothing_else_is_reached() {
    let (site, database) = site("t-db-only");
    let tom = site.person(Role::TeamMember);
    through(&site, tom, "dev", "database:3306")
        .run()
        .fails()
        .says("has no database");
    site.must(&["env:set", "SITE.dev", "database", &database.at()]);
    let other = Database::start();
    let gateway = site.address().to_string();
    for target in [
        other.at(),
        format!("localhost:{}", database.address.port()),
        gateway,
        "[::1]:22".to_owned(),
        "database.example:3306".to_owned(),
    ] {
        through(&site, tom, "dev", &target)
            .run()
            .fails()
            .says("Refused: ")
            .says("forwards no ports")
            .says("[incident ");
    }
    // The console leads to no environment.
    tom.openssh("ssh")
        .args(["-W", "database:3306", "console@gateway"])
        .limit(SOON)
        .run()
        .fails()
        .says("forwards no ports");
    assert_eq!(other.connections(), 0);
    assert_eq!(database.connections(), 0);

    // Dynamic forwarding, by hand: SOCKS 5 to the other server (RFC 1928).
    let near = free_address();
    let ssh = tom
        .openssh("ssh")
        .args(["-N", "-D", &near.to_string(), &site.destination("dev")])
        .start();
    let mut socks = wait_for("the proxy", SOON, || TcpStream::connect(near).ok());
    socks.write_all(&[5, 1, 0]).unwrap();
    socks.read_exact(&mut [0; 2]).unwrap();
    let mut request = vec![5, 1, 0, 1, 127, 0, 0, 1];
    request.extend(other.address.port().to_be_bytes());
    socks.write_all(&request).unwrap();
    socks.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = Vec::new();
    match socks.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    let ssh = ssh.kill();
    assert!(ssh.err().contains("forwards no ports"), "{ssh}");
    assert_eq!(other.connections(), 0);

    // A socket there, ports and a socket that would be listened on here. By others, since from the
    // fourth on the audit counts the refusals of one person.
    let near = free_address();
    let ssh = site
        .person(Role::Developer)
        .openssh("ssh")
        .args(["-N", "-L", &format!("{near}:/run/control.sock")])
        .arg(site.destination("dev"))
        .start();
    let mut stream = wait_for("the tunnel", SOON, || TcpStream::connect(near).ok());
    stream.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or_default(), 0);
    ssh.kill();
    for remote in ["0:localhost:22", "/tmp/funicular-t-db-only:localhost:22"] {
        site.person(Role::Viewer)
            .openssh("ssh")
            .args(["-N", "-o", "ExitOnForwardFailure=yes", "-R", remote])
            .arg(site.destination("dev"))
            .limit(SOON)
            .run()
            .fails()
            .says("remote port forwarding failed");
    }
    let forwards = site
        .must(&["audit:list", "--rule", "no-forwarding", "--format", "json"])
        .out();
    for object in [
        format!("to {}", other.at()),
        "to /run/control.sock".to_owned(),
        "from localhost:0".to_owned(),
        "from /tmp/funicular-t-db-only".to_owned(),
    ] {
        assert!(forwards.contains(&object), "no row '{object}': {forwards}");
    }
}

#[test]
fn a_lost_role_ends_a_tunnel_within_a_second() {
    let (site, database) = site("t-db-lost");
    site.must(&["env:set", "SITE.dev", "database", &database.at()]);
    let dev = site.person(Role::Developer);
    let mut ssh = through(&site, dev, "dev", "database:3306").start_piped();
    let mut keyboard: ChildStdin = ssh.child().stdin.take().unwrap();
    keyboard.write_all(b"still open").unwrap();
    wait_for("the connection", SOON, || {
        (database.open.load(Ordering::SeqCst) == 1).then_some(())
    });
    site.must(&["site:team:remove", "SITE", dev.name.as_str()]);
    let removed = Instant::now();
    wait_for("the end of the tunnel", SOON, || {
        (database.open.load(Ordering::SeqCst) == 0).then_some(())
    });
    // A second, and one more for a machine that does much else.
    let took = removed.elapsed();
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    assert!(ended(&mut ssh), "the client hangs");
    let rows = rows(&site, "database-connect");
    assert!(
        rows.iter()
            .any(|row| row.contains("ended; 10 bytes") && row.contains("Refused: ")),
        "{rows:#?}"
    );
}

#[test]
fn a_database_that_does_not_answer_is_named() {
    let (site, _) = site("t-db-dead");
    let nobody = free_address().to_string();
    site.must(&["env:set", "SITE.dev", "database", &nobody]);
    through(&site, site.person(Role::TeamMember), "dev", "database:3306")
        .run()
        .fails()
        .says("does not answer");
    let rows = rows(&site, "database-connect");
    assert!(rows.iter().any(|row| row.contains("failed")), "{rows:#?}");
}

pub(crate) fn site(name: &str) -> (Site, Database) {
    (SHARED.gateway().site(name), Database::start())
}

pub(crate) fn through(site: &Site, person: &Person, environment: &str, target: &str) -> Client {
    person
        .openssh("ssh")
        .args(["-W", target, &site.destination(environment)])
        .input("hello\n")
        .limit(SOON)
}

pub(crate) fn rows(site: &Site, action: &str) -> Vec<String> {
    let listed = site
        .must(&[
            "audit:list",
            "--site",
            "SITE",
            "--limit",
            "1000",
            "--format",
            "json",
        ])
        .out();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let rows = listed.as_array().expect("a list of rows");
    rows.iter()
        .map(ToString::to_string)
        .filter(|row| row.contains(action))
        .collect()
}

fn ended(process: &mut Process) -> bool {
    process.wait(SOON).is_some()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
}

/// A server that answers what it is told, and counts who comes.
pub(crate) struct Database {
    address: SocketAddr,
    came: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Database {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let database = Self {
            address: listener.local_addr().unwrap(),
            came: Arc::default(),
            open: Arc::default(),
        };
        let (came, open) = (database.came.clone(), database.open.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                came.fetch_add(1, Ordering::SeqCst);
                open.fetch_add(1, Ordering::SeqCst);
                let open = open.clone();
                std::thread::spawn(move || {
                    let _ = answer(stream);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        database
    }

    pub(crate) fn at(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn connections(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"you said ")?;
    let mut piece = [0; 16 * 1024];
    loop {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            length => stream.write_all(&piece[..length])?,
        }
    }
}
