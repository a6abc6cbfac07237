//! Frames whose bus addresses a driver knows: a device may write to them until the driver takes them from it, so
//! that they are quarantined when they are given back.

use alloc::collections::BTreeSet;

use super::quarantine;
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, frames};

static EXPOSED: Uninterrupted<BTreeSet<u64>> = Uninterrupted::new(BTreeSet::new());

/// Notes that a driver learns a frame's address.
pub fn expose(physical: u64) {
    EXPOSED.with(|exposed| exposed.insert(physical / PAGE_SIZE * PAGE_SIZE));
}

/// Gives a frame back.
pub fn free(frame: u64) {
    if EXPOSED.with(|exposed| exposed.remove(&frame)) {
        quarantine::put(frame, PAGE_SIZE, "a page whose address a device may have been given");
    } else {
        frames::free(frame, PAGE_SIZE);
    }
}
