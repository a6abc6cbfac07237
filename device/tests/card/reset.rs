//! Reset, close, disconnect and reconnect: the state that is dropped and kept.

use std::time::Duration;

use card_control::Clock;
use card_control::status::SessionStatus;
use card_control::{InjectedFault, UsedRingCorruption};
use card_spec::control::{RequestCode, Status, StreamKind, StreamState};
use card_spec::event::{BatchHeader, EventHeader};
use card_spec::limits::CAPTURED_EVENTS_MAX;
use card_spec::notice::NoticeKind;
use card_spec::queue::Queue;
use card_spec::wave::WaveStatus;
use dmus_card::card::status;
use dmus_card::fake::{Board, Driver, Machine, Piece, STREAM_RENDER, STREAM_WAVE};
use zerocopy::FromBytes;

const CAPTURE: u32 = 2;

fn playing(clock: Clock) -> Driver {
    playing_at(clock, 48_000)
}

fn playing_at(clock: Clock, sample_rate: u32) -> Driver {
    let mut driver = Driver::new(Machine::with_card(clock));
    assert_eq!(driver.open().status, Status::OK);
    driver.play(sample_rate);
    driver
}

fn session(driver: &Driver) -> Option<SessionStatus> {
    driver.machine.card().with_card(|card| status::status(card)).unwrap().session
}

#[test]
fn a_reset_ends_the_session_with_everything_in_it() {
    let mut driver = playing(Clock::Lockstep);
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127]), (90_000_000, 1, &[0x80, 60, 0])]);
    driver.record(480);
    assert_eq!(session(&driver).unwrap().pending_events, 1);
    driver.machine.reset();
    driver
        .machine
        .wait_until("the session's end", |machine| machine.card().with_card(|card| card.session().is_none()).unwrap());
    assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::NO_SESSION);
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    let wave = driver.record(480);
    assert_eq!(wave.header.position.get(), 0);
    assert!(wave.pcm.iter().all(|frame| *frame == [0, 0]));
}

#[test]
fn open_resets_the_session() {
    let mut driver = playing(Clock::Lockstep);
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127]), (90_000_000, 1, &[0x80, 60, 0])]);
    driver.record(480);
    assert_eq!(driver.open().status, Status::OK);
    let fresh = session(&driver).unwrap();
    assert_eq!((fresh.pending_events, fresh.active_voices, fresh.position), (0, 0, 0));
    assert!(fresh.streams.is_empty());
    assert_eq!(driver.machine.identity().counters.frames_rendered.get(), 0);
    driver.play(48_000);
    assert!(driver.record(480).pcm.iter().all(|frame| *frame == [0, 0]));
}

#[test]
fn close_returns_the_buffers_and_ends_the_session() {
    // The lowest rate: the buffer is under way for more than five seconds.
    let mut driver = playing_at(Clock::Realtime, 11_025);
    driver.post_wave(STREAM_WAVE, 60_000, 240_000);
    assert_eq!(driver.request(RequestCode::CLOSE, &[]).status, Status::OK);
    assert_eq!(driver.wait_wave().header.status.get(), WaveStatus::FLUSHED.0);
    assert_eq!(driver.request(RequestCode::CLOSE, &[]).status, Status::NO_SESSION);
}

#[test]
fn closing_the_wave_stream_returns_its_buffers_even_when_it_was_stopped() {
    let mut driver = playing(Clock::Lockstep);
    assert_eq!(driver.state(STREAM_WAVE, StreamState::STOP).status, Status::OK);
    driver.post_wave(STREAM_WAVE, 480, 1920);
    assert!(driver.machine.wait_at_most(Queue::WAVE, Duration::from_millis(20)).is_none());
    assert_eq!(driver.close_stream(STREAM_WAVE).status, Status::OK);
    assert_eq!(driver.wait_wave().header.status.get(), WaveStatus::FLUSHED.0);
}

