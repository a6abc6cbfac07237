//! An adapter object in the place of one that a driver does not give.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::portcls::com::guids::GUID;
use crate::portcls::com::object::{Class, Com, Slot, unknown};

/// Whether miniports that are initialised without an adapter object get one.
static STAND_IN: AtomicBool = AtomicBool::new(false);

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

/// Returns the adapter object for a miniport that its driver gives none.
pub(crate) fn stand_in() -> Option<Com<StandIn>> {
    STAND_IN.load(Ordering::Relaxed).then(|| Com::new(StandIn))
}
