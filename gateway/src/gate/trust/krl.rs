//! OpenSSH's key revocation lists, as `ssh-keygen -k` writes them (OpenSSH's PROTOCOL.krl). Lists
//! are not taken in part: an unknown section could be the one that matters.

use super::revoked::{Certificates, Revoked};

const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;

const CERTIFICATES: u8 = 1;
const EXPLICIT_KEYS: u8 = 2;
const FINGERPRINTS_SHA1: u8 = 3;
const SIGNATURE: u8 = 4;
const FINGERPRINTS_SHA256: u8 = 5;
const EXTENSION: u8 = 255;

const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_ID: u8 = 0x23;
const CERTIFICATE_EXTENSION: u8 = 0x39;

/// Returns true for bytes that claim to be a revocation list.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads a list whole. All that is kept is no larger than the list.
pub(super) fn read(bytes: &[u8]) -> Result<Revoked, String> {
    let mut list = Reader(bytes);
    list.take(MAGIC.len())?;
    let format = list.number()?;
    if format != FORMAT {
        return Err(format!("it is a KRL of format {format}, not {FORMAT}"));
    }
    let _version = list.long()?;
    let _generated = list.long()?;
    let _flags = list.long()?;
    let _reserved = list.string()?;
    let _comment = list.string()?;
    let mut revoked = Revoked::default();
    let mut signed = false;
    while !list.is_empty() {
        let kind = list.byte()?;
        let mut section = Reader(list.string()?);
        if signed && kind != SIGNATURE {
            return Err("something follows its signature".to_owned());
        }
        match kind {
            CERTIFICATES => certificates(&mut section, &mut revoked)?,
            EXPLICIT_KEYS => {
                while !section.is_empty() {
                    revoked.keys.insert(section.string()?.to_vec());
                }
            }
            FINGERPRINTS_SHA1 => {
                while !section.is_empty() {
                    revoked.sha1.insert(section.hash(20)?);
                }
            }
            FINGERPRINTS_SHA256 => {
                while !section.is_empty() {
                    revoked.sha256.insert(section.hash(32)?);
                }
            }
            // Who may write the file is trusted; OpenSSH does not look at signatures either.
            SIGNATURE => {
                list.string()?;
                signed = true;
            }
            EXTENSION => extension(&mut section)?,
            other => return Err(format!("its section of kind {other} is unknown")),
        }
    }
    Ok(revoked)
}

fn certificates(section: &mut Reader<'_>, revoked: &mut Revoked) -> Result<(), String> {
    let authority = section.string()?;
    let _reserved = section.string()?;
    let authority = (!authority.is_empty()).then(|| authority.to_vec());
    let known: &mut Certificates = revoked.certificates.entry(authority).or_default();
    while !section.is_empty() {
        let kind = section.byte()?;
        let mut part = Reader(section.string()?);
        match kind {
            SERIAL_LIST => {
                while !part.is_empty() {
                    let serial = part.long()?;
                    known.serials.push((serial, serial));
                }
            }
            SERIAL_RANGE => {
                let (first, last) = (part.long()?, part.long()?);
                if first > last {
                    return Err("a range of serials ends before it begins".to_owned());
                }
                known.serials.push((first, last));
                part.must_be_over()?;
            }
            SERIAL_BITMAP => {
                let (offset, bits) = (part.long()?, part.string()?);
                known.bitmaps.push((offset, bits.to_vec()));
                part.must_be_over()?;
            }
            KEY_ID => {
                while !part.is_empty() {
                    known.ids.insert(part.string()?.to_vec());
                }
            }
            CERTIFICATE_EXTENSION => extension(&mut part)?,
            other => {
                return Err(format!(
                    "its certificate section of kind {other} is unknown"
                ));
            }
        }
    }
    Ok(())
}

/// Passes over an extension, unless it must not be passed over.
fn extension(part: &mut Reader<'_>) -> Result<(), String> {
    let name = part.string()?;
    let critical = part.byte()? != 0;
    let _contents = part.string()?;
    part.must_be_over()?;
    if critical {
        return Err(format!(
            "its critical extension '{}' is unknown",
            policy::escape(name)
        ));
    }
    Ok(())
}

