//! The adapter driver's frame: driver entry, the functional device object, start, subdevices, removal.

#![allow(unsafe_code, reason = "driver objects, device objects and IRPs are structures shared with kernel and driver")]

pub(crate) mod connections;
pub(crate) mod dma_channel;
pub(crate) mod io_timeout;
pub(crate) mod irp;
pub(crate) mod leftovers;
pub(crate) mod pnp;
pub(crate) mod power;
pub(crate) mod registry_key;
mod services;
pub(crate) mod stream_resource;
pub(crate) mod unregister;

pub(crate) use services::Services;

use self::connections::Connections;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use crate::contract::final_status::Outcome;
use crate::contract::violation::{Violation, fatal, violation};
use crate::contract::{rules, services as rules_of_services};
use crate::exports::{
    IoAttachDeviceToDeviceStack, IoCreateDevice, IoDeleteDevice, IoDetachDevice, IoGetDeviceProperty,
};
use crate::io::names;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_NO_SUCH_DEVICE,
    STATUS_OBJECT_NAME_COLLISION, STATUS_SUCCESS, success,
};
use crate::nt::{
    DEVICE_OBJECT, DO_DEVICE_INITIALIZING, DO_POWER_PAGABLE, DRIVER_ADD_DEVICE, DRIVER_OBJECT, FILE_DEVICE_KS,
    FILE_DEVICE_SECURE_OPEN, IRP, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_CREATE, IRP_MJ_DEVICE_CONTROL, IRP_MJ_PNP,
    IRP_MJ_POWER, IRP_MJ_SYSTEM_CONTROL, NTSTATUS, PVOID, UNICODE_STRING,
};
use crate::portcls::com::object::Com;
use crate::portcls::com::slots;
use crate::portcls::kernel;
use crate::portcls::kernel::lock::Lock;
use crate::portcls::pin::clock;
use crate::portcls::port::{self, Port};
use crate::portcls::services::call_faults;
use crate::portcls::services::resources::ResourceList;
use crate::rtl::string::text;

/// `PORT_CLASS_DEVICE_EXTENSION_SIZE`: 64 pointers (portcls.h).
const EXTENSION_BYTES: u32 = 64 * size_of::<usize>() as u32;

/// Pointers of the extension that the adapter driver may use: 4 to 7 (PcAddAdapterDevice). The others of the first 64
/// are PortCls'.
const EXTENSION_FREE: core::ops::Range<usize> = 4..8;

/// What PortCls' part of the extension holds, its first pointer aside.
const EXTENSION_MARK: usize = 0x5043_4C53_4558_5421;

/// Longest subdevice name that is read, in UTF-16 units.
const NAME_MAX: usize = 128;

/// `PCPFNSTARTDEVICE`.
type StartDevice = unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, PVOID) -> NTSTATUS;

/// A registered subdevice.
pub(crate) struct Subdevice {
    /// Its name.
    pub(crate) name: String,
    /// Where the driver keeps the name.
    name_address: usize,
    /// Its port.
    pub(crate) port: Com<Port>,
    /// The symbolic links of its device interfaces, in the order of the filter's categories.
    links: Vec<String>,
}

impl Subdevice {
    /// Disables the device interfaces, so that no client opens the subdevice any more.
    fn disable(&self) {
        for link in &self.links {
            names::enable_interface(link, false);
        }
    }
}

/// What PortCls knows of a functional device object.
struct Adapter {
    fdo: usize,
    pdo: usize,
    lower: usize,
    start: StartDevice,
    max_objects: u32,
    subdevices: Vec<Subdevice>,
    /// Ports that have been initialised and not registered, by address.
    unregistered: Vec<usize>,
    connections: Connections,
}

static ADAPTERS: Lock<Vec<Adapter>> = Lock::new(Vec::new());

/// Calls of `PcInitializeAdapterDriver` since the driver was loaded, and with which driver object.
static INITIALIZED: AtomicU32 = AtomicU32::new(0);
static DRIVER: AtomicPtr<DRIVER_OBJECT> = AtomicPtr::new(core::ptr::null_mut());

/// Calls of `PcAddAdapterDevice` since the last `AddDevice`.
static ADDED: AtomicU32 = AtomicU32::new(0);

/// The driver's own `AddDevice`, which PortCls calls under watch.
static ADD_DEVICE: Lock<Option<DRIVER_ADD_DEVICE>> = Lock::new(None);

