//! Names each register access in the log, with its decoded fields (level `trace`).

use std::fmt::Write as _;

use card_spec::diagnosis::Diagnosis;
use card_spec::feature;
use card_spec::registers::{
    CAUSE_DIAGNOSED, COMMON, DIAGNOSIS_CODE_SHIFT, FILE, NO_VECTOR, common, device_status, file, state,
};

use super::access::Target;

/// The direction of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Read,
    Write,
}

/// Logs an access that a register has taken.
pub(super) fn access(verb: Verb, target: Target, width: usize, value: u32) {
    if !log::log_enabled!(log::Level::Trace) {
        return;
    }
    log::trace!("{}", describe(verb, target, width, value));
}

/// Describes an access in one line.
pub(super) fn describe(verb: Verb, target: Target, width: usize, value: u32) -> String {
    let digits = width.saturating_mul(2);
    let verb = if verb == Verb::Read { "read " } else { "write" };
    match target {
        Target::Identity(at) => {
            format!("{verb} device configuration+{at:#04x} = {value:#0w$x}", w = digits.saturating_add(2))
        }
        Target::Register(register) => {
            let mut line = format!("{verb} {} = {value:#0w$x}", register.name, w = digits.saturating_add(2));
            let fields = fields(register.offset, value);
            if !fields.is_empty() {
                let _ = write!(line, " ({fields})");
            }
            line
        }
    }
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

/// Returns the fields of a value; empty for a register that is one number.
fn fields(offset: u32, value: u32) -> String {
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
            let queue = card_spec::queue::Queue((value >> 16) as u16);
            format!("{} on {queue}", Diagnosis(value as u16))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::access::locate;
    use super::*;

    #[test]
    fn a_line_has_the_register_its_value_and_its_fields() {
        let line = |verb, offset: u32, width: usize, value| {
            describe(verb, locate(offset.into(), width).unwrap(), width, value)
        };
        let status = COMMON + common::DEVICE_STATUS;
        assert_eq!(line(Verb::Write, status, 1, 3), "write device_status = 0x03 (ACKNOWLEDGE DRIVER)");
        assert_eq!(line(Verb::Write, status, 1, 0), "write device_status = 0x00 (reset)");
        assert_eq!(line(Verb::Read, FILE + file::CAUSE, 4, 9), "read  CAUSE = 0x00000009 (control wave)");
        assert_eq!(
            line(Verb::Read, COMMON + common::QUEUE_MSIX_VECTOR, 2, 0xffff),
            "read  queue_msix_vector = 0xffff (no vector)"
        );
        assert_eq!(line(Verb::Read, FILE + file::SCRATCH, 4, 7), "read  SCRATCH = 0x00000007");
        assert_eq!(
            line(Verb::Read, card_spec::registers::DEVICE + 4, 2, 1),
            "read  device configuration+0x04 = 0x0001"
        );
    }
}
