//! Keys exchanged anew in the middle of transfers, by the gateway's wish and by the client's.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use support::{Gateway, Role};

/// Each transfer is over in seconds; one that waits for ever is what this is about.
const SOON: Duration = Duration::from_secs(120);

const BYTES: usize = 24 << 20;

#[test]
fn transfers_go_on_while_keys_are_exchanged() {
    let gateway = Arc::new(Gateway::start_with(&[("ssh", "rekey_bytes", "65536")]));
    let site = gateway.site("t-rekey");
    let tom = site.person(Role::TeamMember);
    let desk = tom.desk("rekey");
    let up = desk.join("up.bin");
    let bytes: Vec<u8> = (0..BYTES).map(|at| (at % 253) as u8).collect();
    fs::write(&up, &bytes).unwrap();
    // Alone the gateway's wish, then both at once; large requests, then many small ones.
    for (number, options) in [
        &[][..],
        &["-o", "RekeyLimit=64K"],
        &["-R", "256", "-B", "32768"],
        &["-R", "256", "-B", "4096", "-o", "RekeyLimit=64K"],
    ]
    .into_iter()
    .enumerate()
    {
        let down = desk.join(format!("down-{number}.bin"));
        let batch = format!(
            "put {} /files/{number}.bin\nget /files/{number}.bin {}\n",
            up.display(),
            down.display()
        );
        site.sftp_with(tom, "dev", options, batch)
            .limit(SOON)
            .run()
            .ok();
        assert!(
            fs::read(&down).unwrap() == bytes,
            "{options:?}: other bytes"
        );
    }
}
