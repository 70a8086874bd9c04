//! Sparse files in tar: where their pieces go.

use std::io::Read;

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::names::sentence;
use super::pax::{Sparse, decimal};
use super::place::Piece;
use super::tar::{BLOCK, Tar};

impl<R: Read> Tar<R> {
    /// GNU's own form: four pieces in the header, the others in blocks after it.
    pub(super) fn old_sparse(&mut self, header: &Header) -> Result<(u64, Vec<Piece>), String> {
        let Some(gnu) = header.as_gnu() else {
            return Err(self.damaged("a sparse file has no header of GNU's"));
        };
        let mut pieces = Vec::new();
        let mut add = |this: &Self, all: &[GnuSparseHeader]| -> Result<(), String> {
            for one in all.iter().filter(|one| !one.is_empty()) {
                let at = one.offset().map_err(|error| this.wrong(&error))?;
                let length = one.length().map_err(|error| this.wrong(&error))?;
                pieces.push((at, length));
            }
            if pieces.len() > MOST_PIECES {
                return Err(this.damaged("a file has too many holes"));
            }
            Ok(())
        };
        add(self, &gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = GnuExtSparseHeader::new();
            self.fill(block.as_mut_bytes())?;
            add(self, block.sparse())?;
            more = block.is_extended();
        }
        let size = gnu.real_size().map_err(|error| self.wrong(&error))?;
        Ok((size, pieces))
    }

    /// pax's forms: a map in the headers (0.1), or before the content (1.0).
    pub(super) fn new_sparse(
        &mut self,
        sparse: &Sparse,
        path: &[u8],
    ) -> Result<Option<(u64, Vec<Piece>)>, String> {
        let bad = || sentence(path, "has a wrong map of its holes");
        if sparse.oldest {
            return Err(sentence(path, "is a sparse file in pax's oldest form, 0.0"));
        }
        if let Some(map) = &sparse.map {
            let numbers = map.split(|byte| *byte == b',').map(decimal);
            let numbers: Option<Vec<u64>> = numbers.collect();
            let pieces = pairs(&numbers.ok_or_else(bad)?).ok_or_else(bad)?;
            return Ok(Some((sparse.size.ok_or_else(bad)?, pieces)));
        }
        match (sparse.major, sparse.minor) {
            (None, None) => return Ok(None),
            (Some(1), Some(0)) => {}
            (_, _) => return Err(sentence(path, "is a sparse file of an unknown form")),
        }
        let before = self.offset();
        let count = self.line().and_then(|count| usize::try_from(count).ok());
        let count = count
            .filter(|count| *count <= MOST_PIECES)
            .ok_or_else(bad)?;
        let mut numbers = Vec::new();
        for _ in 0..count * 2 {
            numbers.push(self.line().ok_or_else(bad)?);
        }
        let odd = (self.offset() - before) % BLOCK as u64;
        if odd > 0 {
            let mut rest = vec![0; BLOCK - usize::try_from(odd).unwrap_or_default()];
            self.read_exact(&mut rest).map_err(|_| bad())?;
        }
        let pieces = pairs(&numbers).ok_or_else(bad)?;
        Ok(Some((sparse.size.ok_or_else(bad)?, pieces)))
    }

    /// Reads a number and the end of its line out of the present content.
    fn line(&mut self) -> Option<u64> {
        let mut digits = Vec::new();
        loop {
            let mut byte = [0];
            self.read_exact(&mut byte).ok()?;
            match byte {
                [b'\n'] => return decimal(&digits),
                _ if digits.len() > 20 => return None,
                [digit] => digits.push(digit),
            }
        }
    }
}

fn pairs(numbers: &[u64]) -> Option<Vec<Piece>> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    let pieces = pairs.iter().map(|[at, length]| (*at, *length));
    rest.is_empty().then(|| pieces.collect())
}

const MOST_PIECES: usize = 1 << 20;
