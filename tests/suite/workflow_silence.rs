//! A line through a firewall that forgets connections on which nothing is said: a workflow that is
//! silent for longer than that loses nobody.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::gates::{Gates, PREPARED};
use support::screen::Screen;
use support::{Clone, Person, Role, wait_for};

use crate::deploys::runs;

/// The silence after which the firewall forgets a connection.
const FORGETS: Duration = Duration::from_secs(6);

#[test]
fn a_silent_workflow_keeps_its_line() {
    let (gateway, gates) = Gates::start(&[("limits", "keepalive_seconds", "1")]);
    let site = gateway.site("s-quiet");
    site.set_mode("git");
    let firewall = Firewall::start(site.address());
    let tom = firewall.before(site.person(Role::TeamMember), "s-quiet");
    let clone = Clone::new(&site, &tom);
    let commit = clone.commit("index.php", "<?php echo 'slow';\n");
    for words in [
        &["git", "push", "dev", "main"][..],
        &["env:deploy", "SITE.test"],
    ] {
        gates.close(PREPARED);
        let client = match words {
            ["git", push @ ..] => clone.git(push),
            console => site.console(&tom, console),
        };
        let began = firewall.opened();
        let screen = Screen::start_without_input(client);
        gates.reached(PREPARED);
        firewall.lasts(began, FORGETS * 3);
        gates.open(PREPARED);
        let (code, shown) = screen.ends();
        assert_eq!(code, Some(0), "{shown}");
        assert!(shown.contains("switch: done after "), "{shown}");
    }
    assert_eq!(runs(&site, "test"), commit);
}

#[test]
fn without_keepalives_the_line_is_lost_and_the_workflow_is_not() {
    let (gateway, gates) = Gates::start(&[("limits", "keepalive_seconds", "3600")]);
    let site = gateway.site("s-lost");
    site.set_mode("git");
    let firewall = Firewall::start(site.address());
    let tom = firewall.before(site.person(Role::TeamMember), "s-lost");
    gates.close(PREPARED);
    let deploy = Screen::start_without_input(site.console(&tom, &["env:deploy", "SITE.test"]));
    gates.reached(PREPARED);
    let (code, shown) = deploy.ends();
    assert_eq!(code, Some(255), "the line should have been cut: {shown}");
    gates.open(PREPARED);
    let commit = runs(&site, "dev");
    wait_for("the end of the deploy", Duration::from_secs(60), || {
        (runs(&site, "test") == commit).then_some(())
    });
}

/// Passes bytes on, and cuts a connection when nothing has passed for a while.
struct Firewall {
    address: SocketAddr,
    lines: Arc<Mutex<Vec<Line>>>,
}

#[derive(Clone)]
struct Line {
    opened: Instant,
    heard: Arc<Mutex<Instant>>,
    cut: Arc<Mutex<bool>>,
}

impl Firewall {
    fn start(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(gateway) else {
                    continue;
                };
                let line = Line {
                    opened: Instant::now(),
                    heard: Arc::new(Mutex::new(Instant::now())),
                    cut: Arc::default(),
                };
                kept.lock().unwrap().push(line.clone());
                let (client_too, server_too) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap());
                let other = line.clone();
                std::thread::spawn(move || carry(client, server, &line));
                std::thread::spawn(move || carry(server_too, client_too, &other));
            }
        });
        Self { address, lines }
    }

    /// The same person behind this firewall.
    fn before(&self, person: &Person, name: &str) -> Person {
        let person = person.at_another_computer(name);
        let config = std::fs::read_to_string(person.config()).unwrap();
        let here = format!(
            "Host gateway\n  HostName {}\n  Port {}\n{config}",
            self.address.ip(),
            self.address.port()
        );
        std::fs::write(person.config(), here).unwrap();
        person
    }

    /// Returns how many connections there were so far.
    fn opened(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    /// Waits until the connection that was opened as this number has lasted so long.
    #[track_caller]
    fn lasts(&self, number: usize, long: Duration) {
        wait_for("a connection to last", Duration::from_secs(120), || {
            let line = self.lines.lock().unwrap().get(number).cloned()?;
            assert!(
                !*line.cut.lock().unwrap(),
                "the firewall has forgotten the line"
            );
            (line.opened.elapsed() > long).then_some(())
        });
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, line: &Line) {
    from.set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut piece = [0; 16 * 1024];
    loop {
        match from.read(&mut piece) {
            Ok(length @ 1..) => {
                *line.heard.lock().unwrap() = Instant::now();
                if to.write_all(&piece[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if line.heard.lock().unwrap().elapsed() > FORGETS {
                    *line.cut.lock().unwrap() = true;
                    break;
                }
            }
            Ok(_) | Err(_) => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
