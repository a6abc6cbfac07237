//! The service sink: PortCls calls it from the deferred procedure call of the group that the interrupt notifies.
#![allow(unsafe_code, reason = "a virtual table of functions that PortCls calls")]

use dmus_miniport::irql::AtMostDispatch;
use portcls::Guid;
use portcls::guid::IID_IServiceSink;
use portcls::services::{IServiceSink, IServiceSinkTable};

use crate::com::{Class, Object, unknown};
use crate::running::Running;

/// A sink that serves a card. It holds no reference to the card, which leaves the group before it goes.
pub(crate) struct Sink {
    running: *const Running,
}

impl Sink {
    /// Makes a sink for a card that outlives the sink's membership of its group.
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
        // SAFETY: the work item is a part of the card, which waits for it before it goes.
        unsafe { running.recovery.request(level, running) };
    }
}
