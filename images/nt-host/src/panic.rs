//! Mistakes of the host itself, kept apart from the driver's.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use guest_protocol::exit;

use crate::arch::cpu;
use crate::bugcheck::{self, Report};

static PANICKING: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    x86_64::instructions::interrupts::disable();
    if PANICKING.swap(true, Ordering::Relaxed) {
        cpu::exit(exit::GUEST_FAILED);
    }
    let at = info.location().map(|l| (l.file(), l.line())).unwrap_or(("?", 0));
    bugcheck::stop(Report {
        code: bugcheck::MANUALLY_INITIATED_CRASH,
        name: Some("NT_HOST_FAILED"),
        parameters: [0; 4],
        rule: None,
        function: "nt-host",
        message: format_args!(
            "the guest itself failed, not the driver: {} ({}:{}). Please report this.",
            info.message(),
            at.0,
            at.1
        ),
        context: None,
    })
}
