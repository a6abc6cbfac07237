//! The register file: identification, scratch, causes, diagnosis, counters, clocks.

use std::sync::Arc;

use card_control::Clock;
use card_spec::identity::{ClockMode, FirstError};
use card_spec::queue::Queue;
use card_spec::registers::{
    CAUSE_DIAGNOSED, DIAGNOSIS_CODE_SHIFT, DIAGNOSIS_LATCHED, FILE, IDENT_VALUE, device_status, file, state,
};
use card_spec::{ABI_MAJOR, ABI_MINOR};
use vfio_user_card::Handle;
use zerocopy::IntoBytes;

use super::interrupts::Interrupts;
use super::status::Status;
use crate::card::Link;

/// Bytes of a word.
const WORD: u32 = 4;

/// The register file.
pub(super) struct RegisterFile {
    // Runtime glue.
    link: Link,
    handle: Handle,
    interrupts: Arc<Interrupts>,
    status: Arc<Status>,

    // Guest-visible volatile state.
    scratch: u32,
    /// The number of errors, of all since the process started, that the driver knows of.
    errors_seen: u64,
    /// The high word of the number whose low word was read last, and the offset where it is.
    latch: Option<(u32, u32)>,
}

impl RegisterFile {
    /// Returns the file of a card, as after power-on.
    pub(super) const fn new(link: Link, handle: Handle, interrupts: Arc<Interrupts>, status: Arc<Status>) -> Self {
        Self { link, handle, interrupts, status, scratch: 0, errors_seen: 0, latch: None }
    }

    /// Returns to the state after power-on.
    pub(super) fn reset(&mut self) {
        (self.scratch, self.latch) = (0, None);
        self.errors_seen = self.errors();
    }

    fn errors(&self) -> u64 {
        self.link.registers.total()
    }

    /// Reads a register, by its offset. `device_status` is that of the common configuration.
    pub(super) fn read(&mut self, offset: u32, device_status: u8) -> u32 {
        let at = offset.wrapping_sub(FILE);
        if let Some((place, high)) = self.latch.take().filter(|(place, _)| *place == at) {
            self.latch = Some((place, high));
            return high;
        }
        match at {
            file::IDENT => IDENT_VALUE,
            file::VERSION => u32::from(ABI_MAJOR) << 16 | u32::from(ABI_MINOR),
            file::STATE => self.state(device_status),
            file::SCRATCH => self.scratch,
            file::CAUSE => {
                let diagnosed = if self.errors() == self.errors_seen { 0 } else { CAUSE_DIAGNOSED };
                self.interrupts.cause() | diagnosed
            }
            file::DIAGNOSIS => {
                let code = u32::from(self.link.registers.first_error().code.get());
                code << DIAGNOSIS_CODE_SHIFT | if code == 0 { 0 } else { DIAGNOSIS_LATCHED }
            }
            file::ERROR..file::COUNTERS => {
                let error = self.link.registers.first_error();
                self.word(error.as_bytes(), at, file::ERROR)
            }
            file::COUNTERS..file::MASTER_CLOCK => {
                let counters = self.link.registers.counters();
                self.word(counters.as_bytes(), at, file::COUNTERS)
            }
            _ => {
                let status = self.status.read();
                let clocks = [
                    status.master_time.get() as u64,
                    status.frame.get(),
                    status.latency_time.get() as u64,
                    self.link.registers.card_time(),
                ];
                self.word(clocks.map(u64::to_le_bytes).as_bytes(), at, file::MASTER_CLOCK)
            }
        }
    }

    /// Returns a word of some bytes that begin at `start`. The low word of a number latches its high word.
    fn word(&mut self, bytes: &[u8], at: u32, start: u32) -> u32 {
        let get = |at: u32| {
            let offset = at.wrapping_sub(start) as usize;
            let word = bytes.get(offset..).and_then(|rest| rest.first_chunk::<4>());
            word.map_or(0, |word| u32::from_le_bytes(*word))
        };
        let numbers = if start == file::ERROR { file::ERROR.wrapping_add(0x10) } else { start };
        if at >= numbers && at.is_multiple_of(2 * WORD) {
            let high = at.wrapping_add(WORD);
            self.latch = Some((high, get(high)));
        }
        get(at)
    }

    fn state(&self, device_status: u8) -> u32 {
        let mut bits = 0;
        let mut set = |bit: u32, on: bool| bits |= if on { bit } else { 0 };
        set(state::DRIVER_OK, device_status & device_status::DRIVER_OK != 0);
        set(state::BUS_MASTER, self.handle.is_bus_master());
        set(state::MSIX, self.handle.uses_messages());
        let lockstep = ClockMode::from(Clock::Lockstep).0;
        set(state::LOCKSTEP, self.link.identity.read().clock_mode.get() == lockstep);
        let bus = self.link.bus.lock();
        for queue in Queue::ALL {
            let bit = |shift: u32| 1_u32.wrapping_shl(shift.wrapping_add(queue.0.into()));
            match bus.ring_state(queue) {
                Ok(live) => set(bit(state::RING_SHIFT), live),
                Err(_) => set(bit(state::PARKED_SHIFT), true),
            }
        }
        bits
    }

    /// Writes a register, by its offset.
    pub(super) fn write(&mut self, offset: u32, value: u32) {
        match offset.wrapping_sub(FILE) {
            file::SCRATCH => self.scratch = value,
            file::CAUSE => {
                self.interrupts.clear_cause(value);
                if value & CAUSE_DIAGNOSED != 0 {
                    self.errors_seen = self.errors();
                }
            }
            file::DIAGNOSIS if value & DIAGNOSIS_LATCHED != 0 => self.link.registers.release_first(),
            _ => {}
        }
    }
}

const _: () = assert!(size_of::<FirstError>() == 0x20, "its numbers of 64 bits begin at 0x10");
