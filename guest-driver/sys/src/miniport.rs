//! `IMiniportDMus`.
#![allow(unsafe_code, reason = "a virtual table of functions that PortCls calls")]

use alloc::boxed::Box;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use card_spec::identity::capability;
use dmus_miniport::filter::{self, Description, Handlers};
use dmus_miniport::format::{self, StreamFormat};
use dmus_miniport::irql::Passive;
use dmus_miniport::pins::{Abilities, Pins};
use dmus_miniport::topology;
use portcls::descriptor::{PcFilterDescriptor, PropertyHandler};
use portcls::dmus::{
    DONT_HOLD_FOR_SEQUENCING, DmusStreamType, IAllocatorMXF, IMXF, IMasterClock, IMiniportDMus, IMiniportDMusTable,
    IPortDMus,
};
use portcls::guid::{IID_IMiniport, IID_IMiniportDMus, IID_IMusicTechnology, IID_IPinCount, IID_IPowerNotify};
use portcls::interface::IUnknown;
use portcls::ks::{KsDataFormat, KsDataRange};
use portcls::power::{IPowerNotify, IPowerNotifyTable, PowerState};
use portcls::resource::IResourceList;
use portcls::services::{
    IMiniport, IMiniportTable, IMusicTechnology, IMusicTechnologyTable, IPinCount, IPinCountTable, IServiceGroup,
};
use portcls::{Guid, NtStatus};

use crate::com::{Class, Foreign, Object, OtherTable, Owned, unknown, unknown_of_other};
use crate::function::Function;
use crate::pool::try_place;
use crate::power::{self, AdapterPower};
use crate::running::Running;
use crate::stream::Stream;
use crate::{pending_request, property};

/// A miniport's filter description, in memory of its own: it must not move.
struct Described(NonNull<Description<PropertyHandlers>>);

// SAFETY: a description is only read, but for its technology, which is written atomically.
unsafe impl Send for Described {}
// SAFETY: as above.
unsafe impl Sync for Described {}

impl Described {
    /// Allocates a description and writes it. `None`: no memory.
    fn new(level: Passive) -> Option<Self> {
        let mut place = try_place::<Description<PropertyHandlers>>(level)?;
        Description::describe(&mut place);
        Some(Self(NonNull::from(Box::leak(place)).cast()))
    }

    fn descriptor(&self) -> *const PcFilterDescriptor {
        // SAFETY: described, and alive.
        unsafe { Description::descriptor(self.0) }
    }
}

impl Drop for Described {
    fn drop(&mut self) {
        // SAFETY: leaked in `new`, with this layout.
        drop(unsafe { Box::from_raw(self.0.as_ptr().cast::<MaybeUninit<Description<PropertyHandlers>>>()) });
    }
}

/// The miniport.
pub(crate) struct Miniport {
    function: Function,
    description: Described,
    /// The started card. Null before `Init`, and never changed after it.
    running: AtomicPtr<Running>,
    /// Open instances of each pin.
    pins: Pins,
    /// Brings the started card to the device's power states.
    power: Owned<AdapterPower>,
}

struct PropertyHandlers;

impl Handlers for PropertyHandlers {
    const PROPERTY: PropertyHandler = property::handler;
}

impl Miniport {
    /// Makes a miniport for a function, without a started card. `None`: no memory.
    pub(crate) fn new(level: Passive, function: Function, power: Owned<AdapterPower>) -> Option<Self> {
        let description = Described::new(level)?;
        Some(Self { function, description, running: AtomicPtr::new(ptr::null_mut()), pins: Pins::new(), power })
    }

    /// Returns the started card. `None`: `Init` has not succeeded.
    pub(crate) fn running(&self) -> Option<&Running> {
        // SAFETY: once set it lives as long as the miniport.
        unsafe { self.running.load(Ordering::Acquire).as_ref() }
    }

    /// Uncounts an instance of a pin.
    pub(crate) fn give_instance(&self, pin: u32) {
        self.pins.give(pin);
    }
}

impl Drop for Miniport {
    fn drop(&mut self) {
        let running = *self.running.get_mut();
        // SAFETY: the last reference to a miniport goes at PASSIVE_LEVEL.
        let level = unsafe { Passive::assume() };
        // SAFETY: no card is named.
        unsafe { self.power.set_follower(level, None) };
        if !running.is_null() {
            // SAFETY: the device object outlives the card; streams keep the miniport, so no request is pending.
            unsafe { pending_request::store_card(self.function.device, ptr::null_mut()) };
            // SAFETY: leaked in `init`; streams keep the miniport, so there are none.
            drop(unsafe { Box::from_raw(running) });
        }
    }
}

