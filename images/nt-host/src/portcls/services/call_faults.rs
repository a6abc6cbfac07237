//! Makes a call of PortCls' services fail, by its number.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::portcls::kernel::lock::Lock;

/// Calls of PortCls' services until one fails; 0: none does.
static COUNTDOWN: AtomicU32 = AtomicU32::new(0);

/// Which service failed last.
static FAILED: Lock<Option<&'static str>> = Lock::new(None);

/// Makes the `number`-th call from now of a service that can fail fail, counted from 1; 0 for none.
pub(crate) fn fail_call(number: u32) {
    FAILED.with(|failed| *failed = None);
    COUNTDOWN.store(number, Ordering::Relaxed);
}

/// Returns the service that was made to fail since [`fail_call`].
pub(crate) fn failed() -> Option<&'static str> {
    FAILED.with(|failed| *failed)
}

/// Returns whether this call must fail. Each service of PortCls that can fail calls it first of all.
pub(crate) fn must_fail(service: &'static str) -> bool {
    let counted = COUNTDOWN.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    let fails = counted == Ok(1);
    if fails {
        FAILED.with(|failed| *failed = Some(service));
    }
    fails
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fails_the_call_of_the_given_number_and_no_other() {
        fail_call(2);
        assert!(!must_fail("first"));
        assert_eq!(failed(), None);
        assert!(must_fail("second"));
        assert!(!must_fail("third"));
        assert_eq!(failed(), Some("second"));
        fail_call(0);
        assert!(!must_fail("fourth"));
    }
}
