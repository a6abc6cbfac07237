//! The functions of the library.
#![allow(unsafe_code, reason = "contexts, routines and buffers of the driver's")]

use alloc::format;
use alloc::vec::Vec;
use core::ptr::null_mut;

use super::wnode::{self, at};
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::kernel;
use crate::contract::violation::{Violation, violation};
use crate::io::irp::{IofCompleteRequest, current_stack};
use crate::mm::pool;
use crate::nt::status::*;
use crate::nt::{DEVICE_OBJECT, GUID, IRP, IRP_MJ_SYSTEM_CONTROL, NTSTATUS, PVOID, UNICODE_STRING};
use crate::rtl::trace::IoWMIWriteEvent;

/// Minor functions of `IRP_MJ_SYSTEM_CONTROL` (wdm.h).
mod minor {
    /// Reads all instances of a data block.
    pub(super) const QUERY_ALL_DATA: u8 = 0;
    /// Reads one instance.
    pub(super) const QUERY_SINGLE_INSTANCE: u8 = 1;
    /// Writes one instance.
    pub(super) const CHANGE_SINGLE_INSTANCE: u8 = 2;
    /// Writes one item of an instance.
    pub(super) const CHANGE_SINGLE_ITEM: u8 = 3;
    /// Enables an event.
    pub(super) const ENABLE_EVENTS: u8 = 4;
    /// Disables an event.
    pub(super) const DISABLE_EVENTS: u8 = 5;
    /// Begins the collection of a block that is expensive.
    pub(super) const ENABLE_COLLECTION: u8 = 6;
    /// Ends it.
    pub(super) const DISABLE_COLLECTION: u8 = 7;
    /// Reads what a driver registers.
    pub(super) const REGINFO: u8 = 8;
    /// Calls a method.
    pub(super) const EXECUTE_METHOD: u8 = 9;
    /// Reads what a driver registers, as the newer request.
    pub(super) const REGINFO_EX: u8 = 11;
}

/// `SYSCTL_IRP_DISPOSITION` (wmilib.h).
mod disposition {
    /// The request was completed.
    pub(super) const PROCESSED: i32 = 0;
    /// The request is to be completed by the caller.
    pub(super) const NOT_COMPLETED: i32 = 1;
    /// The request is none of WMI's.
    pub(super) const NOT_WMI: i32 = 2;
    /// The request is for another driver.
    pub(super) const FORWARD: i32 = 3;
}

/// `WMIREG_FLAG_EXPENSIVE`, `WMIREG_FLAG_REMOVE_GUID` and `WMIREG_FLAG_INSTANCE_PDO` (wmistr.h).
const FLAG_EXPENSIVE: u32 = 1;
const FLAG_REMOVE_GUID: u32 = 0x0001_0000;
const FLAG_INSTANCE_PDO: u32 = 0x20;
/// Bytes of `WMIREGINFO` without its GUIDs, and of `WMIREGGUID`.
const REGINFO_BYTES: u32 = 24;
const REGGUID_BYTES: u32 = 32;
/// Most blocks of a driver: a bound for a list that is read at the driver's word.
const BLOCKS_MAX: u32 = 1024;
/// The tag of events.
const TAG: u32 = u32::from_le_bytes(*b"WmiL");

/// `WMIGUIDREGINFO` (wmilib.h).
#[repr(C)]
struct Block {
    guid: *const GUID,
    instances: u32,
    flags: u32,
}

type QueryRegInfo = unsafe extern "win64" fn(
    *mut DEVICE_OBJECT,
    *mut u32,
    *mut UNICODE_STRING,
    *mut *mut UNICODE_STRING,
    *mut UNICODE_STRING,
    *mut *mut DEVICE_OBJECT,
) -> NTSTATUS;
type QueryDataBlock =
    unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, u32, u32, u32, *mut u32, u32, *mut u8) -> NTSTATUS;
type SetDataBlock = unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, u32, u32, u32, *mut u8) -> NTSTATUS;
type SetDataItem = unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, u32, u32, u32, u32, *mut u8) -> NTSTATUS;
type ExecuteMethod =
    unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, u32, u32, u32, u32, u32, *mut u8) -> NTSTATUS;
type FunctionControl = unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, u32, i32, u8) -> NTSTATUS;

