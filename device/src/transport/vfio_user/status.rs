//! The card's status as registers and as a page that the guest maps.

use std::sync::atomic::{Ordering, fence};

use card_spec::registers::STATUS_PAGE;
use card_spec::status_page::StatusPage;
use parking_lot::Mutex;
use vfio_user_card::Mapped;
use zerocopy::IntoBytes;

use crate::bus::StatusSink;

/// The latest status.
pub(super) struct Status {
    page: Option<Mapped>,
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Latest {
    /// The driver is up: before, what the card still publishes is of the one before.
    active: bool,
    sequence: u32,
    status: StatusPage,
}

impl Status {
    /// Returns a status that is all zero. `page` is where the guest maps it.
    pub(super) fn new(page: Option<Mapped>) -> Self {
        Self { page, latest: Mutex::default() }
    }

    /// Lets the card publish, or clears what it has published.
    pub(super) fn set_active(&self, active: bool) {
        let mut latest = self.latest.lock();
        latest.active = active;
        if !active {
            self.write(&mut latest, StatusPage::default());
        }
    }

    /// Returns the latest status.
    pub(super) fn read(&self) -> StatusPage {
        self.latest.lock().status
    }

    fn write(&self, latest: &mut Latest, status: StatusPage) {
        latest.status = status;
        let Some(page) = &self.page else { return };
        let odd = latest.sequence.wrapping_add(1);
        latest.sequence = latest.sequence.wrapping_add(2);
        let at = u64::from(STATUS_PAGE);
        let body = at.saturating_add(size_of::<u32>() as u64);
        // The page is mapped at that offset, so none of these fails.
        let _ = page.store(at, odd);
        fence(Ordering::SeqCst);
        let _ = page.write(body, status.as_bytes().get(size_of::<u32>()..).unwrap_or_default());
        let _ = page.store(at, latest.sequence);
    }
}

impl StatusSink for Status {
    fn publish(&self, status: &StatusPage) {
        let mut latest = self.latest.lock();
        if latest.active {
            self.write(&mut latest, *status);
        }
    }
}
