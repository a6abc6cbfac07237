//! The probe of cycles: streams opened, run, stopped and closed, over and over, with events in each.

use alloc::string::String;
use alloc::vec;

use super::Figures;
use crate::contract::rules;
use crate::contract::violation::{Violation, violation};
use crate::nt::NTSTATUS;
use crate::portcls::com::abi::KsState;
use crate::portcls::com::object::Com;
use crate::portcls::kernel;
use crate::portcls::kernel::deadline::Deadline;
use crate::portcls::pin::Pin;
use crate::portcls::pin::unpack::Message;
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

/// Sends events to an open stream until they are sent or the allocator stays empty.
pub(crate) fn burst(stream: &Pin, events: u32) -> Figures {
    let mut sent = 0_u64;
    for number in 0..events {
        let message =
            Message { delta: 0, channel_group: 1, data: MESSAGES[number as usize % MESSAGES.len()], raw: false };
        let deadline = Deadline::after(BURST_LIMIT);
        let wait = || {
            kernel::pause();
            !deadline.has_passed()
        };
        if rules::must_survive(rules::BACK_PRESSURE, || stream.send(&message, 1, wait)).is_err() {
            // The stream holds all there is: a device that takes nothing.
            break;
        }
        sent += 1;
    }
    stream.flush();
    vec![("events sent", sent), ("longest PutMessage in microseconds", stream.longest_put() / 10)]
}

/// Opens, runs, sends, stops and closes, again and again. Returns what was counted.
///
/// # Errors
/// [`CycleError::Open`] and [`CycleError::Run`] when the driver refuses with a status that it may return,
/// [`CycleError::Stuck`] when the stream keeps every event.
pub(crate) fn run(
    port: &Com<Port>,
    pin: u32,
    format: &[u8],
    cycles: u32,
    events: u32,
    mut on_cycle: impl FnMut(u32, u64),
) -> Result<Figures, CycleError> {
    let before = kernel::pool();
    let mut sent = 0_u64;
    for cycle in 0..cycles {
        let mut stream = Pin::open(port, pin, format).map_err(|status| CycleError::Open { cycle, pin, status })?;
        let ran = stream.set_state(KsState::Run);
        let outcome = ran.map_err(|status| CycleError::Run { cycle, status }).and_then(|()| {
            for number in 0..events {
                let data = MESSAGES[number as usize % MESSAGES.len()];
                let message = Message { delta: 0, channel_group: 1, data, raw: false };
                let deadline = Deadline::after(LIMIT);
                let wait = || {
                    kernel::pause();
                    !deadline.has_passed()
                };
                stream.send(&message, 1, wait).map_err(|out| CycleError::Stuck { cycle, out })?;
                sent += 1;
            }
            stream.flush();
            Ok(())
        });
        let _ = stream.set_state(KsState::Stop);
        stream.expect_returned(rules::CONSERVATION, LIMIT, kernel::pause);
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
        ("pool allocations before", before.0),
        ("pool allocations after", after.0),
    ])
}
