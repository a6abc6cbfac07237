//! A panic of the stand-in itself: its message on COM1, and a stop.

use alloc::format;
use core::panic::PanicInfo;

use super::line;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    line::send(format!("\r\nstand-in: {info}\r\n").as_bytes());
    loop {
        core::hint::spin_loop();
    }
}
