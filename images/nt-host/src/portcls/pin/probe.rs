//! A render stream tried out before its client gets it: what it is sent in PAUSE it holds, and gives back in STOP.
//!
//! Clients rarely stop a stream that still holds something, and send no packages; the contract covers both. Nothing of
//! this sounds: it is sent in PAUSE and discarded by STOP.

#![allow(unsafe_code, reason = "events are linked by address")]

use super::Pin;
use super::delivery::Batch;
use super::unpack::Fragment;
use crate::contract::rules;
use crate::portcls::com::abi::KsState;

/// How long the stream may take to give back what it holds in STOP. 100 ns units.
const LIMIT: i64 = 20_000_000;

/// An undefined controller on channel 16.
const SHORT: &[u8] = &[0xBF, 0x77, 0x00];

/// A universal non-commercial system-exclusive message, longer than fits an event.
const LONG: &[u8] = &[0xF0, 0x7D, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xF7];

/// Long past: as soon as possible, if it were ever played.
const TIME: i64 = 1;

/// Tries a stream in STOP out; leaves it there.
pub(crate) fn probe(pin: &mut Pin) {
    if !pin.is_render() || !crate::contract::watch::is_on() {
        return;
    }
    let fill = |pin: &Pin, data: &'static [u8]| {
        // A long one is as long as the buffers allow.
        let data = &data[..data.len().min(usize::from(pin.allocator().buffer_bytes()))];
        let fragment = Fragment { flags: 0, data };
        pin.allocator().fill(&fragment, TIME, 1).unwrap_or_else(|| pin.allocator().exhausted())
    };
    // Only RUN may be refused, which is not among the states here.
    let _ = pin.set_state(KsState::Pause);
    pin.put(Batch { first: fill(pin, SHORT), count: 1 });
    pin.put(Batch { first: fill(pin, LONG), count: 1 });
    let _ = pin.set_state(KsState::Stop);
    pin.expect_returned(rules::STREAM_STATES, LIMIT, crate::portcls::kernel::pause);

    let _ = pin.set_state(KsState::Pause);
    let (first, second) = (fill(pin, SHORT), fill(pin, LONG));
    // SAFETY: just filled, and known to no stream.
    unsafe { (*first).next = second };
    let package = pin.allocator().wrap(first, TIME, 1).unwrap_or_else(|| pin.allocator().exhausted());
    pin.put(Batch { first: package, count: 3 });
    let _ = pin.set_state(KsState::Stop);
    pin.expect_returned(rules::CONSERVATION, LIMIT, crate::portcls::kernel::pause);
    pin.allocator().check();
}
