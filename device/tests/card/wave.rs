//! Wave buffers: the right frames, at the right time, and all of them.

use std::time::{Duration, Instant};

use card_control::Clock;
use card_control::event_list::Event;
use card_spec::control::{RequestCode, Status, StreamKind, StreamState};
use card_spec::diagnosis::Diagnosis;
use card_spec::identity::Counters;
use card_spec::limits::WAVE_FIFO_MS;
use card_spec::notice::NoticeKind;
use card_spec::queue::Queue;
use card_spec::wave::WaveStatus;
use dls_synth::Bank;
use dmus_card::card::AdvanceError;
use dmus_card::card::status;
use dmus_card::cli::offline;
use dmus_card::fake::{Board, Driver, Machine, STREAM_RENDER, STREAM_WAVE};
use dmus_card::options::Options;
use dmus_card::session::Parameters;
use dmus_card::session::render::RENDER_BLOCK_DEFAULT;

fn playing(clock: Clock, sample_rate: u32) -> Driver {
    let mut driver = Driver::new(Machine::with_card(clock));
    assert_eq!(driver.open().status, Status::OK);
    driver.play(sample_rate);
    driver
}

/// Returns a tune: notes at times that fall on no block boundary.
fn tune() -> Vec<(i64, u16, Vec<u8>)> {
    let mut tune = Vec::new();
    for note in 0..40_i64 {
        let key = 48 + (note * 7 % 36) as u8;
        let group = 1 + (note % 2) as u16;
        tune.push((note * 123_457, group, vec![0x90 + (note % 5) as u8, key, 70 + note as u8]));
        tune.push((note * 123_457 + 199_999, group, vec![0x80 + (note % 5) as u8, key, 0]));
    }
    tune.sort_by_key(|(time, _, _)| *time);
    tune
}

fn offline_pcm(events: &[(i64, u16, Vec<u8>)], sample_rate: u32, frames: u64) -> (Vec<[i16; 2]>, String) {
    let events: Vec<Event> = events
        .iter()
        .map(|(time, group, message)| Event { time: *time, group: *group, message: message.clone() })
        .collect();
    let mut pcm = Vec::new();
    let parameters = Parameters { sample_rate, ..Parameters::defaults(1000) };
    let rendered =
        offline::render(&events, parameters, Bank::builtin(), frames, 4096, |block| pcm.extend_from_slice(block));
    (pcm, rendered.unwrap().pcm_sha256)
}

#[test]
fn a_guest_gets_exactly_the_frames_of_the_offline_render() {
    let tune = tune();
    for (render_block, quantum) in [(1, 480), (256, 441), (4096, 10_000)] {
        let options = Options { clock: Clock::Lockstep, voices: 1000, render_block };
        let mut driver = Driver::new(Machine::with_options(options));
        assert_eq!(driver.open().status, Status::OK);
        driver.play(44_100);
        let mut pcm = Vec::new();
        let mut events = tune.iter().peekable();
        while pcm.len() < 30_000 {
            let end = (pcm.len() as i64 + i64::from(quantum) + 1) * 10_000_000 / 44_100 + 1;
            let mut batch: Vec<(i64, u16, &[u8])> = Vec::new();
            while let Some((time, group, message)) = events.next_if(|(time, _, _)| *time < end) {
                batch.push((*time, *group, message.as_slice()));
            }
            if !batch.is_empty() {
                driver.send(STREAM_RENDER, &batch);
            }
            let wave = driver.record(quantum);
            assert_eq!(wave.header.status.get(), WaveStatus::OK.0);
            assert_eq!(wave.header.position.get(), pcm.len() as u64);
            pcm.extend(wave.pcm);
        }
        let (expected, hash) = offline_pcm(&tune, 44_100, pcm.len() as u64);
        assert!(pcm == expected, "block {render_block}, quantum {quantum}");
        let status = driver.machine.card().with_card(|card| status::status(card)).unwrap();
        assert_eq!(status.session.unwrap().pcm_sha256, hash);
        assert_eq!(status.diagnosis.count, 0);
        assert_eq!(status.counters.events_late, 0);
    }
}

