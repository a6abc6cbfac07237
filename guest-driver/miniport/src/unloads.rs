//! Unloads that stay pending until no voice sounds from the download any more.
//!
//! The card answers an unload with `PENDING` while a voice still sounds from it, and sends a notice when the last one
//! has ended. The notice may overtake the response, so an unload is entered here before the request is sent. The system
//! can cancel a client's request at any moment, on another processor: the code that clears the cancel routine completes
//! the request, and if the routine is being called already, the routine completes it.

use alloc::vec::Vec;

use portcls::NtStatus;

use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{Kernel, PendingRequest};
use crate::lock::Spin;

/// Most unloads that are pending at a time: twice as many downloads as sound in a dense piece. Further ones are
/// completed at once, as a driver may always do; their voices sound to their ends all the same.
pub const PENDING_UNLOADS_MAX: usize = 64;

/// An unload whose request is under way, or is pending.
struct Entry<W> {
    /// The card's handle.
    on_card: u32,
    state: State<W>,
}

enum State<W> {
    /// The card has not responded yet.
    Requested {
        /// The notice has come already.
        has_ended: bool,
    },
    /// The client's request is pending.
    Pending {
        /// The stream that it came on.
        stream: u32,
        client: W,
        /// The status that it ended with while its cancel routine was being called.
        outcome: Option<NtStatus>,
    },
}

/// The state of a client's unload request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unload {
    /// It is pending, and no longer the caller's: it may have been completed already.
    Pending,
    /// It is done: no voice sounds from the download.
    Done,
    /// The system cancelled it.
    Cancelled,
}

/// The pending unloads of a card.
pub struct Unloads<K: Kernel> {
    entries: Spin<K, Vec<Entry<K::PendingRequest>>>,
}

impl<K: Kernel> Unloads<K> {
    /// Makes an empty list. `None`: no memory.
    pub fn new(kernel: &K) -> Option<Self> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(PENDING_UNLOADS_MAX).ok()?;
        Some(Self { entries: Spin::new(kernel, entries) })
    }

    /// Enters an unload before its request is sent. False: [`PENDING_UNLOADS_MAX`] are entered already.
    pub fn enter(&self, level: AtMostDispatch, on_card: u32) -> bool {
        self.entries.with(level, |entries| {
            let has_room = entries.len() < PENDING_UNLOADS_MAX;
            if has_room {
                crate::downloads::push_within(entries, Entry { on_card, state: State::Requested { has_ended: false } });
            }
            has_room
        })
    }

    /// Removes an unload that was entered: its request failed, or no voice sounds.
    pub fn remove(&self, level: AtMostDispatch, on_card: u32) {
        self.entries.with(level, |entries| _ = take(entries, |entry| is_requested(entry, on_card)));
    }

    /// Makes a client's request pending, after the card has responded that a voice still sounds; unless its notice has
    /// come meanwhile.
    pub fn make_pending(&self, level: AtMostDispatch, on_card: u32, stream: u32, client: K::PendingRequest) -> Unload {
        self.entries.with(level, |entries| {
            let Some(entry) = entries.iter_mut().find(|entry| is_requested(entry, on_card)) else {
                return Unload::Done;
            };
            let unload = match entry.state {
                State::Requested { has_ended: true } => Unload::Done,
                _ if client.arm() => Unload::Pending,
                _ => Unload::Cancelled,
            };
            if unload == Unload::Pending {
                entry.state = State::Pending { stream, client, outcome: None };
            } else {
                _ = take(entries, |entry| is_requested(entry, on_card));
            }
            unload
        })
    }

    /// Completes the unload with this handle of the card's, whose notice has come.
    pub fn sound_ended(&self, level: AtMostDispatch, on_card: u32) {
        self.entries.with(level, |entries| {
            if let Some(Entry { state: State::Requested { has_ended }, .. }) =
                entries.iter_mut().find(|entry| is_requested(entry, on_card))
            {
                *has_ended = true;
            }
        });
        self.end(level, NtStatus::SUCCESS, |entry, _| entry == on_card);
    }

    /// Completes all pending unloads with a status.
    pub fn end_all(&self, level: AtMostDispatch, status: NtStatus) {
        self.end(level, status, |_, _| true);
    }

    /// Completes the pending unloads of a stream with a status. When this returns none of them is left.
    pub fn end_stream(&self, kernel: &K, level: Passive, stream: u32, status: NtStatus) {
        self.end(level.into(), status, |_, of| of == stream);
        // A cancel routine on another processor is about to complete one.
        while self.entries.with(level.into(), |entries| entries.iter().any(|entry| entry.stream() == Some(stream))) {
            kernel.pause(level, 1);
        }
    }

    /// Completes the pending unload for which `is_meant` returns true. Called from its cancel routine.
    pub fn cancel(&self, level: AtMostDispatch, is_meant: impl Fn(&K::PendingRequest) -> bool) {
        let entry = self.entries.with(level, |entries| {
            take(entries, |entry| matches!(&entry.state, State::Pending { client, .. } if is_meant(client)))
        });
        if let Some(Entry { state: State::Pending { client, outcome, .. }, .. }) = entry {
            client.complete(level, outcome.unwrap_or(NtStatus::CANCELLED));
        }
    }

    /// Returns how many unloads are pending.
    pub fn pending(&self, level: AtMostDispatch) -> usize {
        self.entries.with(level, |entries| entries.iter().filter(|entry| entry.stream().is_some()).count())
    }

    /// Completes the unloads whose handle and stream fit, one after another, for each is completed without the lock.
    fn end(&self, level: AtMostDispatch, status: NtStatus, fits: impl Fn(u32, u32) -> bool) {
        while let Some(Entry { state: State::Pending { client, .. }, .. }) = self.entries.with(level, |entries| {
            take(entries, |entry| {
                let on_card = entry.on_card;
                let State::Pending { stream, client, outcome: outcome @ None } = &mut entry.state else { return false };
                if !fits(on_card, *stream) {
                    return false;
                }
                let is_ours = client.claim();
                if !is_ours {
                    *outcome = Some(status);
                }
                is_ours
            })
        }) {
            client.complete(level, status);
        }
    }
}

impl<W> Entry<W> {
    /// Returns the stream of a pending unload.
    const fn stream(&self) -> Option<u32> {
        match self.state {
            State::Requested { .. } => None,
            State::Pending { stream, .. } => Some(stream),
        }
    }
}

fn is_requested<W>(entry: &Entry<W>, on_card: u32) -> bool {
    entry.on_card == on_card && matches!(entry.state, State::Requested { .. })
}

/// Removes the first entry for which `is_meant` returns true.
fn take<W>(entries: &mut Vec<Entry<W>>, is_meant: impl FnMut(&mut Entry<W>) -> bool) -> Option<Entry<W>> {
    let place = entries.iter_mut().position(is_meant)?;
    // The order is of no importance. `Vec::swap_remove` would bring a panic path along.
    if let Some([first, .., last]) = entries.get_mut(place..) {
        core::mem::swap(first, last);
    }
    entries.pop()
}
