//! What is done to the card through a real PCI function.

use card_spec::control::Status;
use card_spec::diagnosis::Diagnosis;
use card_spec::identity::MAGIC;
use card_spec::queue::Queue;
use dls_synth::Bank;
use dmus_card::event_list::Event;
use dmus_card::fake::{Board, Descriptor, Driver, STREAM_RENDER, flag};
use dmus_card::offline;
use dmus_card::session::Parameters;
use serde_json::json;

use super::pci::{PciBoard, RingPlan};
use super::qtest::RAM;

/// An act, given QEMU's command.
type Act = fn(&str);

/// All of them.
pub(crate) const ALL: [(&str, Act); 6] = [
    ("a_driver_finds_the_card_and_gets_the_frames_that_the_offline_renderer_makes", plays),
    ("no_ring_set_up_by_a_guest_ends_qemu_or_the_card", hostile_rings),
    ("no_chain_of_a_guest_ends_qemu_or_the_card", hostile_chains),
    ("a_write_to_the_configuration_is_diagnosed_and_changes_nothing", configuration_writes),
    ("resets_at_any_moment_are_survived", resets),
    ("a_machine_that_is_stopped_and_continued_plays_on", stop_and_continue),
];

fn driver(qemu: &str) -> Driver<PciBoard> {
    let mut driver = Driver::new(PciBoard::new(qemu));
    assert_eq!(driver.open().status, Status::OK);
    driver
}

/// The card is well: a fresh driver can play.
#[track_caller]
fn assert_well(driver: &mut Driver<PciBoard>) {
    driver.machine.restart();
    assert_eq!(driver.open().status, Status::OK);
    let first = driver.machine.identity().first_error.code.get();
    assert_eq!(Diagnosis(first), Diagnosis::NONE);
    driver.play(48_000);
    assert_eq!(driver.record(64).header.frames.get(), 64);
}

#[track_caller]
fn assert_diagnosed(board: &mut PciBoard, code: Diagnosis, queue: Queue) {
    board.wait_until("a diagnosis", |board| board.identity().first_error.code.get() != 0);
    let first = board.identity().first_error;
    assert_eq!((Diagnosis(first.code.get()), first.queue.get()), (code, queue.0));
    let status = board.card_status();
    assert_eq!(status["diagnosis"]["first"]["code"], code.to_string());
}

fn plays(qemu: &str) {
    let mut driver = driver(qemu);
    let identity = driver.machine.identity();
    assert_eq!(identity.magic, MAGIC);
    driver.play(48_000);
    let notes: Vec<Event> = (0..30_i64)
        .flat_map(|note| {
            let key = 40 + (note * 5 % 40) as u8;
            [
                Event { time: note * 100_003, group: 1, message: vec![0x90, key, 90] },
                Event { time: note * 100_003 + 90_000, group: 1, message: vec![0x80, key, 0] },
            ]
        })
        .collect();
    let batch: Vec<(i64, u16, &[u8])> =
        notes.iter().map(|event| (event.time, event.group, event.message.as_slice())).collect();
    driver.send(STREAM_RENDER, &batch);
    let mut pcm = Vec::new();
    while pcm.len() < 16_000 {
        pcm.extend(driver.record(1600).pcm);
    }
    let mut expected = Vec::new();
    let parameters = Parameters::defaults(1000);
    offline::render(&notes, parameters, Bank::builtin(), 16_000, 256, |block| expected.extend_from_slice(block))
        .unwrap();
    assert!(pcm.iter().any(|frame| *frame != [0, 0]));
    assert!(pcm == expected, "a guest hears something else than the offline renderer");
    assert_eq!(driver.machine.isr() & 1, 1, "the rings have raised interrupts");
    driver.machine.quit();
}