fn with<R>(fdo: *mut DEVICE_OBJECT, body: impl FnOnce(&mut Adapter) -> R) -> Option<R> {
    ADAPTERS.with(|adapters| adapters.iter_mut().find(|adapter| adapter.fdo == fdo as usize).map(body))
}

/// Returns the subdevices of all adapters: name and port.
pub(crate) fn subdevices() -> Vec<(String, Com<Port>)> {
    ADAPTERS.with(|adapters| {
        adapters
            .iter()
            .flat_map(|adapter| &adapter.subdevices)
            .map(|subdevice| (subdevice.name.clone(), subdevice.port.clone()))
            .collect()
    })
}

/// Returns the device to send kernel-streaming requests to: the first adapter's.
pub(crate) fn device() -> Option<*mut DEVICE_OBJECT> {
    ADAPTERS.with(|adapters| adapters.first().map(|adapter| adapter.fdo as *mut DEVICE_OBJECT))
}

/// Returns whether this is the functional device object of an adapter.
pub(crate) fn is_fdo(device: *mut DEVICE_OBJECT) -> bool {
    with(device, |_| ()).is_some()
}

/// Returns whether this is the physical device object below an adapter's.
pub(crate) fn is_physical(device: *mut DEVICE_OBJECT) -> bool {
    ADAPTERS.with(|adapters| adapters.iter().any(|adapter| adapter.pdo == device as usize))
}

/// Returns the ports of an adapter's subdevices.
pub(crate) fn ports_of(fdo: *mut DEVICE_OBJECT) -> Vec<Com<Port>> {
    let ports = |adapter: &mut Adapter| adapter.subdevices.iter().map(|subdevice| subdevice.port.clone()).collect();
    with(fdo, ports).unwrap_or_default()
}

/// Returns the port of an adapter's subdevice, by its interface pointer.
fn port_of(fdo: *mut DEVICE_OBJECT, port: PVOID) -> Option<Com<Port>> {
    with(fdo, |adapter| subdevice_of(adapter, port).map(|subdevice| subdevice.port.clone())).flatten()
}

/// Returns the device below an adapter's.
pub(crate) fn lower(fdo: *mut DEVICE_OBJECT) -> Option<*mut DEVICE_OBJECT> {
    with(fdo, |adapter| adapter.lower as *mut DEVICE_OBJECT)
}

/// Returns the physical device below an adapter's.
pub(crate) fn physical(fdo: *mut DEVICE_OBJECT) -> Option<*mut DEVICE_OBJECT> {
    with(fdo, |adapter| adapter.pdo as *mut DEVICE_OBJECT)
}

/// Returns whether this is the port of a subdevice of any adapter's.
pub(crate) fn is_registered(port: PVOID) -> bool {
    ADAPTERS.with(|adapters| adapters.iter().any(|adapter| subdevice_of(adapter, port).is_some()))
}

/// Returns the first device interface of a port's subdevice.
pub(crate) fn interface_of(fdo: *mut DEVICE_OBJECT, port: PVOID) -> Option<String> {
    with(fdo, |adapter| subdevice_of(adapter, port)?.links.first().cloned()).flatten()
}

/// Takes a subdevice from its device, so that no client opens it any more. Returns whether it was one.
pub(crate) fn unregister(fdo: *mut DEVICE_OBJECT, port: PVOID) -> bool {
    let found = with(fdo, |adapter| {
        let index = adapter.subdevices.iter().position(|subdevice| subdevice.port.as_raw() == port)?;
        adapter.connections.orphan(port);
        Some(adapter.subdevices.swap_remove(index))
    });
    let Some(subdevice) = found.flatten() else { return false };
    check_name(&subdevice);
    subdevice.disable();
    true
}

/// Reads a property of the physical device (`PcGetDeviceProperty`).
///
/// # Safety
/// The buffer has `room` bytes, and `length` can be written.
pub(crate) unsafe fn device_property(
    fdo: PVOID,
    property: u32,
    room: u32,
    buffer: PVOID,
    length: *mut u32,
) -> NTSTATUS {
    let Some(pdo) = with(fdo.cast(), |adapter| adapter.pdo) else { return STATUS_INVALID_PARAMETER };
    // SAFETY: the caller's promise; the PDO lives as long as its FDO.
    unsafe { IoGetDeviceProperty(pdo as *mut DEVICE_OBJECT, property, room, buffer, length) }
}

