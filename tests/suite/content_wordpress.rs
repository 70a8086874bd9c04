//! A real WordPress on a real MariaDB, behind nginx and PHP-FPM, with the wp-config.php of our recipes:
//! whoever reloads its front page while its content is cloned, imported, wiped and brought back gets a whole
//! page each time, of one content. Where the same dump is loaded into the database in use, they do not.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use support::web_server::{WebServer, get};
use support::{Client, Clone, Role, wait_for, wordpress};

use crate::content_scene::{Scene, Server};
use crate::web_servers::documented;

/// What a front controller of the site's own does beside WordPress's: the same, with WordPress's files where
/// the tests have them.
const INDEX: &str = r#"<?php
define('ABSPATH', 'WORDPRESS/');
define('WP_CONTENT_DIR', __DIR__ . '/wp-content');
define('WP_CONTENT_URL', '/wp-content');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('WP_USE_THEMES', true);
require __DIR__ . '/wp-config.php';
wp();
require ABSPATH . WPINC . '/template-loader.php';
"#;

/// A theme that shows of each part of the content which one it is.
const THEME: &str = r#"<?php
$posts = new WP_Query(['posts_per_page' => -1]);
$title = get_bloginfo('name');
$others = 0;
while ($posts->have_posts()) {
    $posts->the_post();
    $others += strpos(get_the_content(), "of $title") === false ? 1 : 0;
}
$file = $GLOBALS['settings']['FUNICULAR_FILES'] . '/origin.txt';
echo "title=$title posts=", $posts->post_count, " others=$others comments=", wp_count_comments()->approved,
    ' users=', count(get_users()), ' tags=', wp_count_terms(['taxonomy' => 'post_tag', 'hide_empty' => false]),
    ' home=', get_option('home'), ' files=', is_file($file) ? trim(file_get_contents($file)) : 'none', ' end';
"#;

const INSTALL: &str = r#"<?php
[, $code, $title, $home] = $argv;
$_SERVER['HTTP_HOST'] = 'www.example.org';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
define('WP_INSTALLING', true);
define('ABSPATH', 'WORDPRESS/');
define('WP_CONTENT_DIR', "$code/wp-content");
define('WP_HTTP_BLOCK_EXTERNAL', true);
require "$code/wp-config.php";
require ABSPATH . 'wp-admin/includes/upgrade.php';
function wp_mail() { return true; }
wp_install($title, 'admin', 'admin@example.org', true, '', 'secret');
update_option('home', $home);
update_option('siteurl', $home);
update_option('template', 'plain');
update_option('stylesheet', 'plain');
foreach (get_posts(['numberposts' => -1]) as $post) {
    wp_update_post(['ID' => $post->ID, 'post_content' => "The first of $title."]);
}
for ($number = 0; $number < 25; $number++) {
    $post = wp_insert_post(['post_title' => "Post $number", 'post_status' => 'publish',
        'post_content' => "Number $number of $title, with an image at $home/wp-content/uploads/$number.jpg.",
        'tags_input' => "tag $number"]);
    wp_insert_comment(['comment_post_ID' => $post, 'comment_content' => 'Žluťoučký kůň 🚡', 'comment_approved' => 1]);
}
"#;

