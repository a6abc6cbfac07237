//! What has been downloaded: whose it is, and its data, because the card forgets everything with its power.
//!
//! The card keeps downloads for its whole session, and all channel groups share them. But a client that ends without
//! unloading must not leave the card's memory full, and its streams are all that the driver sees of its end. The data
//! stays in the memory that the card has read it from, so that sending it again needs no memory that may not be there.
//! The handles of clients are the driver's own: the card gives others when it is told again.

use alloc::vec::Vec;

use card_spec::limits::{DOWNLOAD_MEMORY_BYTES, DOWNLOADS_MAX};

use crate::control::Parcel;
use crate::irql::Passive;
use crate::kernel::{DmaBuffer, Kernel};
use crate::lock::Gate;

/// A download.
pub struct Download<D> {
    /// The client's handle.
    pub handle: u32,
    /// The stream that it came on.
    pub stream: u32,
    /// The card's handle; `None` while the card does not have it.
    pub on_card: Option<u32>,
    /// The data.
    pub parcel: Parcel<D>,
}

/// The downloads, in the order in which they came: later ones may refer to earlier ones.
pub struct List<D> {
    downloads: Vec<Download<D>>,
    last_handle: u32,
}

impl<D: DmaBuffer> List<D> {
    /// Makes room for one more of `bytes` bytes. False: there are as many already, or as much data, as the card has
    /// room for ([`DOWNLOADS_MAX`], [`DOWNLOAD_MEMORY_BYTES`]), or there is no memory.
    pub fn reserve(&mut self, bytes: usize) -> bool {
        let kept: usize = self.downloads.iter().map(|download| download.parcel.bytes()).sum();
        self.downloads.len() < DOWNLOADS_MAX
            && kept + bytes <= DOWNLOAD_MEMORY_BYTES as usize
            && self.downloads.try_reserve(1).is_ok()
    }

    /// Adds a download that the card has taken, for which room has been made. The client's handle.
    pub fn add(&mut self, stream: u32, on_card: u32, parcel: Parcel<D>) -> u32 {
        loop {
            self.last_handle = self.last_handle.wrapping_add(1);
            if self.last_handle != 0 && self.place_of(self.last_handle).is_none() {
                break;
            }
        }
        let handle = self.last_handle;
        push_within(&mut self.downloads, Download { handle, stream, on_card: Some(on_card), parcel });
        handle
    }

    /// Where a handle is in the list.
    pub fn place_of(&self, handle: u32) -> Option<usize> {
        self.downloads.iter().position(|download| download.handle == handle)
    }

    /// Where a download of a stream is in the list.
    pub fn place_of_stream(&self, stream: u32) -> Option<usize> {
        self.downloads.iter().position(|download| download.stream == stream)
    }

    /// The download at a place.
    pub fn get(&self, place: usize) -> Option<&Download<D>> {
        self.downloads.get(place)
    }

    /// Takes a download off the list, and its data with it.
    pub fn remove(&mut self, place: usize) {
        // In order; `Vec::remove` knows how to panic.
        if let Some(rest @ [_, ..]) = self.downloads.get_mut(place..) {
            rest.rotate_left(1);
            drop(self.downloads.pop());
        }
    }

    /// All of them, in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Download<D>> {
        self.downloads.iter_mut()
    }
}

/// Appends to a vector that has room; `Vec::push` brings the ways in which an allocation fails along.
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

/// The downloads behind their lock, which is held while the card is told of one: so list and card agree.
pub type Downloads<K> = Gate<K, List<<K as Kernel>::Dma>>;

/// None yet. `None`: no memory.
pub fn none_yet<K: Kernel>(kernel: &K, level: Passive) -> Option<Downloads<K>> {
    Gate::new(kernel, level, List { downloads: Vec::new(), last_handle: 0 })
}
