//! What a started device is given: its base addresses in order, then its interrupts.
#![allow(unsafe_code, reason = "variable-length lists of the Windows ABI")]

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::arch::smp;
use crate::nt::*;
use crate::pci::Function;
use crate::pci::interrupts::{self, Assigned};

/// A list of descriptors as drivers see it, in memory of the host's.
pub struct ResourceList {
    words: Box<[u32]>,
}

/// Bytes before the first descriptor.
const HEADER_BYTES: usize = 20;
const DESCRIPTOR_BYTES: usize = size_of::<CM_PARTIAL_RESOURCE_DESCRIPTOR>();

impl ResourceList {
    fn new(bus: u32, descriptors: &[CM_PARTIAL_RESOURCE_DESCRIPTOR]) -> Self {
        let mut words = vec![0u32; (HEADER_BYTES + descriptors.len() * DESCRIPTOR_BYTES) / 4].into_boxed_slice();
        words[0] = 1;
        words[1] = INTERFACE_TYPE_PCI_BUS as u32;
        words[2] = bus;
        words[3] = 1 | 1 << 16;
        words[4] = descriptors.len() as u32;
        for (index, descriptor) in descriptors.iter().enumerate() {
            let at = words.as_mut_ptr().cast::<u8>().wrapping_add(HEADER_BYTES + index * DESCRIPTOR_BYTES);
            // SAFETY: inside the box, which was made this long.
            unsafe { at.cast::<CM_PARTIAL_RESOURCE_DESCRIPTOR>().write_unaligned(*descriptor) };
        }
        Self { words }
    }

    /// Returns the list for a driver.
    pub fn as_ptr(&mut self) -> *mut CM_RESOURCE_LIST {
        self.words.as_mut_ptr().cast()
    }
}

/// The resources of a function: as the bus sees them, as the processor sees them, and as text.
pub struct Resources {
    /// `AllocatedResources`.
    pub raw: ResourceList,
    /// `AllocatedResourcesTranslated`.
    pub translated: ResourceList,
    /// One a line.
    pub lines: Vec<String>,
}

/// Returns a function its resources.
#[must_use]
pub fn of(function: &Function) -> Resources {
    let mut raw = Vec::new();
    let mut translated = Vec::new();
    let mut lines = Vec::new();
    for bar in function.bars.iter().filter(|bar| bar.base != 0) {
        let (kind, flags) = if bar.io {
            (CM_RESOURCE_TYPE_PORT, CM_RESOURCE_PORT_IO | CM_RESOURCE_PORT_16_BIT_DECODE | CM_RESOURCE_PORT_BAR)
        } else {
            let prefetchable = if bar.prefetchable { CM_RESOURCE_MEMORY_PREFETCHABLE } else { 0 };
            (CM_RESOURCE_TYPE_MEMORY, CM_RESOURCE_MEMORY_READ_WRITE | CM_RESOURCE_MEMORY_BAR | prefetchable)
        };
        let descriptor = CM_PARTIAL_RESOURCE_DESCRIPTOR {
            Type: kind,
            ShareDisposition: CM_SHARE_DEVICE_EXCLUSIVE,
            Flags: flags,
            u: CM_RESOURCE { Memory: CM_RANGE { Start: bar.base as i64, Length: bar.size as u32 } },
        };
        raw.push(descriptor);
        translated.push(descriptor);
        let what = match (bar.io, bar.wide) {
            (true, _) => "ports",
            (false, true) => "64-bit memory",
            (false, false) => "memory",
        };
        lines.push(format!("BAR{} {what} {:#x}..{:#x}", bar.index, bar.base, bar.base + bar.size));
    }
    if let Some(given) = interrupts::assign(function) {
        add_interrupts(&given, &mut raw, &mut translated);
        lines.push(given.describe());
    }
    let bus = function.address.bus.into();
    Resources { raw: ResourceList::new(bus, &raw), translated: ResourceList::new(bus, &translated), lines }
}

/// Adds a descriptor for each interrupt. A message's raw form says how many messages the descriptor stands for, the
/// vector that they carry and which processors take them; its translated form is laid out as a line's. (wdm.h,
/// `CM_PARTIAL_RESOURCE_DESCRIPTOR`; "Using Interrupt Resource Descriptors".)
fn add_interrupts(
    given: &Assigned,
    raw: &mut Vec<CM_PARTIAL_RESOURCE_DESCRIPTOR>,
    translated: &mut Vec<CM_PARTIAL_RESOURCE_DESCRIPTOR>,
) {
    let interrupt = |share, flags, level: u32, vector: u32| CM_PARTIAL_RESOURCE_DESCRIPTOR {
        Type: CM_RESOURCE_TYPE_INTERRUPT,
        ShareDisposition: share,
        Flags: flags,
        u: CM_RESOURCE { Interrupt: CM_INTERRUPT { Level: level, Vector: vector, Affinity: 1 << (smp::online() - 1) } },
    };
    match *given {
        Assigned::Line { pin, vector } => {
            let flags = CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE;
            raw.push(interrupt(CM_SHARE_SHARED, flags, pin, pin));
            translated.push(interrupt(CM_SHARE_SHARED, flags, u32::from(vector >> 4), vector.into()));
        }
        Assigned::Messages { first, count, .. } => {
            /// `MessageInterrupt.Raw`: a group (or nothing) in the low half, the number of messages in the high half.
            const ONE_MESSAGE: u32 = 1 << 16;
            let flags = CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE;
            for vector in (0..count).map(|entry| first + entry as u8) {
                raw.push(interrupt(CM_SHARE_DEVICE_EXCLUSIVE, flags, ONE_MESSAGE, vector.into()));
                translated.push(interrupt(CM_SHARE_DEVICE_EXCLUSIVE, flags, u32::from(vector >> 4), vector.into()));
            }
        }
    }
}
