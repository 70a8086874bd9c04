//! Numbers and strings as the wire has them. Knows no operation.

/// Reads the fields of a packet from its front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a [u8]);

/// The packet ends before its field does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'a> Fields<'a> {
    pub(super) fn of(packet: &'a [u8]) -> Self {
        Self(packet)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads a length and that many bytes.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()? as usize;
        let (string, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(string)
    }

    /// Returns how many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*array)
    }
}

/// A packet being written; its length is set when it is finished.
#[derive(Debug)]
pub(super) struct Packet(Vec<u8>);

impl Packet {
    pub(super) fn new(kind: u8) -> Self {
        Self(vec![0, 0, 0, 0, kind])
    }

    pub(super) fn answer(kind: u8, id: u32) -> Self {
        let mut packet = Self::new(kind);
        packet.u32(id);
        packet
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn string(&mut self, string: &[u8]) {
        self.u32(u32::try_from(string.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(string);
    }

    /// Adds bytes without their length.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Returns the length so far, with that of the length itself.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Sets a number that was written before its value was known.
    pub(super) fn set_u32(&mut self, at: usize, number: u32) {
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&number.to_be_bytes());
        }
    }

    /// Returns the bytes as they are, for a packet whose length is set already.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = self.0.len().saturating_sub(4);
        self.set_u32(0, u32::try_from(length).unwrap_or(u32::MAX));
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_were_written() {
        let mut packet = Packet::answer(101, 7);
        packet.u64(1 << 40);
        packet.string(b"a\xff");
        let bytes = packet.finish();
        let mut fields = Fields::of(&bytes);
        assert_eq!(fields.u32(), Ok(19));
        assert_eq!(fields.byte(), Ok(101));
        assert_eq!(fields.u32(), Ok(7));
        assert_eq!(fields.u64(), Ok(1 << 40));
        assert_eq!(fields.string(), Ok(&b"a\xff"[..]));
        assert_eq!(fields.left(), 0);
        assert_eq!(fields.byte(), Err(Malformed));
    }

    #[test]
    fn a_length_beyond_the_packet_is_malformed() {
        assert_eq!(Fields::of(&[0, 0, 0, 5, 1, 2]).string(), Err(Malformed));
        assert_eq!(Fields::of(&[255, 255, 255, 255]).string(), Err(Malformed));
    }
}
