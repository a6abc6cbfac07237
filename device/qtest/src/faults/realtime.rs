//! Errors that need a card in real time.

use std::time::{Duration, Instant};

use card_spec::control::{Status, StreamState};

use super::parameters::{extremes, verdict};
use crate::driver::{Driver, DriverState, RENDER, WAVE};
use crate::failure::{Result, expect_at_most};
use crate::fault::{Expected, Fault, Rows};
use crate::machine::Kind;

/// How long the card's processor time is measured.
const WATCH: Duration = Duration::from_millis(300);

/// The share of it, in percent, that a card with nothing to play may use. Silence takes some percent; a loop takes all.
const BUSY_MAX: u128 = 60;

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("real time");
    let mut add = |name: String, expected: Expected, act: Box<dyn Fn(&mut Driver) -> Result + Send + Sync>| {
        rows.add(name, DriverState::Playing, expected, act).kind = Kind::Realtime;
    };
    for (name, flags, time, frame) in extremes() {
        let name = format!("CLOCK_SYNC {name}, and waits with a buffer");
        let (expected, status) = verdict(flags, frame);
        add(
            name,
            expected,
            Box::new(move |d| {
                d.synchronise(flags, time, frame)?.ended(status)?;
                d.post_wave(WAVE, 60_000, 240_000)?;
                d.send(RENDER, &[(i64::MIN, 1, &[0x90, 60, 1]), (i64::MAX, 1, &[0x90, 60, 1])])?;
                idle(d)
            }),
        );
    }
    add(
        "no wave buffer for a second".into(),
        Expected::NOTHING,
        Box::new(|d| {
            std::thread::sleep(Duration::from_secs(1));
            d.machine.card.status().map(|_| ())
        }),
    );
    add(
        "wave buffers withdrawn by PAUSE and posted again, a hundred times".into(),
        Expected::NOTHING,
        Box::new(|d| {
            for _ in 0..100 {
                d.post_wave(WAVE, 60_000, 240_000)?;
                d.state(WAVE, StreamState::PAUSE)?.ended(Status::OK)?;
                d.wait_wave()?;
                d.state(WAVE, StreamState::RUN)?.ended(Status::OK)?;
            }
            Ok(())
        }),
    );
    add(
        "reset amid a buffer that falls due in a second".into(),
        Expected::NOTHING,
        Box::new(|d| {
            d.post_wave(WAVE, 48_000, 192_000)?;
            d.machine.settle()?;
            d.machine.set_status(0)
        }),
    );
    rows.done()
}

/// Checks that the card uses no processor while it has nothing to do.
fn idle(driver: &mut Driver) -> Result {
    let (before, begun) = (driver.machine.card.process().processor_time()?, Instant::now());
    std::thread::sleep(WATCH);
    let used = driver.machine.card.process().processor_time()?.saturating_sub(before);
    let percent = used.as_micros() * 100 / begun.elapsed().as_micros().max(1);
    expect_at_most("percent of a processor that a waiting card uses", BUSY_MAX, percent)
}
