//! The port's interfaces: `IPort` with `IPortDMus` and its relatives, `IPortClsVersion`, `IPortEvents`,
//! `IUnregisterSubdevice`, `IUnregisterPhysicalConnection`, and its service sink.

#![allow(unsafe_code, reason = "drivers call the port through its vtables")]

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::init::init;
use super::miniport_kind::MiniportKind;
use super::{MINIPORT_GROUP, Port, adapter, wave};
use crate::contract::violation::{Violation, violation};
use crate::contract::{midi, rules};
use crate::ks::layout::KSEVENT_ENTRY;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED,
    STATUS_SUCCESS,
};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::kind::Kind;
use crate::portcls::com::object::{Class, Com, Facet, Object, Slot, facet_unknown, object, unknown};
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel::{self, irql};
use crate::portcls::ks::event_list::{self, Generated};
use crate::portcls::services::{call_faults, interrupt_sync, service_group, statistics};

/// `kVersionWinServer2003_UAAQFE` (portcls.h): ports of this version have `IUnregisterSubdevice` and
/// `IUnregisterPhysicalConnection`.
const VERSION: u32 = 13;

/// The methods of `IPort`, with which every port's vtable begins (portcls.h).
const IPORT: [Slot; 6] = {
    let unknown = unknown::<Port>();
    [
        unknown[0],
        unknown[1],
        unknown[2],
        Slot(init as *const ()),
        Slot(get_device_property as *const ()),
        Slot(new_registry_key as *const ()),
    ]
};

/// Makes the vtable of a port that adds methods to `IPort`.
const fn derived<const ADDED: usize, const ALL: usize>(added: [Slot; ADDED]) -> [Slot; ALL] {
    assert!(ALL == IPORT.len() + ADDED);
    let mut all = [IPORT[0]; ALL];
    let mut slot = 0;
    while slot < ALL {
        all[slot] = if slot < IPORT.len() { IPORT[slot] } else { added[slot - IPORT.len()] };
        slot += 1;
    }
    all
}

static DMUS_VTABLE: [Slot; 8] = derived([Slot(notify as *const ()), Slot(register_service_group as *const ())]);
/// `IPortTopology` and `IPortWaveRT` add nothing.
static PLAIN_VTABLE: [Slot; 6] = IPORT;
static WAVE_CYCLIC_VTABLE: [Slot; 9] = derived(wave::CYCLIC);
static WAVE_PCI_VTABLE: [Slot; 8] = derived(wave::PCI);

/// Returns the vtable of a kind of port.
pub(super) fn vtable(kind: Kind) -> &'static [Slot] {
    match kind {
        Kind::DMus => &DMUS_VTABLE,
        Kind::Topology | Kind::WaveRt => &PLAIN_VTABLE,
        Kind::WaveCyclic => &WAVE_CYCLIC_VTABLE,
        Kind::WavePci => &WAVE_PCI_VTABLE,
    }
}

impl Class for Port {
    const NAME: &'static str = "IPort";
    const INTERFACES: &'static [GUID] = &[guids::IID_IPORT];

