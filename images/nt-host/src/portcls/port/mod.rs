//! `IPortDMus`: the port driver's object for one subdevice, bound to its miniport by `Init`.

#![allow(unsafe_code, reason = "miniports are called by slot number, and call the port through its vtable")]

pub(crate) mod adapter;
pub(crate) mod interface_checks;
pub(crate) mod stand_in;

use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use self::stand_in::StandIn;
use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::ks::layout::KSEVENT_ENTRY;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED,
    STATUS_SUCCESS, success,
};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::FilterDescriptor;
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::object::{self, Class, Com, Facet, Object, Slot, facet_unknown, object, unknown};
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel::lock::Lock;
use crate::portcls::kernel::{self, irql};
use crate::portcls::ks::answers::Instances;
use crate::portcls::ks::descriptor::{self, Filter};
use crate::portcls::ks::event_list::{self, Generated};
use crate::portcls::services::resources::{self, ResourceList};
use crate::portcls::services::{call_faults, interrupt_sync, service_group, statistics};

/// `kVersionWinServer2003_UAAQFE` (portcls.h): ports of this version have `IUnregisterSubdevice` and
/// `IUnregisterPhysicalConnection`.
const VERSION: u32 = 13;

/// Service groups that `Notify(NULL)` reaches: the miniport's own and one for each stream.
const GROUPS_MAX: usize = 33;

/// The place of the miniport's own group.
const MINIPORT_GROUP: usize = 0;

/// What a port knows from `Init` on.
struct Bound {
    fdo: usize,
    miniport: Arc<Foreign>,
    /// The pointer that `Init` was given: the major target of property requests.
    unknown: Arc<Foreign>,
    adapter: Option<Foreign>,
    /// What the miniport got for an adapter object in its place.
    stand_in: Option<Com<StandIn>>,
    resources: Option<Com<ResourceList>>,
    group: Option<Foreign>,
    filter: Arc<Filter>,
    descriptor: usize,
    fingerprint: u64,
    pin_count: Option<Arc<Foreign>>,
    instances: Vec<u32>,
    /// The streams that are open, by address: one object may serve two pins.
    streams: Vec<usize>,
}

impl Bound {
    /// Releases everything, the miniport last.
    fn give_up(self) {
        let Self { miniport, unknown, adapter, stand_in, resources, group, pin_count, .. } = self;
        if let Some(list) = &resources {
            forget_list(list);
        }
        drop((group, adapter, stand_in, resources, pin_count, unknown));
        drop(miniport);
    }
}

/// `IPortDMus`, and with addresses of their own the port's other interfaces and its service sink.
pub(crate) struct Port {
    version: Facet<Port>,
    events: Facet<Port>,
    unregister_subdevice: Facet<Port>,
    unregister_connection: Facet<Port>,
    sink: Facet<Port>,
    /// The subdevice was unregistered while streams were open: the last of them takes the miniport along.
    departing: AtomicBool,
    bound: Lock<Option<Bound>>,
    registered: Lock<Option<Foreign>>,
    /// Read at any IRQL; a place is emptied before its group is released.
    groups: [AtomicPtr<c_void>; GROUPS_MAX],
}

impl Port {
    /// A port that is not bound.
    pub(crate) fn create() -> Com<Self> {
        let port = Com::new(Self {
            version: Facet::new(&VERSION_VTABLE),
            events: Facet::new(&EVENTS_VTABLE),
            unregister_subdevice: Facet::new(&UNREGISTER_SUBDEVICE_VTABLE),
            unregister_connection: Facet::new(&UNREGISTER_CONNECTION_VTABLE),
            sink: Facet::new(&SINK_VTABLE),
            departing: AtomicBool::new(false),
            bound: Lock::new(None),
            registered: Lock::new(None),
            groups: [const { AtomicPtr::new(core::ptr::null_mut()) }; GROUPS_MAX],
        });
        for facet in [&port.version, &port.events, &port.unregister_subdevice, &port.unregister_connection, &port.sink]
        {
            facet.bind(&port);
        }
        port
    }

