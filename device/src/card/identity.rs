//! The identity block: put together for each read from the fixed configuration and the registers.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use card_spec::identity::{ClockMode, IdentityBlock, MAGIC, Presence, capability};
use card_spec::limits::{
    CHANNEL_GROUPS_MAX, DOWNLOAD_MEMORY_BYTES, PENDING_EVENTS_MAX, QUEUE_SIZE_MAX, SAMPLE_RATE_DEFAULT,
    SAMPLE_RATE_MAX, SAMPLE_RATE_MIN, WAVE_FIFO_MS,
};
use card_spec::queue::QUEUE_COUNT;
use card_spec::{ABI_MAJOR, ABI_MINOR};

use crate::diagnosis::Registers;
use crate::options::Options;

/// Answers reads of the device configuration, without a lock that work is done under.
pub struct Identity {
    options: Options,
    registers: Arc<Registers>,
}

impl Identity {
    /// Returns the identity of a card with these options.
    #[must_use]
    pub const fn new(options: Options, registers: Arc<Registers>) -> Self {
        Self { options, registers }
    }

    /// Returns the block as it is now.
    #[must_use]
    pub fn read(&self) -> IdentityBlock {
        let capabilities = capability::CAPTURE
            | capability::DLS1
            | capability::DLS2
            | capability::GM_BANK
            | capability::REVERB
            | capability::CHORUS;
        IdentityBlock {
            magic: MAGIC,
            abi_major: ABI_MAJOR.into(),
            abi_minor: ABI_MINOR.into(),
            length: (size_of::<IdentityBlock>() as u16).into(),
            queue_count: (QUEUE_COUNT as u16).into(),
            capabilities: capabilities.into(),
            queue_sizes: [QUEUE_SIZE_MAX.into(); QUEUE_COUNT],
            presence: Presence::PRESENT.0.into(),
            clock_mode: ClockMode::from(self.options.clock).0.into(),
            voices: self.options.voices.into(),
            channel_groups: CHANNEL_GROUPS_MAX.into(),
            sample_rate_min: SAMPLE_RATE_MIN.into(),
            sample_rate_max: SAMPLE_RATE_MAX.into(),
            sample_rate_default: SAMPLE_RATE_DEFAULT.into(),
            download_memory: DOWNLOAD_MEMORY_BYTES.into(),
            wave_fifo_ms: WAVE_FIFO_MS.into(),
            pending_events: PENDING_EVENTS_MAX.into(),
            reserved_3c: 0.into(),
            first_error: self.registers.first_error(),
            counters: self.registers.counters(),
        }
    }
}
