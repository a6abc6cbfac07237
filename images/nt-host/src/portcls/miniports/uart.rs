//! The MPU-401 miniports as objects: `IMiniportDMus` or `IMiniportMidi`, `IMusicTechnology`, `IPowerNotify`.

#![allow(unsafe_code, reason = "drivers and the port call the miniport through its vtables")]

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering};

use super::descriptor::{Description, Pins, Streams};
use super::mpu401::{Mpu401, PORTS};
use super::{bytes, events};
use crate::nt::status::{
    STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_PARAMETER, STATUS_IO_DEVICE_ERROR, STATUS_NOT_IMPLEMENTED, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
    success,
};
use crate::nt::{CM_RESOURCE_TYPE_INTERRUPT, CM_RESOURCE_TYPE_PORT, NTSTATUS, PVOID};
use crate::portcls::com::abi::{DataFormat, FilterDescriptor};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::object::{Class, Com, Facet, Object, Slot, facet_unknown, object, unknown};
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel;
use crate::portcls::kernel::irql;
use crate::portcls::kernel::lock::Lock;
use crate::portcls::services::interrupt_sync::InterruptSync;
use crate::portcls::services::resources;
use crate::portcls::services::service_group::ServiceGroup;

/// `PowerDeviceD0`.
const D0: u32 = 1;

/// Which interface a miniport has.
pub(crate) trait Kind: Sized + 'static {
    /// Its name.
    const NAME: &'static str;
    /// Its identifier.
    const INTERFACE: GUID;
    /// Its streams.
    const STREAMS: Streams;
    /// Its `NewStream`, the only method that differs.
    const NEW_STREAM: Slot;
}

/// `IMiniportDMus`.
pub(crate) struct Dmus;

impl Kind for Dmus {
    const NAME: &'static str = "IMiniportDMus (of the system, MPU-401)";
    const INTERFACE: GUID = guids::IID_IMINIPORTDMUS;
    const STREAMS: Streams = Streams::Events;
    const NEW_STREAM: Slot = Slot(events::new_stream as *const ());
}

/// `IMiniportMidi`.
pub(crate) struct Midi;

impl Kind for Midi {
    const NAME: &'static str = "IMiniportMidi (of the system, MPU-401)";
    const INTERFACE: GUID = guids::IID_IMINIPORTMIDI;
    const STREAMS: Streams = Streams::Bytes;
    const NEW_STREAM: Slot = Slot(bytes::new_stream as *const ());
}

/// What the service routine needs. It is freed when the interrupt is disconnected.
struct Service {
    device: Arc<Mpu401>,
    port: usize,
    group: usize,
}

/// What a miniport has from `Init` on.
pub(super) struct Up {
    /// The device.
    pub(super) device: Arc<Mpu401>,
    /// The group that is served when something was received.
    pub(super) group: Com<ServiceGroup>,
    /// The interrupt; without one the device is looked at by a timer.
    sync: Option<Com<InterruptSync>>,
    _service: Box<Service>,
    _port: Foreign,
}

impl Up {
    /// Returns the group that is served when a timer finds something received. Null where an interrupt says so.
    pub(super) fn polled_group(&self) -> PVOID {
        if self.sync.is_some() { core::ptr::null_mut() } else { self.group.as_raw() }
    }
}

/// A miniport for an MPU-401.
pub(crate) struct Uart<K: Kind> {
    technology: Facet<Uart<K>>,
    power: Facet<Uart<K>>,
    description: Description,
    up: Lock<Option<Arc<Up>>>,
    /// Render streams that are open, a bit for each pin.
    render_open: AtomicU32,
    kind: PhantomData<K>,
}

// SAFETY: the marker holds nothing; everything else says by its own types how it is shared.
unsafe impl<K: Kind> Sync for Uart<K> {}
// SAFETY: as above.
unsafe impl<K: Kind> Send for Uart<K> {}

/// What a pin can be opened as.
pub(super) enum Opened {
    /// A pin to send to, by its number.
    Render(u32),
    /// The pin that captures.
    Capture,
}

impl<K: Kind> Uart<K> {
    /// Makes a miniport that is not bound to a port.
    pub(crate) fn create(pins: Pins) -> Com<Self> {
        let miniport = Com::new(Self {
            technology: Facet::new(const { &technology_vtable::<K>() }),
            power: Facet::new(const { &power_vtable::<K>() }),
            description: Description::new(pins, K::STREAMS),
            up: Lock::new(None),
            render_open: AtomicU32::new(0),
            kind: PhantomData,
        });
        miniport.technology.bind(&miniport);
        miniport.power.bind(&miniport);
        miniport
    }

