//! What the driver says to the person at the debugger.
//!
//! The lines are put together here and not by `core::fmt`: its machinery takes more stack than the rest of the driver,
//! and can panic.

use crate::card::CardError;
use crate::control::ControlError;
use crate::pci::PciError;
use crate::ring::RingFault;
use crate::transport::TransportError;
use crate::wave::Rendered;

/// A part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text.
    Text(&'static str),
    /// A number in decimal digits.
    Number(u64),
    /// A number in hexadecimal digits.
    Hex(u64),
    /// Why something is so.
    Reason(Reason),
}

/// Why something is so: in words, with up to two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    text: &'static str,
    values: [Option<u64>; 2],
}

impl Reason {
    const fn plain(text: &'static str) -> Self {
        Self { text, values: [None; 2] }
    }

    const fn with(text: &'static str, value: u64) -> Self {
        Self { text, values: [Some(value), None] }
    }

    const fn with_two(text: &'static str, first: u64, second: u64) -> Self {
        Self { text, values: [Some(first), Some(second)] }
    }
}

impl From<RingFault> for Reason {
    fn from(fault: RingFault) -> Self {
        match fault {
            RingFault::UsedIndex { in_flight, returned } => {
                Self::with_two("more chains returned than it has: has, returned", in_flight.into(), returned.into())
            }
            RingFault::UsedId { id } => Self::with("a chain returned that it does not have", id.into()),
            RingFault::UsedLength { room, written } => {
                Self::with_two("more written than there was room: room, written", room.into(), written.into())
            }
        }
    }
}

impl From<ControlError> for Reason {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Timeout => Self::plain("it does not answer in time"),
            ControlError::Ring(fault) => fault.into(),
            ControlError::BadAnswer => Self::plain("its answer makes no sense"),
            ControlError::TooLarge => Self::plain("the request is too large"),
            ControlError::NoMemory => Self::plain("there is no memory"),
            ControlError::Unreadable => Self::plain("the caller's memory cannot be read"),
            ControlError::Refused(status) => match status.name() {
                Some(name) => Self::with(name, status.0.into()),
                None => Self::with("it refuses", status.0.into()),
            },
            ControlError::Off => Self::plain("it has no power"),
            ControlError::Gone => Self::plain("it is not there any more"),
        }
    }
}

impl From<TransportError> for Reason {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Absent => Self::plain("its registers read all ones"),
            TransportError::ResetTimeout => Self::plain("it does not reset in time"),
            TransportError::Magic => Self::plain("it is another device: its identity block has no magic"),
            TransportError::Abi(major) => Self::with("another major ABI version", major.into()),
            TransportError::QueueCount(count) => Self::with("too few queues", count.into()),
            TransportError::NotModern => Self::plain("it does not offer VIRTIO_F_VERSION_1"),
            TransportError::Features => Self::plain("it does not accept the features"),
            TransportError::QueueSize(queue) => Self::with("a queue is too small", queue.into()),
            TransportError::Notification(queue) => Self::with("a queue is notified outside the area", queue.into()),
            TransportError::Vector(vector) => Self::with("it has no message for its interrupts", vector.into()),
        }
    }
}

impl From<CardError> for Reason {
    fn from(error: CardError) -> Self {
        match error {
            CardError::Transport(error) => error.into(),
            CardError::Control(error) => error.into(),
            CardError::NoMemory => Self::plain("there is no memory"),
            CardError::NoCapture => Self::plain("it does not capture"),
            CardError::NoStream => Self::plain("all streams of the kind are open"),
            CardError::NoDownload => Self::plain("there is no such download"),
            CardError::State => Self::plain("the stream's state does not allow it"),
        }
    }
}

impl From<PciError> for Reason {
    fn from(error: PciError) -> Self {
        match error {
            PciError::Absent => Self::plain("configuration space reads all ones"),
            PciError::OtherFunction { vendor, device } => {
                Self::with_two("another vendor or device", vendor.into(), device.into())
            }
            PciError::NoCapabilities => Self::plain("it has no capability list"),
            PciError::BadCapabilityList => Self::plain("its capability list does not end"),
            PciError::Missing(what) => Self::plain(what),
        }
    }
}

impl From<Rendered> for Reason {
    fn from(rendered: Rendered) -> Self {
        match rendered {
            Rendered::Frames { position, .. } => Self::with("frames were lost before this one", position),
            Rendered::Flushed => Self::plain("silence, for the stream does not run"),
            Rendered::Refused => Self::plain("silence, for the card refuses"),
            Rendered::Timeout => Self::plain("silence, for the card does not answer in time"),
            Rendered::Gone => Self::plain("silence, for the card is not there any more"),
            Rendered::Ring(fault) => fault.into(),
            Rendered::BadAnswer => Self::plain("silence, for the card's answer makes no sense"),
        }
    }
}

/// A line of at most `N` bytes, ended by 0; what does not fit is cut off.
pub struct Line<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Line<N> {
    /// Puts a line together.
    #[must_use]
    pub fn of(parts: &[Part]) -> Self {
        const { assert!(N > 0) };
        let mut line = Self { bytes: [0; N], length: 0 };
        for part in parts {
            match part {
                Part::Text(text) => line.text(text),
                Part::Number(number) => line.number(*number, 10),
                Part::Hex(number) => line.hex(*number),
                Part::Reason(reason) => {
                    line.text(reason.text);
                    for value in reason.values.into_iter().flatten() {
                        line.text(" ");
                        line.hex(value);
                    }
                }
            }
        }
        line
    }

    /// The bytes, without the end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The bytes, with the end.
    #[must_use]
    pub const fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            self.byte(byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        // The last byte stays 0.
        if self.length + 1 < N
            && let Some(place) = self.bytes.get_mut(self.length)
        {
            *place = byte;
            self.length += 1;
        }
    }

    fn hex(&mut self, number: u64) {
        self.text("0x");
        self.number(number, 16);
    }

    /// Digits are found from the first one on, so that none has to be kept.
    fn number(&mut self, number: u64, base: u64) {
        let mut unit = 1_u64;
        while let Some(next) = unit.checked_mul(base)
            && next <= number
        {
            unit = next;
        }
        let mut rest = number;
        while unit != 0 {
            let mut digit = 0;
            while rest >= unit {
                rest -= unit;
                digit += 1;
            }
            self.byte(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
            unit = if base == 10 { unit / 10 } else { unit >> 4 };
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::format;
    use std::string::String;

    use super::*;

    fn line<const N: usize>(parts: &[Part]) -> String {
        let line = Line::<N>::of(parts);
        assert_eq!(line.bytes[line.length..], [0; N][line.length..]);
        String::from_utf8(line.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_written_as_everywhere() {
        for number in [0, 1, 9, 10, 15, 16, 99, 100, 4096, 123_456_789, u64::MAX - 1, u64::MAX] {
            assert_eq!(line::<64>(&[Part::Number(number)]), format!("{number}"));
            assert_eq!(line::<64>(&[Part::Hex(number)]), format!("{number:#x}"));
        }
    }

    #[test]
    fn a_reason_says_its_values() {
        let reason = CardError::Control(ControlError::Ring(RingFault::UsedLength { room: 16, written: 17 }));
        let parts = [Part::Text("the card: "), Part::Reason(reason.into())];
        assert_eq!(line::<100>(&parts), "the card: more written than there was room: room, written 0x10 0x11");
    }

    #[test]
    fn a_long_line_is_cut_and_ended() {
        assert_eq!(line::<8>(&[Part::Text("123456789")]), "1234567");
        assert_eq!(line::<1>(&[Part::Text("1"), Part::Number(5)]), "");
    }
}