/// Returns how often a thread of this process has slept.
fn sleeps(thread: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

/// To wake another thread takes longer than to render so little.
#[test]
fn a_short_buffer_is_filled_by_the_thread_that_takes_the_kick_and_a_long_one_by_the_cards() {
    const BUFFERS: u64 = 100;
    let mut driver = playing(Clock::Lockstep, 48_000);
    let thread = driver.machine.card().with_card(|_| rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
    let mut sleeps_for = |frames| {
        let before = sleeps(thread);
        for _ in 0..BUFFERS {
            driver.record(frames);
        }
        sleeps(thread) - before
    };
    let short = sleeps_for(480);
    assert!(short < BUFFERS / 2, "{short}");
    let long = sleeps_for(10_000);
    assert!(long > BUFFERS / 2, "{long}");
}

#[test]
fn batches_available_before_a_buffer_play_in_it_whichever_kick_comes_first() {
    let mut driver = playing(Clock::Lockstep, 48_000);
    let silent = driver.record(64);
    assert!(silent.pcm.iter().all(|frame| *frame == [0, 0]));
    // The batch is made available without a kick of its own.
    let batch = driver.batch(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127])]);
    let address = driver.machine.ram.place(&batch);
    let piece = dmus_card::fake::Piece::readable(address, batch.len());
    driver.machine.rings[Queue::MIDI_OUT.index()].offer(&[piece]);
    let wave = driver.record(64);
    assert!(wave.pcm.iter().any(|frame| *frame != [0, 0]));
    let counters = driver.machine.identity().counters;
    assert_eq!((counters.events.get(), counters.events_late.get()), (1, 1));
}

#[test]
fn plays_events_for_all_groups_and_diagnoses_those_for_a_missing_group() {
    let mut driver = playing(Clock::Lockstep, 48_000);
    driver.send(STREAM_RENDER, &[(0, 3, &[0x90, 60, 127])]);
    assert!(driver.record(64).pcm.iter().all(|frame| *frame == [0, 0]));
    let first = driver.machine.identity().first_error;
    assert_eq!(Diagnosis(first.code.get()), Diagnosis::EVENT_GROUP);
    assert_eq!((first.expected.get(), first.got.get()), (2, 3));
    let notice = driver.notice();
    assert_eq!(notice.kind.get(), NoticeKind::DIAGNOSED.0);
    let notice = driver.notice();
    assert_eq!((notice.kind.get(), notice.value.get()), (NoticeKind::EVENT_LOST.0, 1));

    driver.send(STREAM_RENDER, &[(0, 0, &[0x90, 60, 127])]);
    let both = driver.record(64).pcm;
    driver.send(STREAM_RENDER, &[(0, 1, &[0x80, 60, 0])]);
    let status = driver.machine.card().with_card(|card| status::status(card)).unwrap();
    assert!(both.iter().any(|frame| *frame != [0, 0]));
    assert_eq!(status.session.unwrap().active_voices, 2);
}

#[test]
fn a_paused_render_stream_keeps_its_events_and_a_stopped_one_drops_them() {
    let mut driver = playing(Clock::Lockstep, 48_000);
    assert_eq!(driver.state(STREAM_RENDER, StreamState::PAUSE).status, Status::OK);
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127])]);
    assert!(driver.record(64).pcm.iter().all(|frame| *frame == [0, 0]));
    assert_eq!(driver.state(STREAM_RENDER, StreamState::RUN).status, Status::OK);
    assert!(driver.record(64).pcm.iter().any(|frame| *frame != [0, 0]));

    driver.send(STREAM_RENDER, &[(10_000_000, 1, &[0x90, 60, 127])]);
    assert_eq!(driver.state(STREAM_RENDER, StreamState::STOP).status, Status::OK);
    let status = driver.machine.card().with_card(|card| status::status(card)).unwrap();
    assert_eq!(status.session.unwrap().pending_events, 0);
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127])]);
    let first = driver.machine.identity().first_error;
    assert_eq!(Diagnosis(first.code.get()), Diagnosis::STREAM_STATE);
}

