//! Floods of events, requests, kicks and log lines.

use card_control::Command;
use card_control::answer::Done;
use card_spec::control::{ClockSync, PortParameters, RequestCode, Status, clock_sync, port_parameter};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::{CHANNEL_GROUPS_MAX, VOICES_MAX};
use card_spec::queue::Queue;
use zerocopy::FromZeros;

use crate::driver::{Driver, DriverState, RENDER, WAVE};
use crate::failure::{Result, expect, expect_at_most};
use crate::fault::{Expected, Fault, Rows, on};

/// Bytes by which one row may let the card's log grow: a limited kind of line has 76 lines, and an act has a few kinds.
const ROW_LOG_BYTES_MAX: u64 = 256 << 10;

/// Events of one batch.
const BATCH_EVENTS: usize = 160;

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("floods");
    events(&mut rows);
    requests(&mut rows);
    kicks(&mut rows);
    rows.done()
}

/// Has 65,000 events take effect at one frame of a session with all voices and groups, and reads the card's status
/// meanwhile.
fn flood(driver: &mut Driver, make: impl Fn(usize) -> (u16, Vec<u8>)) -> Result {
    const EVENTS: usize = 65_000;
    let requested = PortParameters {
        valid: (port_parameter::VOICES | port_parameter::CHANNEL_GROUPS).into(),
        voices: u32::from(VOICES_MAX).into(),
        channel_groups: u32::from(CHANNEL_GROUPS_MAX).into(),
        ..PortParameters::new_zeroed()
    };
    driver.request_with(RequestCode::PARAMETERS, &requested)?.ended(Status::OK)?;
    // A second ahead, so that all are there before the first is due.
    const TIME: i64 = 10_000_000;
    let all: Vec<(u16, Vec<u8>)> = (0..EVENTS).map(make).collect();
    for some in all.chunks(BATCH_EVENTS) {
        let events: Vec<(i64, u16, &[u8])> = some.iter().map(|(group, data)| (TIME, *group, data.as_slice())).collect();
        driver.send(RENDER, &events)?;
    }
    let sync = ClockSync {
        stream: WAVE.into(),
        flags: clock_sync::START.into(),
        master_time: TIME.into(),
        frame: 48_000.into(),
    };
    driver.request_with(RequestCode::CLOCK_SYNC, &sync)?.ended(Status::OK)?;
    driver.post_wave(WAVE, 64, 256)?;
    // The reset comes while the card plays them, and the next session starts at once.
    driver.machine.card.status().map(|_| ())
}

fn events(rows: &mut Rows) {
    rows.add("65000 note-ons for one frame", DriverState::Playing, Expected::NOTHING, |d| {
        flood(d, |index| (1, vec![0x90 | (index % 16) as u8, (index / 16 % 128) as u8, 100]))
    });
    rows.add("65000 note-ons to all groups for one frame", DriverState::Playing, Expected::NOTHING, |d| {
        flood(d, |index| (0, vec![0x90 | (index % 16) as u8, (index / 16 % 128) as u8, 100]))
    });
    rows.add("65000 note-ons of one key for one frame", DriverState::Playing, Expected::NOTHING, |d| {
        flood(d, |_| (1, vec![0x90, 60, 100]))
    });
    rows.add("65000 General MIDI resets to all groups for one frame", DriverState::Playing, Expected::NOTHING, |d| {
        flood(d, |_| (0, vec![0xf0, 0x7e, 0x7f, 9, 1, 0xf7]))
    });
    rows.add("65000 program changes and notes for one frame", DriverState::Playing, Expected::NOTHING, |d| {
        flood(d, |index| {
            let number = (index / 2 % 128) as u8;
            (1, if index % 2 == 0 { vec![0xc0, number] } else { vec![0x90, number, 1] })
        })
    });
    rows.add(
        "65000 pedals and all-notes-off to all groups for one frame",
        DriverState::Playing,
        Expected::NOTHING,
        |d| flood(d, |index| (0, vec![0xb0 | (index % 16) as u8, if index % 2 == 0 { 64 } else { 123 }, 127])),
    );
    rows.add("more events ahead of their frame than the card keeps", DriverState::Playing, Expected::NOTHING, |d| {
        let events: Vec<(i64, u16, &[u8])> = vec![(i64::MAX, 1, &[0x90, 60, 100]); BATCH_EVENTS];
        for _ in 0..400 {
            d.send(RENDER, &events)?;
        }
        // Those that do not fit stay in the ring.
        for _ in 0..100 {
            let bytes = d.batch(RENDER, &events);
            d.post_batch(&bytes)?;
        }
        expect("batches wait", &true, &d.machine.card.status()?.session.is_some_and(|session| session.back_pressure))
    });
    rows.add(
        "more long messages ahead of their frame than the card keeps",
        DriverState::Playing,
        Expected::NOTHING,
        |d| {
            let mut message = vec![0x11; 4000];
            (message[0], message[3999]) = (0xf0, 0xf7);
            let before = d.machine.card.process().resident()?.private;
            for _ in 0..1100 {
                let bytes = d.batch(RENDER, &[(i64::MAX, 1, &message)]);
                d.post_batch(&bytes)?;
                if d.machine.ring(Queue::MIDI_OUT).returned()?.is_none() {
                    d.machine.settle()?;
                    if d.machine.ring(Queue::MIDI_OUT).returned()?.is_none() {
                        break;
                    }
                }
            }
            let after = d.machine.card.process().resident()?.private;
            /// The memory for messages, twice, because the allocator keeps some.
            const GROWTH_MAX: u64 = 2 * card_spec::limits::PENDING_BYTES_MAX as u64;
            expect_at_most("bytes that the card has grown by", GROWTH_MAX, after.saturating_sub(before))
        },
    );
}

