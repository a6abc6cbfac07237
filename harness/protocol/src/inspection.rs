//! A look into the guest between requests: memory, the bus, and what the kernel has in its books.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Most bytes of one [`Request::Peek`](crate::Request::Peek): a frame on the line carries them.
pub const PEEK_BYTES_MAX: u32 = 65_536;

/// What an address is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Space {
    /// Virtual memory, as the kernel sees it.
    Virtual,
    /// Physical memory, and registers in it.
    Physical,
    /// I/O ports.
    Port,
    /// A base address register of the driver's device: the address is the offset in it.
    Bar(u8),
}

/// A part of the guest's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Book {
    /// [`Inspection::Functions`].
    Functions,
    /// [`Inspection::Interrupts`].
    Interrupts,
    /// [`Inspection::Deferred`].
    Deferred,
    /// [`Inspection::Threads`].
    Threads,
    /// [`Inspection::Irps`].
    Irps,
    /// [`Inspection::Pool`].
    Pool,
    /// [`Inspection::Objects`].
    Objects,
}

/// What a book says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inspection {
    /// The functions of the PCI bus.
    Functions(Vec<PciFunction>),
    /// What is connected to interrupts, and what came of them.
    Interrupts(Vec<ConnectedInterrupt>),
    /// Deferred procedure calls and timers that are queued.
    Deferred(Vec<Deferred>),
    /// Threads.
    Threads(Vec<Thread>),
    /// Requests that are not complete.
    Irps(Vec<PendingIrp>),
    /// The driver's pool by tag, and the most bytes at any time.
    Pool(Vec<PoolTag>, u64),
    /// PortCls' objects that have references.
    Objects(Vec<ComObject>),
}

/// A function of the PCI bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciFunction {
    /// Its address: `00:01.0`.
    pub address: String,
    /// Whether it is the driver's device.
    pub of_driver: bool,
    /// Its base address registers: index, whether ports, address, size.
    pub bars: Vec<PciBar>,
    /// The 256 bytes of its configuration space.
    pub config: Vec<u8>,
}

/// A base address register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciBar {
    /// Its index.
    pub index: u8,
    /// Ports, not memory.
    pub io: bool,
    /// Where it is.
    pub base: u64,
    /// Bytes or ports.
    pub bytes: u64,
}

/// A service routine that is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectedInterrupt {
    /// The interrupt object.
    pub object: u64,
    /// The service routine, in the driver.
    pub routine: u64,
    /// The vector.
    pub vector: u32,
    /// Its IRQL.
    pub irql: u8,
    /// Whether it is a message, not a line.
    pub message: bool,
}

/// A DPC or a timer that is queued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferred {
    /// The object.
    pub object: u64,
    /// The routine of the DPC; 0 for a timer without one.
    pub routine: u64,
    /// The processor on whose queue a DPC is.
    pub processor: Option<u32>,
    /// When a timer is due, in 100 ns units from now; what is overdue is negative.
    pub due: Option<i64>,
    /// The period of a timer in milliseconds; 0 without.
    pub period_ms: u32,
}

/// A thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The thread object.
    pub object: u64,
    /// Where it begins; 0 for the guest's own first one.
    pub start: u64,
    /// Whether the driver has created it.
    pub by_driver: bool,
    /// Its priority.
    pub priority: i32,
    /// What it does: running, ready, or what it waits for.
    pub state: String,
}

/// A request that is not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingIrp {
    /// The request.
    pub irp: u64,
    /// Its major and minor function.
    pub function: (u8, u8),
    /// Whether the driver has marked it pending.
    pub pending: bool,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Its cancel routine; 0 without.
    pub cancel_routine: u64,
}

/// The pool of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolTag {
    /// The tag, as its four characters.
    pub tag: String,
    /// Allocations.
    pub count: u64,
    /// Bytes.
    pub bytes: u64,
}

/// An object of PortCls'.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComObject {
    /// The name of its interface.
    pub interface: String,
    /// Its address.
    pub address: u64,
    /// How many references there are, PortCls' own included.
    pub references: u32,
    /// Where the driver holds its address: in its pool and its image.
    pub held: Vec<Holder>,
}

/// A place in the driver's memory that holds the address of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// An allocation of pool.
    Pool {
        /// Its tag.
        tag: String,
        /// Its address.
        allocation: u64,
        /// The place in it.
        offset: u64,
    },
    /// The driver's image.
    Image {
        /// The place in it.
        offset: u64,
    },
}
