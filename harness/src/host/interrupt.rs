//! Ctrl-C and its relatives: the first asks the engine to clean up and leave, the second leaves at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level};

use crate::host::failure::Class;

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The signal that asked first, by its number; 0 before.
static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Listens from now on. Children die with this process in either case (see [`crate::machine`]).
///
/// A file that grows beyond the limit of file size must fail in the call that makes it grow, which says which file it is;
/// without a handler its signal would end this process without a word.
///
/// # Errors
/// The kernel's, when it does not let us listen.
pub fn listen() -> std::io::Result<()> {
    let asked = ASKED.get_or_init(Arc::default);
    let by = SIGNAL.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: the first signal finds the flag down and only raises it.
        flag::register_conditional_shutdown(signal, Class::Interrupted.exit_code().into(), asked.clone())?;
        flag::register_usize(signal, by.clone(), signal as usize)?;
        flag::register(signal, asked.clone())?;
    }
    flag::register(SIGXFSZ, Arc::default())?;
    Ok(())
}

/// The user has asked to leave.
#[must_use]
pub fn asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
}

/// The signal by which the user has asked, as `by SIGTERM`, for a message; nothing before.
#[must_use]
pub fn by_signal() -> String {
    let number = SIGNAL.get().map_or(0, |signal| signal.load(Ordering::Relaxed));
    let name = i32::try_from(number).ok().and_then(low_level::signal_name);
    name.map_or_else(String::new, |name| format!(" by {name}"))
}
