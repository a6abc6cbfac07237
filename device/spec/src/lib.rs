//! The DirectMusic card's datasheet as code: what a driver author needs and nothing else.
//!
//! # The card in one page
//!
//! The card is a virtio 1.x PCI function (virtio specification 1.2, sections 2 and 4.1): split virtqueues, an ISR
//! byte, a read-only device configuration block, and DMA by guest-physical address. It is found by vendor
//! [`PCI_VENDOR_ID`] and device [`PCI_DEVICE_ID`], and recognised by [`identity::MAGIC`] at offset 0 of its device
//! configuration: the virtio id is one that the virtio specification reserves for audio without defining a device for
//! it, so check the magic before anything else. On transport vfio-user the function has an id and registers of its own
//! ([`registers`]), and the same structures and queues.
//!
//! 1. Find the common, notify, ISR and device structures through the vendor capabilities of PCI configuration space.
//! 2. Read the [identity block](identity::IdentityBlock). Check magic, ABI major version and queue count.
//! 3. Negotiate `VIRTIO_F_VERSION_1` (required), `VIRTIO_F_EVENT_IDX` and `VIRTIO_F_INDIRECT_DESC` (optional).
//! 4. Set up the five [queues](queue::Queue), set `DRIVER_OK`.
//! 5. Send [`OPEN`](control::RequestCode::OPEN) on the control queue. It is the reset edge: whatever an earlier
//!    session left is dropped when it is answered.
//! 6. Lend a [status page](status_page::StatusPage) and post buffers on the [event queue](notice).
//! 7. Open [streams](control::StreamOpen), send [events](event), post [wave buffers](wave).
//!
//! # Numbers and layouts
//!
//! All multi-byte fields are little-endian and naturally aligned. Lengths are in bytes unless the name says frames.
//! Reserved fields are written as zero and ignored when read. Numbers that a later version may extend are open
//! enumerations: a struct around an integer with named constants, so an unknown value is a value and not an error.
//!
//! # Time
//!
//! Event time is master-clock time in units of 100 ns (`i64`, any origin). A [`CLOCK_SYNC`](control::ClockSync)
//! anchors it: `(t0, frame0)`. An event stamped `t` plays at
//!
//! ```text
//! frame = frame0 + floor((t - t0) * sample_rate / 10_000_000)
//! ```
//!
//! computed in 128-bit integers ([`event_frame`]). Events with the same frame play in order of arrival. An event whose
//! frame has already been rendered plays at the next frame and is counted in
//! [`events_late`](identity::Counters::events_late).
//!
//! # When the driver is wrong
//!
//! No driver action ends the card. The first error since the last `OPEN` is kept in the
//! [diagnosis registers](identity::FirstError) with the place, what was expected and what was found; later ones are
//! counted. A ring that cannot be used is parked: it is never touched again until the device is reset.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
#![no_std]

pub mod control;
pub mod diagnosis;
pub mod event;
pub mod identity;
pub mod limits;
pub mod midi;
pub mod notice;
pub mod queue;
pub mod registers;
pub mod status_page;
pub mod wave;

