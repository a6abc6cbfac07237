//! What a card has found wrong with its driver: the first error with the access that led to it, and a count for each code.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::card::Access;
use crate::registers::Register;

/// Codes that are counted, each by itself; those of more are counted together.
const CODES_MAX: usize = 64;

/// The name of the codes that are counted together.
const OTHERS: &str = "others";

/// An access that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) access: Access,
    /// The value that is written; `None` for a read.
    pub(crate) written: Option<u64>,
    /// The register of the BAR's table.
    pub(crate) register: Option<Arc<Register>>,
}

impl Current {
    /// Describes it: `write of DOORBELL = 0x00000001 (COMMAND = SEND)`.
    fn text(&self) -> String {
        let Access { bar, offset, width } = self.access;
        match (&self.register, self.written) {
            (Some(register), Some(value)) => format!("write of {}", register.decode(value)),
            (Some(register), None) => format!("read of {}", register.name),
            (None, Some(value)) => format!("{width}-byte write of {value:#x} at BAR{bar}+{offset:#x}"),
            (None, None) => format!("{width}-byte read at BAR{bar}+{offset:#x}"),
        }
    }
}

/// The first error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct First {
    pub(crate) code: String,
    pub(crate) detail: String,
    /// The access in which it was found; `None` for one that was found at another time.
    pub(crate) during: Option<String>,
    /// When: nanoseconds of the host's monotonic clock.
    pub(crate) time: u64,
    /// How many resets there were before.
    pub(crate) resets: u64,
}

/// The diagnosis of a card. It outlives resets and machines; only [`clear`](Self::clear) ends it.
#[derive(Debug, Default)]
pub(crate) struct Diagnosis {
    current: Option<Current>,
    resets: u64,
    first: Option<First>,
    counts: BTreeMap<String, u64>,
}

impl Diagnosis {
    /// An access begins, or ends.
    pub(crate) fn set_current(&mut self, current: Option<Current>) {
        self.current = current;
    }

    /// The card was reset.
    pub(crate) const fn reset(&mut self) {
        self.resets += 1;
    }

    /// Notes an error.
    pub(crate) fn note(&mut self, code: &str, detail: &str, time: u64) {
        let known = self.counts.len() < CODES_MAX || self.counts.contains_key(code);
        *self.counts.entry(if known { code } else { OTHERS }.to_owned()).or_default() += 1;
        if self.first.is_none() {
            let during = self.current.as_ref().map(Current::text);
            let (code, detail) = (code.to_owned(), detail.to_owned());
            self.first = Some(First { code, detail, during, time, resets: self.resets });
        }
    }

    /// Returns the first error, and how many there were of each code.
    pub(crate) const fn found(&self) -> (Option<&First>, &BTreeMap<String, u64>) {
        (self.first.as_ref(), &self.counts)
    }

    /// Forgets what was found.
    pub(crate) fn clear(&mut self) {
        (self.first, self.counts) = (None, BTreeMap::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_stays_with_its_access_until_it_is_cleared() {
        let mut diagnosis = Diagnosis::default();
        let access = Access { bar: 2, offset: 8, width: 4 };
        diagnosis.reset();
        diagnosis.set_current(Some(Current { access, written: Some(7), register: None }));
        diagnosis.note("late", "one", 5);
        diagnosis.set_current(None);
        diagnosis.note("late", "two", 6);
        diagnosis.note("early", "three", 7);
        diagnosis.reset();
        let (first, counts) = diagnosis.found();
        let during = Some("4-byte write of 0x7 at BAR2+0x8".to_owned());
        let expected = First { code: "late".into(), detail: "one".into(), during, time: 5, resets: 1 };
        assert_eq!(first, Some(&expected));
        assert_eq!(
            counts.iter().map(|(code, count)| (code.as_str(), *count)).collect::<Vec<_>>(),
            [("early", 1), ("late", 2)]
        );
        diagnosis.clear();
        assert_eq!(diagnosis.found(), (None, &BTreeMap::new()));
        diagnosis.note("again", "four", 8);
        assert_eq!(diagnosis.found().0.map(|first| (first.code.as_str(), first.during.clone())), Some(("again", None)));
    }

    #[test]
    fn a_driver_that_makes_codes_up_does_not_fill_memory() {
        let mut diagnosis = Diagnosis::default();
        (0..1000).for_each(|number| diagnosis.note(&format!("code-{number}"), "", 0));
        let (_, counts) = diagnosis.found();
        assert_eq!((counts.len(), counts[OTHERS]), (CODES_MAX + 1, 1000 - CODES_MAX as u64));
    }
}