/// `WMILIB_CONTEXT` (wmilib.h).
#[repr(C)]
pub(crate) struct Context {
    count: u32,
    blocks: *const Block,
    query_reginfo: Option<QueryRegInfo>,
    query_data_block: Option<QueryDataBlock>,
    set_data_block: Option<SetDataBlock>,
    set_data_item: Option<SetDataItem>,
    execute_method: Option<ExecuteMethod>,
    function_control: Option<FunctionControl>,
}

/// `Parameters.WMI` of a stack location.
#[derive(Clone, Copy)]
struct Parameters {
    provider: *mut DEVICE_OBJECT,
    bytes: u32,
    buffer: *mut u8,
}

/// Requests for registration that a driver is answering: they must not be completed by it.
static REGISTERING: Uninterrupted<Vec<usize>> = Uninterrupted::new(Vec::new());

unsafe fn parameters(irp: *mut IRP) -> Parameters {
    // SAFETY: by the caller the packet lives.
    unsafe {
        let words = (*current_stack(irp)).Parameters.Others;
        Parameters { provider: words[0].cast(), bytes: words[2] as usize as u32, buffer: words[3].cast() }
    }
}

/// Returns the buffer of a request.
unsafe fn node<'a>(parameters: Parameters) -> &'a mut [u8] {
    if parameters.buffer.is_null() {
        return &mut [];
    }
    // SAFETY: by the caller the buffer has so many bytes.
    unsafe { core::slice::from_raw_parts_mut(parameters.buffer, parameters.bytes as usize) }
}

/// Returns whether a context has what it must have.
fn check_context(context: &Context) -> bool {
    let lacks = match context {
        Context { count, blocks, .. } if *count > BLOCKS_MAX || (*count > 0 && blocks.is_null()) => "its list of GUIDs",
        Context { query_reginfo: None, .. } => "QueryWmiRegInfo",
        Context { query_data_block: None, .. } => "QueryWmiDataBlock",
        _ => return true,
    };
    violation(
        "WmiSystemControl",
        Violation::new(
            kernel::WMI_CONTEXT,
            format!("the WMILIB_CONTEXT with {} GUIDs lacks {lacks}", context.count),
            "both routines are required entry points, and GuidList has GuidCount entries",
        ),
    );
    false
}

/// Fills in a request's registration information.
unsafe fn register(context: &Context, device: *mut DEVICE_OBJECT, irp: *mut IRP, parameters: Parameters) -> NTSTATUS {
    let Some(query) = context.query_reginfo else { return STATUS_INVALID_DEVICE_REQUEST };
    let mut flags = 0;
    let mut instance_name = UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: null_mut() };
    let mut resource = UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: null_mut() };
    let mut path: *mut UNICODE_STRING = null_mut();
    let mut pdo: *mut DEVICE_OBJECT = null_mut();
    REGISTERING.with(|all| all.push(irp as usize));
    // SAFETY: by the caller; the routine is the driver's, by its real prototype.
    let status = crate::ke::driver_call::call("DpWmiQueryRegInfo", || unsafe {
        query(device, &raw mut flags, &raw mut instance_name, &raw mut path, &raw mut resource, &raw mut pdo)
    });
    REGISTERING.with(|all| all.retain(|other| *other != irp as usize));
    if !success(status) {
        return status;
    }
    // SAFETY: what the routine gave: strings of the driver's, and pool that is freed here.
    unsafe {
        let text = |string: *const UNICODE_STRING| -> Vec<u8> {
            let Some(string) = string.as_ref().filter(|string| !string.Buffer.is_null()) else { return Vec::new() };
            let mut counted = string.Length.to_le_bytes().to_vec();
            counted.extend(core::slice::from_raw_parts(string.Buffer.cast::<u8>(), usize::from(string.Length)));
            counted
        };
        let base_name = if flags & FLAG_INSTANCE_PDO == 0 { text(&raw const instance_name) } else { Vec::new() };
        let strings = [base_name, text(path), text(&raw const resource)];
        if !instance_name.Buffer.is_null() {
            pool::free("WmiSystemControl", instance_name.Buffer as u64, None);
        }
        let mut end = REGINFO_BYTES + REGGUID_BYTES * context.count;
        let places = strings.each_ref().map(|string| {
            let place = end;
            end += (string.len() as u32).next_multiple_of(8);
            if string.is_empty() { 0 } else { place }
        });
        let node = node(parameters);
        if end > parameters.bytes {
            wnode::write(node, 0, end);
            (*irp).IoStatus.Information = 4.min(parameters.bytes as usize);
            return STATUS_BUFFER_TOO_SMALL;
        }
        node[..end as usize].fill(0);
        for (offset, value) in [(0, end), (8, places[1]), (12, places[2]), (16, context.count)] {
            wnode::write(node, offset, value);
        }
        for index in 0..context.count as usize {
            let block = &*context.blocks.add(index);
            let start = REGINFO_BYTES as usize + REGGUID_BYTES as usize * index;
            node[start..start + 16].copy_from_slice(&*block.guid.cast::<[u8; 16]>());
            wnode::write(node, start + 16, block.flags | flags);
            wnode::write(node, start + 20, block.instances);
            let name = if flags & FLAG_INSTANCE_PDO == 0 { u64::from(places[0]) } else { pdo as u64 };
            node[start + 24..start + 32].copy_from_slice(&name.to_le_bytes());
        }
        for (string, place) in strings.iter().zip(places) {
            node[place as usize..][..string.len() * usize::from(place != 0)]
                .copy_from_slice(&string[..string.len() * usize::from(place != 0)]);
        }
        (*irp).IoStatus.Information = end as usize;
    }
    STATUS_SUCCESS
}

