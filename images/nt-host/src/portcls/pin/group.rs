//! A stream's own service group, with the port's sink in it.

#![allow(unsafe_code, reason = "groups and streams are called by slot number")]

use super::Pin;
use crate::harness::stopwatch::{self, Mark};
use crate::nt::PVOID;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel::{self, irql};

/// The port's sink in a stream's own service group: service is `PutMessage(NULL)`.
pub(super) struct ServiceSink {
    stream: usize,
}

impl Class for ServiceSink {
    const NAME: &'static str = "IServiceSink";
    const INTERFACES: &'static [GUID] = &[guids::IID_ISERVICESINK];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<ServiceSink>();
        static VTABLE: [Slot; 4] = [UNKNOWN[0], UNKNOWN[1], UNKNOWN[2], Slot(request_service as *const ())];
        &VTABLE
    }
}

unsafe extern "win64" fn request_service(this: *mut Object<ServiceSink>) {
    stopwatch::mark(Mark::Served, kernel::nanoseconds);
    irql::at_most(DISPATCH_LEVEL, "IServiceSink", "RequestService");
    // SAFETY: the sink leaves the group before the stream is released, and both happen at passive level.
    unsafe { slots::put_message_at_dispatch(object(this).stream as PVOID, core::ptr::null_mut()) };
}

/// A stream's own service group, with the port's sink in it.
pub(super) struct Group {
    pub(super) group: Foreign,
    pub(super) sink: Com<ServiceSink>,
    pub(super) place: Option<usize>,
}

impl Pin {
    /// Adds the port's sink to the stream's own service group, if it has one.
    pub(super) fn join_group(&mut self, group: Option<Foreign>) {
        let (Some(group), Some(stream)) = (group, &self.stream) else { return };
        let sink = Com::new(ServiceSink { stream: stream.as_raw() as usize });
        // SAFETY: both live; the sink leaves the group in `close`.
        unsafe { slots::service_group::add_member(group.as_raw(), sink.as_raw()) };
        let place = self.port.add_group(&group);
        self.group = Some(Group { group, sink, place });
    }
}
