//! Set-up, start and reset in other orders than the specification's.

use card_spec::control::{RequestCode, Status};
use card_spec::queue::Queue;
use serde_json::json;

use crate::driver::{Driver, DriverState, RENDER, RESPONSE_HEADER, WAVE};
use crate::failure::Result;
use crate::fault::{Expected, Fault, Rows};
use crate::machine::{FEATURES, common, status};
use crate::ring::Piece;

const ACKNOWLEDGED: u8 = status::ACKNOWLEDGE | status::DRIVER;
const READY: u8 = ACKNOWLEDGED | status::FEATURES_OK;
const RUNNING: u8 = READY | status::DRIVER_OK;

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("order of set-up");
    start(&mut rows);
    notify(&mut rows);
    statuses(&mut rows);
    resets(&mut rows);
    rows.done()
}

fn start(rows: &mut Rows) {
    rows.add("DRIVER_OK without any queue", DriverState::Reset, Expected::NOTHING, |d| d.machine.set_status(RUNNING));
    rows.add("DRIVER_OK first, the queues afterwards", DriverState::Reset, Expected::NOTHING, |d| {
        d.machine.accept_features(FEATURES)?;
        d.machine.set_status(RUNNING)?;
        let set_up = d.machine.set_up();
        for queue in Queue::ALL {
            d.machine.set_up_ring(queue, set_up.rings[queue.index()], true)?;
            d.machine.kick(queue)?;
        }
        Ok(())
    });
    for queue in Queue::ALL {
        rows.add(format!("{queue} is not enabled"), DriverState::Reset, Expected::NOTHING, move |d| {
            let mut set_up = d.machine.set_up();
            set_up.enabled[queue.index()] = false;
            d.machine.start_as(&set_up)?;
            kick_all(d)
        });
        rows.add(format!("{queue} is enabled without addresses"), DriverState::Reset, Expected::NOTHING, move |d| {
            let mut set_up = d.machine.set_up();
            set_up.rings[queue.index()].parts = [0; 3];
            d.machine.start_as(&set_up)?;
            kick_all(d)
        });
        rows.add(format!("{queue} is enabled after DRIVER_OK"), DriverState::Reset, Expected::NOTHING, move |d| {
            let mut set_up = d.machine.set_up();
            set_up.enabled[queue.index()] = false;
            d.machine.start_as(&set_up)?;
            d.machine.set_up_ring(queue, set_up.rings[queue.index()], true)?;
            kick_all(d)
        });
    }
    rows.add("every queue is enabled twice", DriverState::Reset, Expected::NOTHING, |d| {
        d.machine.accept_features(FEATURES)?;
        d.machine.set_status(READY)?;
        let set_up = d.machine.set_up();
        for queue in Queue::ALL.into_iter().chain(Queue::ALL) {
            d.machine.set_up_ring(queue, set_up.rings[queue.index()], true)?;
        }
        d.machine.set_status(RUNNING)?;
        d.open()?.ended(Status::OK).map(|_| ())
    });
    rows.add("other addresses and sizes are written while the rings run", DriverState::Open, Expected::NOTHING, |d| {
        let mut set_up = d.machine.set_up();
        for queue in Queue::ALL {
            set_up.rings[queue.index()].size = 48;
            set_up.rings[queue.index()].parts = [0xffff_f000; 3];
            d.machine.set_up_ring(queue, set_up.rings[queue.index()], false)?;
        }
        d.request(RequestCode::LATENCY, &[])?.ended(Status::OK).map(|_| ())
    });
    rows.add("selects queues that are not there, and sets them up", DriverState::Open, Expected::NOTHING, |d| {
        for queue in [5, 6, 1023, 1024, 0xffff] {
            d.machine.set_common(common::QUEUE_SELECT, 2, queue)?;
            d.machine.set_common(common::QUEUE_SIZE, 2, 64)?;
            d.machine.set_common(common::QUEUE_DESC, 4, 0x10_0000)?;
            d.machine.set_common(common::QUEUE_ENABLE, 2, 1)?;
        }
        d.request(RequestCode::LATENCY, &[])?.ended(Status::OK).map(|_| ())
    });
    rows.add("resets single queues, which was not offered", DriverState::Open, Expected::NOTHING, |d| {
        for queue in Queue::ALL {
            d.machine.set_common(common::QUEUE_SELECT, 2, queue.0.into())?;
            d.machine.set_common(common::QUEUE_RESET, 2, 1)?;
        }
        Ok(())
    });
    rows.add(
        "writes every register of the common configuration in every width",
        DriverState::Started,
        Expected::NOTHING,
        |d| {
            for width in [1, 2, 4, 8] {
                for offset in (0..0x40).filter(|offset| !(0x14..0x16).contains(offset)) {
                    d.machine.set_common(offset, width, 0xa5a5_a5a5_a5a5_a5a5)?;
                }
            }
            Ok(())
        },
    );
}

