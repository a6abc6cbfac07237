//! KS property requests, sent through the driver's dispatch routine as a client's `DeviceIoControl` is.

#![allow(unsafe_code, reason = "file objects and IRPs are structures shared with the kernel")]

use alloc::boxed::Box;
use alloc::vec::Vec;

use guest_protocol::{Caller, Failure, PropertyRequest, PropertyVerb, Reply};

use crate::harness::failure;
use crate::ke::process::Process;
use crate::nt::status::{STATUS_SUCCESS, success};
use crate::nt::{FILE_OBJECT, IO_DEVICE_CONTROL, IO_TYPE_FILE, IRP_MJ_DEVICE_CONTROL, POINTER_ALIGNED};
use crate::portcls::adapter::{self, irp};
use crate::portcls::com::abi::property_type;
use crate::portcls::request::Target;
use crate::{io, ke};

/// `KernelMode` and `UserMode` of `MODE` (wdm.h).
const KERNEL_MODE: i8 = 0;
const USER_MODE: i8 = 1;

/// Returns the process of a caller; the kernel has none.
pub(super) const fn process(caller: Caller) -> Option<Process> {
    match caller {
        Caller::Kernel => None,
        Caller::User64 => Some(Process::Wide),
        Caller::User32 => Some(Process::Narrow),
    }
}

/// Returns `KSPROPERTY` or `KSNODEPROPERTY`, followed by the instance data.
fn header(request: &PropertyRequest) -> Vec<u8> {
    let verb = match request.verb {
        PropertyVerb::Get => property_type::GET,
        PropertyVerb::Set => property_type::SET,
        PropertyVerb::BasicSupport => property_type::BASIC_SUPPORT,
    };
    let mut bytes = request.set.to_vec();
    bytes.extend(request.id.to_le_bytes());
    bytes.extend((verb | if request.node.is_some() { property_type::TOPOLOGY } else { 0 }).to_le_bytes());
    if let Some(node) = request.node {
        bytes.extend(node.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
    }
    bytes.extend(&request.instance);
    bytes
}

/// Sends a request to its target.
///
/// # Errors
/// [`FailureKind::Request`](guest_protocol::FailureKind::Request) when no device is started,
/// [`FailureKind::Memory`](guest_protocol::FailureKind::Memory) when there is no memory for the packet.
pub(super) fn send(request: &PropertyRequest, target: &Target<'_>) -> Result<SentProperty, Failure> {
    let device = adapter::device().ok_or_else(|| failure::request("no device is started"))?;
    let process = process(request.caller);
    let mut header = header(request).into_boxed_slice();
    let mut value = request.value.clone().into_boxed_slice();
    // SAFETY: all zero is a valid file object.
    let mut file: Box<FILE_OBJECT> = unsafe { Box::new(core::mem::zeroed()) };
    file.Type = IO_TYPE_FILE;
    file.Size = size_of::<FILE_OBJECT>() as i16;
    file.DeviceObject = device;
    // PortCls looks at it while it dispatches the request, and not afterwards.
    file.FsContext = core::ptr::from_ref(target).cast_mut().cast();
    let parameters = IO_DEVICE_CONTROL {
        OutputBufferLength: POINTER_ALIGNED(value.len() as u32),
        InputBufferLength: POINTER_ALIGNED(header.len() as u32),
        IoControlCode: POINTER_ALIGNED(irp::IOCTL_KS_PROPERTY),
        Type3InputBuffer: header.as_mut_ptr().cast(),
    };
    let (file_address, value_address) = (&raw mut *file, value.as_mut_ptr());
    // SAFETY: the device is an adapter's, and what the parameters point to stays where it is until the answer is taken.
    let send = || unsafe {
        io::irp::send(device, STATUS_SUCCESS, |packet, stack| {
            packet.UserBuffer = value_address.cast();
            packet.RequestorMode = if process.is_some() { USER_MODE } else { KERNEL_MODE };
            stack.MajorFunction = IRP_MJ_DEVICE_CONTROL;
            stack.FileObject = file_address;
            stack.Parameters.DeviceIoControl = parameters;
        })
    };
    let packet = match process {
        Some(process) => ke::thread::as_caller(process, send),
        None => send(),
    };
    let packet = packet.ok_or_else(|| failure::memory(size_of::<crate::nt::IRP>() as u64))?;
    Ok(SentProperty { packet, is_set: matches!(request.verb, PropertyVerb::Set), value, _header: header, _file: file })
}

/// A property request that has been sent, and the memory that its packet points to.
pub(super) struct SentProperty {
    packet: io::irp::Sent,
    is_set: bool,
    value: Box<[u8]>,
    _header: Box<[u8]>,
    _file: Box<FILE_OBJECT>,
}

impl SentProperty {
    /// Returns whether the driver has completed the request.
    pub(super) fn is_complete(&self) -> bool {
        self.packet.is_complete()
    }

    /// Cancels the request, as the system does when a client goes away.
    pub(super) fn cancel(&self) {
        self.packet.cancel();
    }

    /// Waits for the request and returns its answer.
    pub(super) fn answer(self) -> Reply {
        let (status, information) = self.packet.finish();
        let length = information as u32;
        let written = if success(status) && !self.is_set { length.min(self.value.len() as u32) } else { 0 };
        let mut value = self.value.into_vec();
        value.truncate(written as usize);
        Reply::Property { status: status.cast_unsigned(), value, length }
    }
}
