//! The downloads of a card: the streams that they belong to, and their data, for the card loses them with its power.
//!
//! The card keeps downloads for its whole session, and all channel groups share them. But a client that ends without
//! unloading must not leave the card's memory full, and the close of its streams is the only sign of its end. The data
//! stays in the common buffer that the card has read it from, so that sending it again needs no allocation that may
//! fail. The handles of clients are the driver's own: the card gives other handles each time.

use alloc::vec::Vec;

use card_spec::limits::{DOWNLOAD_MEMORY_BYTES, DOWNLOADS_MAX};

use crate::control::PayloadBuffer;
use crate::irql::Passive;
use crate::kernel::{DmaBuffer, Kernel};
use crate::lock::Gate;

/// A download.
pub struct Download<D> {
    /// The client's handle.
    pub handle: u32,
    /// The stream that it belongs to.
    pub stream: u32,
    /// The card's handle; `None` while the card does not have it.
    pub on_card: Option<u32>,
    /// The data.
    pub payload: PayloadBuffer<D>,
}

/// The downloads, in the order in which they came: later ones may refer to earlier ones.
pub struct List<D> {
    downloads: Vec<Download<D>>,
    last_handle: u32,
}

impl<D: DmaBuffer> List<D> {
    /// Makes room for one more of `bytes` bytes. False: the card has room for no more of them ([`DOWNLOADS_MAX`]) or no
    /// more data ([`DOWNLOAD_MEMORY_BYTES`]), or there is no memory for the list.
    pub fn reserve(&mut self, bytes: usize) -> bool {
        let kept: usize = self.downloads.iter().map(|download| download.payload.bytes()).sum();
        self.downloads.len() < DOWNLOADS_MAX
            && kept + bytes <= DOWNLOAD_MEMORY_BYTES as usize
            && self.downloads.try_reserve(1).is_ok()
    }

    /// Adds a download that the card has accepted, after [`reserve`](Self::reserve). Returns the client's handle.
    pub fn add(&mut self, stream: u32, on_card: u32, payload: PayloadBuffer<D>) -> u32 {
        loop {
            self.last_handle = self.last_handle.wrapping_add(1);
            if self.last_handle != 0 && self.place_of(self.last_handle).is_none() {
                break;
            }
        }
        let handle = self.last_handle;
        push_within(&mut self.downloads, Download { handle, stream, on_card: Some(on_card), payload });
        handle
    }

    /// Returns the place of a handle in the list.
    pub fn place_of(&self, handle: u32) -> Option<usize> {
        self.downloads.iter().position(|download| download.handle == handle)
    }

    /// Returns the place of a stream's first download in the list.
    pub fn place_of_stream(&self, stream: u32) -> Option<usize> {
        self.downloads.iter().position(|download| download.stream == stream)
    }

    /// Returns the download at a place.
    pub fn get(&self, place: usize) -> Option<&Download<D>> {
        self.downloads.get(place)
    }

    /// Removes a download and frees its data.
    pub fn remove(&mut self, place: usize) {
        // Keeps the order. `Vec::remove` would bring a panic path along.
        if let Some(rest @ [_, ..]) = self.downloads.get_mut(place..) {
            rest.rotate_left(1);
            drop(self.downloads.pop());
        }
    }

    /// Iterates over all downloads, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Download<D>> {
        self.downloads.iter_mut()
    }
}

/// Appends to a vector that has room. `Vec::push` would bring the panic paths of a failed allocation along.
#[allow(unsafe_code, reason = "a vector that does not grow")]
pub(crate) fn push_within<T>(items: &mut Vec<T>, item: T) {
    debug_assert!(items.len() < items.capacity(), "room has been made");
    let length = items.len();
    if let Some(place) = items.spare_capacity_mut().first_mut() {
        place.write(item);
        // SAFETY: one more is initialised, and there was room for it.
        unsafe { items.set_len(length + 1) };
    }
}

/// The downloads behind their lock. It is held while a request about one is under way, so that list and card agree.
pub type Downloads<K> = Gate<K, List<<K as Kernel>::Dma>>;

/// Makes an empty list. `None`: no memory for its lock.
pub fn empty<K: Kernel>(kernel: &K, level: Passive) -> Option<Downloads<K>> {
    Gate::new(kernel, level, List { downloads: Vec::new(), last_handle: 0 })
}
