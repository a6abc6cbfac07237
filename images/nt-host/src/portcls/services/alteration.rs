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

/// All of them, and whether a driver may start with them.
pub(crate) const ALTERATIONS: [(Alteration, bool); 6] = [
    (Alteration::Empty, false),
    (Alteration::NoInterrupt, false),
    (Alteration::NoRegisters, false),
    (Alteration::Short, false),
    (Alteration::Reversed, true),
    (Alteration::Strangers, true),
];

static ALTERATION: AtomicU8 = AtomicU8::new(Alteration::None as u8);

/// Alters the resources of the starts to come.
pub(crate) fn alter(alteration: Alteration) {
    ALTERATION.store(alteration as u8, Ordering::Relaxed);
}

/// Returns how they are altered.
pub(crate) fn alteration() -> Alteration {
    let all = [Alteration::None].into_iter().chain(ALTERATIONS.iter().map(|(alteration, _)| *alteration));
    let number = ALTERATION.load(Ordering::Relaxed);
    all.into_iter().find(|alteration| *alteration as u8 == number).unwrap_or(Alteration::None)
}
