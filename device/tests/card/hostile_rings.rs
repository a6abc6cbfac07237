//! Rings that cannot work are parked and diagnosed; the other rings work on.

use std::time::Duration;

use card_control::Clock;
use card_spec::control::{RequestCode, Status};
use card_spec::diagnosis::Diagnosis;
use card_spec::feature;
use card_spec::identity::NO_QUEUE;
use card_spec::queue::Queue;
use dmus_card::fake::{Board, Driver, Machine, RingPlan};

/// Returns a driver on a machine whose plan for one ring is changed by `spoil`.
fn with_broken(queue: Queue, spoil: impl FnOnce(&mut RingPlan)) -> Driver {
    let mut machine = Machine::with_card(Clock::Lockstep);
    let mut plan = machine.plan();
    spoil(&mut plan[queue.index()]);
    machine.start_as(&plan);
    Driver::on(machine)
}

#[track_caller]
fn assert_first(driver: &mut Driver, code: Diagnosis, queue: u16) -> (u32, u32, u32) {
    let first = driver.machine.identity().first_error;
    assert_eq!((Diagnosis(first.code.get()), first.queue.get()), (code, queue));
    (first.descriptor.get(), first.expected.get(), first.got.get())
}

/// Checks that the parked ring is diagnosed before and after `OPEN`, and that the card works after a reset.
#[track_caller]
fn assert_parked_and_recoverable(mut driver: Driver, code: Diagnosis, queue: Queue) -> (u32, u32, u32) {
    let numbers = assert_first(&mut driver, code, queue.0);
    if queue != Queue::CONTROL {
        assert_eq!(driver.open().status, Status::OK);
        assert_eq!(assert_first(&mut driver, code, queue.0), numbers, "a parked ring is reported again");
    }
    driver.machine.reset();
    assert_eq!(driver.open().status, Status::OK);
    assert_eq!(driver.machine.identity().first_error.code.get(), Diagnosis::NONE.0);
    driver.play(48_000);
    assert_eq!(driver.record(64).header.frames.get(), 64);
    driver.machine.disconnect();
    numbers
}

#[test]
fn a_ring_size_that_is_no_power_of_two_or_too_large_parks_the_ring() {
    for size in [0, 3, 48, 200, 256, u16::MAX] {
        for queue in Queue::ALL {
            let driver = with_broken(queue, |plan| plan.size = size);
            let (_, expected, got) = assert_parked_and_recoverable(driver, Diagnosis::RING_SIZE, queue);
            assert_eq!((expected, got), (128, u32::from(size)));
        }
    }
}

#[test]
fn smaller_rings_work() {
    for size in [4, 8, 64] {
        let mut machine = Machine::with_card(Clock::Lockstep);
        machine.rings = std::array::from_fn(|_| dmus_card::fake::DriverRing::new(&machine.ram, size));
        let mut driver = Driver::new(machine);
        for _ in 0..20 {
            assert_eq!(driver.open().status, Status::OK);
        }
        assert_eq!(driver.machine.identity().first_error.code.get(), Diagnosis::NONE.0);
    }
}

#[test]
fn a_ring_outside_memory_is_parked_whichever_part_it_is() {
    for part in 0..3_u32 {
        for address in [0, 0x1000, 0x7f54_ffff_f000, u64::MAX - 0xfff] {
            let driver = with_broken(Queue::WAVE, |plan| plan.addresses[part as usize] = address);
            let numbers = assert_parked_and_recoverable(driver, Diagnosis::RING_OUTSIDE_MEMORY, Queue::WAVE);
            assert_eq!(numbers.0, part);
        }
    }
}

#[test]
fn a_ring_that_begins_in_memory_and_ends_outside_is_parked() {
    for part in 0..3_u32 {
        let machine = Machine::with_card(Clock::Lockstep);
        let end = machine.plan()[0].addresses[0] - machine.rings[0].descriptors + machine.ram.end();
        drop(machine);
        let driver = with_broken(Queue::MIDI_OUT, |plan| plan.addresses[part as usize] = end - 16);
        let numbers = assert_parked_and_recoverable(driver, Diagnosis::RING_OUTSIDE_MEMORY, Queue::MIDI_OUT);
        assert_eq!(numbers.0, part);
    }
}