#[test]
fn buffers_come_back_flushed_when_the_stream_leaves_run() {
    // The lowest rate: the buffer is under way for more than five seconds.
    let mut driver = playing(Clock::Realtime, 11_025);
    driver.post_wave(STREAM_WAVE, 60_000, 240_000);
    assert_eq!(driver.state(STREAM_WAVE, StreamState::PAUSE).status, Status::OK);
    let wave = driver.wait_wave();
    assert_eq!((wave.header.status.get(), wave.header.frames.get()), (WaveStatus::FLUSHED.0, 0));
    // One that is posted to a paused stream waits.
    driver.post_wave(STREAM_WAVE, 480, 1920);
    assert!(driver.machine.wait_at_most(Queue::WAVE, Duration::from_millis(50)).is_none());
    assert_eq!(driver.state(STREAM_WAVE, StreamState::RUN).status, Status::OK);
    assert_eq!(driver.wait_wave().header.status.get(), WaveStatus::OK.0);
}

#[test]
fn refuses_invalid_wave_requests_and_fills_the_next() {
    let mut driver = playing(Clock::Lockstep, 48_000);
    for (stream, frames, bytes, code) in [
        (STREAM_RENDER, 480, 1920, Diagnosis::STREAM),
        (17, 480, 1920, Diagnosis::STREAM),
        (STREAM_WAVE, 0, 1920, Diagnosis::PARAMETER),
        (STREAM_WAVE, 481, 1920, Diagnosis::WRITABLE_TOO_SHORT),
        (STREAM_WAVE, u32::MAX, 1920, Diagnosis::LENGTH),
    ] {
        driver.post_wave(stream, frames, bytes);
        let wave = driver.wait_wave();
        assert_eq!(wave.header.status.get(), WaveStatus::REFUSED.0, "{code}");
        let history = driver.machine.card().registers.history();
        assert_eq!(history.recent.last().unwrap().error.code, code);
    }
    let wave = driver.record(480);
    assert_eq!((wave.header.status.get(), wave.header.position.get()), (WaveStatus::OK.0, 0));
}

#[test]
fn a_mono_stream_gets_the_mean_of_both_channels() {
    let mut driver = Driver::new(Machine::with_card(Clock::Lockstep));
    assert_eq!(driver.open().status, Status::OK);
    for (stream, kind, channels) in [(STREAM_RENDER, StreamKind::RENDER, 0), (STREAM_WAVE, StreamKind::WAVE, 1)] {
        assert_eq!(driver.open_stream(stream, kind, 48_000, channels).status, Status::OK);
        assert_eq!(driver.state(stream, StreamState::RUN).status, Status::OK);
    }
    driver.send(STREAM_RENDER, &[(0, 1, &[0xB0, 10, 20]), (0, 1, &[0x90, 60, 127])]);
    driver.post_wave(STREAM_WAVE, 960, 1920);
    let mut wave = driver.wait_wave();
    wave.pcm.truncate(480);
    let mono: Vec<i16> = wave.pcm.into_iter().flatten().collect();
    let events = [(0, 1, vec![0xB0, 10, 20]), (0, 1, vec![0x90, 60, 127])];
    let (stereo, _) = offline_pcm(&events, 48_000, 960);
    let mean: Vec<i16> = stereo.iter().map(|[l, r]| ((i32::from(*l) + i32::from(*r)) >> 1) as i16).collect();
    assert_eq!(mono, mean);
}

#[test]
fn in_real_time_a_buffer_comes_back_when_its_last_frame_is_due_and_not_before() {
    // Before the card's clock runs: nothing of what follows can be due earlier than counted from here.
    let begun = Instant::now();
    let mut driver = playing(Clock::Realtime, 48_000);
    let mut end = 0;
    for _ in 0..10 {
        let wave = driver.record(1200);
        let elapsed = begun.elapsed();
        let at = wave.header.position.get();
        match WaveStatus(wave.header.status.get()) {
            WaveStatus::OK => assert_eq!(at, end, "frames follow each other"),
            // The host has kept this test from posting in time, which the status tells.
            status => assert!(status == WaveStatus::AFTER_UNDERRUN && at > end, "{status} at {at} after {end}"),
        }
        end = at + 1200;
        // The sound cannot have taken less; on a busy host it takes more.
        let due = Duration::from_nanos(end * 1_000_000_000 / 48_000);
        assert!(elapsed >= due, "{end} frames came after {elapsed:?}");
    }
}

