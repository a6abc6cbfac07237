//! The contract between an `IMiniportMidi` and PortCls, as numbered rules that this host checks.
//!
//! A miniport for a simple MIDI device has streams of bytes in place of streams of events: of the contract of a DMus
//! miniport it keeps what is about every miniport, and these rules in place of those about `IMXF` and its allocator.
//! Numbers begin where those of the other tables cannot reach. Sources are named as in the [contract](super::rules).

use core::sync::atomic::{AtomicU8, Ordering};

use super::rules::CheckMethod::{Always, Probe};
use super::rules::Rule;

/// Number of the first.
pub const FIRST: u16 = 301;

/// Declares the table, and a constant for each rule.
macro_rules! midi {
    ($($name:ident = $number:literal, $method:expr, $title:literal, $source:literal;)+) => {
        $(#[doc = $title] pub(crate) const $name: &Rule = &Rule { number: $number, title: $title, source: $source, check_method: $method };)+

        /// Every rule of MIDI miniports, in order of number.
        pub const TABLE: &[&Rule] = &[$($name),+];
    };
}

midi! {
    MINIPORT_INTERFACES = 301, Always,
        "QueryInterface on the miniport answers IUnknown, IMiniport and IMiniportMidi, with one identity",
        "D nn-portcls-iminiportmidi; COM";
    STREAM_INTERFACES = 302, Always,
        "a stream answers IUnknown and IMiniportMidiStream, with one identity",
        "D nn-portcls-iminiportmidistream, nf-portcls-iminiportmidi-newstream; COM";
    SERVICE_GROUP = 303, Always,
        "the service group that Init puts out is the registered one if one is registered, with a reference for the port",
        "D nf-portcls-iminiportmidi-init, nf-portcls-iportmidi-registerservicegroup; A reference-counting-conventions-for-com-objects";
    NEW_STREAM = 304, Always,
        "NewStream gives a stream, and a service group with a reference or NULL",
        "D nf-portcls-iminiportmidi-newstream; A reference-counting-conventions-for-com-objects";
    NEW_STREAM_FAILURE = 305, Always,
        "a failed NewStream leaves stream and service group NULL and all counts as they were",
        "A reference-counting-conventions-for-com-objects; COM";
    WRITE_COUNT = 306, Always,
        "Write puts out how many bytes it took, at most those that it was given",
        "D nf-portcls-iminiportmidistream-write";
    WRITE_PART = 307, Always,
        "a Write that takes a part takes a multiple of four bytes",
        "D nf-portcls-iminiportmidistream-write";
    WRITE_PROGRESS = 308, Always,
        "Write does not answer success and no byte for ever: a busy device takes bytes later, a broken one is an error",
        "D nf-portcls-iminiportmidistream-write";
    READ_COUNT = 309, Always,
        "Read puts out how many bytes it read, at most the buffer's length, and writes nothing behind the buffer",
        "D nf-portcls-iminiportmidistream-read";
    READ_END = 310, Always,
        "Read answers success and no byte when the device has no more",
        "D nf-portcls-iminiportmidistream-read";
    STREAM_STATES = 311, Always,
        "a stream takes each step of its way down: RUN, PAUSE, ACQUIRE, STOP",
        "D nf-portcls-iminiportmidistream-setstate";
    SERVICE = 312, Probe("streams"),
        "Service may be called with no stream open and with nothing to do",
        "D nf-portcls-iminiportmidi-service";
    CAPTURE = 313, Probe("capture"),
        "what the device receives comes out of Read whole and in order, after a Notify",
        "D nf-portcls-iminiportmidistream-read";
    SET_FORMAT = 314, Probe("streams"),
        "SetFormat with the stream's own format changes nothing",
        "D nf-portcls-iminiportmidistream-setformat";
}

/// What kinds of miniports have been bound to a port since boot: bits.
static BOUND: AtomicU8 = AtomicU8::new(0);

/// A kind of miniport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Bound {
    /// An `IMiniportDMus` of the driver's.
    Dmus = 1,
    /// An `IMiniportMidi` of the driver's.
    Midi = 2,
    /// One of the system's, from `PcNewMiniport`, with either interface.
    System = 4,
}

