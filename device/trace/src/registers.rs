//! Names registers and the fields of their values.

use card_spec::diagnosis::Diagnosis;
use card_spec::feature;
use card_spec::queue::Queue;
use card_spec::registers::{
    CAUSE_DIAGNOSED, COMMON, DEVICE, DEVICE_BYTES, DIAGNOSIS_CODE_SHIFT, FILE, NO_VECTOR, REGISTERS, common,
    device_status, file, state,
};

/// Returns the name of the register at an offset of BAR 0, or of the place in the device configuration; `None` where there is
/// neither.
#[must_use]
pub fn name(offset: u32) -> Option<String> {
    if let Some(at) = offset.checked_sub(DEVICE).filter(|at| *at < DEVICE_BYTES) {
        return Some(format!("device configuration+{at:#04x}"));
    }
    let register = REGISTERS.iter().find(|register| register.offset == offset)?;
    Some(register.name.to_owned())
}

/// Bits with their names.
type Names = &'static [(u32, &'static str)];

const DEVICE_STATUS: Names = &[
    (device_status::ACKNOWLEDGE as u32, "ACKNOWLEDGE"),
    (device_status::DRIVER as u32, "DRIVER"),
    (device_status::FEATURES_OK as u32, "FEATURES_OK"),
    (device_status::DRIVER_OK as u32, "DRIVER_OK"),
    (device_status::NEEDS_RESET as u32, "DEVICE_NEEDS_RESET"),
    (device_status::FAILED as u32, "FAILED"),
];

const STATE: Names = &[
    (state::DRIVER_OK, "driver-ok"),
    (state::BUS_MASTER, "bus-master"),
    (state::MSIX, "msi-x"),
    (state::LOCKSTEP, "lockstep"),
    (1 << state::RING_SHIFT, "control-runs"),
    (2 << state::RING_SHIFT, "midi-out-runs"),
    (4 << state::RING_SHIFT, "midi-in-runs"),
    (8 << state::RING_SHIFT, "wave-runs"),
    (16 << state::RING_SHIFT, "event-runs"),
    (0x1f << state::PARKED_SHIFT, "rings-parked"),
];

const CAUSE: Names =
    &[(1, "control"), (2, "midi-out"), (4, "midi-in"), (8, "wave"), (16, "event"), (CAUSE_DIAGNOSED, "diagnosed")];

const FEATURES_LOW: Names =
    &[(feature::INDIRECT_DESC as u32, "INDIRECT_DESC"), (feature::EVENT_IDX as u32, "EVENT_IDX")];

/// Returns the names of the bits that are set.
fn bits(value: u32, names: Names) -> String {
    let set = names.iter().filter(|(bit, _)| value & bit != 0).map(|(_, name)| *name);
    set.collect::<Vec<_>>().join(" ")
}

/// Returns the fields of a value of the register at an offset of BAR 0, in words; empty for a register that is one number.
#[must_use]
pub fn fields(offset: u32, value: u32) -> String {
    let code = Diagnosis((value >> DIAGNOSIS_CODE_SHIFT) as u16);
    match offset {
        _ if offset == COMMON.wrapping_add(common::DEVICE_STATUS) && value == 0 => "reset".into(),
        _ if offset == COMMON.wrapping_add(common::DEVICE_STATUS) => bits(value, DEVICE_STATUS),
        _ if offset == COMMON.wrapping_add(common::DEVICE_FEATURE)
            || offset == COMMON.wrapping_add(common::DRIVER_FEATURE) =>
        {
            bits(value, FEATURES_LOW)
        }
        _ if offset == COMMON.wrapping_add(common::CONFIG_MSIX_VECTOR)
            || offset == COMMON.wrapping_add(common::QUEUE_MSIX_VECTOR) =>
        {
            if value == u32::from(NO_VECTOR) {
                "no vector".into()
            } else {
                format!("vector {value}")
            }
        }
        _ if offset == FILE.wrapping_add(file::STATE) => bits(value, STATE),
        _ if offset == FILE.wrapping_add(file::CAUSE) => bits(value, CAUSE),
        _ if offset == FILE.wrapping_add(file::DIAGNOSIS) => code.to_string(),
        _ if offset == FILE.wrapping_add(file::ERROR) => {
            let queue = Queue((value >> 16) as u16);
            format!("{} on {queue}", Diagnosis(value as u16))
        }
        _ => String::new(),
    }
}
