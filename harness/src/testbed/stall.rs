//! Stalls the card or QEMU for a while, as a busy host does, to test that the PCM does not depend on it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::process::Freezer;
use crate::machine::{CardControl, Processes};

/// The interval at which the harness polls the card for its position.
const POLL: Duration = Duration::from_millis(1);

/// The processes that a stall stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stalled {
    /// The card.
    Card,
    /// QEMU.
    Qemu,
    /// Both.
    Both,
}

/// A stall of the host while a song streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// The processes.
    pub process: Stalled,
    /// The frame at which it begins: as soon as the card has rendered so many.
    pub at_frame: u64,
    /// Its duration in milliseconds.
    pub milliseconds: u64,
}

/// Carries stalls out on a thread until it is dropped.
#[derive(Debug)]
pub struct Stalling {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Freezers {
    card: Freezer,
    qemu: Freezer,
    control: CardControl,
}

impl Stalling {
    /// Starts the thread.
    #[must_use]
    pub fn begin(stalls: &[Stall], machine: &Processes) -> Self {
        // A stall waits for a frame, which only the card counts.
        let Some(card) = machine.device.card().filter(|_| !stalls.is_empty()) else {
            return Self { stop: None, thread: None };
        };
        let stalls = stalls.to_vec();
        let freezers = Freezers { card: card.staller(), qemu: machine.machine.staller(), control: card.control() };
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            for stall in stalls {
                if freezers.carry_out(stall, &stopped).is_none() {
                    break;
                }
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Stalling {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Freezers {
    /// Waits for the frame, and stalls. Returns `None` when the stream is over, or the card does not answer.
    fn carry_out(&self, stall: Stall, stopped: &Receiver<()>) -> Option<()> {
        while self.control.status().ok()?.counters.frames_rendered < stall.at_frame {
            pause(POLL, stopped)?;
        }
        self.freeze(stall.process, true);
        let slept = pause(Duration::from_millis(stall.milliseconds), stopped);
        self.freeze(stall.process, false);
        slept
    }

    fn freeze(&self, process: Stalled, frozen: bool) {
        if process != Stalled::Qemu {
            self.card.freeze(frozen);
        }
        if process != Stalled::Card {
            self.qemu.freeze(frozen);
        }
    }
}

/// Waits. Returns `None` when the stream is over.
fn pause(time: Duration, stopped: &Receiver<()>) -> Option<()> {
    (stopped.recv_timeout(time) == Err(RecvTimeoutError::Timeout)).then_some(())
}
