//! Handles Ctrl-C and other signals: the first has the library clean up and leave, the second ends the process at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level};

use crate::host::failure::Class;

static REQUESTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The number of the first signal; 0 before.
static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Installs the handlers. Children end with this process in either case (see [`crate::machine`]).
///
/// SIGXFSZ is ignored, so that a file which grows beyond the limit of file size fails in the call that makes it grow,
/// which says which file it is.
///
/// # Errors
/// The error of the kernel, which refuses a handler.
pub fn listen() -> std::io::Result<()> {
    let requested = REQUESTED.get_or_init(Arc::default);
    let by = SIGNAL.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: the first signal finds the flag down and only raises it.
        flag::register_conditional_shutdown(signal, Class::Interrupted.exit_code().into(), requested.clone())?;
        flag::register_usize(signal, by.clone(), signal as usize)?;
        flag::register(signal, requested.clone())?;
    }
    flag::register(SIGXFSZ, Arc::default())?;
    Ok(())
}

/// Tells whether a signal has interrupted the run.
#[must_use]
pub fn requested() -> bool {
    REQUESTED.get().is_some_and(|requested| requested.load(Ordering::Relaxed))
}

/// Returns the first signal as ` by SIGTERM`, for a message; nothing before.
#[must_use]
pub fn by_signal() -> String {
    let number = SIGNAL.get().map_or(0, |signal| signal.load(Ordering::Relaxed));
    let name = i32::try_from(number).ok().and_then(low_level::signal_name);
    name.map_or_else(String::new, |name| format!(" by {name}"))
}