#[test]
fn a_ring_that_is_not_aligned_is_parked() {
    for (part, alignment) in [(0, 16), (1, 2), (2, 4)] {
        let driver = with_broken(Queue::EVENT, |plan| plan.addresses[part as usize] += 1);
        let (at, expected, got) = assert_parked_and_recoverable(driver, Diagnosis::RING_MISALIGNED, Queue::EVENT);
        assert_eq!((at, expected, got % 2), (part, alignment, 1));
    }
}

#[test]
fn the_identity_block_can_be_read_with_a_parked_control_ring_and_has_its_diagnosis() {
    let driver = with_broken(Queue::CONTROL, |plan| plan.size = 48);
    assert_parked_and_recoverable(driver, Diagnosis::RING_SIZE, Queue::CONTROL);
}

#[test]
fn an_available_index_that_jumps_ahead_parks_the_ring() {
    for (queue, ahead) in [(Queue::CONTROL, 129), (Queue::MIDI_OUT, 30_000), (Queue::WAVE, u16::MAX)] {
        let mut driver = Driver::new(Machine::with_card(Clock::Lockstep));
        driver.machine.rings[queue.index()].set_available_index(ahead);
        driver.machine.kick(queue);
        driver.machine.wait_until("a diagnosis", |machine| machine.identity().first_error.code.get() != 0);
        let (_, expected, got) = assert_parked_and_recoverable(driver, Diagnosis::AVAILABLE_INDEX, queue);
        assert_eq!((expected, got), (128, u32::from(ahead)));
    }
}

#[test]
fn diagnoses_memory_that_is_not_shared_with_its_remedy() {
    let mut machine = Machine::with_card(Clock::Lockstep);
    machine.claim_memory_is_shared();
    machine.start();
    let first = machine.identity().first_error;
    assert_eq!(Diagnosis(first.code.get()), Diagnosis::MEMORY_NOT_SHARED);
    let sentence = machine.card().registers.history().first.unwrap().error.to_string();
    assert!(sentence.contains("share=on"), "{sentence}");
    machine.disconnect();
}

#[test]
fn diagnoses_a_driver_without_version_1_and_serves_it() {
    let mut machine = Machine::with_card(Clock::Lockstep);
    machine.features = feature::EVENT_IDX;
    machine.start();
    let mut driver = Driver::on(machine);
    assert_first(&mut driver, Diagnosis::VERSION_1_MISSING, NO_QUEUE);
    assert_eq!(driver.open().status, Status::OK);
}

#[test]
fn raises_interrupts_as_event_idx_or_the_flag_request_them() {
    for features in [feature::VERSION_1, feature::VERSION_1 | feature::EVENT_IDX] {
        let event_idx = features & feature::EVENT_IDX != 0;
        let mut machine = Machine::with_card(Clock::Lockstep);
        machine.features = features;
        machine.start();
        let mut driver = Driver::on(machine);
        // The first chain always wants one: the event index begins at 0.
        assert_eq!(driver.open().status, Status::OK);
        driver.machine.wait_until("the first interrupt", |machine| machine.interrupts(Queue::CONTROL) > 0);
        if !event_idx {
            driver.machine.rings[0].suppress_interrupts(true);
        }
        for _ in 0..5 {
            assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::OK);
        }
        assert_eq!(driver.machine.interrupts(Queue::CONTROL), 0);
        driver.machine.rings[0].suppress_interrupts(false);
        driver.machine.rings[0].request_interrupt();
        assert_eq!(driver.request(RequestCode::LATENCY, &[]).status, Status::OK);
        driver.machine.wait_until("an interrupt", |machine| machine.interrupts(Queue::CONTROL) > 0);
    }
}