    fn vtable() -> &'static [Slot] {
        &PLAIN_VTABLE
    }

    fn other_interface(object: &Object<Self>, interface: &GUID) -> Option<PVOID> {
        if *interface == object.kind.port() {
            return Some(object.address());
        }
        // IPortMidi and IPortDMus have the same methods, in one module since Windows XP (dmus-port-driver).
        if object.kind.is_music() && *interface == guids::IID_IPORTMIDI {
            return Some(object.address());
        }
        let facet = match *interface {
            // The pages name the wave ports; those of a version before Windows Vista do not know WaveRT yet.
            guids::IID_IDRMPORT | guids::IID_IDRMPORT2 if object.kind.is_wave() => &object.drm,
            guids::IID_IPORTCLSPOWER => &object.power,
            guids::IID_IPORTCLSPNP if object.kind == Kind::WaveRt => &object.pnp,
            guids::IID_IPORTCLSSTREAMRESOURCEMANAGER | guids::IID_IPORTCLSSTREAMRESOURCEMANAGER2
                if object.kind == Kind::WaveRt =>
            {
                &object.stream_resources
            }
            guids::IID_IPORTCLSVERSION => &object.version,
            guids::IID_IPORTEVENTS => &object.events,
            guids::IID_IUNREGISTERSUBDEVICE => &object.unregister_subdevice,
            guids::IID_IUNREGISTERPHYSICALCONNECTION => &object.unregister_connection,
            _ => return None,
        };
        Some(facet.address())
    }

    /// Releases the miniport of a port that was initialised, and then not registered because that failed.
    fn released(object: &Object<Self>) {
        if object.is_bound() && adapter::services().is_registered(object.address()) {
            violation(
                "IPort::Release",
                Violation::new(
                    rules::SUBDEVICE_ORDER,
                    "the last reference is released while the port is bound to its miniport",
                    "release the port once at the end of StartDevice, and in the miniport only what it AddRefed",
                ),
            );
        }
        if let Some(bound) = object.bound.with(Option::take) {
            event_list::end_port(object.address() as usize, bound.unknown.as_raw());
            bound.release();
        }
    }
}

/// The vtable of `IPortClsVersion`.
pub(super) static VERSION_VTABLE: [Slot; 4] = {
    let unknown = facet_unknown::<Port>();
    [unknown[0], unknown[1], unknown[2], Slot(get_version as *const ())]
};

/// The vtable of `IPortEvents`.
pub(super) static EVENTS_VTABLE: [Slot; 5] = {
    let unknown = facet_unknown::<Port>();
    [
        unknown[0],
        unknown[1],
        unknown[2],
        Slot(add_event_to_event_list as *const ()),
        Slot(generate_event_list as *const ()),
    ]
};

/// The vtable of `IUnregisterSubdevice`.
pub(super) static UNREGISTER_SUBDEVICE_VTABLE: [Slot; 4] = {
    let unknown = facet_unknown::<Port>();
    [unknown[0], unknown[1], unknown[2], Slot(unregister_subdevice as *const ())]
};

/// The vtable of `IUnregisterPhysicalConnection`.
pub(super) static UNREGISTER_CONNECTION_VTABLE: [Slot; 6] = {
    let unknown = facet_unknown::<Port>();
    [
        unknown[0],
        unknown[1],
        unknown[2],
        Slot(unregister_physical_connection as *const ()),
        Slot(unregister_physical_connection_to_external as *const ()),
        Slot(unregister_physical_connection_from_external as *const ()),
    ]
};

/// The vtable of the port's `IServiceSink`.
pub(super) static SINK_VTABLE: [Slot; 4] = {
    let unknown = facet_unknown::<Port>();
    [unknown[0], unknown[1], unknown[2], Slot(request_service as *const ())]
};

/// What a method of `IPortDMus` is called on.
pub(super) type This = *mut Object<Port>;

unsafe extern "win64" fn get_version(_this: *mut Facet<Port>) -> u32 {
    irql::passive("IPortClsVersion", "GetVersion");
    VERSION
}

unsafe extern "win64" fn add_event_to_event_list(this: *mut Facet<Port>, entry: *mut KSEVENT_ENTRY) {
    // SAFETY: the caller holds a reference to the facet, which is one to its port.
    if let Some(port) = unsafe { Com::<Port>::from_borrowed(Facet::owner(this)) } {
        event_list::add(port.as_raw() as usize, entry);
    }
}

/// Generates events of the port. At any IRQL.
unsafe extern "win64" fn generate_event_list(
    this: *mut Facet<Port>,
    set: *const GUID,
    id: u32,
    of_pin: i32,
    pin: u32,
    of_node: i32,
    node: u32,
) {
    // SAFETY: the caller holds a reference, and the set is null or a GUID.
    unsafe {
        event_list::generate_at_any_irql(Generated {
            port: Facet::owner(this) as usize,
            set: (!set.is_null()).then(|| set.read_unaligned()),
            id,
            pin: (of_pin != 0).then_some(pin),
            node: (of_node != 0).then_some(node),
        });
    }
}

