//! Times a driver's own two paths inside the guest: from `PutMessage` to the card, and from the card's interrupt to a
//! client; with and without the guest's verifier in turn, and beside the C++ driver.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use card_control::Clock;
use guest_protocol::{Bulk, DataRange, Figure, Handle, KsState, PinFactory, Probe, Request, StreamFormat, Wrapping};

use super::context::Context;
use super::driver_error::{DriverBenchError, TAKEN_LIMIT};
use super::error::BenchError;
use super::measurement::{Measurement, median};
use crate::event::{Event, Silent, Timeline};
use crate::host::invocation;
use crate::machine::conditions::Conditions;
use crate::machine::{CardControl, CardOptions, GuestMemory};
use crate::provision::cpp_driver;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::{SessionError, StartedDevice};
use crate::testbed::{Provisioned, TestBed, TestBedBuilder, TestBedError};

/// Boots with the verifier, and as many without. Odd, so that a median is one of them.
const ROUNDS: usize = 5;

/// The longest time for a step.
const LIMIT: Duration = Duration::from_secs(30);

/// Events of a throughput measurement: some hundred times what driver and card hold between them, so that the rate is that
/// at which the card takes them; and fewer than the 65,536 that the card keeps while no time passes.
const EVENTS: u32 = 20_000;

/// The wrapping of events, and its name in the measurements.
const SHAPES: [(&str, u16, Wrapping); 3] =
    [("1", 1, Wrapping::Chain), ("16", 16, Wrapping::Chain), ("package-16", 16, Wrapping::Package)];

/// Events of a burst that is timed until the card has taken the last of them, and how often each burst is repeated.
const BURSTS: [u32; 3] = [1, 16, 256];
const BURST_REPEATS: usize = 41;

/// Interrupts that are timed.
const LAPS: u32 = 500;

/// The pause between two messages that come in: longer than an interrupt takes on its way, so that interrupts do not
/// overlap.
const LAP_PAUSE: Duration = Duration::from_millis(1);

/// The message that comes in: the end of a note.
const COMES_IN: &[u8] = &[0x80, 60, 0];

/// The command that repeats the measurement.
const REPRODUCE: &str = "bench driver";