/// Checks, when `DriverEntry` has returned, that it did its part (rule 9).
pub(crate) fn check_driver_entry(driver: *mut DRIVER_OBJECT, status: NTSTATUS) {
    let calls = INITIALIZED.load(Ordering::Relaxed);
    if success(status) && (calls != 1 || DRIVER.load(Ordering::Relaxed) != driver) {
        violation(
            "DriverEntry",
            Violation::new(
                rules::DRIVER_ENTRY,
                format!("it called PcInitializeAdapterDriver {calls} times, with its own driver object or another"),
                "call PcInitializeAdapterDriver(DriverObject, RegistryPath, AddDevice) once and return its status",
            ),
        )
    }
    rules::DRIVER_ENTRY.held();
}

/// Forgets the driver, so that the next one starts anew.
pub(crate) fn forget_driver() {
    INITIALIZED.store(0, Ordering::Relaxed);
    DRIVER.store(core::ptr::null_mut(), Ordering::Relaxed);
    ADD_DEVICE.with(|routine| *routine = None);
}

/// Calls the driver's own `AddDevice` under watch.
unsafe extern "win64" fn add_device(driver: *mut DRIVER_OBJECT, pdo: *mut DEVICE_OBJECT) -> NTSTATUS {
    let Some(routine) = ADD_DEVICE.with(|routine| *routine) else { return STATUS_INVALID_DEVICE_REQUEST };
    ADDED.store(0, Ordering::Relaxed);
    // SAFETY: the driver's own routine, with what the kernel gave.
    let status = unsafe { routine(driver, pdo) }.finally("AddDevice");
    let calls = ADDED.load(Ordering::Relaxed);
    if success(status) && calls != 1 {
        violation(
            "AddDevice",
            Violation::new(
                rules::ADD_DEVICE,
                format!("it succeeded and called PcAddAdapterDevice {calls} times"),
                "call PcAddAdapterDevice once and return its status",
            ),
        )
    }
    rules::ADD_DEVICE.held();
    status
}

/// Whether PortCls' own unload routine was called since the driver was loaded.
static PORTCLS_UNLOADED: AtomicBool = AtomicBool::new(false);

/// PortCls' own unload routine. Adapter drivers that put theirs in its place call it.
unsafe extern "win64" fn driver_unload(_driver: *mut DRIVER_OBJECT) {
    PORTCLS_UNLOADED.store(true, Ordering::Relaxed);
}

/// Checks, when `DriverUnload` has returned, that PortCls' own unload routine has run (rule 212).
pub(crate) fn check_unload() {
    let bound = INITIALIZED.load(Ordering::Relaxed) > 0;
    if bound && !PORTCLS_UNLOADED.swap(false, Ordering::Relaxed) {
        violation(
            "DriverUnload",
            Violation::new(
                rules_of_services::PORTCLS_UNLOAD,
                "the driver put its own DriverUnload in place of PortCls', and did not call PortCls'",
                "keep DriverObject->DriverUnload as PcInitializeAdapterDriver leaves it, and call it at the end of your own routine",
            ),
        )
    }
}

/// Starts the device (IRP_MN_START_DEVICE), when the bus driver has done its part.
pub(crate) fn start(fdo: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    let Some(start_device) = with(fdo, |adapter| adapter.start) else { return STATUS_NO_SUCH_DEVICE };
    // SAFETY: the IRP is ours until it is completed; its location is that of IRP_MN_START_DEVICE.
    let (list, location) = unsafe {
        let parameters = kernel::irp::stack_location(irp).Parameters.StartDevice;
        let list = ResourceList::from_lists(parameters.AllocatedResourcesTranslated, parameters.AllocatedResources);
        (list, (*irp).CurrentLocation)
    };
    // SAFETY: the driver's routine, with the device that it added.
    let status = slots::at_same_level("PCPFNSTARTDEVICE", crate::nt::irql::PASSIVE_LEVEL, || unsafe {
        start_device(fdo, irp, list.as_raw())
    })
    .finally("PCPFNSTARTDEVICE");
    // SAFETY: if the driver left it alone, the IRP is still ours.
    if unsafe { (*irp).CurrentLocation } != location {
        fatal(
            "PCPFNSTARTDEVICE",
            Violation::new(
                rules::START_DEVICE,
                "StartDevice has completed or forwarded the IRP",
                "return a status; PortCls completes the IRP",
            ),
        )
    }
    rules::START_DEVICE.held();
    // The list is the miniport's to give up, not this frame's.
    drop(list);
    if !success(status) {
        release_subdevices(fdo);
    }
    status
}