unsafe extern "win64" fn unregister_subdevice(_this: *mut Facet<Port>, fdo: PVOID, port: PVOID) -> NTSTATUS {
    irql::passive("IUnregisterSubdevice", "UnregisterSubdevice");
    adapter::services().unregister_subdevice(fdo, port)
}

unsafe extern "win64" fn unregister_physical_connection(
    _this: *mut Facet<Port>,
    fdo: PVOID,
    from: PVOID,
    from_pin: u32,
    to: PVOID,
    to_pin: u32,
) -> NTSTATUS {
    irql::passive("IUnregisterPhysicalConnection", "UnregisterPhysicalConnection");
    // SAFETY: the caller's ports.
    unsafe { adapter::services().unregister_connection(fdo, (from, false, from_pin), (to, false, to_pin)) }
}

unsafe extern "win64" fn unregister_physical_connection_to_external(
    _this: *mut Facet<Port>,
    fdo: PVOID,
    from: PVOID,
    from_pin: u32,
    to: PVOID,
    to_pin: u32,
) -> NTSTATUS {
    irql::passive("IUnregisterPhysicalConnection", "UnregisterPhysicalConnectionToExternal");
    // SAFETY: the caller's port and name.
    unsafe { adapter::services().unregister_connection(fdo, (from, false, from_pin), (to, true, to_pin)) }
}

unsafe extern "win64" fn unregister_physical_connection_from_external(
    _this: *mut Facet<Port>,
    fdo: PVOID,
    from: PVOID,
    from_pin: u32,
    to: PVOID,
    to_pin: u32,
) -> NTSTATUS {
    irql::passive("IUnregisterPhysicalConnection", "UnregisterPhysicalConnectionFromExternal");
    // SAFETY: the caller's name and port.
    unsafe { adapter::services().unregister_connection(fdo, (from, true, from_pin), (to, false, to_pin)) }
}

/// Serves the miniport: one of WavePci, as the page of `IMiniportWavePci::Service` has it; an `IMiniportMidi` by its `Service`, and its streams without a group of their own. A DMus
/// miniport's `Service` is never called, and its streams are serviced by the sinks in their own groups.
unsafe extern "win64" fn request_service(this: *mut Facet<Port>) {
    irql::at_most(DISPATCH_LEVEL, "IServiceSink", "RequestService");
    // SAFETY: the caller holds a reference to the facet, which is one to its port; sinks are held while they are served.
    unsafe {
        let port = object(Facet::owner(this).cast::<Object<Port>>());
        if port.kind == Kind::WavePci
            && let Some(miniport) = port.miniport()
        {
            slots::miniport_wave_pci::service(miniport.as_raw());
            return;
        }
        let Some(miniport) = port.midi_miniport() else { return };
        rules::must_survive(midi::SERVICE, || slots::miniport_midi::service(miniport.as_raw()));
        let sinks: Vec<Foreign> =
            port.sinks.with(|sinks| sinks.iter().map(|sink| Foreign::from_borrowed(sink.as_raw())).collect());
        for sink in &sinks {
            slots::service_sink::request_service(sink.as_raw());
        }
    }
}

impl Com<Port> {
    /// Requests service of the miniport's group and of those of its streams, as `Notify(NULL)` does.
    pub(crate) fn notify_all(&self) {
        // SAFETY: a live object.
        unsafe { notify(self.as_raw().cast(), core::ptr::null_mut()) };
    }
}

impl Port {
    /// Returns the miniport if it is an `IMiniportMidi`. `None` before `Init` has returned.
    fn midi_miniport(&self) -> Option<Arc<Foreign>> {
        self.with(|bound| (bound.kind == Some(MiniportKind::Midi)).then(|| Arc::clone(&bound.miniport)))?
    }
}

