//! Stands in for an rsync of 2006: a daemon that greets with version 29 of the protocol.

use std::io::{Read, Write};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(b"@RSYNCD: 29.0\n")?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
