//! A driver's own two paths, timed inside the guest: from `PutMessage` to the card, and from the card's interrupt to a
//! client; watched by the guest's verifier and unwatched in turn, and beside the C++ driver.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use guest_protocol::{
    Bulk, Carries, Examination, Figure, Handle, KsState, PinFactory, Request, StreamFormat, Together,
};

use super::{Context, Measurement, median};
use crate::conformance::{self, Findings, ProbeContext, ProbeError, with_guest};
use crate::event::{Event, Silent};
use crate::failure::Error;
use crate::host::failure::{Class, Diagnosed};
use crate::machine::conditions::Conditions;
use crate::machine::{CardControl, CardOptions, Clock, GuestMemory};
use crate::playback::{PlaybackError, Provisioned};
use crate::provision::cpp_driver;
use crate::testbed::run_folder::RunFolder;

/// Boots with the verifier, and as many without, in turn. Odd, so that a median is one of them.
const ROUNDS: usize = 5;

/// How long a step may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Events of a throughput measurement: some hundred times what driver and card hold between them, so that the rate is that
/// at which the card takes them; and fewer than the 65,536 that the card keeps while no time passes.
const EVENTS: u32 = 20_000;

/// How events go together, and what that is called.
const SHAPES: [(&str, u16, Together); 3] =
    [("1", 1, Together::Chain), ("16", 16, Together::Chain), ("package-16", 16, Together::Package)];

/// Events of a burst that is timed until the card has taken the last of them, and how often each is.
const BURSTS: [u32; 3] = [1, 16, 256];
const BURST_REPEATS: usize = 41;

/// Interrupts that are timed.
const LAPS: u32 = 500;

/// Between two messages that come in: longer than an interrupt takes on its way, so that each has the machine to itself.
const LAP_PAUSE: Duration = Duration::from_millis(1);

/// A note that is over as it begins: what comes in.
const COMES_IN: &[u8] = &[0x80, 60, 0];

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum DriverBenchError {
    /// The driver broke a rule.
    #[error("the driver broke rule {rule} of the contract while it was measured: {what}")]
    Broken {
        /// Its number.
        rule: u16,
        /// What was seen.
        what: String,
    },
    /// There is nothing that could be measured.
    #[error("nothing can be measured: {0}")]
    Inapplicable(String),
    /// The card has not taken what the driver was given.
    #[error("of {given} events the card had taken {taken} after {LIMIT:?}")]
    NotTaken {
        /// Events given to the driver.
        given: u64,
        /// Events that the card counted.
        taken: u64,
    },
    /// The guest did not say something that it had been asked for.
    #[error("the guest counted no \"{0}\"")]
    NoFigure(&'static str),
}

impl Diagnosed for DriverBenchError {
    fn class(&self) -> Class {
        match self {
            Self::Broken { .. } | Self::Inapplicable(_) => Class::TestFailed,
            Self::NotTaken { .. } => Class::Timeout,
            Self::NoFigure(_) => Class::HarnessBug,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Broken { .. } => {
                Some("cargo dmus run contract says more; what breaks rules cannot be measured".into())
            }
            Self::NotTaken { .. } => {
                Some("the driver keeps events without telling the card: look for a kick that is left out".into())
            }
            Self::Inapplicable(_) | Self::NoFigure(_) => None,
        }
    }
}

/// Values by name, one a round.
type Values = BTreeMap<String, (Vec<f64>, &'static str)>;

/// Measures the driver and, where nobody named another, the C++ driver.
pub(super) fn run(context: &Context<'_>, say: &mut dyn FnMut(Measurement)) -> Result<(), Error> {
    measure(context, context.provisioned()?.clone(), "", say)?;
    if !context.peers {
        return Ok(());
    }
    match cpp_driver::good(context.workspace) {
        Ok(driver) => {
            let mut provisioned = context.provisioned()?.clone();
            provisioned.artefacts.driver = driver;
            measure(context, provisioned, "/cpp", say)
        }
        Err(reason) => {
            context.observer.event(&Event::Warning { text: format!("without the C++ driver: {reason}") });
            Ok(())
        }
    }
}

fn measure(
    context: &Context<'_>,
    provisioned: Provisioned,
    suffix: &str,
    say: &mut dyn FnMut(Measurement),
) -> Result<(), Error> {
    let (mut watched, mut unwatched) = (Values::new(), Values::new());
    for _ in 0..if context.quick { 1 } else { ROUNDS } {
        for (values, is_watched) in [(&mut watched, true), (&mut unwatched, false)] {
            let folder = RunFolder::create(context.workspace, "bench-driver", None)?;
            round(context, &provisioned, is_watched, &folder, values)?;
        }
    }
    for (name, (values, unit)) in unwatched {
        let baseline = median(values);
        say(Measurement::new(format!("driver/{name}/verifier-off{suffix}"), baseline, unit));
        if let Some((values, unit)) = watched.remove(&name) {
            let on = Measurement::new(format!("driver/{name}/verifier-on{suffix}"), median(values), unit);
            say(if baseline > 0.0 { on.against(baseline) } else { on });
        }
    }
    Ok(())
}

/// One boot: everything is measured once.
fn round(
    context: &Context<'_>,
    provisioned: &Provisioned,
    watched: bool,
    folder: &RunFolder,
    values: &mut Values,
) -> Result<(), Error> {
    let probe = conformance::Context {
        workspace: context.workspace,
        provisioned,
        timeout: LIMIT,
        filter: None,
        conditions: Conditions { watched, ..Conditions::default() },
        rounds: 0,
        reproduce: "cargo dmus bench driver".into(),
        observer: &Silent,
    };
    let options = CardOptions { clock: Clock::Realtime, ..CardOptions::default() };
    let measured = with_guest(&probe, folder, &mut Findings::default(), &options, |probe| {
        let device = probe.start()?;
        put_message(probe, &device, values)?;
        interrupts(probe, &device, values)
    });
    measured.map_err(|setback| match setback {
        ProbeError::Failed(error) => error,
        ProbeError::Violated { rule, what } => DriverBenchError::Broken { rule, what }.into(),
        ProbeError::Inapplicable(reason) => DriverBenchError::Inapplicable(reason).into(),
    })
}

fn failed(error: DriverBenchError) -> ProbeError {
    ProbeError::Failed(error.into())
}

fn figure(figures: &[Figure], name: &'static str) -> Result<f64, ProbeError> {
    let found = figures.iter().find(|figure| figure.name == name);
    found.map(|figure| figure.value as f64).ok_or_else(|| failed(DriverBenchError::NoFigure(name)))
}

fn note(values: &mut Values, name: String, unit: &'static str, value: f64) {
    values.entry(name).or_insert_with(|| (Vec::new(), unit)).0.push(value);
}

/// What the card has counted: kicks and events.
fn counted(control: &CardControl) -> Result<(u64, u64), ProbeError> {
    let counters = control.status().map_err(PlaybackError::Memory)?.counters;
    Ok((counters.kicks, counters.events))
}

/// Looks until the card has taken as many events as that.
fn until_taken(control: &CardControl, before: u64, given: u64) -> Result<u64, ProbeError> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let (kicks, events) = counted(control)?;
        if events >= before + given {
            return Ok(kicks);
        }
        if Instant::now() > deadline {
            return Err(failed(DriverBenchError::NotTaken { given, taken: events - before }));
        }
    }
}