unsafe extern "win64" fn get_device_property(
    this: This,
    property: u32,
    room: u32,
    buffer: PVOID,
    length: *mut u32,
) -> NTSTATUS {
    irql::passive("IPort", "GetDeviceProperty");
    if kernel::allocation_fails("IPort::GetDeviceProperty") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller holds a reference.
    let Some(fdo) = unsafe { object(this) }.device() else { return STATUS_INVALID_DEVICE_REQUEST };
    // SAFETY: the caller's buffer and length.
    unsafe { adapter::services().device_property(fdo, property, room, buffer, length) }
}

/// Opens keys of the port's device, and of its subdevice's interface.
unsafe extern "win64" fn new_registry_key(
    this: This,
    out: *mut PVOID,
    outer: PVOID,
    kind: u32,
    access: u32,
    attributes: PVOID,
    options: u32,
    disposition: *mut u32,
) -> NTSTATUS {
    irql::passive("IPort", "NewRegistryKey");
    // SAFETY: the caller holds a reference.
    let fdo = unsafe { object(this) }.device().unwrap_or(core::ptr::null_mut());
    // SAFETY: the caller's out parameters and attributes.
    unsafe {
        adapter::services().registry_key(
            fdo,
            this.cast(),
            (out, outer),
            (kind, access),
            attributes,
            options,
            disposition,
        )
    }
}

/// Requests service of a group, or of all. At any IRQL: interrupt service routines call it.
unsafe extern "win64" fn notify(this: This, group: PVOID) {
    statistics::NOTIFICATIONS.add(1);
    // SAFETY: the caller holds a reference to the port, and to the group if it names one; a group in the port's places
    // is held by the port.
    unsafe {
        if !group.is_null() {
            slots::request_service_at_any_irql(group);
            return;
        }
        for place in &object(this).groups {
            let group = place.load(Ordering::Acquire);
            if !group.is_null() {
                slots::request_service_at_any_irql(group);
            }
        }
    }
}

/// Registers the group that `Notify` serves. `IPortMidi`'s has a status, `IPortDMus`' none.
unsafe extern "win64" fn register_service_group(this: This, group: PVOID) -> NTSTATUS {
    irql::passive("IPortDMus", "RegisterServiceGroup");
    // SAFETY: the caller holds references to port and group.
    let port = unsafe { object(this) };
    if port.binding.with(|binding| *binding) == Some(MiniportKind::Midi) {
        if group.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        // No page of IPortMidi limits it to one: the last counts.
        if let Some(before) = port.registered.with(Option::take) {
            // SAFETY: the reference keeps the group; the sink is this port's, which lives.
            unsafe { slots::service_group::remove_member(before.as_raw(), port.sink.address()) };
        }
    } else if group.is_null() || port.registered.with(|registered| registered.is_some()) {
        violation(
            "IPortDMus::RegisterServiceGroup",
            Violation::new(
                rules::SERVICE_GROUP,
                if group.is_null() { "NULL is registered" } else { "a second service group is registered" },
                "register one service group, in Init, before interrupts are enabled",
            ),
        );
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: as above.
    let held = unsafe {
        service_group::join(group, port.sink.address());
        Foreign::from_borrowed(group)
    };
    port.groups[MINIPORT_GROUP].store(group, Ordering::Release);
    port.registered.with(|registered| *registered = Some(held));
    interrupt_sync::group_registered();
    STATUS_SUCCESS
}

#[cfg(target_os = "none")]
crate::export_functions! {
    /// What makes ports.
    pub(crate) static EXPORTS;

    /// Makes a port of one of the classes that its page lists.
    [PASSIVE] fn PcNewPort(out: *mut PVOID, class: *const GUID) -> NTSTATUS {
        if out.is_null() || class.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        if call_faults::must_fail("PcNewPort") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let class = class.read_unaligned();
        let Some(kind) = Kind::of_class(&class) else {
            crate::warn!("PcNewPort: {} is no class of the page's list", guids::Printed(&class));
            out.write(core::ptr::null_mut());
            return STATUS_NOT_SUPPORTED;
        };
        out.write(Port::create(kind).into_raw());
        STATUS_SUCCESS
    }
}
