//! Looks into the guest for the harness: memory, ports and registers, the bus, and the kernel's books.
#![allow(unsafe_code, reason = "reads and writes what an address names")]

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use guest_protocol::{
    Book, ComObject, Failure, Holder, Inspection, PEEK_BYTES_MAX, PciBar, PciFunction, PendingIrp, PoolTag, Space,
};
use x86_64::instructions::port::Port;

use crate::arch::boot::DIRECT_MAP;
use crate::arch::paging::{self, Access, Caching};
use crate::arch::{PAGE_SIZE, frames, pages_spanning, window};
use crate::bugcheck::modules;
use crate::harness::failure;
use crate::io::irp;
use crate::ke::inspect;
use crate::mm::pool;
use crate::pci::{self, config, reach};
use crate::portcls::com::object;

/// Where the bytes of a request are.
enum Place {
    /// At a mapped address.
    Memory(u64),
    /// At ports.
    Port(u16),
}

/// Physical memory or registers, mapped for one request.
struct Mapped {
    address: u64,
    bytes: u64,
}

impl Mapped {
    fn new(physical: u64, bytes: u64) -> Result<Self, Failure> {
        let (first, offset) = (physical / PAGE_SIZE * PAGE_SIZE, physical % PAGE_SIZE);
        let bytes = pages_spanning(offset + bytes);
        let full = || failure::request(format!("there is no room to map {bytes:#x} bytes at {physical:#x}"));
        let address = window::DEVICE.reserve(bytes).ok_or_else(full)?;
        if paging::map_range(address, first, bytes, Access::ReadWrite, Caching::Uncached).is_err() {
            window::DEVICE.release(address, bytes);
            return Err(full());
        }
        Ok(Self { address, bytes })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        for page in (self.address..self.address + self.bytes).step_by(PAGE_SIZE as usize) {
            paging::unmap(page);
        }
        window::DEVICE.release(self.address, self.bytes);
    }
}

/// Finds what a request is about, and calls `act` with it while it is mapped.
fn at<R>(
    space: Space,
    address: u64,
    bytes: u64,
    width: u8,
    write: bool,
    act: impl FnOnce(Place) -> R,
) -> Result<R, Failure> {
    let step = u64::from(width);
    if !matches!(width, 1 | 2 | 4 | 8) || !address.is_multiple_of(step) || !bytes.is_multiple_of(step) || bytes == 0 {
        return Err(failure::request(format!(
            "an access has 1, 2, 4 or 8 bytes, which divide address and length: {bytes} bytes at {address:#x} in steps of {width}"
        )));
    }
    match space {
        Space::Virtual if paging::accessible(address, bytes, write) => Ok(act(Place::Memory(address))),
        Space::Virtual => Err(failure::request(format!(
            "{bytes} bytes at virtual address {address:#x} are not {}: {}",
            if write { "writable" } else { "mapped" },
            crate::mm::address_kind::AddressKind(address)
        ))),
        Space::Physical => {
            let last = paging::physical_end() - 1;
            let end = address.checked_add(bytes).filter(|end| end - 1 <= last);
            let end = end.ok_or_else(|| {
                failure::request(format!(
                    "{bytes} bytes at physical address {address:#x} are beyond what the processor addresses: the last is {last:#x}"
                ))
            })?;
            if (address..end).step_by(PAGE_SIZE as usize).chain([end - 1]).all(frames::is_memory) {
                return Ok(act(Place::Memory(DIRECT_MAP + address)));
            }
            let mapped = Mapped::new(address, bytes)?;
            Ok(act(Place::Memory(mapped.address + address % PAGE_SIZE)))
        }
        Space::Port => {
            let port = u16::try_from(address).ok().filter(|_| address + bytes <= 1 << 16 && width < 8);
            let port = port.ok_or_else(|| {
                failure::request(format!(
                    "ports are 0 to 0xffff, in accesses of 1, 2 or 4 bytes: {address:#x}, {width}"
                ))
            })?;
            Ok(act(Place::Port(port)))
        }
        Space::Bar(index) => {
            let none = || failure::request("the driver's device is not started, so that no BAR is its own");
            let device = reach::device().ok_or_else(none)?;
            let function = pci::functions().into_iter().find(|function| function.address == device).ok_or_else(none)?;
            let bar = function.bars.iter().find(|bar| bar.index == index && bar.base != 0).ok_or_else(|| {
                let have: Vec<u8> = function.bars.iter().map(|bar| bar.index).collect();
                failure::request(format!("{device} has no BAR {index}, it has {have:?}"))
            })?;
            if address.checked_add(bytes).is_none_or(|end| end > bar.size) {
                let text =
                    format!("BAR {index} has {:#x} bytes: {bytes} bytes at {address:#x} are beyond it", bar.size);
                return Err(failure::request(text));
            }
            let space = if bar.io { Space::Port } else { Space::Physical };
            at(space, bar.base + address, bytes, width, write, act)
        }
    }
}

