//! The deferred procedure call's way in: a sink in the service group that the interrupt notifies.
#![allow(unsafe_code, reason = "a virtual table of functions that PortCls calls")]

use dmus_miniport::irql::AtMostDispatch;
use portcls::Guid;
use portcls::guid::IID_IServiceSink;
use portcls::services::{IServiceSink, IServiceSinkTable};

use crate::com::{Class, Object, unknown};
use crate::miniport::Running;

/// Serves a card. It does not keep the card: who made it takes it out of the group before the card goes.
pub(crate) struct Sink {
    running: *const Running,
}

impl Sink {
    /// A sink for a card that outlives its membership of any group.
    pub(crate) const fn new(running: *const Running) -> Self {
        Self { running }
    }
}

impl Class for Sink {
    type Table = IServiceSinkTable;
    const TABLE: &'static IServiceSinkTable = &IServiceSinkTable { base: unknown::<Self>(), request_service };
    type Others = ();
    const OTHERS: () = ();

    fn has(&self, iid: &Guid) -> bool {
        *iid == IID_IServiceSink
    }
}

unsafe extern "system" fn request_service(this: *mut IServiceSink) {
    // SAFETY: called through the table of a sink.
    let sink = unsafe { Object::<Sink>::of(this) };
    // SAFETY: documented for DISPATCH_LEVEL.
    let level = unsafe { AtMostDispatch::assume() };
    // SAFETY: the sink is a member of its group, so the card is there.
    let running = unsafe { &*sink.class.running };
    if running.card.service(level) {
        // SAFETY: what is repaired has the repair, and waits for it when it goes.
        unsafe { running.repair.request(level, running) };
    }
}
