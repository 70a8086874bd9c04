//! Orders to a daemon of a debug build about the points that it passes: to write them down, to die
//! at one, to stand still there, to find its disk full there. See `gateway/src/crash.rs`.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::wait_for;

/// A point, and how often it is passed until it counts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) time: usize,
}

impl Point {
    /// Says whether it is passed in the background: when, and by which of several operations, is
    /// not the same each time.
    pub(crate) fn is_aside(&self) -> bool {
        self.name.starts_with("audit-") || self.name == "push-ended"
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.time)
    }
}

/// The folder in which one daemon looks for orders.
pub(crate) struct Faults {
    folder: PathBuf,
    orders: AtomicUsize,
}

impl Faults {
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        Self {
            folder,
            orders: AtomicUsize::new(0),
        }
    }

    /// The variable by which a daemon knows the folder.
    pub(crate) fn variable(&self) -> (&str, &str) {
        let folder = self.folder.to_str().expect("folders of tests are UTF-8");
        ("FUNICULAR_FAULTS", folder)
    }

    /// Has the points written down from now on.
    pub(crate) fn record(&self) {
        let _ = fs::remove_file(self.folder.join("passed"));
        self.order("record", None, "");
    }

    /// Returns the points that were passed, in order, once no more come.
    pub(crate) fn recorded(&self) -> Vec<Point> {
        let passed = self.folder.join("passed");
        let length = || fs::metadata(&passed).map_or(0, |found| found.len());
        let (mut last, mut since) = (length(), Instant::now());
        wait_for("the last point", Duration::from_secs(30), || {
            if length() != last {
                (last, since) = (length(), Instant::now());
            }
            (since.elapsed() > Duration::from_millis(300)).then_some(())
        });
        self.clear();
        let mut times = HashMap::new();
        let names = fs::read_to_string(&passed).unwrap_or_default();
        let points = names.lines().map(|name| {
            let time = times.entry(name.to_owned()).or_insert(0);
            *time += 1;
            Point {
                name: name.to_owned(),
                time: *time,
            }
        });
        points.collect()
    }

    pub(crate) fn kill(&self, at: &Point) {
        self.order("kill", Some(at), "");
    }

    /// Has the daemon stand still at a point, until `clear`.
    pub(crate) fn hold(&self, at: &Point) {
        self.order("hold", Some(at), "");
    }

    /// Has the daemon fill the disk that `ballast` is to lie on.
    pub(crate) fn fill(&self, at: &Point, ballast: &Path) {
        let ballast = ballast.to_str().expect("folders of tests are UTF-8");
        self.order("fill", Some(at), ballast);
    }

    pub(crate) fn clear(&self) {
        let _ = fs::remove_file(self.folder.join("order"));
    }

    /// Says whether what was ordered has happened.
    pub(crate) fn reached(&self) -> bool {
        self.folder.join("reached").exists()
    }

    /// Waits until what was ordered has happened, or until `over`.
    pub(crate) fn reached_before(&self, mut over: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if self.reached() {
                return true;
            }
            if over() {
                return self.reached();
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("neither the point nor the end was reached in a minute");
    }

    fn order(&self, verb: &str, at: Option<&Point>, path: &str) {
        let _ = fs::remove_file(self.folder.join("reached"));
        let (name, time) = at.map_or(("", 0), |at| (at.name.as_str(), at.time));
        let serial = self.orders.fetch_add(1, Ordering::Relaxed);
        let order = format!("{verb}\n{name}\n{time}\n{path}\n{serial}\n");
        let new = self.folder.join("order.new");
        fs::write(&new, order).unwrap();
        fs::rename(new, self.folder.join("order")).unwrap();
    }
}

/// How much is tried: in ordinary runs a part of the points of each operation, so that all of them
/// together try each; all of them, over and over, with `make crash ROUNDS=n`.
pub(crate) fn rounds() -> Option<usize> {
    let rounds = std::env::var("FUNICULAR_CRASH_ROUNDS").ok()?;
    Some(rounds.parse().expect("FUNICULAR_CRASH_ROUNDS is a number"))
}

/// Chooses the points to try in one round: all that decide, and of the others each `step`th in an
/// ordinary run, beginning with another one for each operation.
pub(crate) fn chosen(points: &[Point], operation: usize, step: usize) -> Vec<Point> {
    let step = if rounds().is_some() { 1 } else { step };
    let chosen = points.iter().enumerate().filter(|(place, point)| {
        place % step == operation % step || DECIDING.contains(&point.name.as_str())
    });
    chosen.map(|(_, point)| point.clone()).collect()
}

/// Between these, the old state becomes the new one.
const DECIDING: [&str; 6] = [
    "state-after: writing down what a workflow changes",
    "pointer-renamed",
    "content-pointer-renamed",
    "move-refs-before",
    "move-refs-after",
    "state-after: completing a workflow",
];