/// Reads, in accesses of a width.
///
/// # Errors
/// [`FailureKind::Request`](guest_protocol::FailureKind::Request) for what cannot be read; nothing was.
pub(super) fn peek(space: Space, address: u64, bytes: u32, width: u8) -> Result<Vec<u8>, Failure> {
    if bytes > PEEK_BYTES_MAX {
        return Err(failure::request(format!("at most {PEEK_BYTES_MAX} bytes are read at once, not {bytes}")));
    }
    at(space, address, bytes.into(), width, false, |place| {
        let mut found = Vec::with_capacity(bytes as usize);
        for offset in (0..bytes).step_by(width.into()) {
            // SAFETY: mapped for as long as this runs, or a port; what reading a register does is what was asked for.
            unsafe {
                match place {
                    Place::Memory(address) => {
                        let address = address + u64::from(offset);
                        match width {
                            1 => found.push((address as *const u8).read_volatile()),
                            2 => found.extend((address as *const u16).read_volatile().to_le_bytes()),
                            4 => found.extend((address as *const u32).read_volatile().to_le_bytes()),
                            _ => found.extend((address as *const u64).read_volatile().to_le_bytes()),
                        }
                    }
                    Place::Port(port) => {
                        let port = port + offset as u16;
                        match width {
                            1 => found.push(Port::<u8>::new(port).read()),
                            2 => found.extend(Port::<u16>::new(port).read().to_le_bytes()),
                            _ => found.extend(Port::<u32>::new(port).read().to_le_bytes()),
                        }
                    }
                }
            }
        }
        found
    })
}

/// Writes, in one access.
///
/// # Errors
/// [`FailureKind::Request`](guest_protocol::FailureKind::Request) for what cannot be written; nothing was.
pub(super) fn poke(space: Space, address: u64, value: u64, width: u8) -> Result<(), Failure> {
    if width < 8 && value >> (8 * u32::from(width)) != 0 {
        return Err(failure::request(format!("{value:#x} has more than {width} bytes")));
    }
    at(space, address, width.into(), width, true, |place| {
        // SAFETY: mapped and writable for as long as this runs, or a port; what the value does is what was asked for.
        unsafe {
            match (place, width) {
                (Place::Memory(address), 1) => (address as *mut u8).write_volatile(value as u8),
                (Place::Memory(address), 2) => (address as *mut u16).write_volatile(value as u16),
                (Place::Memory(address), 4) => (address as *mut u32).write_volatile(value as u32),
                (Place::Memory(address), _) => (address as *mut u64).write_volatile(value),
                (Place::Port(port), 1) => Port::<u8>::new(port).write(value as u8),
                (Place::Port(port), 2) => Port::<u16>::new(port).write(value as u16),
                (Place::Port(port), _) => Port::<u32>::new(port).write(value as u32),
            }
        }
    })
}

