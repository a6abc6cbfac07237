//! `IPortDMus::Init`: binds a port to its miniport.

#![allow(unsafe_code, reason = "the miniport is called by slot number")]

use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::interface::This;
use super::lifetime::LISTS;
use super::miniport_kind::MiniportKind;
use super::{Bound, MINIPORT_GROUP, Port, adapter, bare_adapter, changed_description, describe, interface_checks};
use crate::contract::rules;
use crate::contract::violation::{Violation, fatal, violation};
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, success,
};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::guids;
use crate::portcls::com::object::Com;
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel::{self, irql};
use crate::portcls::ks::descriptor::Filter;
use crate::portcls::services::{call_faults, interrupt_sync, resources, service_group};

/// Binds the port, and checks the miniport and its descriptor.
pub(super) unsafe extern "win64" fn init(
    this: This,
    fdo: PVOID,
    irp: PVOID,
    miniport: PVOID,
    adapter: PVOID,
    resources: PVOID,
) -> NTSTATUS {
    irql::passive("IPortDMus", "Init");
    // SAFETY: the caller holds a reference for the call.
    let Some(port) = (unsafe { Com::<Port>::from_borrowed(this.cast()) }) else { return STATUS_INVALID_PARAMETER };
    if fdo.is_null() || irp.is_null() || miniport.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    if port.is_bound() {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    // SAFETY: the caller holds references to what it passes.
    unsafe {
        let unknown = Foreign::from_borrowed(miniport);
        let (kind, miniport) = match MiniportKind::bind(&unknown) {
            Ok(bound) => bound,
            Err(status) => return status,
        };
        kind.check(&miniport);
        interface_checks::check_optional(&miniport);
        if call_faults::must_fail("IPort::Init") || kernel::allocation_fails("IPort::Init") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let bare_adapter = if adapter.is_null() { bare_adapter::bare_adapter() } else { None };
        port.binding.with(|binding| *binding = Some(kind));
        let mut group = core::ptr::null_mut();
        let mut call = || {
            let adapter = bare_adapter.as_ref().map_or(adapter, Com::as_raw);
            kind.init(&miniport, adapter, resources, port.as_raw(), &raw mut group)
        };
        let status = match kind {
            MiniportKind::Dmus => interrupt_sync::during_init(call),
            // No page of IPortMidi says that the group must be registered before the interrupt is connected.
            MiniportKind::Midi => call(),
        };
        if !adapter.is_null() || bare_adapter.is_some() || success(status) {
            rules::UNKNOWN_ADAPTER.held();
        }
        let registered = port.registered.with(|registered| registered.as_ref().map(Foreign::as_raw));
        if !success(status) {
            if let Some(registered) = port.registered.with(Option::take) {
                slots::service_group::remove_member(registered.as_raw(), port.sink.address());
            }
            return status;
        }
        if kind == MiniportKind::Midi && registered.is_none() && !group.is_null() {
            // The port adds its sink to the group that is put out (nf-portcls-iminiportmidi-service).
            service_group::join(group, port.sink.address());
            port.registered.with(|registered| *registered = Some(Foreign::from_borrowed(group)));
            kind.group_rule().held();
        } else if group != registered.unwrap_or(core::ptr::null_mut()) {
            violation(
                kind.name(),
                Violation::new(
                    kind.group_rule(),
                    format!("Init puts out service group {group:p}, and {registered:?} was registered with the port"),
                    "register the service group with the port's RegisterServiceGroup and put the same one out, AddRefed",
                ),
            );
        } else {
            kind.group_rule().held();
        }
        let (descriptor, fingerprint) = describe(&miniport);
        if describe(&miniport) != (descriptor, fingerprint) {
            changed_description("another descriptor is given the second time");
        }
        let filter = Filter::read(descriptor).unwrap_or_else(|broken| fatal("IMiniport::GetDescription", broken));
        match filter.check() {
            Err(broken) => violation("IMiniport::GetDescription", broken),
            Ok(()) => [
                rules::DESCRIPTION_CONSTANT,
                rules::DESCRIPTOR_SIZES,
                rules::PIN_DESCRIPTORS,
                rules::MUSIC_PIN,
                rules::CONNECTIONS,
                rules::SYNTHESIZER_NODE,
                rules::CATEGORIES,
            ]
            .iter()
            .for_each(|rule| rule.held()),
        }
        let pin_count = miniport.query(&guids::IID_IPINCOUNT).ok();
        port.groups[MINIPORT_GROUP].store(group, Ordering::Release);
        kind.note_bound(&miniport);
        let bound = Bound {
            kind,
            fdo: fdo as usize,
            miniport: Arc::new(miniport),
            unknown: Arc::new(unknown),
            adapter: (!adapter.is_null()).then(|| Foreign::from_borrowed(adapter)),
            bare_adapter,
            resources: resources::list(resources),
            group: (!group.is_null()).then(|| Foreign::from_owned(group)),
            instances: vec![0; filter.pins.len()],
            streams: Vec::new(),
            filter: Arc::new(filter),
            descriptor: descriptor as usize,
            fingerprint,
            pin_count: pin_count.map(Arc::new),
        };
        if kind == MiniportKind::Dmus {
            interface_checks::check_service(&bound.miniport);
        }
        if let Some(list) = &bound.resources {
            LISTS.with(|lists| lists.push(list.as_raw() as usize));
        }
        port.bound.with(|place| *place = Some(bound));
        adapter::services().note_initialised(fdo, &port);
    }
    STATUS_SUCCESS
}
