//! An adapter object in the place of one that a driver does not give.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::portcls::com::guids::GUID;
use crate::portcls::com::object::{Class, Com, Slot, unknown};

/// Whether miniports that are initialised without an adapter object get one.
static BARE_ADAPTER: AtomicBool = AtomicBool::new(false);

/// An adapter object that answers `IUnknown` and nothing else.
pub(crate) struct BareAdapter;

impl Class for BareAdapter {
    const NAME: &'static str = "IUnknown (adapter)";
    const INTERFACES: &'static [GUID] = &[];

    fn vtable() -> &'static [Slot] {
        static VTABLE: [Slot; 3] = unknown::<BareAdapter>();
        &VTABLE
    }
}

/// Gives miniports that are initialised without an adapter object one from now on, or does not any more.
pub(crate) fn use_bare_adapter(on: bool) {
    BARE_ADAPTER.store(on, Ordering::Relaxed);
}

/// Returns the adapter object for a miniport that its driver gives none.
pub(crate) fn bare_adapter() -> Option<Com<BareAdapter>> {
    BARE_ADAPTER.load(Ordering::Relaxed).then(|| Com::new(BareAdapter))
}
