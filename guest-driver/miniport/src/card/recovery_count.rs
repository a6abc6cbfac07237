//! Counts recoveries that follow each other closely.

/// How far apart two recoveries are that are not in a row, in 100 ns units: a minute.
const IN_A_ROW_TIME: u64 = 60 * 10_000_000;

/// The recoveries in a row, and when the last one was.
#[derive(Clone, Copy, Default)]
pub(super) struct RecoveryCount {
    in_a_row: u32,
    last: u64,
}

impl RecoveryCount {
    /// Counts a recovery that begins at `now`. Returns which one in a row it is, from 1.
    pub(super) fn count(&mut self, now: u64) -> u32 {
        if now.saturating_sub(self.last) > IN_A_ROW_TIME {
            self.in_a_row = 0;
        }
        self.last = now;
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.in_a_row
    }
}