#[test]
fn stopping_the_wave_stream_resets_time_and_silences_what_sounds() {
    let mut driver = playing(Clock::Lockstep);
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127])]);
    assert!(driver.record(480).pcm.iter().any(|frame| *frame != [0, 0]));
    assert_eq!(driver.state(STREAM_WAVE, StreamState::STOP).status, Status::OK);
    assert_eq!(driver.state(STREAM_WAVE, StreamState::RUN).status, Status::OK);
    let wave = driver.record(480);
    assert_eq!(wave.header.position.get(), 0);
    assert!(wave.pcm.iter().all(|frame| *frame == [0, 0]));
}

#[test]
fn a_reset_in_the_middle_of_rendering_is_answered_at_once_and_survived() {
    for round in 0..20 {
        let mut driver = playing(Clock::Lockstep);
        for _ in 0..8 {
            driver.post_wave(STREAM_WAVE, 60_000, 240_000);
        }
        std::thread::sleep(Duration::from_micros(300 * round));
        driver.machine.reset();
        assert_eq!(driver.open().status, Status::OK);
        driver.play(48_000);
        assert_eq!(driver.record(64).header.position.get(), 0);
        driver.machine.disconnect();
    }
}

#[test]
fn after_a_ring_is_stopped_the_card_does_not_touch_it() {
    let mut driver = playing(Clock::Realtime);
    driver.lend_status_page();
    driver.post_wave(STREAM_WAVE, 2400, 9600);
    driver.machine.stop();
    let before: Vec<_> = (0..5).map(|index| driver.machine.ram.read(driver.machine.rings[index].used, 64)).collect();
    let memory = driver.machine.ram.read(driver.machine.ram.start(), 32 << 20);
    std::thread::sleep(Duration::from_millis(100));
    let after: Vec<_> = (0..5).map(|index| driver.machine.ram.read(driver.machine.rings[index].used, 64)).collect();
    assert_eq!(before, after);
    assert!(memory == driver.machine.ram.read(driver.machine.ram.start(), 32 << 20));
}

#[test]
fn a_disconnection_in_the_middle_of_rendering_ends_cleanly() {
    for clock in [Clock::Lockstep, Clock::Realtime] {
        let mut driver = playing(clock);
        driver.post_wave(STREAM_WAVE, 60_000, 240_000);
        driver.machine.disconnect();
    }
}

#[test]
fn captured_events_reach_the_driver_in_batches_with_their_time() {
    let mut driver = playing(Clock::Lockstep);
    assert_eq!(driver.open_stream(CAPTURE, StreamKind::CAPTURE, 0, 0).status, Status::OK);
    let capture = |driver: &Driver, data: &'static [u8]| {
        driver.machine.card().with_card(move |card| card.capture(1, data, None)).unwrap()
    };
    assert!(capture(&driver, &[0xF8]).is_err(), "the stream does not run");
    assert_eq!(driver.state(CAPTURE, StreamState::RUN).status, Status::OK);
    capture(&driver, &[0x90, 60, 1]).unwrap();
    driver.record(480);
    capture(&driver, &[0x80, 60, 0]).unwrap();
    assert!(capture(&driver, &[60, 0]).is_err(), "not a message");

    let buffer = driver.machine.ram.allocate(4096);
    driver.machine.rings[Queue::MIDI_IN.index()].offer(&[Piece::writable(buffer, 4096)]);
    driver.machine.kick(Queue::MIDI_IN);
    let (_, written) = driver.machine.wait(Queue::MIDI_IN);
    let batch = driver.machine.ram.read(buffer, written as usize);
    let (header, rest) = BatchHeader::read_from_prefix(&batch).unwrap();
    assert_eq!((header.stream.get(), header.count.get(), header.length.get()), (CAPTURE, 2, written));
    let (first, rest) = EventHeader::read_from_prefix(rest).unwrap();
    assert_eq!((first.time.get(), first.channel_group.get(), first.length.get()), (0, 1, 3));
    assert_eq!(rest[..3], [0x90, 60, 1]);
    let (second, _) = EventHeader::read_from_prefix(&rest[8..]).unwrap();
    assert_eq!(second.time.get(), 100_000, "480 frames at 48 kHz");
}

