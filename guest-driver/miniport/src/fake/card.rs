//! The fake card, as tests use it.

use std::sync::{Arc, Mutex};
use std::vec::Vec;

use card_spec::notice::{Notice, NoticeKind};
use card_spec::queue::{QUEUE_COUNT, Queue};
use zerocopy::{FromZeros, IntoBytes};

use super::behaviour::Behaviour;
use super::records::PlayedEvent;
use super::state::FakeCardState;

/// A fake card. Each clone is the same card.
#[derive(Clone, Debug)]
pub struct FakeCard(Arc<Mutex<FakeCardState>>);

/// A structure of the card's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    Common,
    Notify,
    Isr,
    Device,
}

impl FakeCard {
    /// Makes a card that has been reset.
    #[must_use]
    pub fn new(behaviour: Behaviour) -> Self {
        Self(Arc::new(Mutex::new(FakeCardState::new(behaviour))))
    }

    /// Calls `work` with the card's state.
    pub fn with<R>(&self, work: impl FnOnce(&mut FakeCardState) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Returns every event that the card has taken, in order.
    #[must_use]
    pub fn events(&self) -> Vec<PlayedEvent> {
        self.with(|card| card.batches.iter().flat_map(|batch| batch.events.clone()).collect())
    }

    /// Serves every queue that has been kicked, also those whose kicks are ignored.
    pub fn serve_kicks(&self) {
        self.with(|card| {
            for queue in Queue::ALL {
                card.work(queue);
            }
        });
    }

    /// Captures: writes these bytes into the next buffer that the driver has lent. False: it has lent none.
    pub fn capture(&self, batch: &[u8]) -> bool {
        self.with(|card| {
            let Some(chain) = card.rings[Queue::MIDI_IN.index()].pop(&card.memory) else { return false };
            card.give_back(Queue::MIDI_IN, &chain, batch);
            true
        })
    }

    /// Sends the notice that the last voice of an unloaded download has ended.
    pub fn end_unload(&self, handle: u32) {
        let mut record = Notice::new_zeroed();
        record.kind = NoticeKind::UNLOADED.0.into();
        record.value = u64::from(handle).into();
        self.send_notice(&record);
    }

    /// Sets status `DEVICE_NEEDS_RESET` and interrupts.
    pub fn need_reset(&self) {
        self.with(|card| {
            card.status |= 0x40;
            card.interrupt(QUEUE_COUNT, 2);
        });
    }

    /// Loses the process behind the card: nothing is served until the reset, and the driver is interrupted without a cause.
    pub fn lose_process(&self) {
        self.with(|card| {
            card.behaviour.lost = true;
            card.streams.clear();
            card.interrupt(QUEUE_COUNT, 1);
        });
    }

    /// Returns how many bytes of common buffers the driver has.
    #[must_use]
    pub fn dma_bytes(&self) -> usize {
        self.with(|card| card.memory.bytes())
    }

    /// Sends a notice with the next number.
    ///
    /// # Panics
    /// When the driver has lent no buffer.
    pub fn send_notice(&self, record: &Notice) {
        self.with(|card| {
            let chain = card.rings[Queue::EVENT.index()].pop(&card.memory).expect("the driver has lent buffers");
            let numbered = Notice { sequence: card.notices_sent.into(), ..*record };
            card.notices_sent += 1;
            card.give_back(Queue::EVENT, &chain, numbered.as_bytes());
        });
    }

    /// Lets time pass: the card serves the kicks that it has put off for long enough.
    pub(super) fn pass_time(&self, milliseconds: u32) {
        self.with(|card| {
            card.milliseconds += u64::from(milliseconds);
            card.advance_stall(milliseconds);
            card.waited += milliseconds;
            if card.behaviour.serves_kicks_after.is_some_and(|after| card.waited >= after) {
                card.waited = 0;
                for queue in Queue::ALL {
                    card.work(queue);
                }
            }
        });
    }

    /// Adds a common buffer of the driver.
    pub(super) fn add_memory(&self, address: u64, pointer: *mut u8, len: usize) {
        self.with(|card| card.memory.add(address, pointer, len));
    }

    /// Removes a common buffer of the driver.
    pub(super) fn remove_memory(&self, address: u64) {
        self.with(|card| card.memory.remove(address));
    }

    /// Reads a register of `len` bytes.
    pub(super) fn read(&self, region: Region, offset: usize, len: usize) -> u32 {
        self.with(|card| {
            if card.behaviour.gone {
                card.accesses_while_gone += 1;
                return u32::MAX;
            }
            if region == Region::Device {
                let rest = card.behaviour.stalled_for;
                card.milliseconds += u64::from(rest);
                card.advance_stall(rest);
            }
            match region {
                Region::Common => card.read_common(offset),
                Region::Notify => 0,
                Region::Isr => core::mem::take(&mut card.isr).into(),
                Region::Device => {
                    let mut bytes = [0; 4];
                    bytes[..len].copy_from_slice(&card.identity().as_bytes()[offset..offset + len]);
                    u32::from_le_bytes(bytes)
                }
            }
        })
    }

    /// Writes a register.
    pub(super) fn write(&self, region: Region, offset: usize, value: u32) {
        self.with(|card| match region {
            _ if card.behaviour.gone => card.accesses_while_gone += 1,
            Region::Common => card.write_common(offset, value),
            Region::Notify => {
                let queue = Queue(value as u16);
                assert_eq!(offset, 4 * queue.index(), "each queue has its own place");
                card.kicks[queue.index()] += 1;
                card.kicked[queue.index()] = true;
                if !card.behaviour.ignores_kicks[queue.index()] && card.behaviour.stalled_for == 0 {
                    card.work(queue);
                }
            }
            Region::Isr | Region::Device => panic!("a read-only structure was written"),
        });
    }
}
