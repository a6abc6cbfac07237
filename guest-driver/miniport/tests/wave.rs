//! The wave stream: PCM from the card, whole or sends_no_interrupts; time and samples converted exactly.

mod common;

use card_spec::control::{ClockSync, RequestCode, clock_sync};
use card_spec::queue::Queue;
use common::{NOTE, PCM, TestDriver};
use dmus_miniport::card::CardError;
use dmus_miniport::clock::Anchor;
use dmus_miniport::fake::{Behaviour, FakeCard, dispatch, passive, spin_locks_taken};
use dmus_miniport::wave::{PCM_BYTES, Rendered};
use portcls::ks::KsState;
use zerocopy::FromBytes;

fn syncs(fake: &FakeCard) -> Vec<(bool, i64, i64)> {
    fake.with(|card| {
        let requests = card.requests.iter().filter(|request| request.code == RequestCode::CLOCK_SYNC);
        requests
            .map(|request| {
                let sync = ClockSync::read_from_bytes(&request.payload).unwrap();
                (sync.flags.get() & clock_sync::START != 0, sync.master_time.get(), sync.frame.get())
            })
            .collect()
    })
}

fn expected(first: usize, bytes: usize) -> Vec<u8> {
    (first..).flat_map(|frame| [(frame as i16).to_le_bytes(); 2].concat()).take(bytes).collect()
}

#[test]
fn renders_consecutive_frames_for_requests_of_any_size() {
    let driver = TestDriver::new();
    driver.run_wave();
    let mut first = 0;
    for frames in [1, 480, 7, PCM_BYTES / 4, PCM_BYTES / 4 + 1, 100_000] {
        let mut pcm = vec![0xaa; frames * 4];
        assert_eq!(driver.card.render(passive(), &mut pcm), Ok(None));
        assert!(pcm == expected(first, pcm.len()), "{frames} frames");
        first += frames;
    }
}

/// Each costs two changes of the IRQL, which an emulated processor feels.
#[test]
fn serves_an_interrupt_with_one_spin_lock_for_a_queue_and_one_for_a_fault() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    driver.run_wave();
    stream.put(stream.allocator.message(0, NOTE));
    assert_eq!(driver.card.render(passive(), &mut [0; 40]), Ok(None));
    let taken = spin_locks_taken();
    assert!(!driver.card.service(dispatch()));
    assert!(spin_locks_taken() - taken <= 2 * Queue::ALL.len() as u64, "{}", spin_locks_taken() - taken);
}

#[test]
fn sends_earlier_events_before_it_requests_frames() {
    let mut behaviour = Behaviour { serves_kicks_after: Some(5), ..Behaviour::default() };
    behaviour.ignores_kicks[Queue::MIDI_OUT.index()] = true;
    let driver = TestDriver::with(behaviour);
    let stream = driver.render().running();
    driver.run_wave();
    for time in 0..5000 {
        stream.put(stream.allocator.message(time, NOTE));
    }
    assert_eq!(driver.card.render(passive(), &mut [0; 40]), Ok(None));
    assert_eq!(stream.allocator.outstanding(), 0, "none is left in the driver");
}

#[test]
fn renders_while_the_card_takes_no_events() {
    let mut behaviour = Behaviour::default();
    behaviour.ignores_kicks[Queue::MIDI_OUT.index()] = true;
    let driver = TestDriver::with(behaviour);
    let stream = driver.render().running();
    driver.run_wave();
    for time in 0..5000 {
        stream.put(stream.allocator.message(time, NOTE));
    }
    assert_eq!(driver.card.render(passive(), &mut [0; 40]), Ok(None));
    assert!(driver.fake.with(|card| card.milliseconds) < 200);
}

