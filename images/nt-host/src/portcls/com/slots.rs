//! What drivers implement, called by slot number: the place in the vtable, the signature, and the IRQL of each method.
//!
//! The types with which drivers in Rust are written are deliberately not used here: a slot or a parameter that is wrong
//! there would then be wrong on both sides unnoticed. Slot numbers count from `QueryInterface`, 0. Every
//! call is made at the IRQL that its page documents and checked for coming back at the same one.

#![allow(unsafe_code, reason = "drivers implement interfaces as vtables")]

use alloc::format;
use core::ffi::c_void;

use super::abi::{DataFormat, FilterDescriptor, KernelEvent, KsState};
use super::guids::GUID;
use crate::bugcheck::response::{self, Response};
use crate::contract::final_status::Outcome;
use crate::contract::violation::{Violation, fatal, violation};
use crate::contract::{rules, watch};
use crate::nt::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::nt::{DEVICE_CAPABILITIES, KIRQL, NTSTATUS, PVOID};
use crate::portcls::kernel;
use crate::portcls::kernel::irql::{self, Raised};

/// An interface pointer of a driver's.
pub(crate) type Interface = *mut c_void;

/// Reads a slot of an object's vtable.
///
/// # Safety
/// `this` points to a live object that begins with a vtable of more than `slot` functions, and `F` is the function
/// pointer type of that slot.
unsafe fn method<F: Copy>(this: Interface, slot: usize, name: &'static str) -> F {
    const { assert!(size_of::<F>() == size_of::<*const ()>()) };
    // SAFETY: by the caller.
    let function = unsafe { this.cast::<*const *const ()>().read().add(slot).read() };
    if function.is_null() {
        fatal(
            name,
            Violation::new(
                rules::REFERENCE_COUNTS,
                format!("slot {slot} of the vtable of {this:p} is null, where {name} should be"),
                "fill every slot of an interface's vtable",
            ),
        )
    }
    // SAFETY: a pointer to code is as large as a function pointer, and by the caller it is one of this type.
    unsafe { core::mem::transmute_copy(&function) }
}

/// Calls `body` and checks that the driver comes back at the level that it was called at.
pub(crate) fn at_same_level<R>(name: &'static str, level: KIRQL, body: impl FnOnce() -> R) -> R {
    if !watch::is_on() {
        return kernel::call_driver(name, body);
    }
    let before = irql::current();
    // A driver that called PortCls too high, and was only reported, has its callback called there.
    assert!(
        before == level || response::to(Some(rules::IRQL.number)) != Response::Stop,
        "PortCls calls {name} at IRQL {before} where {level} is documented"
    );
    let result = kernel::call_driver(name, body);
    let after = irql::current();
    if after == before {
        rules::IRQL.held();
    } else {
        violation(
            name,
            Violation::new(
                rules::IRQL,
                format!("{name} was called at IRQL {before} and returned at {after}"),
                "release every spin lock, and lower what was raised, on every path out",
            ),
        );
        if after > before {
            kernel::lower(before);
        } else {
            kernel::raise(before);
        }
    }
    result
}