/// Reads SSH's types (RFC 4251 §5) off the front of some bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn must_be_over(&self) -> Result<(), String> {
        if self.is_empty() {
            Ok(())
        } else {
            Err("a section is longer than what it holds".to_owned())
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| "it ends in the middle".to_owned())?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.take(1)
            .map(|taken| taken.iter().fold(0, |_, byte| *byte))
    }

    fn number(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?;
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn long(&mut self) -> Result<u64, String> {
        let bytes = self.take(8)?;
        Ok(bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn string(&mut self) -> Result<&'a [u8], String> {
        let length = self.number()?;
        self.take(length as usize)
    }

    fn hash(&mut self, length: usize) -> Result<Vec<u8>, String> {
        let hash = self.string()?;
        if hash.len() == length {
            Ok(hash.to_vec())
        } else {
            Err("a fingerprint has the wrong length".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::trust::revoked::{Suspect, SuspectCertificate};

    fn string(bytes: &[u8]) -> Vec<u8> {
        let mut all = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
        all.extend(bytes);
        all
    }

    fn list(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut all = MAGIC.to_vec();
        all.extend(1_u32.to_be_bytes());
        all.extend([0; 24]);
        all.extend(string(b""));
        all.extend(string(b"a comment"));
        for (kind, section) in sections {
            all.push(*kind);
            all.extend(string(section));
        }
        all
    }

    fn of_authority(authority: &[u8], parts: &[(u8, Vec<u8>)]) -> (u8, Vec<u8>) {
        let mut all = string(authority);
        all.extend(string(b""));
        for (kind, part) in parts {
            all.push(*kind);
            all.extend(string(part));
        }
        (CERTIFICATES, all)
    }

    fn longs(numbers: &[u64]) -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect()
    }

    fn holds(revoked: &Revoked, authority: &[u8], serial: u64, id: &[u8]) -> bool {
        revoked.holds(Suspect {
            key: b"key",
            certificate: Some(SuspectCertificate {
                authority,
                serial,
                id,
            }),
        })
    }

    #[test]
    fn certificates_are_revoked_by_each_means() {
        let bitmap = [longs(&[1000]), string(&[0x02, 0x01])].concat();
        let bytes = list(&[
            of_authority(
                b"ca",
                &[
                    (SERIAL_LIST, longs(&[7, u64::MAX])),
                    (SERIAL_RANGE, longs(&[10, 20])),
                    (SERIAL_BITMAP, bitmap),
                    (KEY_ID, string(b"alice")),
                ],
            ),
            of_authority(b"", &[(KEY_ID, string(b"mallory"))]),
        ]);
        let revoked = read(&bytes).unwrap();
        for serial in [7, u64::MAX, 10, 15, 20, 1000, 1009] {
            assert!(holds(&revoked, b"ca", serial, b"x"), "{serial}");
            assert!(!holds(&revoked, b"other", serial, b"x"), "{serial}");
        }
        for serial in [0, 6, 8, 9, 21, 999, 1001, 1008, 1010] {
            assert!(!holds(&revoked, b"ca", serial, b"x"), "{serial}");
        }
        assert!(holds(&revoked, b"ca", 0, b"alice"));
        assert!(!holds(&revoked, b"other", 0, b"alice"));
        assert!(holds(&revoked, b"other", 0, b"mallory"));
    }

    #[test]
    fn an_authority_whose_key_is_revoked_takes_its_certificates_along() {
        let revoked = read(&list(&[(EXPLICIT_KEYS, string(b"ca"))])).unwrap();
        assert!(holds(&revoked, b"ca", 1, b"x"));
        assert!(!holds(&revoked, b"other", 1, b"x"));
    }

    #[test]
    fn lists_that_are_not_whole_are_not_taken() {
        let good = list(&[of_authority(b"ca", &[(SERIAL_RANGE, longs(&[1, 2]))])]);
        assert!(read(&good).is_ok());
        let header = list(&[]).len();
        for length in (0..good.len()).filter(|length| *length != header) {
            let cut = good.get(..length).unwrap();
            assert!(read(cut).is_err(), "cut at {length}");
        }
        let extension = |critical| [string(b"new"), vec![critical], string(b"")].concat();
        for (sections, taken) in [
            (vec![(9, Vec::new())], false),
            (vec![(EXTENSION, extension(1))], false),
            (vec![(EXTENSION, extension(0))], true),
            (vec![(FINGERPRINTS_SHA1, string(b"short"))], false),
            (vec![(FINGERPRINTS_SHA256, string(&[0; 20]))], false),
            (
                vec![of_authority(b"ca", &[(SERIAL_RANGE, longs(&[2, 1]))])],
                false,
            ),
            (vec![of_authority(b"ca", &[(0x77, Vec::new())])], false),
        ] {
            assert_eq!(read(&list(&sections)).is_ok(), taken, "{sections:?}");
        }
        let mut signed = list(&[(SIGNATURE, b"key".to_vec())]);
        signed.extend(string(b"signature"));
        assert!(read(&signed).is_ok());
        signed.push(EXPLICIT_KEYS);
        signed.extend(string(b""));
        assert!(read(&signed).is_err());
    }
}
