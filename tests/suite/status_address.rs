//! `env:status` of the address that visitors use: its name, its certificate, its answer.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use support::{Client, Clone, Gateway, Web};

use crate::status::expect;
use crate::work;

#[test]
fn the_address_is_asked_as_a_visitor_would() {
    let (site, tom) = work::site("st-address");
    expect(&site, "live", "domain", "skipped", "No address is set");
    let status = Arc::new(AtomicU16::new(200));
    let web = {
        let status = Arc::clone(&status);
        Web::start(move |_| match status.load(Ordering::SeqCst) {
            1 => (200, "Error establishing a database connection".to_owned()),
            status => (status, "<html>hello</html>".to_owned()),
        })
    };
    site.must(&["env:set", "SITE.live", "url", &web.url()]);
    site.deploy_all();
    expect(&site, "live", "domain", "ok", "127.0.0.1");
    expect(&site, "live", "answer", "ok", "200");
    expect(
        &site,
        "live",
        "certificate",
        "warning",
        "without encryption",
    );
    status.store(1, Ordering::SeqCst);
    expect(&site, "live", "answer", "failure", "database connection");
    status.store(403, Ordering::SeqCst);
    expect(&site, "live", "answer", "warning", "403");
    // A release that fails its probe is told until it is allowed again.
    site.set_mode("git");
    let clone = Clone::new(&site, &tom);
    status.store(500, Ordering::SeqCst);
    let commit = clone.commit(
        "funicular.toml",
        "[[probe]]\nname = \"page\"\nstage = \"after\"\npath = \"/\"\nenvironments = [\"live\"]\ntimeout = 5\n",
    );
    clone.must(&["push", "--quiet", "dev", "HEAD:main"]);
    site.must(&["env:deploy", "SITE.test"]);
    expect(&site, "live", "failed-releases", "ok", "");
    site.command(&["env:deploy", "SITE.live"]).run().fails();
    expect(&site, "live", "failed-releases", "warning", "500");
    expect(&site, "live", "answer", "failure", "500");
    site.must(&["release:allow", "SITE.live", &commit]);
    expect(&site, "live", "failed-releases", "ok", "");
    drop(web);
    expect(&site, "live", "answer", "failure", "does not answer");
    // RFC 6761: never to be found.
    site.must(&["env:set", "SITE.live", "url", "http://nowhere.invalid"]);
    expect(
        &site,
        "live",
        "domain",
        "failure",
        "nowhere.invalid leads nowhere",
    );
    expect(&site, "live", "answer", "skipped", "");
}

#[test]
fn certificates_are_looked_at() {
    let gateway = Arc::new(Gateway::start());
    let folder = gateway.folder().join("tls");
    let authority = authority(&folder);
    let shown = format!("\"{}\"", authority.display());
    support::gateway::change_setting(&gateway.config(), "targets", "ca_file", &shown);
    gateway.stop(nix::sys::signal::Signal::SIGTERM);
    gateway.serve();
    let site = gateway.site("st-tls");
    for (name, days, score, words) in [
        ("localhost", 90, "ok", "good until"),
        ("localhost", 10, "warning", "good until"),
        ("localhost", 2, "failure", "good until"),
        ("other.example", 90, "failure", "another name"),
    ] {
        let (port, _server) = serve(&folder, name, days);
        site.must(&[
            "env:set",
            "SITE.live",
            "url",
            &format!("https://localhost:{port}"),
        ]);
        expect(&site, "live", "certificate", score, words);
        let well = name == "localhost";
        expect(
            &site,
            "live",
            "answer",
            if well { "ok" } else { "failure" },
            "",
        );
    }
    let elsewhere = folder.join("elsewhere");
    let _other = self::authority(&elsewhere);
    let (port, _server) = serve(&elsewhere, "localhost", 90);
    site.must(&[
        "env:set",
        "SITE.live",
        "url",
        &format!("https://localhost:{port}"),
    ]);
    expect(
        &site,
        "live",
        "certificate",
        "failure",
        "nobody who is trusted",
    );
}

fn openssl(folder: &Path, words: &str) {
    Client::new("openssl")
        .args(words.split_whitespace())
        .folder(folder)
        .run()
        .ok();
}

/// Makes an authority; returns the file with its certificate.
fn authority(folder: &Path) -> std::path::PathBuf {
    fs::create_dir_all(folder).unwrap();
    openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 900 -keyout ca.key -out ca.pem -subj /CN=ours",
    );
    folder.join("ca.pem")
}

/// Serves pages with a certificate of the authority in `folder`; returns the port.
fn serve(folder: &Path, name: &str, days: u32) -> (u16, support::process::Process) {
    openssl(
        folder,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out csr -subj /CN=site",
    );
    fs::write(folder.join("ext"), format!("subjectAltName=DNS:{name}\n")).unwrap();
    openssl(
        folder,
        &format!(
            "x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile ext -out pem"
        ),
    );
    let script = "
import http.server, ssl
class Says(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', '2')
        self.end_headers()
        self.wfile.write(b'ok')
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Says)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('pem', 'key')
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_port, flush=True)
server.serve_forever()
";
    let mut server = Client::new("python3")
        .args(["-c", script])
        .folder(folder)
        .start_piped();
    let stdout = server.child().stdout.take().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    (line.trim().parse().unwrap(), server)
}
