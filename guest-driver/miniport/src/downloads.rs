//! Which stream downloaded what, so that a stream that goes takes its downloads along.
//!
//! The card keeps downloads for its whole session, and all channel groups share them. But a client that ends without
//! unloading must not leave the card's memory full, and its streams are all that the driver sees of its end.

use alloc::vec::Vec;

use crate::irql::Passive;
use crate::kernel::Kernel;
use crate::lock::Gate;

#[derive(Clone, Copy)]
struct Download {
    handle: u32,
    stream: u32,
}

/// The downloads of a session. At most as many as the card holds
/// ([`DOWNLOADS_MAX`](card_spec::limits::DOWNLOADS_MAX)).
pub struct Downloads<K: Kernel> {
    list: Gate<K, Vec<Download>>,
}

impl<K: Kernel> Downloads<K> {
    /// None yet. `None`: no memory.
    pub fn new(kernel: &K, level: Passive) -> Option<Self> {
        Some(Self { list: Gate::new(kernel, level, Vec::new())? })
    }

    /// Makes room for one more. False: no memory.
    pub fn reserve(&self, level: Passive) -> bool {
        self.list.with(level, |list| list.try_reserve(1).is_ok())
    }

    /// Notes a download, for which room has been made.
    pub fn add(&self, level: Passive, stream: u32, handle: u32) {
        self.list.with(level, |list| {
            if list.len() < list.capacity() {
                list.push(Download { handle, stream });
            }
        });
    }

    /// Forgets a download.
    pub fn remove(&self, level: Passive, handle: u32) {
        self.list.with(level, |list| list.retain(|download| download.handle != handle));
    }

    /// Forgets them all. How many there were.
    pub fn clear(&self, level: Passive) -> usize {
        self.list.with(level, |list| {
            let count = list.len();
            list.clear();
            count
        })
    }

    /// Takes a download of a stream off the list.
    pub fn pop_of(&self, level: Passive, stream: u32) -> Option<u32> {
        self.list.with(level, |list| {
            let place = list.iter().position(|download| download.stream == stream)?;
            Some(list.swap_remove(place).handle)
        })
    }
}
