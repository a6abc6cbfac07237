//! Render streams: what plays, in which order, in which state; and that every event goes allocator exactly once.

mod common;

use card_spec::control::RequestCode;
use card_spec::queue::Queue;
use common::{NOTE, TestDriver, played};
use dmus_miniport::card::CardError;
use dmus_miniport::fake::{Behaviour, FakeAllocator, deliver_interrupts, passive};
use dmus_miniport::midi_out::{Groups, STREAMS};
use portcls::event::{INLINE_BYTES, event_flag};
use portcls::ks::KsState;

fn ignoring_events() -> Behaviour {
    let mut behaviour = Behaviour::default();
    behaviour.ignores_kicks[Queue::MIDI_OUT.index()] = true;
    behaviour
}

#[test]
fn plays_a_chain_in_order_and_gives_it_back_at_once() {
    for length in [1, 2, 100, 1000] {
        let driver = TestDriver::new();
        let stream = driver.render().running();
        let messages: Vec<(i64, &[u8])> = (0..length).map(|time| (time, NOTE)).collect();
        stream.put(stream.allocator.messages(&messages));
        let expected: Vec<_> = (0..length).map(|time| (time, NOTE.to_vec())).collect();
        assert_eq!(played(&driver.fake), expected);
        assert_eq!(stream.allocator.outstanding(), 0);
    }
}

#[test]
fn numbers_the_batches_of_each_stream() {
    let driver = TestDriver::new();
    let (first, second) = (driver.render().running(), driver.render().running());
    for stream in [&first, &second, &first] {
        stream.put(stream.allocator.message(0, NOTE));
    }
    let batches: Vec<_> =
        driver.fake.with(|card| card.batches.iter().map(|batch| (batch.stream, batch.sequence)).collect());
    assert_eq!(batches, [(first.id, 0), (second.id, 0), (first.id, 1)]);
}

#[test]
fn holds_events_below_run_and_plays_them_in_order_in_run() {
    let driver = TestDriver::new();
    let stream = driver.render();
    for (time, state) in [KsState::ACQUIRE, KsState::PAUSE, KsState::PAUSE, KsState::ACQUIRE].into_iter().enumerate() {
        stream.set(state);
        stream.put(stream.allocator.message(time as i64, NOTE));
    }
    assert_eq!(played(&driver.fake), []);
    assert_eq!(stream.allocator.outstanding(), 4);
    stream.set(KsState::RUN);
    let times: Vec<_> = played(&driver.fake).into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, [0, 1, 2, 3]);
    assert_eq!(stream.allocator.outstanding(), 0);
}

#[test]
fn gives_held_and_new_events_back_unplayed_in_stop() {
    let driver = TestDriver::new();
    let stream = driver.render();
    stream.put(stream.allocator.message(0, NOTE));
    assert_eq!(stream.allocator.outstanding(), 0, "a new stream is stopped");
    stream.set(KsState::PAUSE);
    let package = stream.allocator.package(&[stream.allocator.message(1, NOTE), stream.allocator.message(2, NOTE)]);
    stream.put(FakeAllocator::chain(&[package, stream.allocator.message(3, NOTE)]));
    stream.set(KsState::STOP);
    stream.put(stream.allocator.package(&[stream.allocator.message(4, NOTE)]));
    assert_eq!(stream.allocator.outstanding(), 0);
    stream.set(KsState::RUN);
    assert_eq!(played(&driver.fake), []);
}

#[test]
fn every_state_may_follow_every_other() {
    let driver = TestDriver::new();
    let stream = driver.render();
    let states = [KsState::STOP, KsState::ACQUIRE, KsState::PAUSE, KsState::RUN];
    for from in states {
        for to in states {
            stream.set(from);
            stream.set(to);
            let on_card = driver.fake.with(|card| card.streams[&stream.id]);
            assert_eq!(on_card == KsState::RUN.0, to == KsState::RUN, "{from:?} to {to:?}");
            stream.put(stream.allocator.message(0, NOTE));
            let holds = to == KsState::ACQUIRE || to == KsState::PAUSE;
            assert_eq!(stream.allocator.outstanding() != 0, holds, "{from:?} to {to:?}");
            stream.set(KsState::STOP);
            assert_eq!(stream.allocator.outstanding(), 0);
        }
    }
}

