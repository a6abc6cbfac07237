//! Tells failures of the card as it is from failures before its last reset.

/// A run of the card, from one reset to the next. What failed in an earlier one says nothing about the card as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch(u32);

impl Epoch {
    /// Returns the epoch that begins when the card has been switched on so many times.
    pub(super) const fn at(times: u32) -> Self {
        Self(times)
    }
}
