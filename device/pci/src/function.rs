//! A PCI function: what its client's accesses do, between configuration space, interrupts, memory and the card.

mod config;
mod interrupts;
mod irq_sets;
mod pci;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub(crate) use interrupts::drain;
pub(crate) use irq_sets::{IrqSet, IrqSetError};

use crate::card::{Access, Card, Reset};
use crate::description::{BARS, Bar, Description};
use crate::diagnosis::Current;
use crate::dma::{MapError, Mapping, Memory};
use crate::journal::Journal;
use crate::mapped::Mapped;
use crate::registers::Register;
use crate::tap::{Act, Taps};
use crate::waker::Waker;
use pci::Pci;

/// The parts of a function that its card reaches, from any thread.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) description: Description,
    pub(crate) pci: Mutex<Pci>,
    pub(crate) memory: Memory,
    pub(crate) mapped: [Option<Mapped>; BARS],
    pub(crate) journal: Journal,
    /// Wakes the clock's thread; `None` where there is none.
    pub(crate) waker: Option<Waker>,
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) resets: AtomicU64,
    pub(crate) connections: AtomicU64,
    /// Accesses beyond the BARs.
    outside: AtomicU64,
}

/// Accesses beyond the BARs that are logged; a hostile machine must not fill the log.
const LOGGED_ACCESSES_MAX: u64 = 100;

impl Shared {
    /// Makes the function of a description that was [checked](Description::check).
    ///
    /// # Errors
    /// The host's error, when it has no memory for pages that the guest maps.
    pub(crate) fn new(description: Description, waker: Option<Waker>, taps: Taps) -> io::Result<Self> {
        Ok(Self {
            pci: Mutex::new(Pci::new(&description)),
            mapped: Mapped::of(&description)?,
            description,
            memory: Memory::default(),
            journal: Journal::new(taps),
            waker,
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            resets: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            outside: AtomicU64::new(0),
        })
    }

    /// Makes the clock's thread call the card soon.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }
}

/// Where an access to a BAR goes.
enum Target {
    Card,
    /// Pages that the guest maps, while it does not: QEMU unmaps them while the interrupt line is asserted.
    Pages(Mapped),
    Table(usize),
    Pending(usize),
    /// Nowhere: it is not allowed, or not now.
    Nothing,
}

