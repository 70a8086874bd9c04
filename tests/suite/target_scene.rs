//! A site whose Dev has web hosts, and what these serve, read from outside.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::web_host::WebHost;
use support::{Clone, Finished, Role, Site};

use crate::deliveries::{self, wait_until_told};
use crate::deploys::{refs, rows, runs};

/// A site whose Dev has hosts.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) clone: Clone,
    pub(crate) hosts: Vec<WebHost>,
}

impl Scene {
    pub(crate) fn new(name: &str, hosts: usize, options: &[&str]) -> Self {
        let site = deliveries::site(name, &[]);
        let clone = Clone::new(&site, site.person(Role::TeamMember));
        let mut scene = Self {
            site,
            clone,
            hosts: Vec::new(),
        };
        for number in 1..=hosts {
            let name = format!("web{number}");
            let host = WebHost::start(scene.site.gateway.folder(), &name);
            scene.add(&host, &name, options);
            scene.let_in(&host, &name);
            scene.site.must(&["target:test", "SITE.dev", &name]);
            scene.hosts.push(host);
        }
        wait_until_told(&scene.site, "dev");
        scene
    }

    #[track_caller]
    pub(crate) fn add(&self, host: &WebHost, name: &str, options: &[&str]) -> Finished {
        let (place, print) = (host.destination(), host.fingerprint());
        let words = [
            "target:add",
            "SITE.dev",
            name,
            "rsync",
            &place,
            "--fingerprint",
            &print,
        ];
        self.site.must(&[&words[..], options].concat())
    }

    pub(crate) fn let_in(&self, host: &WebHost, name: &str) {
        let shown = rows(&self.site, &["target:list", "SITE.dev"]);
        let row = shown
            .iter()
            .find(|row| row["name"] == name)
            .expect("it is listed");
        host.let_in(&format!("restrict {}", row["key"].as_str().unwrap()));
    }

    /// Commits a version: many files that all say its number, so that a mixture shows.
    pub(crate) fn write(&self, number: usize) {
        let folder = self.clone.folder().join("versions");
        fs::create_dir_all(&folder).unwrap();
        for file in 0..40 {
            fs::write(folder.join(file.to_string()), format!("{number:06}")).unwrap();
        }
        self.clone.commit("version", &format!("{number:06}"));
    }

    pub(crate) fn push(&self, number: usize) -> Finished {
        self.write(number);
        self.clone.git(&["push", "dev", "main"]).run()
    }

    /// All that a refused push must leave as it was.
    pub(crate) fn everything(&self) -> (String, String, Vec<Option<usize>>) {
        (
            runs(&self.site, "dev"),
            refs(&self.site),
            self.hosts.iter().map(version).collect(),
        )
    }
}

/// The version that a host serves, if all of its files agree.
pub(crate) fn version(host: &WebHost) -> Option<usize> {
    whole(&host.code())
}

fn whole(code: &Path) -> Option<usize> {
    let read = |path: std::path::PathBuf| fs::read_to_string(path).ok()?.parse::<usize>().ok();
    let number = read(code.join("version"))?;
    for file in 0..40 {
        let found = read(code.join("versions").join(file.to_string()));
        assert_eq!(found, Some(number), "{}", code.display());
    }
    Some(number)
}

/// Reads what each host serves, again and again.
pub(crate) struct Readers {
    over: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    reading: Vec<thread::JoinHandle<BTreeSet<usize>>>,
}

impl Readers {
    pub(crate) fn start(scene: &Scene) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let looks = Arc::new(AtomicUsize::new(0));
        let reading = scene
            .hosts
            .iter()
            .map(|host| {
                let (over, looks, site) = (over.clone(), looks.clone(), host.site());
                thread::spawn(move || {
                    let mut seen = BTreeSet::new();
                    while !over.load(Ordering::SeqCst) {
                        // As a web server does that resolves the link once a request.
                        let release = fs::canonicalize(site.join("current")).expect("there is one");
                        // One that was turned back goes away while it is read.
                        if let Some(number) = whole_or_gone(&release) {
                            seen.insert(number);
                        }
                        looks.fetch_add(1, Ordering::SeqCst);
                        // The servers need the processor as well.
                        thread::sleep(Duration::from_millis(2));
                    }
                    seen
                })
            })
            .collect();
        Self {
            over,
            looks,
            reading,
        }
    }

    pub(crate) fn stop(self) -> usize {
        self.over.store(true, Ordering::SeqCst);
        for reader in self.reading {
            let seen = reader
                .join()
                .expect("each host always served a whole release");
            assert!(!seen.is_empty());
        }
        self.looks.load(Ordering::SeqCst)
    }
}

fn whole_or_gone(release: &Path) -> Option<usize> {
    let read = |path: &str| fs::read_to_string(release.join("code").join(path)).ok();
    let number = read("version")?;
    for file in 0..40 {
        match read(&format!("versions/{file}")) {
            Some(found) => assert_eq!(found, number, "{}", release.display()),
            None => {
                let current = fs::read_link(release.join("../../current")).expect("there is one");
                assert!(
                    !release.ends_with(&current),
                    "{} lacks {file}",
                    release.display()
                );
                return None;
            }
        }
    }
    number.parse().ok()
}
