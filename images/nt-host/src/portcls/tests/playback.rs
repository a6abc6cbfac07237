//! A piece played through the test miniport.

use guest_protocol::{Delivery, MarkKind, Pace};

use std::vec;
use std::vec::Vec;

use super::miniport::{Behaviour, Fault, Recorded};
use super::{port, render_pin, wave_pin};
use crate::agent::player::{Leave, Piece, PlayError, Played, play};
use crate::portcls::com::abi::{DONT_HOLD_FOR_SEQUENCING, KsState};
use crate::portcls::kernel;
use crate::portcls::pin::RENDER_GUARD_BYTES;

fn record(delta: i64) -> Vec<u8> {
    let mut bytes = 3_u32.to_le_bytes().to_vec();
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(delta.to_le_bytes());
    bytes.extend([1, 0, 0, 0, 0x90, 60, 100, 0]);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn play_deltas(behaviour: Behaviour, deltas: &[i64]) -> (Result<Played, PlayError>, &'static Recorded) {
    let (port, recorded) = port(behaviour);
    let (mut render, mut wave) = (render_pin(&port), wave_pin(&port));
    // Those of the checks that opening a pin makes.
    let _ = kernel::take_marks();
    let events: Vec<u8> = deltas.iter().flat_map(|&delta| record(delta)).collect();
    let mut pcm = vec![0; 4800 * 4 + RENDER_GUARD_BYTES];
    let mut piece = Piece {
        events: &events,
        event_count: deltas.len() as u32,
        frames: 4800,
        pcm: &mut pcm,
        quantum: 480,
        pace: Pace::Lockstep,
        delivery: Delivery::InOrder,
    };
    let played = play(&mut render, &mut wave, &mut piece, Leave::Stopped, |_| (), || ());
    assert_eq!((render.state(), wave.state()), (KsState::Stop, KsState::Stop));
    render.close();
    wave.close();
    port.shut_down();
    (played, recorded)
}

#[test]
fn stamps_every_event_from_the_anchor_of_the_wave_stream() {
    for prefetch in [DONT_HOLD_FOR_SEQUENCING, 0, 50_000] {
        let (played, recorded) =
            play_deltas(Behaviour { prefetch, keeps: false, fault: Fault::None }, &[0, 100_000, 999_999]);
        assert_eq!(played, Ok(Played { frames: 4800, events: 3 }));
        let start = *recorded.sync.lock().unwrap().last().unwrap();
        let times: Vec<i64> = recorded.events.lock().unwrap().iter().map(|event| event.0 - start).collect();
        assert_eq!(times, [0, 100_000, 999_999]);
    }
}

#[test]
fn refuses_records_whose_times_do_not_ascend_before_anything_sounds() {
    let (played, recorded) = play_deltas(Behaviour::default(), &[5, 4]);
    assert_eq!(played, Err(PlayError::Order { index: 1, time: 4, previous: 5 }));
    assert!(recorded.sync.lock().unwrap().is_empty());
}

#[test]
fn every_event_is_marked_before_it_is_put_and_every_call_when_it_returns() {
    let (played, recorded) = play_deltas(Behaviour::default(), &[0, 0, 0, 100_000]);
    assert_eq!(played, Ok(Played { frames: 4800, events: 4 }));
    let marks = kernel::take_marks();
    let times: Vec<i64> = recorded.events.lock().unwrap().iter().map(|event| event.0).collect();
    let put = |mark: &&(MarkKind, u16, u64)| mark.0 == MarkKind::PutMessage;
    let marked: Vec<i64> = marks.iter().filter(put).map(|mark| mark.2.cast_signed()).collect();
    assert_eq!(marked, times);
    assert!(marks.iter().filter(put).all(|mark| mark.1.to_le_bytes() == [0x90, 3]), "{marks:?}");
    let ends = marks.iter().filter(|mark| mark.0 == MarkKind::PutEnd);
    let (events, statuses): (Vec<u16>, Vec<u64>) = ends.map(|mark| (mark.1, mark.2)).unzip();
    assert_eq!((events.iter().sum::<u16>(), statuses.iter().sum::<u64>()), (4, 0));
    assert!(events.contains(&3), "the first three have one time and go as a chain: {events:?}");
}
