//! A real nginx with a real PHP-FPM serves a site from its pointer: with the configuration of
//! docs/web-servers.md each request gets a whole release, and the new one as soon as it is deployed.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::web_server::{WebServer, get};
use support::{Clone, Role, Site, wait_for};

use crate::deliveries;

#[test]
fn the_documented_configuration_serves_each_release_at_once_and_whole() {
    let scene = Scene::new("ws-good");
    scene.deploy(1);
    let server = scene.serve(&documented(), "pm.max_children = 4");
    assert_eq!(scene.page(&server), 1);
    // Whoever asks without pause gets a whole release each time, and never an older one than what
    // was deployed when they asked.
    let deployed = Arc::new(AtomicUsize::new(1));
    let over = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = ["/", "/index.php?x=1", "/some/pretty/url", "/version.txt"]
        .into_iter()
        .map(|path| {
            let (deployed, over, address) = (deployed.clone(), over.clone(), server.address());
            thread::spawn(move || {
                let mut asked = 0;
                while !over.load(Ordering::SeqCst) {
                    let least = deployed.load(Ordering::SeqCst);
                    let answer = get(address, path);
                    assert_eq!(answer.status, 200, "{path}: {answer:?}");
                    let shown = versions(&answer.body);
                    assert!(
                        shown.windows(2).all(|two| two[0] == two[1]),
                        "{path}: a mixture: {answer:?}"
                    );
                    assert!(
                        shown[0] >= least,
                        "{path}: {answer:?} after the deploy of {least}"
                    );
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    for version in 2..14 {
        scene.deploy(version);
        deployed.store(version, Ordering::SeqCst);
        assert_eq!(scene.page(&server), version);
        assert_eq!(versions(&server.get("/version.txt").body), [version]);
    }
    deployed.store(12, Ordering::SeqCst);
    scene.site.must(&["env:rollback", "SITE.live"]);
    assert_eq!(scene.page(&server), 12);
    over.store(true, Ordering::SeqCst);
    for one in asking {
        let asked: usize = one.join().expect("each answer was right");
        assert!(asked > 20, "asked {asked} times");
    }
    assert_eq!(server.get("/nothing.php").status, 404);
}

#[test]
fn the_usual_configuration_serves_old_pages_and_a_reload_ends_that() {
    let scene = Scene::new("ws-trap");
    scene.deploy(1);
    let usual = documented()
        .replace("set $release $realpath_root;", "")
        .replace("root $release;", "")
        .replace("$release", "$document_root");
    let server = scene.serve(&usual, "pm.max_children = 1");
    assert_eq!(scene.page(&server), 1);
    scene.deploy(2);
    // The trap: static files are new at once, and PHP is old for as long as we look.
    assert_eq!(versions(&server.get("/version.txt").body), [2]);
    let (began, mut asked) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(5) || asked < 50 {
        assert_eq!(
            scene.page(&server),
            1,
            "the trap is gone: is a reload still needed?"
        );
        asked += 1;
    }
    let file = server.php_pid_file().display().to_string();
    let words = [
        "target:add",
        "SITE.live",
        "php",
        "reload",
        "--pid-file",
        &file,
        "--signal",
        "USR2",
    ];
    scene.site.must(&words);
    scene.site.must(&["target:test", "SITE.live", "php"]);
    wait_for("the new page", Duration::from_secs(60), || {
        (scene.page(&server) == 2).then_some(())
    });
    for version in 3..6 {
        scene.deploy(version);
        deliveries::wait_until_told(&scene.site, "live");
        wait_for("the new page", Duration::from_secs(60), || {
            (scene.page(&server) == version).then_some(())
        });
        for _ in 0..20 {
            assert_eq!(scene.page(&server), version);
        }
    }
}

/// A site whose pages show the version of each of their parts.
struct Scene {
    site: Site,
    clone: Clone,
}

impl Scene {
    fn new(name: &str) -> Self {
        let site = deliveries::site(name, &[]);
        let clone = Clone::new(&site, site.person(Role::TeamMember));
        Self { site, clone }
    }

    fn deploy(&self, version: usize) {
        let write = |path: &str, text: String| {
            let path = self.clone.folder().join(path);
            fs::create_dir_all(path.parent().expect("it lies in a folder")).unwrap();
            fs::write(path, text).unwrap();
        };
        for part in ["a", "b", "c"] {
            write(
                &format!("lib/{part}.php"),
                format!("<?php echo '{version} ';\n"),
            );
        }
        write("version.txt", version.to_string());
        let page = format!(
            "<?php // {version}\nrequire __DIR__ . '/lib/a.php'; usleep(3000);\n\
             require __DIR__ . '/lib/b.php'; usleep(3000); require $_SERVER['DOCUMENT_ROOT'] . '/lib/c.php';\n\
             echo {version};\n"
        );
        self.clone.commit("index.php", &page);
        self.clone.must(&["push", "--quiet", "dev", "main"]);
        self.site.deploy_all();
    }

    fn serve(&self, server: &str, php: &str) -> WebServer {
        let environment = self.site.disk("live", "files");
        let environment = environment.ancestors().find(|path| path.ends_with("live"));
        let environment = environment
            .expect("it lies in its environment")
            .display()
            .to_string();
        let server = server
            .replace("listen 80;", "listen 127.0.0.1:PORT;")
            .replace(
                "/var/lib/funicular/sites/acme/environments/live",
                &environment,
            )
            .replace("/run/php/php8.2-fpm.sock", "SOCKET");
        WebServer::start(&self.site.gateway.folder().join("web"), &server, php)
    }

    /// The version that a page shows, in all of its parts.
    #[track_caller]
    fn page(&self, server: &WebServer) -> usize {
        let answer = server.get("/");
        assert_eq!(answer.status, 200, "{answer:?}");
        let shown = versions(&answer.body);
        assert_eq!(shown.len(), 4, "{answer:?}");
        assert!(shown.iter().all(|part| *part == shown[0]), "{answer:?}");
        shown[0]
    }
}

fn versions(body: &str) -> Vec<usize> {
    body.split_whitespace()
        .map(|part| {
            part.parse()
                .unwrap_or_else(|_| panic!("no version: {body:?}"))
        })
        .collect()
}

/// The server block that administrators are told to copy.
fn documented() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/web-servers.md");
    let text = fs::read_to_string(page).unwrap();
    let (_, rest) = text.split_once("```nginx\n").expect("an nginx block");
    let (block, _) = rest.split_once("```").expect("its end");
    block.to_owned()
}
