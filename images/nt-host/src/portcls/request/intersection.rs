//! `KSPROPERTY_PIN_DATAINTERSECTION`, and the size protocol of `IMiniport::DataRangeIntersection`.

#![allow(unsafe_code, reason = "the miniport is called by slot number, with ranges by address")]

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use crate::contract::violation::{Violation, violation};
use crate::contract::{rules, watch};
use crate::nt::NTSTATUS;
use crate::nt::status::{
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_BUFFER_SIZE, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_PARAMETER, STATUS_NO_MATCH, STATUS_NOT_IMPLEMENTED, STATUS_SUCCESS, success,
};
use crate::portcls::com::abi::DataFormat;
use crate::portcls::com::object::Com;
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::ks::answers::{self, Answer};
use crate::portcls::ks::descriptor::{DataRange, Filter, Pin as Factory};
use crate::portcls::ks::formats;
use crate::portcls::port::Port;

/// Longest format that an intersection gives.
const FORMAT_BYTES_MAX: usize = 4096;

/// Bytes behind the result that the miniport may not touch, and what they hold: more than any format here has.
const GUARD_BYTES: usize = 256;
const GUARD: u8 = 0xC5;

/// What a miniport answered.
struct Intersected {
    status: NTSTATUS,
    length: u32,
    result: Vec<u8>,
}

/// Calls the miniport for what a client's range and one of a pin's have in common.
fn call_miniport(miniport: &Foreign, pin: u32, client: &[u8], own: &DataRange, room: usize) -> Intersected {
    let client = formats::aligned(client);
    let mut result = vec![GUARD; room + GUARD_BYTES];
    let mut length = 0;
    // SAFETY: the miniport is held; the ranges and the result live for the call, and the guard is part of the result.
    let status = unsafe {
        slots::miniport::data_range_intersection(
            miniport.as_raw(),
            pin,
            client.as_ptr().cast(),
            own.address as *const DataFormat,
            room as u32,
            if room == 0 { core::ptr::null_mut() } else { result.as_mut_ptr().cast() },
            &raw mut length,
        )
    };
    if result[room..].iter().any(|&byte| byte != GUARD) {
        broken(&format!("it writes behind a result of {room} bytes on pin {pin}"));
    }
    result.truncate(room);
    Intersected { status, length, result }
}

/// Takes a miniport through the size protocol with each of its own ranges (rule 31).
pub(crate) fn check(port: &Com<Port>) {
    if !watch::is_on() {
        return;
    }
    let (Some(miniport), Some(filter)) = (port.miniport(), port.filter()) else { return };
    for (pin, factory) in filter.pins.iter().enumerate() {
        for range in &factory.ranges {
            check_range(&miniport, pin as u32, range);
        }
    }
}

fn check_range(miniport: &Foreign, pin: u32, range: &DataRange) {
    let size = call_miniport(miniport, pin, &range.bytes, range, 0);
    if !success(size.status) && size.status != STATUS_BUFFER_OVERFLOW && size.status != STATUS_BUFFER_TOO_SMALL {
        // No match, or left to the port.
        rules::INTERSECTION.held();
        return;
    }
    if size.status != STATUS_BUFFER_OVERFLOW || !(1..=FORMAT_BYTES_MAX as u32).contains(&size.length) {
        broken(&format!(
            "intersected for the size on pin {pin}, it answers {:#010x} and {} bytes",
            size.status, size.length
        ));
        return;
    }
    let room = size.length as usize;
    let short = call_miniport(miniport, pin, &range.bytes, range, room - 1);
    if short.status != STATUS_BUFFER_TOO_SMALL {
        return broken(&format!("on pin {pin} it needs {room} bytes, and answers {:#010x} to one less", short.status));
    }
    let full = call_miniport(miniport, pin, &range.bytes, range, room);
    let says = full.result.first_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
    if full.status != STATUS_SUCCESS || full.length != size.length || says != size.length {
        broken(&format!(
            "on pin {pin} it says {room} bytes are needed, and answers {:#010x}, {} bytes and FormatSize {says} to just so many",
            full.status, full.length
        ));
    } else {
        rules::INTERSECTION.held();
    }
}

fn broken(what: &str) {
    violation(
        "IMiniport::DataRangeIntersection",
        Violation::new(
            rules::INTERSECTION,
            what,
            "no room: STATUS_BUFFER_OVERFLOW with the length needed; too little: STATUS_BUFFER_TOO_SMALL; else what was written",
        ),
    );
}

/// Answers `KSPROPERTY_PIN_DATAINTERSECTION`: `KSP_PIN`'s id, then a `KSMULTIPLE_ITEM` of the client's ranges.
pub(crate) fn property(port: &Com<Port>, filter: &Filter, instance: &[u8], value: &mut [u8]) -> Answer {
    let found = answers::pin_id(instance).and_then(|id| Some((id, filter.pins.get(id as usize)?)));
    let (Some((id, factory)), Some(list)) = (found, instance.get(8..)) else { return (STATUS_INVALID_PARAMETER, 0) };
    let mut rest = list.get(8..).unwrap_or_default();
    while let Some(size) = rest.first_chunk::<4>().map(|size| u32::from_le_bytes(*size) as usize) {
        if size < size_of::<DataFormat>() || size > rest.len() {
            return (STATUS_INVALID_PARAMETER, 0);
        }
        let answer = intersect(port, id, factory, &rest[..size], value);
        if answer.0 != STATUS_NO_MATCH {
            return answer;
        }
        rest = rest.get(size.next_multiple_of(8)..).unwrap_or_default();
    }
    (STATUS_NO_MATCH, 0)
}

/// Intersects one of the client's ranges with each of the pin's: by the miniport first, then by the port's own
/// handler.
fn intersect(port: &Com<Port>, id: u32, factory: &Factory, client: &[u8], value: &mut [u8]) -> Answer {
    let Some(miniport) = port.miniport() else { return (STATUS_INVALID_DEVICE_REQUEST, 0) };
    for range in &factory.ranges {
        let intersected = call_miniport(&miniport, id, client, range, value.len().min(FORMAT_BYTES_MAX));
        match intersected.status {
            STATUS_NO_MATCH => {}
            STATUS_NOT_IMPLEMENTED => {
                if let Some(format) = formats::intersect(client, range) {
                    return answers::fixed(&format, value);
                }
            }
            STATUS_SUCCESS => {
                let Some(written) = intersected.result.get(..intersected.length as usize) else {
                    broken(&format!(
                        "it says {} bytes were written into {}",
                        intersected.length,
                        intersected.result.len()
                    ));
                    return (STATUS_INVALID_BUFFER_SIZE, 0);
                };
                value[..written.len()].copy_from_slice(written);
                return (STATUS_SUCCESS, intersected.length);
            }
            status => return (status, intersected.length),
        }
    }
    (STATUS_NO_MATCH, 0)
}
