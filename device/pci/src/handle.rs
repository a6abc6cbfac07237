//! What a card does to the world: interrupts, memory access, records. From any thread.

use std::sync::Arc;

use crate::description::Description;
use crate::dma::DmaError;
use crate::function::Shared;
use crate::mapped::Mapped;
use crate::tap::Act;

/// A card's access to its PCI function. Clones share the function.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Returns access to a function.
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Returns the description that the function was made from.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.shared.description
    }

    /// Asserts or deasserts the interrupt line. While it is asserted, the guest is interrupted again each time that it has
    /// handled the interrupt, unless the driver has disabled the line.
    ///
    /// A function without an [interrupt pin](Description::interrupt_pin) has no line; the call does nothing then.
    pub fn set_line(&self, asserted: bool) {
        if self.shared.description.pin && self.shared.pci.lock().set_line(asserted) {
            self.shared.journal.taps.act(&Act::Line { asserted });
        }
    }

    /// Sends the message of a vector, by MSI or MSI-X as the driver has enabled, now or as soon as it is enabled and not
    /// masked. A message that waits is sent once, however often it was triggered.
    ///
    /// A vector that the [description](Description::msix) does not have is noted in the log.
    pub fn trigger(&self, vector: u16) {
        self.shared.journal.taps.act(&Act::Message { vector });
        if !self.shared.pci.lock().trigger(vector) {
            self.log(&format!("the card triggers vector {vector}, which it does not have"));
        }
    }

    /// Returns whether the driver uses MSI or MSI-X, and not the interrupt line.
    #[must_use]
    pub fn uses_messages(&self) -> bool {
        self.shared.pci.lock().messages_enabled()
    }

    /// Returns the pages of a BAR that the guest [maps](crate::Bar::map); `None` when it maps none.
    #[must_use]
    pub fn mapped(&self, bar: usize) -> Option<Mapped> {
        self.shared.mapped.get(bar)?.clone()
    }

    /// Returns whether the driver has turned bus mastering on, without which there is no access to guest memory.
    #[must_use]
    pub fn is_bus_master(&self) -> bool {
        self.shared.pci.lock().bus_master()
    }

    /// Copies from guest memory. What the driver did wrong, such as an address without memory, is noted as its error.
    ///
    /// # Errors
    /// [`DmaError`]; then a part of `data` may be filled.
    pub fn read_memory(&self, address: u64, data: &mut [u8]) -> Result<(), DmaError> {
        let read = self.shared.memory.read(address, data);
        self.shared.journal.taps.act(&Act::MemoryRead { address, data, error: read.as_ref().err() });
        read.inspect_err(|error| self.note(error))
    }

    /// Copies to guest memory. What the driver did wrong, such as an address without memory, is noted as its error.
    ///
    /// # Errors
    /// [`DmaError`]; then a part of `data` may be written.
    pub fn write_memory(&self, address: u64, data: &[u8]) -> Result<(), DmaError> {
        let written = self.shared.memory.write(address, data);
        self.shared.journal.taps.act(&Act::MemoryWrite { address, data, error: written.as_ref().err() });
        written.inspect_err(|error| self.note(error))
    }

    fn note(&self, error: &DmaError) {
        let code = match error {
            DmaError::BusMasterOff { .. } => "dma-without-bus-master",
            DmaError::Unmapped { .. } => "dma-unmapped",
            DmaError::Protected { .. } => "dma-protected",
            // Not the driver's doing.
            DmaError::NotShared { .. } | DmaError::Host { .. } => return self.log(&error.to_string()),
        };
        self.driver_error(code, &error.to_string());
    }

    /// Notes an error of the driver: a short code in lower case, and a sentence with the values that were found and
    /// expected. An error that is noted again is only counted.
    pub fn driver_error(&self, code: &str, detail: &str) {
        self.shared.journal.driver_error(code, detail);
    }

    /// Writes a line into the card's log, which a harness reads over the control socket.
    pub fn log(&self, line: &str) {
        self.shared.journal.log(line);
    }

    /// Records MIDI bytes that the driver has sent, with the time of this call.
    pub fn record_bytes(&self, bytes: &[u8]) {
        self.shared.journal.record(bytes);
    }

    /// Lets [`Card::tick`](crate::Card::tick) be called soon, from the crate's own thread.
    pub fn wake(&self) {
        self.shared.wake();
    }
}