#[test]
fn diagnoses_a_storm_of_kicks_and_serves_on() {
    let mut driver = Driver::new(Machine::with_card(Clock::Lockstep));
    assert_eq!(driver.open().status, Status::OK);
    // A storm is so many kicks in a time; a busy host may take the time away, so it storms until it has been seen.
    driver.machine.wait_until("a diagnosis", |machine| {
        (0..20_000).for_each(|_| machine.kick(Queue::MIDI_OUT));
        machine.identity().first_error.code.get() != 0
    });
    assert_first(&mut driver, Diagnosis::KICK_STORM, Queue::MIDI_OUT.0);
    assert!(driver.machine.identity().counters.kicks.get() > 1000);
    driver.play(48_000);
    assert_eq!(driver.record(64).header.frames.get(), 64);
}

#[test]
fn kicks_of_queues_that_hold_nothing_are_harmless() {
    let mut driver = Driver::new(Machine::with_card(Clock::Lockstep));
    for queue in Queue::ALL {
        driver.machine.kick(queue);
    }
    assert_eq!(driver.open().status, Status::OK);
    assert!(driver.machine.wait_at_most(Queue::EVENT, Duration::from_millis(20)).is_none());
}

#[test]
fn a_used_ring_that_was_not_cleared_is_filled_from_its_beginning() {
    let mut machine = Machine::with_card(Clock::Lockstep);
    for index in 0..5 {
        let used = machine.rings[index].used;
        machine.ram.write(used + 2, &500_u16.to_le_bytes());
    }
    machine.start();
    // The index that the card leaves is its own count.
    let mut driver = Driver::on(machine);
    let used = driver.machine.rings[0].used;
    driver.machine.ram.write(used + 2, &0_u16.to_le_bytes());
    assert_eq!(driver.open().status, Status::OK);
    assert_eq!(driver.machine.ram.read(used + 2, 2), [1, 0]);
}

#[test]
fn parts_of_a_ring_that_share_memory_park_it() {
    for (part, other, shift) in [(1, 2, 0), (1, 2, 4), (0, 1, 16), (0, 2, 2032), (0, 1, 0), (2, 1, 4)] {
        for queue in Queue::ALL {
            let driver = with_broken(queue, |plan| plan.addresses[part] = plan.addresses[other] - shift + shift % 16);
            let (at, expected, got) = assert_parked_and_recoverable(driver, Diagnosis::RING_OVERLAP, queue);
            let pair = (part.min(other) as u32, part.max(other) as u32);
            assert_eq!((at, expected, got), (pair.0, u32::from(queue.0), pair.1));
        }
    }
}

#[test]
fn rings_that_share_memory_with_another_one_are_parked_and_the_other_one_works() {
    for part in 0..3 {
        for other in 0..3 {
            let mut machine = Machine::with_card(Clock::Lockstep);
            let mut plan = machine.plan();
            plan[Queue::EVENT.index()].addresses[part] = plan[Queue::MIDI_OUT.index()].addresses[other];
            machine.start_as(&plan);
            let driver = Driver::on(machine);
            let (at, expected, got) = assert_parked_and_recoverable(driver, Diagnosis::RING_OVERLAP, Queue::EVENT);
            assert_eq!((at, expected, got), (part as u32, u32::from(Queue::MIDI_OUT.0), other as u32));
        }
    }
}

#[test]
fn rings_that_touch_and_do_not_overlap_work() {
    let mut machine = Machine::with_card(Clock::Lockstep);
    let memory = machine.ram.allocate(5 * 4096);
    for (index, ring) in machine.rings.iter_mut().enumerate() {
        // 128 descriptors, then the available ring right behind them, then the used ring at its alignment.
        ring.descriptors = memory + 4096 * index as u64;
        ring.available = ring.descriptors + 2048;
        ring.used = (ring.available + 262).next_multiple_of(4);
    }
    let mut driver = Driver::new(machine);
    for _ in 0..200 {
        assert_eq!(driver.open().status, Status::OK);
    }
    assert_eq!(driver.machine.identity().first_error.code.get(), Diagnosis::NONE.0);
}
