//! Injected faults: each strikes once, exactly where its trigger says, and harms what its kind says.

use std::time::{Duration, Instant};

use card_control::fault::{FaultStatus, InjectedFault, Trigger};
use card_control::limits::{ARMED_FAULTS_MAX, CLOCK_JUMP_FRAMES_MAX, MISPLACED_BYTES};
use card_control::{Clock, FailureStatus, RequestName};
use card_spec::control::{DownloadResponse, RequestCode, ResponseHeader, Status, StreamKind};
use card_spec::feature;
use card_spec::queue::Queue;
use card_spec::wave::{WaveHeader, WaveStatus};
use dmus_card::card::{Card, InjectError};
use dmus_card::fake::{Board, Driver, Machine, STREAM_RENDER, STREAM_WAVE};
use dmus_card::options::Options;
use zerocopy::IntoBytes;

use crate::wire;

/// How long a test waits for what must not come.
const A_WHILE: Duration = Duration::from_millis(100);

const WAVE: u16 = Queue::WAVE.0;

fn driver_with(render_block: usize, clock: Clock) -> Driver {
    let mut machine = Machine::with_options(Options { clock, voices: 64, render_block });
    // So that each chain interrupts: this driver asks for none in particular.
    machine.features &= !feature::EVENT_IDX;
    let mut driver = Driver::new(machine);
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    driver
}

fn driver() -> Driver {
    driver_with(256, Clock::Lockstep)
}

fn inject(driver: &Driver, fault: InjectedFault, at: Option<Trigger>) -> Result<(), InjectError> {
    driver.machine.card().with_card(move |card| card.inject(fault, at)).unwrap()
}

fn faults(driver: &Driver) -> FaultStatus {
    driver.machine.card().with_card(|card| card.faults()).unwrap()
}

/// Returns event and frame of the only fault that has struck.
fn struck(driver: &Driver) -> (u64, i64) {
    let faults = faults(driver);
    assert_eq!((faults.struck.len(), faults.armed.len()), (1, 0), "{faults:?}");
    (faults.struck[0].event, faults.struck[0].frame)
}

#[test]
fn a_lost_interrupt_leaves_its_chain_in_the_used_ring() {
    let mut driver = driver();
    assert_eq!(driver.machine.interrupts(Queue::WAVE), 0);
    inject(&driver, InjectedFault::LostInterrupt { queue: WAVE }, None).unwrap();
    assert_eq!(driver.record(64).header.frames.get(), 64);
    assert_eq!(struck(&driver), (0, 64));
    assert_eq!(driver.machine.interrupts(Queue::WAVE), 0);
    driver.record(64);
    driver.machine.wait_until("the next interrupt", |machine| machine.interrupts(Queue::WAVE) == 1);
}

#[test]
fn a_late_interrupt_comes_after_its_time() {
    let mut driver = driver();
    inject(&driver, InjectedFault::LateInterrupt { queue: WAVE, milliseconds: 50 }, None).unwrap();
    let begun = Instant::now();
    driver.record(64);
    driver.machine.wait_until("the interrupt", |machine| machine.interrupts(Queue::WAVE) == 1);
    assert!(begun.elapsed() >= Duration::from_millis(50), "{:?}", begun.elapsed());
}

#[test]
fn spurious_interrupts_come_without_a_chain() {
    let mut driver = driver();
    inject(&driver, InjectedFault::SpuriousInterrupt { queue: WAVE }, None).unwrap();
    assert_eq!(driver.machine.interrupts(Queue::WAVE), 1);
    inject(&driver, InjectedFault::InterruptStorm { queue: WAVE, interrupts: 25 }, None).unwrap();
    let mut raised = 0;
    driver.machine.wait_until("the storm", |machine| {
        raised += machine.interrupts(Queue::WAVE);
        raised == 25
    });
    assert!(driver.machine.wait_at_most(Queue::WAVE, A_WHILE).is_none());
    assert_eq!(driver.machine.interrupts(Queue::WAVE), 0);
}

