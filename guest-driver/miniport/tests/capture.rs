//! Capture: captured messages reach the sink, or are counted.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use card_spec::control::RequestCode;
use card_spec::event::{BatchHeader, EventHeader, event_flag};
use common::{NOTE, TestDriver};
use dmus_miniport::card::{CAPTURE_STREAM, CardError};
use dmus_miniport::fake::{Behaviour, CapturedEvent, FakeOutlet, deliver_interrupts, dispatch, passive};
use portcls::ks::KsState;
use zerocopy::IntoBytes;

/// A second of master time.
const SECOND: i64 = 10_000_000;

/// A record: time, flags, data.
type Record<'a> = (i64, u16, &'a [u8]);

fn batch(sequence: u32, records: &[Record<'_>]) -> Vec<u8> {
    let mut bytes = vec![0; size_of::<BatchHeader>()];
    for (time, flags, data) in records {
        let header = EventHeader {
            time: (*time).into(),
            channel_group: 1.into(),
            flags: (*flags).into(),
            length: (data.len() as u16).into(),
            reserved: 0.into(),
        };
        bytes.extend(header.as_bytes());
        bytes.extend(*data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let header = BatchHeader {
        stream: CAPTURE_STREAM.into(),
        count: (records.len() as u32).into(),
        length: (bytes.len() as u32).into(),
        sequence: sequence.into(),
    };
    bytes[..size_of::<BatchHeader>()].copy_from_slice(header.as_bytes());
    bytes
}

fn running() -> (TestDriver, FakeOutlet) {
    let driver = TestDriver::new();
    driver.card.open_capture(passive(), None).unwrap();
    driver.card.set_capture_state(passive(), KsState::RUN).unwrap();
    (driver, FakeOutlet::new(64, 20))
}

fn drained(driver: &TestDriver, outlet: &FakeOutlet) -> Vec<CapturedEvent> {
    driver.card.drain_capture(dispatch(), Some(outlet));
    outlet.sunk()
}

fn event(time: i64, incomplete: bool, data: &[u8]) -> CapturedEvent {
    CapturedEvent { time, channel_group: 1, incomplete, data: data.to_vec() }
}

#[test]
fn delivers_messages_in_order_with_the_cards_times() {
    let (driver, outlet) = running();
    assert!(driver.fake.capture(&batch(0, &[(10, 0, NOTE), (11, 0, &[0xc0, 5])])));
    assert!(driver.fake.capture(&batch(1, &[(12, 0, &[0xf8])])));
    assert_eq!(deliver_interrupts(&driver.card), 1, "the card interrupts for what it captures");
    let expected = [event(10, false, NOTE), event(11, false, &[0xc0, 5]), event(12, false, &[0xf8])];
    assert_eq!(drained(&driver, &outlet), expected);
    assert_eq!((drained(&driver, &outlet), driver.card.capture_lost(dispatch())), (vec![], 0));
}

#[test]
fn replaces_implausible_times_by_now_and_never_goes_back() {
    let (driver, outlet) = running();
    let now = 1000 * SECOND;
    outlet.clock.set(Some(now));
    let said = [0, now - 5, now - 3, now - 4, now + SECOND, i64::MIN, now - 1];
    let records: Vec<Record<'_>> = said.iter().map(|time| (*time, 0, NOTE)).collect();
    assert!(driver.fake.capture(&batch(0, &records[1..])));
    let times: Vec<i64> = drained(&driver, &outlet).iter().map(|event| event.time).collect();
    assert_eq!(times, [now - 5, now - 3, now, now, now, now], "what the card says is believed as long as it can be");
    outlet.clock.set(Some(now + SECOND));
    assert!(driver.fake.capture(&batch(1, &records[..1])));
    assert_eq!(drained(&driver, &outlet)[0].time, now + SECOND, "a card without an anchor says nothing");
}

#[test]
fn no_message_came_in_before_the_stream_was_opened() {
    // Soon after the machine's start the origin of a card without an anchor is not long ago.
    let opened = SECOND / 20;
    let driver = TestDriver::new();
    driver.card.open_capture(passive(), Some(opened)).unwrap();
    driver.card.set_capture_state(passive(), KsState::RUN).unwrap();
    let outlet = FakeOutlet::new(64, 20);
    outlet.clock.set(Some(opened + 9));
    assert!(driver.fake.capture(&batch(0, &[(0, 0, NOTE), (opened + 10, 0, NOTE), (0, 0, NOTE)])));
    let times: Vec<i64> = drained(&driver, &outlet).iter().map(|event| event.time).collect();
    assert_eq!(times, [opened + 9; 3]);
    assert!(driver.fake.capture(&batch(1, &[(0, 0, NOTE)])));
    outlet.clock.set(Some(opened + 20));
    assert_eq!(drained(&driver, &outlet)[0].time, opened + 20);
}

#[test]
fn cuts_long_messages_to_the_allocators_buffers() {
    let (driver, outlet) = running();
    for (sequence, length) in (0..).zip([8, 9, 20, 21, 40, 41, 48, 4064]) {
        let sysex: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        let outlet = if length == 4064 { &FakeOutlet::new(204, 20) } else { &outlet };
        assert!(driver.fake.capture(&batch(sequence, &[(7, 0, &sysex)])));
        let events = drained(&driver, outlet);
        let (last, before) = events.split_last().unwrap();
        assert_eq!(last.incomplete, events.len() > 1, "only what one event holds is complete");
        assert!(before.iter().all(|event| event.incomplete && event.data.len() == 20));
        assert_eq!(events.iter().flat_map(|event| event.data.clone()).collect::<Vec<_>>(), sysex);
        assert!(events.iter().all(|event| event.time == 7));
    }
    assert!(driver.fake.capture(&batch(0, &[(7, event_flag::INCOMPLETE, &[0xf0; 30])])));
    assert!(drained(&driver, &outlet).iter().all(|event| event.incomplete), "the card's fragment stays one");
}

#[test]
fn drops_and_counts_a_whole_message_without_events_or_buffers() {
    let (driver, outlet) = running();
    let note = |sequence| batch(sequence, &[(1, 0, NOTE), (1, 0, &[0xf0; 100])]);
    for (round, (events, buffers, expected)) in [(0, 64, 0), (3, 64, 1), (64, 4, 1), (64, 5, 6)].iter().enumerate() {
        outlet.events.set(*events);
        outlet.buffers.set(*buffers);
        assert!(driver.fake.capture(&note(round as u32)));
        assert_eq!(drained(&driver, &outlet).len(), *expected);
        assert_eq!((outlet.events.get(), outlet.buffers.get()), (*events, *buffers), "what was taken has come back");
    }
    assert_eq!(driver.card.capture_lost(dispatch()), 4);
    driver.card.close_capture(passive());
    assert!(driver.fake.with(|card| card.log.iter().any(|line| line.starts_with("4 captured"))));
}

#[test]
fn lends_every_buffer_to_the_card_again() {
    let (driver, outlet) = running();
    for sequence in 0..1000 {
        assert!(driver.fake.capture(&batch(sequence, &[(0, 0, NOTE)])), "a buffer is lent");
        assert_eq!(drained(&driver, &outlet).len(), 1);
    }
    let lent = (0..100).take_while(|sequence| driver.fake.capture(&batch(1000 + sequence, &[(0, 0, NOTE)]))).count();
    assert_eq!(drained(&driver, &outlet).len(), lent);
    assert_eq!(driver.card.capture_lost(dispatch()), 0);
    assert!(driver.fake.capture(&batch(5000, &[(0, 0, NOTE)])));
    drained(&driver, &outlet);
    assert_eq!(driver.card.capture_lost(dispatch()), 1, "a gap in the sequence is a loss");
}

#[test]
fn discards_all_messages_below_pause() {
    let (driver, outlet) = running();
    for state in [KsState::ACQUIRE, KsState::STOP] {
        driver.fake.capture(&batch(0, &[(0, 0, NOTE)]));
        driver.card.set_capture_state(passive(), state).unwrap();
        driver.fake.capture(&batch(1, &[(0, 0, NOTE)]));
        assert_eq!(drained(&driver, &outlet), []);
        driver.card.set_capture_state(passive(), KsState::RUN).unwrap();
        assert_eq!(drained(&driver, &outlet), []);
    }
    driver.card.set_capture_state(passive(), KsState::PAUSE).unwrap();
    driver.fake.capture(&batch(2, &[(0, 0, NOTE)]));
    assert_eq!(drained(&driver, &outlet).len(), 1);
}

#[test]
fn loses_only_the_malformed_part_of_a_batch() {
    let (driver, outlet) = running();
    let good = batch(0, &[(0, 0, NOTE)]);
    let mut too_many = good.clone();
    too_many[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut too_long = good.clone();
    too_long[28..30].copy_from_slice(&u16::MAX.to_le_bytes());
    let empty = batch(0, &[(0, 0, &[])]);
    for (bad, expected) in [(&too_many, 1), (&too_long, 0), (&empty, 0), (&good[..20].to_vec(), 0), (&vec![1; 3], 0)] {
        assert!(driver.fake.capture(bad));
        assert_eq!(drained(&driver, &outlet).len(), expected);
        assert!(driver.fake.capture(&good));
        assert_eq!(drained(&driver, &outlet).len(), 1, "and it goes on");
    }
}

#[test]
fn opens_one_capture_stream_and_none_on_a_card_that_does_not_capture() {
    let (driver, _) = running();
    assert_eq!(driver.card.open_capture(passive(), None), Err(CardError::NoStream));
    driver.card.close_capture(passive());
    assert_eq!(driver.fake.with(|card| card.streams.len()), 0);
    driver.card.open_capture(passive(), None).unwrap();
    let driver = TestDriver::with(Behaviour { captures: false, ..Behaviour::default() });
    assert_eq!(driver.card.open_capture(passive(), None), Err(CardError::NoCapture));
    driver.fake.with(|card| {
        assert!(card.log.iter().any(|line| line.contains("does not capture")));
        assert!(card.requests.iter().all(|request| request.code != RequestCode::STREAM_OPEN));
    });
}

#[test]
fn restores_the_capture_stream_with_the_power() {
    let (driver, outlet) = running();
    driver.fake.capture(&batch(0, &[(0, 0, NOTE)]));
    driver.card.power_down(passive());
    driver.fake.with(|card| card.streams.clear());
    driver.card.drain_capture(dispatch(), Some(&outlet));
    outlet.sunk();
    driver.card.power_up(passive()).unwrap();
    assert_eq!(driver.fake.with(|card| card.streams.get(&CAPTURE_STREAM).copied()), Some(3));
    assert!(driver.fake.capture(&batch(0, &[(5, 0, NOTE)])));
    assert_eq!(drained(&driver, &outlet), [event(5, false, NOTE)]);
    assert_eq!(driver.card.capture_lost(dispatch()), 0, "the sequence begins anew");
}

#[test]
fn loses_and_doubles_no_message_when_several_processors_drain() {
    const MESSAGES: u32 = 2000;
    let (driver, _) = running();
    let done = AtomicBool::new(false);
    let times = std::thread::scope(|scope| {
        let drainers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let outlet = FakeOutlet::new(64, 20);
                    let mut times = Vec::new();
                    while !done.load(Ordering::Acquire) {
                        times.extend(drained(&driver, &outlet).into_iter().map(|event| event.time));
                        std::thread::yield_now();
                    }
                    times.extend(drained(&driver, &outlet).into_iter().map(|event| event.time));
                    assert!(times.is_sorted(), "each sees them in order");
                    times
                })
            })
            .collect();
        for sequence in 0..MESSAGES {
            while !driver.fake.capture(&batch(sequence, &[(sequence.into(), 0, NOTE)])) {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Release);
        let mut times: Vec<_> = drainers.into_iter().flat_map(|drainer| drainer.join().unwrap()).collect();
        times.sort_unstable();
        times
    });
    assert!(times.into_iter().eq(0..i64::from(MESSAGES)));
    assert_eq!(driver.card.capture_lost(dispatch()), 0);
    driver.card.close_capture(passive());
}
