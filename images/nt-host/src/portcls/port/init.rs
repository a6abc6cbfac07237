//! `IPort::Init`: binds a port to its miniport.

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
use crate::contract::violation::{Violation, fatal, violation};
use crate::contract::{ports, rules};
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, success,
};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::guids;
use crate::portcls::com::kind::Kind;
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
    irql::passive("IPort", "Init");
    // SAFETY: the caller holds a reference for the call.
    let Some(port) = (unsafe { Com::<Port>::from_borrowed(this.cast()) }) else { return STATUS_INVALID_PARAMETER };
    if fdo.is_null() || irp.is_null() || miniport.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    if port.is_bound() {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    let kind = port.kind();
    port.fdo.store(fdo as usize, Ordering::Relaxed);
    // SAFETY: the caller holds references to what it passes.
    unsafe {
        let unknown = Foreign::from_borrowed(miniport);
        let (binding, miniport) = if kind.is_music() {
            match MiniportKind::bind(&unknown) {
                Ok((binding, miniport)) => (Some(binding), miniport),
                Err(status) => return status,
            }
        } else {
            let Ok(miniport) = unknown.query(&kind.miniport()) else {
                kernel::warn(format_args!(
                    "IPort::Init of an {}: the miniport refuses {}",
                    kind.port_name(),
                    kind.miniport_name()
                ));
                return STATUS_INVALID_PARAMETER;
            };
            (None, miniport)
        };
        match binding {
            Some(binding) => {
                binding.check(&miniport);
                interface_checks::check_optional(&miniport, kind);
            }
            None => check_miniport(&miniport, kind),
        }
        if call_faults::must_fail("IPort::Init") || kernel::allocation_fails("IPort::Init") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let bare_adapter = if adapter.is_null() { bare_adapter::bare_adapter() } else { None };
        port.binding.with(|place| *place = binding);
        let given = bare_adapter.as_ref().map_or(adapter, Com::as_raw);
        let (status, group) = bring_up(&miniport, &port, binding, given, resources);
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
        let group_rule = binding.map_or(ports::SERVICE_GROUP, MiniportKind::group_rule);
        let joins = kind == Kind::WavePci || (binding == Some(MiniportKind::Midi) && registered.is_none());
        if joins && !group.is_null() {
            // Its service sink is the port's (nf-portcls-iminiportmidi-service, IMiniportWavePci::Service).
            service_group::join(group, port.sink.address());
            port.registered.with(|registered| *registered = Some(Foreign::from_borrowed(group)));
            group_rule.held();
        } else if group != registered.unwrap_or(core::ptr::null_mut()) {
            violation(
                binding.map_or(kind.miniport_name(), MiniportKind::name),
                Violation::new(
                    group_rule,
                    format!("Init puts out service group {group:p}, and {registered:?} was registered with the port"),
                    "register the service group with the port's RegisterServiceGroup and put the same one out, AddRefed",
                ),
            );
        } else if kind.is_music() {
            group_rule.held();
        }
        let (descriptor, fingerprint) = describe(&miniport);
        if describe(&miniport) != (descriptor, fingerprint) {
            changed_description("another descriptor is given the second time");
        }
        let filter = Filter::read(descriptor).map(|filter| filter.of(kind));
        let filter = filter.unwrap_or_else(|broken| fatal("IMiniport::GetDescription", broken));
        match filter.check(kind) {
            Err(broken) => violation("IMiniport::GetDescription", broken),
            Ok(()) => Filter::rules(kind).iter().for_each(|rule| rule.held()),
        }
        let pin_count = miniport.query(&guids::IID_IPINCOUNT).ok();
        port.groups[MINIPORT_GROUP].store(group, Ordering::Release);
        if let Some(binding) = binding {
            binding.note_bound(&miniport);
        }
        let bound = Bound {
            kind: binding,
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
        match kind {
            Kind::DMus if binding == Some(MiniportKind::Dmus) => interface_checks::check_service(&bound.miniport),
            Kind::WaveRt => check_device_description(&bound.miniport),
            _ => {}
        }
        if !kind.is_music() {
            ports::note_bound();
        }
        if let Some(list) = &bound.resources {
            LISTS.with(|lists| lists.push(list.as_raw() as usize));
        }
        port.bound.with(|place| *place = Some(bound));
        adapter::services().note_initialised(fdo, &port);
    }
    STATUS_SUCCESS
}

/// Checks the interfaces of a miniport of another port than a music port, and their methods.
fn check_miniport(miniport: &Foreign, kind: Kind) {
    let (name, rule) = (kind.miniport_name(), ports::MINIPORT_INTERFACES);
    interface_checks::check_interfaces(miniport, &[guids::IID_IMINIPORT, kind.miniport()], rule, name);
    interface_checks::check_slots(miniport, kind.miniport_methods(), name);
    interface_checks::check_optional(miniport, kind);
}

/// Calls the miniport's own `Init`. Returns its status, and the service group that it puts out, or null.
///
/// # Safety
/// Adapter and resource list are null or live objects.
unsafe fn bring_up(
    miniport: &Foreign,
    port: &Com<Port>,
    binding: Option<MiniportKind>,
    adapter: PVOID,
    resources: PVOID,
) -> (NTSTATUS, PVOID) {
    let (this, port_pointer) = (miniport.as_raw(), port.as_raw());
    let mut group = core::ptr::null_mut();
    // SAFETY: by the caller; miniport and port are held.
    let status = unsafe {
        match port.kind() {
            Kind::DMus => match binding {
                // No page of IPortMidi says that the group must be registered before the interrupt is connected.
                Some(MiniportKind::Midi) => {
                    slots::miniport_midi::init(this, adapter, resources, port_pointer, &raw mut group)
                }
                _ => interrupt_sync::during_init(|| {
                    slots::miniport_dmus::init(this, adapter, resources, port_pointer, &raw mut group)
                }),
            },
            Kind::Topology => slots::miniport_topology::init(this, adapter, resources, port_pointer),
            Kind::WaveCyclic => slots::miniport_wave_cyclic::init(this, adapter, resources, port_pointer),
            Kind::WavePci => slots::miniport_wave_pci::init(this, adapter, resources, port_pointer, &raw mut group),
            Kind::WaveRt => slots::miniport_wave_rt::init(this, adapter, resources, port_pointer),
        }
    };
    (status, group)
}

/// `sizeof(DEVICE_DESCRIPTION)` in the headers of Windows 8 and later (`DEVICE_DESCRIPTION_VERSION3`); older ones have
/// the first 40 bytes of it.
const DEVICE_DESCRIPTION_BYTES: usize = 64;

/// Bytes behind a device description that the miniport may not touch, and what they hold.
const GUARD_BYTES: usize = 256;
const GUARD: u8 = 0xD5;

/// Asks a WaveRT miniport for its device's DMA, as the port does before it opens streams (rule 327).
fn check_device_description(miniport: &Foreign) {
    /// Room for the description and the guard behind it, aligned as the structure is.
    #[repr(C, align(8))]
    struct Room([u8; DEVICE_DESCRIPTION_BYTES + GUARD_BYTES]);
    let mut room = Room([GUARD; DEVICE_DESCRIPTION_BYTES + GUARD_BYTES]);
    room.0[..DEVICE_DESCRIPTION_BYTES].fill(0);
    // SAFETY: the reference keeps the miniport, and the room lives for the call.
    let status = unsafe { slots::miniport_wave_rt::get_device_description(miniport.as_raw(), (&raw mut room).cast()) };
    if let Some(index) = room.0[DEVICE_DESCRIPTION_BYTES..].iter().position(|&byte| byte != GUARD) {
        violation(
            "IMiniportWaveRT::GetDeviceDescription",
            Violation::new(
                ports::DEVICE_DESCRIPTION,
                format!(
                    "it returns {status:#010x} and writes byte {} of a structure of {DEVICE_DESCRIPTION_BYTES}",
                    DEVICE_DESCRIPTION_BYTES + index
                ),
                "fill the DEVICE_DESCRIPTION that the port passes, and nothing behind it",
            ),
        );
    } else {
        ports::DEVICE_DESCRIPTION.held();
    }
}
