//! UTF-16 text.

use alloc::string::String;
use alloc::vec::Vec;

/// Returns text as UTF-16 with a zero at its end. Zeros inside end it for every function of Windows.
pub(super) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Returns UTF-16 text up to its first zero.
pub(super) fn narrow(text: &[u16]) -> String {
    let end = text.iter().position(|unit| *unit == 0).unwrap_or(text.len());
    String::from_utf16_lossy(&text[..end])
}