    /// Whether `Init` has succeeded.
    pub(crate) fn is_bound(&self) -> bool {
        self.bound.with(|bound| bound.is_some())
    }

    /// What the filter is made of. `None` before `Init`.
    pub(crate) fn filter(&self) -> Option<Arc<Filter>> {
        self.with(|bound| Arc::clone(&bound.filter))
    }

    /// The miniport's `IMiniportDMus`.
    pub(crate) fn miniport(&self) -> Option<Arc<Foreign>> {
        self.with(|bound| Arc::clone(&bound.miniport))
    }

    /// The pointer that `Init` was given for the miniport.
    pub(crate) fn major_target(&self) -> Option<Arc<Foreign>> {
        self.with(|bound| Arc::clone(&bound.unknown))
    }

    /// Instances of a pin, as the miniport's `IPinCount` edits them if it has one.
    pub(crate) fn instances(&self, pin: u32) -> Option<Instances> {
        let (mut counts, editor) = self.with(|bound| {
            let factory = bound.filter.pins.get(pin as usize)?;
            let current = bound.instances[pin as usize];
            let counts = Instances {
                necessary: factory.min_filter,
                current,
                possible: factory.max_filter,
                global_current: current,
                global_possible: factory.max_global,
            };
            Some((counts, bound.pin_count.clone()))
        })??;
        if let Some(editor) = editor {
            // SAFETY: the reference keeps the object; the pointers are to our own numbers.
            unsafe {
                slots::pin_count::pin_count(
                    editor.as_raw(),
                    pin,
                    &raw mut counts.necessary,
                    &raw mut counts.current,
                    &raw mut counts.possible,
                    &raw mut counts.global_current,
                    &raw mut counts.global_possible,
                );
            }
        }
        Some(counts)
    }

    /// Counts a pin opened or closed.
    pub(crate) fn count_instance(&self, pin: u32, change: i32) {
        self.with(|bound| {
            let count = &mut bound.instances[pin as usize];
            *count = count.saturating_add_signed(change);
        });
    }

    /// Notes an open stream.
    pub(crate) fn add_stream(&self, stream: PVOID) {
        self.with(|bound| bound.streams.push(stream as usize));
    }

    /// Forgets an open stream; gives whether the same object serves another pin.
    pub(crate) fn remove_stream(&self, stream: PVOID) -> bool {
        let shared = self.with(|bound| {
            if let Some(index) = bound.streams.iter().position(|&open| open == stream as usize) {
                bound.streams.swap_remove(index);
            }
            bound.streams.contains(&(stream as usize))
        });
        shared.unwrap_or(false)
    }

    /// The miniport's `IPowerNotify` and those of its streams, where they have one.
    pub(crate) fn power_listeners(&self) -> Vec<Foreign> {
        let (miniport, streams) =
            self.with(|bound| (Some(Arc::clone(&bound.miniport)), bound.streams.clone())).unwrap_or_default();
        // SAFETY: an open stream is held by its pin, and pins close at passive level, where this runs.
        let streams = streams.into_iter().map(|stream| unsafe { Foreign::from_borrowed(stream as PVOID) });
        let listeners = streams.filter_map(|stream| stream.query(&guids::IID_IPOWERNOTIFY).ok());
        listeners.chain(miniport.and_then(|miniport| miniport.query(&guids::IID_IPOWERNOTIFY).ok())).collect()
    }

