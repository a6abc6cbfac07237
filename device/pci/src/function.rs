//! A PCI function: what its client's accesses do, between configuration space, interrupts, memory and the card.

mod config;
mod interrupts;
mod irq_sets;
mod pci;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub(crate) use interrupts::drain;
pub(crate) use irq_sets::{IrqSet, IrqSetError};

use crate::card::{Access, Card, Reset};
use crate::description::{Bar, Description};
use crate::dma::Memory;
use crate::journal::Journal;
use crate::waker::Waker;
use pci::Pci;

/// The parts of a function that its card reaches, from any thread.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) description: Description,
    pub(crate) pci: Mutex<Pci>,
    pub(crate) memory: Memory,
    pub(crate) journal: Journal,
    pub(crate) waker: Waker,
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) resets: AtomicU64,
    pub(crate) connections: AtomicU64,
}

impl Shared {
    /// Makes the function of a description that was [checked](Description::check).
    pub(crate) fn new(description: Description, waker: Waker) -> Self {
        Self {
            pci: Mutex::new(Pci::new(&description)),
            description,
            memory: Memory::default(),
            journal: Journal::default(),
            waker,
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            connections: AtomicU64::new(0),
        }
    }
}

/// An access that no PCI function has: outside of its regions.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes at {offset:#x} of region {region} do not exist")]
pub(crate) struct OutsideError {
    pub(crate) region: usize,
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
}

/// Where an access to a BAR goes.
enum Target {
    Card,
    Table(usize),
    Pending(usize),
    /// Nowhere: it is not allowed, or not now.
    Nothing,
}

/// A function and its card. The card's lock is taken before all others.
pub(crate) struct Function {
    pub(crate) shared: Arc<Shared>,
    pub(crate) card: Mutex<Box<dyn Card>>,
}

impl Function {
    /// Returns the bytes of a BAR, which are 0 when there is none.
    pub(crate) fn bar_bytes(&self, index: usize) -> u64 {
        self.bar(index).map_or(0, |bar| bar.bytes)
    }

    fn bar(&self, index: usize) -> Option<&Bar> {
        self.shared.description.bars.get(index).and_then(Option::as_ref)
    }

    /// Reads from a BAR. What is not allowed reads as all ones.
    ///
    /// # Errors
    /// [`OutsideError`], when the BAR does not have all these bytes.
    pub(crate) fn read_bar(&self, index: usize, offset: u64, data: &mut [u8]) -> Result<(), OutsideError> {
        let access = Access { bar: index, offset, width: data.len() };
        let mut card = self.card.lock();
        data.fill(0xff);
        match self.target(access, "read")? {
            Target::Card => {
                self.shared.reads.fetch_add(1, Ordering::Relaxed);
                let value = card.read(access).to_le_bytes();
                data.copy_from_slice(&value[..access.width]);
            }
            Target::Table(offset) => self.shared.pci.lock().interrupts.read_table(offset, data),
            Target::Pending(offset) => self.shared.pci.lock().interrupts.read_pending(offset, data),
            Target::Nothing => {}
        }
        Ok(())
    }

    /// Writes to a BAR. What is not allowed changes nothing.
    ///
    /// # Errors
    /// [`OutsideError`], when the BAR does not have all these bytes.
    pub(crate) fn write_bar(&self, index: usize, offset: u64, data: &[u8]) -> Result<(), OutsideError> {
        let access = Access { bar: index, offset, width: data.len() };
        let mut card = self.card.lock();
        match self.target(access, "write")? {
            Target::Card => {
                self.shared.writes.fetch_add(1, Ordering::Relaxed);
                let mut value = [0; 8];
                value[..access.width].copy_from_slice(data);
                card.write(access, u64::from_le_bytes(value));
            }
            Target::Table(offset) => {
                let mut pci = self.shared.pci.lock();
                pci.interrupts.write_table(offset, data);
                pci.deliver();
            }
            // Pending bits are read only.
            Target::Pending(_) | Target::Nothing => {}
        }
        Ok(())
    }

