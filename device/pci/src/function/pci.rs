//! The part of a function that its card and its client both reach: configuration space and interrupts.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::config::{ConfigSpace, Effects, Live};
use super::interrupts::{Counts, Interrupts, Messages, Permit};
use crate::description::{Description, Space};
use crate::layout::command;

/// Configuration space and interrupts of a function.
#[derive(Debug)]
pub(crate) struct Pci {
    pub(super) config: ConfigSpace,
    pub(super) interrupts: Interrupts,
}

impl Pci {
    /// Makes the function of a description that was [checked](Description::check), as after power-on.
    pub(super) fn new(description: &Description) -> Self {
        let msi = description.msi.map_or(0, |msi| msi.vectors);
        let msix = description.msix.map_or(0, |msix| msix.vectors);
        Self { config: ConfigSpace::new(description), interrupts: Interrupts::new(msi, msix) }
    }

    /// Sends what is due, after anything has changed.
    pub(super) fn deliver(&mut self) {
        let (enabled, masked) = self.config.msix();
        let msi = self.config.msi();
        let master = self.config.command(command::BUS_MASTER);
        let permit = Permit {
            line: !enabled && !msi.enabled && !self.config.command(command::INTX_DISABLE),
            msix: enabled && !masked && master,
            msi: if msi.enabled && !enabled && master { !msi.masked } else { 0 },
        };
        self.interrupts.deliver(permit);
    }

    /// Asserts or deasserts the line. Returns whether that has changed it.
    pub(crate) fn set_line(&mut self, asserted: bool) -> bool {
        let changed = self.interrupts.level() != asserted;
        self.interrupts.set_level(asserted);
        self.deliver();
        changed
    }

    /// Triggers a vector, of MSI if the driver uses that, and else of MSI-X if the function has it. False when there is no
    /// such vector.
    pub(crate) fn trigger(&mut self, vector: u16) -> bool {
        let (msi, vectors) = (self.config.msi(), self.interrupts.vectors(Messages::Msi));
        let found = if self.interrupts.vectors(Messages::Msix) == 0 || msi.enabled && !self.config.msix().0 {
            // With fewer messages than vectors, vectors share one (PCI Local Bus 3.0, 6.8.3.4).
            let message = if msi.enabled { vector & (msi.allocated - 1) } else { vector };
            usize::from(vector) < vectors && self.interrupts.set_pending(Messages::Msi, message)
        } else {
            self.interrupts.set_pending(Messages::Msix, vector)
        };
        self.deliver();
        found
    }

    /// Returns whether the driver has enabled MSI or MSI-X.
    pub(crate) fn messages_enabled(&self) -> bool {
        self.config.msix().0 || self.config.msi().enabled
    }

    /// Returns the eventfd by which the client unmasks the line.
    pub(crate) fn line_unmask(&self) -> Option<Arc<OwnedFd>> {
        self.interrupts.line_unmask()
    }

    /// Unmasks the line after the client's eventfd was signalled. One that does not `work` is given up. Returns how often the line has
    /// interrupted since it was last asserted.
    pub(crate) fn unmasked_by_client(&mut self, works: bool) -> u32 {
        if works {
            self.interrupts.mask_line(false);
        } else {
            self.interrupts.set_line_unmask(None);
        }
        self.deliver();
        self.interrupts.repeats()
    }

    /// Reads configuration space.
    pub(super) fn read_config(&self, offset: usize, data: &mut [u8]) {
        let live = Live { line: self.interrupts.level(), pending: self.interrupts.msi_pending() };
        self.config.read(offset, data, live);
    }

    /// Writes configuration space, and sends what that allows.
    pub(super) fn write_config(&mut self, offset: usize, data: &[u8]) -> Effects {
        let effects = self.config.write(offset, data);
        self.deliver();
        effects
    }

    /// Returns to the state after power-on.
    pub(super) fn reset(&mut self) {
        self.config.reset();
        self.interrupts.reset();
    }

    /// Returns whether the driver lets the function answer accesses to a BAR, or why it does not.
    pub(super) fn decodes(&self, space: Space) -> Result<(), &'static str> {
        let (bit, name) = match space {
            Space::Io => (command::IO, "I/O space is off in the command register"),
            Space::Memory { .. } => (command::MEMORY, "memory space is off in the command register"),
        };
        if !self.config.command(bit) {
            return Err(name);
        }
        if self.config.powered() { Ok(()) } else { Err("the function is in D3hot") }
    }

    /// Returns whether the function may access memory.
    pub(crate) fn bus_master(&self) -> bool {
        self.config.command(command::BUS_MASTER)
    }

    /// Returns how often interrupts were raised and sent.
    pub(crate) fn counts(&self) -> Counts {
        self.interrupts.counts()
    }
}
