//! The fake card's state: its registers and its rings.

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use card_spec::control::{PortParameters, port_parameter};
use card_spec::identity::{IdentityBlock, Presence, capability};
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::{ABI_MINOR, feature, limits};
use zerocopy::FromZeros;

use super::behaviour::Behaviour;
use super::queue::{Chain, DeviceRing, Memory};
use super::records::{Batch, Request};
use crate::transport::Interrupt;

/// `VIRTIO_MSI_NO_VECTOR`.
const NO_VECTOR: u16 = 0xffff;

/// The card's state, for tests to read and to change.
#[derive(Debug)]
pub struct FakeCardState {
    /// The card's behaviour.
    pub behaviour: Behaviour,
    /// The requests that it has taken, in order.
    pub requests: Vec<Request>,
    /// The batches that it has taken, in order.
    pub batches: Vec<Batch>,
    /// The downloads that it holds, by handle.
    pub downloads: BTreeMap<u32, Vec<u8>>,
    /// The open streams and their states.
    pub streams: BTreeMap<u32, u32>,
    /// The sample clock.
    pub frame: u64,
    /// Values written to the device status, in order.
    pub statuses: Vec<u8>,
    /// Kicks of each queue.
    pub kicks: [u32; QUEUE_COUNT],
    /// The time that has passed, in milliseconds.
    pub milliseconds: u64,
    /// The lines that the driver has logged.
    pub log: Vec<String>,
    /// The port parameters in force.
    pub parameters: PortParameters,
    /// How many interrupt messages it has sent, by vector.
    pub messages: BTreeMap<u16, u32>,
    /// How often registers were accessed while it was gone.
    pub accesses_while_gone: u32,
    pub(super) memory: Memory,
    pub(super) rings: [DeviceRing; QUEUE_COUNT],
    /// The vector of each queue, then that of the configuration.
    pub(super) vectors: [u16; QUEUE_COUNT + 1],
    pub(super) status: u8,
    pub(super) isr: u8,
    pub(super) event_idx: bool,
    pub(super) feature_select: u32,
    pub(super) accepted: u64,
    pub(super) queue_select: u16,
    pub(super) kicked: [bool; QUEUE_COUNT],
    pub(super) waited: u32,
    pub(super) status_page: u64,
    pub(super) status_sequence: u32,
    /// The handle of the last download. No handle is given twice.
    pub(super) last_download: u32,
    /// The number of notices sent in this session, which is the number of the next one.
    pub notices_sent: u32,
}

