//! Streams of bytes of an MPU-401: `IMiniportMidiStream`.

#![allow(unsafe_code, reason = "the port calls streams through their vtables")]

use alloc::sync::Arc;

use super::uart::{Midi, Opened, Uart, Up};
use crate::nt::status::{STATUS_INVALID_DEVICE_REQUEST, STATUS_IO_DEVICE_ERROR, STATUS_SUCCESS};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::{DataFormat, KsState};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::kernel::irql;

/// A stream of bytes.
pub(super) struct Stream {
    miniport: Com<Uart<Midi>>,
    up: Arc<Up>,
    opened: Opened,
}

impl Class for Stream {
    const NAME: &'static str = "IMiniportMidiStream (of the system, MPU-401)";
    const INTERFACES: &'static [GUID] = &[guids::IID_IMINIPORTMIDISTREAM];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<Stream>();
        static VTABLE: [Slot; 7] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(set_format as *const ()),
            Slot(set_state as *const ()),
            Slot(read as *const ()),
            Slot(write as *const ()),
        ];
        &VTABLE
    }

    fn released(object: &Object<Self>) {
        object.up.device.withdraw(object.address());
        object.miniport.close(&object.up, &object.opened);
    }
}

/// Makes a stream (`IMiniportMidi::NewStream`).
pub(super) unsafe extern "win64" fn new_stream(
    this: *mut Object<Uart<Midi>>,
    out: *mut PVOID,
    _outer: PVOID,
    _pool: i32,
    pin: u32,
    capture: u8,
    format: *const DataFormat,
    group: *mut PVOID,
) -> NTSTATUS {
    irql::passive("IMiniportMidi", "NewStream");
    // SAFETY: the port holds the miniport, and gives out parameters.
    unsafe {
        out.write(core::ptr::null_mut());
        group.write(core::ptr::null_mut());
        let Some(miniport) = Com::<Uart<Midi>>::from_borrowed(this.cast()) else {
            return STATUS_INVALID_DEVICE_REQUEST;
        };
        match miniport.open(pin, capture != 0, format) {
            Ok((up, opened)) => {
                if capture != 0 {
                    group.write(up.group.clone().into_raw());
                }
                out.write(Com::new(Stream { miniport, up, opened }).into_raw());
                STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }
}

type This = *mut Object<Stream>;

unsafe extern "win64" fn set_format(_this: This, _format: *const DataFormat) -> NTSTATUS {
    irql::passive("IMiniportMidiStream", "SetFormat");
    STATUS_SUCCESS
}

unsafe extern "win64" fn set_state(this: This, state: KsState) -> NTSTATUS {
    irql::passive("IMiniportMidiStream", "SetState");
    // SAFETY: the port holds the stream.
    let stream = unsafe { object(this) };
    match stream.opened {
        Opened::Capture => stream.up.device.set_captures(state >= KsState::Pause, stream.up.polled_group()),
        Opened::Render(_) if state == KsState::Stop => stream.up.device.withdraw(stream.address()),
        Opened::Render(_) => {}
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn read(this: This, buffer: *mut u8, length: u32, count: *mut u32) -> NTSTATUS {
    // SAFETY: the port holds the stream, and gives a buffer and an out parameter.
    unsafe {
        count.write(0);
        let stream = object(this);
        if !matches!(stream.opened, Opened::Capture) {
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        let mut taken = 0;
        while taken < length
            && let Some(received) = stream.up.device.take()
        {
            buffer.add(taken as usize).write(received.byte);
            taken += 1;
        }
        count.write(taken);
    }
    STATUS_SUCCESS
}

unsafe extern "win64" fn write(this: This, buffer: *const u8, length: u32, count: *mut u32) -> NTSTATUS {
    // SAFETY: the port holds the stream, and gives a buffer and an out parameter.
    unsafe {
        count.write(0);
        let stream = object(this);
        if matches!(stream.opened, Opened::Capture) {
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        let bytes = core::slice::from_raw_parts(buffer, length as usize);
        match stream.up.device.queue_bytes(stream.address(), bytes) {
            Some(taken) => {
                count.write(taken as u32);
                STATUS_SUCCESS
            }
            None => STATUS_IO_DEVICE_ERROR,
        }
    }
}