#[test]
fn nobody_meets_half_a_wordpress() {
    let scene = Scene::mariadb("cp-wordpress");
    let site = &scene.site;
    site.set_mode("git");
    let clone = Clone::new(site, site.person(Role::TeamMember));
    let core = wordpress::tree();
    let with_core = |text: &str| text.replace("WORDPRESS", &core.display().to_string());
    let write = |path: &str, text: &str| {
        let path = clone.folder().join(path);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).unwrap();
        fs::write(path, text).unwrap();
    };
    let recipe = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/recipes/wordpress/wp-config.php"
    );
    write("wp-config.php", &fs::read_to_string(recipe).unwrap());
    write("wp-content/themes/plain/index.php", THEME);
    write(
        "wp-content/themes/plain/style.css",
        "/* Theme Name: Plain */\n",
    );
    clone.commit("index.php", &with_core(INDEX));
    clone.must(&["push", "--quiet", "dev", "main"]);
    site.deploy_all();
    let install = site.gateway.folder().join("install.php");
    fs::write(&install, with_core(INSTALL)).unwrap();
    for environment in ["live", "dev"] {
        let code = fs::canonicalize(scene.folder(environment).join("current/code")).unwrap();
        Client::new("php")
            .arg(&install)
            .arg(&code)
            .args([environment, &format!("http://{environment}.example.org")])
            .run()
            .ok();
        let files = PathBuf::from(scene.fact(environment, "FILES"));
        fs::write(files.join("origin.txt"), environment).unwrap();
    }
    site.must(&[
        "domain:map",
        "SITE",
        "live",
        "dev",
        "live.example.org=dev.example.org",
    ]);

    let server = serve(&scene);
    let page = |title: &str, files: &str| {
        format!(
            "200 title={title} posts=26 others=0 comments=26 users=1 tags=25 home=http://dev.example.org files={files} end"
        )
    };
    let visitor = Visitor::of(&server);
    let mut expected = Vec::new();
    let mut step = |words: &[&str], input: &[u8], state: String| {
        if !words.is_empty() {
            scene.lead_does(words).input(input).run().ok();
        }
        visitor.goes_on(2);
        wait_for("the new page", Duration::from_secs(20), || {
            (visitor.last() == state).then_some(())
        });
        expected.push(state);
    };
    step(&[], b"", page("dev", "dev"));
    let dump = scene.dump("dev", "dev", "dump");
    let dump = String::from_utf8(dump)
        .unwrap()
        .replace(" of dev", " of dump")
        .into_bytes();
    step(
        &["env:clone-content", "SITE.live", "dev"],
        b"",
        page("live", "live"),
    );
    step(
        &["import:database", "SITE.dev", "-"],
        &dump,
        page("dump", "live"),
    );
    step(&["env:wipe", "SITE.dev"], b"", "302 to install".to_owned());
    step(&["env:undo-content", "SITE.dev"], b"", page("dump", "live"));
    let seen = visitor.end();
    println!("WordPress's front page: {seen:#?}");
    let strange: BTreeMap<_, _> = seen
        .iter()
        .filter(|(page, _)| !expected.contains(page))
        .collect();
    assert!(
        strange.is_empty(),
        "pages that nobody may see: {strange:#?}"
    );

    // As it is done elsewhere.
    let Server::Mariadb(mariadb) = &scene.server else {
        panic!("this site is on MariaDB")
    };
    let visitor = Visitor::of(&server);
    let whole = page("dump", "live");
    let faults = wait_for("a fault of the plain way", Duration::from_secs(120), || {
        mariadb
            .feed(&scene.fact("dev", "DATABASE_NAME"), &dump)
            .unwrap();
        let faults = visitor.other_than(&whole);
        (!faults.is_empty()).then_some(faults)
    });
    println!("mariadb < dump: a visitor met {faults:#?}");
    visitor.end();
}

fn serve(scene: &Scene) -> WebServer {
    let folder = scene.folder("dev").display().to_string();
    let server = documented()
        .replace("listen 80;", "listen 127.0.0.1:PORT;")
        .replace("/var/lib/funicular/sites/acme/environments/live", &folder)
        .replace("/run/php/php8.2-fpm.sock", "SOCKET");
    let php = "pm.max_children = 3\nphp_admin_value[display_errors] = 0";
    WebServer::start(&scene.site.gateway.folder().join("web"), &server, php)
}

/// Somebody who reloads the front page without a pause.
struct Visitor {
    over: Arc<AtomicBool>,
    pages: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Visitor {
    fn of(server: &WebServer) -> Self {
        let (over, pages) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (ended, kept, address) = (Arc::clone(&over), Arc::clone(&pages), server.address());
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                let answer = get(address, "/");
                let shown = match answer.status {
                    302 => "302 to install".to_owned(),
                    status => format!("{status} {}", answer.body.trim()),
                };
                kept.lock().unwrap().push(shown);
            }
        });
        let visitor = Self {
            over,
            pages,
            thread: Some(thread),
        };
        visitor.goes_on(1);
        visitor
    }

    fn goes_on(&self, pages: usize) {
        let count = || self.pages.lock().unwrap().len();
        let wanted = count() + pages;
        wait_for("pages", Duration::from_secs(120), || {
            (count() >= wanted).then_some(())
        });
    }

    fn last(&self) -> String {
        self.pages
            .lock()
            .unwrap()
            .last()
            .cloned()
            .unwrap_or_default()
    }

    fn other_than(&self, page: &str) -> Vec<String> {
        let pages = self.pages.lock().unwrap();
        pages
            .iter()
            .filter(|shown| *shown != page)
            .cloned()
            .collect()
    }

    fn end(mut self) -> BTreeMap<String, usize> {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("each page was answered");
        }
        let mut seen = BTreeMap::new();
        for page in self.pages.lock().unwrap().drain(..) {
            *seen.entry(page).or_insert(0) += 1;
        }
        seen
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}
