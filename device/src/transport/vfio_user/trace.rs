//! Names each register access in the log, with its decoded fields (level `trace`).

use std::fmt::Write as _;

use card_trace::register_fields;

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
            let fields = register_fields(register.offset, value);
            if !fields.is_empty() {
                let _ = write!(line, " ({fields})");
            }
            line
        }
    }
}

#[cfg(test)]
mod tests {
    use card_spec::registers::{COMMON, FILE, common, file};

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