impl FakeCardState {
    /// Makes a card that has been reset.
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            requests: Vec::new(),
            batches: Vec::new(),
            downloads: BTreeMap::new(),
            streams: BTreeMap::new(),
            frame: 0,
            statuses: Vec::new(),
            kicks: [0; QUEUE_COUNT],
            milliseconds: 1,
            log: Vec::new(),
            parameters: PortParameters {
                valid: port_parameter::ALL.into(),
                voices: u32::from(limits::VOICES_DEFAULT).into(),
                channel_groups: u32::from(limits::CHANNEL_GROUPS_DEFAULT).into(),
                audio_channels: 2.into(),
                sample_rate: limits::SAMPLE_RATE_DEFAULT.into(),
                effects: 0.into(),
                share: 0.into(),
            },
            messages: BTreeMap::new(),
            accesses_while_gone: 0,
            memory: Memory::default(),
            vectors: [NO_VECTOR; QUEUE_COUNT + 1],
            rings: core::array::from_fn(|_| DeviceRing::default()),
            status: 0,
            isr: 0,
            event_idx: false,
            feature_select: 0,
            accepted: 0,
            queue_select: 0,
            kicked: [false; QUEUE_COUNT],
            waited: 0,
            status_page: 0,
            status_sequence: 0,
            last_download: 0,
            notices_sent: 0,
        }
    }

    /// Shortens the stall by so many milliseconds. At its end the card serves its queues.
    pub(super) fn advance_stall(&mut self, milliseconds: u32) {
        if self.behaviour.stalled_for == 0 {
            return;
        }
        self.behaviour.stalled_for = self.behaviour.stalled_for.saturating_sub(milliseconds);
        if self.behaviour.stalled_for == 0 {
            let ignores_kicks = self.behaviour.ignores_kicks;
            for queue in Queue::ALL.into_iter().filter(|queue| !ignores_kicks[queue.index()]) {
                self.work(queue);
            }
        }
    }

    /// Reads a register of the common configuration.
    pub(super) fn read_common(&self, offset: usize) -> u32 {
        match offset {
            4 => (self.behaviour.features >> (32 * self.feature_select)) as u32,
            16 => self.vectors[QUEUE_COUNT].into(),
            18 => QUEUE_COUNT as u32,
            20 => {
                let accepted = self.behaviour.accepts_features || self.status & 8 == 0;
                u32::from(if accepted { self.status } else { self.status & !8 })
            }
            24 => self.behaviour.queue_size.into(),
            26 => self.vectors[usize::from(self.queue_select)].into(),
            30 => self.queue_select.into(),
            _ => panic!("the driver reads common configuration at {offset}"),
        }
    }

    /// Writes a register of the common configuration.
    pub(super) fn write_common(&mut self, offset: usize, value: u32) {
        let queue = usize::from(self.queue_select);
        let set_half = |whole: &mut u64, high: bool| {
            let shift = if high { 32 } else { 0 };
            *whole = *whole & !(0xffff_ffff << shift) | u64::from(value) << shift;
        };
        match offset {
            0 | 8 => self.feature_select = value,
            12 => {
                set_half(&mut self.accepted, self.feature_select == 1);
                self.event_idx = self.accepted & feature::EVENT_IDX != 0;
            }
            16 | 26 => {
                let place = if offset == 16 { QUEUE_COUNT } else { queue };
                let is_there = value < self.behaviour.vectors.into() && self.behaviour.interrupt != Interrupt::Line;
                self.vectors[place] = if is_there { value as u16 } else { NO_VECTOR };
            }
            20 => {
                self.statuses.push(value as u8);
                self.status = if self.behaviour.never_resets && value == 0 { 0x40 } else { value as u8 };
                if value == 0 {
                    self.rings = core::array::from_fn(|_| DeviceRing::default());
                    self.isr = 0;
                    self.behaviour.lost = false;
                    self.vectors.fill(NO_VECTOR);
                    self.streams.clear();
                    self.notices_sent = 0;
                }
            }
            22 => self.queue_select = value as u16,
            24 => self.rings[queue].size = value as u16,
            28 => self.rings[queue].enabled = value == 1,
            32 | 36 => set_half(&mut self.rings[queue].descriptors, offset == 36),
            40 | 44 => set_half(&mut self.rings[queue].available, offset == 44),
            48 | 52 => set_half(&mut self.rings[queue].used, offset == 52),
            _ => panic!("the driver writes common configuration at {offset}"),
        }
    }

    /// Makes the identity block.
    pub(super) fn identity(&self) -> IdentityBlock {
        let mut identity = IdentityBlock::new_zeroed();
        identity.magic = self.behaviour.magic;
        identity.presence = if self.behaviour.lost { Presence::LOST } else { Presence::PRESENT }.0.into();
        identity.abi_major = self.behaviour.abi_major.into();
        identity.abi_minor = ABI_MINOR.into();
        identity.length = (size_of::<IdentityBlock>() as u16).into();
        identity.queue_count = (QUEUE_COUNT as u16).into();
        let capture = if self.behaviour.captures { capability::CAPTURE } else { 0 };
        identity.capabilities = (capture | capability::GM_BANK | capability::REVERB | capability::DLS1).into();
        identity.queue_sizes = [self.behaviour.queue_size.into(); QUEUE_COUNT];
        identity.voices = limits::VOICES_MAX.into();
        identity.channel_groups = limits::CHANNEL_GROUPS_MAX.into();
        identity
    }

    /// Returns a chain with an answer in its writable segments, and interrupts if the driver wants it.
    pub(super) fn give_back(&mut self, queue: Queue, chain: &Chain, answer: &[u8]) {
        chain.answer(&self.memory, answer, self.behaviour.misplaced_bytes);
        let behaviour = &self.behaviour;
        let id = behaviour.wrong_id.unwrap_or(chain.head.into());
        let written = answer.len() as u32 + behaviour.written_too_much;
        let ring = &mut self.rings[queue.index()];
        let wanted = ring.push(&self.memory, self.event_idx, id, written);
        if behaviour.used_index_ahead != 0 {
            let ahead = ring.returned.wrapping_add(behaviour.used_index_ahead);
            self.memory.write(ring.used + 2, &ahead.to_le_bytes());
        }
        if wanted && !behaviour.sends_no_interrupts {
            self.interrupt(queue.index(), 1);
        }
    }

    /// Interrupts for a queue, or for the configuration.
    pub(super) fn interrupt(&mut self, place: usize, cause: u8) {
        match self.behaviour.interrupt {
            Interrupt::Line => self.isr |= cause,
            Interrupt::Message { .. } if self.vectors[place] == NO_VECTOR => {}
            Interrupt::Message { .. } => *self.messages.entry(self.vectors[place]).or_default() += 1,
        }
    }
}
