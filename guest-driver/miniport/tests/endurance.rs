//! A thousand streams and a million events, with faults in between: every lost event is counted, and
//! all memory is freed.
#![allow(unsafe_code, reason = "an allocator that counts")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use card_spec::control::RequestCode;
use card_spec::queue::Queue;
use common::{NOTE, TestDriver, start};
use dmus_miniport::card::CardError;
use dmus_miniport::fake::{Behaviour, FakeAllocator, FakeCard, deliver_interrupts, dispatch, passive};
use dmus_miniport::format::PcmFormat;
use dmus_miniport::midi_out::Groups;
use portcls::ks::KsState;

/// Counts the bytes that a thread has allocated: the test runner allocates on others meanwhile.
struct Counting;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    BYTES.with(|count| count.set(count.get() + bytes));
}

// SAFETY: the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests take turns: the allocations of one must not change the count of another.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn take_turn() -> std::sync::MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Small steps of a generator (Marsaglia's xorshift): the same faults in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Opens a stream, runs it, puts some events, stops and closes it. Returns the first error.
fn run_stream(
    driver: &TestDriver,
    allocator: FakeAllocator,
    pcm: &mut [u8],
    faults: &mut Random,
) -> Result<(), CardError> {
    let id = driver.card.open_render(passive(), Groups::AsGiven, allocator)?;
    let lived = (|| {
        for state in [KsState::ACQUIRE, KsState::PAUSE, KsState::RUN] {
            driver.card.set_render_state(passive(), id, state)?;
        }
        for time in 0..faults.below(20) as i64 {
            // SAFETY: events of the stream's own allocator.
            unsafe { driver.card.put(dispatch(), id, allocator.message(time, NOTE)) };
        }
        deliver_interrupts(&driver.card);
        if driver.card.open_wave(passive(), PcmFormat { sample_rate: 48_000, channels: 2 }).is_ok() {
            _ = driver.card.set_wave_state(passive(), KsState::RUN);
            _ = driver.card.sync(passive(), 0, true);
            _ = driver.card.render(passive(), pcm);
            driver.card.close_wave(passive());
        }
        for state in [KsState::PAUSE, KsState::ACQUIRE, KsState::STOP] {
            driver.card.set_render_state(passive(), id, state)?;
        }
        Ok(())
    })();
    driver.card.close_render(passive(), id);
    lived
}

#[test]
fn leaves_no_memory_and_no_event_behind_after_a_thousand_starts_with_faults() {
    const LIVES: u64 = 1000;
    let _turn = take_turn();
    let allocator = FakeAllocator::leaked();
    let mut pcm = [0; 480];
    let mut faults = Random(0x5eed);
    let mut bytes = Vec::with_capacity(LIVES as usize);
    let (mut whole, mut cut) = (0, 0);
    {
        let driver = TestDriver::with(Behaviour { serves_kicks_after: Some(5), ..Behaviour::default() });
        let dma = driver.fake.dma_bytes();
        for life in 0..LIVES {
            let fault = faults.below(8);
            match fault {
                0 => driver.fake.with(|card| card.behaviour.ignores_kicks[Queue::MIDI_OUT.index()] = true),
                1 => driver.fake.with(|card| {
                    let code = [RequestCode::STREAM_OPEN, RequestCode::STREAM_STATE][(life % 2) as usize];
                    card.behaviour.refuses = Some((code, card_spec::control::Status::NO_RESOURCES));
                }),
                2 => driver.fake.need_reset(),
                3 => driver.fake.with(|card| card.behaviour.sends_no_interrupts = true),
                4 => driver.card.power_down(passive()),
                5 => {
                    driver.fake.with(|card| card.behaviour.no_memory = true);
                    let refused = driver.card.download(passive(), 0, 100, |_| true);
                    assert_eq!(refused, Err(CardError::Control(dmus_miniport::control::ControlError::NoMemory)));
                }
                _ => {}
            }
            deliver_interrupts(&driver.card);
            match run_stream(&driver, allocator, &mut pcm, &mut faults) {
                Ok(()) => whole += 1,
                Err(_) => cut += 1,
            }
            driver.fake.with(|card| {
                let behaviour = &mut card.behaviour;
                (behaviour.ignores_kicks, behaviour.refuses) = (Default::default(), None);
                (behaviour.sends_no_interrupts, behaviour.no_memory) = (false, false);
                // The fake card's records are not the driver's memory.
                (card.requests, card.batches, card.log, card.statuses) = Default::default();
            });
            driver.fake.serve_kicks();
            driver.card.power_up(passive()).unwrap();
            assert_eq!(allocator.outstanding(), 0, "life {life} with fault {fault}");
            assert_eq!(driver.fake.dma_bytes(), dma, "life {life} with fault {fault}");
            driver.fake.with(|card| (card.requests, card.batches, card.log, card.statuses) = Default::default());
            bytes.push(BYTES.get());
        }
        driver.card.power_down(passive());
    }
    assert_eq!(whole + cut, LIVES);
    assert!(whole > LIVES / 2 && cut > LIVES / 50, "{whole} whole, {cut} cut");
    // Memory that is kept for later, such as room in vectors, is there after some starts.
    let (early, late) = (bytes[..500].iter().max(), bytes[500..].iter().max());
    assert_eq!(early, late, "no life costs memory");
}