impl Class for Miniport {
    type Table = IMiniportDMusTable;
    const TABLE: &'static IMiniportDMusTable = &IMiniportDMusTable {
        base: IMiniportTable { base: unknown::<Self>(), get_description, data_range_intersection },
        init,
        service,
        new_stream,
    };
    type Others = [OtherTable; 3];
    const OTHERS: [OtherTable; 3] = [
        OtherTable::of(
            const { &IPowerNotifyTable { base: unknown_of_other::<Self, POWER_NOTIFY>(), power_change_notify } },
        ),
        OtherTable::of(const { &IPinCountTable { base: unknown_of_other::<Self, PIN_COUNT>(), pin_count } }),
        OtherTable::of(
            const { &IMusicTechnologyTable { base: unknown_of_other::<Self, MUSIC_TECHNOLOGY>(), set_technology } },
        ),
    ];

    fn has(&self, iid: &Guid) -> bool {
        *iid == IID_IMiniport || *iid == IID_IMiniportDMus
    }

    fn place_of(iid: &Guid) -> Option<usize> {
        // In the order of their places.
        [IID_IPowerNotify, IID_IPinCount, IID_IMusicTechnology].iter().position(|other| other == iid)
    }
}

// Places of the miniport's other tables.
const POWER_NOTIFY: usize = 0;
const PIN_COUNT: usize = 1;
const MUSIC_TECHNOLOGY: usize = 2;

unsafe extern "system" fn get_description(this: *mut IMiniport, out: *mut *const PcFilterDescriptor) -> NtStatus {
    if out.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: called through the table of a miniport.
    let miniport = unsafe { Object::<Miniport>::of(this) };
    // SAFETY: a place for a pointer.
    unsafe { out.write(miniport.class.description.descriptor()) };
    NtStatus::SUCCESS
}

unsafe extern "system" fn data_range_intersection(
    _: *mut IMiniport,
    pin: u32,
    client: *const KsDataRange,
    _: *const KsDataRange,
    length: u32,
    result: *mut c_void,
    result_length: *mut u32,
) -> NtStatus {
    if pin as usize >= topology::PINS || result_length.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    if pin != topology::PIN_WAVE {
        // A music format has no parameter to choose: the port intersects it.
        return NtStatus::NOT_IMPLEMENTED;
    }
    // SAFETY: the port gives a whole range.
    let Some(format) = (unsafe { format::intersect_pcm(client) }) else { return NtStatus::NO_MATCH };
    let bytes = format::pcm_data_format(format);
    let needed = bytes.len() as u32;
    // SAFETY: a place for a length.
    unsafe { result_length.write(needed) };
    if length == 0 {
        return NtStatus::BUFFER_OVERFLOW;
    }
    if length < needed || result.is_null() {
        return NtStatus::BUFFER_TOO_SMALL;
    }
    // SAFETY: the port gives `length` bytes.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), result.cast(), bytes.len()) };
    NtStatus::SUCCESS
}

unsafe extern "system" fn init(
    this: *mut IMiniportDMus,
    _adapter: *mut IUnknown,
    resources: *mut IResourceList,
    port: *mut IPortDMus,
    group: *mut *mut IServiceGroup,
) -> NtStatus {
    if group.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: a place for a pointer.
    unsafe { group.write(ptr::null_mut()) };
    if resources.is_null() || port.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: documented for PASSIVE_LEVEL.
    let level = unsafe { Passive::assume() };
    // SAFETY: called through the table of a miniport.
    let miniport = unsafe { Object::<Miniport>::of(this) };
    if miniport.class.running().is_some() {
        return NtStatus::INVALID_DEVICE_STATE;
    }
    // SAFETY: the port's parameters.
    match unsafe { Running::start(level, &miniport.class.function, resources, port) } {
        Ok(running) => {
            // SAFETY: a place for a pointer; the port gets a reference of its own.
            unsafe { group.write(running.service_group()) };
            let running = Box::into_raw(running);
            miniport.class.running.store(running, Ordering::Release);
            // SAFETY: the device that is being started; the card lives until the miniport names none.
            unsafe { pending_request::store_card(miniport.class.function.device, running) };
            // SAFETY: the card lives until the miniport has named another.
            unsafe { miniport.class.power.set_follower(level, NonNull::new(running)) };
            NtStatus::SUCCESS
        }
        Err(status) => status,
    }
}

unsafe extern "system" fn power_change_notify(this: *mut IPowerNotify, state: PowerState) {
    // SAFETY: called through that table of a miniport.
    let miniport = unsafe { Object::<Miniport>::of_other::<POWER_NOTIFY>(this) };
    // SAFETY: documented for PASSIVE_LEVEL.
    let level = unsafe { Passive::assume() };
    if let Some(running) = miniport.class.running() {
        power::change(level, running, state);
    }
}

