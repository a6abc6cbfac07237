//! Miniports that break the contract are caught, with the number of the rule.

use alloc::boxed::Box;
use core::mem::ManuallyDrop;

use super::miniport::{Behaviour, Fault};
use super::{RATE, note, port, render_pin, wave_pin};
use crate::contract::note::taken_notes;
use crate::nt::status::STATUS_NO_MATCH;
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

/// Returns a wave pin that runs.
fn running_wave_pin(port: &Com<Port>) -> Box<Pin> {
    let mut pin = wave_pin(port);
    pin.set_state(KsState::Run).unwrap();
    pin.sync_to_master(0).unwrap();
    pin
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
fn asks_no_miniport_for_a_format_that_the_pin_does_not_have() {
    let port = faulty(Fault::TakesAnyFormat, false);
    assert_eq!(Pin::open(&port, 0, &formats::pcm(RATE, 2, 16)).err(), Some(STATUS_NO_MATCH));
    assert!(taken_notes().is_empty());
    // Kernel streaming compares no rates.
    assert_eq!(Pin::open(&port, 1, &formats::pcm(96_001, 2, 16)).err(), Some(STATUS_NO_MATCH));
    assert!(taken_notes()[0].contains("rule 33: pin 1 makes a WaveSink stream"));
}

#[test]
#[should_panic(expected = "100 frames of 4 bytes were asked for, and 99 were rendered")]
fn catches_a_frame_that_render_does_not_write() {
    let mut pin = running_wave_pin(&faulty(Fault::RendersShort, false));
    for _ in 0..2 {
        pin.render(&mut [0; 400 + RENDER_GUARD_BYTES], 100);
    }
}

#[test]
#[should_panic(
    expected = "8 times in a row sound came in the first 99 frames only; 100 frames of 4 bytes were asked for"
)]
fn catches_a_frame_that_render_does_not_mix() {
    let mut pin = running_wave_pin(&faulty(Fault::MixesShort, false));
    for _ in 0..8 {
        pin.render(&mut [0; 400 + RENDER_GUARD_BYTES], 100);
    }
}

#[test]
fn a_stream_may_mix_into_silence_or_count_in_bytes() {
    for behaviour in [Fault::None, Fault::Mixes, Fault::CountsBytes] {
        let mut pin = running_wave_pin(&faulty(behaviour, false));
        for _ in 0..20 {
            let mut buffer = [0x77; 400 + RENDER_GUARD_BYTES];
            pin.render(&mut buffer, 100);
            assert_eq!(buffer[..400], [0x11; 400]);
        }
        pin.close();
    }
    let notes = taken_notes();
    assert!(notes.len() == 1 && notes[0].contains("rule 83: it counts length and position in bytes"), "{notes:?}");
}

#[test]
#[should_panic(expected = "bytes behind them were written")]
fn catches_a_frame_that_render_writes_too_many() {
    running_wave_pin(&faulty(Fault::RendersLong, false)).render(&mut [0; 400 + RENDER_GUARD_BYTES], 100);
}

#[test]
#[should_panic(expected = "rule 7")]
fn catches_a_port_that_a_miniport_does_not_release() {
    faulty(Fault::LeaksPort, false).shut_down();
}
