//! Ctrl-C and its relatives: the first asks the engine to clean up and leave, the second leaves at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::Class;

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Listens from now on. Children die with this process in either case (see [`crate::machine`]).
///
/// # Errors
/// The kernel's, when it does not let us listen.
pub fn listen() -> std::io::Result<()> {
    let asked = ASKED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: the first signal finds the flag down and only raises it.
        flag::register_conditional_shutdown(signal, Class::Interrupted.exit_code().into(), asked.clone())?;
        flag::register(signal, asked.clone())?;
    }
    Ok(())
}

/// The user has asked to leave.
#[must_use]
pub fn asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
}
