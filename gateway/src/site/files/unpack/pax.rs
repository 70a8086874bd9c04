//! What tar's entries say of the entry after them, in POSIX's form (pax).

/// What entries before an entry say of it.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) path: Option<Vec<u8>>,
    pub(super) leads_to: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<(i64, i64)>,
    pub(super) sparse: Sparse,
}

/// pax's words for sparse files: GNU tar's manual, "Storing Sparse Files".
#[derive(Debug, Default)]
pub(super) struct Sparse {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) map: Option<Vec<u8>>,
    /// The first form, which names each piece in a record of its own.
    pub(super) oldest: bool,
}

impl Said {
    /// Reads pax's records, `LENGTH KEY=VALUE\n` each: POSIX.1-2017, pax, "pax Extended Header".
    pub(super) fn read(&mut self, records: &[u8]) -> Result<(), String> {
        let mut rest = records;
        while !rest.is_empty() {
            let bad = || "a pax header is malformed".to_owned();
            let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
            let length = rest.get(..space).and_then(decimal).ok_or_else(bad)?;
            let length = usize::try_from(length).map_err(|_| bad())?;
            let record = rest.get(space + 1..length).ok_or_else(bad)?;
            let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
            let equals = record
                .iter()
                .position(|byte| *byte == b'=')
                .ok_or_else(bad)?;
            let (key, value) = record.split_at(equals);
            self.record(key, value.get(1..).unwrap_or_default());
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.leads_to = Some(value.to_vec()),
            b"size" => self.size = decimal(value),
            b"mtime" => self.modified = moment(value),
            b"GNU.sparse.major" => self.sparse.major = decimal(value),
            b"GNU.sparse.minor" => self.sparse.minor = decimal(value),
            b"GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.sparse.size = decimal(value),
            b"GNU.sparse.map" => self.sparse.map = Some(value.to_vec()),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse.oldest = true,
            _ => {}
        }
    }
}

/// Reads digits, and nothing else, as a number.
pub(super) fn decimal(digits: impl AsRef<[u8]>) -> Option<u64> {
    let digits = digits.as_ref();
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads seconds with a fraction.
fn moment(text: &[u8]) -> Option<(i64, i64)> {
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let mut fraction = parts.next().unwrap_or_default().to_vec();
    fraction.resize(9, b'0');
    Some((seconds, i64::try_from(decimal(&fraction)?).ok()?))
}
