//! Starts that must fail and starts that need not: other resources than usual, services that refuse, an adapter object
//! that is none of the driver's.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use super::super::com::{Class, Com, Slot, unknown};
use super::super::guids::GUID;
use super::super::lock::Lock;

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
static STAND_IN: AtomicBool = AtomicBool::new(false);

/// Alters the resources of the starts to come.
pub(crate) fn alter(alteration: Alteration) {
    ALTERATION.store(alteration as u8, Ordering::Relaxed);
}

/// How they are altered.
pub(crate) fn alteration() -> Alteration {
    let all = [Alteration::None].into_iter().chain(ALTERATIONS.iter().map(|(alteration, _)| *alteration));
    let number = ALTERATION.load(Ordering::Relaxed);
    all.into_iter().find(|alteration| *alteration as u8 == number).unwrap_or(Alteration::None)
}

/// Calls of PortCls' services until one is refused; 0: none is.
static COUNTDOWN: AtomicU32 = AtomicU32::new(0);

/// Which service was refused last.
static REFUSED: Lock<Option<&'static str>> = Lock::new(None);

/// Has the `number`-th call from now of a service that can fail fail, from 1; 0 for none.
pub(crate) fn refuse(number: u32) {
    REFUSED.with(|refused| *refused = None);
    COUNTDOWN.store(number, Ordering::Relaxed);
}

/// The service that was refused since [`refuse`], if it came to that.
pub(crate) fn refused() -> Option<&'static str> {
    REFUSED.with(|refused| *refused)
}

/// Asked by each service of PortCls that can fail, first of all: whether it must.
pub(crate) fn must_fail(service: &'static str) -> bool {
    let counted = COUNTDOWN.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    let fails = counted == Ok(1);
    if fails {
        REFUSED.with(|refused| *refused = Some(service));
    }
    fails
}

/// An adapter object that answers `IUnknown` and nothing else.
pub(crate) struct StandIn;

impl Class for StandIn {
    const NAME: &'static str = "IUnknown (adapter)";
    const INTERFACES: &'static [GUID] = &[];

    fn vtable() -> &'static [Slot] {
        static VTABLE: [Slot; 3] = unknown::<StandIn>();
        &VTABLE
    }
}

/// Gives miniports that are initialised without an adapter object one from now on, or does not any more.
pub(crate) fn stand_in_for_adapter(on: bool) {
    STAND_IN.store(on, Ordering::Relaxed);
}

/// The adapter object for a miniport that its driver gives none.
pub(crate) fn stand_in() -> Option<Com<StandIn>> {
    STAND_IN.load(Ordering::Relaxed).then(|| Com::new(StandIn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_is_refused_in_its_turn() {
        refuse(2);
        assert!(!must_fail("first"));
        assert_eq!(refused(), None);
        assert!(must_fail("second"));
        assert!(!must_fail("third"));
        assert_eq!(refused(), Some("second"));
        refuse(0);
        assert!(!must_fail("fourth"));
    }
}
