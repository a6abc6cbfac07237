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
    CONTENT_ID = 233,
        "a content id is destroyed once, by the driver that DrmCreateContentMixed gave it",
        "D nf-drmk-drmdestroycontent, nf-portcls-pcdestroycontent";
    RECORDER_LOG = 234,
        "a recorder log is used between its creation and its deletion",
        "D nf-wpprecorder-wpprecorderlogcreate, nf-wpprecorder-wpprecorderlogdelete";
    WMI_CONTEXT = 235,
        "a WMILIB_CONTEXT has its list of GUIDs, QueryWmiRegInfo and QueryWmiDataBlock",
        "D ns-wmilib-_wmilib_context";
    WMI_COMPLETION = 236,
        "WmiCompleteRequest gets a WMI request and no more bytes than its buffer has, and not from DpWmiQueryRegInfo",
        "D nf-wmilib-wmicompleterequest";
    KS_HEADER = 237,
        "a device or object header of ks.sys is one that was allocated and not freed",
        "D nf-ks-ksallocatedeviceheader, nf-ks-ksfreedeviceheader, nf-ks-ksallocateobjectheader, nf-ks-ksfreeobjectheader";
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
