//! Expectations of a running test bed.

use std::fmt::Debug;
use std::ops::RangeBounds;

use super::bed::TestBed;
use super::error::TestBedError;

impl TestBed<'_> {
    /// Expects the number of interrupts that the device has raised since the guest booted to be in a range.
    ///
    /// # Errors
    /// [`TestBedError::Expectation`] for another number; [`TestBedError::Session`] for a guest that does not answer.
    pub fn expect_interrupts(&mut self, range: impl RangeBounds<u64> + Debug) -> Result<u64, TestBedError> {
        let found = self.session.statistics()?.interrupts;
        if range.contains(&found) {
            return Ok(found);
        }
        Err(TestBedError::Expectation { expected: format!("{range:?} interrupts"), found: found.to_string() })
    }

    /// Expects the card to have found nothing wrong with the driver since the driver opened its session.
    ///
    /// # Errors
    /// [`TestBedError::Expectation`] with the first error that the card found; [`TestBedError::Control`] for a card that
    /// does not answer.
    pub fn expect_no_diagnosis(&self) -> Result<(), TestBedError> {
        let diagnosis = self.the_card()?.status().map_err(TestBedError::Control)?.diagnosis;
        match diagnosis.first {
            None => Ok(()),
            Some(first) => Err(TestBedError::Expectation {
                expected: "no diagnosis of the card".into(),
                found: format!("{}, first {}: {}", diagnosis.count, first.code, first.text),
            }),
        }
    }

    /// Expects what the guest has logged or printed so far to contain a text.
    ///
    /// # Errors
    /// [`TestBedError::Expectation`] where it does not, or the test bed keeps no logs; [`TestBedError::Session`] for a guest
    /// that does not answer.
    pub fn expect_log(&mut self, text: &str) -> Result<(), TestBedError> {
        // The reply comes after every line that the guest has sent before.
        self.session.statistics()?;
        let log = self.console_text().unwrap_or_default();
        if log.contains(text) {
            return Ok(());
        }
        let last = log.lines().last().unwrap_or("nothing").to_owned();
        Err(TestBedError::Expectation { expected: format!("a line of the guest with \"{text}\""), found: last })
    }
}
