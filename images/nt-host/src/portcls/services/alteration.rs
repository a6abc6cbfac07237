//! Alters the resources that a driver is started with.

use core::sync::atomic::{AtomicU8, Ordering};

/// What is done to the resources of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Alteration {
    /// Nothing.
    None,
    /// All of them are missing.
    Empty,
    /// The interrupt is missing.
    NoInterrupt,
    /// Memory and ports are missing.
    NoRegisters,
    /// Each range of memory is a few bytes long.
    Short,
    /// In the other order.
    Reversed,
    /// With descriptors between them that are not the driver's to use.
    Strangers,
}

/// All of them but the first.
pub(crate) const ALTERATIONS: [Alteration; 6] = [
    Alteration::Empty,
    Alteration::NoInterrupt,
    Alteration::NoRegisters,
    Alteration::Short,
    Alteration::Reversed,
    Alteration::Strangers,
];

static ALTERATION: AtomicU8 = AtomicU8::new(Alteration::None as u8);

/// Alters the resources of the starts to come.
pub(crate) fn alter(alteration: Alteration) {
    ALTERATION.store(alteration as u8, Ordering::Relaxed);
}

/// Returns how they are altered.
pub(crate) fn alteration() -> Alteration {
    let all = [Alteration::None].into_iter().chain(ALTERATIONS);
    let number = ALTERATION.load(Ordering::Relaxed);
    all.into_iter().find(|alteration| *alteration as u8 == number).unwrap_or(Alteration::None)
}