    /// Returns what the miniport has from `Init` on.
    pub(super) fn up(&self) -> Option<Arc<Up>> {
        self.up.with(|up| up.clone())
    }

    /// Takes a pin for a stream.
    ///
    /// # Errors
    /// `STATUS_INVALID_DEVICE_REQUEST` for a pin that does not carry such a stream, has one already, or is not there, and
    /// before `Init`; `STATUS_INVALID_PARAMETER` for a format that is none of the pin's.
    ///
    /// # Safety
    /// The format is null, or as long as its `FormatSize` says and at least that field long.
    pub(super) unsafe fn open(
        &self,
        pin: u32,
        capture: bool,
        format: *const DataFormat,
    ) -> Result<(Arc<Up>, Opened), NTSTATUS> {
        let up = self.up().ok_or(STATUS_INVALID_DEVICE_REQUEST)?;
        // SAFETY: by the caller.
        if !unsafe { self.description.carries(pin, format) } {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let opened = match self.description.captures(pin) {
            Some(true) if capture && up.device.open_capture() => Opened::Capture,
            Some(false) if !capture && self.render_open.fetch_or(1 << pin, Ordering::AcqRel) & 1 << pin == 0 => {
                Opened::Render(pin)
            }
            _ => return Err(STATUS_INVALID_DEVICE_REQUEST),
        };
        Ok((up, opened))
    }

    /// Gives a pin up that [`Self::open`] took.
    pub(super) fn close(&self, up: &Up, opened: &Opened) {
        match opened {
            Opened::Capture => up.device.close_capture(),
            Opened::Render(pin) => _ = self.render_open.fetch_and(!(1 << pin), Ordering::AcqRel),
        }
    }
}

impl<K: Kind> Class for Uart<K> {
    const NAME: &'static str = K::NAME;
    const INTERFACES: &'static [GUID] = &[guids::IID_IMINIPORT, K::INTERFACE];

    fn vtable() -> &'static [Slot] {
        const {
            &{
                let unknown = unknown::<Self>();
                [
                    unknown[0],
                    unknown[1],
                    unknown[2],
                    Slot(get_description::<K> as *const ()),
                    Slot(data_range_intersection as *const ()),
                    Slot(init::<K> as *const ()),
                    Slot(service as *const ()),
                    K::NEW_STREAM,
                ]
            }
        }
    }

    fn other_interface(object: &Object<Self>, interface: &GUID) -> Option<PVOID> {
        match *interface {
            guids::IID_IMUSICTECHNOLOGY => Some(object.technology.address()),
            guids::IID_IPOWERNOTIFY => Some(object.power.address()),
            _ => None,
        }
    }

    fn released(object: &Object<Self>) {
        if let Some(up) = object.up.with(Option::take)
            && let Some(sync) = &up.sync
        {
            InterruptSync::disconnect(sync);
        }
    }
}

const fn technology_vtable<K: Kind>() -> [Slot; 4] {
    let unknown = facet_unknown::<Uart<K>>();
    [unknown[0], unknown[1], unknown[2], Slot(set_technology::<K> as *const ())]
}

const fn power_vtable<K: Kind>() -> [Slot; 4] {
    let unknown = facet_unknown::<Uart<K>>();
    [unknown[0], unknown[1], unknown[2], Slot(power_change_notify::<K> as *const ())]
}

unsafe extern "win64" fn get_description<K: Kind>(
    this: *mut Object<Uart<K>>,
    out: *mut *const FilterDescriptor,
) -> NTSTATUS {
    irql::passive("IMiniport", "GetDescription");
    // SAFETY: the caller holds a reference, and gives an out parameter.
    unsafe { out.write(object(this).description.filter()) };
    STATUS_SUCCESS
}

/// Leaves the intersection to the port (nf-portcls-iminiport-datarangeintersection).
unsafe extern "win64" fn data_range_intersection(
    _this: PVOID,
    _pin: u32,
    _client: PVOID,
    _own: PVOID,
    _room: u32,
    _result: PVOID,
    _length: *mut u32,
) -> NTSTATUS {
    irql::passive("IMiniport", "DataRangeIntersection");
    STATUS_NOT_IMPLEMENTED
}

/// Does nothing: the port's sinks in the groups do what there is to do.
unsafe extern "win64" fn service(_this: PVOID) {}