/// Notes that a miniport of this kind has been bound to a port.
pub fn note_bound(kind: Bound) {
    BOUND.fetch_or(kind as u8, Ordering::Relaxed);
}

/// The rules of the contract that are about `IMiniportDMus`, `IMXF` and the allocator alone, by number.
const OF_DMUS: &[u16] = &[
    2, 5, 20, 32, 33, 35, 36, 37, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 59, 76, 81,
    83,
];

/// The rules that are about a miniport's own vtable and descriptor, by number: not the driver's affair when the
/// miniport is the system's.
const OF_ANY_MINIPORT: &[u16] = &[1, 3, 4, 18, 24, 25, 26, 27, 28, 29, 30, 31, 34, 61, 62];

/// Returns whether a report names the rules of this table: an `IMiniportMidi` was bound.
#[must_use]
pub fn applies() -> bool {
    BOUND.load(Ordering::Relaxed) & Bound::Midi as u8 != 0
}

/// Returns why a rule of any table cannot be put to the test by the miniports that were bound since boot. `None` when
/// it can, and when no miniport has been bound.
#[must_use]
pub fn inapplicable(rule: &Rule) -> Option<&'static str> {
    reason(rule.number, BOUND.load(Ordering::Relaxed))
}

/// Returns why the rule of this number cannot be put to the test where miniports of these kinds are bound.
fn reason(number: u16, bound: u8) -> Option<&'static str> {
    let is = |kind: Bound| bound & kind as u8 != 0;
    if bound == 0 || is(Bound::Dmus) {
        return None;
    }
    if OF_DMUS.contains(&number) {
        return Some(if is(Bound::Midi) {
            "it is about IMiniportDMus and IMXF, and the driver's miniport is an IMiniportMidi: rules 301 to 314 stand in its place"
        } else {
            "it is about the miniport, which is the system's own (PcNewMiniport)"
        });
    }
    (OF_ANY_MINIPORT.contains(&number) && !is(Bound::Midi))
        .then_some("it is about the miniport, which is the system's own (PcNewMiniport)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::rules;

    #[test]
    fn rules_of_midi_miniports_are_numbered_one_by_one_beyond_all_others() {
        assert!(TABLE.iter().zip(FIRST..).all(|(rule, number)| rule.number == number));
        assert!(TABLE.iter().all(|rule| usize::from(rule.number) < rules::NUMBERS && !rule.source.is_empty()));
    }

    #[test]
    fn a_rule_about_imxf_does_not_apply_to_a_midi_miniport_alone() {
        let of_mxf = rules::CONSERVATION.number;
        assert_eq!(reason(of_mxf, 0), None);
        assert_eq!(reason(of_mxf, Bound::Dmus as u8 | Bound::Midi as u8), None);
        assert!(reason(of_mxf, Bound::Midi as u8).is_some_and(|reason| reason.contains("IMiniportMidi")));
        assert!(reason(of_mxf, Bound::System as u8).is_some_and(|reason| reason.contains("PcNewMiniport")));
    }

    #[test]
    fn rules_about_every_miniport_apply_to_a_midi_miniport_and_not_to_the_systems() {
        assert_eq!(reason(rules::DESCRIPTION_CONSTANT.number, Bound::Midi as u8), None);
        assert!(reason(rules::DESCRIPTION_CONSTANT.number, Bound::System as u8).is_some());
        assert_eq!(reason(rules::DRIVER_ENTRY.number, Bound::System as u8), None);
    }

    #[test]
    fn every_rule_that_does_not_apply_is_one_of_the_contract() {
        let known = |number: &u16| rules::TABLE.iter().any(|rule| rule.number == *number);
        assert!(OF_DMUS.iter().chain(OF_ANY_MINIPORT).all(known));
    }
}
