//! How the system responds to a violation of a rule or check: it stops, or it notes the violation and goes on.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use guest_protocol::FindingKind;

/// Bits of a word of [`WAIVED`].
const WORD_BITS: usize = u64::BITS as usize;

/// Numbers of rules and checks are below this: they end with three digits, the first of which names a table.
const NUMBERS: usize = 1024;

/// By number, the rules and checks that are waived.
static WAIVED: [AtomicU64; NUMBERS / WORD_BITS] = [const { AtomicU64::new(0) }; NUMBERS / WORD_BITS];
static KEEP_GOING: AtomicBool = AtomicBool::new(false);
static VERIFIED: AtomicBool = AtomicBool::new(true);

/// Violations that were not judged, because the driver is not verified.
static UNJUDGED: AtomicU32 = AtomicU32::new(0);

/// The response to a violation after which the system can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// The system stops.
    Stop,
    /// The violation is noted as a finding of this kind, and the system goes on.
    Note(FindingKind),
    /// The driver is not verified: the violation is counted, and the system goes on.
    Ignore,
}

/// Sets the responses of this boot: rules and checks that are waived, whether every violation is only noted, and whether
/// the driver is verified at all.
///
/// # Panics
/// If a number is one that no rule and no check can have.
pub fn set(waived: &[u16], keep_going: bool, verified: bool) {
    for &number in waived {
        let number = usize::from(number);
        assert!(number < NUMBERS, "option waive: there is no rule {number}");
        WAIVED[number / WORD_BITS].fetch_or(1 << (number % WORD_BITS), Ordering::Relaxed);
    }
    KEEP_GOING.store(keep_going, Ordering::Relaxed);
    VERIFIED.store(verified, Ordering::Relaxed);
}

/// Returns whether a rule or check is waived.
fn is_waived(rule: u16) -> bool {
    let number = usize::from(rule);
    WAIVED.get(number / WORD_BITS).is_some_and(|word| word.load(Ordering::Relaxed) >> (number % WORD_BITS) & 1 != 0)
}

/// Returns the response to a violation of a rule or check, or to one that has no number.
#[must_use]
pub fn to(rule: Option<u16>) -> Response {
    if !VERIFIED.load(Ordering::Relaxed) {
        Response::Ignore
    } else if rule.is_some_and(is_waived) {
        Response::Note(FindingKind::Waived)
    } else if KEEP_GOING.load(Ordering::Relaxed) {
        Response::Note(FindingKind::Violation)
    } else {
        Response::Stop
    }
}

/// Returns why the system stops although the harness said that it should go on, as the end of a message; `None` if the
/// harness said nothing.
#[must_use]
pub fn stops_nevertheless(rule: Option<u16>) -> Option<&'static str> {
    match to(rule) {
        Response::Note(FindingKind::Waived) => Some("the rule is waived, but the system cannot go on after this"),
        Response::Note(_) => Some("the system was told to keep going, but cannot go on after this"),
        Response::Stop | Response::Ignore => None,
    }
}

/// Counts a violation that is not judged.
pub fn ignored() {
    UNJUDGED.fetch_add(1, Ordering::Relaxed);
}

/// Returns how many violations were not judged since boot.
#[must_use]
pub fn unjudged() -> u32 {
    UNJUDGED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, because there is one set of responses.
    #[test]
    fn a_waiver_comes_before_keeping_going_and_nothing_is_judged_without_verification() {
        assert_eq!((to(Some(33)), to(None)), (Response::Stop, Response::Stop));
        assert_eq!(stops_nevertheless(Some(33)), None);
        set(&[33, 112], false, true);
        assert_eq!(to(Some(33)), Response::Note(FindingKind::Waived));
        assert_eq!(to(Some(112)), Response::Note(FindingKind::Waived));
        assert_eq!((to(Some(34)), to(None)), (Response::Stop, Response::Stop));
        assert_eq!(to(Some(u16::MAX)), Response::Stop, "no rule has this number");
        assert!(stops_nevertheless(Some(33)).unwrap().contains("waived"));
        set(&[], true, true);
        assert_eq!(to(Some(33)), Response::Note(FindingKind::Waived));
        assert_eq!(to(Some(34)), Response::Note(FindingKind::Violation));
        assert_eq!(to(None), Response::Note(FindingKind::Violation));
        set(&[], false, false);
        assert_eq!((to(Some(33)), to(None)), (Response::Ignore, Response::Ignore));
        assert_eq!(unjudged(), 0);
        ignored();
        assert_eq!(unjudged(), 1);
        for word in &WAIVED {
            word.store(0, Ordering::Relaxed);
        }
        set(&[], false, true);
    }
}
