//! Becomes the program that its arguments name, on a kernel that seems to have no Landlock: a filter
//! answers its system calls with ENOSYS, as an older kernel does.

use std::env::args_os;
use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// `landlock_create_ruleset`, `landlock_add_rule`, `landlock_restrict_self`: the same numbers on all
/// architectures.
const LANDLOCK: std::ops::RangeInclusive<i64> = 444..=446;
const ENOSYS: u32 = 38;

fn main() {
    let filter = SeccompFilter::new(
        LANDLOCK.map(|call| (call, Vec::new())).collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(ENOSYS),
        std::env::consts::ARCH.try_into().expect("a known machine"),
    );
    let filter: BpfProgram = filter
        .and_then(TryInto::try_into)
        .expect("the filter is made");
    seccompiler::apply_filter(&filter).expect("the filter is taken");
    let mut words = args_os().skip(1);
    let program = words.next().expect("a program is named");
    let error = Command::new(program).args(words).exec();
    panic!("the program was not started: {error}");
}