#[test]
fn unpacks_nested_packages_in_place() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    let allocator = stream.allocator;
    let event = |time| allocator.message(time, NOTE);
    let inner = allocator.package(&[event(2), event(3)]);
    let outer = allocator.package(&[event(1), inner, allocator.package(&[]), event(4)]);
    stream.put(FakeAllocator::chain(&[event(0), outer, event(5)]));
    let times: Vec<_> = played(&driver.fake).into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, [0, 1, 2, 3, 4, 5]);
    assert_eq!(allocator.outstanding(), 0);
}

#[test]
fn takes_data_from_the_event_up_to_a_pointers_size_and_else_from_the_buffer() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    for length in 2..=INLINE_BYTES + 3 {
        let mut sysex = vec![1; length];
        (sysex[0], sysex[length - 1]) = (0xf0, 0xf7);
        stream.put(stream.allocator.message(0, &sysex));
        assert_eq!(driver.fake.events().last().unwrap().data, sysex);
    }
    assert_eq!(stream.allocator.outstanding(), 0);
}

#[test]
fn gives_events_without_data_back() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    stream.put(stream.allocator.message(0, &[]));
    stream.put(stream.allocator.event_without_buffer(1000));
    stream.put(std::ptr::null_mut());
    assert_eq!(played(&driver.fake), []);
    assert_eq!(stream.allocator.outstanding(), 0);
    stream.put(stream.allocator.message(1, NOTE));
    assert_eq!(played(&driver.fake).len(), 1);
}

#[test]
fn sysex_in_fragments_arrives_as_the_same_bytes_ended_once() {
    let sysex: Vec<u8> = [0xf0].into_iter().chain((0..5000).map(|i| (i % 128) as u8)).chain([0xf7]).collect();
    for size in [1, 3, INLINE_BYTES, INLINE_BYTES + 1, 20, 1024, 4999, 5002] {
        let driver = TestDriver::new();
        let stream = driver.render().running();
        let pieces: Vec<&[u8]> = sysex.chunks(size).collect();
        for (i, piece) in pieces.iter().enumerate() {
            let flags = if i + 1 == pieces.len() { event_flag::COMPLETE } else { event_flag::INCOMPLETE };
            stream.put(stream.allocator.event(7, 1, flags, piece));
        }
        let events = driver.fake.events();
        let bytes: Vec<u8> = events.iter().flat_map(|event| event.data.clone()).collect();
        assert_eq!(bytes, sysex, "{size}");
        let (last, rest) = events.split_last().unwrap();
        assert!(!last.incomplete && rest.iter().all(|event| event.incomplete), "{size}");
        assert_eq!(stream.allocator.outstanding(), 0);
    }
}

#[test]
fn raw_midi_with_running_status_becomes_messages() {
    let driver = TestDriver::new();
    let stream = driver.render_for(Groups::First).running();
    stream.put(stream.allocator.event(5, 0, event_flag::INCOMPLETE, &[0x90, 60, 100, 64]));
    stream.put(stream.allocator.event(6, 0, event_flag::INCOMPLETE, &[100]));
    assert_eq!(played(&driver.fake), [(5, NOTE.to_vec()), (6, vec![0x90, 64, 100])]);
    assert!(driver.fake.events().iter().all(|event| event.channel_group == 1), "raw MIDI goes to the first group");
}

#[test]
fn channel_groups_and_times_pass_unchanged() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    for group in [0, 1, 2, 64, 0xffff] {
        for time in [0, -5, i64::MAX, i64::MIN] {
            stream.put(stream.allocator.event(time, group, event_flag::COMPLETE, NOTE));
            let event = driver.fake.events().pop().unwrap();
            assert_eq!((event.time, event.channel_group), (time, group));
        }
    }
}

#[test]
fn holds_events_without_spinning_while_the_card_takes_none() {
    let driver = TestDriver::with(ignoring_events());
    let stream = driver.render().running();
    const EVENTS: i64 = 20_000;
    for time in 0..EVENTS {
        stream.put(stream.allocator.message(time, NOTE));
    }
    let waiting = stream.allocator.outstanding();
    assert!(waiting > 1000, "most wait in the driver: {waiting}");
    assert_eq!(driver.fake.with(|card| card.milliseconds), 1, "no call has waited");

    driver.fake.with(|card| card.behaviour.ignores_kicks = Default::default());
    driver.fake.serve_kicks();
    assert!(deliver_interrupts(&driver.card) > 0);
    let times: Vec<_> = played(&driver.fake).into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, (0..EVENTS).collect::<Vec<_>>());
    assert_eq!(stream.allocator.outstanding(), 0);
}

