//! The first and last words to a client that is not taken: version and DISCONNECT, in the clear.

use super::algorithms::VERSION;

/// SSH_MSG_DISCONNECT (RFC 4253 §12).
const DISCONNECT: u8 = 1;

/// SSH_DISCONNECT_BY_APPLICATION (RFC 4253 §11.1); unlike TOO_MANY_CONNECTIONS known to all clients.
const BY_APPLICATION: u32 = 11;

/// The length of packet, padding length, payload and padding is a multiple of this while nothing
/// is encrypted (RFC 4253 §6).
const BLOCK: usize = 8;

const LEAST_PADDING: usize = 4;

/// Returns the bytes that tell a client a sentence and end the connection.
pub fn dismissal(sentence: &str) -> Vec<u8> {
    let mut payload = vec![DISCONNECT];
    payload.extend(BY_APPLICATION.to_be_bytes());
    for text in [sentence, "en"] {
        payload.extend(length(text.len()));
        payload.extend(text.as_bytes());
    }
    let unpadded = 4 + 1 + payload.len() + LEAST_PADDING;
    let padding = LEAST_PADDING + unpadded.next_multiple_of(BLOCK) - unpadded;
    let mut bytes = format!("{VERSION}\r\n").into_bytes();
    bytes.extend(length(1 + payload.len() + padding));
    // At most 4 + 7.
    bytes.push(u8::try_from(padding).unwrap_or_default());
    bytes.extend(payload);
    bytes.extend(std::iter::repeat_n(0, padding));
    bytes
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or_default().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packet_is_framed_as_the_standard_says_whatever_the_length() {
        for count in 0..32 {
            let sentence = "x".repeat(count);
            let bytes = dismissal(&sentence);
            let start = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            let packet = &bytes[start..];
            assert_eq!(packet.len() % BLOCK, 0);
            assert!(packet.len() >= 16);
            let length = u32::from_be_bytes(packet[..4].try_into().unwrap()) as usize;
            assert_eq!(length + 4, packet.len());
            let padding = usize::from(packet[4]);
            assert!((LEAST_PADDING..LEAST_PADDING + BLOCK).contains(&padding));
            let payload = &packet[5..packet.len() - padding];
            assert_eq!(payload[..5], [1, 0, 0, 0, 11]);
            assert_eq!(payload.len(), 1 + 4 + 4 + count + 4 + 2);
        }
    }
}
