//! Webhooks over TLS: by whom a certificate must be signed.

use std::sync::Arc;

use nix::sys::signal::Signal;
use support::{Client, Gateway};

#[test]
fn certificates_of_webhooks_are_checked() {
    let gateway = Arc::new(Gateway::start());
    let site = gateway.site("dl-tls");
    let server = TlsServer::start(&gateway.folder().join("tls"));
    let url = format!("https://localhost:{}/", server.port);
    site.must(&["target:add", "SITE.dev", "ci", "webhook", &url]);
    site.command(&["target:test", "SITE.dev", "ci"])
        .run()
        .code(1)
        .says("invalid peer certificate: UnknownIssuer");
    gateway.stop(Signal::SIGTERM);
    let authority = format!("\"{}\"", server.authority.display());
    support::gateway::change_setting(&gateway.config(), "targets", "ca_file", &authority);
    gateway.serve();
    site.must(&["target:test", "SITE.dev", "ci"])
        .says("ci: 200");
}

/// A web server with TLS, whose certificate an authority of its own has signed.
struct TlsServer {
    port: u16,
    authority: std::path::PathBuf,
    _server: support::process::Process,
}

impl TlsServer {
    fn start(folder: &std::path::Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let openssl = |args: &[&str]| Client::new("openssl").args(args).folder(folder).run().ok();
        let new = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ];
        openssl(
            &[
                &[
                    "req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ours",
                ],
                &new[..],
            ]
            .concat(),
        );
        openssl(
            &[
                &[
                    "req",
                    "-keyout",
                    "key",
                    "-out",
                    "csr",
                    "-subj",
                    "/CN=localhost",
                ],
                &new[..5],
            ]
            .concat(),
        );
        std::fs::write(folder.join("ext"), "subjectAltName=DNS:localhost\n").unwrap();
        openssl(&[
            "x509",
            "-req",
            "-in",
            "csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "ext",
            "-out",
            "pem",
        ]);
        let script = "
import http.server, ssl, sys
class Hears(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()
server = http.server.HTTPServer(('127.0.0.1', 0), Hears)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('pem', 'key')
server.socket = context.wrap_socket(server.socket, server_side=True)
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
        Self {
            port: line.trim().parse().unwrap(),
            authority: folder.join("ca.pem"),
            _server: server,
        }
    }
}
