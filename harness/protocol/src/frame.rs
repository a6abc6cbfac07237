//! Frames on the line: COBS, ended by a zero byte.

use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest frame that a side accepts, which bounds its memory whatever its peer sends: enough for a driver with a few
/// thousand imports.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// A message that cannot be framed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message does not fit a frame: {0}")]
pub struct FrameError(postcard::Error);

/// Encodes one message as a frame. The frame begins and ends with a zero byte, so that text printed before it cannot
/// run into it.
///
/// # Errors
/// [`FrameError`] when postcard cannot encode the message, which no message of this protocol causes.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = postcard::to_allocvec_cobs(message).map_err(FrameError)?;
    frame.insert(0, 0);
    Ok(frame)
}

/// Encodes one message for a line that frames by itself ([`ReliableLine`](crate::line::ReliableLine)).
///
/// # Errors
/// [`FrameError`] when postcard cannot encode the message, which no message of this protocol causes.
pub fn encode_message<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    postcard::to_allocvec(message).map_err(FrameError)
}

/// Decodes what [`encode_message`] has encoded. `None` for bytes that are no message: the peer speaks another version.
#[must_use]
pub fn decode_message<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

/// A piece of what was received from the line.
#[derive(Clone, Debug, PartialEq)]
pub enum Received<T> {
    /// A message.
    Message(T),
    /// Bytes that are not a message: console text, or a damaged frame.
    Text(Vec<u8>),
}

/// Decodes messages from a stream of bytes.
#[derive(Debug, Default)]
pub struct Deframer {
    pending: Vec<u8>,
}

impl Deframer {
    /// Creates a deframer with no pending bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self { pending: Vec::new() }
    }

    /// Takes bytes from the line and returns the messages and texts that they complete, in order.
    pub fn push<T: DeserializeOwned>(&mut self, bytes: &[u8]) -> Vec<Received<T>> {
        let mut received = Vec::new();
        for &byte in bytes {
            if byte != 0 {
                self.pending.push(byte);
                if self.pending.len() >= FRAME_BYTES_MAX {
                    received.push(Received::Text(core::mem::take(&mut self.pending)));
                }
            } else if !self.pending.is_empty() {
                let raw = core::mem::take(&mut self.pending);
                let mut frame = raw.clone();
                received.push(match postcard::from_bytes_cobs(&mut frame) {
                    Ok(message) => Received::Message(message),
                    Err(_) => Received::Text(raw),
                });
            }
        }
        received
    }

    /// Returns the bytes received since the last zero byte: at the end of the stream, the last console text.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.pending
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{Event, Level, ToHost};

    fn log(text: &str) -> ToHost {
        ToHost::Event(Event::Log { level: Level::Info, target: "test".into(), text: text.into() })
    }

    #[test]
    fn decodes_messages_at_any_division_of_the_stream() {
        let mut line = b"SeaBIOS 1.17\r\n".to_vec();
        line.extend(encode(&log("one")).unwrap());
        line.extend(encode(&log("two\0zero")).unwrap());
        for step in 1..line.len() {
            let mut deframer = Deframer::new();
            let received: Vec<Received<ToHost>> = line.chunks(step).flat_map(|chunk| deframer.push(chunk)).collect();
            assert_eq!(
                received,
                vec![
                    Received::Text(b"SeaBIOS 1.17\r\n".to_vec()),
                    Received::Message(log("one")),
                    Received::Message(log("two\0zero")),
                ]
            );
        }
    }

    #[test]
    fn returns_a_line_without_zeros_in_bounded_pieces() {
        let mut deframer = Deframer::new();
        let received: Vec<Received<ToHost>> = deframer.push(&vec![b'x'; FRAME_BYTES_MAX + 5]);
        assert_eq!(received.len(), 1);
        assert_eq!(deframer.rest(), b"xxxxx");
    }
}