/// Declares the methods of an interface: slot, IRQL, signature after `this`.
macro_rules! interface {
    ($(#[$meta:meta])* $module:ident { $($(#[$fmeta:meta])* $slot:literal [$level:ident] $title:literal $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)+ }) => {
        $(#[$meta])*
        pub(crate) mod $module {
            #[allow(unused_imports, reason = "not every interface needs every type")]
            use super::*;

            /// Names and slots.
            #[cfg(test)]
            pub(crate) const METHODS: &[(&str, usize)] = &[$(($title, $slot)),+];
            $(
                $(#[$fmeta])*
                ///
                /// # Safety
                /// `this` is a live object with this interface; the arguments keep the method's contract.
                #[allow(clippy::too_many_arguments, reason = "the interface's, not ours")]
                pub(crate) unsafe fn $name(this: Interface, $($arg: $ty),*) $(-> $ret)? {
                    type Method = unsafe extern "win64" fn(Interface, $($ty),*) $(-> $ret)?;
                    let outcome = at_same_level($title, $level, || {
                        // SAFETY: by the caller; the slot and the signature are those of the header.
                        unsafe { method::<Method>(this, $slot, $title)(this, $($arg),*) }
                    });
                    outcome.finally($title)
                }
            )+
        }
    };
}

/// `IUnknown` (punknown.h). At any IRQL that the object itself allows.
pub(crate) mod unknown {
    use super::*;

    /// Asks for an interface. The result carries a reference.
    ///
    /// # Safety
    /// `this` is a live object.
    pub(crate) unsafe fn query_interface(this: Interface, interface: &GUID, out: &mut PVOID) -> NTSTATUS {
        type Method = unsafe extern "win64" fn(Interface, *const GUID, *mut PVOID) -> NTSTATUS;
        // SAFETY: by the caller; punknown.h, slot 0.
        unsafe { method::<Method>(this, 0, "IUnknown::QueryInterface")(this, interface, out) }
    }

    /// Takes a reference; gives the new count.
    ///
    /// # Safety
    /// `this` is a live object.
    pub(crate) unsafe fn add_ref(this: Interface) -> u32 {
        // SAFETY: by the caller; punknown.h, slot 1.
        unsafe { method::<unsafe extern "win64" fn(Interface) -> u32>(this, 1, "IUnknown::AddRef")(this) }
    }

    /// Returns a reference up; gives the new count.
    ///
    /// # Safety
    /// `this` is a live object, and the caller owns a reference.
    pub(crate) unsafe fn release(this: Interface) -> u32 {
        // The last one runs the object's destructor.
        // SAFETY: by the caller; punknown.h, slot 2.
        kernel::call_driver("IUnknown::Release", || unsafe {
            method::<unsafe extern "win64" fn(Interface) -> u32>(this, 2, "IUnknown::Release")(this)
        })
    }
}

interface! {
    /// `IMiniport` (portcls.h).
    miniport {
        /// Gives the filter descriptor.
        3 [PASSIVE_LEVEL] "IMiniport::GetDescription" get_description(out: *mut *const FilterDescriptor) -> NTSTATUS;
        /// Intersects a client's data range with one of the pin's.
        4 [PASSIVE_LEVEL] "IMiniport::DataRangeIntersection" data_range_intersection(pin: u32, client: *const DataFormat, own: *const DataFormat, room: u32, result: PVOID, length: *mut u32) -> NTSTATUS;
    }
}

interface! {
    /// `IMiniportDMus` (dmusicks.h).
    miniport_dmus {
        /// Brings the miniport up.
        5 [PASSIVE_LEVEL] "IMiniportDMus::Init" init(adapter: PVOID, resources: PVOID, port: PVOID, group: *mut Interface) -> NTSTATUS;
        /// Documented as never called.
        6 [PASSIVE_LEVEL] "IMiniportDMus::Service" service();
        /// Opens a stream.
        7 [PASSIVE_LEVEL] "IMiniportDMus::NewStream" new_stream(stream: *mut Interface, outer: PVOID, pool: i32, pin: u32, kind: i32, format: *const DataFormat, group: *mut Interface, allocator: PVOID, clock: PVOID, prefetch: *mut u64) -> NTSTATUS;
    }
}

interface! {
    /// `IMiniportMidi` (portcls.h).
    miniport_midi {
        /// Brings the miniport up.
        5 [PASSIVE_LEVEL] "IMiniportMidi::Init" init(adapter: PVOID, resources: PVOID, port: PVOID, group: *mut Interface) -> NTSTATUS;
        /// Tells the miniport that its service group was served.
        6 [DISPATCH_LEVEL] "IMiniportMidi::Service" service();
        /// Opens a stream. `capture` is a `BOOLEAN`.
        7 [PASSIVE_LEVEL] "IMiniportMidi::NewStream" new_stream(stream: *mut Interface, outer: PVOID, pool: i32, pin: u32, capture: u8, format: *const DataFormat, group: *mut Interface) -> NTSTATUS;
    }
}

interface! {
    /// `IMiniportMidiStream` (portcls.h).
    midi_stream {
        /// Sets the format, which is MIDI.
        3 [PASSIVE_LEVEL] "IMiniportMidiStream::SetFormat" set_format(format: *const DataFormat) -> NTSTATUS;
        /// Sets the state.
        4 [PASSIVE_LEVEL] "IMiniportMidiStream::SetState" set_state(state: KsState) -> NTSTATUS;
        /// Takes what the device has received.
        5 [DISPATCH_LEVEL] "IMiniportMidiStream::Read" read(buffer: *mut u8, length: u32, read: *mut u32) -> NTSTATUS;
        /// Hands bytes to the device.
        6 [DISPATCH_LEVEL] "IMiniportMidiStream::Write" write(buffer: *const u8, length: u32, written: *mut u32) -> NTSTATUS;
    }
}

interface! {
    /// `IMXF` (dmusicks.h).
    mxf {
        /// Sets the state.
        3 [PASSIVE_LEVEL] "IMXF::SetState" set_state(state: KsState) -> NTSTATUS;
        /// Hands over a chain of events, or NULL to have the stream serviced.
        4 [DISPATCH_LEVEL] "IMXF::PutMessage" put_message(event: *mut KernelEvent) -> NTSTATUS;
        /// Gives a capture stream the sink that its events go to.
        5 [PASSIVE_LEVEL] "IMXF::ConnectOutput" connect_output(sink: PVOID) -> NTSTATUS;
        /// Takes it away: when this returns, the sink is not used any more.
        6 [PASSIVE_LEVEL] "IMXF::DisconnectOutput" disconnect_output(sink: PVOID) -> NTSTATUS;
    }
}

interface! {
    /// `IAllocatorMXF` (dmusicks.h), as the system's own miniports use it.
    allocator_mxf {
        /// Takes events back.
        4 [DISPATCH_LEVEL] "IMXF::PutMessage" put_message(event: *mut KernelEvent) -> NTSTATUS;
        /// Gives an event.
        7 [DISPATCH_LEVEL] "IAllocatorMXF::GetMessage" get_message(event: *mut *mut KernelEvent) -> NTSTATUS;
        /// Gives a buffer.
        9 [DISPATCH_LEVEL] "IAllocatorMXF::GetBuffer" get_buffer(buffer: *mut *mut u8) -> NTSTATUS;
    }
}

interface! {
    /// `IPortDMus` and `IPortMidi` (dmusicks.h, portcls.h), as the system's own miniports use them.
    music_port {
        /// Registers the group that `Notify` serves.
        7 [PASSIVE_LEVEL] "IPortDMus::RegisterServiceGroup" register_service_group(group: PVOID);
    }
}

/// Calls `IAllocatorMXF::GetBufferSize`: at any IRQL.
///
/// # Safety
/// `allocator` is a live allocator.
pub(crate) unsafe fn buffer_size_at_any_irql(allocator: Interface) -> u16 {
    // SAFETY: by the caller; dmusicks.h, slot 8.
    unsafe {
        method::<unsafe extern "win64" fn(Interface) -> u16>(allocator, 8, "IAllocatorMXF::GetBufferSize")(allocator)
    }
}

/// Calls `Notify` of `IPortDMus` or `IPortMidi` at the caller's IRQL: any.
///
/// # Safety
/// `port` is a live port with one of the two, and `group` a live service group.
pub(crate) unsafe fn notify_at_any_irql(port: Interface, group: PVOID) {
    // SAFETY: by the caller; dmusicks.h and portcls.h, slot 6.
    unsafe { method::<unsafe extern "win64" fn(Interface, PVOID)>(port, 6, "IPortDMus::Notify")(port, group) }
}

interface! {
    /// `ISynthSinkDMus` (dmusicks.h).
    synth_sink {
        /// Renders frames. The page says bytes, the public sample and the user-mode twin say frames; frames it is.
        7 [PASSIVE_LEVEL] "ISynthSinkDMus::Render" render(buffer: *mut u8, length: u32, position: i64);
        /// Anchors the sample clock to master time.
        8 [PASSIVE_LEVEL] "ISynthSinkDMus::SyncToMaster" sync_to_master(time: i64, start: i32) -> NTSTATUS;
        /// The master time of a sample.
        9 [PASSIVE_LEVEL] "ISynthSinkDMus::SampleToRefTime" sample_to_ref_time(sample: i64, time: *mut i64) -> NTSTATUS;
        /// The sample at a master time.
        10 [PASSIVE_LEVEL] "ISynthSinkDMus::RefTimeToSample" ref_time_to_sample(time: i64, sample: *mut i64) -> NTSTATUS;
    }
}

interface! {
    /// `IServiceSink` and `IServiceGroup` (portcls.h), where a driver brings its own.
    service_sink {
        /// Asks for service.
        3 [DISPATCH_LEVEL] "IServiceSink::RequestService" request_service();
    }
}

interface! {
    /// `IServiceGroup` (portcls.h), a sink with members.
    service_group {
        /// Adds a sink, with a reference.
        4 [PASSIVE_LEVEL] "IServiceGroup::AddMember" add_member(sink: PVOID) -> NTSTATUS;
        /// Removes a sink, and its reference.
        5 [PASSIVE_LEVEL] "IServiceGroup::RemoveMember" remove_member(sink: PVOID);
    }
}

/// Calls `IServiceGroup::RequestService` at the caller's IRQL: the page says passive level, and `IPortDMus::Notify`,
/// at any, calls it.
///
/// # Safety
/// `group` is a live service group.
pub(crate) unsafe fn request_service_at_any_irql(group: Interface) {
    // SAFETY: by the caller; portcls.h, slot 3.
    unsafe { method::<unsafe extern "win64" fn(Interface)>(group, 3, "IServiceGroup::RequestService")(group) }
}

interface! {
    /// `IAdapterPowerManagement` (portcls.h).
    adapter_power {
        /// Tells the adapter of a new power state.
        3 [PASSIVE_LEVEL] "IAdapterPowerManagement::PowerChangeState" power_change_state(state: u32);
        /// Asks the adapter whether a power state would do.
        4 [PASSIVE_LEVEL] "IAdapterPowerManagement::QueryPowerChangeState" query_power_change_state(state: u32) -> NTSTATUS;
        /// Lets the adapter deepen its power mappings.
        5 [PASSIVE_LEVEL] "IAdapterPowerManagement::QueryDeviceCapabilities" query_device_capabilities(capabilities: *mut DEVICE_CAPABILITIES) -> NTSTATUS;
    }
}

interface! {
    /// `IPowerNotify` (portcls.h).
    power_notify {
        /// Tells a miniport or a stream of a new power state: before the adapter on the way down, after it on the way
        /// up.
        3 [PASSIVE_LEVEL] "IPowerNotify::PowerChangeNotify" power_change_notify(state: u32);
    }
}

interface! {
    /// `IPinCount` (portcls.h).
    pin_count {
        /// Lets the miniport edit instance counts.
        3 [PASSIVE_LEVEL] "IPinCount::PinCount" pin_count(pin: u32, necessary: *mut u32, current: *mut u32, possible: *mut u32, global_current: *mut u32, global_possible: *mut u32);
    }
}

interface! {
    /// `IMiniportTopology` (portcls.h).
    miniport_topology {
        /// Brings the miniport up.
        5 [PASSIVE_LEVEL] "IMiniportTopology::Init" init(adapter: PVOID, resources: PVOID, port: PVOID) -> NTSTATUS;
    }
}

interface! {
    /// `IMiniportWaveCyclic` (portcls.h). Its streams are never opened here.
    miniport_wave_cyclic {
        /// Brings the miniport up.
        5 [PASSIVE_LEVEL] "IMiniportWaveCyclic::Init" init(adapter: PVOID, resources: PVOID, port: PVOID) -> NTSTATUS;
    }
}

interface! {
    /// `IMiniportWavePci` (portcls.h). Its streams are never opened here.
    miniport_wave_pci {
        /// Brings the miniport up.
        5 [PASSIVE_LEVEL] "IMiniportWavePci::Init" init(adapter: PVOID, resources: PVOID, port: PVOID, group: *mut Interface) -> NTSTATUS;
        /// Tells the miniport that its group was asked for service.
        7 [DISPATCH_LEVEL] "IMiniportWavePci::Service" service();
    }
}

interface! {
    /// `IMiniportWaveRT` (portcls.h). Its streams are never opened here.
    miniport_wave_rt {
        /// Brings the miniport up.
        5 [PASSIVE_LEVEL] "IMiniportWaveRT::Init" init(adapter: PVOID, resources: PVOID, port: PVOID) -> NTSTATUS;
        /// Describes the device's DMA.
        7 [PASSIVE_LEVEL] "IMiniportWaveRT::GetDeviceDescription" get_device_description(description: PVOID) -> NTSTATUS;
    }
}

interface! {
    /// `IAdapterPnpManagement` (portcls.h of Windows 10).
    adapter_pnp {
        /// Asks what the adapter can do when its resources are to change.
        3 [PASSIVE_LEVEL] "IAdapterPnpManagement::GetSupportedRebalanceType" get_supported_rebalance_type() -> u32;
        /// Tells the adapter that its device is about to be stopped.
        4 [PASSIVE_LEVEL] "IAdapterPnpManagement::PnpQueryStop" pnp_query_stop();
        /// Tells the adapter that it is not.
        5 [PASSIVE_LEVEL] "IAdapterPnpManagement::PnpCancelStop" pnp_cancel_stop();
        /// Tells the adapter that its device is being stopped.
        6 [PASSIVE_LEVEL] "IAdapterPnpManagement::PnpStop" pnp_stop();
    }
}

interface! {
    /// `IMiniportPnpNotify` (portcls.h of Windows 10).
    miniport_pnp {
        /// Tells a miniport that its device is being stopped.
        3 [PASSIVE_LEVEL] "IMiniportPnpNotify::PnpStop" pnp_stop();
    }
}

/// Calls `PutMessage`, raised to `DISPATCH_LEVEL` from where the caller is.
///
/// # Safety
/// As [`mxf::put_message`].
pub(crate) unsafe fn put_message_at_dispatch(stream: Interface, event: *mut KernelEvent) -> NTSTATUS {
    let raised = Raised::to_dispatch();
    // SAFETY: by the caller.
    let status = unsafe { mxf::put_message(stream, event) };
    drop(raised);
    status
}

/// A reference to a driver's object, given up when dropped.
pub(crate) struct Foreign(Interface);

// SAFETY: objects of drivers count references atomically and are called from any thread (COM rules of PortCls).
unsafe impl Send for Foreign {}
// SAFETY: as above.
unsafe impl Sync for Foreign {}

impl Foreign {
    /// Takes over a reference that the driver handed out.
    ///
    /// # Safety
    /// The pointer is a live object, and the reference is the caller's.
    pub(crate) unsafe fn from_owned(pointer: Interface) -> Self {
        Self(pointer)
    }

    /// Takes a reference of one's own.
    ///
    /// # Safety
    /// The pointer is a live object.
    pub(crate) unsafe fn from_borrowed(pointer: Interface) -> Self {
        // SAFETY: by the caller.
        unsafe { unknown::add_ref(pointer) };
        Self(pointer)
    }

    /// Returns the interface pointer.
    pub(crate) fn as_raw(&self) -> Interface {
        self.0
    }

    /// Asks for another interface.
    pub(crate) fn query(&self, interface: &GUID) -> Result<Self, NTSTATUS> {
        let mut out = core::ptr::null_mut();
        // SAFETY: this reference keeps the object alive.
        let status = unsafe { unknown::query_interface(self.0, interface, &mut out) };
        if crate::nt::status::success(status) && !out.is_null() { Ok(Self(out)) } else { Err(status) }
    }

    /// Returns the reference count, found by taking and giving up one.
    pub(crate) fn references(&self) -> u32 {
        // SAFETY: this reference keeps the object alive; the one taken is given up again.
        unsafe {
            unknown::add_ref(self.0);
            unknown::release(self.0)
        }
    }

    /// Returns the reference up now; gives what remains.
    pub(crate) fn release(self) -> u32 {
        let pointer = core::mem::ManuallyDrop::new(self).0;
        // SAFETY: the reference is ours, and `self` is gone without another release.
        unsafe { unknown::release(pointer) }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { unknown::release(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::ToOwned;
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn slots_equal_those_of_the_portcls_crate() {
        let ours = [
            miniport::METHODS,
            miniport_dmus::METHODS,
            mxf::METHODS,
            allocator_mxf::METHODS,
            music_port::METHODS,
            synth_sink::METHODS,
            service_sink::METHODS,
            service_group::METHODS,
            adapter_power::METHODS,
            power_notify::METHODS,
            pin_count::METHODS,
            miniport_topology::METHODS,
            miniport_wave_cyclic::METHODS,
            miniport_wave_pci::METHODS,
            miniport_wave_rt::METHODS,
            adapter_pnp::METHODS,
            miniport_pnp::METHODS,
        ];
        for (title, slot) in ours.concat() {
            let (interface, method) = title.split_once("::").expect("an interface and a method");
            let found = portcls::interface::ALL
                .iter()
                .filter(|entry| entry.name == interface)
                .flat_map(|entry| entry.methods)
                .find(|entry| entry.name == method);
            assert_eq!(found.map(|entry| entry.slot), Some(slot), "{title}");
        }
    }

    /// Returns the methods that the public portcls.h declares in an interface, in their order, without those of its
    /// bases.
    fn declared(header: &str, interface: &str) -> Vec<String> {
        let start = header.find(&format!("DECLARE_INTERFACE_({interface},")).expect("the interface is declared");
        let body = &header[start..start + header[start..].find("};").expect("a declaration ends")];
        let methods = body.split("STDMETHOD").skip(1).map(|method| {
            let arguments = &method[method.find('(').expect("a macro has arguments") + 1..];
            let arguments = &arguments[..arguments.find(')').expect("the macro's arguments end")];
            arguments.rsplit(',').next().unwrap_or_default().trim().to_owned()
        });
        methods.collect()
    }

    #[test]
    fn slots_of_the_midi_interfaces_equal_those_of_the_public_header() {
        let header = std::fs::read_to_string("/usr/share/mingw-w64/include/ddk/portcls.h")
            .expect("package mingw-w64-common has the public headers");
        for (ours, interface, inherited) in
            [(miniport_midi::METHODS, "IMiniportMidi", 5), (midi_stream::METHODS, "IMiniportMidiStream", 3)]
        {
            let declared: Vec<_> = declared(&header, interface)
                .into_iter()
                .zip(inherited..)
                .map(|(method, slot)| (format!("{interface}::{method}"), slot))
                .collect();
            let ours: Vec<_> = ours.iter().map(|(title, slot)| ((*title).to_owned(), *slot)).collect();
            assert_eq!(declared, ours);
        }
    }
}
