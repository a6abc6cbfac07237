//! What a guest has reported so far without stopping.

use std::collections::BTreeMap;

use guest_protocol::Finding;

/// Most findings that are kept of one guest: twice as many as the NT host sends.
const FINDINGS_MAX: usize = 1024;

/// A finding, and how often it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct CountedFinding {
    /// The first time.
    pub finding: Finding,
    /// How often, the first time included.
    pub count: u64,
}

/// The findings of one guest, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Collected(BTreeMap<u32, CountedFinding>);

impl Collected {
    /// Adds a finding that was made for the first time. Returns whether it is kept: a guest that has lost its mind must not
    /// fill the harness's memory.
    pub fn add(&mut self, finding: Finding) -> bool {
        let kept = self.0.len() < FINDINGS_MAX || self.0.contains_key(&finding.id);
        if kept {
            self.0.insert(finding.id, CountedFinding { finding, count: 1 });
        }
        kept
    }

    /// Sets how often a finding was made. Of a finding that was never sent nothing is known.
    pub fn set_count(&mut self, id: u32, count: u64) {
        if let Some(counted) = self.0.get_mut(&id) {
            counted.count = count;
        }
    }

    /// Returns the findings in the order in which they were first made.
    pub fn iter(&self) -> impl Iterator<Item = &CountedFinding> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use guest_protocol::FindingKind;

    use super::*;

    #[test]
    fn bounds_what_a_guest_can_have_it_keep() {
        let mut collected = Collected::default();
        let finding = |id| Finding {
            id,
            kind: FindingKind::Note,
            rule: None,
            code: 0,
            message: String::new(),
            function: String::new(),
            irql: 0,
            stack: Vec::new(),
        };
        assert!((0..FINDINGS_MAX as u32).all(|id| collected.add(finding(id))));
        assert!(!collected.add(finding(u32::MAX)));
        collected.set_count(u32::MAX, 7);
        collected.set_count(3, 7);
        assert_eq!(collected.iter().map(|counted| counted.count).sum::<u64>(), FINDINGS_MAX as u64 + 6);
    }
}