/// What became of a request: its status, and whether a routine of the driver's has it.
enum Outcome {
    Handled(NTSTATUS),
    Answered(NTSTATUS),
}
use Outcome::{Answered, Handled};

/// Handles a request for a block: calls the driver's routine for it.
unsafe fn dispatch(
    context: &Context,
    device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    function: u8,
    given: Parameters,
) -> Outcome {
    // SAFETY: by the caller; the routines are the driver's, by their real prototypes.
    unsafe {
        let node = node(given);
        if given.bytes < wnode::HEADER_BYTES {
            return Answered(STATUS_INVALID_PARAMETER);
        }
        let mut blocks = (0..context.count).map(|index| (index, &*context.blocks.add(index as usize)));
        let wanted = &node[at::GUID..at::GUID + 16];
        let Some((index, block)) = blocks.find(|(_, block)| (*block.guid.cast::<[u8; 16]>()) == *wanted) else {
            return Answered(STATUS_WMI_GUID_NOT_FOUND);
        };
        if block.flags & FLAG_REMOVE_GUID != 0 {
            return Answered(STATUS_WMI_GUID_NOT_FOUND);
        }
        let instance = wnode::read(node, at::INSTANCE_INDEX);
        let one = matches!(
            function,
            minor::QUERY_SINGLE_INSTANCE
                | minor::CHANGE_SINGLE_INSTANCE
                | minor::CHANGE_SINGLE_ITEM
                | minor::EXECUTE_METHOD
        );
        if one && instance >= block.instances {
            return Answered(STATUS_WMI_INSTANCE_NOT_FOUND);
        }
        // The room behind an offset, and what is there; nothing where the buffer ends before it.
        let room = |offset: u32| {
            let bytes = given.bytes.saturating_sub(offset);
            (bytes, if bytes == 0 { null_mut() } else { given.buffer.add(offset as usize) })
        };
        match function {
            minor::QUERY_ALL_DATA => {
                let Some(query) = context.query_data_block else { return Answered(STATUS_INVALID_DEVICE_REQUEST) };
                let offset = wnode::all_data_offset(block.instances);
                let (bytes, buffer) = room(offset);
                let lengths = if bytes == 0 { null_mut() } else { given.buffer.add(at::ALL_INSTANCES).cast() };
                let end = given.bytes.min(offset) as usize;
                node[wnode::HEADER_BYTES as usize..end].fill(0);
                // Where the data would begin is needed to say how much room they need.
                wnode::write(node, at::ALL_DATA, offset);
                wnode::write(node, at::ALL_DATA + 4, block.instances);
                Handled(crate::ke::driver_call::call("DpWmiQueryDataBlock", || {
                    query(device, irp, index, 0, block.instances, lengths, bytes, buffer)
                }))
            }
            minor::QUERY_SINGLE_INSTANCE => {
                let Some(query) = context.query_data_block else { return Answered(STATUS_INVALID_DEVICE_REQUEST) };
                let (bytes, buffer) = room(wnode::read(node, at::INSTANCE_DATA));
                let length = given.buffer.add(at::INSTANCE_DATA + 4).cast();
                Handled(crate::ke::driver_call::call("DpWmiQueryDataBlock", || {
                    query(device, irp, index, instance, 1, length, bytes, buffer)
                }))
            }
            minor::CHANGE_SINGLE_INSTANCE => {
                let Some(set) = context.set_data_block else { return Answered(STATUS_WMI_READ_ONLY) };
                let (room, buffer) = room(wnode::read(node, at::INSTANCE_DATA));
                let bytes = wnode::read(node, at::INSTANCE_DATA + 4).min(room);
                Handled(crate::ke::driver_call::call("DpWmiSetDataBlock", || {
                    set(device, irp, index, instance, bytes, buffer)
                }))
            }
            minor::CHANGE_SINGLE_ITEM => {
                let Some(set) = context.set_data_item else { return Answered(STATUS_WMI_READ_ONLY) };
                let item = wnode::read(node, at::ITEM);
                let (room, buffer) = room(wnode::read(node, at::ITEM_DATA));
                let bytes = wnode::read(node, at::ITEM_DATA + 4).min(room);
                Handled(crate::ke::driver_call::call("DpWmiSetDataItem", || {
                    set(device, irp, index, instance, item, bytes, buffer)
                }))
            }
            minor::EXECUTE_METHOD => {
                let Some(execute) = context.execute_method else { return Answered(STATUS_INVALID_DEVICE_REQUEST) };
                let method = wnode::read(node, at::ITEM);
                let (room, buffer) = room(wnode::read(node, at::ITEM_DATA));
                let given = wnode::read(node, at::ITEM_DATA + 4).min(room);
                Handled(crate::ke::driver_call::call("DpWmiExecuteMethod", || {
                    execute(device, irp, index, instance, method, given, room, buffer)
                }))
            }
            minor::ENABLE_EVENTS | minor::DISABLE_EVENTS | minor::ENABLE_COLLECTION | minor::DISABLE_COLLECTION => {
                let collection = matches!(function, minor::ENABLE_COLLECTION | minor::DISABLE_COLLECTION);
                let Some(control) =
                    context.function_control.filter(|_| !collection || block.flags & FLAG_EXPENSIVE != 0)
                else {
                    return Answered(STATUS_SUCCESS);
                };
                let enable = u8::from(matches!(function, minor::ENABLE_EVENTS | minor::ENABLE_COLLECTION));
                Handled(crate::ke::driver_call::call("DpWmiFunctionControl", || {
                    control(device, irp, index, i32::from(collection), enable)
                }))
            }
            _ => Answered(STATUS_INVALID_DEVICE_REQUEST),
        }
    }
}

