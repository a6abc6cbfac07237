//! `IMiniportDMus`.
#![allow(unsafe_code, reason = "a virtual table of functions that PortCls calls")]

use alloc::boxed::Box;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use card_spec::identity::capability;
use dmus_miniport::card::Card;
use dmus_miniport::filter::{self, Description, Handlers};
use dmus_miniport::format::{self, StreamFormat};
use dmus_miniport::irql::Passive;
use dmus_miniport::log::Part;
use dmus_miniport::pci::{self, Bar, Structure, Structures};
use dmus_miniport::pins::{Abilities, Pins};
use dmus_miniport::transport::{Interrupt, Mapped};
use portcls::descriptor::{PcFilterDescriptor, PropertyHandler};
use portcls::dmus::{
    DONT_HOLD_FOR_SEQUENCING, DmusStreamType, IAllocatorMXF, IMXF, IMasterClock, IMiniportDMus, IMiniportDMusTable,
    IPortDMus,
};
use portcls::guid::{IID_IMiniport, IID_IMiniportDMus, IID_IMusicTechnology, IID_IPinCount, IID_IPowerNotify};
use portcls::interface::IUnknown;
use portcls::ks::{KsDataFormat, KsDataRange};
use portcls::power::{IPowerNotify, IPowerNotifyTable, PowerState};
use portcls::resource::{IResourceList, interrupt_flag, resource_type};
use portcls::services::{
    IInterruptSync, IMiniport, IMiniportTable, IMusicTechnology, IMusicTechnologyTable, IPinCount, IPinCountTable,
    IServiceGroup, interrupt_sync_mode,
};
use portcls::{Guid, NtStatus, Opaque};

use crate::adapter::check;
use crate::com::{Class, Foreign, Object, OtherTable, Owned, call, unknown, unknown_of_other};
use crate::kernel::{MappedRegisters, Windows, log};
use crate::pool::try_place;
use crate::power::{self, AdapterPower};
use crate::repair::Repair;
use crate::service::Sink;
use crate::stream::Stream;
use crate::{bus, nt, pc, property, waiting};

/// The card's PCI function, as its configuration space describes it.
pub(crate) struct Function {
    /// The driver's device object.
    device: *mut Opaque,
    physical_device: *mut Opaque,
    structures: Structures,
    bars: [Option<Bar>; 6],
}

// SAFETY: a device object may be named from any processor.
unsafe impl Send for Function {}

impl Function {
    /// Reads the function's configuration space.
    pub(crate) fn find(level: Passive, device: *mut Opaque, physical_device: *mut Opaque) -> Result<Self, NtStatus> {
        let mut config = bus::BusInterface::query(level, physical_device)?;
        let structures = pci::find(&mut config).map_err(|error| {
            log(&[Part::Text("the function is not the card: "), Part::Reason(error.into())]);
            NtStatus::NO_SUCH_DEVICE
        })?;
        let bars = core::array::from_fn(|index| pci::bar(&mut config, index as u8));
        Ok(Self { device, physical_device, structures, bars })
    }

    /// Maps a structure: finds the resource that is its BAR, and maps the translated part of it.
    ///
    /// # Safety
    /// `resources` is the list that the device was started with.
    unsafe fn map(
        &self,
        level: Passive,
        resources: *mut IResourceList,
        structure: Structure,
    ) -> Result<MappedRegisters, NtStatus> {
        let wrong = NtStatus::DEVICE_CONFIGURATION_ERROR;
        let bar = self.bars.get(usize::from(structure.bar)).copied().flatten().ok_or(wrong)?;
        // SAFETY: the caller's promise; as below.
        let count = unsafe { call!(resources, number_of_entries_of_type, resource_type::MEMORY) };
        for index in 0..count {
            // SAFETY: as above.
            let raw = unsafe { call!(resources, find_untranslated_entry, resource_type::MEMORY, index) };
            // SAFETY: as above.
            let translated = unsafe { call!(resources, find_translated_entry, resource_type::MEMORY, index) };
            if raw.is_null() || translated.is_null() {
                continue;
            }
            // SAFETY: memory entries of the list.
            let (raw, memory) = unsafe { ((*raw).data.memory, (*translated).data.memory) };
            if raw.start.cast_unsigned() != bar.address {
                continue;
            }
            if structure.offset + structure.length > memory.length {
                return Err(wrong);
            }
            let address = memory.start + i64::from(structure.offset);
            return MappedRegisters::map(level, address, structure.length as usize)
                .ok_or(NtStatus::INSUFFICIENT_RESOURCES);
        }
        Err(wrong)
    }
}