unsafe extern "win64" fn init<K: Kind>(
    this: *mut Object<Uart<K>>,
    _adapter: PVOID,
    list: PVOID,
    port: PVOID,
    group: *mut PVOID,
) -> NTSTATUS {
    irql::passive(K::NAME, "Init");
    // SAFETY: the caller holds references to what it passes, and gives an out parameter.
    unsafe {
        group.write(core::ptr::null_mut());
        match bring_up(list, port) {
            Ok(up) => {
                group.write(up.group.clone().into_raw());
                object(this).up.with(|place| *place = Some(Arc::new(up)));
                STATUS_SUCCESS
            }
            Err((status, what)) => {
                kernel::warn(format_args!("{}: Init fails with {status:#010x}: {what}", K::NAME));
                status
            }
        }
    }
}

/// Finds the device in the resource list, and connects its interrupt.
///
/// # Safety
/// `port` is a live port with `IPortDMus` or `IPortMidi`.
unsafe fn bring_up(list: PVOID, port: PVOID) -> Result<Up, (NTSTATUS, alloc::string::String)> {
    let list = resources::list(list).ok_or((
        STATUS_DEVICE_CONFIGURATION_ERROR,
        "there is no resource list: pass that of StartDevice, or a sublist".into(),
    ))?;
    let ports = list.translated(i32::from(CM_RESOURCE_TYPE_PORT), 0).ok_or((
        STATUS_DEVICE_CONFIGURATION_ERROR,
        "the resource list has no I/O ports: put the MPU-401's first".into(),
    ))?;
    // SAFETY: the type says which member of the union it is.
    let range = unsafe { ports.u.Memory };
    let (start, length) = (range.Start, range.Length);
    let base =
        u16::try_from(start).ok().filter(|base| length >= PORTS && base.checked_add(1).is_some()).ok_or_else(|| {
            (
                STATUS_DEVICE_CONFIGURATION_ERROR,
                format!("ports {start:#x}, {length} of them, are no {PORTS} ports of an MPU-401"),
            )
        })?;
    let device = Mpu401::at(base).map_err(|error| (STATUS_IO_DEVICE_ERROR, format!("{error}")))?;
    let group = ServiceGroup::create();
    let service =
        Box::new(Service { device: Arc::clone(&device), port: port as usize, group: group.as_raw() as usize });
    // SAFETY: a live port.
    unsafe { slots::music_port::register_service_group(port, group.as_raw()) };
    let mut sync = None;
    if list.count(i32::from(CM_RESOURCE_TYPE_INTERRUPT)) > 0 {
        let context = (&raw const *service).cast_mut().cast();
        // SAFETY: the context lives until the interrupt is disconnected.
        let made = unsafe { InterruptSync::with_routine(&list, serve, context) };
        let made = made.unwrap_or(Err(STATUS_INSUFFICIENT_RESOURCES));
        let connected = made.and_then(|sync| {
            let status = InterruptSync::connect(&sync);
            if success(status) { Ok(sync) } else { Err(status) }
        });
        sync = Some(connected.map_err(|status| (status, "the interrupt cannot be connected".into()))?);
    }
    // SAFETY: a live port.
    let port = unsafe { Foreign::from_borrowed(port) };
    Ok(Up { device, group, sync, _service: service, _port: port })
}

/// Takes what the device has received, and lets the port serve the group: the service routine.
unsafe extern "win64" fn serve(_sync: PVOID, context: PVOID) -> NTSTATUS {
    // SAFETY: the context lives until the interrupt is disconnected, and so do port and group.
    unsafe {
        let service = &*context.cast_const().cast::<Service>();
        if !service.device.drain() {
            return STATUS_UNSUCCESSFUL;
        }
        slots::notify_at_any_irql(service.port as PVOID, service.group as PVOID);
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn set_technology<K: Kind>(this: *mut Facet<Uart<K>>, technology: *const GUID) -> NTSTATUS {
    irql::passive("IMusicTechnology", "SetTechnology");
    // SAFETY: the caller holds a reference to the facet, which is one to its object, and gives a GUID.
    unsafe {
        object(Facet::owner(this).cast::<Object<Uart<K>>>()).description.set_technology(technology.read_unaligned());
    };
    STATUS_SUCCESS
}

unsafe extern "win64" fn power_change_notify<K: Kind>(this: *mut Facet<Uart<K>>, state: u32) {
    irql::passive("IPowerNotify", "PowerChangeNotify");
    // SAFETY: the caller holds a reference to the facet, which is one to its object.
    let up = unsafe { object(Facet::owner(this).cast::<Object<Uart<K>>>()).up() };
    if let Some(up) = up
        && let Err(error) = up.device.set_power(state == D0)
    {
        kernel::warn(format_args!("{}: after power state {state}: {error}", K::NAME));
    }
}