/// From `PutMessage` to the card.
fn put_message(
    probe: &mut ProbeContext<'_, '_>,
    device: &crate::testbed::session::StartedDevice,
    values: &mut Values,
) -> Result<(), ProbeError> {
    let (filter, id, format) = probe.open_music_filter(device)?;
    let mark = probe.session.allocate(size_of::<u64>() as u64)?;
    for (name, each, together) in SHAPES {
        // A stream of its own: without a wave stream no time passes, and the card keeps what it has taken until STOP.
        with_pin(probe, filter.handle, id, format, |probe, pin| {
            let control = probe.session.health.card.control();
            let (kicks_before, events_before) = counted(&control)?;
            let put = Examination::Put { pin, events: EVENTS, each, together, begun: mark };
            let figures = probe.session.examine(put)?;
            let kicks = until_taken(&control, events_before, EVENTS.into())?;
            let seconds = figure(&figures, "ns until every event was back")? / 1e9;
            let events = f64::from(EVENTS);
            note(values, format!("put-message/{name}"), "events/s", events / seconds);
            note(values, format!("kicks/{name}"), "kicks/event", (kicks - kicks_before) as f64 / events);
            Ok(())
        })?;
    }
    for events in BURSTS {
        with_pin(probe, filter.handle, id, format, |probe, pin| {
            let mut times = Vec::with_capacity(BURST_REPEATS);
            for _ in 0..BURST_REPEATS {
                times.push(burst(probe, pin, mark, events)?);
            }
            note(values, format!("taken/{events}"), "us", median(times));
            Ok(())
        })?;
    }
    probe.done("give back guest memory", Request::FreeBulk(mark))?;
    probe.close(filter.handle)
}