fn hostile_rings(qemu: &str) {
    type Spoil = fn(&mut RingPlan);
    let acts: [(Spoil, Diagnosis); 9] = [
        (|plan| plan.size = 48, Diagnosis::RING_SIZE),
        (|plan| plan.size = 3, Diagnosis::RING_SIZE),
        (|plan| plan.addresses[0] = RAM + 0x1000, Diagnosis::RING_OUTSIDE_MEMORY),
        (|plan| plan.addresses[1] = RAM - 2, Diagnosis::RING_OUTSIDE_MEMORY),
        (|plan| plan.addresses[2] = 0xffff_ffff_ffff_f000, Diagnosis::RING_OUTSIDE_MEMORY),
        (|plan| plan.addresses[2] = 0x8_0000_0000, Diagnosis::RING_OUTSIDE_MEMORY),
        (|plan| plan.addresses[0] += 8, Diagnosis::RING_MISALIGNED),
        (|plan| plan.addresses[1] += 1, Diagnosis::RING_MISALIGNED),
        (|plan| plan.addresses[2] += 2, Diagnosis::RING_MISALIGNED),
    ];
    let mut driver = driver(qemu);
    let mut kept = 0;
    for queue in [Queue::CONTROL, Queue::WAVE, Queue::NEWS] {
        for (index, (spoil, code)) in acts.into_iter().enumerate() {
            driver.machine.reset();
            let mut plan = driver.machine.plan();
            spoil(&mut plan[queue.index()]);
            driver.machine.start_as(&plan);
            // QEMU itself refuses to map a ring that ends outside memory; then no ring works, and the card hears nothing.
            // The read comes over the same socket as the set-up, and so after it.
            if driver.machine.identity().first_error.code.get() == 0 {
                println!("act {index} on queue {queue} ({code}): QEMU kept it from the card");
                kept += 1;
            } else {
                assert_diagnosed(&mut driver.machine, code, queue);
            }
            assert_well(&mut driver);
        }
    }
    assert!(kept <= 3 * 3, "most acts must reach the card, or this proves nothing: {kept} did not");
    for queue in [Queue::CONTROL, Queue::MIDI_OUT, Queue::WAVE] {
        driver.machine.rings[queue.index()].set_available_index(40_000);
        driver.machine.kick(queue);
        assert_diagnosed(&mut driver.machine, Diagnosis::AVAILABLE_INDEX, queue);
        assert_well(&mut driver);
    }
    driver.machine.quit();
}

fn hostile_chains(qemu: &str) {
    let mut driver = driver(qemu);
    driver.play(48_000);
    let page = driver.machine.ram().allocate(4096);
    let acts: [(&[Descriptor], Diagnosis); 5] = [
        (&[Descriptor { address: page, length: 16, flags: flag::NEXT, next: 100 }], Diagnosis::CHAIN_MALFORMED),
        (&[Descriptor { address: page, length: 16, flags: flag::NEXT, next: 200 }], Diagnosis::CHAIN_MALFORMED),
        (&[Descriptor { address: page, length: 15, flags: flag::INDIRECT, next: 0 }], Diagnosis::CHAIN_MALFORMED),
        (&[Descriptor { address: RAM, length: 16, flags: 0, next: 0 }], Diagnosis::BUFFER_OUTSIDE_MEMORY),
        (
            &[
                Descriptor { address: page, length: 16, flags: flag::WRITE | flag::NEXT, next: 101 },
                Descriptor { address: page, length: 16, flags: 0, next: 0 },
            ],
            Diagnosis::CHAIN_ORDER,
        ),
    ];
    for queue in [Queue::CONTROL, Queue::MIDI_OUT, Queue::WAVE] {
        for (descriptors, code) in acts {
            for (index, descriptor) in descriptors.iter().enumerate() {
                driver.machine.ring(queue).describe(100 + index as u16, *descriptor);
            }
            driver.machine.ring(queue).publish(100);
            driver.machine.kick(queue);
            assert_eq!(driver.machine.wait(queue).0, 100);
            assert_diagnosed(&mut driver.machine, code, queue);
            assert_well(&mut driver);
        }
    }
    driver.machine.quit();
}

fn configuration_writes(qemu: &str) {
    let mut driver = driver(qemu);
    for offset in [0, 0x3c, 0x40, 0x9c] {
        driver.machine.write_config(offset, 0xffff_ffff);
    }
    let identity = driver.machine.identity();
    assert_eq!(identity.magic, MAGIC);
    assert_eq!(Diagnosis(identity.first_error.code.get()), Diagnosis::CONFIG_WRITE);
    assert_eq!(identity.first_error.count.get(), 4);
    assert_well(&mut driver);
    driver.machine.quit();
}

fn resets(qemu: &str) {
    let mut driver = driver(qemu);
    for round in 0..10 {
        driver.play(48_000);
        driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 100])]);
        driver.post_wave(1, 60_000, 240_000);
        if round % 2 == 0 {
            driver.machine.qemu.qmp("system_reset", &json!({}));
            driver.machine.enumerate();
            assert_eq!(driver.machine.status(), 0);
        }
        driver.machine.restart();
        assert_eq!(driver.open().status, Status::OK);
    }
    assert_well(&mut driver);
    driver.machine.quit();
}

fn stop_and_continue(qemu: &str) {
    let mut driver = driver(qemu);
    driver.play(48_000);
    driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60, 100])]);
    let before = driver.record(1000);
    driver.machine.qemu.qmp("stop", &json!({}));
    assert_eq!(driver.machine.identity().magic, MAGIC, "a stopped machine can be asked");
    driver.machine.qemu.qmp("cont", &json!({}));
    let after = driver.record(1000);
    assert_eq!(after.header.position.get(), before.header.position.get() + 1000);
    assert_eq!(driver.machine.card_status()["diagnosis"]["count"], 0);
    driver.machine.quit();
}