/// Declares an open enumeration: a number with names, that stays a number when no name fits.
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident : $int:ty { $($(#[$vmeta:meta])* $variant:ident = $value:expr),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl $name {
            $($(#[$vmeta])* pub const $variant: Self = Self($value);)+

            /// Returns the name that the datasheet gives this value, if it gives one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $(v if v == $value => Some(stringify!($variant)),)+ _ => None }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!(stringify!($name), "({:#x})"), self.0),
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Debug::fmt(self, f)
            }
        }
    };
}
pub(crate) use open_enum;

/// PCI vendor id on the virtio transport: Red Hat's, which the virtio specification assigns to virtio devices
/// (virtio 1.2, section 4.1.2).
pub const PCI_VENDOR_ID: u16 = 0x1af4;

/// The virtio device id: 39, reserved in the virtio specification's table for an audio function and without a device
/// section. It is not registered for this card; the magic in the identity block tells the two apart.
pub const VIRTIO_ID: u16 = 39;

/// PCI device id on the virtio transport: `0x1040` plus the virtio id (virtio 1.2, section 4.1.2.1).
pub const PCI_DEVICE_ID: u16 = 0x1040 + VIRTIO_ID;

/// PCI subsystem id that QEMU gives the function.
pub const PCI_SUBSYSTEM_ID: u16 = 0x1100;

/// Major ABI version. A driver refuses a card with another one, and a card answers `OPEN` of another one with
/// [`Status::ABI_MISMATCH`](control::Status::ABI_MISMATCH).
pub const ABI_MAJOR: u16 = 1;

/// Minor ABI version: a higher one only adds.
pub const ABI_MINOR: u16 = 0;

/// Virtio feature bits that the card may offer (virtio 1.2, section 6).
pub mod feature {
    /// `VIRTIO_F_INDIRECT_DESC`: a descriptor may point to a table of descriptors.
    pub const INDIRECT_DESC: u64 = 1 << 28;
    /// `VIRTIO_F_EVENT_IDX`: both sides say at which index they want to be notified.
    pub const EVENT_IDX: u64 = 1 << 29;
    /// `VIRTIO_F_VERSION_1`: the modern interface. The card diagnoses a driver that does not accept it.
    pub const VERSION_1: u64 = 1 << 32;
}

/// Returns the frame at which an event stamped `time` plays, for an anchor that maps master time `t0` to `frame0`.
///
/// Times are in 100 ns units, `sample_rate` in Hz. The result is exact (128-bit integers, rounded towards minus
/// infinity) and saturates at the bounds of `i64`.
#[must_use]
pub const fn event_frame(time: i64, t0: i64, frame0: i64, sample_rate: u32) -> i64 {
    let ticks = (time as i128).saturating_sub(t0 as i128).saturating_mul(sample_rate as i128);
    let frame = (frame0 as i128).saturating_add(ticks.div_euclid(10_000_000));
    if frame > i64::MAX as i128 {
        i64::MAX
    } else if frame < i64::MIN as i128 {
        i64::MIN
    } else {
        frame as i64
    }
}

/// Returns the earliest time, in 100 ns units, whose event plays at `frame`: the inverse of [`event_frame`].
#[must_use]
pub const fn frame_time(frame: i64, t0: i64, frame0: i64, sample_rate: u32) -> i64 {
    let rate = sample_rate as i128;
    let ticks = (frame as i128).saturating_sub(frame0 as i128).saturating_mul(10_000_000);
    let last = ticks.saturating_add(rate).saturating_sub(1);
    // A rate of 0 has no frames.
    let periods = match last.checked_div_euclid(rate) {
        Some(periods) => periods,
        None => 0,
    };
    let time = (t0 as i128).saturating_add(periods);
    if time > i64::MAX as i128 {
        i64::MAX
    } else if time < i64::MIN as i128 {
        i64::MIN
    } else {
        time as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_plays_at_the_last_frame_that_begins_no_later_than_its_time() {
        assert_eq!(event_frame(0, 0, 0, 48_000), 0);
        assert_eq!(event_frame(208, 0, 0, 48_000), 0);
        assert_eq!(event_frame(209, 0, 0, 48_000), 1);
        assert_eq!(event_frame(-1, 0, 0, 48_000), -1);
        assert_eq!(event_frame(10_000_000, 0, 7, 22_050), 22_057);
    }

    #[test]
    fn times_at_the_ends_of_the_range_saturate() {
        assert_eq!(event_frame(i64::MAX, i64::MIN, i64::MAX, u32::MAX), i64::MAX);
        assert_eq!(event_frame(i64::MIN, i64::MAX, i64::MIN, u32::MAX), i64::MIN);
    }

    #[test]
    fn frame_time_is_the_earliest_time_of_its_frame() {
        for rate in [11_025, 22_050, 44_100, 48_000, 96_000] {
            for frame in [-1000_i64, -1, 0, 1, 2, 3, 479, 480, 12_345_678] {
                let time = frame_time(frame, 55, 3, rate);
                assert_eq!(event_frame(time, 55, 3, rate), frame);
                assert_eq!(event_frame(time - 1, 55, 3, rate), frame - 1);
            }
        }
    }
}
