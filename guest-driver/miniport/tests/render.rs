//! Render streams: what plays, in which order, in which state; and that every event goes home exactly once.

mod common;

use card_spec::control::RequestCode;
use card_spec::queue::Queue;
use common::{NOTE, Rig, played};
use dmus_miniport::card::CardError;
use dmus_miniport::fake::{Allocator, Behaviour, Home, deliver_interrupts, passive};
use dmus_miniport::midi_out::{Groups, STREAMS};
use portcls::event::{INLINE_BYTES, event_flag};
use portcls::ks::KsState;

fn deaf() -> Behaviour {
    let mut behaviour = Behaviour::default();
    behaviour.deaf[Queue::MIDI_OUT.index()] = true;
    behaviour
}

#[test]
fn a_chain_plays_in_order_and_goes_home_at_once() {
    for length in [1, 2, 100, 1000] {
        let rig = Rig::new();
        let stream = rig.render().running();
        let messages: Vec<(i64, &[u8])> = (0..length).map(|time| (time, NOTE)).collect();
        stream.put(stream.home.messages(&messages));
        let expected: Vec<_> = (0..length).map(|time| (time, NOTE.to_vec())).collect();
        assert_eq!(played(&rig.fake), expected);
        assert_eq!(stream.home.outstanding(), 0);
    }
}

#[test]
fn batches_are_numbered_and_belong_to_their_stream() {
    let rig = Rig::new();
    let (first, second) = (rig.render().running(), rig.render().running());
    for stream in [&first, &second, &first] {
        stream.put(stream.home.message(0, NOTE));
    }
    let batches: Vec<_> =
        rig.fake.with(|card| card.batches.iter().map(|batch| (batch.stream, batch.sequence)).collect());
    assert_eq!(batches, [(first.id, 0), (second.id, 0), (first.id, 1)]);
}

#[test]
fn below_run_events_are_held_and_run_plays_them_in_order() {
    let rig = Rig::new();
    let stream = rig.render();
    for (time, state) in [KsState::ACQUIRE, KsState::PAUSE, KsState::PAUSE, KsState::ACQUIRE].into_iter().enumerate() {
        stream.set(state);
        stream.put(stream.home.message(time as i64, NOTE));
    }
    assert_eq!(played(&rig.fake), []);
    assert_eq!(stream.home.outstanding(), 4);
    stream.set(KsState::RUN);
    let times: Vec<_> = played(&rig.fake).into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, [0, 1, 2, 3]);
    assert_eq!(stream.home.outstanding(), 0);
}

#[test]
fn stop_sends_held_and_new_events_home_unplayed() {
    let rig = Rig::new();
    let stream = rig.render();
    stream.put(stream.home.message(0, NOTE));
    assert_eq!(stream.home.outstanding(), 0, "a new stream is stopped");
    stream.set(KsState::PAUSE);
    let package = stream.home.package(&[stream.home.message(1, NOTE), stream.home.message(2, NOTE)]);
    stream.put(Home::chain(&[package, stream.home.message(3, NOTE)]));
    stream.set(KsState::STOP);
    stream.put(stream.home.package(&[stream.home.message(4, NOTE)]));
    assert_eq!(stream.home.outstanding(), 0);
    stream.set(KsState::RUN);
    assert_eq!(played(&rig.fake), []);
}

#[test]
fn every_state_may_follow_every_other() {
    let rig = Rig::new();
    let stream = rig.render();
    let states = [KsState::STOP, KsState::ACQUIRE, KsState::PAUSE, KsState::RUN];
    for from in states {
        for to in states {
            stream.set(from);
            stream.set(to);
            let told = rig.fake.with(|card| card.streams[&stream.id]);
            assert_eq!(told == KsState::RUN.0, to == KsState::RUN, "{from:?} to {to:?}");
            stream.put(stream.home.message(0, NOTE));
            let holds = to == KsState::ACQUIRE || to == KsState::PAUSE;
            assert_eq!(stream.home.outstanding() != 0, holds, "{from:?} to {to:?}");
            stream.set(KsState::STOP);
            assert_eq!(stream.home.outstanding(), 0);
        }
    }
}

#[test]
fn packages_are_unpacked_in_place_however_they_are_nested() {
    let rig = Rig::new();
    let stream = rig.render().running();
    let home = stream.home;
    let event = |time| home.message(time, NOTE);
    let inner = home.package(&[event(2), event(3)]);
    let outer = home.package(&[event(1), inner, home.package(&[]), event(4)]);
    stream.put(Home::chain(&[event(0), outer, event(5)]));
    let times: Vec<_> = played(&rig.fake).into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, [0, 1, 2, 3, 4, 5]);
    assert_eq!(home.outstanding(), 0);
}

