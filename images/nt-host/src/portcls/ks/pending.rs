//! Property requests that handlers have and have not completed.

use alloc::collections::BTreeMap;

use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::kernel::lock::Lock;

/// How far a request in a driver's hands has got.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The handler runs.
    Called,
    /// The handler has returned `STATUS_PENDING`.
    Pending,
    /// The driver has completed it with this status, and its sender has not seen that yet.
    Completed(NTSTATUS),
}

/// A request in a driver's hands, and the stream that it was sent to.
pub(crate) struct Entry {
    /// How far it has got.
    pub(crate) state: State,
    /// The address of the stream, 0 for a filter.
    pub(crate) stream: usize,
}

/// The requests, by address.
static PENDING: Lock<BTreeMap<usize, Entry>> = Lock::new(BTreeMap::new());

/// Calls `body` with the requests, by address. At most at `DISPATCH_LEVEL`.
pub(crate) fn with<R>(body: impl FnOnce(&mut BTreeMap<usize, Entry>) -> R) -> R {
    PENDING.with(body)
}

/// Returns how many requests to a stream the driver keeps.
pub(crate) fn kept_of(stream: PVOID) -> usize {
    let is_kept = |entry: &&Entry| entry.stream == stream as usize && entry.state == State::Pending;
    with(|all| all.values().filter(is_kept).count())
}