    fn target(&self, access: Access, verb: &str) -> Result<Target, OutsideError> {
        let Access { bar: index, offset, width } = access;
        let outside = || OutsideError { region: index, offset, bytes: width };
        let bar = self.bar(index).ok_or_else(outside)?;
        let end = offset.checked_add(width as u64).filter(|end| *end <= bar.bytes && width > 0).ok_or_else(outside)?;
        let journal = &self.shared.journal;
        let what = || format!("{width}-byte {verb} at BAR{index}+{offset:#x}");
        if let Err(why) = self.shared.pci.lock().decodes(bar.space) {
            journal.driver_error("access-while-off", &format!("{}: {why}", what()));
            return Ok(Target::Nothing);
        }
        let touches = |range: &Range<u64>| offset < range.end && range.start < end;
        if let Some(msix) = self.shared.description.msix.filter(|msix| msix.bar == index) {
            let (table, pending) = (msix.table_range(), msix.pending_range());
            if touches(&table) || touches(&pending) {
                let (range, target): (_, fn(usize) -> Target) =
                    if touches(&table) { (table, Target::Table) } else { (pending, Target::Pending) };
                let allowed = matches!(width, 4 | 8) && offset.is_multiple_of(width as u64);
                if allowed && range.start <= offset && end <= range.end {
                    return Ok(target((offset - range.start) as usize));
                }
                let detail = format!("{}: the MSI-X structures take aligned accesses of 4 or 8 bytes", what());
                journal.driver_error("access", &detail);
                return Ok(Target::Nothing);
            }
        }
        if bar.allows(offset, width) {
            return Ok(Target::Card);
        }
        journal.driver_error("access", &format!("{}: no register takes it", what()));
        Ok(Target::Nothing)
    }

    /// Reads from configuration space; what is beyond its end reads as all ones.
    pub(crate) fn read_config(&self, offset: u64, data: &mut [u8]) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let _card = self.card.lock();
        self.shared.pci.lock().read_config(offset, data);
    }

    /// Writes to configuration space, and does what follows from that.
    pub(crate) fn write_config(&self, offset: u64, data: &[u8]) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut card = self.card.lock();
        let effects = {
            let mut pci = self.shared.pci.lock();
            let effects = pci.write_config(offset, data);
            self.shared.memory.set_bus_master(pci.bus_master());
            effects
        };
        for index in effects.vendor {
            let bytes = self.shared.pci.lock().config.vendor(index).to_vec();
            card.capability_written(index, &bytes);
        }
        if effects.function_reset {
            self.reset_locked(&mut **card, Reset::Function);
        } else if effects.power_reset {
            self.reset_locked(&mut **card, Reset::Power);
        }
    }

    /// Resets function and card.
    pub(crate) fn reset(&self, reset: Reset) {
        self.reset_locked(&mut **self.card.lock(), reset);
    }

    fn reset_locked(&self, card: &mut dyn Card, reset: Reset) {
        self.shared.resets.fetch_add(1, Ordering::Relaxed);
        self.shared.memory.set_bus_master(false);
        self.shared.pci.lock().reset();
        card.reset(reset);
    }

    /// Forgets a client that has disconnected: its memory, its eventfds; the function is as after power-on.
    pub(crate) fn disconnect(&self) {
        let mut card = self.card.lock();
        self.shared.memory.clear();
        self.shared.pci.lock().interrupts.disconnect();
        self.reset_locked(&mut **card, Reset::Disconnected);
        self.shared.waker.wake();
    }

    /// Carries out a `SET_IRQS` message.
    ///
    /// # Errors
    /// [`IrqSetError`], when the message has no meaning for this function.
    pub(crate) fn set_irqs(&self, set: IrqSet) -> Result<(), IrqSetError> {
        let done = self.shared.pci.lock().set_irqs(set, &self.shared.description);
        // The clock watches the eventfd by which the line is unmasked.
        self.shared.waker.wake();
        done
    }
}
