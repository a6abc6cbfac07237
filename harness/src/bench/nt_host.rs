//! The benchmark `nt-host`: the guest's boot, without card and driver.

use std::time::{Duration, Instant};

use guest_protocol::Request;
use guest_protocol::options::LOG;

use super::context::Context;
use super::error::BenchError;
use super::measurement::{Measurement, median};
use crate::testbed::session::SessionError;
use crate::testbed::{BareMachine, Provisioned, TestBedError};

/// Boots; the median is reported. Odd, so that it is one of them.
const REPEATS: usize = 5;

/// Memory of the guest, in bytes.
const BOOT_MEMORY: u64 = 128 << 20;

/// Measures, and passes each figure to `report`.
///
/// # Errors
/// [`BenchError::TestBed`] when the guest does not boot.
pub(super) fn run(context: &Context<'_>, report: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
    let (mut entered, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let (at_entry, at_ready) = boot(context.provisioned()?)?;
        entered.push(at_entry);
        ready.push(at_ready);
    }
    let firmware = median(entered);
    report(Measurement::new("nt-host/firmware", firmware, "ms"));
    report(Measurement::new("nt-host/boot", median(ready), "ms").against(firmware));
    Ok(())
}

/// Boots a guest without card and driver; returns the milliseconds until its first instruction and until it is ready.
pub(super) fn boot(provisioned: &Provisioned) -> Result<(f64, f64), BenchError> {
    let limit = Duration::from_secs(30);
    let begun = Instant::now();
    let bare = BareMachine::start(provisioned, BOOT_MEMORY, format!("{LOG}=error\n")).map_err(TestBedError::from)?;
    let (mut session, _scratch) = bare.into_session(limit).map_err(TestBedError::from)?;
    let mut serve = || {
        let ready = session.ready()?;
        let entered = session.entered.unwrap_or(ready);
        session.hello()?;
        session.done("shut down", Request::Shutdown)?;
        Ok((entered, ready))
    };
    let served = serve();
    let (entered, ready) =
        served.map_err(|error: SessionError| session.cause("boot the guest", TestBedError::from(error)))?;
    session.health.wait(limit);
    let since = |at: Instant| at.saturating_duration_since(begun).as_secs_f64() * 1000.0;
    Ok((since(entered), since(ready)))
}
