//! The system calls that a sandboxed program may not make. What leaves traces outside the sandbox
//! is denied: a file with a set-user-id bit would be the gateway's own account for whoever finds it.
//! So is what opens the parts of the kernel that a site's step has no use for.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::fault::{Fault, OrFault};

/// An argument, and the bits of it that must be set for a rule to hold.
type Bits = (u8, u64);

const SET_USER_ID: u64 = 0o4000;
const SET_GROUP_ID: u64 = 0o2000;
/// `clone(2)`, `unshare(2)`.
const NEW_USER: u64 = 0x1000_0000;
/// `open(2)`: without it the mode is no argument, but whatever lies in its register.
const CREATE: u64 = 0o100;

/// Calls that change a mode, with the argument that it is.
const MODES: &[(i64, u8)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, 1),
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (libc::SYS_mknodat, 2),
    (libc::SYS_mkdirat, 2),
];

/// Calls that open or make a file, with the arguments of flags and mode.
const OPENS: &[(i64, u8, u8)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1, 2),
    (libc::SYS_openat, 2, 3),
];

/// What is not allowed.
const DENIED: &[i64] = &[
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kexec_load,
    libc::SYS_open_by_handle_at,
];

/// What is said not to exist, so that programs take the older way, whose arguments can be seen. And
/// memory that belongs to no process, which nobody would count.
const UNKNOWN: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_openat2,
    libc::SYS_fchmodat2,
    libc::SYS_io_uring_setup,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_fsopen,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
];

/// Returns the filters as the kernel takes them (`struct sock_filter`, seccomp(2)).
pub(super) fn filters() -> Result<[Vec<u8>; 2], Fault> {
    let mut denied: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().map(|call| (*call, Vec::new())).collect();
    for (call, mode) in MODES {
        let rules = [SET_USER_ID, SET_GROUP_ID].map(|bit| rule(&[(*mode, bit)]));
        denied.insert(*call, rules.into_iter().collect::<Result<_, _>>()?);
    }
    for (call, flags, mode) in OPENS {
        let rules = [SET_USER_ID, SET_GROUP_ID].map(|bit| rule(&[(*flags, CREATE), (*mode, bit)]));
        denied.insert(*call, rules.into_iter().collect::<Result<_, _>>()?);
    }
    for call in [libc::SYS_clone, libc::SYS_unshare] {
        denied.insert(call, vec![rule(&[(0, NEW_USER)])?]);
    }
    let unknown = UNKNOWN.iter().map(|call| (*call, Vec::new())).collect();
    Ok([
        compiled(denied, libc::EPERM)?,
        compiled(unknown, libc::ENOSYS)?,
    ])
}

fn rule(bits: &[Bits]) -> Result<SeccompRule, Fault> {
    let doing = || "writing a filter of system calls";
    let conditions: Result<Vec<_>, _> = bits
        .iter()
        .map(|(argument, bits)| {
            let set = SeccompCmpOp::MaskedEq(*bits);
            SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, set, *bits)
        })
        .collect();
    SeccompRule::new(conditions.or_fault(doing)?).or_fault(doing)
}

fn compiled(rules: BTreeMap<i64, Vec<SeccompRule>>, error: i32) -> Result<Vec<u8>, Fault> {
    let doing = || "writing a filter of system calls";
    let architecture = std::env::consts::ARCH.try_into().or_fault(doing)?;
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(error.unsigned_abs()),
        architecture,
    )
    .or_fault(doing)?;
    let program: BpfProgram = filter.try_into().or_fault(doing)?;
    let mut bytes = Vec::new();
    for line in program {
        bytes.extend(line.code.to_ne_bytes());
        bytes.extend([line.jt, line.jf]);
        bytes.extend(line.k.to_ne_bytes());
    }
    Ok(bytes)
}
