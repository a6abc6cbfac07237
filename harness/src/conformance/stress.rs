//! Stress: streams are opened, run, stopped and closed a thousand times, with a million events and faults of all kinds:
//! the card stalls, is overwhelmed, and loses its session; power goes and comes back; allocators are empty; input
//! overflows.
//!
//! A card that dies is not among the faults: over vhost-user its closed connection is QEMU's end too, whatever the
//! driver does (the scenarios `card-killed-*` test that the card is blamed). What a driver sees of a card that failed
//! and came back is the lost session.

use std::time::Duration;

use card_control::Clock;
use card_control::InjectedFault;
use guest_protocol::{DevicePower, Figure, Handle, KsState, Request, StreamFormat};

use super::capture;
use super::context::Context;
use super::dice::Dice;
use super::error::ProbeError;
use super::findings::Findings;
use super::probe::{Probe, ProbeContext, with_guest};
use crate::event::Event;
use crate::machine::CardOptions;
use crate::sound::pcm::PcmFormat;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::{TestBedError, wave_format};

/// The probe.
pub(super) const PROBE: Probe =
    Probe { name: "stress", text: "cycles, events, and faults of all kinds meanwhile", rules: &[], run };

/// Cycles of a round, and events of a cycle; in each, the card stalls at times drawn from the seed.
const CYCLES: u32 = 100;
const EVENTS: u32 = 1000;

/// The seed of the stalls where the conditions have none, and the longest stall and pause, in milliseconds.
const SEED: u64 = 0x5EED_0001;
const STALL_MS_MAX: u64 = 120;
const PAUSE_MS_MAX: u64 = 400;

/// Events of a burst that overwhelms a card which stalls.
const BURST_EVENTS: u32 = 2000;

/// Events that are under way when the power or the session is lost.
const EVENTS_UNDER_WAY: u32 = 300;

/// The longest time for a driver to open a session again that the card has lost. A driver that has not then is taken
/// for one that waits for a power cycle, and gets it.
const REPAIR_LIMIT: Duration = Duration::from_secs(10);

/// The interval at which the probe polls the card for a new session.
const POLL: Duration = Duration::from_millis(2);

/// What only the project's card can do: QEMU gives up a vfio-user device that stalls, and no other device has sessions to lose.
/// Streams and power are stressed with every driver.
const WITHOUT_CARD: [&str; 3] = [
    "a device that stalls now and then",
    "a device that takes nothing while a stream runs and stops",
    "a device that loses its session",
];

fn figure(figures: &[Figure], name: &str) -> u64 {
    figures.iter().find(|figure| figure.name == name).map_or(0, |figure| figure.value)
}

/// Counts over all rounds.
#[derive(Default)]
struct Counts {
    cycles: u64,
    sent: u64,
    pulled: u64,
    stalls: u64,
    power_cycles: u64,
    sessions_lost: u64,
    repaired: u64,
}

fn run(context: &Context<'_>, folder: &RunFolder, findings: &mut Findings) -> Result<(), ProbeError> {
    let options = CardOptions { clock: Clock::Realtime, ..CardOptions::default() };
    with_guest(context, folder, findings, &options, |probe| {
        if probe.bed.card().is_none() {
            let device = probe.bed.device_name();
            let text = format!("stress, not exercised with {device}: {}", WITHOUT_CARD.join("; "));
            context.observer.event(&Event::Note { text });
        }
        let device = probe.start()?;
        let (filter, id, format) = probe.open_music_filter(&device)?;
        let wave = filter.pins.iter().zip(0..).find_map(|(pin, id)| {
            let PcmFormat { sample_rate, channels, bits } = wave_format(pin, probe.sample_rate)?;
            Some((id, StreamFormat::Pcm { sample_rate, channels, bits }))
        });
        let filter = filter.handle;
        let mut dice = Dice::new(context.conditions.seed.unwrap_or(SEED));
        let before = probe.bed.session.statistics()?;
        let mut counts = Counts::default();
        for _ in 0..context.rounds {
            let cycles =
                guest_protocol::Probe::Cycles { filter, pin: id, format, wave, cycles: CYCLES, events: EVENTS };
            let is_card = probe.bed.card().is_some();
            let (figures, stalled) = if is_card {
                with_stalls(probe, &mut dice, cycles)?
            } else {
                (probe.bed.session.run_probe(cycles)?, 0)
            };
            counts.cycles += figure(&figures, "cycles");
            counts.sent += figure(&figures, "events sent");
            counts.pulled += figure(&figures, "frames pulled for streams that keep events");
            counts.stalls += stalled;
            if is_card {
                overwhelmed(probe, filter, id, format)?;
            }
            without_power(probe, filter, id, format)?;
            counts.power_cycles += 1;
            if is_card {
                counts.repaired += u64::from(session_lost(probe, filter, id, format)?);
                counts.sessions_lost += 1;
            }
        }
        let after = probe.bed.session.statistics()?;
        let (put, returned) = (after.events_put - before.events_put, after.events_returned - before.events_returned);
        if put != returned {
            return Err(ProbeError::Violated {
                rule: 40,
                what: format!("{put} events were put to the streams, and {returned} came back"),
            });
        }
        let pool = (before.pool_allocations, before.pool_bytes);
        if (after.pool_allocations, after.pool_bytes) != pool {
            return Err(ProbeError::Violated {
                rule: 34,
                what: format!(
                    "the pool held {pool:?} allocations and bytes before, and {:?} after",
                    (after.pool_allocations, after.pool_bytes)
                ),
            });
        }
        probe.close(filter)?;
        let is_card = probe.bed.card().is_some();
        for (name, value) in [
            ("cycles", Some(counts.cycles)),
            ("events sent in cycles", Some(counts.sent)),
            ("frames pulled for streams that keep events", Some(counts.pulled)),
            ("events put to streams", Some(put)),
            ("events that came back", Some(returned)),
            ("stalls of the card", is_card.then_some(counts.stalls)),
            ("times without power, events under way", Some(counts.power_cycles)),
            ("sessions that the card lost, events under way", is_card.then_some(counts.sessions_lost)),
            ("... that the driver gave it again unasked", is_card.then_some(counts.repaired)),
            ("pool allocations before and after", Some(pool.0)),
        ] {
            probe.findings.figures.extend(value.map(|value| (name.into(), value)));
        }
        // Capture as well, with an allocator that is empty and a burst that overflows.
        match capture::again(probe, &device) {
            Err(ProbeError::Inapplicable(_) | ProbeError::NotExercised(_)) => Ok(()),
            other => other,
        }
    })
}

