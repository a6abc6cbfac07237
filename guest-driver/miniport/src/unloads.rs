//! Clients that wait until nothing sounds any more from what they have unloaded.
//!
//! The card answers an unload with `PENDING` while a voice still sounds from it, and sends news when the last has ended.
//! The news may overtake the answer, so an unload is entered here before the card is asked. A client's request can also
//! be cancelled at any moment, by a routine on another processor: whoever takes the request from that routine ends it,
//! and if the routine is on its way already, it is the one that ends it.

use alloc::vec::Vec;

use portcls::NtStatus;

use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{Kernel, Waiting};
use crate::lock::Spin;

/// Most clients that wait at a time: as many downloads as sound in a dense piece, twice over. Whoever comes then is
/// answered at once, as a driver may always do; what sounds goes on to its end all the same.
pub const WAITING_MAX: usize = 64;

/// An unload of which the card has been told, or is being told.
struct Entry<W> {
    /// The card's handle.
    on_card: u32,
    state: State<W>,
}

enum State<W> {
    /// The card has not answered yet.
    Asked {
        /// The news has come already.
        is_over: bool,
    },
    /// A client waits.
    Waits {
        /// The stream that it asked on.
        stream: u32,
        client: W,
        /// How it ended while its canceller was on the way.
        outcome: Option<NtStatus>,
    },
}

/// What became of a client that was to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It waits. The request is not its asker's any more: it may be over already.
    Begun,
    /// There is nothing to wait for.
    Over,
    /// The client does not want to wait any more.
    Cancelled,
}

/// The waiting clients.
pub struct Unloads<K: Kernel> {
    entries: Spin<K, Vec<Entry<K::Waiting>>>,
}

impl<K: Kernel> Unloads<K> {
    /// None yet. `None`: no memory.
    pub fn new(kernel: &K) -> Option<Self> {
        let mut entries = Vec::new();
        entries.try_reserve_exact(WAITING_MAX).ok()?;
        Some(Self { entries: Spin::new(kernel, entries) })
    }

    /// The card is about to be asked to unload. False: nobody can wait for it.
    pub fn expect(&self, level: AtMostDispatch, on_card: u32) -> bool {
        self.entries.with(level, |entries| {
            let has_room = entries.len() < WAITING_MAX;
            if has_room {
                crate::downloads::push_within(entries, Entry { on_card, state: State::Asked { is_over: false } });
            }
            has_room
        })
    }

    /// Nobody waits for what was expected.
    pub fn forget(&self, level: AtMostDispatch, on_card: u32) {
        self.entries.with(level, |entries| _ = take(entries, |entry| is_asked(entry, on_card)));
    }

    /// The card has answered what was expected: something still sounds. The client waits for it, if it is not over.
    pub fn wait(&self, level: AtMostDispatch, on_card: u32, stream: u32, client: K::Waiting) -> Wait {
        self.entries.with(level, |entries| {
            let Some(entry) = entries.iter_mut().find(|entry| is_asked(entry, on_card)) else { return Wait::Over };
            let wait = match entry.state {
                State::Asked { is_over: true } => Wait::Over,
                _ if client.arm() => Wait::Begun,
                _ => Wait::Cancelled,
            };
            if wait == Wait::Begun {
                entry.state = State::Waits { stream, client, outcome: None };
            } else {
                _ = take(entries, |entry| is_asked(entry, on_card));
            }
            wait
        })
    }

    /// The card says that nothing sounds any more from what had this handle.
    pub fn over(&self, level: AtMostDispatch, on_card: u32) {
        self.entries.with(level, |entries| {
            if let Some(Entry { state: State::Asked { is_over }, .. }) =
                entries.iter_mut().find(|entry| is_asked(entry, on_card))
            {
                *is_over = true;
            }
        });
        self.end(level, NtStatus::SUCCESS, |entry, _| entry == on_card);
    }

    /// Ends the waiting of everybody.
    pub fn end_all(&self, level: AtMostDispatch, status: NtStatus) {
        self.end(level, status, |_, _| true);
    }

    /// Ends the waiting of those who asked on a stream. When this returns nobody who did so is known here any more.
    pub fn end_stream(&self, kernel: &K, level: Passive, stream: u32, status: NtStatus) {
        self.end(level.into(), status, |_, of| of == stream);
        // A canceller on another processor is about to end one by itself.
        while self.entries.with(level.into(), |entries| entries.iter().any(|entry| entry.stream() == Some(stream))) {
            kernel.pause(level, 1);
        }
    }

    /// The canceller of a client has come: the client that `is_meant` ends.
    pub fn cancel(&self, level: AtMostDispatch, is_meant: impl Fn(&K::Waiting) -> bool) {
        let entry = self.entries.with(level, |entries| {
            take(entries, |entry| matches!(&entry.state, State::Waits { client, .. } if is_meant(client)))
        });
        if let Some(Entry { state: State::Waits { client, outcome, .. }, .. }) = entry {
            client.complete(level, outcome.unwrap_or(NtStatus::CANCELLED));
        }
    }

    /// How many clients wait.
    pub fn waiting(&self, level: AtMostDispatch) -> usize {
        self.entries.with(level, |entries| entries.iter().filter(|entry| entry.stream().is_some()).count())
    }

    /// Ends those whose handle and stream fit, one after another, for each is completed without the lock.
    fn end(&self, level: AtMostDispatch, status: NtStatus, fits: impl Fn(u32, u32) -> bool) {
        while let Some(Entry { state: State::Waits { client, .. }, .. }) = self.entries.with(level, |entries| {
            take(entries, |entry| {
                let on_card = entry.on_card;
                let State::Waits { stream, client, outcome: outcome @ None } = &mut entry.state else { return false };
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
    /// The stream of the client that waits.
    const fn stream(&self) -> Option<u32> {
        match self.state {
            State::Asked { .. } => None,
            State::Waits { stream, .. } => Some(stream),
        }
    }
}

fn is_asked<W>(entry: &Entry<W>, on_card: u32) -> bool {
    entry.on_card == on_card && matches!(entry.state, State::Asked { .. })
}

/// Takes the first entry that is meant out.
fn take<W>(entries: &mut Vec<Entry<W>>, is_meant: impl FnMut(&mut Entry<W>) -> bool) -> Option<Entry<W>> {
    let place = entries.iter_mut().position(is_meant)?;
    // Their order is of no importance; `Vec::swap_remove` knows how to panic.
    if let Some([first, .., last]) = entries.get_mut(place..) {
        core::mem::swap(first, last);
    }
    entries.pop()
}