/// With a pin in RUN.
fn with_pin(
    probe: &mut ProbeContext<'_, '_>,
    filter: Handle,
    id: u32,
    format: StreamFormat,
    body: impl FnOnce(&mut ProbeContext<'_, '_>, Handle) -> Result<(), ProbeError>,
) -> Result<(), ProbeError> {
    let pin = probe.session.create_pin(filter, id, format)?;
    probe.done("run a pin", Request::SetState { pin, state: KsState::Run })?;
    body(probe, pin)?;
    probe.done("stop a pin", Request::SetState { pin, state: KsState::Stop })?;
    probe.close(pin)
}

/// Microseconds from right before the first `PutMessage` of a burst until the card has taken the last event, as seen from
/// outside: up to one question to the card too long.
fn burst(probe: &mut ProbeContext<'_, '_>, pin: Handle, mark: Bulk, events: u32) -> Result<f64, ProbeError> {
    let control = probe.session.health.card.control();
    let memory = probe.session.health.machine.memory.share().map_err(PlaybackError::Memory)?;
    let (_, before) = counted(&control)?;
    let begun = read_mark(&memory, mark)?;
    let given_up = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| -> Result<f64, ProbeError> {
            while read_mark(&memory, mark)? == begun && !given_up.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            let start = Instant::now();
            until_taken(&control, before, events.into())?;
            Ok(start.elapsed().as_secs_f64() * 1e6)
        });
        let put = Examination::Put { pin, events, each: 16, together: Together::Chain, begun: mark };
        let put = probe.session.examine(put);
        given_up.store(put.is_err(), Ordering::Relaxed);
        let waited = watcher.join();
        put?;
        waited.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn read_mark(memory: &GuestMemory, mark: Bulk) -> Result<u64, ProbeError> {
    let bytes = memory.read(mark).map_err(PlaybackError::Memory)?;
    Ok(bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}

/// From the card's interrupt to service routine, service group and capture sink.
fn interrupts(
    probe: &mut ProbeContext<'_, '_>,
    device: &crate::testbed::session::StartedDevice,
    values: &mut Values,
) -> Result<(), ProbeError> {
    let captures = |pin: &PinFactory| {
        !pin.flow_in && pin.carries.iter().any(|carries| matches!(carries, Carries::Midi | Carries::DirectMusic))
    };
    // A driver without a capture pin has no such path.
    let Some((filter, id)) = probe.open_filter_with(device, captures)? else { return Ok(()) };
    let midi = filter.pins[id as usize].carries.contains(&Carries::Midi);
    let format = if midi { StreamFormat::Midi } else { StreamFormat::DirectMusic };
    let pin = probe.session.create_pin(filter.handle, id, format)?;
    probe.done("run the capture pin", Request::SetState { pin, state: KsState::Run })?;
    let control = probe.session.health.card.control();
    let enough = AtomicBool::new(false);
    let figures = std::thread::scope(|scope| {
        let player = scope.spawn(|| -> std::io::Result<()> {
            let message = [COMES_IN.to_vec()];
            while !enough.load(Ordering::Relaxed) {
                // What the card does not take comes again.
                control.midi_in(&message, 1)?;
                std::thread::sleep(LAP_PAUSE);
            }
            Ok(())
        });
        let figures = probe.session.examine(Examination::Interrupts { pin, laps: LAPS });
        enough.store(true, Ordering::Relaxed);
        let played = player.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A card that has gone is the guest's word too, and says more.
        let figures = figures?;
        played.map_err(PlaybackError::Memory)?;
        Ok::<_, ProbeError>(figures)
    })?;
    for place in ["isr", "service", "client"] {
        for share in ["p50", "p90", "p99", "max"] {
            let name = format!("{place} {share}");
            let found = figures.iter().find(|figure| figure.name == name);
            let value = found.ok_or_else(|| failed(DriverBenchError::NoFigure("percentile of an interrupt's way")))?;
            note(values, format!("interrupt/{place}/{share}"), "us", value.value as f64 / 1e3);
        }
    }
    probe.done("stop the capture pin", Request::SetState { pin, state: KsState::Stop })?;
    probe.close(pin)?;
    probe.close(filter.handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rounds_values_are_kept_by_name() {
        let mut values = Values::new();
        for value in [3.0, 1.0, 2.0] {
            note(&mut values, "put-message/1".into(), "events/s", value);
        }
        let (kept, unit) = values.remove("put-message/1").unwrap();
        assert_eq!((median(kept), unit), (2.0, "events/s"));
    }

    #[test]
    fn a_figure_that_is_not_there_is_named() {
        let figures = [Figure { name: "calls".into(), value: 3 }];
        assert!(figure(&figures, "calls").is_ok_and(|value| value == 3.0));
        let Err(ProbeError::Failed(error)) = figure(&figures, "waits") else { panic!("it is not there") };
        assert!(error.to_string().contains("\"waits\""));
        assert_eq!(error.class(), Class::HarnessBug);
    }
}