#[test]
fn waits_for_a_stalled_card_and_loses_no_frame() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    driver.run_wave();
    let stand_still = || driver.fake.with(|card| card.behaviour.stalled_for = 10_000);
    let (mut first, mut sent) = (0, 0);
    for _ in 0..3 {
        stand_still();
        // More than the ring has room for.
        for time in 0..5000 {
            stream.put(stream.allocator.message(time, NOTE));
        }
        sent += 5000;
        let mut pcm = [0xaa; 40];
        assert_eq!(driver.card.render(passive(), &mut pcm), Ok(None));
        assert_eq!(pcm[..], expected(first, 40));
        assert_eq!(
            (stream.allocator.outstanding(), driver.fake.events().len()),
            (0, sent),
            "all of them before the frames"
        );
        first += 10;
        stand_still();
        assert_eq!(driver.card.render(passive(), &mut pcm), Ok(None));
        first += 10;
        stand_still();
        assert!(driver.card.statistics(passive()).is_ok());
    }
}

#[test]
fn waits_for_a_slow_card_to_take_events_before_it_requests_frames() {
    let driver = TestDriver::new();
    let stream = driver.render().running();
    driver.run_wave();
    driver.fake.with(|card| {
        card.behaviour.serves_kicks_after = Some(300);
        for queue in [Queue::CONTROL, Queue::MIDI_OUT] {
            card.behaviour.ignores_kicks[queue.index()] = true;
        }
    });
    for time in 0..5000 {
        stream.put(stream.allocator.message(time, NOTE));
    }
    assert_eq!(driver.card.render(passive(), &mut [0; 40]), Ok(None));
    assert_eq!(stream.allocator.outstanding(), 0, "none is left in the driver");
}

#[test]
fn renders_silence_for_a_stream_that_does_not_run() {
    let driver = TestDriver::new();
    let mut pcm = [0xaa; 16];
    assert_eq!(driver.card.render(passive(), &mut pcm), Err(CardError::State));
    assert_eq!(pcm, [0; 16]);
    driver.run_wave();
    for state in [KsState::PAUSE, KsState::ACQUIRE, KsState::STOP] {
        driver.card.set_wave_state(passive(), state).unwrap();
        pcm = [0xaa; 16];
        assert_eq!(driver.card.render(passive(), &mut pcm), Ok(Some(Rendered::Flushed)));
        assert_eq!(pcm, [0; 16]);
    }
}

#[test]
fn renders_silence_and_sends_no_second_request_after_a_time_out() {
    let driver = TestDriver::new();
    driver.run_wave();
    driver.fake.with(|card| card.behaviour.ignores_kicks[Queue::WAVE.index()] = true);
    let mut pcm = [0xaa; 1920];
    assert_eq!(driver.card.render(passive(), &mut pcm), Ok(Some(Rendered::Timeout)));
    assert_eq!(pcm, [0; 1920]);
    let (kicks, waited) = driver.fake.with(|card| (card.kicks, card.milliseconds));
    assert!((1000..1200).contains(&waited), "{waited}");
    assert_eq!(driver.card.render(passive(), &mut pcm), Ok(Some(Rendered::Timeout)));
    assert_eq!(driver.fake.with(|card| card.kicks), kicks);
    driver.fake.with(|card| card.behaviour.ignores_kicks = Default::default());
    driver.fake.serve_kicks();
    assert_eq!(driver.card.render(passive(), &mut pcm), Ok(None));
}

#[test]
fn renders_silence_after_a_malformed_wave_header() {
    for behaviour in [
        Behaviour { wrong_id: Some(1), ..Behaviour::default() },
        Behaviour { written_too_much: 1, ..Behaviour::default() },
        Behaviour { used_index_ahead: 9, ..Behaviour::default() },
    ] {
        let driver = TestDriver::new();
        driver.run_wave();
        driver.fake.with(|card| card.behaviour = behaviour);
        let mut pcm = [0xaa; 16];
        assert!(matches!(driver.card.render(passive(), &mut pcm), Ok(Some(Rendered::Ring(_)))));
        assert_eq!(pcm, [0; 16]);
    }
}

