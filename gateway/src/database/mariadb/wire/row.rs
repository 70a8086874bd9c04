//! Values in a packet: numbers and strings with their length before them.

use super::Wrong;

/// What is left of a packet; yields the values of a row of text.
pub(in crate::database::mariadb) struct Row<'p> {
    left: &'p [u8],
}

impl<'p> Row<'p> {
    pub(super) fn new(left: &'p [u8]) -> Self {
        Self { left }
    }

    pub(super) fn rest(&self) -> &'p [u8] {
        self.left
    }

    /// A number of 1, 3, 4 or 9 bytes, the first of which tells which.
    pub(super) fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.left.split_first()?;
        let width = match first {
            0..=0xfa => {
                self.left = rest;
                return Some(u64::from(*first));
            }
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            0xfb | 0xff => return None,
        };
        let (bytes, rest) = rest.split_at_checked(width)?;
        self.left = rest;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    }

    fn value(&mut self) -> Option<Option<&'p [u8]>> {
        if let Some((0xfb, rest)) = self.left.split_first() {
            self.left = rest;
            return Some(None);
        }
        let length = usize::try_from(self.number()?).ok()?;
        let (value, rest) = self.left.split_at_checked(length)?;
        self.left = rest;
        Some(Some(value))
    }
}

impl<'p> Iterator for Row<'p> {
    type Item = Result<Option<&'p [u8]>, Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        let value = self.value();
        if value.is_none() {
            self.left = &[];
        }
        Some(value.ok_or_else(|| Wrong::protocol("a row that ends within a value")))
    }
}

#[cfg(test)]
mod tests {
    use super::Row;

    #[test]
    fn values_of_a_row_are_read() {
        let mut packet = vec![0xfb, 3, b'a', b'b', b'c', 0, 0xfc, 0, 1];
        packet.extend([b'x'; 256]);
        let values: Vec<_> = Row::new(&packet).map(Result::unwrap).collect();
        assert_eq!(values[..3], [None, Some(b"abc".as_slice()), Some(b"")]);
        assert_eq!(values[3].unwrap().len(), 256);
        assert!(Row::new(&[5, b'a']).any(|value| value.is_err()));
    }
}