fn notify(rows: &mut Rows) {
    for queue in Queue::ALL {
        rows.add(format!("{queue} is kicked before DRIVER_OK"), DriverState::Reset, Expected::NOTHING, move |d| {
            d.machine.accept_features(FEATURES)?;
            d.machine.set_status(READY)?;
            let set_up = d.machine.set_up();
            for each in Queue::ALL {
                d.machine.set_up_ring(each, set_up.rings[each.index()], true)?;
            }
            d.machine.ring(queue).jump(1)?;
            d.machine.kick(queue)
        });
    }
    rows.add("kicks after a reset, on all queues", DriverState::Open, Expected::NOTHING, |d| {
        d.machine.set_status(0)?;
        kick_all(d)
    });
    rows.add("kicks queues that are not there", DriverState::Open, Expected::NOTHING, |d| {
        let (base, step) = (d.machine.structures.notify, d.machine.structures.notify_multiplier);
        for queue in 5..64 {
            d.machine.qemu.write(base + queue * step, 2, queue)?;
            d.machine.qemu.write(base, 2, queue)?;
        }
        Ok(())
    });
    rows.add(
        "kicks in other widths and with other numbers than the queue's",
        DriverState::Open,
        Expected::NOTHING,
        |d| {
            let at = d.machine.doorbell(Queue::MIDI_OUT);
            for width in [1, 2, 4, 8] {
                d.machine.qemu.write(at, width, 0xffff_ffff_ffff_ffff)?;
                d.machine.qemu.read(at, width)?;
            }
            Ok(())
        },
    );
}

fn statuses(rows: &mut Rows) {
    for (name, values) in [
        ("DRIVER_OK without FEATURES_OK", vec![ACKNOWLEDGED, ACKNOWLEDGED | status::DRIVER_OK]),
        ("DRIVER_OK alone", vec![status::DRIVER_OK]),
        ("all status bits at once", vec![0xff]),
        ("FAILED, then DRIVER_OK", vec![READY | 0x80, RUNNING]),
        ("DEVICE_NEEDS_RESET is written by the driver", vec![RUNNING | 0x40]),
        ("DRIVER_OK twice", vec![RUNNING, RUNNING]),
        ("DRIVER_OK is taken back and set again", vec![RUNNING, READY, RUNNING]),
        ("DRIVER_OK is taken back, with other features, and set again", vec![RUNNING, ACKNOWLEDGED, RUNNING]),
        ("every status value from 1 to 255 in turn", (1..=255).collect()),
    ] {
        rows.add(format!("status: {name}"), DriverState::Reset, Expected::NOTHING, move |d| {
            d.machine.accept_features(FEATURES)?;
            let set_up = d.machine.set_up();
            for queue in Queue::ALL {
                d.machine.set_up_ring(queue, set_up.rings[queue.index()], true)?;
            }
            for value in &values {
                d.machine.set_status(*value)?;
            }
            kick_all(d)
        });
    }
    rows.add(
        "status: DRIVER_OK is taken back while it plays, and set again",
        DriverState::Playing,
        Expected::NOTHING,
        |d| {
            d.send(RENDER, &[(0, 1, &[0x90, 60, 100])])?;
            d.record(500)?;
            d.machine.set_status(READY)?;
            d.machine.set_status(RUNNING)?;
            let position = d.record(500)?.header.position.get();
            crate::failure::expect("the position after it", &500, &position)
        },
    );
}

/// Adds a row that resets the device after `act`.
fn reset_amid(rows: &mut Rows, name: &str, from: DriverState, act: fn(&mut Driver) -> Result) {
    rows.add(format!("reset {name}"), from, Expected::NOTHING, move |d| {
        act(d)?;
        d.machine.set_status(0)
    });
}