#[test]
fn a_short_dma_writes_half_and_a_failed_one_nothing() {
    for (fault, bytes) in [
        (InjectedFault::ShortDma { queue: WAVE }, (size_of::<WaveHeader>() + 64 * 4) / 2),
        (InjectedFault::FailedDma { queue: WAVE }, 0),
    ] {
        let mut driver = driver();
        driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127])]);
        let whole = driver.record(64);
        inject(&driver, fault, None).unwrap();
        driver.post_wave(STREAM_WAVE, 64, 64 * 4);
        let (_, written) = driver.machine.wait(Queue::WAVE);
        assert_eq!(written as usize, bytes, "{fault}");
        assert_eq!(struck(&driver).1, 128);
        assert_eq!(driver.record(64).header.position.get(), 128, "the frames are gone, and the next follow");
        assert_eq!(whole.header.status.get(), WaveStatus::OK.0);
    }
}

#[test]
fn a_misplaced_dma_stays_inside_the_drivers_buffer() {
    let mut driver = driver();
    driver.request(RequestCode::LATENCY, &[]);
    inject(&driver, InjectedFault::MisplacedDma { queue: Queue::CONTROL.0 }, None).unwrap();
    let room = size_of::<ResponseHeader>();
    let response = driver.request_raw(&wire!(RequestCode::ALL_SOUND_OFF.0, 0u32, 77u64), room);
    assert_eq!(response.len(), room, "the length is that of an answer that is right");
    let skipped = MISPLACED_BYTES as usize;
    let header = ResponseHeader { status: Status::OK.0.into(), length: 0.into(), tag: 77.into() };
    assert_eq!(response[skipped..], header.as_bytes()[..room - skipped]);
    assert_ne!(response[8..], 77u64.to_le_bytes(), "the tag is not where a driver looks for it");
}

#[test]
fn a_stuck_command_never_returns_and_those_behind_it_do() {
    let mut driver = driver();
    inject(&driver, InjectedFault::StuckCommand { request: Some(RequestName::StreamOpen) }, None).unwrap();
    assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::OK, "it is for another request");
    driver.send_open_stream(5);
    assert!(driver.machine.wait_at_most(Queue::CONTROL, A_WHILE).is_none());
    assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::OK);
    // A machine that is paused and continued does not have it carried out after all.
    let bases = driver.machine.stop();
    driver.machine.resume(bases);
    assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::OK);
    assert_eq!(driver.close_stream(5).status, Status::NOT_FOUND);
}

#[test]
fn a_failing_command_changes_nothing() {
    let mut driver = driver();
    let request = Some(RequestName::StreamOpen);
    inject(&driver, InjectedFault::FailingCommand { status: FailureStatus::NoResources, request }, None).unwrap();
    assert_eq!(driver.open_stream(5, StreamKind::RENDER, 0, 0).status, Status::NO_RESOURCES);
    assert_eq!(driver.close_stream(5).status, Status::NOT_FOUND);
    assert_eq!(driver.open_stream(5, StreamKind::RENDER, 0, 0).status, Status::OK);
}

#[test]
fn a_refused_download_says_that_memory_is_full_and_no_driver_is_blamed() {
    let mut driver = driver();
    inject(&driver, InjectedFault::RefusedDownload {}, None).unwrap();
    let response = driver.request(RequestCode::DLS_DOWNLOAD, &[0; 64]);
    assert_eq!(response.status, Status::NO_RESOURCES);
    let answer: DownloadResponse = response.read();
    assert_eq!(answer.handle.get(), 0);
    assert_eq!(answer.reason.get(), dls_synth::DownloadErrorReason::Memory as u32);
    assert_eq!(driver.machine.card().registers.history().count, 0);
    assert_eq!(driver.request(RequestCode::DLS_DOWNLOAD, &[0; 64]).status, Status::MALFORMED, "once only");
}

#[test]
fn the_clock_jumps_both_ways_and_never_to_before_its_start() {
    for (clock, frames, position) in
        [(Clock::Lockstep, 48_000, 48_064), (Clock::Lockstep, -100, 0), (Clock::Realtime, 480_000, 480_000)]
    {
        let mut driver = driver_with(64, clock);
        let before = driver.record(64).header.position.get();
        inject(&driver, InjectedFault::ClockJump { frames }, None).unwrap();
        let after = driver.record(64).header.position.get();
        if clock == Clock::Lockstep {
            assert_eq!(after, position, "by {frames}");
        } else {
            assert!((position..position + 480_000).contains(&(after - before)), "by {frames}: {before}, {after}");
        }
    }
}