#[test]
fn in_real_time_frames_without_a_buffer_are_lost_and_notices_count_them() {
    let mut driver = playing(Clock::Realtime, 48_000);
    driver.machine.wait_until("an underrun", |machine| machine.identity().counters.underruns.get() == 1);
    let wave = driver.record(480);
    assert_eq!(wave.header.status.get(), WaveStatus::AFTER_UNDERRUN.0);
    let first = wave.header.position.get();
    assert!(first > 0, "the oldest frames went");
    let mut counted = 0;
    while counted < first {
        let notice = driver.notice();
        assert_eq!(notice.kind.get(), NoticeKind::UNDERRUN.0);
        counted += notice.value.get();
    }
    assert_eq!(counted, first, "notices count every lost frame");
    let next = driver.record(480);
    let (status, position) = (WaveStatus(next.header.status.get()), next.header.position.get());
    // A host that does not run this test for longer than the FIFO lasts makes the next underrun.
    let again = status == WaveStatus::AFTER_UNDERRUN && position > first + 480;
    assert!(again || (status, position) == (WaveStatus::OK, first + 480), "{status} at {position} after {first}");
}

#[test]
fn time_stands_still_without_a_clock_and_in_pause() {
    let mut driver = Driver::new(Machine::with_card(Clock::Realtime));
    assert_eq!(driver.open().status, Status::OK);
    assert_eq!(driver.open_stream(STREAM_WAVE, StreamKind::WAVE, 48_000, 2).status, Status::OK);
    assert_eq!(driver.state(STREAM_WAVE, StreamState::RUN).status, Status::OK);
    driver.post_wave(STREAM_WAVE, 48, 192);
    assert!(driver.machine.wait_at_most(Queue::WAVE, Duration::from_millis(50)).is_none());
    assert_eq!(driver.start_clock(0).status, Status::OK);
    driver.wait_wave();
    assert_eq!(driver.state(STREAM_WAVE, StreamState::PAUSE).status, Status::OK);
    let frames = |driver: &mut Driver| driver.machine.identity().counters.frames_rendered.get();
    let before = frames(&mut driver);
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(frames(&mut driver), before);
}

#[test]
fn advance_moves_time_in_lockstep_and_overflows_the_fifo_like_real_time() {
    let mut driver = playing(Clock::Lockstep, 48_000);
    let fifo = u64::from(WAVE_FIFO_MS) * 48;
    let advance = |driver: &Driver, frames: u64| {
        let mut left = frames;
        loop {
            let advanced = driver.machine.card().with_card(move |card| card.advance(left)).unwrap()?;
            left -= advanced.frames;
            if left == 0 {
                return Ok::<i64, AdvanceError>(advanced.position);
            }
        }
    };
    assert_eq!(advance(&driver, fifo).unwrap(), fifo as i64);
    assert_eq!(driver.machine.identity().counters.underruns.get(), 0);
    assert_eq!(advance(&driver, 100).unwrap(), fifo as i64 + 100);
    let wave = driver.record(48);
    assert_eq!((wave.header.status.get(), wave.header.position.get()), (WaveStatus::AFTER_UNDERRUN.0, 100));
    assert_eq!(driver.state(STREAM_WAVE, StreamState::PAUSE).status, Status::OK);
    assert!(advance(&driver, 1).is_err());
}

#[test]
fn a_pause_of_the_machine_loses_neither_a_buffer_nor_a_frame() {
    let mut driver = playing(Clock::Lockstep, 48_000);
    let tune = tune();
    let batch: Vec<(i64, u16, &[u8])> = tune.iter().map(|(t, g, m)| (*t, *g, m.as_slice())).collect();
    driver.send(STREAM_RENDER, &batch);
    let mut pcm = driver.record(1000).pcm;
    assert_eq!(driver.state(STREAM_WAVE, StreamState::PAUSE).status, Status::OK);
    // A buffer waits in the ring while the machine is paused.
    driver.post_wave(STREAM_WAVE, 1000, 4000);
    let bases = driver.machine.stop();
    driver.machine.resume(bases);
    assert_eq!(driver.state(STREAM_WAVE, StreamState::RUN).status, Status::OK);
    pcm.extend(driver.wait_wave().pcm);
    pcm.extend(driver.record(1000).pcm);
    assert!(pcm == offline_pcm(&tune, 48_000, 3000).0);
}

