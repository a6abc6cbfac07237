//! Miniports that break the contract are caught, with the number of the rule.

use core::mem::ManuallyDrop;

use super::miniport::{Behaviour, Fault};
use super::{RATE, note, port, render_pin, wave_pin};
use crate::portcls::com::abi::{DONT_HOLD_FOR_SEQUENCING, KsState};
use crate::portcls::com::guids;
use crate::portcls::com::object::Com;
use crate::portcls::ks::formats;
use crate::portcls::pin::{Pin, RENDER_GUARD_BYTES};
use crate::portcls::port::Port;

/// Returns a port that outlives the test, which ends in the middle of things.
fn faulty(fault: Fault, keeps: bool) -> ManuallyDrop<Com<Port>> {
    ManuallyDrop::new(port(Behaviour { prefetch: DONT_HOLD_FOR_SEQUENCING, keeps, fault }).0)
}

#[test]
#[should_panic(expected = "rule 32")]
fn catches_a_prefetch_that_new_stream_does_not_write() {
    let _ = render_pin(&faulty(Fault::NoPrefetch, false));
}

#[test]
#[should_panic(expected = "rule 33")]
fn catches_a_reference_that_a_failed_new_stream_keeps() {
    let music = formats::music(guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
    let _ = Pin::open(&faulty(Fault::LeaksOnFailure, false), 0, &music);
}

#[test]
#[should_panic(expected = "rule 7")]
fn catches_an_allocator_that_a_stream_does_not_release() {
    render_pin(&faulty(Fault::LeaksAllocator, false)).close();
}

#[test]
#[should_panic(expected = "rule 48")]
fn catches_events_that_do_not_come_back_in_stop() {
    let _ = render_pin(&faulty(Fault::KeepsInStop, true));
}

#[test]
#[should_panic(expected = "rule 40")]
fn catches_events_that_a_destroyed_stream_keeps() {
    let mut pin = render_pin(&faulty(Fault::Loses, false));
    pin.set_state(KsState::Run).unwrap();
    pin.send(&note(0), 0, || false).unwrap();
    pin.flush();
    pin.close();
}

#[test]
#[should_panic(expected = "rule 33")]
fn catches_a_stream_in_a_format_that_the_pin_does_not_have() {
    let _ = Pin::open(&faulty(Fault::TakesAnyFormat, false), 0, &formats::pcm(RATE, 2, 16));
}

#[test]
#[should_panic(expected = "the last one was not written")]
fn catches_a_frame_that_render_does_not_write() {
    wave_pin(&faulty(Fault::RendersShort, false)).render(&mut [0; 400 + RENDER_GUARD_BYTES], 100);
}

#[test]
#[should_panic(expected = "bytes behind them were written")]
fn catches_a_frame_that_render_writes_too_many() {
    wave_pin(&faulty(Fault::RendersLong, false)).render(&mut [0; 400 + RENDER_GUARD_BYTES], 100);
}

#[test]
#[should_panic(expected = "rule 7")]
fn catches_a_port_that_a_miniport_does_not_release() {
    faulty(Fault::LeaksPort, false).shut_down();
}
