//! What a report is about.

/// What ran, for the head of a report.
#[derive(Clone, Debug)]
pub struct About {
    /// The command line.
    pub command: String,
    /// The id of the run.
    pub run_id: String,
    /// When it began.
    pub begun: jiff::Zoned,
    /// How long it took, in milliseconds.
    pub milliseconds: f64,
}

#[cfg(test)]
impl About {
    /// Returns what a test's report is about.
    pub(super) fn of_test() -> Self {
        let begun = jiff::Timestamp::from_second(1_800_000_000).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        Self { command: "dmus run <x>".into(), run_id: "a-run".into(), begun, milliseconds: 1500.0 }
    }
}