/// Returns the value of an access, of 8 bytes at most: a machine may send more, which no register takes.
fn value_of(data: &[u8]) -> u64 {
    let mut value = [0; 8];
    value.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(value)
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

    /// Reads from a BAR. What is not there, or not allowed, reads as all ones.
    pub(crate) fn read_bar(&self, index: usize, offset: u64, data: &mut [u8]) {
        let access = Access { bar: index, offset, width: data.len() };
        let mut card = self.card.lock();
        data.fill(0xff);
        let register = self.begin(access, None);
        let target = self.target(access, "read");
        let taken = !matches!(target, Target::Nothing);
        match target {
            Target::Card => {
                self.shared.reads.fetch_add(1, Ordering::Relaxed);
                let value = card.read(access).to_le_bytes();
                data.copy_from_slice(&value[..access.width]);
            }
            // The target has these bytes.
            Target::Pages(pages) => drop(pages.read(offset, data)),
            Target::Table(offset) => self.shared.pci.lock().interrupts.read_table(offset, data),
            Target::Pending(offset) => self.shared.pci.lock().interrupts.read_pending(offset, data),
            Target::Nothing => {}
        }
        self.shared.journal.set_current(None);
        let value = value_of(data);
        self.tap(&Act::Register { access, write: false, value, register: register.as_deref(), taken });
    }

    /// Notes the access that begins, and returns the register of the BAR's table that it reaches.
    fn begin(&self, access: Access, written: Option<u64>) -> Option<Arc<Register>> {
        let bar = self.bar(access.bar);
        let register = bar.and_then(|bar| bar.register(access.offset, access.width, written.is_some()));
        self.shared.journal.set_current(Some(Current { access, written, register: register.clone() }));
        register
    }

    fn tap(&self, act: &Act<'_>) {
        self.shared.journal.taps.act(act);
    }

    /// Writes to a BAR. What is not there, or not allowed, changes nothing.
    pub(crate) fn write_bar(&self, index: usize, offset: u64, data: &[u8]) {
        let access = Access { bar: index, offset, width: data.len() };
        let value = value_of(data);
        let mut card = self.card.lock();
        let register = self.begin(access, Some(value));
        let target = self.target(access, "write");
        let taken = !matches!(target, Target::Nothing);
        // Before what follows from it.
        self.tap(&Act::Register { access, write: true, value, register: register.as_deref(), taken });
        match target {
            Target::Card => {
                self.shared.writes.fetch_add(1, Ordering::Relaxed);
                card.write(access, value);
            }
            Target::Pages(pages) => drop(pages.write(offset, data)),
            Target::Table(offset) => {
                let mut pci = self.shared.pci.lock();
                pci.interrupts.write_table(offset, data);
                pci.deliver();
            }
            // Pending bits are read only.
            Target::Pending(_) | Target::Nothing => {}
        }
        self.shared.journal.set_current(None);
    }

    fn target(&self, access: Access, verb: &str) -> Target {
        let Access { bar: index, offset, width } = access;
        let journal = &self.shared.journal;
        let what = || format!("{width}-byte {verb} at BAR{index}+{offset:#x}");
        let there = self.bar(index).and_then(|bar| {
            let end = offset.checked_add(width as u64).filter(|end| *end <= bar.bytes)?;
            Some((bar, end))
        });
        let Some((bar, end)) = there else {
            // The machine decodes the BARs: its driver cannot have done this.
            if self.shared.outside.fetch_add(1, Ordering::Relaxed) < LOGGED_ACCESSES_MAX {
                journal.log(&format!("the machine makes a {}, which the function does not have", what()));
            }
            return Target::Nothing;
        };
        if let Err(why) = self.shared.pci.lock().decodes(bar.space) {
            journal.driver_error("access-while-off", &format!("{}: {why}", what()));
            return Target::Nothing;
        }
        let touches = |range: &Range<u64>| offset < range.end && range.start < end;
        if let Some(msix) = self.shared.description.msix.filter(|msix| msix.bar == index) {
            let (table, pending) = (msix.table_range(), msix.pending_range());
            if touches(&table) || touches(&pending) {
                let (range, target): (_, fn(usize) -> Target) =
                    if touches(&table) { (table, Target::Table) } else { (pending, Target::Pending) };
                let allowed = matches!(width, 4 | 8) && offset.is_multiple_of(width as u64);
                if allowed && range.start <= offset && end <= range.end {
                    return target((offset - range.start) as usize);
                }
                let detail = format!("{}: the MSI-X structures take aligned accesses of 4 or 8 bytes", what());
                journal.driver_error("access", &detail);
                return Target::Nothing;
            }
        }
        if let Some(pages) = self.shared.mapped.get(index).and_then(Option::as_ref)
            && pages.ranges().iter().any(|range| range.start <= offset && end <= range.end)
        {
            return Target::Pages(pages.clone());
        }
        if bar.allows(offset, width) {
            return Target::Card;
        }
        journal.driver_error("access", &format!("{}: no register takes it", what()));
        Target::Nothing
    }

    /// Reads from configuration space; what is beyond its end reads as all ones.
    pub(crate) fn read_config(&self, offset: u64, data: &mut [u8]) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut card = self.card.lock();
        let reached = self.shared.pci.lock().config.vendor_read(offset, data.len());
        for (index, read) in reached {
            let mut bytes = self.shared.pci.lock().config.vendor(index).to_vec();
            card.capability_read(index, &mut bytes, read);
            self.shared.pci.lock().config.set_vendor(index, &bytes);
        }
        self.shared.pci.lock().read_config(offset, data);
        self.tap(&Act::ConfigRead { offset, data });
        card.config_read(offset, data);
    }

    /// Writes to configuration space, and does what follows from that.
    pub(crate) fn write_config(&self, offset: u64, data: &[u8]) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut card = self.card.lock();
        self.tap(&Act::ConfigWrite { offset, data });
        card.config_written(offset, data);
        let (effects, was_master, is_master) = {
            let mut pci = self.shared.pci.lock();
            let was_master = pci.bus_master();
            let effects = pci.write_config(offset, data);
            self.shared.memory.set_bus_master(pci.bus_master());
            (effects, was_master, pci.bus_master())
        };
        if was_master != is_master {
            card.bus_master(is_master);
        }
        for (index, written) in effects.vendor {
            let bytes = self.shared.pci.lock().config.vendor(index).to_vec();
            card.capability_written(index, &bytes, written);
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
        let resets = self.shared.resets.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        self.shared.journal.reset();
        self.tap(&Act::Reset { reset, resets });
        self.shared.memory.set_bus_master(false);
        self.shared.pci.lock().reset();
        card.reset(reset);
    }

    /// Reads from the expansion ROM; what is beyond the image is all ones.
    pub(crate) fn read_rom(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.shared.description.rom.get(offset..).unwrap_or_default();
        let there = rest.len().min(data.len());
        data[..there].copy_from_slice(&rest[..there]);
    }

    /// Maps guest memory.
    ///
    /// # Errors
    /// [`MapError`], when the region overlaps another, or cannot be.
    pub(crate) fn map_memory(&self, mapping: Mapping) -> Result<(), MapError> {
        let mut card = self.card.lock();
        let address = mapping.address;
        self.shared.memory.map(mapping)?;
        self.shared.memory.with_region(address, |region| card.memory_mapped(&region));
        Ok(())
    }

    /// Unmaps guest memory. The card has dropped it when this returns.
    ///
    /// # Errors
    /// [`MapError::NoRegion`], when no region begins there and has this size.
    pub(crate) fn unmap_memory(&self, address: u64, bytes: u64) -> Result<(), MapError> {
        let mut card = self.card.lock();
        self.shared.memory.unmap(address, bytes)?;
        card.memory_unmapped(address, bytes);
        Ok(())
    }

    /// Unmaps all guest memory.
    pub(crate) fn unmap_all_memory(&self) {
        self.unmap_all_locked(&mut **self.card.lock());
    }

    fn unmap_all_locked(&self, card: &mut dyn Card) {
        for (address, bytes) in self.shared.memory.clear() {
            card.memory_unmapped(address, bytes);
        }
    }

    /// Forgets a client that has disconnected: its memory, its eventfds; the function is as after power-on.
    pub(crate) fn disconnect(&self) {
        let mut card = self.card.lock();
        self.shared.pci.lock().interrupts.disconnect();
        // The card lets go of memory before it goes.
        self.reset_locked(&mut **card, Reset::Disconnected);
        self.unmap_all_locked(&mut **card);
        self.shared.wake();
    }

    /// Carries out a `SET_IRQS` message.
    ///
    /// # Errors
    /// [`IrqSetError`], when the message has no meaning for this function.
    pub(crate) fn set_irqs(&self, set: IrqSet) -> Result<(), IrqSetError> {
        let done = self.shared.pci.lock().set_irqs(set, &self.shared.description);
        // The clock watches the eventfd by which the line is unmasked.
        self.shared.wake();
        done
    }
}
