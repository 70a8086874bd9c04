//! How long one decision takes: `cargo bench -p funicular-policy`. Exits with 1 when the median of
//! a request is a microsecond or more.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement without its input is none"
)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use policy::{
    Action, Area, ConnectionMode, Context, Environment, Limits, ModeFacts, Principal, Role,
    SitePath, Standing, Target, TreeChange, decide,
};

/// Decisions in one sample, and samples to a median.
const DECISIONS: u32 = 20_000;
const SAMPLES: usize = 51;
const GOAL: Duration = Duration::from_micros(1);

fn main() -> ExitCode {
    let mut slow = false;
    println!("a policy decision, median of {SAMPLES} samples of {DECISIONS} [lowest..highest]:");
    for (name, request) in requests() {
        let mut samples: Vec<Duration> = (0..SAMPLES).map(|_| sample(&request)).collect();
        samples.sort();
        let median = *samples.get(SAMPLES / 2).unwrap();
        let (low, high) = (samples.first().unwrap(), samples.last().unwrap());
        slow |= median >= GOAL;
        println!(
            "  {name:44} {:4} ns [{}..{}]",
            median.as_nanos(),
            low.as_nanos(),
            high.as_nanos()
        );
    }
    if slow {
        println!(
            "missed: a decision must take less than {} ns",
            GOAL.as_nanos()
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

struct Request {
    principal: Principal,
    action: Action,
    target: Target,
    context: Context,
}

fn sample(request: &Request) -> Duration {
    let begun = Instant::now();
    for _ in 0..DECISIONS {
        let _ = black_box(decide(
            black_box(&request.principal),
            black_box(request.action),
            black_box(&request.target),
            black_box(&request.context),
        ));
    }
    begun.elapsed() / DECISIONS
}

fn requests() -> Vec<(&'static str, Request)> {
    let tree = |role, mode, environment, area, action| Request {
        principal: Principal {
            person: "tom".parse().unwrap(),
            standing: Standing::Member(role),
            limits: Limits::default(),
        },
        action,
        target: Target::Tree(
            "acme".parse().unwrap(),
            environment,
            area,
            SitePath::normalize(b"wp-content/themes/acme/template-parts/header.php").unwrap(),
        ),
        context: Context {
            environment_exists: true,
            mode: Some(ModeFacts {
                mode,
                set_by: "ada".parse().unwrap(),
                set_at: "2026-01-01 12:00".to_owned(),
            }),
            address: "gateway.example.org:2222".to_owned(),
            ..Context::default()
        },
    };
    let write = Action::ChangeTree(TreeChange::Write);
    let sftp = ConnectionMode::Sftp;
    vec![
        (
            "write code of Dev in SFTP mode: yes",
            tree(Role::TeamMember, sftp, Environment::Dev, Area::Code, write),
        ),
        (
            "write files of Live: yes",
            tree(
                Role::TeamMember,
                sftp,
                Environment::Live,
                Area::Files,
                write,
            ),
        ),
        (
            "read code of Live: yes",
            tree(
                Role::Developer,
                sftp,
                Environment::Live,
                Area::Code,
                Action::ReadTree,
            ),
        ),
        (
            "write code of Dev in Git mode: no, in words",
            tree(
                Role::TeamMember,
                ConnectionMode::Git,
                Environment::Dev,
                Area::Code,
                write,
            ),
        ),
    ]
}