/// Values by name, one for each round.
type Values = BTreeMap<String, (Vec<f64>, &'static str)>;

/// Measures the driver and, unless another was named, the C++ driver.
pub(super) fn run(context: &Context<'_>, say: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
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
) -> Result<(), BenchError> {
    let (mut verified, mut unverified) = (Values::new(), Values::new());
    for _ in 0..if context.quick { 1 } else { ROUNDS } {
        for (values, is_verified) in [(&mut verified, true), (&mut unverified, false)] {
            let folder = RunFolder::create(context.workspace, "bench-driver", None)?;
            round(context, &provisioned, is_verified, &folder, values)?;
        }
    }
    for (name, (values, unit)) in unverified {
        let baseline = median(values);
        say(Measurement::new(format!("driver/{name}/verifier-off{suffix}"), baseline, unit));
        if let Some((values, unit)) = verified.remove(&name) {
            let on = Measurement::new(format!("driver/{name}/verifier-on{suffix}"), median(values), unit);
            say(if baseline > 0.0 { on.against(baseline) } else { on });
        }
    }
    Ok(())
}

/// Boots once, and measures everything once.
fn round(
    context: &Context<'_>,
    provisioned: &Provisioned,
    verified: bool,
    folder: &RunFolder,
    values: &mut Values,
) -> Result<(), DriverBenchError> {
    let timeline = Timeline::new(folder.create_file("timeline.jsonl")?, &Silent);
    let conditions = Conditions { verifier: verified, ..Conditions::default() };
    let mut bed = TestBedBuilder::new()
        .provisioned(provisioned.clone())
        .run_folder(folder)
        .card(&CardOptions { clock: Clock::Realtime, ..CardOptions::default() })
        .conditions(conditions)
        .violation_policy(&context.policy)
        .timeout(LIMIT)
        .observer(&timeline)
        .start()?;
    let measured = measure_in(&mut bed, values).map_err(|error| error.after(bed.standstills()));
    context.found(bed.findings());
    if let Err(DriverBenchError::TestBed(error)) = &measured
        && let TestBedError::Session(SessionError::BugCheck(found)) = error.underlying()
    {
        bed.write_bug_check(found, &invocation::command(REPRODUCE))?;
    }
    measured
}

fn measure_in(bed: &mut TestBed<'_>, values: &mut Values) -> Result<(), DriverBenchError> {
    let mut bind = || {
        bed.session.ready()?;
        bed.session.hello()?;
        bed.session.load_driver()
    };
    if let Err(error) = bind() {
        return Err(bed.cause("speak with the card", error.into()));
    }
    let measured = bed.session.start_device().map_err(DriverBenchError::from).and_then(|device| {
        put_message(bed, &device, values)?;
        interrupts(bed, &device, values)
    });
    measured.map_err(|error| bed.cause("speak with the card", error))?;
    bed.shut_down().map(drop).map_err(|error| bed.cause("shut down", error).into())
}

fn figure(figures: &[Figure], name: &'static str) -> Result<f64, DriverBenchError> {
    let found = figures.iter().find(|figure| figure.name == name);
    found.map(|figure| figure.value as f64).ok_or(DriverBenchError::NoFigure(name))
}

fn note(values: &mut Values, name: String, unit: &'static str, value: f64) {
    values.entry(name).or_insert_with(|| (Vec::new(), unit)).0.push(value);
}

/// Reads what the card has counted: kicks and events.
fn counted(control: &CardControl) -> Result<(u64, u64), DriverBenchError> {
    let counters = control.status().map_err(TestBedError::Memory)?.counters;
    Ok((counters.kicks, counters.events))
}

/// Waits until the card has taken as many events as were given. Returns its kicks.
fn until_taken(control: &CardControl, before: u64, given: u64) -> Result<u64, DriverBenchError> {
    let deadline = Instant::now() + TAKEN_LIMIT;
    loop {
        let (kicks, events) = counted(control)?;
        if events >= before + given {
            return Ok(kicks);
        }
        if Instant::now() > deadline {
            return Err(DriverBenchError::NotTaken { given, taken: events - before });
        }
    }
}

/// Measures the path from `PutMessage` to the card.
fn put_message(bed: &mut TestBed<'_>, device: &StartedDevice, values: &mut Values) -> Result<(), DriverBenchError> {
    let Some((filter, id, format)) = bed.open_music_filter(device)? else { return Err(DriverBenchError::NoMusicPin) };
    let mark = bed.session.allocate(size_of::<u64>() as u64)?;
    for (name, each, wrapping) in SHAPES {
        // Each shape has a stream of its own: without a wave stream no time passes, and the card keeps what it has
        // taken until STOP.
        with_pin(bed, filter.handle, id, format, |bed, pin| {
            let control = bed.card_control()?;
            let (kicks_before, events_before) = counted(&control)?;
            let put = Probe::Put { pin, events: EVENTS, each, wrapping, begun: mark };
            let figures = bed.session.run_probe(put)?;
            let kicks = until_taken(&control, events_before, EVENTS.into())?;
            let seconds = figure(&figures, "ns until every event was back")? / 1e9;
            let events = f64::from(EVENTS);
            note(values, format!("put-message/{name}"), "events/s", events / seconds);
            note(values, format!("kicks/{name}"), "kicks/event", (kicks - kicks_before) as f64 / events);
            Ok(())
        })?;
    }
    for events in BURSTS {
        with_pin(bed, filter.handle, id, format, |bed, pin| {
            let mut times = Vec::with_capacity(BURST_REPEATS);
            for _ in 0..BURST_REPEATS {
                times.push(burst(bed, pin, mark, events)?);
            }
            note(values, format!("taken/{events}"), "us", median(times));
            Ok(())
        })?;
    }
    bed.session.done("give back guest memory", Request::FreeBulk(mark))?;
    Ok(bed.session.done("close a handle", Request::Close(filter.handle))?)
}

/// Runs `body` with a pin in RUN.
fn with_pin(
    bed: &mut TestBed<'_>,
    filter: Handle,
    id: u32,
    format: StreamFormat,
    body: impl FnOnce(&mut TestBed<'_>, Handle) -> Result<(), DriverBenchError>,
) -> Result<(), DriverBenchError> {
    let pin = bed.session.create_pin(filter, id, format)?;
    bed.session.done("run a pin", Request::SetState { pin, state: KsState::Run })?;
    body(bed, pin)?;
    bed.session.done("stop a pin", Request::SetState { pin, state: KsState::Stop })?;
    Ok(bed.session.done("close a handle", Request::Close(pin))?)
}

/// Measures the microseconds from right before the first `PutMessage` of a burst until the card has taken the last
/// event, as seen from outside: up to one command to the card too long.
fn burst(bed: &mut TestBed<'_>, pin: Handle, mark: Bulk, events: u32) -> Result<f64, DriverBenchError> {
    let control = bed.card_control()?;
    let memory = bed.memory().share().map_err(TestBedError::Memory)?;
    let (_, before) = counted(&control)?;
    let begun = read_mark(&memory, mark)?;
    let given_up = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| -> Result<f64, DriverBenchError> {
            while read_mark(&memory, mark)? == begun && !given_up.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            let start = Instant::now();
            until_taken(&control, before, events.into())?;
            Ok(start.elapsed().as_secs_f64() * 1e6)
        });
        let put = Probe::Put { pin, events, each: 16, wrapping: Wrapping::Chain, begun: mark };
        let put = bed.session.run_probe(put);
        given_up.store(put.is_err(), Ordering::Relaxed);
        let waited = watcher.join();
        put?;
        waited.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn read_mark(memory: &GuestMemory, mark: Bulk) -> Result<u64, DriverBenchError> {
    let bytes = memory.read(mark).map_err(TestBedError::Memory)?;
    Ok(bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
}

/// Measures the path from the card's interrupt to service routine, service group and capture sink.
fn interrupts(bed: &mut TestBed<'_>, device: &StartedDevice, values: &mut Values) -> Result<(), DriverBenchError> {
    let captures = |pin: &PinFactory| {
        !pin.flow_in
            && pin.data_ranges.iter().any(|carries| matches!(carries, DataRange::Midi | DataRange::DirectMusic))
    };
    // A driver without a capture pin has no such path.
    let Some((filter, id)) = bed.open_filter_with(device, captures)? else { return Ok(()) };
    let midi = filter.pins[id as usize].data_ranges.contains(&DataRange::Midi);
    let format = if midi { StreamFormat::Midi } else { StreamFormat::DirectMusic };
    let pin = bed.session.create_pin(filter.handle, id, format)?;
    bed.session.done("run the capture pin", Request::SetState { pin, state: KsState::Run })?;
    let control = bed.card_control()?;
    let enough = AtomicBool::new(false);
    let figures = std::thread::scope(|scope| {
        let player = scope.spawn(|| -> std::io::Result<()> {
            let message = [COMES_IN.to_vec()];
            while !enough.load(Ordering::Relaxed) {
                // What the card refuses is sent again.
                control.midi_in(&message, 1)?;
                std::thread::sleep(LAP_PAUSE);
            }
            Ok(())
        });
        let figures = bed.session.run_probe(Probe::Interrupts { pin, count: LAPS });
        enough.store(true, Ordering::Relaxed);
        let played = player.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // The guest's reply explains a card that has gone, and says more.
        let figures = figures?;
        played.map_err(TestBedError::Memory)?;
        Ok::<_, DriverBenchError>(figures)
    })?;
    for place in ["isr", "service", "client"] {
        for share in ["p50", "p90", "p99", "max"] {
            let name = format!("{place} {share}");
            let found = figures.iter().find(|figure| figure.name == name);
            let value = found.ok_or(DriverBenchError::NoFigure("percentile of an interrupt's way"))?;
            note(values, format!("interrupt/{place}/{share}"), "us", value.value as f64 / 1e3);
        }
    }
    bed.session.done("stop the capture pin", Request::SetState { pin, state: KsState::Stop })?;
    bed.session.done("close a handle", Request::Close(pin))?;
    Ok(bed.session.done("close a handle", Request::Close(filter.handle))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::failure::{Class, Diagnosed};

    #[test]
    fn keeps_the_values_of_a_round_by_name() {
        let mut values = Values::new();
        for value in [3.0, 1.0, 2.0] {
            note(&mut values, "put-message/1".into(), "events/s", value);
        }
        let (kept, unit) = values.remove("put-message/1").unwrap();
        assert_eq!((median(kept), unit), (2.0, "events/s"));
    }

    #[test]
    fn names_a_missing_figure() {
        let figures = [Figure { name: "calls".into(), value: 3 }];
        assert!(figure(&figures, "calls").is_ok_and(|value| value == 3.0));
        let Err(error) = figure(&figures, "waits") else { panic!("it is not there") };
        assert!(error.to_string().contains("\"waits\""));
        assert_eq!(error.class(), Class::HarnessBug);
    }
}
