//! What a guest has reported so far without stopping.

use std::collections::BTreeMap;

use guest_protocol::Finding;

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
    /// Adds a finding that was made for the first time.
    pub fn add(&mut self, finding: Finding) {
        self.0.insert(finding.id, CountedFinding { finding, count: 1 });
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
