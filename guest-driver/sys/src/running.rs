//! The started card and what ties it to PortCls: service group, interrupt, recovery work item.
#![allow(unsafe_code, reason = "PortCls' objects, and the interrupt service routine that it calls")]

use alloc::boxed::Box;
use core::ffi::c_void;
use core::ptr;

use dmus_miniport::card::Card;
use dmus_miniport::irql::Passive;
use dmus_miniport::log::Part;
use dmus_miniport::pci::Structures;
use dmus_miniport::transport::{Interrupt, Mapped};
use portcls::NtStatus;
use portcls::dmus::IPortDMus;
use portcls::resource::{IResourceList, interrupt_flag, resource_type};
use portcls::services::{IInterruptSync, IServiceGroup, interrupt_sync_mode};

use crate::com::{Foreign, Object, Owned, call};
use crate::function::Function;
use crate::kernel::{Windows, log};
use crate::pool::try_place;
use crate::recovery::RecoveryWorkItem;
use crate::service::Sink;
use crate::status::check;
use crate::{nt, pc};

/// A started card, with PortCls' objects for it.
pub(crate) struct Running {
    pub(crate) card: Card<Windows>,
    port: Foreign<IPortDMus>,
    group: Foreign<IServiceGroup>,
    sync: Foreign<IInterruptSync>,
    sink: Option<Owned<Sink>>,
    pub(crate) recovery: RecoveryWorkItem,
}

impl Running {
    /// Starts the card and opens its session.
    ///
    /// # Safety
    /// `resources` and `port` are those of `IMiniportDMus::Init`.
    pub(crate) unsafe fn start(
        level: Passive,
        function: &Function,
        resources: *mut IResourceList,
        port: *mut IPortDMus,
    ) -> Result<Box<Self>, NtStatus> {
        // SAFETY: the caller's promise.
        let port = unsafe { Foreign::add(port) }.ok_or(NtStatus::INVALID_PARAMETER)?;
        let mut group = ptr::null_mut();
        // SAFETY: a place for a pointer.
        check(unsafe { pc::PcNewServiceGroup(&raw mut group, ptr::null_mut()) })?;
        // SAFETY: the reference is ours.
        let group = unsafe { Foreign::take(group) }.ok_or(NtStatus::UNSUCCESSFUL)?;
        let mut sync = ptr::null_mut();
        // SAFETY: a place for a pointer, and the caller's list.
        check(unsafe {
            pc::PcNewInterruptSync(&raw mut sync, ptr::null_mut(), resources, 0, interrupt_sync_mode::NORMAL)
        })?;
        // SAFETY: the reference is ours.
        let sync = unsafe { Foreign::take(sync) }.ok_or(NtStatus::UNSUCCESSFUL)?;

        let Structures { common, notify, notify_multiplier, isr, device } = function.structures;
        // SAFETY: the caller's promise.
        let map = |structure| unsafe { function.map(level, resources, structure) };
        let mapped = Mapped {
            common: map(common)?,
            notify: map(notify)?,
            notify_multiplier,
            isr: map(isr)?,
            device: map(device)?,
            // SAFETY: the caller's promise.
            interrupt: unsafe { interrupt_of(resources) },
        };
        let kernel = Windows::new(level, function.physical_device).ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        // SAFETY: the device is being started.
        let recovery =
            unsafe { RecoveryWorkItem::new(level, function.device) }.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        let mut place = try_place::<Self>(level).ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        let running = place.as_mut_ptr();
        match Card::start(kernel, level, mapped) {
            // SAFETY: a place in the new memory.
            Ok(card) => unsafe { (&raw mut (*running).card).write(card) },
            Err(error) => {
                log(&[Part::Text("the card does not start: "), Part::Reason(error.into())]);
                return Err(error.into());
            }
        }
        // SAFETY: as above.
        unsafe {
            (&raw mut (*running).port).write(port);
            (&raw mut (*running).group).write(group);
            (&raw mut (*running).sync).write(sync);
            (&raw mut (*running).sink).write(None);
            (&raw mut (*running).recovery).write(recovery);
        }
        // From here on dropping it undoes everything.
        // SAFETY: each of its fields has been written.
        let mut running = unsafe { place.assume_init() };
        running.connect(level)?;
        running.card.open(level).map_err(|error| {
            log(&[Part::Text("the card opens no session: "), Part::Reason(error.into())]);
            NtStatus::from(error)
        })?;
        Ok(running)
    }

    /// Returns the service group, with a reference for the port.
    pub(crate) fn service_group(&self) -> *mut IServiceGroup {
        self.group.handed_out()
    }

    /// Adds the service sink to its group, then connects the interrupt.
    fn connect(&mut self, level: Passive) -> Result<(), NtStatus> {
        let sink = Object::make(level, Sink::new(self)).ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        // SAFETY: both are alive; the group adds its own reference.
        check(unsafe { call!(self.group.as_ptr(), add_member, sink.as_interface()) })?;
        self.sink = Some(sink);
        // SAFETY: both are alive.
        unsafe { call!(self.port.as_ptr(), register_service_group, self.group.as_ptr()) };
        let context = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: the context lives in memory of its own until the interrupt has been disconnected.
        check(unsafe { call!(self.sync.as_ptr(), register_service_routine, service_routine, context, 0) })?;
        // SAFETY: alive.
        check(unsafe { call!(self.sync.as_ptr(), connect) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: the last references to miniports and streams go at PASSIVE_LEVEL.
        let level = unsafe { Passive::assume() };
        self.card.power_down(level);
        // SAFETY: alive. After this the service routine does not run any more.
        unsafe { call!(self.sync.as_ptr(), disconnect) };
        if let Some(sink) = &self.sink {
            // SAFETY: both are alive.
            unsafe { call!(self.group.as_ptr(), remove_member, sink.as_interface()) };
        }
        // A deferred procedure call may still be queued on another processor.
        // SAFETY: at PASSIVE_LEVEL.
        unsafe { nt::KeFlushQueuedDpcs() };
        // No recovery is requested any more.
        self.recovery.wait(level, self.card.kernel());
    }
}

/// Returns how a device's first interrupt is delivered: by a line, or by the first message of the function's table.
///
/// # Safety
/// `resources` is the list that the device was started with.
unsafe fn interrupt_of(resources: *mut IResourceList) -> Interrupt {
    // SAFETY: the caller's promise.
    let entry = unsafe { call!(resources, find_translated_entry, resource_type::INTERRUPT, 0) };
    // SAFETY: null, or an entry of the list.
    match unsafe { entry.as_ref() } {
        Some(entry) if entry.flags & interrupt_flag::MESSAGE != 0 => Interrupt::Message { vector: 0 },
        _ => Interrupt::Line,
    }
}

/// Serves the interrupt: the interrupt service routine. The line may be shared: the card's interrupt status says
/// whether the card interrupts.
unsafe extern "system" fn service_routine(_: *mut IInterruptSync, context: *mut c_void) -> NtStatus {
    // SAFETY: the context given with the routine, which lives until the interrupt has been disconnected.
    let running = unsafe { &*context.cast::<Running>() };
    if !running.card.interrupt() {
        return NtStatus::UNSUCCESSFUL;
    }
    // SAFETY: both are alive; may be called at any level.
    unsafe { call!(running.port.as_ptr(), notify, running.group.as_ptr()) };
    NtStatus::SUCCESS
}