#[test]
fn sends_a_large_backlog_in_large_batches() {
    let driver = TestDriver::with(ignoring_events());
    let stream = driver.render().running();
    for time in 0..10_000 {
        stream.put(stream.allocator.message(time, NOTE));
    }
    driver.fake.with(|card| card.behaviour.ignores_kicks = Default::default());
    driver.fake.serve_kicks();
    deliver_interrupts(&driver.card);
    let batches = driver.fake.with(|card| card.batches.len());
    assert!(batches < 128 + 10_000 / 30, "{batches}");
}

#[test]
fn close_gives_held_events_back_and_frees_the_stream() {
    let driver = TestDriver::with(ignoring_events());
    let stream = driver.render().running();
    for time in 0..1000 {
        stream.put(stream.allocator.message(time, NOTE));
    }
    assert_ne!(stream.allocator.outstanding(), 0);
    assert_eq!(stream.close().outstanding(), 0);
    assert_eq!(driver.fake.with(|card| card.streams.len()), 0);
}

#[test]
fn opens_no_more_streams_than_there_are() {
    let driver = TestDriver::new();
    for _ in 0..1000 {
        driver.render().running().close();
    }
    let streams: Vec<_> = (0..STREAMS).map(|_| driver.render()).collect();
    let refused = driver.card.open_render(passive(), Groups::AsGiven, FakeAllocator::leaked());
    assert_eq!(refused, Err(CardError::NoStream));
    for stream in streams {
        stream.close();
    }
    driver.render().close();
}

#[test]
fn streams_have_their_own_allocators_and_share_the_ring_fairly() {
    let driver = TestDriver::with(ignoring_events());
    let (greedy, modest) = (driver.render().running(), driver.render().running());
    for time in 0..5000 {
        greedy.put(greedy.allocator.message(time, NOTE));
    }
    modest.put(modest.allocator.message(-1, NOTE));
    assert_eq!(modest.allocator.outstanding(), 1);
    driver.fake.with(|card| card.behaviour.ignores_kicks = Default::default());
    driver.fake.serve_kicks();
    deliver_interrupts(&driver.card);
    assert_eq!((greedy.allocator.outstanding(), modest.allocator.outstanding()), (0, 0));
}

#[test]
fn gives_events_back_when_the_ring_is_broken() {
    for behaviour in [
        Behaviour { wrong_id: Some(77), ..ignoring_events() },
        Behaviour { used_index_ahead: 500, ..ignoring_events() },
        Behaviour { written_too_much: 1, ..ignoring_events() },
    ] {
        let driver = TestDriver::with(ignoring_events());
        let stream = driver.render().running();
        for time in 0..200 {
            stream.put(stream.allocator.message(time, NOTE));
        }
        driver.fake.with(|card| card.behaviour = behaviour);
        driver.fake.serve_kicks();
        driver.card.service(dmus_miniport::fake::dispatch());
        assert_eq!(stream.allocator.outstanding(), 0);
        stream.put(stream.allocator.message(0, NOTE));
        assert_eq!(stream.allocator.outstanding(), 0);
    }
}

#[test]
fn leaving_run_waits_until_the_card_has_taken_the_batches() {
    let driver = TestDriver::with(Behaviour { serves_kicks_after: Some(10), ..ignoring_events() });
    let stream = driver.render().running();
    stream.put(stream.allocator.message(0, NOTE));
    stream.set(KsState::PAUSE);
    assert_eq!(played(&driver.fake).len(), 1, "before the card learned of the pause");
    let driver = TestDriver::with(ignoring_events());
    let stream = driver.render().running();
    stream.put(stream.allocator.message(0, NOTE));
    stream.set(KsState::STOP);
    assert!(driver.fake.with(|card| card.milliseconds) < 100, "the wait is bounded");
}

#[test]
fn sends_a_state_only_if_it_makes_a_difference() {
    let driver = TestDriver::new();
    let stream = driver.render();
    let on_card = || {
        driver.fake.with(|card| {
            let states = card.requests.iter().filter(|request| request.code == RequestCode::STREAM_STATE);
            states.map(|request| u32::from_le_bytes(request.payload[4..8].try_into().unwrap())).collect::<Vec<_>>()
        })
    };
    for state in [KsState::ACQUIRE, KsState::PAUSE, KsState::ACQUIRE, KsState::STOP] {
        stream.set(state);
    }
    assert_eq!(on_card(), [], "nothing has run");
    for state in [KsState::ACQUIRE, KsState::PAUSE, KsState::RUN, KsState::PAUSE, KsState::ACQUIRE, KsState::STOP] {
        stream.set(state);
    }
    assert_eq!(on_card(), [KsState::RUN, KsState::PAUSE, KsState::STOP].map(|state| state.0));
}