/// Notes a port that has been initialised for this device: if it is never registered, it goes when the start has
/// failed.
pub(crate) fn note_initialised(fdo: *mut DEVICE_OBJECT, port: &Com<Port>) {
    with(fdo, |adapter| adapter.unregistered.push(port.as_raw() as usize));
}

/// Releases the subdevices (IRP_MN_REMOVE_DEVICE), before the bus driver gets the request.
pub(crate) fn release_subdevices(fdo: *mut DEVICE_OBJECT) {
    let unregistered = with(fdo, |adapter| core::mem::take(&mut adapter.unregistered)).unwrap_or_default();
    // SAFETY: only a live port is taken for one. Its miniport holds it, and it the miniport: only this parts them.
    let live = unregistered.into_iter().filter_map(|address| unsafe { Com::<Port>::from_borrowed(address as PVOID) });
    let mut ports: Vec<Com<Port>> = live.collect();
    connections::end(fdo);
    let subdevices = with(fdo, |adapter| core::mem::take(&mut adapter.subdevices)).unwrap_or_default();
    for subdevice in subdevices {
        check_name(&subdevice);
        subdevice.disable();
        ports.push(subdevice.port);
    }
    port::shut_down(&ports, || {
        io_timeout::forget(fdo);
        pnp::unregister(fdo);
        power::unregister(fdo);
    });
    if let Some(pdo) = physical(fdo) {
        stream_resource::expect_none(pdo);
    }
}

/// Checks that the driver has kept the name where it was (rule 14).
fn check_name(subdevice: &Subdevice) {
    // SAFETY: the driver promises the name for the life of the device.
    let name = unsafe { read_name(subdevice.name_address as *const u16) };
    if name.as_deref() != Some(subdevice.name.as_str()) {
        violation(
            "PcRegisterSubdevice",
            Violation::new(
                rules::SUBDEVICE_NAME,
                format!(
                    "the name \"{}\" at {:#x} reads \"{}\" now",
                    subdevice.name,
                    subdevice.name_address,
                    name.unwrap_or_default()
                ),
                "pass the address of a static string",
            ),
        )
    }
    rules::SUBDEVICE_NAME.held();
}

/// Removes the device (IRP_MN_REMOVE_DEVICE), when the bus driver has done its part.
pub(crate) fn remove(fdo: *mut DEVICE_OBJECT) {
    let adapter = ADAPTERS.with(|adapters| {
        let index = adapters.iter().position(|adapter| adapter.fdo == fdo as usize)?;
        Some(adapters.swap_remove(index))
    });
    let Some(adapter) = adapter else { return };
    check_extension(fdo);
    // SAFETY: attached and created in `PcAddAdapterDevice`; nothing is sent to it any more.
    unsafe {
        IoDetachDevice(adapter.lower as *mut DEVICE_OBJECT);
        IoDeleteDevice(fdo);
    }
}

/// Checks that PortCls' part of the extension is untouched (rule 10).
fn check_extension(fdo: *mut DEVICE_OBJECT) {
    // SAFETY: the extension has at least 64 pointers.
    let words = unsafe { core::slice::from_raw_parts((*fdo).DeviceExtension.cast::<usize>(), 64) };
    let touched = (0..words.len()).find(|&index| {
        let expected = if index == 0 { fdo as usize } else { EXTENSION_MARK };
        !EXTENSION_FREE.contains(&index) && words[index] != expected
    });
    if let Some(index) = touched {
        violation(
            "PcAddAdapterDevice",
            Violation::new(
                rules::ADD_DEVICE,
                format!("pointer {index} of the device extension was written to"),
                "use pointers 4 to 7, or ask for a longer extension and begin behind the first 64 pointers",
            ),
        );
        fill_extension(fdo);
    }
}

/// Fills PortCls' part of the extension.
fn fill_extension(fdo: *mut DEVICE_OBJECT) {
    // SAFETY: the extension has at least 64 pointers.
    let words = unsafe { core::slice::from_raw_parts_mut((*fdo).DeviceExtension.cast::<usize>(), 64) };
    words[0] = fdo as usize;
    for index in (1..64).filter(|index| !EXTENSION_FREE.contains(index)) {
        words[index] = EXTENSION_MARK;
    }
}

