//! Device and object headers: what a driver that dispatches requests by `ks.sys` keeps at the beginning of its device
//! extension and of the context of each file object.

#![allow(unsafe_code, reason = "headers and dispatch tables are the driver's, known to it by address")]
#![allow(non_snake_case, reason = "the header's names")]

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::alloc_faults;
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::kernel;
use crate::contract::violation::{Violation, fatal, violation};
use crate::io::device::{IoDeleteDevice, IoDetachDevice};
use crate::io::irp::{IofCallDriver, IofCompleteRequest, current_stack};
use crate::io::power::{PoCallDriver, PoStartNextPowerIrp};
use crate::nt::status::*;
use crate::nt::*;

/// `KSOBJECT_CREATE_ITEM` (ks.h).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct CreateItem {
    create: Option<DRIVER_DISPATCH>,
    context: PVOID,
    object_class: UNICODE_STRING,
    security: PVOID,
    flags: u32,
}

/// `KSCREATE_ITEM_WILDCARD` (ks.h): takes what no other item takes.
const WILDCARD: u32 = 2;

/// `KSDISPATCH_TABLE` (ks.h).
#[repr(C)]
pub(crate) struct DispatchTable {
    device_io_control: Option<DRIVER_DISPATCH>,
    read: Option<DRIVER_DISPATCH>,
    write: Option<DRIVER_DISPATCH>,
    flush: Option<DRIVER_DISPATCH>,
    close: Option<DRIVER_DISPATCH>,
    query_security: Option<DRIVER_DISPATCH>,
    set_security: Option<DRIVER_DISPATCH>,
    fast: [PVOID; 3],
}

/// `PFNKSITEMFREECALLBACK` (ks.h).
type FreeItem = unsafe extern "win64" fn(*mut CreateItem);

/// A create item, of the driver's or of this module's, and what runs when it is freed.
struct Entry {
    item: *mut CreateItem,
    /// The item itself, where it was copied.
    own: Option<Box<CreateItem>>,
    free: Option<FreeItem>,
}

/// A header of either kind. Drivers know it by its address.
struct Header {
    is_device: bool,
    entries: Vec<Entry>,
    table: *const DispatchTable,
    /// The item that made the object.
    item: *mut CreateItem,
    pnp: *mut DEVICE_OBJECT,
    base: *mut DEVICE_OBJECT,
    target: *mut DEVICE_OBJECT,
    access: u32,
    security_lock: u32,
}
// SAFETY: reached through the driver's calls; the list of addresses is guarded.
unsafe impl Send for Header {}

/// Headers that live, by address.
static HEADERS: Uninterrupted<Vec<usize>> = Uninterrupted::new(Vec::new());

/// Returns how many live.
pub(super) fn outstanding() -> usize {
    HEADERS.with(|headers| headers.len())
}

/// Returns the header of an address that a driver passes.
fn header<'a>(function: &str, address: PVOID, is_device: bool) -> &'a mut Header {
    let known = HEADERS.with(|headers| headers.contains(&(address as usize)));
    // SAFETY: it lives: a box of `new`'s, that drivers serialise as Windows makes them.
    let found = if known { Some(unsafe { &mut *address.cast::<Header>() }) } else { None };
    found.filter(|header| header.is_device == is_device).unwrap_or_else(|| {
        let kind = if is_device { "device" } else { "object" };
        fatal(
            function,
            Violation::new(
                kernel::KS_HEADER,
                format!("{address:p} is no {kind} header, or one that was freed"),
                "pass what KsAllocateDeviceHeader or KsAllocateObjectHeader gave, before it is freed, and free it once",
            ),
        )
    })
}