#[test]
fn a_fault_at_a_frame_or_a_time_strikes_there_at_any_block_size() {
    for at in [Trigger::Frame(1000), Trigger::Time(208_333)] {
        for render_block in [1, 7, 64, 999, 4096] {
            let mut driver = driver_with(render_block, Clock::Lockstep);
            inject(&driver, InjectedFault::ClockJump { frames: 10_000 }, Some(at)).unwrap();
            // The first buffer ends before the frame, the second holds it.
            assert_eq!(driver.record(960).header.position.get(), 0);
            assert_eq!(faults(&driver).armed.len(), 1);
            let wave = driver.record(960);
            assert_eq!(struck(&driver).1, if at == Trigger::Frame(1000) { 1000 } else { 999 }, "{at}, {render_block}");
            assert_eq!(wave.header.position.get(), 10_960, "the buffer's end has jumped with the clock");
        }
    }
}

#[test]
fn the_sound_under_a_clock_jump_is_the_same_at_any_block_size() {
    let record = |render_block| {
        let mut driver = driver_with(render_block, Clock::Lockstep);
        inject(&driver, InjectedFault::ClockJump { frames: 300 }, Some(Trigger::Frame(333))).unwrap();
        driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127]), (80_000, 1, &[0x90, 64, 127])]);
        (driver.record(960).pcm, driver.record(960).pcm)
    };
    let once = record(256);
    assert!(once.0.iter().any(|frame| *frame != [0, 0]));
    for render_block in [1, 31, 4096] {
        assert!(record(render_block) == once, "blocks of {render_block} frames");
    }
}

#[test]
fn a_fault_at_an_event_strikes_with_that_event() {
    let mut driver = driver();
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 127])]);
    inject(&driver, InjectedFault::LoseSession {}, Some(Trigger::Event(3))).unwrap();
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 61, 127]), (0, 1, &[0x90, 62, 127])]);
    assert_eq!(faults(&driver).armed.len(), 1);
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 63, 127])]);
    assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::NO_SESSION);
    assert_eq!(struck(&driver), (4, 0));
}

#[test]
fn a_fault_outlasts_a_reset_of_the_device() {
    let mut driver = driver();
    inject(&driver, InjectedFault::LostInterrupt { queue: WAVE }, Some(Trigger::Frame(100))).unwrap();
    driver.machine.reset();
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    driver.record(64);
    assert_eq!(faults(&driver).armed.len(), 1);
    driver.record(64);
    assert_eq!(struck(&driver).1, 128, "with the buffer that holds the frame");
}

#[test]
fn refuses_what_cannot_strike() {
    let mut driver = driver();
    driver.record(64);
    let refused = |fault, at| inject(&driver, fault, at).unwrap_err().to_string();
    let lost = InjectedFault::LostInterrupt { queue: WAVE };
    assert!(refused(lost, Some(Trigger::Frame(63))).contains("which is at frame 64"));
    assert!(refused(lost, Some(Trigger::Time(0))).contains("time 0 is behind"));
    assert!(refused(lost, Some(Trigger::Event(0))).contains("event is 0"));
    assert!(
        refused(InjectedFault::LateInterrupt { queue: WAVE, milliseconds: 0 }, None).contains("must be 1 to 60000")
    );
    assert!(refused(InjectedFault::InterruptStorm { queue: WAVE, interrupts: 1 << 20 }, None).contains("10000"));
    assert!(refused(InjectedFault::ClockJump { frames: 0 }, None).contains("0 frames"));
    let far = CLOCK_JUMP_FRAMES_MAX.cast_signed() + 1;
    assert!(refused(InjectedFault::ClockJump { frames: -far }, None).contains("-5760000 to 5760000"));
    assert!(refused(InjectedFault::NeedsReset {}, None).contains("by transport vfio-user"));
    assert_eq!(faults(&driver), FaultStatus::default());
    for _ in 0..ARMED_FAULTS_MAX {
        inject(&driver, lost, Some(Trigger::Frame(100_000))).unwrap();
    }
    assert!(refused(lost, None).contains("disarm-faults"));
    assert_eq!(driver.machine.card().with_card(Card::disarm_faults).unwrap(), ARMED_FAULTS_MAX);
    driver.record(64);
    assert_eq!(driver.close_stream(STREAM_WAVE).status, Status::OK);
    assert_eq!(driver.request(RequestCode::CLOSE, &[]).status, Status::OK);
    assert_eq!(inject(&driver, InjectedFault::ClockJump { frames: 1 }, None), Err(InjectError::NoSession));
}
