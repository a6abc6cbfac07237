//! Streams opened, run, stopped and closed a thousand times, a million events, and everything else going wrong meanwhile.

use std::time::Duration;

use guest_protocol::{Examination, Figure, KsState, Request};

use super::scripts::Script;
use super::sitting::sit;
use super::{Context, Findings, Setback, Stand, capture};
use crate::artefacts::RunFolder;
use crate::machine::{CardOptions, Clock};

/// The trial.
pub(super) const SCRIPT: Script =
    Script { name: "stress", text: "1,000 cycles, 1,000,000 events, and faults meanwhile", rules: &[], run };

/// Rounds of cycles; in each, the card stalls at times of its own.
const ROUNDS: u32 = 10;
const CYCLES: u32 = 100;
const EVENTS: u32 = 1000;

/// Where the stalls' times come from, and how long each may be.
const SEED: u64 = 0x5EED_0001;
const STALL_MS_MAX: u64 = 120;
const PAUSE_MS_MAX: u64 = 400;

/// Events with which a card that stalls is overwhelmed.
const BURST_EVENTS: u32 = 2000;

/// Numbers by xorshift (Marsaglia 2003): the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn figure(figures: &[Figure], name: &str) -> u64 {
    figures.iter().find(|figure| figure.name == name).map_or(0, |figure| figure.value)
}

fn run(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), Setback> {
    let options = CardOptions { clock: Clock::Realtime, ..CardOptions::default() };
    sit(context, folder, findings, &options, |stand| {
        let device = stand.start()?;
        let (filter, id, format) = stand.open_music_filter(&device)?;
        let mut dice = Dice(SEED);
        let before = stand.session.statistics()?;
        let (mut cycles, mut sent, mut stalls) = (0, 0, 0);
        for _ in 0..ROUNDS {
            let examination =
                Examination::Cycles { filter: filter.handle, pin: id, format, cycles: CYCLES, events: EVENTS };
            let (figures, stalled) = with_stalls(stand, &mut dice, examination)?;
            cycles += figure(&figures, "cycles");
            sent += figure(&figures, "events sent");
            stalls += stalled;
            overwhelmed(stand, filter.handle, id, format)?;
        }
        let after = stand.session.statistics()?;
        let (put, returned) = (after.events_put - before.events_put, after.events_returned - before.events_returned);
        if put != returned {
            return Err(Setback::Broken {
                rule: 40,
                what: format!("{put} events were put to the streams, and {returned} came back"),
            });
        }
        let pool = (before.pool_allocations, before.pool_bytes);
        if (after.pool_allocations, after.pool_bytes) != pool {
            return Err(Setback::Broken {
                rule: 34,
                what: format!(
                    "the pool held {pool:?} allocations and bytes before, and {:?} after",
                    (after.pool_allocations, after.pool_bytes)
                ),
            });
        }
        stand.close(filter.handle)?;
        for (name, value) in [
            ("cycles", cycles),
            ("events sent", sent),
            ("events put to streams", put),
            ("events that came back", returned),
            ("stalls of the card", stalls),
            ("pool allocations before and after", pool.0),
            ("seed of the stalls", SEED),
        ] {
            stand.findings.figures.push((name.into(), value));
        }
        // And what comes in, with an allocator that is empty and a burst that overflows.
        match capture::again(stand, &device) {
            Err(Setback::Inapplicable(_)) => Ok(()),
            other => other,
        }
    })
}

/// Runs an examination while the card stalls now and then.
fn with_stalls(
    stand: &mut Stand<'_, '_>,
    dice: &mut Dice,
    examination: Examination,
) -> Result<(Vec<Figure>, u64), Setback> {
    let freezer = stand.session.health.card.freezer();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let plan: Vec<(u64, u64)> = (0..64).map(|_| (dice.below(PAUSE_MS_MAX), dice.below(STALL_MS_MAX))).collect();
    let thread = std::thread::spawn(move || {
        let mut stalls = 0;
        for (pause, stall) in plan {
            if stopped.recv_timeout(Duration::from_millis(pause)) != Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                break;
            }
            freezer.freeze(true);
            std::thread::sleep(Duration::from_millis(stall));
            freezer.freeze(false);
            stalls += 1;
        }
        stalls
    });
    let figures = stand.session.examine(examination);
    drop(stop);
    let stalls = thread.join().unwrap_or(0);
    Ok((figures?, stalls))
}

/// A burst to a card that takes nothing, then STOP while it still takes nothing.
fn overwhelmed(
    stand: &mut Stand<'_, '_>,
    filter: guest_protocol::Handle,
    id: u32,
    format: guest_protocol::StreamFormat,
) -> Result<(), Setback> {
    let pin = stand.session.create_pin(filter, id, format)?;
    stand.done("run a pin", Request::SetState { pin, state: KsState::Run })?;
    stand.session.health.card.freeze(true);
    let sent = stand.session.examine(Examination::Burst { pin, events: BURST_EVENTS });
    stand.session.health.card.freeze(false);
    sent?;
    stand.done("stop a pin", Request::SetState { pin, state: KsState::Stop })?;
    stand.close(pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stalls() {
        let roll = || -> Vec<u64> {
            let mut dice = Dice(SEED);
            (0..8).map(|_| dice.below(PAUSE_MS_MAX)).collect()
        };
        assert_eq!(roll(), roll());
        assert!(roll().iter().any(|pause| *pause != roll()[0]));
    }
}