#[test]
fn data_is_taken_from_inside_the_event_up_to_a_pointers_size_and_from_the_buffer_beyond() {
    let rig = Rig::new();
    let stream = rig.render().running();
    for length in 2..=INLINE_BYTES + 3 {
        let mut sysex = vec![1; length];
        (sysex[0], sysex[length - 1]) = (0xf0, 0xf7);
        stream.put(stream.home.message(0, &sysex));
        assert_eq!(rig.fake.events().last().unwrap().data, sysex);
    }
    assert_eq!(stream.home.outstanding(), 0);
}

#[test]
fn events_without_data_do_no_harm() {
    let rig = Rig::new();
    let stream = rig.render().running();
    stream.put(stream.home.message(0, &[]));
    stream.put(stream.home.event_without_buffer(1000));
    stream.put(std::ptr::null_mut());
    assert_eq!(played(&rig.fake), []);
    assert_eq!(stream.home.outstanding(), 0);
    stream.put(stream.home.message(1, NOTE));
    assert_eq!(played(&rig.fake).len(), 1);
}

#[test]
fn sysex_in_fragments_arrives_as_the_same_bytes_ended_once() {
    let sysex: Vec<u8> = [0xf0].into_iter().chain((0..5000).map(|i| (i % 128) as u8)).chain([0xf7]).collect();
    for size in [1, 3, INLINE_BYTES, INLINE_BYTES + 1, 20, 1024, 4999, 5002] {
        let rig = Rig::new();
        let stream = rig.render().running();
        let pieces: Vec<&[u8]> = sysex.chunks(size).collect();
        for (i, piece) in pieces.iter().enumerate() {
            let flags = if i + 1 == pieces.len() { event_flag::COMPLETE } else { event_flag::INCOMPLETE };
            stream.put(stream.home.event(7, 1, flags, piece));
        }
        let events = rig.fake.events();
        let bytes: Vec<u8> = events.iter().flat_map(|event| event.data.clone()).collect();
        assert_eq!(bytes, sysex, "{size}");
        let (last, rest) = events.split_last().unwrap();
        assert!(!last.incomplete && rest.iter().all(|event| event.incomplete), "{size}");
        assert_eq!(stream.home.outstanding(), 0);
    }
}

#[test]
fn raw_midi_with_running_status_becomes_messages() {
    let rig = Rig::new();
    let stream = rig.render_for(Groups::First).running();
    stream.put(stream.home.event(5, 0, event_flag::INCOMPLETE, &[0x90, 60, 100, 64]));
    stream.put(stream.home.event(6, 0, event_flag::INCOMPLETE, &[100]));
    assert_eq!(played(&rig.fake), [(5, NOTE.to_vec()), (6, vec![0x90, 64, 100])]);
    assert!(rig.fake.events().iter().all(|event| event.channel_group == 1), "raw MIDI goes to the first group");
}

#[test]
fn channel_groups_and_times_pass_unchanged() {
    let rig = Rig::new();
    let stream = rig.render().running();
    for group in [0, 1, 2, 64, 0xffff] {
        for time in [0, -5, i64::MAX, i64::MIN] {
            stream.put(stream.home.event(time, group, event_flag::COMPLETE, NOTE));
            let event = rig.fake.events().pop().unwrap();
            assert_eq!((event.time, event.channel_group), (time, group));
        }
    }
}

#[test]
fn when_the_card_takes_nothing_events_wait_without_spinning_and_play_later_in_order() {
    let rig = Rig::with(deaf());
    let stream = rig.render().running();
    const EVENTS: i64 = 20_000;
    for time in 0..EVENTS {
        stream.put(stream.home.message(time, NOTE));
    }
    let waiting = stream.home.outstanding();
    assert!(waiting > 1000, "most wait in the driver: {waiting}");
    assert_eq!(rig.fake.with(|card| card.milliseconds), 1, "nobody has waited");

    rig.fake.with(|card| card.behaviour.deaf = Default::default());
    rig.fake.wake();
    assert!(deliver_interrupts(&rig.card) > 0);
    let times: Vec<_> = played(&rig.fake).into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, (0..EVENTS).collect::<Vec<_>>());
    assert_eq!(stream.home.outstanding(), 0);
}