/// Runs `fault` with a pin in RUN and events under way.
fn with_events(
    probe: &mut ProbeContext<'_, '_>,
    filter: Handle,
    id: u32,
    format: StreamFormat,
    fault: impl FnOnce(&mut ProbeContext<'_, '_>) -> Result<(), ProbeError>,
) -> Result<(), ProbeError> {
    let pin = probe.bed.session.create_pin(filter, id, format)?;
    probe.done("run a pin", Request::SetState { pin, state: KsState::Run })?;
    probe.bed.session.run_probe(guest_protocol::Probe::Burst { pin, events: EVENTS_UNDER_WAY })?;
    fault(probe)?;
    probe.done("stop a pin", Request::SetState { pin, state: KsState::Stop })?;
    probe.close(pin)
}

fn power(probe: &mut ProbeContext<'_, '_>) -> Result<(), ProbeError> {
    for power in [DevicePower::D3, DevicePower::D0] {
        probe.done("set the device's power", Request::SetPower(power))?;
    }
    Ok(())
}

/// Takes the power away and gives it back while events are under way.
fn without_power(
    probe: &mut ProbeContext<'_, '_>,
    filter: Handle,
    id: u32,
    format: StreamFormat,
) -> Result<(), ProbeError> {
    with_events(probe, filter, id, format, power)
}

/// Has the card lose its session while events are under way. Returns whether the driver opened another by itself.
fn session_lost(
    probe: &mut ProbeContext<'_, '_>,
    filter: Handle,
    id: u32,
    format: StreamFormat,
) -> Result<bool, ProbeError> {
    let mut repaired = false;
    with_events(probe, filter, id, format, |probe| {
        let before = session_of(probe)?;
        probe.bed.inject_fault(InjectedFault::LoseSession {})?;
        let patience = probe.patience(REPAIR_LIMIT);
        while !repaired && !patience.has_ended(probe) {
            let now = session_of(probe)?;
            repaired = now.is_some() && now != before;
            std::thread::sleep(POLL);
        }
        if repaired { Ok(()) } else { power(probe) }
    })?;
    Ok(repaired)
}

/// Returns the number of the session that the card has.
fn session_of(probe: &mut ProbeContext<'_, '_>) -> Result<Option<u64>, ProbeError> {
    let status = probe.bed.the_card()?.status().map_err(TestBedError::Control)?;
    Ok(status.session.map(|session| session.id))
}

/// Runs a probe in the guest while the card stalls now and then.
fn with_stalls(
    probe: &mut ProbeContext<'_, '_>,
    dice: &mut Dice,
    guest_probe: guest_protocol::Probe,
) -> Result<(Vec<Figure>, u64), ProbeError> {
    let freezer = probe.bed.the_card()?.freezer();
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
    let figures = probe.bed.session.run_probe(guest_probe);
    drop(stop);
    let stalls = thread.join().unwrap_or(0);
    Ok((figures?, stalls))
}

/// Sends a burst to a card that takes nothing, then stops the pin while the card still takes nothing.
fn overwhelmed(
    probe: &mut ProbeContext<'_, '_>,
    filter: Handle,
    id: u32,
    format: StreamFormat,
) -> Result<(), ProbeError> {
    let pin = probe.bed.session.create_pin(filter, id, format)?;
    probe.done("run a pin", Request::SetState { pin, state: KsState::Run })?;
    probe.bed.freeze_card(true);
    let sent = probe.bed.session.run_probe(guest_protocol::Probe::Burst { pin, events: BURST_EVENTS });
    probe.bed.freeze_card(false);
    sent?;
    probe.done("stop a pin", Request::SetState { pin, state: KsState::Stop })?;
    probe.close(pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_the_same_stalls_for_the_same_seed() {
        let roll = |seed| -> Vec<u64> {
            let mut dice = Dice::new(seed);
            (0..8).map(|_| dice.below(PAUSE_MS_MAX)).collect()
        };
        assert_eq!(roll(7), roll(7));
        assert_ne!(roll(7), roll(8));
        assert!(roll(SEED).iter().any(|pause| *pause != roll(SEED)[0]), "a seed like this must not stop the dice");
    }
}