/// What a started card consists of.
pub(crate) struct Running {
    pub(crate) card: Card<Windows>,
    port: Foreign<IPortDMus>,
    group: Foreign<IServiceGroup>,
    sync: Foreign<IInterruptSync>,
    sink: Option<Owned<Sink>>,
    pub(crate) repair: Repair,
}

impl Running {
    /// Brings the card to life.
    ///
    /// # Safety
    /// `resources` and `port` are those of `IMiniportDMus::Init`.
    unsafe fn start(
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
        let repair = unsafe { Repair::new(level, function.device) }.ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        let mut place = try_place::<Self>(level).ok_or(NtStatus::INSUFFICIENT_RESOURCES)?;
        let running = place.as_mut_ptr();
        match Card::start(kernel, level, mapped) {
            // SAFETY: a place in the new memory.
            Ok(card) => unsafe { (&raw mut (*running).card).write(card) },
            Err(error) => {
                log(&[Part::Text("the card does not come to life: "), Part::Reason(error.into())]);
                return Err(error.into());
            }
        }
        // SAFETY: as above.
        unsafe {
            (&raw mut (*running).port).write(port);
            (&raw mut (*running).group).write(group);
            (&raw mut (*running).sync).write(sync);
            (&raw mut (*running).sink).write(None);
            (&raw mut (*running).repair).write(repair);
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

    /// Everything that the interrupt needs, then the interrupt.
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
        // A deferred procedure call may still be on its way on another processor.
        // SAFETY: at PASSIVE_LEVEL.
        unsafe { nt::KeFlushQueuedDpcs() };
        // Nobody asks for a repair any more.
        self.repair.wait(level, self.card.kernel());
    }
}

/// How the first interrupt of a device comes: by a line, or by a message, the first of the function's table.
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

/// The interrupt service routine. The line may be shared: only the card's own status tells.
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

/// The description of a miniport, in memory of its own: it must not move.
struct Described(NonNull<Description<PropertyHandlers>>);

// SAFETY: a description is read by everybody, and what is changed of it is changed atomically.
unsafe impl Send for Described {}
// SAFETY: as above.
unsafe impl Sync for Described {}

impl Described {
    /// `None`: no memory.
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
    /// The started card: null before `Init`, and never changed after it.
    running: AtomicPtr<Running>,
    /// Open instances of each pin.
    pins: Pins,
    /// Tells the started card of power states.
    power: Owned<AdapterPower>,
}

struct PropertyHandlers;

impl Handlers for PropertyHandlers {
    const PROPERTY: PropertyHandler = property::handler;
}

impl Miniport {
    /// A miniport for a function, not started. `None`: no memory.
    pub(crate) fn new(level: Passive, function: Function, power: Owned<AdapterPower>) -> Option<Self> {
        let description = Described::new(level)?;
        Some(Self { function, description, running: AtomicPtr::new(ptr::null_mut()), pins: Pins::new(), power })
    }

    /// The started card.
    pub(crate) fn running(&self) -> Option<&Running> {
        // SAFETY: once set it lives as long as the miniport.
        unsafe { self.running.load(Ordering::Acquire).as_ref() }
    }

    /// Gives an instance of a pin back.
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
            // SAFETY: the device object outlives what is started on it; streams keep the miniport, so nothing waits.
            unsafe { waiting::name_card(self.function.device, ptr::null_mut()) };
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
    if pin as usize >= filter::PINS || result_length.is_null() {
        return NtStatus::INVALID_PARAMETER;
    }
    if pin != filter::PIN_WAVE {
        // A music format has nothing to choose: the port does it.
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
            unsafe { group.write(running.group.handed_out()) };
            let running = Box::into_raw(running);
            miniport.class.running.store(running, Ordering::Release);
            // SAFETY: the device that is being started; the card lives until the miniport names none.
            unsafe { waiting::name_card(miniport.class.function.device, running) };
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

/// Says how many instances of a pin there can be, which depends on what is open on the others and on the card. What is
/// open and what is necessary the port knows itself.
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

/// Chooses the music technology that the pins' data ranges name. Whoever makes the miniport does so before `Init`: from
/// then on the description stays as it is.
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

/// Never called by Windows.
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
        // Nothing is aggregated.
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
                // The interrupt has the port ask the stream for what was captured. It serves the card, not the other
                // streams, which have no group.
                // SAFETY: a place for a pointer; the port gets a reference of its own.
                unsafe { group.write(running.group.handed_out()) };
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
