//! The boot of the NT host, timed.

use std::time::{Duration, Instant};

use guest_protocol::Request;

use super::context::Context;
use super::error::BenchError;
use super::measurement::{Measurement, REPEATS, median};
use crate::testbed::session::SessionError;
use crate::testbed::{BareMachine, Provisioned, TestBedError};

/// Memory of a guest that only boots, in bytes.
const BOOT_MEMORY: u64 = 128 << 20;

/// Measures the time from QEMU's start until the NT host serves.
pub(super) fn run(context: &Context<'_>, say: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
    let (mut entered, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let (at_entry, at_ready) = boot(context.provisioned()?)?;
        entered.push(at_entry);
        ready.push(at_ready);
    }
    let firmware = median(entered);
    say(Measurement::new("nt-host/firmware", firmware, "ms"));
    say(Measurement::new("nt-host/boot", median(ready), "ms").against(firmware));
    Ok(())
}

/// Boots a guest without card and driver. Returns the milliseconds until its first instruction, and until it serves.
fn boot(provisioned: &Provisioned) -> Result<(f64, f64), BenchError> {
    let limit = Duration::from_secs(30);
    let begun = Instant::now();
    let bare = BareMachine::start(provisioned, BOOT_MEMORY, "log=error\n".into()).map_err(TestBedError::from)?;
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
