//! A client's request that waits.

use std::sync::{Arc, Mutex};
use std::vec::Vec;

use portcls::NtStatus;

use crate::irql::AtMostDispatch;
use crate::kernel::Waiting;

/// What has happened to a request.
#[derive(Debug, Default)]
struct Inside {
    /// Its canceller may come.
    is_armed: bool,
    /// It was cancelled.
    is_cancelled: bool,
    /// How it was completed: once, one hopes.
    completed: Vec<NtStatus>,
}

/// A request: each clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Client(Arc<Mutex<Inside>>);

impl Client {
    /// Cancels it, as a system does. True: its canceller is on its way, and is to be called.
    #[must_use]
    pub fn cancel(&self) -> bool {
        self.with(|inside| {
            inside.is_cancelled = true;
            core::mem::take(&mut inside.is_armed)
        })
    }

    /// How it was completed; `None`: it was not.
    ///
    /// # Panics
    /// When it was completed twice.
    #[must_use]
    pub fn completed(&self) -> Option<NtStatus> {
        self.with(|inside| {
            assert!(inside.completed.len() <= 1, "a request is completed once");
            inside.completed.first().copied()
        })
    }

    /// Whether two are the same request.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn with<R>(&self, work: impl FnOnce(&mut Inside) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Waiting for Client {
    fn arm(&self) -> bool {
        self.with(|inside| {
            inside.is_armed = !inside.is_cancelled;
            inside.is_armed
        })
    }

    fn claim(&self) -> bool {
        self.with(|inside| core::mem::take(&mut inside.is_armed))
    }

    fn complete(self, _: AtMostDispatch, status: NtStatus) {
        self.with(|inside| {
            assert!(!inside.is_armed, "a request is completed with its canceller armed");
            inside.completed.push(status);
        });
    }
}
