//! The probe of cycles: streams opened, run, stopped and closed, over and over, with events in each.
//!
//! A synthesizer that renders itself may keep events until frames up to their time are rendered. A filter that declares a
//! wave pin therefore has frames pulled from it once its stream keeps every event.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::Figures;
use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::nt::NTSTATUS;
use crate::portcls::com::abi::KsState;
use crate::portcls::com::object::Com;
use crate::portcls::kernel;
use crate::portcls::kernel::deadline::Deadline;
use crate::portcls::pin::unpack::Message;
use crate::portcls::pin::{Pin, RENDER_GUARD_BYTES, clock};
use crate::portcls::port::Port;

/// How long a stream may keep every event that there is. 100 ns units.
const LIMIT: i64 = 300_000_000;

/// What is sent, in turn: one byte, a channel message, a message that needs a buffer. None of it is audible.
const MESSAGES: [&[u8]; 3] = [&[0xFE], &[0xBF, 0x77, 0], &[0xF0, 0x7D, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xF7]];

/// Why a cycle could not be completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CycleError {
    /// The pin does not open.
    #[error("in cycle {cycle} pin {pin} does not open: status {status:#010x}")]
    Open { cycle: u32, pin: u32, status: NTSTATUS },
    /// The stream does not run.
    #[error("in cycle {cycle} the stream does not run: status {status:#010x}")]
    Run { cycle: u32, status: NTSTATUS },
    /// Every event is out, for too long.
    #[error("in cycle {cycle} the stream keeps all {out} events of its allocator")]
    Stuck { cycle: u32, out: usize },
}

/// How long an allocator may stay empty before a burst is over. 100 ns units.
const BURST_LIMIT: i64 = 2_000_000;

/// How long a stream may keep every event before frames are pulled from the filter's wave pin: longer than a device stalls
/// in a stress test, so that a stream that does not wait for frames has none pulled. 100 ns units.
const WITHOUT_FRAMES: i64 = 3_000_000;

/// Frames that are pulled at a time.
const FRAMES: u32 = 480;

/// Lets what the port's sequencer holds and is due reach the stream, and time pass.
fn deliver(stream: &Pin) {
    stream.deliver_until(clock::now());
    kernel::pause();
}

/// Sends events to an open stream until they are sent or the allocator stays empty.
pub(crate) fn burst(stream: &Pin, events: u32) -> Figures {
    let mut sent = 0_u64;
    for number in 0..events {
        let message =
            Message { delta: 0, channel_group: 1, data: MESSAGES[number as usize % MESSAGES.len()], raw: false };
        let deadline = Deadline::after(BURST_LIMIT);
        let wait = || {
            deliver(stream);
            !deadline.has_passed()
        };
        if rules::must_survive(rules::BACK_PRESSURE, || stream.send(&message, 1, wait)).is_err() {
            // The stream holds all there is: a device that takes nothing.
            break;
        }
        sent += 1;
    }
    deliver(stream);
    vec![("events sent", sent), ("longest PutMessage in microseconds", stream.longest_put() / 10)]
}

/// The wave pin of a filter, from which frames are pulled once a stream keeps every event.
struct Frames<'a> {
    port: &'a Com<Port>,
    pin: u32,
    format: &'a [u8],
    /// A stream has needed it.
    needed: bool,
    running: Option<(Box<Pin>, Vec<u8>)>,
    pulled: u64,
}

impl<'a> Frames<'a> {
    fn of(port: &'a Com<Port>, pin: u32, format: &'a [u8]) -> Self {
        Self { port, pin, format, needed: false, running: None, pulled: 0 }
    }

    /// Pulls some frames. A wave pin that cannot be opened or run gives none.
    fn pull(&mut self) {
        if self.running.is_none() {
            self.running = self.run();
        }
        self.needed = true;
        if let Some((pin, buffer)) = &mut self.running {
            pin.render(buffer, FRAMES);
            self.pulled += u64::from(FRAMES);
        }
    }

