//! The port's volume and its boost.

/// Which volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeItem {
    /// The port's volume.
    Volume = 0,
    /// The boost, which is added to the volume.
    Boost = 1,
}

/// The range of volume and boost in 1/100 dB, from the datasheet.
pub const VOLUME_RANGE: core::ops::RangeInclusive<i32> = -20_000..=2_000;