#[test]
fn a_real_time_buffer_under_way_survives_a_pause_of_the_machine() {
    const FRAMES: u32 = 24_000;
    let mut driver = Driver::new(Machine::with_card(Clock::Realtime));
    assert_eq!(driver.open().status, Status::OK);
    assert_eq!(driver.open_stream(STREAM_WAVE, StreamKind::WAVE, 48_000, 2).status, Status::OK);
    assert_eq!(driver.state(STREAM_WAVE, StreamState::RUN).status, Status::OK);
    // It waits for the very first frame.
    driver.post_wave(STREAM_WAVE, FRAMES, FRAMES as usize * 4);
    let begun = Instant::now();
    assert_eq!(driver.start_clock(0).status, Status::OK);
    std::thread::sleep(Duration::from_millis(20));
    let bases = driver.machine.stop();
    let before = driver.machine.identity().counters.frames_rendered.get();
    std::thread::sleep(Duration::from_millis(30));
    let stood: Counters = driver.machine.identity().counters;
    // The block that was under way is counted when it ends.
    let since = stood.frames_rendered.get() - before;
    assert!(since <= RENDER_BLOCK_DEFAULT as u64, "time stands still: {since} frames");
    driver.machine.resume(bases);
    let wave = driver.wait_wave();
    assert_eq!((wave.header.status.get(), wave.header.position.get()), (WaveStatus::OK.0, 0));
    assert_eq!(wave.header.frames.get(), FRAMES);
    let underruns = driver.machine.identity().counters.underruns.get();
    // No frame is lost before the FIFO is full, too; a busy host may take that long.
    let full = Duration::from_millis(u64::from(FRAMES / 48) + u64::from(WAVE_FIFO_MS));
    assert!(underruns == 0 || begun.elapsed() >= full, "{underruns} underruns after {:?}", begun.elapsed());
}

#[test]
fn more_events_than_the_card_keeps_wait_in_the_ring_and_none_is_lost() {
    let mut driver = playing(Clock::Lockstep, 48_000);
    let status =
        |driver: &Driver| driver.machine.card().with_card(|card| status::status(card)).unwrap().session.unwrap();
    // Batches of 160 events, far beyond what the card keeps, with no time to play them in.
    let mut sent = 0_u64;
    let mut taken = 0_u64;
    for round in 0..6_i64 {
        for index in 0..100_i64 {
            let time = (round * 100 + index) * 50_000;
            let value = (index % 128) as u8;
            let message: [u8; 3] = [0xB0, 7, value];
            let events: Vec<(i64, u16, &[u8])> = (0..160).map(|_| (time, 1, message.as_slice())).collect();
            let batch = driver.batch(STREAM_RENDER, &events);
            driver.send_raw(&batch);
            sent += 160;
        }
        // The card takes them all, or reports back-pressure.
        driver.machine.wait_until("the card to take a round, or to report back-pressure", |machine| {
            while machine.ring(Queue::MIDI_OUT).returned().is_some() {
                taken += 1;
            }
            taken == sent / 160
                || machine.card().with_card(|card| status::status(card)).unwrap().session.unwrap().back_pressure
        });
        if taken < sent / 160 {
            break;
        }
    }
    assert!(taken < sent / 160, "the card must have reported back-pressure");
    assert!(status(&driver).back_pressure);
    while taken < sent / 160 {
        driver.record(24_000);
        while driver.machine.ring(Queue::MIDI_OUT).returned().is_some() {
            taken += 1;
        }
    }
    let counters = driver.machine.identity().counters;
    assert_eq!((counters.events.get(), counters.events_late.get()), (sent, 0));
    assert_eq!(driver.request(RequestCode::CLOSE, &[]).status, Status::OK);
}