    fn run(&self) -> Option<(Box<Pin>, Vec<u8>)> {
        let mut pin = Pin::open(self.port, self.pin, self.format).ok()?;
        let runs = pin.set_state(KsState::Run).and_then(|()| pin.sync_to_master(clock::now()));
        let bytes = pin.wave_format().map(|(_, block_align)| FRAMES as usize * block_align as usize);
        if let (Ok(()), Some(bytes)) = (runs, bytes) {
            return Some((pin, vec![0; bytes + RENDER_GUARD_BYTES]));
        }
        let _ = pin.set_state(KsState::Stop);
        pin.close();
        None
    }

    /// Stops and closes the pin, if it is open.
    fn stop(&mut self) {
        if let Some((mut pin, _)) = self.running.take() {
            let _ = pin.set_state(KsState::Stop);
            pin.close();
        }
    }
}

/// How many cycles to run, and how many events to send in each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cycles {
    /// Cycles.
    pub(crate) cycles: u32,
    /// Events of a cycle.
    pub(crate) events: u32,
}

/// Opens, runs, sends, stops and closes a music pin, again and again; `wave` is the wave pin of its filter, if it has one.
/// Returns what was counted.
///
/// # Errors
/// [`CycleError::Open`] and [`CycleError::Run`] when the driver refuses with a status that it may return,
/// [`CycleError::Stuck`] when the stream keeps every event.
pub(crate) fn run(
    port: &Com<Port>,
    (pin, format): (u32, &[u8]),
    wave: Option<(u32, &[u8])>,
    Cycles { cycles, events }: Cycles,
    mut on_cycle: impl FnMut(u32, u64),
) -> Result<Figures, CycleError> {
    let before = kernel::pool();
    let mut sent = 0_u64;
    let mut frames = wave.map(|(pin, format)| Frames::of(port, pin, format));
    for cycle in 0..cycles {
        let mut stream = Pin::open(port, pin, format).map_err(|status| CycleError::Open { cycle, pin, status })?;
        let ran = stream.set_state(KsState::Run);
        let outcome = ran.map_err(|status| CycleError::Run { cycle, status }).and_then(|()| {
            for number in 0..events {
                let data = MESSAGES[number as usize % MESSAGES.len()];
                let message = Message { delta: 0, channel_group: 1, data, raw: false };
                let (patience, deadline) = (Deadline::after(WITHOUT_FRAMES), Deadline::after(LIMIT));
                let wait = || {
                    deliver(&stream);
                    if let Some(frames) = frames.as_mut().filter(|frames| frames.needed || patience.has_passed()) {
                        frames.pull();
                    }
                    !deadline.has_passed()
                };
                stream.send(&message, 1, wait).map_err(|out| CycleError::Stuck { cycle, out })?;
                sent += 1;
            }
            deliver(&stream);
            Ok(())
        });
        let _ = stream.set_state(KsState::Stop);
        stream.expect_returned(rules::CONSERVATION, LIMIT, kernel::pause);
        if let Some(frames) = &mut frames {
            frames.stop();
        }
        stream.close();
        outcome?;
        on_cycle(cycle + 1, sent);
    }
    let after = kernel::pool();
    if after != before {
        violation(
            "IMXF::Release",
            Violation::new(
                rules::INSTANCE_LIMITS,
                String::from(
                    "after the last stream is closed the driver holds more pool than before the first was opened",
                ),
                "free in the stream's destructor what its constructor allocated",
            ),
        );
    }
    rules::INSTANCE_LIMITS.held();
    Ok(vec![
        ("cycles", cycles.into()),
        ("events sent", sent),
        ("frames pulled for streams that keep events", frames.map_or(0, |frames| frames.pulled)),
        ("pool allocations before", before.0),
        ("pool allocations after", after.0),
    ])
}
