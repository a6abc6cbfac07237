//! What a SoundFont says about the voices of one region.

use super::generators::{COUNT, id};
use super::modulators::Modulator;

/// The generators and modulators of one instrument's zone in one preset's zone, combined as SoundFont 2.04, 9.4 and 9.5
/// have it: what a [`Region`](crate::dls::Region) of a SoundFont is played by.
///
/// The region's connections are the nearest that DLS has, for files and devices that know no others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SoundFontZone {
    /// The sums of the generators by their numbers, within their limits.
    pub(crate) generators: [i32; COUNT],
    /// The modulators, the default ones included. One that leads to another is before it, and its destination is the
    /// other's index in this list.
    pub(crate) modulators: Vec<Modulator>,
    /// The key that takes the place of the note's.
    pub(crate) key: Option<u8>,
    /// The velocity that takes the place of the note's.
    pub(crate) velocity: Option<u8>,
    /// The key at which the sample has its own pitch.
    pub(crate) root_key: u8,
    /// The sample's correction of pitch in cents.
    pub(crate) correction: i8,
}

impl SoundFontZone {
    /// Returns the sum of a generator.
    pub(crate) fn sum(&self, number: usize) -> i32 {
        self.generators.get(number).copied().unwrap_or(0)
    }

    /// Returns the cents of the tuning: coarse, fine, and the sample's own.
    pub(crate) fn tuning(&self) -> i32 {
        100 * self.sum(id::COARSE_TUNE) + self.sum(id::FINE_TUNE) + i32::from(self.correction)
    }
}
