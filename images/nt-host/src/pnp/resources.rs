//! What a started device is given: its base addresses in order, then its interrupts; or what was given by hand.
#![allow(unsafe_code, reason = "variable-length lists of the Windows ABI")]

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::arch::smp;
use crate::base::large_memory;
use crate::devnode::{Node, installation};
use crate::harness::options::Resource;
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
    fn new((interface, bus): (i32, u32), descriptors: &[CM_PARTIAL_RESOURCE_DESCRIPTOR]) -> Self {
        let mut words = vec![0u32; (HEADER_BYTES + descriptors.len() * DESCRIPTOR_BYTES) / 4].into_boxed_slice();
        words[0] = 1;
        words[1] = interface.cast_unsigned();
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

    /// Returns the list for a driver; null for a device without resources ("IRP_MN_START_DEVICE").
    pub fn as_ptr(&mut self) -> *mut CM_RESOURCE_LIST {
        if self.words[4] == 0 { core::ptr::null_mut() } else { self.words.as_mut_ptr().cast() }
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

/// Returns a device its resources.
#[must_use]
pub fn of(node: &Node) -> Resources {
    match node {
        Node::Function(function) => of_function(function, node),
        Node::Root(resources) => of_root(resources, node),
    }
}

/// Returns a device that no bus enumerates what it was given by hand.
fn of_root(resources: &[Resource], node: &Node) -> Resources {
    let (mut raw, mut translated, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    let descriptor = |kind, flags, u| CM_PARTIAL_RESOURCE_DESCRIPTOR {
        Type: kind,
        ShareDisposition: CM_SHARE_DEVICE_EXCLUSIVE,
        Flags: flags,
        u,
    };
    let range = |start, length| CM_RESOURCE { Memory: CM_RANGE { Start: start, Length: length } };
    for resource in resources {
        let descriptor = match *resource {
            Resource::Irq { line, level } => {
                let given = interrupts::assign_isa(line, level);
                add_interrupts(&given, &mut raw, &mut translated);
                lines.push(given.describe());
                continue;
            }
            Resource::Port { start, length } => {
                lines.push(format!("ports {start:#x}..{:#x}", u32::from(start) + u32::from(length)));
                let flags = CM_RESOURCE_PORT_IO | CM_RESOURCE_PORT_16_BIT_DECODE;
                descriptor(CM_RESOURCE_TYPE_PORT, flags, range(start.into(), length.into()))
            }
            Resource::Memory { start, length } => {
                lines.push(format!("memory {start:#x}..{:#x}", start + u64::from(length)));
                descriptor(CM_RESOURCE_TYPE_MEMORY, CM_RESOURCE_MEMORY_READ_WRITE, range(start as i64, length))
            }
            Resource::Dma { channel } => {
                /// The first channel of the second controller, which transfers words.
                const FIRST_OF_WORDS: u8 = 4;
                lines.push(format!("DMA channel {channel}"));
                let flags = if channel < FIRST_OF_WORDS { CM_RESOURCE_DMA_8 } else { CM_RESOURCE_DMA_16 };
                let dma = CM_DMA { Channel: channel.into(), Port: 0, Reserved1: 0 };
                descriptor(CM_RESOURCE_TYPE_DMA, flags, CM_RESOURCE { Dma: dma })
            }
        };
        // Ports and memory of the ISA bus are where the processor sees them.
        raw.push(descriptor);
        translated.push(descriptor);
    }
    let bus = (node.interface_type(), node.bus_number());
    Resources { raw: ResourceList::new(bus, &raw), translated: ResourceList::new(bus, &translated), lines }
}

fn of_function(function: &Function, node: &Node) -> Resources {
    let mut raw = Vec::new();
    let mut translated = Vec::new();
    let mut lines = Vec::new();
    for bar in function.bars.iter().filter(|bar| bar.base != 0) {
        // A base address's size is a power of two, which a descriptor holds in one unit or another.
        let (large, shift) = large_memory::encoding(bar.size).unwrap_or((None, 0));
        let (kind, flags) = if bar.io {
            (CM_RESOURCE_TYPE_PORT, CM_RESOURCE_PORT_IO | CM_RESOURCE_PORT_16_BIT_DECODE | CM_RESOURCE_PORT_BAR)
        } else {
            let prefetchable = if bar.prefetchable { CM_RESOURCE_MEMORY_PREFETCHABLE } else { 0 };
            let kind = if large.is_some() { large_memory::MEMORY_LARGE } else { CM_RESOURCE_TYPE_MEMORY };
            let flags = CM_RESOURCE_MEMORY_READ_WRITE | CM_RESOURCE_MEMORY_BAR | prefetchable;
            (kind, flags | large.unwrap_or(0))
        };
        let descriptor = CM_PARTIAL_RESOURCE_DESCRIPTOR {
            Type: kind,
            ShareDisposition: CM_SHARE_DEVICE_EXCLUSIVE,
            Flags: flags,
            u: CM_RESOURCE { Memory: CM_RANGE { Start: bar.base as i64, Length: (bar.size >> shift) as u32 } },
        };
        raw.push(descriptor);
        translated.push(descriptor);
        let what = match (bar.io, bar.wide) {
            (true, _) => "ports",
            (false, true) => "64-bit memory",
            (false, false) => "32-bit memory",
        };
        lines.push(format!("BAR{} {what} {:#x}..{:#x}", bar.index, bar.base, bar.base + bar.size));
    }
    if let Some(given) = interrupts::assign(function, installation::messages(node)) {
        add_interrupts(&given, &mut raw, &mut translated);
        lines.push(given.describe());
    }
    let bus = (node.interface_type(), node.bus_number());
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
        Assigned::IsaLine { pin, vector, level } => {
            let (share, flags) = if level {
                (CM_SHARE_SHARED, CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE)
            } else {
                (CM_SHARE_DEVICE_EXCLUSIVE, CM_RESOURCE_INTERRUPT_LATCHED)
            };
            raw.push(interrupt(share, flags, pin, pin));
            translated.push(interrupt(share, flags, u32::from(vector >> 4), vector.into()));
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