#[test]
fn renders_silence_when_the_card_writes_elsewhere_in_the_buffer() {
    let driver = TestDriver::new();
    driver.run_wave();
    let mut pcm = [0xaa; 400];
    assert_eq!(driver.card.render(passive(), &mut pcm), Ok(None));
    driver.fake.with(|card| card.behaviour.misplaced_bytes = 8);
    assert_eq!(driver.card.render(passive(), &mut pcm), Ok(Some(Rendered::BadAnswer)));
    assert_eq!(pcm, [0; 400], "the header of the buffer before is no header of this one");
    driver.fake.with(|card| card.behaviour.misplaced_bytes = 0);
    assert_eq!(driver.card.render(passive(), &mut pcm), Ok(None));
}

#[test]
fn opens_one_wave_stream_at_a_time() {
    let driver = TestDriver::new();
    for _ in 0..100 {
        driver.card.open_wave(passive(), PCM).unwrap();
        assert_eq!(driver.card.open_wave(passive(), PCM), Err(CardError::NoStream));
        driver.card.close_wave(passive());
    }
}

#[test]
fn anchors_frame_0_at_the_start_and_converts_exactly() {
    let driver = TestDriver::new();
    driver.card.open_wave(passive(), PCM).unwrap();
    assert_eq!(
        driver.card.anchor(dispatch()),
        Err(CardError::State),
        "there is no time before the first synchronisation"
    );
    driver.card.set_wave_state(passive(), KsState::RUN).unwrap();
    driver.card.sync(passive(), 1_000_000_007, true).unwrap();
    assert_eq!(syncs(&driver.fake), [(true, 1_000_000_007, 0)]);
    let (anchor, rate) = driver.card.anchor(dispatch()).unwrap();
    assert_eq!((anchor, rate), (Anchor { time: 1_000_000_007, frame: 0 }, 48_000));
    for frame in [0, 1, 479, 48_000, 1 << 40] {
        assert_eq!(anchor.frame_at(anchor.time_of(frame, rate), rate), frame);
    }
}

#[test]
fn corrects_drift_once_and_nothing_else() {
    let driver = TestDriver::new();
    driver.run_wave();
    let second = 10_000_000;
    let mut pcm = vec![0; 480 * 4];
    for _ in 0..100 {
        driver.card.render(passive(), &mut pcm).unwrap();
    }
    driver.card.sync(passive(), second, false).unwrap();
    assert_eq!(syncs(&driver.fake).len(), 1, "a second of master time, a second of frames");
    driver.card.sync(passive(), 2 * second, false).unwrap();
    assert_eq!(syncs(&driver.fake)[1], (false, 2 * second, 48_480), "a second behind, but for one quantum");
    driver.card.sync(passive(), 2 * second, false).unwrap();
    assert_eq!(syncs(&driver.fake).len(), 2);
}

#[test]
fn stop_clears_the_anchor() {
    let driver = TestDriver::new();
    driver.run_wave();
    driver.card.set_wave_state(passive(), KsState::STOP).unwrap();
    assert_eq!(driver.card.anchor(dispatch()), Err(CardError::State));
    driver.card.set_wave_state(passive(), KsState::RUN).unwrap();
    driver.card.sync(passive(), 5, false).unwrap();
    assert_eq!(syncs(&driver.fake)[1], (true, 5, 0), "without an anchor every synchronisation is a start");
}

#[test]
fn reads_the_latency_clock_from_the_status_page_while_the_stream_runs() {
    let driver = TestDriver::new();
    assert_eq!(driver.card.latency_time(passive(), 100), Ok(50_100));
    driver.run_wave();
    driver.card.render(passive(), &mut [0; 16]).unwrap();
    let requests = driver.fake.with(|card| card.requests.len());
    assert_eq!(driver.card.latency_time(passive(), 100), Ok(777_000));
    assert_eq!(driver.card.latency_time(passive(), 800_000), Ok(800_000));
    assert_eq!(driver.fake.with(|card| card.requests.len()), requests, "no request is sent");
}