/// Carries out an act, and checks that the log has not grown beyond the bound of a row.
fn quietly(driver: &mut Driver, act: impl FnOnce(&mut Driver) -> Result) -> Result {
    let before = driver.machine.card.log_bytes();
    act(driver)?;
    driver.machine.settle()?;
    let grown = driver.machine.card.log_bytes().saturating_sub(before);
    expect_at_most("bytes of log", ROW_LOG_BYTES_MAX, grown)
}

fn requests(rows: &mut Rows) {
    let row = |diagnosis| on(Queue::CONTROL, diagnosis);
    rows.add("5000 OPENs with wrong queue sizes", DriverState::Open, row(Diagnosis::QUEUE_SIZE_DECLARED), |d| {
        quietly(d, |d| {
            for _ in 0..5000 {
                let mut open = d.open_request();
                open.queue_sizes = [7.into(); 5];
                d.request_with(RequestCode::OPEN, &open)?.ended(Status::OK)?;
            }
            Ok(())
        })
    });
    rows.add(
        "5000 OPENs, and a wrong request in each session",
        DriverState::Open,
        row(Diagnosis::UNKNOWN_REQUEST),
        |d| {
            quietly(d, |d| {
                for code in 0..5000 {
                    d.open()?;
                    d.request(RequestCode(0x10_0000 + code), &[])?;
                }
                Ok(())
            })
        },
    );
    rows.add("5000 OPENs and CLOSEs", DriverState::Open, Expected::NOTHING, |d| {
        quietly(d, |d| {
            for _ in 0..5000 {
                d.open()?;
                d.request(RequestCode::CLOSE, &[])?;
            }
            Ok(())
        })
    });
    rows.add("20000 unknown requests", DriverState::Open, row(Diagnosis::UNKNOWN_REQUEST), |d| {
        quietly(d, |d| (0..20_000).try_for_each(|code| d.request(RequestCode(0x10_0000 + code), &[]).map(|_| ())))
    });
    rows.add("200 resets with a wrong ring each", DriverState::Reset, on(Queue::EVENT, Diagnosis::RING_SIZE), |d| {
        quietly(d, |d| {
            for _ in 0..200 {
                d.machine.reset()?;
                super::rings::start_with(d, Queue::EVENT, |plan| plan.size = 48)?;
            }
            Ok(())
        })
    });
    rows.add(
        "5000 writes to the identity block",
        DriverState::Open,
        Expected::First(Diagnosis::CONFIG_WRITE, None),
        |d| {
            let at = d.machine.structures.device;
            quietly(d, |d| d.machine.qemu.write_often(at, 4, 0xffff_ffff, 5000))
        },
    );
    rows.add("identity block is read 5000 times while it plays", DriverState::Playing, Expected::NOTHING, |d| {
        d.post_wave(WAVE, 60_000, 240_000)?;
        let at = d.machine.structures.device;
        d.machine.qemu.read_words(at, 40)?;
        (0..125).try_for_each(|_| d.machine.qemu.read_words(at, 40).map(|_| ()))
    });
    rows.add(
        "the control socket is sent 1000 commands at once while it plays",
        DriverState::Playing,
        Expected::NOTHING,
        |d| {
            d.post_wave(WAVE, 60_000, 240_000)?;
            // As many as fit the socket both ways.
            for _ in 0..20 {
                (0..50).try_for_each(|_| d.machine.card.send(&Command::Stats {}))?;
                (0..50).try_for_each(|_| d.machine.card.answer::<Done>(&Command::Stats {}).map(|_| ()))?;
            }
            Ok(())
        },
    );
}

fn kicks(rows: &mut Rows) {
    for queue in Queue::ALL {
        rows.add(format!("{queue}: storm of kicks"), DriverState::Open, on(queue, Diagnosis::KICK_STORM), move |d| {
            let at = d.machine.doorbell(queue);
            // A storm is so many kicks in a second; a busy host may take the second away.
            for _ in 0..20 {
                d.machine.qemu.write_often(at, 2, queue.0.into(), 5000)?;
                d.machine.settle()?;
                if d.machine.first_error()?.0 != Diagnosis::NONE {
                    break;
                }
            }
            Ok(())
        });
    }
    rows.add(
        "995 kicks of an empty ring, a reset, and 20 more in the next session",
        DriverState::Open,
        Expected::NOTHING,
        |d| {
            // Kicks before a reset do not count after it.
            // A second without kicks first: those of earlier rows do not count any more.
            std::thread::sleep(std::time::Duration::from_millis(1100));
            let at = d.machine.doorbell(Queue::MIDI_OUT);
            d.machine.qemu.write_often(at, 2, Queue::MIDI_OUT.0.into(), 995)?;
            d.machine.settle()?;
            d.restart()?;
            d.open()?.ended(Status::OK)?;
            d.machine.qemu.write_often(at, 2, Queue::MIDI_OUT.0.into(), 20)
        },
    );
    rows.add("storm of kicks on all queues while it plays", DriverState::Playing, Expected::Anything, |d| {
        d.post_wave(WAVE, 60_000, 240_000)?;
        for _ in 0..5 {
            for queue in Queue::ALL {
                let at = d.machine.doorbell(queue);
                d.machine.qemu.write_often(at, 2, queue.0.into(), 1000)?;
            }
        }
        Ok(())
    });
}
