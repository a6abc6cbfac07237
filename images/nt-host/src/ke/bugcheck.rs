//! The bug checks that a driver asks for.
#![allow(unsafe_code, reason = "exported functions")]

use crate::bugcheck::{self, Report};
use crate::export_functions;

fn by_driver(function: &'static str, code: u32, parameters: [u64; 4]) -> ! {
    bugcheck::stop(Report {
        code,
        name: None,
        parameters,
        rule: None,
        function,
        message: format_args!("the driver called {function}"),
        context: None,
    })
}

export_functions! {
    /// Bug checks.
    pub static EXPORTS;

    /// Stops the system.
    [ANY] fn KeBugCheck(code: u32) { by_driver("KeBugCheck", code, [0; 4]) }

    /// Stops the system.
    [ANY] fn KeBugCheckEx(code: u32, a: u64, b: u64, c: u64, d: u64) { by_driver("KeBugCheckEx", code, [a, b, c, d]) }

}