#[test]
fn gives_every_event_back_when_the_card_is_removed() {
    const CARDS: usize = 50;
    let _turn = take_turn();
    let allocator = FakeAllocator::leaked();
    let mut pcm = [0; 480];
    let mut faults = Random(7);
    for card in 0..CARDS {
        let driver = TestDriver::with(Behaviour { serves_kicks_after: Some(5), ..Behaviour::default() });
        let id = driver.card.open_render(passive(), Groups::AsGiven, allocator).unwrap();
        driver.card.set_render_state(passive(), id, KsState::RUN).unwrap();
        driver.fake.with(|fake| fake.behaviour.gone = true);
        let begun = driver.fake.with(|fake| fake.milliseconds);
        for time in 0..5000 {
            // SAFETY: events of the stream's own allocator.
            unsafe { driver.card.put(dispatch(), id, allocator.message(time, NOTE)) };
            assert!(allocator.outstanding() <= 5000);
        }
        assert!(!driver.card.interrupt(), "all ones is no interrupt");
        assert!(run_stream(&driver, allocator, &mut pcm, &mut faults).is_err());
        assert_eq!(allocator.outstanding(), 0, "card {card}: no event waits for a card that is gone");
        let touched = driver.fake.with(|fake| fake.accesses_while_gone);
        driver.card.close_render(passive(), id);
        driver.card.power_down(passive());
        let took = driver.fake.with(|fake| fake.milliseconds) - begun;
        assert!(took < 200, "it is noticed at once and not waited for: {took} ms");
        assert!(driver.fake.with(|fake| fake.accesses_while_gone) - touched < 10, "and then left alone");
        assert_eq!(
            driver.fake.with(|fake| fake
                .log
                .iter()
                .filter(|line| *line == "the card was removed: its registers read all ones")
                .count()),
            1
        );
        let fake = driver.fake.clone();
        drop(driver);
        assert_eq!(fake.dma_bytes(), 0);
    }
}

#[test]
fn plays_or_counts_each_of_a_million_events_and_gives_all_back() {
    const EVENTS: i64 = 1_000_000;
    let _turn = take_turn();
    let allocator = FakeAllocator::leaked();
    let mut faults = Random(0xd1ce);
    let driver = TestDriver::with(Behaviour { serves_kicks_after: Some(5), ..Behaviour::default() });
    let id = driver.card.open_render(passive(), Groups::AsGiven, allocator).unwrap();
    driver.card.set_render_state(passive(), id, KsState::RUN).unwrap();
    let (mut played, mut unplayed, mut time) = (0_i64, 0_i64, 0_i64);
    let mut expected = 0_i64;
    let mut gather = |played: &mut i64, unplayed: &mut i64| {
        for batch in driver.fake.with(|card| core::mem::take(&mut card.batches)) {
            for event in batch.events {
                assert!(event.time >= expected, "in order, and none twice: {} after {expected}", event.time);
                // Events missing in between were discarded where the test expects it.
                *unplayed += event.time - expected;
                expected = event.time + 1;
                *played += 1;
            }
        }
    };
    let ignore_kicks = |yes| driver.fake.with(|card| card.behaviour.ignores_kicks[Queue::MIDI_OUT.index()] = yes);
    while time < EVENTS {
        let count = (1 + faults.below(64) as i64).min(EVENTS - time);
        let events: Vec<_> = (time..time + count).map(|time| allocator.message(time, NOTE)).collect();
        time += count;
        let events = if faults.below(4) == 0 { allocator.package(&events) } else { FakeAllocator::chain(&events) };
        // SAFETY: events of the stream's own allocator.
        unsafe { driver.card.put(dispatch(), id, events) };
        match faults.below(1000) {
            // The card stalls: events pile up, and go on later.
            0..20 => ignore_kicks(true),
            20..60 => {
                ignore_kicks(false);
                driver.fake.serve_kicks();
            }
            // The client stops: what waits is thrown away, and the card plays what it had.
            60..63 => {
                driver.fake.serve_kicks();
                driver.card.set_render_state(passive(), id, KsState::STOP).unwrap();
                assert_eq!(allocator.outstanding(), 0);
                gather(&mut played, &mut unplayed);
                driver.card.set_render_state(passive(), id, KsState::RUN).unwrap();
            }
            // The card loses its state: what it had is thrown away.
            63..65 => {
                driver.card.power_down(passive());
                ignore_kicks(false);
                driver.card.power_up(passive()).unwrap();
            }
            65 => {
                ignore_kicks(false);
                driver.fake.need_reset();
                deliver_interrupts(&driver.card);
                driver.card.set_render_state(passive(), id, KsState::RUN).unwrap();
            }
            _ => {}
        }
        deliver_interrupts(&driver.card);
        gather(&mut played, &mut unplayed);
    }
    ignore_kicks(false);
    driver.fake.serve_kicks();
    deliver_interrupts(&driver.card);
    driver.card.service(dispatch());
    driver.fake.serve_kicks();
    driver.card.close_render(passive(), id);
    gather(&mut played, &mut unplayed);
    unplayed += EVENTS - expected;
    assert_eq!(played + unplayed, EVENTS);
    assert_eq!(allocator.outstanding(), 0, "every event went allocator once: the allocator panics at a second time");
    assert!(played > EVENTS * 9 / 10, "{played} played, {unplayed} thrown away");
}

#[test]
fn starts_again_after_any_failed_allocation_and_leaks_nothing() {
    let _turn = take_turn();
    let before = BYTES.get();
    for _ in 0..100 {
        for allocations in 0..12 {
            let fake = FakeCard::new(Behaviour { allocations_left: Some(allocations), ..Behaviour::default() });
            let started = start(&fake);
            assert_eq!(started.is_ok(), fake.dma_bytes() != 0);
            drop(started);
            assert_eq!(fake.dma_bytes(), 0, "with {allocations} allocations");
        }
    }
    let after = BYTES.get();
    assert!((after - before).abs() < 4096, "{before} bytes before, {after} after");
}
