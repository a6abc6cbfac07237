//! A client's pending request.

use std::sync::{Arc, Mutex};
use std::vec::Vec;

use portcls::NtStatus;

use crate::irql::AtMostDispatch;
use crate::kernel::PendingRequest;

/// The state of a request.
#[derive(Debug, Default)]
struct State {
    /// It has a cancel routine.
    is_armed: bool,
    is_cancelled: bool,
    /// The statuses that it was completed with: more than one is a driver bug.
    completed: Vec<NtStatus>,
}

/// A request that may stay pending. Each clone is the same request.
#[derive(Clone, Debug, Default)]
pub struct FakePendingRequest(Arc<Mutex<State>>);

impl FakePendingRequest {
    /// Cancels it, as a system does. True: the caller must call its cancel routine.
    #[must_use]
    pub fn cancel(&self) -> bool {
        self.with(|state| {
            state.is_cancelled = true;
            core::mem::take(&mut state.is_armed)
        })
    }

    /// Returns the status that it was completed with. `None`: it is pending.
    ///
    /// # Panics
    /// When it was completed twice.
    #[must_use]
    pub fn completed(&self) -> Option<NtStatus> {
        self.with(|state| {
            assert!(state.completed.len() <= 1, "a request is completed once");
            state.completed.first().copied()
        })
    }

    /// Returns whether both are the same request.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl PendingRequest for FakePendingRequest {
    fn arm(&self) -> bool {
        self.with(|state| {
            state.is_armed = !state.is_cancelled;
            state.is_armed
        })
    }

    fn claim(&self) -> bool {
        self.with(|state| core::mem::take(&mut state.is_armed))
    }

    fn complete(self, _: AtMostDispatch, status: NtStatus) {
        self.with(|state| {
            assert!(!state.is_armed, "a request is completed without a cancel routine");
            state.completed.push(status);
        });
    }
}