/// Reads a book.
pub(super) fn inspect(book: Book) -> Inspection {
    match book {
        Book::Functions => Inspection::Functions(functions()),
        Book::Interrupts => Inspection::Interrupts(inspect::interrupts()),
        Book::Deferred => Inspection::Deferred(inspect::deferred()),
        Book::Threads => Inspection::Threads(inspect::threads()),
        Book::Irps => Inspection::Irps(irps()),
        Book::Pool => {
            let tags = pool::outstanding().into_iter().map(|(tag, count, bytes)| PoolTag { tag, count, bytes });
            let (_, _, peak) = pool::totals();
            Inspection::Pool(tags.collect(), peak)
        }
        Book::Objects => Inspection::Objects(objects()),
    }
}

fn functions() -> Vec<PciFunction> {
    let device = reach::device();
    let of = |function: pci::Function| {
        let words = (0..config::CONFIG_BYTES).step_by(4);
        PciFunction {
            address: function.address.to_string(),
            of_driver: Some(function.address) == device,
            bars: function
                .bars
                .iter()
                .map(|bar| PciBar { index: bar.index, io: bar.io, base: bar.base, bytes: bar.size })
                .collect(),
            config: words.flat_map(|offset| config::read(function.address, offset).to_le_bytes()).collect(),
        }
    };
    pci::functions().into_iter().map(of).collect()
}

fn irps() -> Vec<PendingIrp> {
    let of = |irp: u64| {
        // SAFETY: a packet of the I/O manager's books; nothing but this runs at PASSIVE_LEVEL, and fields are only read.
        let packet = unsafe { &*(irp as *const crate::nt::IRP) };
        // SAFETY: as above; before the first call it is beyond the last location, which is then not read.
        let stack = (packet.CurrentLocation <= packet.StackCount)
            .then(|| unsafe { packet.Tail.CurrentStackLocation.as_ref() })
            .flatten();
        PendingIrp {
            irp,
            function: stack.map_or((0xff, 0), |stack| (stack.MajorFunction, stack.MinorFunction)),
            pending: stack.is_some_and(|stack| stack.Control & crate::nt::SL_PENDING_RETURNED != 0),
            cancelled: packet.Cancel != 0,
            cancel_routine: packet.CancelRoutine.map_or(0, |routine| routine as usize as u64),
        }
    };
    irp::incomplete().into_iter().map(of).collect()
}

fn objects() -> Vec<ComObject> {
    let live = object::live();
    let mut found: Vec<ComObject> = live
        .into_iter()
        .map(|(interface, address, references)| ComObject {
            interface: interface.to_string(),
            address,
            references,
            held: Vec::new(),
        })
        .collect();
    // A pointer of the driver's is in its pool or in its image.
    let mut note = |value: u64, holder: &dyn Fn() -> Holder| {
        if let Some(object) = found.iter_mut().find(|object| object.address == value) {
            object.held.push(holder());
        }
    };
    for (tag, allocation, size) in pool::of_driver() {
        scan(allocation, size, |offset, value| {
            note(value, &|| Holder::Pool { tag: tag.clone(), allocation, offset });
        });
    }
    if let Some(module) = modules::module() {
        scan(module.base, module.size, |offset, value| note(value, &|| Holder::Image { offset }));
    }
    found
}

/// Calls `body` with each aligned word of a range that is mapped.
fn scan(address: u64, bytes: u64, mut body: impl FnMut(u64, u64)) {
    const WORD: u64 = size_of::<u64>() as u64;
    let mut at = address.next_multiple_of(WORD);
    while at + WORD <= address + bytes {
        let page_end = (at / PAGE_SIZE + 1) * PAGE_SIZE;
        if paging::accessible(at, WORD, false) {
            while at + WORD <= (address + bytes).min(page_end) {
                // SAFETY: in a page that is mapped.
                body(at - address, unsafe { (at as *const u64).read_volatile() });
                at += WORD;
            }
        }
        at = at.max(page_end);
    }
}