unsafe fn new(
    function: &str,
    is_device: bool,
    count: u32,
    items: *mut CreateItem,
    out: *mut PVOID,
) -> Result<&'static mut Header, NTSTATUS> {
    if out.is_null() || (count != 0 && items.is_null()) {
        return Err(STATUS_INVALID_PARAMETER);
    }
    if alloc_faults::fails(if is_device { "KsAllocateDeviceHeader" } else { "KsAllocateObjectHeader" }) {
        return Err(STATUS_INSUFFICIENT_RESOURCES);
    }
    // SAFETY: by the caller the items live as long as the header.
    let entries = (0..count as usize).map(|index| Entry { item: unsafe { items.add(index) }, own: None, free: None });
    let null = core::ptr::null_mut();
    let made = Box::leak(Box::new(Header {
        is_device,
        entries: entries.collect(),
        table: core::ptr::null(),
        item: core::ptr::null_mut(),
        pnp: null,
        base: null,
        target: null,
        access: 0,
        security_lock: 0,
    }));
    let address: *mut Header = made;
    HEADERS.with(|headers| headers.push(address as usize));
    // SAFETY: the caller's out parameter.
    unsafe { out.write(address.cast()) };
    crate::debug!("{function}: a header with {count} create items at {address:p}");
    Ok(made)
}

unsafe fn free_entry(mut entry: Entry) {
    let item = entry.own.as_deref_mut().map_or(entry.item, |own| own);
    if let Some(free) = entry.free {
        // SAFETY: the driver's routine by its real prototype.
        crate::ke::driver_call::call("PFNKSITEMFREECALLBACK", || unsafe { free(item) });
    }
}

unsafe fn free(function: &str, address: PVOID, is_device: bool) {
    let found: *mut Header = header(function, address, is_device);
    HEADERS.with(|headers| headers.retain(|other| *other != address as usize));
    // SAFETY: a box of `new`'s that is in no table any more.
    let found = unsafe { Box::from_raw(found) };
    for entry in found.entries {
        // SAFETY: by the caller nothing uses the items any more.
        unsafe { free_entry(entry) };
    }
}

fn add(
    header: &mut Header,
    create: Option<DRIVER_DISPATCH>,
    context: PVOID,
    class: *const u16,
    security: PVOID,
) -> NTSTATUS {
    // SAFETY: a string of the driver's, which lives as long as the item.
    let length =
        unsafe { (0..u16::MAX as usize / 2).take_while(|&at| !class.is_null() && class.add(at).read() != 0).count() }
            as u16
            * 2;
    let object_class = UNICODE_STRING { Length: length, MaximumLength: length, Buffer: class.cast_mut() };
    let mut own = Box::new(CreateItem { create, context, object_class, security, flags: 0 });
    let item: *mut CreateItem = &raw mut *own;
    header.entries.push(Entry { item, own: Some(own), free: None });
    STATUS_SUCCESS
}

/// Returns a counted string's text.
unsafe fn text(string: &UNICODE_STRING) -> String {
    if string.Buffer.is_null() {
        return String::new();
    }
    // SAFETY: by the caller the string is whole.
    let units = unsafe { core::slice::from_raw_parts(string.Buffer, usize::from(string.Length) / 2) };
    String::from_utf16_lossy(units)
}

unsafe fn complete(irp: *mut IRP, status: NTSTATUS) -> NTSTATUS {
    // SAFETY: by the caller the packet is its own.
    unsafe {
        (*irp).IoStatus.Status = status;
        IofCompleteRequest(irp, 0);
    }
    status
}

/// Dispatches a create request by the name behind the device's.
unsafe fn create(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: by the caller; the device extension begins with the header.
    unsafe {
        let found = header("KsDispatchIrp", (*device).DeviceExtension.cast::<PVOID>().read(), true);
        let file = (*current_stack(irp)).FileObject;
        let name = if file.is_null() { String::new() } else { text(&(*file).FileName) };
        let class = name.trim_start_matches('\\').split('\\').next().unwrap_or_default().to_string();
        let items: Vec<*mut CreateItem> = found.entries.iter().map(|entry| entry.item).collect();
        let by_name = items
            .iter()
            .find(|item| (***item).create.is_some() && text(&(***item).object_class).eq_ignore_ascii_case(&class));
        let any = items.iter().find(|item| (***item).create.is_some() && (***item).flags & WILDCARD != 0);
        let Some(item) = by_name.or(any) else { return complete(irp, STATUS_OBJECT_NAME_NOT_FOUND) };
        // KSCREATE_ITEM_IRP_STORAGE: the first word of the driver's context.
        (*irp).Tail.DriverContext[0] = item.cast();
        match (**item).create {
            Some(create) => crate::ke::driver_call::call("a create dispatch routine", || create(device, irp)),
            None => complete(irp, STATUS_OBJECT_NAME_NOT_FOUND),
        }
    }
}

