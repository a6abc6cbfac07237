//! Times as calendars have them.
#![allow(unsafe_code, reason = "structures of the Windows ABI")]

use crate::base::calendar::{self, TimeFields};
use crate::export_functions;

export_functions! {
    /// Calendar times.
    pub static EXPORTS;

    /// Converts a system time to its calendar form.
    [ANY] fn RtlTimeToTimeFields(time: *const i64, fields: *mut TimeFields) { fields.write(calendar::fields(*time as u64)) }

    /// Returns the system time of a calendar form.
    [ANY] fn RtlTimeFieldsToTime(fields: *const TimeFields, time: *mut i64) -> u8 {
        match calendar::time(&*fields) {
            Some(found) => { time.write(found as i64); 1 }
            None => 0,
        }
    }
}
