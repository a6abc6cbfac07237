//! Rules of what the kernel and the system's other modules give a driver: the image that is loaded, its imports, and the
//! functions of `ks.sys`, `drmk.sys`, `wmilib.sys` and `WppRecorder.sys`.
//!
//! As with the [services](super::services) of PortCls, a driver that uses none of it keeps them all.

use super::rules::{CheckMethod, Rule};

/// Number of the first.
pub const FIRST: u16 = 231;

/// Declares the table, and a constant for each rule.
macro_rules! kernel {
    ($($name:ident = $number:literal, $title:literal, $source:literal;)+) => {
        $(#[doc = $title] pub(crate) const $name: &Rule = &Rule { number: $number, title: $title, source: $source, check_method: CheckMethod::Always };)+

        /// Every rule of the kernel's modules, in order of number.
        pub const TABLE: &[&Rule] = &[$($name),+];
    };
}

kernel! {
    IMPORT_MODULE = 231,
        "each function is imported from a module that exports it",
        "D the DLL line of each function's page; import libraries of the WDK";
    IMAGE_CHECKSUM = 232,
        "the image carries the checksum of its file",
        "/RELEASE (Set the Checksum); PE Format, CheckSum";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_the_kernel_are_numbered_one_by_one_beyond_those_of_services() {
        assert!(TABLE.iter().zip(FIRST..).all(|(rule, number)| rule.number == number));
        assert!(crate::contract::services::TABLE.iter().all(|rule| rule.number < FIRST));
    }
}