crate::export_functions! {
    /// Headers and dispatch.
    pub(crate) static EXPORTS;

    /// Makes a device's header.
    [PASSIVE] fn KsAllocateDeviceHeader(out: *mut PVOID, count: u32, items: *mut CreateItem) -> NTSTATUS {
        new("KsAllocateDeviceHeader", true, count, items, out).map_or_else(|status| status, |_| STATUS_SUCCESS)
    }

    /// Frees a device's header.
    [PASSIVE] fn KsFreeDeviceHeader(address: PVOID) { free("KsFreeDeviceHeader", address, true) }

    /// Makes an object's header, in its create request.
    [PASSIVE] fn KsAllocateObjectHeader(out: *mut PVOID, count: u32, items: *mut CreateItem, irp: *mut IRP, table: *const DispatchTable) -> NTSTATUS {
        if irp.is_null() || table.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        match new("KsAllocateObjectHeader", false, count, items, out) {
            Ok(made) => {
                made.table = table;
                made.item = (*irp).Tail.DriverContext[0].cast();
                made.base = (*current_stack(irp)).DeviceObject;
                STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }

    /// Frees an object's header.
    [PASSIVE] fn KsFreeObjectHeader(address: PVOID) { free("KsFreeObjectHeader", address, false) }

    /// Adds a create item to a device.
    [PASSIVE] fn KsAddObjectCreateItemToDeviceHeader(address: PVOID, create: Option<DRIVER_DISPATCH>, context: PVOID, class: *const u16, security: PVOID) -> NTSTATUS {
        add(header("KsAddObjectCreateItemToDeviceHeader", address, true), create, context, class, security)
    }

    /// Adds a create item to an object.
    [PASSIVE] fn KsAddObjectCreateItemToObjectHeader(address: PVOID, create: Option<DRIVER_DISPATCH>, context: PVOID, class: *const u16, security: PVOID) -> NTSTATUS {
        add(header("KsAddObjectCreateItemToObjectHeader", address, false), create, context, class, security)
    }

    /// Adds a create item to a device, the driver's own or a copy.
    [PASSIVE] fn KsAllocateObjectCreateItem(address: PVOID, item: *mut CreateItem, copy: u8, free: Option<FreeItem>) -> NTSTATUS {
        let found = header("KsAllocateObjectCreateItem", address, true);
        if item.is_null() || (copy == 0 && free.is_none()) {
            return STATUS_INVALID_PARAMETER;
        }
        let mut own = if copy == 0 { None } else { Some(Box::new(item.read())) };
        let item = own.as_deref_mut().map_or(item, |own| own);
        found.entries.push(Entry { item, own, free });
        STATUS_SUCCESS
    }

    /// Frees a device's create item by its name.
    [PASSIVE] fn KsFreeObjectCreateItem(address: PVOID, name: *const UNICODE_STRING) -> NTSTATUS {
        let found = header("KsFreeObjectCreateItem", address, true);
        let name = text(&*name);
        let position = found.entries.iter().position(|entry| text(&(*entry.item).object_class).eq_ignore_ascii_case(&name));
        let Some(position) = position else { return STATUS_OBJECT_NAME_NOT_FOUND };
        free_entry(found.entries.remove(position));
        STATUS_SUCCESS
    }

    /// Frees the create items of a device that have a context.
    [PASSIVE] fn KsFreeObjectCreateItemsByContext(address: PVOID, context: PVOID) -> NTSTATUS {
        let found = header("KsFreeObjectCreateItemsByContext", address, true);
        let (freed, kept): (Vec<Entry>, Vec<Entry>) = core::mem::take(&mut found.entries).into_iter().partition(|entry| (*entry.item).context == context);
        found.entries = kept;
        if freed.is_empty() {
            return STATUS_OBJECT_NAME_NOT_FOUND;
        }
        freed.into_iter().for_each(|entry| free_entry(entry));
        STATUS_SUCCESS
    }

    /// Returns the create item that made an object.
    [PASSIVE] fn KsQueryObjectCreateItem(address: PVOID) -> *mut CreateItem { header("KsQueryObjectCreateItem", address, false).item }

    /// Returns the access that an object was opened with.
    [PASSIVE] fn KsQueryObjectAccessMask(address: PVOID) -> u32 { header("KsQueryObjectAccessMask", address, false).access }

    /// Names the device that requests go to, and that they come from.
    [PASSIVE] fn KsSetDevicePnpAndBaseObject(address: PVOID, pnp: *mut DEVICE_OBJECT, base: *mut DEVICE_OBJECT) {
        let found = header("KsSetDevicePnpAndBaseObject", address, true);
        (found.pnp, found.base) = (pnp, base);
    }

    /// Returns the device that requests go to.
    [PASSIVE] fn KsQueryDevicePnpObject(address: PVOID) -> *mut DEVICE_OBJECT { header("KsQueryDevicePnpObject", address, true).pnp }

    /// Names the device that an object forwards to.
    [PASSIVE] fn KsSetTargetDeviceObject(address: PVOID, target: *mut DEVICE_OBJECT) {
        header("KsSetTargetDeviceObject", address, false).target = target;
    }

    /// Enters a device's security descriptors. Nothing else is in them: one thread is here at a time.
    [PASSIVE] fn KsAcquireDeviceSecurityLock(address: PVOID, _exclusive: u8) {
        crate::ke::thread::KeEnterCriticalRegion();
        header("KsAcquireDeviceSecurityLock", address, true).security_lock += 1;
    }

    /// Leaves a device's security descriptors.
    [PASSIVE] fn KsReleaseDeviceSecurityLock(address: PVOID) {
        let found = header("KsReleaseDeviceSecurityLock", address, true);
        if found.security_lock == 0 {
            violation(
                "KsReleaseDeviceSecurityLock",
                Violation::new(kernel::KS_HEADER, "the security lock is not held", "release what KsAcquireDeviceSecurityLock acquired, once"),
            );
            return;
        }
        found.security_lock -= 1;
        crate::ke::thread::KeLeaveCriticalRegion();
    }

    /// Makes [`KsDispatchIrp`] handle a major function of a driver.
    [PASSIVE] fn KsSetMajorFunctionHandler(driver: *mut DRIVER_OBJECT, major: u32) -> NTSTATUS {
        let known = u8::try_from(major).is_ok_and(|major| matches!(
            major,
            IRP_MJ_CREATE | IRP_MJ_CLOSE | IRP_MJ_READ | IRP_MJ_WRITE | IRP_MJ_FLUSH_BUFFERS | IRP_MJ_DEVICE_CONTROL
                | IRP_MJ_QUERY_SECURITY | IRP_MJ_SET_SECURITY
        ));
        if !known {
            return STATUS_INVALID_PARAMETER;
        }
        (*driver).MajorFunction[major as usize] = Some(KsDispatchIrp);
        STATUS_SUCCESS
    }

    /// Dispatches a request by the table of its object.
    [DISPATCH] fn KsDispatchIrp(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
        let stack = current_stack(irp);
        let major = (*stack).MajorFunction;
        if major == IRP_MJ_CREATE {
            return create(device, irp);
        }
        let file = (*stack).FileObject;
        if file.is_null() || (*file).FsContext.is_null() {
            return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
        }
        let table = &*header("KsDispatchIrp", (*file).FsContext.cast::<PVOID>().read(), false).table;
        let routine = match major {
            IRP_MJ_CLOSE => table.close,
            IRP_MJ_READ => table.read,
            IRP_MJ_WRITE => table.write,
            IRP_MJ_FLUSH_BUFFERS => table.flush,
            IRP_MJ_DEVICE_CONTROL => table.device_io_control,
            IRP_MJ_QUERY_SECURITY => table.query_security,
            IRP_MJ_SET_SECURITY => table.set_security,
            _ => None,
        };
        match routine {
            Some(routine) => crate::ke::driver_call::call("a dispatch routine", || routine(device, irp)),
            None => complete(irp, STATUS_INVALID_DEVICE_REQUEST),
        }
    }

    /// Refuses a request.
    [DISPATCH] fn KsDispatchInvalidDeviceRequest(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
        complete(irp, STATUS_INVALID_DEVICE_REQUEST)
    }

    /// Completes a kernel-streaming request that the driver does not handle.
    [DISPATCH] fn KsDefaultDeviceIoCompletion(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
        /// `IOCTL_KS_PROPERTY`, `IOCTL_KS_ENABLE_EVENT` and `IOCTL_KS_METHOD` (ks.h): requests for sets.
        const SETS: [u32; 3] = [0x002f_0003, 0x002f_0007, 0x002f_000f];
        let code = (*current_stack(irp)).Parameters.DeviceIoControl.IoControlCode.0;
        complete(irp, if SETS.contains(&code) { STATUS_PROPSET_NOT_FOUND } else { STATUS_INVALID_DEVICE_REQUEST })
    }

    /// Refuses a request without a packet.
    [ANY] fn KsDispatchFastIoDeviceControlFailure(_file: *mut FILE_OBJECT, _wait: u8, _input: PVOID, _input_bytes: u32, _output: PVOID,
        _output_bytes: u32, _code: u32, _status: *mut IO_STATUS_BLOCK, _device: *mut DEVICE_OBJECT) -> u8 { 0 }

    /// Refuses a read without a packet.
    [ANY] fn KsDispatchFastReadFailure(_file: *mut FILE_OBJECT, _offset: *const i64, _bytes: u32, _wait: u8, _key: u32, _buffer: PVOID,
        _status: *mut IO_STATUS_BLOCK, _device: *mut DEVICE_OBJECT) -> u8 { 0 }

    /// Passes a request to the device below.
    [DISPATCH] fn KsDefaultForwardIrp(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
        let below = header("KsDefaultForwardIrp", (*device).DeviceExtension.cast::<PVOID>().read(), true).pnp;
        if below.is_null() {
            return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
        }
        skip(irp);
        IofCallDriver(below, irp)
    }

    /// Passes a PnP request to the device below; the end of the device ends its header.
    [PASSIVE] fn KsDefaultDispatchPnp(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
        let address = (*device).DeviceExtension.cast::<PVOID>().read();
        let below = header("KsDefaultDispatchPnp", address, true).pnp;
        let removed = (*current_stack(irp)).MinorFunction == IRP_MN_REMOVE_DEVICE;
        if below.is_null() {
            return complete(irp, STATUS_NOT_SUPPORTED);
        }
        skip(irp);
        let status = IofCallDriver(below, irp);
        if removed {
            free("KsDefaultDispatchPnp", address, true);
            IoDetachDevice(below);
            IoDeleteDevice(device);
        }
        status
    }

    /// Passes a power request to the device below.
    [DISPATCH] fn KsDefaultDispatchPower(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
        let below = header("KsDefaultDispatchPower", (*device).DeviceExtension.cast::<PVOID>().read(), true).pnp;
        PoStartNextPowerIrp(irp);
        if below.is_null() {
            return complete(irp, STATUS_NOT_SUPPORTED);
        }
        skip(irp);
        PoCallDriver(below, irp)
    }

    /// Ends a driver that has nothing to end.
    [PASSIVE] fn KsNullDriverUnload(_driver: *mut DRIVER_OBJECT) {}
}

/// Gives the next driver the stack location of this one (`IoSkipCurrentIrpStackLocation`).
unsafe fn skip(irp: *mut IRP) {
    // SAFETY: by the caller the packet is its own.
    unsafe {
        (*irp).CurrentLocation += 1;
        (*irp).Tail.CurrentStackLocation = (*irp).Tail.CurrentStackLocation.add(1);
    }
}

const _: () = assert!(size_of::<CreateItem>() == 48);
const _: () = assert!(size_of::<DispatchTable>() == 80);
