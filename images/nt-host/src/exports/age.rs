//! Which functions are younger than an older Windows that this guest poses as.
//!
//! From the requirements on the functions' pages in the reference of the Windows Driver Kit ("Minimum supported client"). What is not listed
//! is in Windows 7 by its page, or has no page that says when it came.

/// A version of Windows: major, minor, build.
pub(super) type Version = (u32, u32, u32);

const EIGHT: Version = (6, 2, 0);
const EIGHT_ONE: Version = (6, 3, 0);
const TEN: Version = (10, 0, 0);
const TEN_1511: Version = (10, 0, 10586);
const TEN_1803: Version = (10, 0, 17134);
const TEN_2004: Version = (10, 0, 19041);

/// Functions that came after Windows 7, with the first Windows that has each.
const YOUNGER: &[(&str, Version)] = &[
    ("EtwSetInformation", TEN),
    ("ExAllocatePool2", TEN_2004),
    ("ExAllocatePool3", TEN_2004),
    ("ExAllocateTimer", EIGHT_ONE),
    ("ExCancelTimer", EIGHT_ONE),
    ("ExDeleteTimer", EIGHT_ONE),
    ("ExFreePool2", TEN_2004),
    ("ExSetTimer", EIGHT_ONE),
    ("IoGetDeviceInterfacePropertyData", EIGHT),
    ("IoOpenDriverRegistryKey", TEN_1803),
    ("IoSetDeviceInterfacePropertyData", EIGHT),
    ("KeQueryInterruptTimePrecise", EIGHT_ONE),
    ("KeQuerySystemTimePrecise", EIGHT),
    ("MmCopyMemory", EIGHT_ONE),
    ("MmMapIoSpaceEx", TEN),
    ("PcAddStreamResource", TEN),
    ("PcGetPhysicalDeviceObject", EIGHT),
    ("PcRegisterAdapterPnpManagement", TEN_1511),
    ("PcRemoveStreamResource", TEN),
    ("PcUnregisterAdapterPnpManagement", TEN_1511),
    ("PoFxActivateComponent", EIGHT),
    ("PoFxCompleteDevicePowerNotRequired", EIGHT),
    ("PoFxCompleteIdleCondition", EIGHT),
    ("PoFxCompleteIdleState", EIGHT),
    ("PoFxIdleComponent", EIGHT),
    ("PoFxPowerControl", EIGHT),
    ("PoFxRegisterDevice", EIGHT),
    ("PoFxReportDevicePoweredOn", EIGHT),
    ("PoFxSetComponentLatency", EIGHT),
    ("PoFxSetComponentResidency", EIGHT),
    ("PoFxSetComponentWake", EIGHT),
    ("PoFxSetDeviceIdleTimeout", EIGHT),
    ("PoFxStartDevicePowerManagement", EIGHT),
    ("PoFxUnregisterDevice", EIGHT),
];

/// Returns the first Windows that has a function, where that is younger than another.
pub(super) fn younger_than(windows: Version, name: &str) -> Option<Version> {
    let since = YOUNGER.iter().find(|(known, _)| *known == name).map(|(_, since)| *since)?;
    (since > windows).then_some(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_windows_lacks_what_is_younger() {
        assert_eq!(younger_than((6, 1, 7601), "MmCopyMemory"), Some(EIGHT_ONE));
        assert_eq!(younger_than((6, 3, 9600), "MmCopyMemory"), None);
        assert_eq!(younger_than((6, 3, 9600), "ExAllocatePool2"), Some(TEN_2004));
        assert_eq!(younger_than((10, 0, 19045), "ExAllocatePool2"), None);
        assert_eq!(younger_than((6, 1, 7601), "KeSetEvent"), None);
        assert!(YOUNGER.is_sorted(), "one place for each name");
    }
}