/// Returns a zero-terminated name.
unsafe fn read_name(name: *const u16) -> Option<String> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by the caller it ends with a zero.
    let units: Vec<u16> =
        (0..NAME_MAX).map(|index| unsafe { name.add(index).read_unaligned() }).take_while(|&unit| unit != 0).collect();
    (units.len() < NAME_MAX && !units.is_empty()).then(|| String::from_utf16_lossy(&units))
}

/// Returns which subdevice a port is, by its interface pointer.
fn subdevice_of(adapter: &Adapter, port: PVOID) -> Option<&Subdevice> {
    adapter.subdevices.iter().find(|subdevice| subdevice.port.as_raw() == port)
}

crate::export_functions! {
    /// The adapter driver's frame.
    pub(crate) static EXPORTS;

    /// Makes a driver an adapter driver.
    [PASSIVE] fn PcInitializeAdapterDriver(driver: *mut DRIVER_OBJECT, path: *mut UNICODE_STRING, add: Option<DRIVER_ADD_DEVICE>) -> NTSTATUS {
        let calls = INITIALIZED.fetch_add(1, Ordering::Relaxed) + 1;
        if driver.is_null() || path.is_null() || calls != 1 {
            violation(
                "PcInitializeAdapterDriver",
                Violation::new(
                    rules::DRIVER_ENTRY,
                    format!("call {calls} with driver object {driver:p} and registry path {path:p}"),
                    "call it once, in DriverEntry, with the two parameters of DriverEntry",
                ),
            );
            if driver.is_null() || path.is_null() {
                return STATUS_INVALID_PARAMETER;
            }
        }
        // The path that the kernel gave is that of the service's key.
        let (path, key) = (text(&*path), text(&(*(*driver).DriverExtension).ServiceKeyName));
        let service = key.rsplit('\\').next().unwrap_or_default();
        if path.rsplit('\\').next() != Some(service) {
            violation(
                "PcInitializeAdapterDriver",
                Violation::new(
                    rules::DRIVER_ENTRY,
                    format!("the registry path is \"{path}\", which is not that of service \"{service}\""),
                    "pass the RegistryPath of DriverEntry",
                ),
            )
        }
        let Some(add) = add else { return STATUS_INVALID_PARAMETER };
        DRIVER.store(driver, Ordering::Relaxed);
        ADD_DEVICE.with(|routine| *routine = Some(add));
        (*(*driver).DriverExtension).AddDevice = Some(add_device);
        (*driver).DriverUnload = Some(driver_unload);
        for major in [IRP_MJ_PNP, IRP_MJ_POWER, IRP_MJ_SYSTEM_CONTROL, IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_DEVICE_CONTROL] {
            (*driver).MajorFunction[usize::from(major)] = Some(PcDispatchIrp);
        }
        STATUS_SUCCESS
    }

    /// Makes the functional device object and attaches it.
    [PASSIVE] fn PcAddAdapterDevice(driver: *mut DRIVER_OBJECT, pdo: *mut DEVICE_OBJECT, start: Option<StartDevice>, max_objects: u32, extension: u32) -> NTSTATUS {
        ADDED.fetch_add(1, Ordering::Relaxed);
        if extension != 0 && extension < EXTENSION_BYTES {
            violation(
                "PcAddAdapterDevice",
                Violation::new(
                    rules::ADD_DEVICE,
                    format!("an extension of {extension} bytes is requested"),
                    "pass 0, or PORT_CLASS_DEVICE_EXTENSION_SIZE plus what the driver needs",
                ),
            )
        }
        let Some(start) = start else { return STATUS_INVALID_PARAMETER };
        if driver.is_null() || pdo.is_null() || max_objects == 0 {
            return STATUS_INVALID_PARAMETER;
        }
        let mut fdo = core::ptr::null_mut();
        let status = IoCreateDevice(
            driver,
            extension.max(EXTENSION_BYTES),
            core::ptr::null_mut(),
            FILE_DEVICE_KS,
            FILE_DEVICE_SECURE_OPEN,
            0,
            &raw mut fdo,
        );
        if !success(status) {
            return status;
        }
        fill_extension(fdo);
        let lower = IoAttachDeviceToDeviceStack(fdo, pdo);
        if lower.is_null() {
            IoDeleteDevice(fdo);
            return STATUS_NO_SUCH_DEVICE;
        }
        ADAPTERS.with(|adapters| {
            adapters.push(Adapter {
                fdo: fdo as usize,
                pdo: pdo as usize,
                lower: lower as usize,
                start,
                max_objects,
                subdevices: Vec::new(),
                unregistered: Vec::new(),
                connections: Connections::default(),
            });
        });
        (*fdo).Flags |= DO_POWER_PAGABLE;
        (*fdo).Flags &= !DO_DEVICE_INITIALIZING;
        STATUS_SUCCESS
    }

    /// Handles an IRP as PortCls does.
    [DISPATCH] fn PcDispatchIrp(fdo: *mut DEVICE_OBJECT, request: *mut IRP) -> NTSTATUS {
        irp::dispatch(fdo, request)
    }

    /// Registers a port that has been initialised as a subdevice.
    [PASSIVE] fn PcRegisterSubdevice(fdo: *mut DEVICE_OBJECT, name: *const u16, port: PVOID) -> NTSTATUS {
        let Some(port) = Com::<Port>::from_borrowed(port) else { return STATUS_INVALID_PARAMETER };
        if !port.is_bound() {
            violation(
                "PcRegisterSubdevice",
                Violation::new(
                    rules::SUBDEVICE_ORDER,
                    "the port is not initialised",
                    "call PcNewPort, IPort::Init, PcRegisterSubdevice, and release miniport and port, stopping at the first failure",
                ),
            );
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        if call_faults::must_fail("PcRegisterSubdevice") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let Some(text) = read_name(name) else { return STATUS_INVALID_PARAMETER };
        if !names::is_reference_string("PcRegisterSubdevice", &text) {
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        let added = with(fdo, |adapter| {
            if adapter.subdevices.iter().any(|other| other.name.eq_ignore_ascii_case(&text)) {
                return STATUS_OBJECT_NAME_COLLISION;
            }
            if adapter.subdevices.len() >= adapter.max_objects as usize {
                return STATUS_INSUFFICIENT_RESOURCES;
            }
            adapter.unregistered.retain(|address| *address != port.as_raw() as usize);
            let categories = port.filter().map(|filter| filter.categories.clone()).unwrap_or_default();
            let pdo = adapter.pdo as *mut DEVICE_OBJECT;
            let links = categories.iter().filter_map(|category| names::register_interface(pdo, category, Some(&text)));
            let links: Vec<String> = links.collect();
            links.iter().for_each(|link| _ = names::enable_interface(link, true));
            adapter.subdevices.push(Subdevice { name: text, name_address: name as usize, port, links });
            STATUS_SUCCESS
        });
        match added {
            Some(STATUS_OBJECT_NAME_COLLISION) => {
                violation(
                    "PcRegisterSubdevice",
                    Violation::new(rules::SUBDEVICE_NAME, "two subdevices have one name", "name each subdevice as its INF reference string does"),
                );
                STATUS_OBJECT_NAME_COLLISION
            }
            Some(status) => {
                rules::SUBDEVICE_ORDER.held();
                status
            }
            None => STATUS_INVALID_PARAMETER,
        }
    }

    /// Returns the time since another time, or since the beginning. 100 ns units.
    [ANY] fn PcGetTimeInterval(since: u64) -> u64 {
        clock::now().cast_unsigned().wrapping_sub(since)
    }

    /// Returns a property of the physical device.
    [PASSIVE] fn PcGetDeviceProperty(fdo: PVOID, property: u32, room: u32, buffer: PVOID, length: *mut u32) -> NTSTATUS {
        device_property(fdo, property, room, buffer, length)
    }

    /// Returns the physical device object below an adapter's.
    [DISPATCH] fn PcGetPhysicalDeviceObject(fdo: *mut DEVICE_OBJECT, out: *mut *mut DEVICE_OBJECT) -> NTSTATUS {
        if fdo.is_null() || out.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        let pdo = with(fdo, |adapter| adapter.pdo);
        out.write(pdo.map_or(core::ptr::null_mut(), |pdo| pdo as *mut DEVICE_OBJECT));
        if pdo.is_some() { STATUS_SUCCESS } else { STATUS_INVALID_DEVICE_REQUEST }
    }

    /// Completes an IRP.
    [DISPATCH] fn PcCompleteIrp(_fdo: *mut DEVICE_OBJECT, request: *mut IRP, status: NTSTATUS) -> NTSTATUS {
        kernel::irp::complete(request, status)
    }

    /// Sends an IRP to the device below and waits for it.
    [PASSIVE] fn PcForwardIrpSynchronous(fdo: *mut DEVICE_OBJECT, request: *mut IRP) -> NTSTATUS {
        irp::forward_and_wait(fdo, request)
    }
}
