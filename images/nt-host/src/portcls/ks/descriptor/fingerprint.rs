//! A sum over everything that a descriptor leads to.

#![allow(unsafe_code, reason = "descriptors are the driver's memory, read by address")]

use super::{Event, Filter, Property};
use crate::contract::violation::Violation;
use crate::portcls::com::abi::FilterDescriptor;
use crate::portcls::com::guids;

/// Returns a sum over everything that a descriptor leads to, to see whether it stays the same.
///
/// # Safety
/// As [`Filter::read`].
pub(crate) unsafe fn fingerprint(descriptor: *const FilterDescriptor) -> Result<u64, Violation> {
    // SAFETY: by the caller.
    let filter = unsafe { Filter::read(descriptor) }?;
    let mut sum = Fnv::new();
    sum.properties(&filter.properties);
    sum.events(&filter.events);
    for pin in &filter.pins {
        sum.words(&[pin.max_global, pin.max_filter, pin.min_filter, pin.data_flow, pin.communication]);
        sum.properties(&pin.properties);
        sum.events(&pin.events);
        pin.ranges.iter().for_each(|range| sum.bytes(&range.bytes));
        pin.ranges.iter().flat_map(|range| &range.attributes).for_each(|attribute| sum.bytes(attribute));
        pin.category.iter().chain(&pin.name).for_each(|guid| sum.bytes(&guids::to_bytes(guid)));
        pin.interfaces.iter().chain(&pin.mediums).for_each(|identifier| {
            sum.bytes(&guids::to_bytes(&identifier.set));
            sum.words(&[identifier.id, identifier.flags]);
        });
    }
    for node in &filter.nodes {
        sum.bytes(&guids::to_bytes(&node.node_type));
        node.name.iter().for_each(|guid| sum.bytes(&guids::to_bytes(guid)));
        sum.properties(&node.properties);
        sum.events(&node.events);
    }
    for connection in &filter.connections {
        sum.words(&[connection.from_node, connection.from_pin, connection.to_node, connection.to_pin]);
    }
    filter.categories.iter().for_each(|guid| sum.bytes(&guids::to_bytes(guid)));
    Ok(sum.0)
}

/// FNV-1a, 64 bits.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    fn words(&mut self, words: &[u32]) {
        words.iter().for_each(|word| self.bytes(&word.to_le_bytes()));
    }

    fn properties(&mut self, properties: &[Property]) {
        for property in properties {
            self.bytes(&guids::to_bytes(&property.set));
            self.words(&[property.id, property.flags]);
            self.bytes(&(property.item as usize).to_le_bytes());
        }
    }
}

impl Fnv {
    fn events(&mut self, events: &[Event]) {
        for event in events {
            self.bytes(&guids::to_bytes(&event.set));
            self.words(&[event.id, event.flags]);
            self.bytes(&(event.item as usize).to_le_bytes());
        }
    }
}