#[test]
fn captured_events_beyond_the_bound_are_lost_and_a_notice_counts_them() {
    let mut driver = playing(Clock::Lockstep);
    assert_eq!(driver.open_stream(CAPTURE, StreamKind::CAPTURE, 0, 0).status, Status::OK);
    assert_eq!(driver.state(CAPTURE, StreamState::RUN).status, Status::OK);
    let kept = driver
        .machine
        .card()
        .with_card(|card| (0..CAPTURED_EVENTS_MAX + 3).filter(|_| card.capture(1, &[0xF8], None).is_ok()).count());
    assert_eq!(kept.unwrap(), CAPTURED_EVENTS_MAX);
    let notice = driver.notice();
    assert_eq!((notice.kind.get(), notice.stream.get(), notice.value.get()), (NoticeKind::EVENT_LOST.0, CAPTURE, 3));
}

#[test]
fn notices_wait_for_a_buffer_and_their_sequence_shows_the_gap() {
    let mut driver = playing(Clock::Lockstep);
    for _ in 0..100 {
        driver.request(RequestCode(0x9999), &[]);
    }
    let first = driver.notice();
    assert_eq!(first.kind.get(), NoticeKind::DIAGNOSED.0);
    assert!(first.sequence.get() > 0, "the oldest are gone");
    assert_eq!(driver.notice().sequence.get(), first.sequence.get() + 1);
}

#[test]
fn a_card_that_is_unplugged_and_plugged_again_is_reset() {
    use vhost::VhostBackend;
    let mut driver = playing(Clock::Lockstep);
    driver.record(480);
    driver.machine.stop();
    driver.machine.frontend().set_owner().unwrap();
    driver.machine.reset();
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    assert_eq!(driver.record(480).header.position.get(), 0);
}

#[test]
fn a_defect_of_the_card_ends_the_session_only() {
    let mut driver = playing(Clock::Lockstep);
    let answer: Result<(), _> = driver.machine.card().with_card(|_| panic!("a defect, for this test"));
    assert!(answer.is_err());
    for stream in [STREAM_RENDER, STREAM_WAVE] {
        let notice = driver.notice();
        assert_eq!((notice.kind.get(), notice.stream.get()), (NoticeKind::STATE_CHANGED.0, stream));
        assert_eq!(notice.value.get(), u64::from(StreamState::STOP.0));
    }
    assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::NO_SESSION);
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    assert_eq!(driver.record(64).header.frames.get(), 64);
}

#[test]
fn a_lost_session_returns_its_buffers_and_queues_a_notice() {
    let mut driver = playing_at(Clock::Realtime, 11_025);
    driver.post_wave(STREAM_WAVE, 60_000, 240_000);
    let fault: InjectedFault = serde_json::from_str(r#"{"kind":"lose-session"}"#).unwrap();
    driver.machine.card().with_card(move |card| card.inject(fault, None)).unwrap().unwrap();
    assert_eq!(driver.wait_wave().header.status.get(), WaveStatus::FLUSHED.0);
    let notice = driver.notice();
    assert_eq!((notice.kind.get(), notice.value.get()), (NoticeKind::STATE_CHANGED.0, StreamState::STOP.0.into()));
    assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::NO_SESSION);
    assert_eq!(driver.open().status, Status::OK);
}

#[test]
fn corrupts_the_used_ring_of_existing_queues_only() {
    let driver = playing(Clock::Lockstep);
    let corrupt = |queue| InjectedFault::CorruptUsedRing { corruption: UsedRingCorruption::UsedLength, queue };
    let inject = |fault| driver.machine.card().with_card(move |card| card.inject(fault, None)).unwrap();
    assert_eq!(inject(corrupt(Queue::WAVE.0)), Ok(()));
    assert_eq!(inject(corrupt(9)).unwrap_err().to_string(), "there is no queue 9: the card has 5, from 0");
}