fn not_to_be_completed(what: &str) {
    violation(
        "WmiCompleteRequest",
        Violation::new(
            kernel::WMI_COMPLETION,
            what,
            "complete the request of a DpWmiXxx routine other than DpWmiQueryRegInfo, with the bytes that it has written, or \
             with STATUS_BUFFER_TOO_SMALL and those that it needs",
        ),
    );
}

crate::export_functions! {
    /// What drivers import from `wmilib.sys`.
    pub(crate) static EXPORTS;

    /// Handles a WMI request, by the routines of a driver.
    [PASSIVE] fn WmiSystemControl(context: *const Context, device: *mut DEVICE_OBJECT, irp: *mut IRP, out: *mut i32) -> NTSTATUS {
        let context = &*context;
        if !check_context(context) {
            (*irp).IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
            out.write(disposition::NOT_COMPLETED);
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        let function = (*current_stack(irp)).MinorFunction;
        let given = parameters(irp);
        if function > minor::EXECUTE_METHOD && function != minor::REGINFO_EX {
            out.write(disposition::NOT_WMI);
            return STATUS_SUCCESS;
        }
        if given.provider != device {
            out.write(disposition::FORWARD);
            return STATUS_SUCCESS;
        }
        let outcome = match function {
            minor::REGINFO | minor::REGINFO_EX => Answered(register(context, device, irp, given)),
            _ => dispatch(context, device, irp, function, given),
        };
        match outcome {
            Handled(status) => {
                out.write(disposition::PROCESSED);
                status
            }
            Answered(status) => {
                (*irp).IoStatus.Status = status;
                out.write(disposition::NOT_COMPLETED);
                status
            }
        }
    }

    /// Completes a WMI request whose routine has done its work.
    [DISPATCH] fn WmiCompleteRequest(_device: *mut DEVICE_OBJECT, irp: *mut IRP, status: NTSTATUS, used: u32, boost: i8) -> NTSTATUS {
        let stack = current_stack(irp);
        if (*stack).MajorFunction != IRP_MJ_SYSTEM_CONTROL {
            not_to_be_completed("the packet is no request for system control");
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        if REGISTERING.with(|all| all.contains(&(irp as usize))) {
            not_to_be_completed("the packet is a request for registration information, which WmiSystemControl leaves to the driver");
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        let given = parameters(irp);
        let node = node(given);
        let data = match (*stack).MinorFunction {
            minor::QUERY_SINGLE_INSTANCE => Some(at::INSTANCE_DATA),
            minor::EXECUTE_METHOD => Some(at::ITEM_DATA),
            _ => None,
        };
        let offset = match (*stack).MinorFunction {
            minor::QUERY_ALL_DATA => wnode::read(node, at::ALL_DATA),
            _ => data.map_or(0, |data| wnode::read(node, data)),
        };
        let replies = data.is_some() || (*stack).MinorFunction == minor::QUERY_ALL_DATA;
        let (mut status, mut used, mut bytes) = (status, used, 0);
        if status == STATUS_BUFFER_TOO_SMALL && replies {
            bytes = wnode::too_small(node, offset.max(wnode::HEADER_BYTES).saturating_add(used));
            status = STATUS_SUCCESS;
        } else if success(status) && replies {
            if offset.checked_add(used).is_none_or(|end| end > given.bytes) {
                not_to_be_completed(&format!("BufferUsed is {used} with {} bytes behind the header", given.bytes.saturating_sub(offset)));
                used = given.bytes.saturating_sub(offset);
            }
            bytes = match data {
                Some(data) => wnode::complete_one(node, data, used),
                None => wnode::complete_all_data(node, used),
            };
        }
        (*irp).IoStatus.Status = status;
        (*irp).IoStatus.Information = bytes as usize;
        IofCompleteRequest(irp, boost);
        status
    }

    /// Sends an event, and frees its data: no consumer has asked for it in this guest.
    [DISPATCH] fn WmiFireEvent(device: *mut DEVICE_OBJECT, guid: *const GUID, instance: u32, bytes: u32, data: PVOID) -> NTSTATUS {
        let offset = (at::INSTANCE_DATA as u32 + 8).next_multiple_of(8);
        let size = offset + bytes;
        let event = pool::allocate(u64::from(size), TAG, false, pool::Owner::System);
        let mut status = STATUS_INSUFFICIENT_RESOURCES;
        if let Some(event) = event {
            let node = core::slice::from_raw_parts_mut(event as *mut u8, size as usize);
            node.fill(0);
            node[at::GUID..at::GUID + 16].copy_from_slice(&*guid.cast::<[u8; 16]>());
            let flags = wnode::FLAG_SINGLE_INSTANCE | wnode::FLAG_EVENT_ITEM;
            for (field, value) in [(at::BUFFER_SIZE, size), (4, device as u32), (at::FLAGS, flags), (at::INSTANCE_INDEX, instance), (at::INSTANCE_DATA, offset), (at::INSTANCE_DATA + 4, bytes)] {
                wnode::write(node, field, value);
            }
            if !data.is_null() {
                core::ptr::copy_nonoverlapping(data.cast::<u8>(), node[offset as usize..].as_mut_ptr(), bytes as usize);
            }
            status = IoWMIWriteEvent(event as PVOID);
            if !success(status) { pool::free("WmiFireEvent", event, None) }
        }
        if !data.is_null() { pool::free("WmiFireEvent", data as u64, None) }
        status
    }
}

const _: () = assert!(size_of::<Context>() == 64);
const _: () = assert!(size_of::<Block>() == 16);
