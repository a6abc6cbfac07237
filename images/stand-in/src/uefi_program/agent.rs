//! The last stage: a guest without firmware, whose agent answers on COM1.
#![allow(unsafe_code, reason = "boot services end, and the processor's counter is read")]

use alloc::borrow::ToOwned;
use alloc::vec::Vec;
use core::time::Duration;

use guest_protocol::line::{Arrived, ReliableLine, Side};
use guest_protocol::{
    BulkAccess, Event, Failure, FailureKind, Reply, Request, ToGuest, ToHost, VERSION, decode_message, encode_message,
};
use stand_in::script::turns_off;
use uefi::mem::memory_map::{MemoryMap, MemoryType};
use uefi::runtime::{self, ResetType};
use uefi::{Status, boot};

use super::line;

/// The time by which the processor's counter is compared with the firmware's clock.
const COMPARED: Duration = Duration::from_millis(50);

/// How long the last answer may take to get through before the guest turns itself off, in milliseconds.
const LAST_ANSWER_MS: u64 = 5_000;

/// The processor's counter as a clock, which goes on without the firmware.
struct Clock {
    ticks_per_ms: u64,
}

impl Clock {
    /// Compares the counter with the firmware's clock.
    fn new() -> Self {
        let begun = ticks();
        boot::stall(COMPARED);
        Self { ticks_per_ms: (ticks().wrapping_sub(begun) / COMPARED.as_millis() as u64).max(1) }
    }

    fn now_ms(&self) -> u64 {
        ticks() / self.ticks_per_ms
    }
}

fn ticks() -> u64 {
    // SAFETY: reads a counter that each processor of 64 bits has, and changes nothing.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The agent.
struct Agent {
    line: ReliableLine,
    clock: Clock,
    memory: u64,
    manner: Manner,
}

/// How the agent answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As the one for Windows does.
    Good,
    /// It answers nothing.
    Silent,
    /// It says that it is of another version of the protocol.
    OtherVersion,
    /// It turns the guest off in the place of an answer that is none to `Hello`.
    TurnsOff,
}

/// Leaves the firmware and serves.
pub(super) fn serve(manner: Manner) -> ! {
    let clock = Clock::new();
    // SAFETY: nothing that the firmware lent is used from here on.
    let map = unsafe { boot::exit_boot_services(None) };
    let memory = map
        .entries()
        .filter(|entry| entry.ty == MemoryType::CONVENTIONAL)
        .map(|entry| entry.page_count * 4096)
        .sum::<u64>();
    line::init();
    let line = ReliableLine::new(Side::Guest, ticks() as u32);
    let mut agent = Agent { line, clock, memory, manner };
    loop {
        for arrived in agent.exchange() {
            match arrived {
                Arrived::Connected { .. } => agent.send(&ToHost::Event(Event::Ready)),
                Arrived::Message(bytes) => {
                    if let Some(message) = decode_message(&bytes).filter(|_| agent.manner != Manner::Silent) {
                        agent.answer(&message);
                    }
                }
                Arrived::Text(_) => {}
            }
        }
    }
}

impl Agent {
    /// Takes what has come in, and writes what is due.
    fn exchange(&mut self) -> Vec<Arrived> {
        let mut buffer = [0; 64];
        let count = line::receive(&mut buffer);
        let now = self.clock.now_ms();
        let arrived = self.line.receive(&buffer[..count], now);
        line::send(&self.line.transmit(now));
        arrived
    }

    fn send(&mut self, message: &ToHost) {
        // A peer that takes nothing has no use for more.
        if let Ok(bytes) = encode_message(message) {
            let _ = self.line.send(&bytes);
        }
    }

    fn answer(&mut self, message: &ToGuest) {
        let (mut last, mut off) = (false, false);
        let result = match &message.request {
            Request::Hello { .. } => {
                let guest = concat!("stand-in ", env!("CARGO_PKG_VERSION")).to_owned();
                let version = if self.manner == Manner::OtherVersion { VERSION + 1 } else { VERSION };
                Ok(Reply::Hello { version, guest, memory: self.memory, bulk: BulkAccess::Line })
            }
            _ if self.manner == Manner::TurnsOff => runtime::reset(ResetType::SHUTDOWN, Status::SUCCESS, None),
            // As the agent for Windows does: the agent ends, and the guest stays on.
            Request::Shutdown => {
                last = true;
                Ok(Reply::Done)
            }
            Request::RunProgram { line, .. } if turns_off(line) => {
                off = true;
                Ok(Reply::ProgramEnded { code: 0, output: Vec::new(), cut: false })
            }
            _ => Err(Failure { kind: FailureKind::Request, message: "the stand-in installs, and does no more".into() }),
        };
        self.send(&ToHost::Answer { id: message.id, result });
        if last || off {
            let until = self.clock.now_ms() + LAST_ANSWER_MS;
            while !self.line.is_idle() && self.clock.now_ms() < until {
                self.exchange();
            }
        }
        if off {
            runtime::reset(ResetType::SHUTDOWN, Status::SUCCESS, None);
        }
        if last {
            super::stages::stand_still();
        }
    }
}