#[test]
fn a_large_backlog_travels_in_large_batches() {
    let rig = Rig::with(deaf());
    let stream = rig.render().running();
    for time in 0..10_000 {
        stream.put(stream.home.message(time, NOTE));
    }
    rig.fake.with(|card| card.behaviour.deaf = Default::default());
    rig.fake.wake();
    deliver_interrupts(&rig.card);
    let batches = rig.fake.with(|card| card.batches.len());
    assert!(batches < 128 + 10_000 / 30, "{batches}");
}

#[test]
fn closing_sends_waiting_events_home_and_frees_the_stream() {
    let rig = Rig::with(deaf());
    let stream = rig.render().running();
    for time in 0..1000 {
        stream.put(stream.home.message(time, NOTE));
    }
    assert_ne!(stream.home.outstanding(), 0);
    assert_eq!(stream.close().outstanding(), 0);
    assert_eq!(rig.fake.with(|card| card.streams.len()), 0);
}

#[test]
fn streams_can_be_opened_and_closed_for_ever_but_not_beyond_their_number() {
    let rig = Rig::new();
    for _ in 0..1000 {
        rig.render().running().close();
    }
    let streams: Vec<_> = (0..STREAMS).map(|_| rig.render()).collect();
    let refused = rig.card.open_render(passive(), Groups::AsGiven, Allocator::home());
    assert_eq!(refused, Err(CardError::NoStream));
    for stream in streams {
        stream.close();
    }
    rig.render().close();
}

#[test]
fn streams_have_their_own_allocators_and_share_the_ring_fairly() {
    let rig = Rig::with(deaf());
    let (greedy, modest) = (rig.render().running(), rig.render().running());
    for time in 0..5000 {
        greedy.put(greedy.home.message(time, NOTE));
    }
    modest.put(modest.home.message(-1, NOTE));
    assert_eq!(modest.home.outstanding(), 1);
    rig.fake.with(|card| card.behaviour.deaf = Default::default());
    rig.fake.wake();
    deliver_interrupts(&rig.card);
    assert_eq!((greedy.home.outstanding(), modest.home.outstanding()), (0, 0));
}

#[test]
fn a_broken_ring_gives_events_back() {
    for behaviour in [
        Behaviour { wrong_id: Some(77), ..deaf() },
        Behaviour { used_index_ahead: 500, ..deaf() },
        Behaviour { written_too_much: 1, ..deaf() },
    ] {
        let rig = Rig::with(deaf());
        let stream = rig.render().running();
        for time in 0..200 {
            stream.put(stream.home.message(time, NOTE));
        }
        rig.fake.with(|card| card.behaviour = behaviour);
        rig.fake.wake();
        rig.card.service(dmus_miniport::fake::dispatch());
        assert_eq!(stream.home.outstanding(), 0);
        stream.put(stream.home.message(0, NOTE));
        assert_eq!(stream.home.outstanding(), 0);
    }
}

#[test]
fn leaving_run_waits_for_the_card_to_take_what_it_was_given() {
    let rig = Rig::with(Behaviour { wakes_after: Some(10), ..deaf() });
    let stream = rig.render().running();
    stream.put(stream.home.message(0, NOTE));
    stream.set(KsState::PAUSE);
    assert_eq!(played(&rig.fake).len(), 1, "before the card learned of the pause");
    let deaf = Rig::with(deaf());
    let stream = deaf.render().running();
    stream.put(stream.home.message(0, NOTE));
    stream.set(KsState::STOP);
    assert!(deaf.fake.with(|card| card.milliseconds) < 100, "but not for ever");
}

#[test]
fn the_card_is_told_of_a_state_only_if_it_makes_a_difference() {
    let rig = Rig::new();
    let stream = rig.render();
    let told = || {
        rig.fake.with(|card| {
            let states = card.requests.iter().filter(|request| request.code == RequestCode::STREAM_STATE);
            states.map(|request| u32::from_le_bytes(request.payload[4..8].try_into().unwrap())).collect::<Vec<_>>()
        })
    };
    for state in [KsState::ACQUIRE, KsState::PAUSE, KsState::ACQUIRE, KsState::STOP] {
        stream.set(state);
    }
    assert_eq!(told(), [], "nothing has run");
    for state in [KsState::ACQUIRE, KsState::PAUSE, KsState::RUN, KsState::PAUSE, KsState::ACQUIRE, KsState::STOP] {
        stream.set(state);
    }
    assert_eq!(told(), [KsState::RUN, KsState::PAUSE, KsState::STOP].map(|state| state.0));
}
