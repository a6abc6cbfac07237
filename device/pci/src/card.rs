//! What a user of this crate fills in: the behaviour of a card behind its registers.

use std::ops::Range;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::dma::MemoryRegion;
use crate::registers::RegisterValue;

/// A card behind a PCI function.
///
/// Every call comes with the card's lock held, one at a time. Configuration space, interrupts, the MSI-X table, memory
/// access and both sockets belong to the crate; the card reaches them through its [`Handle`](crate::Handle).
pub trait Card: Send {
    /// Reads a register: an access that the [description](crate::Description) allows. The value's low bytes are the
    /// answer.
    fn read(&mut self, access: Access) -> u64;

    /// Writes a register: an access that the [description](crate::Description) allows.
    fn write(&mut self, access: Access, value: u64);

    /// Returns to the state after power-on. Interrupts, configuration space and the MSI-X table are reset already.
    fn reset(&mut self, reset: Reset);

    /// Learns that the driver has turned bus mastering on or off. A reset turns it off without this call.
    fn bus_master(&mut self, on: bool) {
        let _ = on;
    }

    /// Learns that the machine has mapped guest memory. [`Handle::read_memory`](crate::Handle::read_memory) and
    /// [`write_memory`](crate::Handle::write_memory) need nothing of this; it is for a card that maps memory itself, such as
    /// for virtqueues.
    fn memory_mapped(&mut self, region: &MemoryRegion<'_>) {
        let _ = region;
    }

    /// Learns that the machine takes guest memory back, `bytes` bytes at `address`. The card drops what it has mapped of it
    /// before it returns: the machine goes on then.
    fn memory_unmapped(&mut self, address: u64, bytes: u64) {
        let _ = (address, bytes);
    }

    /// Does what is due at `now`, a time since the start of the process, and returns when it is due again; `None` waits
    /// for the next [`Handle::wake`](crate::Handle::wake). It is called once at the start.
    fn tick(&mut self, now: Duration) -> Option<Duration> {
        let _ = now;
        None
    }

    /// Learns that the driver has written to the `index`th vendor-specific capability, which now holds `bytes`; `written`
    /// are those that the write reached, changed or not.
    fn capability_written(&mut self, index: usize, bytes: &[u8], written: Range<usize>) {
        let _ = (index, bytes, written);
    }

    /// Lets the card change the bytes of the `index`th vendor-specific capability before the driver reads the ones in
    /// `read`.
    fn capability_read(&mut self, index: usize, bytes: &mut [u8], read: Range<usize>) {
        let _ = (index, bytes, read);
    }

    /// Learns that the driver has read `data` from configuration space, for a record of it.
    fn config_read(&mut self, offset: usize, data: &[u8]) {
        let _ = (offset, data);
    }

    /// Learns that the driver writes `data` to configuration space, for a record of it. What follows from it is called later.
    fn config_written(&mut self, offset: usize, data: &[u8]) {
        let _ = (offset, data);
    }

    /// Says which parts of the device control contract this card carries out besides those that every card does.
    fn offers(&self) -> Offers {
        Offers::default()
    }

    /// Receives bytes at the card's MIDI input.
    ///
    /// # Errors
    /// [`Refusal`], when the card has no input or cannot take the bytes now.
    fn midi_in(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let _ = bytes;
        Err(Refusal::Unsupported("a MIDI input".into()))
    }

    /// Injects a fault of one of the kinds that [`offers`](Self::offers) lists.
    ///
    /// # Errors
    /// [`Refusal`], when the fault's members are not understood or it cannot be injected now.
    fn inject_fault(&mut self, fault: &Fault) -> Result<(), Refusal> {
        Err(Refusal::Unsupported(format!("the fault `{}`", fault.kind)))
    }

    /// Returns the registers that have a [table](crate::RegisterTable), for `registers`: those of each
    /// [`RegisterFile`](crate::RegisterFile).
    fn registers(&self) -> Vec<RegisterValue> {
        Vec::new()
    }

    /// Returns the card's own counters, by name, for `status`.
    fn counters(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// Where a register access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The base address register, 0 to 5.
    pub bar: usize,
    /// The first byte, from the start of the BAR.
    pub offset: u64,
    /// How many bytes: 1, 2, 4 or 8.
    pub width: usize,
}

/// What has reset a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The machine: at its start, and at each reset of it.
    Machine,
    /// The driver, by a function-level reset.
    Function,
    /// The driver, by a return from D3hot to D0.
    Power,
    /// The end of the machine: its QEMU has disconnected.
    Disconnected,
}

/// What a card offers to a test harness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// It [records](crate::Handle::record_bytes) the MIDI bytes that the driver sends.
    pub bytes: bool,
    /// It has a MIDI input.
    pub midi_in: bool,
    /// The kinds of fault that it can inject.
    pub faults: &'static [&'static str],
}

/// A fault that a harness injects.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// One of the kinds that the card offers.
    pub kind: String,
    /// All members of the command's `fault`, `kind` too.
    pub members: Map<String, Value>,
}

/// Why a card does not carry out a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The card has no such part.
    #[error("this device does not offer {0}")]
    Unsupported(String),
    /// The command's members make no sense to the card.
    #[error("{0}")]
    Malformed(String),
    /// The card could, and failed.
    #[error("{0}")]
    Failed(String),
}
