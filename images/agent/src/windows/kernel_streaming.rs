//! Filters, pins and their requests. Requests go through `NtDeviceIoControlFile`, which returns the driver's own `NTSTATUS`.
#![allow(unsafe_code, reason = "the system is behind a foreign interface")]

use alloc::boxed::Box;
use core::ptr::{null, null_mut};

use dmus_agent::system::{Buffers, Completion, RawHandle, SystemError};

use super::api::{self, Handle, IoStatusBlock, OwnedHandle};
use super::layer::Layer;
use super::text;

/// A request that has been sent, and the memory that the driver may use until it completes it.
pub(super) struct Sent {
    state: Box<State>,
}

struct State {
    block: IoStatusBlock,
    /// The completion where the call returned it.
    at_once: Option<u32>,
    event: Option<OwnedHandle>,
    buffers: Buffers,
}

/// Returns the handle that a number is.
pub(super) fn handle(raw: RawHandle) -> Handle {
    raw.0 as Handle
}

/// Opens a device interface.
pub(super) fn open(layer: &Layer, path: &str) -> Result<RawHandle, SystemError> {
    let path = text::wide(path);
    // SAFETY: the path ends with a zero.
    let file = unsafe {
        (layer.create_file)(
            path.as_ptr(),
            api::GENERIC_READ | api::GENERIC_WRITE,
            0,
            null(),
            api::OPEN_EXISTING,
            api::FILE_FLAG_OVERLAPPED,
            null_mut(),
        )
    };
    if file == api::INVALID_HANDLE { Err(api::last_error()) } else { Ok(RawHandle(file as usize)) }
}

/// Creates a pin.
pub(super) fn create_pin(
    layer: &Layer,
    filter: RawHandle,
    connect: &[u8],
    for_writing: bool,
) -> Result<RawHandle, SystemError> {
    // In memory with the alignment of its structure.
    let mut words = alloc::vec![0_u64; connect.len().div_ceil(8)];
    for (word, bytes) in words.iter_mut().zip(connect.chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_le_bytes(whole);
    }
    let access = if for_writing { api::GENERIC_READ | api::GENERIC_WRITE } else { api::GENERIC_READ };
    let mut pin = null_mut();
    // SAFETY: a whole structure with the format behind it, and a place for the handle.
    match unsafe { (layer.create_pin)(handle(filter), words.as_ptr().cast(), access, &raw mut pin) } {
        0 => Ok(RawHandle(pin as usize)),
        error => Err(SystemError(error)),
    }
}

/// Sends a request.
pub(super) fn begin(layer: &Layer, file: RawHandle, code: u32, buffers: Buffers) -> Sent {
    let block = IoStatusBlock { status: api::STATUS_PENDING as usize, information: 0 };
    let mut state = Box::new(State { block, at_once: None, event: None, buffers });
    match OwnedHandle::event() {
        Ok(event) => state.event = Some(event),
        Err(_) => {
            // STATUS_INSUFFICIENT_RESOURCES.
            state.at_once = Some(0xc000_009a);
            return Sent { state };
        }
    }
    let event = state.event.as_ref().map_or(null_mut(), |event| event.0);
    let input = &state.buffers.input;
    let (input, input_bytes) = if input.is_empty() { (null(), 0) } else { (input.as_ptr(), input.len()) };
    let output = &mut state.buffers.output;
    let (output, output_bytes) = if output.is_empty() { (null_mut(), 0) } else { (output.as_mut_ptr(), output.len()) };
    // SAFETY: the memory stays where it is until the request has completed: `Sent` owns it, and is finished only then.
    let status = unsafe {
        (layer.device_io_control)(
            handle(file),
            event,
            null(),
            null(),
            &raw mut state.block,
            code,
            input.cast(),
            input_bytes as u32,
            output.cast(),
            output_bytes as u32,
        )
    };
    if status != api::STATUS_PENDING {
        state.at_once = Some(status);
    }
    Sent { state }
}

/// Returns the completion of a request, if it has completed.
pub(super) fn completed(sent: &Sent) -> Option<Completion> {
    let State { block, at_once, event, .. } = &*sent.state;
    if let Some(status) = *at_once {
        // An error leaves the block alone.
        let information = if status >> 30 == 3 { 0 } else { block.information };
        return Some(Completion { status, information });
    }
    let event = event.as_ref()?;
    // SAFETY: an event of its own.
    if unsafe { api::WaitForSingleObject(event.0, 0) } != api::WAIT_OBJECT_0 {
        return None;
    }
    // SAFETY: the system has written it before it set the event.
    let (status, information) =
        unsafe { ((&raw const block.status).read_volatile(), (&raw const block.information).read_volatile()) };
    Some(Completion { status: status as u32, information })
}

/// Takes the memory of a completed request.
pub(super) fn finish(sent: Sent) -> Buffers {
    let mut state = sent.state;
    core::mem::take(&mut state.buffers)
}

/// Leaves a request and its memory to the driver.
pub(super) fn abandon(sent: Sent) {
    core::mem::forget(sent.state);
}
