//! `IServiceGroup`: a set of service sinks that one request serves, from a DPC.

#![allow(unsafe_code, reason = "DPCs, timers and COM objects are addresses shared with kernel and drivers")]

use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use super::call_faults;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};
use crate::nt::{KDPC, KTIMER, NTSTATUS, PVOID};
use crate::portcls::com::guids::{GUID, IID_ISERVICEGROUP, IID_ISERVICESINK};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel::lock::Lock;
use crate::portcls::kernel::{self, irql};

/// `NotificationTimer`.
const NOTIFICATION_TIMER: i32 = 0;

/// `IServiceGroup`. It is a sink itself, so groups nest.
pub(crate) struct ServiceGroup {
    members: Lock<Vec<Foreign>>,
    dpc: UnsafeCell<KDPC>,
    timer: UnsafeCell<KTIMER>,
    timer_dpc: UnsafeCell<KDPC>,
    delayed: AtomicBool,
}

// SAFETY: DPC and timer are the kernel's to synchronise; they are only passed to its functions.
unsafe impl Send for ServiceGroup {}
// SAFETY: as above.
unsafe impl Sync for ServiceGroup {}

impl ServiceGroup {
    /// Makes a group without members.
    pub(crate) fn create() -> Com<Self> {
        let group = Com::new(Self {
            members: Lock::new(Vec::new()),
            // SAFETY: all zero is a valid value of plain C structures; the kernel initialises them below.
            dpc: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            // SAFETY: as above.
            timer: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            // SAFETY: as above.
            timer_dpc: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            delayed: AtomicBool::new(false),
        });
        // SAFETY: the structures are in the object, which stays where it is and outlives its queued DPCs: each holds a
        // reference.
        unsafe {
            kernel::KeInitializeDpc(group.dpc.get(), Some(serve), group.as_raw());
            kernel::KeInitializeDpc(group.timer_dpc.get(), Some(serve), group.as_raw());
        }
        group
    }
}

/// Adds a sink of the port's to a group, a driver's own kind of group included.
///
/// # Safety
/// `group` is a live service group, and `sink` a live sink.
pub(crate) unsafe fn join(group: PVOID, sink: PVOID) {
    // SAFETY: by the caller. A group of this host's takes what the port adds, whatever is refused to drivers.
    unsafe {
        match Com::<ServiceGroup>::from_borrowed(group) {
            Some(own) => own.members.with(|members| members.push(Foreign::from_borrowed(sink))),
            None => _ = slots::service_group::add_member(group, sink),
        }
    }
}

/// Serves each member: the group's DPC.
unsafe extern "win64" fn serve(_dpc: *mut KDPC, context: PVOID, _first: PVOID, _second: PVOID) {
    // SAFETY: the reference that was taken when the DPC was queued keeps the group; it is given up at the end.
    unsafe {
        let group = &*context.cast::<Object<ServiceGroup>>();
        // The members are called without the lock: they may queue other groups, and take their time.
        let members: Vec<Foreign> = group
            .members
            .with(|members| members.iter().map(|member| Foreign::from_borrowed(member.as_raw())).collect());
        for member in &members {
            slots::service_sink::request_service(member.as_raw());
        }
        drop(members);
        slots::unknown::release(context);
    }
}

impl Class for ServiceGroup {
    const NAME: &'static str = "IServiceGroup";
    const INTERFACES: &'static [GUID] = &[IID_ISERVICESINK, IID_ISERVICEGROUP];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<ServiceGroup>();
        static VTABLE: [Slot; 9] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(request_service as *const ()),
            Slot(add_member as *const ()),
            Slot(remove_member as *const ()),
            Slot(support_delayed_service as *const ()),
            Slot(request_delayed_service as *const ()),
            Slot(cancel_delayed_service as *const ()),
        ];
        &VTABLE
    }
}

type This = *mut Object<ServiceGroup>;

/// Queues the group's DPC. At any IRQL: interrupt service routines reach it through `IPortDMus::Notify`. Requests
/// that come while one waits are one request.
unsafe extern "win64" fn request_service(this: This) {
    // SAFETY: the caller holds a reference; the one taken here goes with the DPC.
    unsafe {
        slots::unknown::add_ref(this.cast());
        if kernel::KeInsertQueueDpc(object(this).dpc.get(), core::ptr::null_mut(), core::ptr::null_mut()) == 0 {
            slots::unknown::release(this.cast());
        }
    }
}