/// Returns how many instances of a pin there can be, which depends on the other pins and on the card. The port counts
/// the open and the necessary ones itself.
unsafe extern "system" fn pin_count(
    this: *mut IPinCount,
    pin: u32,
    _filter_necessary: *mut u32,
    _filter_current: *mut u32,
    filter_possible: *mut u32,
    _global_current: *mut u32,
    global_possible: *mut u32,
) {
    // SAFETY: called through that table of a miniport.
    let miniport = unsafe { Object::<Miniport>::of_other::<PIN_COUNT>(this) };
    // SAFETY: documented for PASSIVE_LEVEL.
    let level = unsafe { Passive::assume() };
    let Some(running) = miniport.class.running() else { return };
    let abilities =
        Abilities { is_there: !running.card.is_gone(level.into()), captures: running.card.has(capability::CAPTURE) };
    let possible = miniport.class.pins.possible(pin, abilities);
    for place in [filter_possible, global_possible] {
        if !place.is_null() {
            // SAFETY: a place for a number.
            unsafe { place.write(possible) };
        }
    }
}

/// Sets the music technology of the pins' data ranges. It can be set before `Init` only.
unsafe extern "system" fn set_technology(this: *mut IMusicTechnology, technology: *const Guid) -> NtStatus {
    // SAFETY: called through that table of a miniport.
    let miniport = unsafe { Object::<Miniport>::of_other::<MUSIC_TECHNOLOGY>(this) };
    // SAFETY: the caller gives a GUID, or null.
    let Some(technology) = (unsafe { technology.as_ref() }) else { return NtStatus::INVALID_PARAMETER };
    if miniport.class.running().is_some() {
        return NtStatus::INVALID_DEVICE_STATE;
    }
    // SAFETY: described, and alive.
    if unsafe { Description::set_technology(miniport.class.description.0, technology) } {
        NtStatus::SUCCESS
    } else {
        NtStatus::INVALID_PARAMETER
    }
}

/// Does nothing: Windows never calls it.
unsafe extern "system" fn service(_: *mut IMiniportDMus) {}

unsafe extern "system" fn new_stream(
    this: *mut IMiniportDMus,
    out: *mut *mut IMXF,
    outer: *mut IUnknown,
    _pool: u32,
    pin: u32,
    kind: DmusStreamType,
    data_format: *const KsDataFormat,
    group: *mut *mut IServiceGroup,
    allocator: *mut IAllocatorMXF,
    clock: *mut IMasterClock,
    schedule_prefetch: *mut u64,
) -> NtStatus {
    if out.is_null() || group.is_null() || schedule_prefetch.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    // SAFETY: places for pointers.
    unsafe {
        out.write(ptr::null_mut());
        group.write(ptr::null_mut());
    }
    if !outer.is_null() {
        // The driver supports no aggregation.
        return NtStatus::NOT_SUPPORTED;
    }
    // SAFETY: documented for PASSIVE_LEVEL.
    let level = unsafe { Passive::assume() };
    // SAFETY: called through the table of a miniport.
    let miniport = unsafe { Object::<Miniport>::of(this) };
    // SAFETY: the port gives a whole format.
    let Some(format) = (unsafe { format::parse(data_format) }) else { return NtStatus::INVALID_PARAMETER };
    if !filter::accepts(pin, kind, format) {
        return NtStatus::INVALID_PARAMETER;
    }
    let Some(running) = miniport.class.running() else { return NtStatus::DEVICE_NOT_READY };
    // SAFETY: the port's parameters.
    let (allocator, clock) = unsafe { (Foreign::add(allocator), Foreign::add(clock)) };
    if !matches!(format, StreamFormat::Pcm(_)) && (allocator.is_none() || clock.is_none()) {
        return NtStatus::INVALID_PARAMETER;
    }
    if !miniport.class.pins.take(pin) {
        return NtStatus::INVALID_DEVICE_REQUEST;
    }
    // From here on the stream gives the instance back.
    match Stream::open(level, miniport.to_owned(), pin, kind, format, allocator, clock) {
        Ok(stream) => {
            let prefetch = if kind == DmusStreamType::MIDI_RENDER { DONT_HOLD_FOR_SEQUENCING } else { 0 };
            if kind == DmusStreamType::MIDI_CAPTURE {
                // On an interrupt the port requests service of the stream, which then delivers captured events. The
                // other streams have no group: the sink serves the card for them.
                // SAFETY: a place for a pointer; the port gets a reference of its own.
                unsafe { group.write(running.service_group()) };
            }
            // SAFETY: places for a number and a pointer.
            unsafe {
                schedule_prefetch.write(prefetch);
                out.write(stream.into_interface());
            }
            NtStatus::SUCCESS
        }
        Err(status) => status,
    }
}
