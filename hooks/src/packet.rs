//! Git's pkt-line framing (gitprotocol-common(5)), as far as `proc-receive` needs it.

use std::io::{self, Read, Write};

/// Reads one packet; `None` for a flush packet.
pub(crate) fn read(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0_u8; 4];
    reader.read_exact(&mut head)?;
    let length = std::str::from_utf8(&head)
        .ok()
        .and_then(|text| usize::from_str_radix(text, 16).ok())
        .ok_or_else(|| invalid("a packet's length is no number"))?;
    if length == 0 {
        return Ok(None);
    }
    let body = length
        .checked_sub(4)
        .ok_or_else(|| invalid("a packet's length is less than its own head"))?;
    let mut packet = vec![0; body];
    reader.read_exact(&mut packet)?;
    Ok(Some(packet))
}

/// Reads packets up to a flush packet, as text without the final newline of each.
pub(crate) fn read_lines(reader: &mut impl Read) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    while let Some(packet) = read(reader)? {
        let text = String::from_utf8(packet).map_err(|_| invalid("a packet is not text"))?;
        lines.push(text.strip_suffix('\n').unwrap_or(&text).to_owned());
    }
    Ok(lines)
}

/// Writes one packet.
pub(crate) fn write(writer: &mut impl Write, text: &str) -> io::Result<()> {
    write!(writer, "{:04x}{text}", text.len() + 4)
}

/// Writes a flush packet.
pub(crate) fn flush(writer: &mut impl Write) -> io::Result<()> {
    writer.write_all(b"0000")?;
    writer.flush()
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_as_git_writes_them() {
        let mut bytes: &[u8] = b"0009first0008last0000";
        assert_eq!(read_lines(&mut bytes).unwrap(), ["first", "last"]);
        assert!(read(&mut &b"0003"[..]).is_err());
        assert!(read(&mut &b"zzzz"[..]).is_err());
        assert!(read(&mut &b"0010short"[..]).is_err());
        let mut written = Vec::new();
        write(&mut written, "ok refs/heads/main").unwrap();
        flush(&mut written).unwrap();
        assert_eq!(written, b"0016ok refs/heads/main0000");
    }
}
