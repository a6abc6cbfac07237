//! What was found without a stop: a table of findings, each sent to the harness once and then counted.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use guest_protocol::FindingKind;

/// Most different findings that are kept: far more than rules that one driver can violate in a few functions. At the next
/// one the system stops, so that nothing is lost.
pub const FINDINGS_MAX: usize = 512;

/// A finding that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted {
    kind: FindingKind,
    rule: Option<u16>,
    function: String,
    irql: u8,
    count: u64,
    /// The count that the harness knows.
    sent: u64,
}

/// Where a finding belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// It is new, and has this number.
    First(u32),
    /// It was made before, and is counted.
    Again,
    /// It is new, and there is no room for it.
    NoRoom,
}

/// The findings since boot.
#[derive(Debug, Default)]
pub struct Findings(Vec<Counted>);

impl Findings {
    /// Creates an empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Counts a finding. One of another kind, rule, function or IRQL is another one.
    pub fn count(&mut self, kind: FindingKind, rule: Option<u16>, function: &str, irql: u8) -> Counting {
        let same = |known: &&mut Counted| {
            (known.kind, known.rule, known.irql) == (kind, rule, irql) && known.function == function
        };
        if let Some(known) = self.0.iter_mut().find(same) {
            known.count += 1;
            return Counting::Again;
        }
        if self.0.len() == FINDINGS_MAX {
            return Counting::NoRoom;
        }
        // Sent as a whole, which is the first time.
        self.0.push(Counted { kind, rule, function: function.to_owned(), irql, count: 1, sent: 1 });
        Counting::First(self.0.len() as u32 - 1)
    }

    /// Returns number and count of each finding whose count the harness does not know, which it then does.
    pub fn take_changed(&mut self) -> Vec<(u32, u64)> {
        let changed = self.0.iter_mut().zip(0..).filter(|(known, _)| known.count != known.sent);
        changed
            .map(|(known, id)| {
                known.sent = known.count;
                (id, known.count)
            })
            .collect()
    }
}

#[cfg(target_os = "none")]
mod kept {
    use alloc::string::ToString;

    use guest_protocol::{Event, Finding, FindingKind};

    use super::{Counting, Findings};
    use crate::arch::cpu;
    use crate::arch::uninterrupted::Uninterrupted;
    use crate::bugcheck::Report;
    use crate::bugcheck::stack::{self, Context};
    use crate::harness::link;

    static FINDINGS: Uninterrupted<Findings> = Uninterrupted::new(Findings::new());

    /// Notes a finding: sends it if it is new, counts it otherwise. Returns false if there is no room for it.
    #[must_use]
    pub(crate) fn note(kind: FindingKind, report: &Report<'_>) -> bool {
        let irql = cpu::irql();
        let id = match FINDINGS.with(|findings| findings.count(kind, report.rule, report.function, irql)) {
            Counting::First(id) => id,
            Counting::Again => return true,
            Counting::NoRoom => return false,
        };
        link::send_event(Event::Finding(Finding {
            id,
            kind,
            rule: report.rule,
            code: report.code,
            message: report.message.to_string(),
            function: report.function.into(),
            irql,
            stack: stack::walk(report.context.unwrap_or_else(Context::here)),
        }));
        true
    }

    /// Sends the counts that the harness does not know.
    pub(crate) fn send_counts() {
        for (id, count) in FINDINGS.with(Findings::take_changed) {
            link::send_event(Event::FindingCount { id, count });
        }
    }
}

#[cfg(target_os = "none")]
pub(crate) use kept::{note, send_counts};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_of_one_kind_rule_function_and_irql_are_one() {
        let mut findings = Findings::new();
        let waived = FindingKind::Waived;
        assert_eq!(findings.count(waived, Some(39), "KeSetEvent", 2), Counting::First(0));
        assert_eq!(findings.count(waived, Some(39), "KeSetEvent", 2), Counting::Again);
        assert_eq!(findings.count(waived, Some(39), "KeSetEvent", 5), Counting::First(1));
        assert_eq!(findings.count(waived, Some(39), "KeSetTimer", 2), Counting::First(2));
        assert_eq!(findings.count(FindingKind::Note, Some(39), "KeSetEvent", 2), Counting::First(3));
        assert_eq!(findings.count(waived, Some(39), "KeSetEvent", 2), Counting::Again);
        assert_eq!(findings.take_changed(), [(0, 3)]);
        assert_eq!(findings.take_changed(), []);
    }

    #[test]
    fn says_when_there_is_no_room_for_another() {
        let mut findings = Findings::new();
        for rule in 0..FINDINGS_MAX as u16 {
            assert_eq!(findings.count(FindingKind::Violation, Some(rule), "x", 0), Counting::First(rule.into()));
        }
        assert_eq!(findings.count(FindingKind::Violation, None, "x", 0), Counting::NoRoom);
        assert_eq!(findings.count(FindingKind::Violation, Some(7), "x", 0), Counting::Again);
    }
}