fn resets(rows: &mut Rows) {
    reset_amid(rows, "after ACKNOWLEDGE", DriverState::Reset, |d| d.machine.set_status(status::ACKNOWLEDGE));
    reset_amid(rows, "after FEATURES_OK", DriverState::Reset, |d| {
        d.machine.accept_features(FEATURES)?;
        d.machine.set_status(READY)
    });
    reset_amid(rows, "after two of five queues", DriverState::Reset, |d| {
        let set_up = d.machine.set_up();
        d.machine.set_up_ring(Queue::CONTROL, set_up.rings[0], true)?;
        d.machine.set_up_ring(Queue::MIDI_OUT, set_up.rings[1], true)
    });
    reset_amid(rows, "right after DRIVER_OK", DriverState::Started, |_| Ok(()));
    reset_amid(rows, "with a request under way", DriverState::Playing, |d| {
        let request = d.request_bytes(RequestCode::STATISTICS, &[]);
        d.post_request(&request, RESPONSE_HEADER + 64)
    });
    reset_amid(rows, "with an OPEN under way", DriverState::Started, |d| {
        let open = d.open_request();
        let request = d.request_bytes(RequestCode::OPEN, zerocopy::IntoBytes::as_bytes(&open));
        d.post_request(&request, RESPONSE_HEADER + 64)
    });
    reset_amid(rows, "with a batch under way", DriverState::Playing, |d| {
        let batch = d.batch(RENDER, &[(0, 1, &[0x90, 60, 100])]);
        d.post_batch(&batch)
    });
    reset_amid(rows, "with a wave buffer under way", DriverState::Playing, |d| {
        d.send(RENDER, &[(0, 1, &[0x90, 60, 100])])?;
        d.post_wave(WAVE, 60_000, 240_000)
    });
    reset_amid(rows, "with buffers on every queue of the card's", DriverState::Playing, |d| {
        let page = d.machine.ram.allocate(4096)?;
        for queue in [Queue::MIDI_IN, Queue::EVENT] {
            for _ in 0..64 {
                d.machine.ring(queue).offer(&[Piece::writable(page, 4096)])?;
            }
            d.provoke(queue)?;
        }
        Ok(())
    });
    rows.add("fifty resets in a row while it plays", DriverState::Playing, Expected::NOTHING, |d| {
        for _ in 0..50 {
            d.post_wave(WAVE, 4096, 16_384)?;
            d.restart()?;
            d.open()?.ended(Status::OK)?;
            d.play()?;
        }
        Ok(())
    });
    rows.add("status 0 is written a hundred times", DriverState::Playing, Expected::NOTHING, |d| {
        (0..100).try_for_each(|_| d.machine.set_status(0))
    });
    for (name, state) in [
        ("before DRIVER_OK", DriverState::Reset),
        ("in a session", DriverState::Open),
        ("while it plays", DriverState::Playing),
    ] {
        rows.add(format!("reset button {name}"), state, Expected::NOTHING, move |d| {
            if state == DriverState::Playing {
                d.post_wave(WAVE, 60_000, 240_000)?;
            }
            d.machine.qemu.system_reset()?;
            d.machine.enumerate()?;
            crate::failure::expect("the status after it", &0, &d.machine.status()?)
        });
    }
    rows.add("reset of the device while the machine is stopped", DriverState::Playing, Expected::NOTHING, |d| {
        d.post_wave(WAVE, 60_000, 240_000)?;
        d.machine.qemu.qmp("stop", &json!({}))?;
        d.machine.set_status(0)?;
        d.machine.qemu.qmp("cont", &json!({})).map(|_| ())
    });
    rows.add(
        "the machine is stopped and continued twenty times, with a buffer under way",
        DriverState::Playing,
        Expected::NOTHING,
        |d| {
            d.post_wave(WAVE, 60_000, 240_000)?;
            for _ in 0..20 {
                d.machine.qemu.qmp("stop", &json!({}))?;
                d.machine.qemu.qmp("cont", &json!({}))?;
            }
            d.wait_wave().map(|_| ())
        },
    );
    rows.add(
        "kicks and writes of the status while the machine is stopped",
        DriverState::Playing,
        Expected::NOTHING,
        |d| {
            d.machine.qemu.qmp("stop", &json!({}))?;
            kick_all(d)?;
            d.machine.set_status(RUNNING)?;
            d.machine.set_status(READY)?;
            d.machine.set_status(RUNNING)?;
            d.machine.qemu.qmp("cont", &json!({})).map(|_| ())
        },
    );
}

fn kick_all(driver: &mut Driver) -> Result {
    Queue::ALL.into_iter().try_for_each(|queue| driver.machine.kick(queue))
}
