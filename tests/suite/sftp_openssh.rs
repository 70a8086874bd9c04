//! x
use support::{Role, Shared};
static SHARED: Shared = Shared::new();
#[test]
fn a() {
    let site = SHARED.gateway().site("t-a");
    site.sftp(site.person(Role::TeamMember), "dev", "ls -la\ndf\n")
        .run()
        .ok();
}