unsafe extern "win64" fn add_member(this: This, sink: PVOID) -> NTSTATUS {
    irql::passive("IServiceGroup", "AddMember");
    if sink.is_null() || sink == this.cast() {
        return STATUS_INVALID_PARAMETER;
    }
    if kernel::allocation_fails("IServiceGroup::AddMember") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller holds a reference to the group and to the sink.
    unsafe {
        let member = Foreign::from_borrowed(sink);
        object(this).members.with(|members| members.push(member));
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn remove_member(this: This, sink: PVOID) {
    irql::passive("IServiceGroup", "RemoveMember");
    // SAFETY: the caller holds a reference to the group.
    let members = unsafe { &object(this).members };
    let removed = members.with(|members| {
        let index = members.iter().position(|member| member.as_raw() == sink)?;
        Some(members.swap_remove(index))
    });
    // A DPC on another processor may be serving it still, with a reference of its own.
    kernel::flush_dpcs();
    // Released without the lock: it may be the last reference.
    drop(removed);
}

unsafe extern "win64" fn support_delayed_service(this: This) {
    irql::at_most(DISPATCH_LEVEL, "IServiceGroup", "SupportDelayedService");
    // SAFETY: the caller holds a reference; the timer is in the object and is initialised once.
    unsafe {
        if !object(this).delayed.swap(true, Ordering::AcqRel) {
            kernel::KeInitializeTimerEx(object(this).timer.get(), NOTIFICATION_TIMER);
        }
    }
}

/// Requests service after a time. Without `SupportDelayedService` before, nothing is requested: there is no timer.
unsafe extern "win64" fn request_delayed_service(this: This, delay: u64) {
    irql::at_most(DISPATCH_LEVEL, "IServiceGroup", "RequestDelayedService");
    // SAFETY: the caller holds a reference; the one taken here goes with the timer's DPC.
    unsafe {
        if object(this).delayed.load(Ordering::Acquire) {
            slots::unknown::add_ref(this.cast());
            // Setting a timer that is set moves it; its reference is there already.
            if kernel::KeSetTimerEx(object(this).timer.get(), delay.cast_signed(), 0, object(this).timer_dpc.get()) != 0
            {
                slots::unknown::release(this.cast());
            }
        }
    }
}

unsafe extern "win64" fn cancel_delayed_service(this: This) {
    irql::at_most(DISPATCH_LEVEL, "IServiceGroup", "CancelDelayedService");
    // SAFETY: the caller holds a reference; that of a timer or DPC that will not run is given up.
    unsafe {
        if object(this).delayed.load(Ordering::Acquire)
            && (kernel::KeCancelTimer(object(this).timer.get()) != 0
                || kernel::KeRemoveQueueDpc(object(this).timer_dpc.get()) != 0)
        {
            slots::unknown::release(this.cast());
        }
    }
}

#[cfg(target_os = "none")]
crate::export_functions! {
    /// What makes service groups.
    pub(crate) static EXPORTS;

    /// Makes a service group.
    [PASSIVE] fn PcNewServiceGroup(out: *mut PVOID, outer: PVOID) -> NTSTATUS {
        if out.is_null() || !outer.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        if call_faults::must_fail("PcNewServiceGroup") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        out.write(ServiceGroup::create().into_raw());
        STATUS_SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portcls::com::object::Class;
    use core::sync::atomic::AtomicU32;

    /// A sink that counts, and looks at the IRQL.
    struct Counter(AtomicU32);

    impl Class for Counter {
        const NAME: &'static str = "IServiceSink (test)";
        const INTERFACES: &'static [GUID] = &[IID_ISERVICESINK];

        fn vtable() -> &'static [Slot] {
            const UNKNOWN: [Slot; 3] = unknown::<Counter>();
            static VTABLE: [Slot; 4] = [UNKNOWN[0], UNKNOWN[1], UNKNOWN[2], Slot(count as *const ())];
            &VTABLE
        }
    }

    unsafe extern "win64" fn count(this: *mut Object<Counter>) {
        assert_eq!(irql::current(), DISPATCH_LEVEL);
        // SAFETY: the group holds a reference.
        unsafe { &object(this).0 }.fetch_add(1, Ordering::Relaxed);
    }

    fn counted(counter: &Com<Counter>) -> u32 {
        counter.0.load(Ordering::Relaxed)
    }

    #[test]
    fn merges_requests_before_the_dpc_runs() {
        let (group, sink) = (ServiceGroup::create(), Com::new(Counter(AtomicU32::new(0))));
        // SAFETY: live objects.
        unsafe {
            add_member(group.as_raw().cast(), sink.as_raw());
            let raised = irql::Raised::to_dispatch();
            request_service(group.as_raw().cast());
            request_service(group.as_raw().cast());
            assert_eq!(counted(&sink), 0);
            drop(raised);
            assert_eq!(counted(&sink), 1);
            remove_member(group.as_raw().cast(), sink.as_raw());
            request_service(group.as_raw().cast());
        }
        assert_eq!((counted(&sink), sink.references(), group.references()), (1, 1, 1));
    }

    #[test]
    fn a_group_serves_the_groups_in_it() {
        let (outer, inner) = (ServiceGroup::create(), ServiceGroup::create());
        let sink = Com::new(Counter(AtomicU32::new(0)));
        // SAFETY: live objects.
        unsafe {
            add_member(inner.as_raw().cast(), sink.as_raw());
            add_member(outer.as_raw().cast(), inner.as_raw());
            request_service(outer.as_raw().cast());
        }
        assert_eq!(counted(&sink), 1);
    }
}
