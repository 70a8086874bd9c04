//! Compressed input, told by its first bytes and not by its name.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

/// Returns what a stream says once decompressed; what is not compressed stays as it is. Several
/// gzip members, zstd frames or xz streams one after another are one content, as their own tools
/// have it.
///
/// # Errors
/// When the first bytes cannot be read. Reading on fails, with a sentence for people, where more
/// than `limit` bytes come out, where the stream is damaged or cut off, and where decompressing
/// takes more memory than the usual levels need.
pub fn decompressed<'a>(
    input: Box<dyn Read + Send + 'a>,
    limit: u64,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let (kind, input) = sniffed(input)?;
    let inner: Box<dyn Read + Send + 'a> = match kind {
        Kind::Gzip => Box::new(MultiGzDecoder::new(input)),
        Kind::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
        Kind::Xz => Box::new(XzReader::new_mem_limit(input, true, XZ_MEMORY)),
        Kind::Other => {
            return Ok(Box::new(Bounded {
                inner: input,
                left: limit,
                limit,
                compressed: None,
                produced: 0,
            }));
        }
    };
    Ok(Box::new(Bounded {
        inner,
        left: limit,
        limit,
        compressed: Some(kind),
        produced: 0,
    }))
}

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gzip,
    Zstd,
    Xz,
    Other,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Gzip => "gzip",
            Kind::Zstd => "zstd",
            Kind::Xz => "xz",
            Kind::Other => "plain",
        }
    }
}

type Buffered<'a> = BufReader<Box<dyn Read + Send + 'a>>;

/// Tells how a stream is compressed, which it still holds whole.
fn sniffed<'a>(input: Box<dyn Read + Send + 'a>) -> io::Result<(Kind, Buffered<'a>)> {
    let (first, input) = first_bytes(input, 6)?;
    let kind = if first.starts_with(&[0x1f, 0x8b]) {
        Kind::Gzip
    } else if first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Kind::Zstd
    } else if first.starts_with(b"\xfd7zXZ\0") {
        Kind::Xz
    } else {
        Kind::Other
    };
    Ok((kind, BufReader::with_capacity(BUFFER, input)))
}

/// Reads the first bytes, as many as there are up to `count`; the stream returned begins with them.
pub(super) fn first_bytes<'a>(
    mut input: Box<dyn Read + Send + 'a>,
    count: u64,
) -> io::Result<(Vec<u8>, Box<dyn Read + Send + 'a>)> {
    let mut first = Vec::new();
    (&mut input).take(count).read_to_end(&mut first)?;
    let whole = io::Cursor::new(first.clone()).chain(input);
    Ok((first, Box::new(whole)))
}

/// A stream that ends in an error where more comes out than was allowed.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
    compressed: Option<Kind>,
    produced: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.damaged(error)),
        };
        self.produced = self.produced.saturating_add(count as u64);
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(io::Error::other(format!(
                    "more than {} came out of it, which is all that there is room for",
                    super::room::size(self.limit)
                )));
            }
        }
        Ok(count)
    }
}

impl<R> Bounded<R> {
    fn damaged(&self, error: io::Error) -> io::Error {
        let Some(kind) = self.compressed else {
            return error;
        };
        let cut = error.kind() == io::ErrorKind::UnexpectedEof;
        let what = if cut { "cut off" } else { "damaged" };
        let sentence = format!(
            "the {} stream is {what} after {} of content ({error})",
            kind.as_str(),
            super::room::size(self.produced)
        );
        io::Error::new(error.kind(), sentence)
    }
}

/// 128 MiB: what `zstd` itself takes unless told otherwise.
const ZSTD_WINDOW: u32 = 27;
/// 128 MiB, in KiB; `xz -9` takes 65 MiB.
const XZ_MEMORY: u32 = 128 << 10;
const BUFFER: usize = 64 << 10;

/// Reads a stream to its end, so that what comes after its content is checked too.
pub(super) fn drained(input: &mut dyn Read) -> io::Result<u64> {
    io::copy(input, &mut io::sink())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn through(program: &[&str], content: &[u8]) -> Vec<u8> {
        let mut child = Command::new(program[0])
            .args(&program[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let content = content.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&content));
        let mut out = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        writer.join().unwrap().unwrap();
        assert!(child.wait().unwrap().success());
        out
    }

    fn read(bytes: &[u8], limit: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        decompressed(Box::new(io::Cursor::new(bytes.to_vec())), limit)?.read_to_end(&mut out)?;
        Ok(out)
    }

    const TOOLS: [&[&str]; 4] = [
        &["gzip", "-c"],
        &["zstd", "-q", "-c"],
        &["zstd", "-q", "-19", "-c"],
        &["xz", "-9", "-c"],
    ];

    #[test]
    fn what_real_tools_write_is_read() {
        let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(read(&content, u64::MAX).unwrap(), content);
        assert_eq!(read(b"", u64::MAX).unwrap(), b"");
        assert_eq!(read(b"\x1f", u64::MAX).unwrap(), b"\x1f");
        for tool in TOOLS {
            let packed = through(tool, &content);
            assert_eq!(read(&packed, content.len() as u64).unwrap(), content);
            let twice = [&packed[..], &packed[..]].concat();
            let both = [&content[..], &content[..]].concat();
            assert_eq!(read(&twice, u64::MAX).unwrap(), both, "{tool:?}");
        }
    }

    #[test]
    fn what_is_cut_or_damaged_is_refused() {
        let content: Vec<u8> = (0..300_000_u32)
            .flat_map(|one| (one * 7919).to_le_bytes())
            .collect();
        for tool in TOOLS {
            let packed = through(tool, &content);
            for cut in [packed.len() / 2, packed.len() - 1, 12] {
                let error = read(&packed[..cut], u64::MAX).unwrap_err();
                assert!(
                    error.to_string().contains("cut off"),
                    "{tool:?} {cut}: {error}"
                );
            }
            let mut damaged = packed.clone();
            damaged[packed.len() / 2] ^= 0x55;
            damaged[packed.len() / 2 + 1] ^= 0x55;
            assert!(read(&damaged, u64::MAX).is_err(), "{tool:?}");
        }
    }

    #[test]
    fn bombs_end_with_a_sentence() {
        let content = vec![0; 64 << 20];
        for tool in TOOLS {
            let packed = through(tool, &content);
            let error = read(&packed, 1 << 20).unwrap_err();
            assert!(error.to_string().contains("1.0 MiB"), "{error}");
        }
        assert!(read(&content, 100).is_err());
        // What needs gigabytes of memory to be read.
        let hungry = through(
            &["zstd", "-q", "--ultra", "-22", "--long=31", "-c"],
            &content,
        );
        assert!(read(&hungry, u64::MAX).is_err());
        let hungry = through(&["xz", "--lzma2=dict=1GiB", "-c"], &content[..1 << 20]);
        assert!(read(&hungry, u64::MAX).is_err());
    }
}