    /// Lets `Notify(NULL)` reach a stream's group. Gives its place.
    pub(crate) fn add_group(&self, group: &Foreign) -> Option<usize> {
        (MINIPORT_GROUP + 1..GROUPS_MAX).find(|&place| {
            self.groups[place]
                .compare_exchange(core::ptr::null_mut(), group.as_raw(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// Takes a group from `Notify(NULL)`'s reach. On one processor no interrupt is inside `Notify` when this returns.
    pub(crate) fn remove_group(&self, place: usize) {
        self.groups[place].store(core::ptr::null_mut(), Ordering::Release);
    }

    /// Checks that the descriptor is still what it was (rule 24).
    pub(crate) fn check_description(&self) {
        let Some((miniport, descriptor, fingerprint)) =
            self.with(|bound| (Arc::clone(&bound.miniport), bound.descriptor, bound.fingerprint))
        else {
            return;
        };
        let (again, sum) = describe(&miniport);
        if again as usize != descriptor || sum != fingerprint {
            changed_description(if again as usize == descriptor {
                "the descriptor's content has changed"
            } else {
                "another descriptor is given"
            })
        }
        rules::DESCRIPTION_CONSTANT.held();
    }

    fn with<R>(&self, body: impl FnOnce(&mut Bound) -> R) -> Option<R> {
        self.bound.with(|bound| bound.as_mut().map(body))
    }
}

impl Com<Port> {
    /// The subdevice is unregistered: its miniport goes now, or with the last open stream. What the driver still holds of
    /// port and miniport is its own affair from now on; the objects are watched until unload.
    pub(crate) fn depart(&self) {
        self.departing.store(true, Ordering::Relaxed);
        self.finish_departure();
    }

    /// A stream was closed.
    pub(crate) fn finish_departure(&self) {
        if !self.departing.load(Ordering::Relaxed) || self.with(|bound| !bound.streams.is_empty()).unwrap_or(true) {
            return;
        }
        self.check_description();
        let Some(bound) = self.unbind() else { return };
        bound.give_up();
    }

    /// Takes the port from its miniport: no events, no service group.
    fn unbind(&self) -> Option<Bound> {
        if let Some(major) = self.major_target() {
            event_list::end_port(self.as_raw() as usize, major.as_raw());
        }
        let mut bound = self.bound.with(Option::take)?;
        self.remove_group(MINIPORT_GROUP);
        if let Some(group) = self.registered.with(Option::take) {
            // SAFETY: the reference keeps the group; the sink is this port's, which lives.
            unsafe { slots::service_group::remove_member(group.as_raw(), self.sink.address()) };
        }
        if let Some(group) = bound.group.take() {
            object::give_up_group(group);
        }
        Some(bound)
    }

    /// Unbinds the port from its miniport, in the order of a device's removal, and checks that nothing is left.
    pub(crate) fn shut_down(&self) {
        if !self.is_bound() {
            return;
        }
        self.check_description();
        let Some(bound) = self.unbind() else { return };
        drop((bound.adapter, bound.pin_count));
        drop(bound.unknown);
        let miniport = Arc::into_inner(bound.miniport).map_or(0, Foreign::release);
        if miniport != 0 {
            violation(
                "IMiniportDMus::Release",
                Violation::new(
                    rules::REFERENCES_RETURNED,
                    format!("the port has given the miniport up, and {miniport} references are left"),
                    "release the miniport at the end of StartDevice, in each stream's destructor, and wherever QueryInterface was called",
                ),
            )
        }
        let references = self.references();
        if references != 1 {
            violation(
                "IPortDMus",
                Violation::new(
                    rules::REFERENCES_RETURNED,
                    format!("the miniport is gone, and {} references to its port are left", references - 1),
                    "release the port at the end of StartDevice and in the miniport's destructor",
                ),
            )
        }
        if let Some(stand_in) = bound.stand_in.filter(|stand_in| stand_in.references() != 1) {
            violation(
                "IMiniportDMus::Release",
                Violation::new(
                    rules::UNKNOWN_ADAPTER,
                    format!(
                        "the miniport is gone, and keeps {} references to UnknownAdapter",
                        stand_in.references() - 1
                    ),
                    "release in the destructor what Init AddRefed, or queried",
                ),
            )
        }
        check_list(bound.resources);
        rules::REFERENCES_RETURNED.held();
    }
}

fn changed_description(what: &'static str) -> ! {
    violation(
        "IMiniport::GetDescription",
        Violation::new(
            rules::DESCRIPTION_CONSTANT,
            what,
            "give one static descriptor; instance counts are edited by IPinCount",
        ),
    )
}

/// The resource lists that ports hold, one entry for each port: subdevices may share one.
static LISTS: Lock<Vec<usize>> = Lock::new(Vec::new());

/// A port gives its list up. How many others hold it.
fn forget_list(list: &Com<ResourceList>) -> u32 {
    let address = list.as_raw() as usize;
    LISTS.with(|lists| {
        if let Some(index) = lists.iter().position(|held| *held == address) {
            lists.swap_remove(index);
        }
        lists.iter().filter(|held| **held == address).count() as u32
    })
}

/// Checks that nobody but ports holds the resource list.
fn check_list(list: Option<Com<ResourceList>>) {
    let Some(list) = list else { return };
    let others = forget_list(&list);
    if list.references() != 1 + others {
        violation(
            "IResourceList",
            Violation::new(
                rules::REFERENCES_RETURNED,
                format!(
                    "the miniport is gone, and {} references to its resource list are left",
                    list.references().wrapping_sub(1 + others)
                ),
                "release what was AddRefed, in the miniport's destructor",
            ),
        )
    }
}

/// Asks for the descriptor, and sums it up.
fn describe(miniport: &Foreign) -> (*const FilterDescriptor, u64) {
    let mut descriptor = core::ptr::null();
    // SAFETY: the reference keeps the miniport.
    let status = unsafe { slots::miniport::get_description(miniport.as_raw(), &raw mut descriptor) };
    if !success(status) || descriptor.is_null() {
        violation(
            "IMiniport::GetDescription",
            Violation::new(
                rules::DESCRIPTION_CONSTANT,
                format!("it returns status {status:#010x} and descriptor {descriptor:p}"),
                "return STATUS_SUCCESS and the address of a descriptor that lives as long as the miniport",
            ),
        )
    }
    // SAFETY: the miniport vouches for what it describes; what cannot be read faults, with its address.
    let sum = unsafe { descriptor::fingerprint(descriptor) };
    (descriptor, sum.unwrap_or_else(|broken| violation("IMiniport::GetDescription", broken)))
}

impl Class for Port {
    const NAME: &'static str = "IPortDMus";
    const INTERFACES: &'static [GUID] = &[guids::IID_IPORT, guids::IID_IPORTDMUS];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<Port>();
        static VTABLE: [Slot; 8] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(init as *const ()),
            Slot(get_device_property as *const ()),
            Slot(new_registry_key as *const ()),
            Slot(notify as *const ()),
            Slot(register_service_group as *const ()),
        ];
        &VTABLE
    }

    fn other_interface(object: &Object<Self>, interface: &GUID) -> Option<PVOID> {
        let facet = match *interface {
            guids::IID_IPORTCLSVERSION => &object.version,
            guids::IID_IPORTEVENTS => &object.events,
            guids::IID_IUNREGISTERSUBDEVICE => &object.unregister_subdevice,
            guids::IID_IUNREGISTERPHYSICALCONNECTION => &object.unregister_connection,
            _ => return None,
        };
        Some(facet.address())
    }

    /// A port that was initialised, and then not registered because that failed, goes with its miniport.
    fn released(object: &Object<Self>) {
        if object.is_bound() && adapter::services().is_registered(object.address()) {
            violation(
                "IPortDMus::Release",
                Violation::new(
                    rules::SUBDEVICE_ORDER,
                    "the last reference is released while the port is bound to its miniport",
                    "release the port once at the end of StartDevice, and in the miniport only what it AddRefed",
                ),
            )
        }
        if let Some(bound) = object.bound.with(Option::take) {
            event_list::end_port(object.address() as usize, bound.unknown.as_raw());
            bound.give_up();
        }
    }
}

static VERSION_VTABLE: [Slot; 4] = {
    let unknown = facet_unknown::<Port>();
    [unknown[0], unknown[1], unknown[2], Slot(get_version as *const ())]
};

static EVENTS_VTABLE: [Slot; 5] = {
    let unknown = facet_unknown::<Port>();
    [
        unknown[0],
        unknown[1],
        unknown[2],
        Slot(add_event_to_event_list as *const ()),
        Slot(generate_event_list as *const ()),
    ]
};

static UNREGISTER_SUBDEVICE_VTABLE: [Slot; 4] = {
    let unknown = facet_unknown::<Port>();
    [unknown[0], unknown[1], unknown[2], Slot(unregister_subdevice as *const ())]
};

static UNREGISTER_CONNECTION_VTABLE: [Slot; 6] = {
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

static SINK_VTABLE: [Slot; 4] = {
    let unknown = facet_unknown::<Port>();
    [unknown[0], unknown[1], unknown[2], Slot(request_service as *const ())]
};

type This = *mut Object<Port>;

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

/// At any IRQL.
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

/// The miniport's group asks the port for service. The documentation has it service the miniport's capture streams;
/// this port has none, and streams with a group of their own are serviced by their own sink.
unsafe extern "win64" fn request_service(_this: *mut Facet<Port>) {
    irql::at_most(DISPATCH_LEVEL, "IServiceSink", "RequestService");
}

unsafe extern "win64" fn init(
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
        let Ok(miniport) = unknown.query(&guids::IID_IMINIPORTDMUS) else { return STATUS_INVALID_PARAMETER };
        interface_checks::check_interfaces(
            &miniport,
            &[guids::IID_IMINIPORT, guids::IID_IMINIPORTDMUS],
            rules::MINIPORT_INTERFACES,
            "IMiniportDMus",
        );
        interface_checks::check_slots(&miniport, interface_checks::MINIPORT_DMUS_METHODS, "IMiniportDMus");
        interface_checks::check_optional(&miniport);
        if call_faults::must_fail("IPort::Init") || kernel::refuse("IPort::Init") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let stand_in = if adapter.is_null() { stand_in::stand_in() } else { None };
        let mut group = core::ptr::null_mut();
        let status = interrupt_sync::during_init(|| {
            let adapter = stand_in.as_ref().map_or(adapter, Com::as_raw);
            slots::miniport_dmus::init(miniport.as_raw(), adapter, resources, port.as_raw(), &raw mut group)
        });
        if !adapter.is_null() || stand_in.is_some() || success(status) {
            rules::UNKNOWN_ADAPTER.held();
        }
        let registered = port.registered.with(|registered| registered.as_ref().map(Foreign::as_raw));
        if !success(status) {
            if let Some(registered) = port.registered.with(Option::take) {
                slots::service_group::remove_member(registered.as_raw(), port.sink.address());
            }
            return status;
        }
        if group != registered.unwrap_or(core::ptr::null_mut()) {
            violation(
                "IMiniportDMus::Init",
                Violation::new(
                    rules::SERVICE_GROUP,
                    format!("Init puts out service group {group:p}, and {registered:?} was registered with the port"),
                    "register the service group with IPortDMus::RegisterServiceGroup and put the same one out, AddRefed",
                ),
            )
        }
        rules::SERVICE_GROUP.held();
        let (descriptor, fingerprint) = describe(&miniport);
        if describe(&miniport) != (descriptor, fingerprint) {
            changed_description("another descriptor is given the second time");
        }
        let filter = Filter::read(descriptor).and_then(|filter| filter.check().map(|()| filter));
        let filter = filter.unwrap_or_else(|broken| violation("IMiniport::GetDescription", broken));
        for rule in [
            rules::DESCRIPTION_CONSTANT,
            rules::DESCRIPTOR_SIZES,
            rules::PIN_DESCRIPTORS,
            rules::MUSIC_PIN,
            rules::CONNECTIONS,
            rules::SYNTHESIZER_NODE,
            rules::CATEGORIES,
        ] {
            rule.held();
        }
        let pin_count = miniport.query(&guids::IID_IPINCOUNT).ok();
        port.groups[MINIPORT_GROUP].store(group, Ordering::Release);
        let bound = Bound {
            fdo: fdo as usize,
            miniport: Arc::new(miniport),
            unknown: Arc::new(unknown),
            adapter: (!adapter.is_null()).then(|| Foreign::from_borrowed(adapter)),
            stand_in,
            resources: resources::list(resources),
            group: (!group.is_null()).then(|| Foreign::from_owned(group)),
            instances: vec![0; filter.pins.len()],
            streams: Vec::new(),
            filter: Arc::new(filter),
            descriptor: descriptor as usize,
            fingerprint,
            pin_count: pin_count.map(Arc::new),
        };
        interface_checks::check_service(&bound.miniport);
        if let Some(list) = &bound.resources {
            LISTS.with(|lists| lists.push(list.as_raw() as usize));
        }
        port.bound.with(|place| *place = Some(bound));
        adapter::services().note_initialised(fdo, &port);
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn get_device_property(
    this: This,
    property: u32,
    room: u32,
    buffer: PVOID,
    length: *mut u32,
) -> NTSTATUS {
    irql::passive("IPortDMus", "GetDeviceProperty");
    if kernel::refuse("IPort::GetDeviceProperty") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller holds a reference.
    let Some(fdo) = unsafe { object(this) }.with(|bound| bound.fdo) else { return STATUS_INVALID_DEVICE_REQUEST };
    // SAFETY: the caller's buffer and length.
    unsafe { adapter::services().device_property(fdo as PVOID, property, room, buffer, length) }
}

/// Keys of the port's device, and of its subdevice's interface.
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
    irql::passive("IPortDMus", "NewRegistryKey");
    // SAFETY: the caller holds a reference.
    let fdo = unsafe { object(this) }.with(|bound| bound.fdo).unwrap_or(0);
    // SAFETY: the caller's out parameters and attributes.
    unsafe {
        adapter::services().registry_key(
            fdo as PVOID,
            this.cast(),
            (out, outer),
            (kind, access),
            attributes,
            options,
            disposition,
        )
    }
}

/// At any IRQL: this is what interrupt service routines call.
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

unsafe extern "win64" fn register_service_group(this: This, group: PVOID) {
    irql::passive("IPortDMus", "RegisterServiceGroup");
    // SAFETY: the caller holds references to port and group.
    let port = unsafe { object(this) };
    if group.is_null() || port.registered.with(|registered| registered.is_some()) {
        violation(
            "IPortDMus::RegisterServiceGroup",
            Violation::new(
                rules::SERVICE_GROUP,
                if group.is_null() { "NULL is registered" } else { "a second service group is registered" },
                "register one service group, in Init, before interrupts are enabled",
            ),
        )
    }
    // SAFETY: as above.
    let held = unsafe {
        service_group::join(group, port.sink.address());
        Foreign::from_borrowed(group)
    };
    port.groups[MINIPORT_GROUP].store(group, Ordering::Release);
    port.registered.with(|registered| *registered = Some(held));
    interrupt_sync::group_registered();
}

#[cfg(target_os = "none")]
crate::export_functions! {
    /// What makes ports.
    pub(crate) static EXPORTS;

    /// Makes a port. DMus and Midi are one implementation (since Windows XP); others are not here.
    [PASSIVE] fn PcNewPort(out: *mut PVOID, class: *const GUID) -> NTSTATUS {
        if out.is_null() || class.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        if call_faults::must_fail("PcNewPort") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let class = class.read_unaligned();
        if class != guids::CLSID_PORTDMUS && class != guids::CLSID_PORTMIDI {
            out.write(core::ptr::null_mut());
            return STATUS_NOT_SUPPORTED;
        }
        out.write(Port::create().into_raw());
        STATUS_SUCCESS
    }
}
