//! Finds the register that an access is for.

use card_spec::diagnosis::Diagnosis;
use card_spec::registers::{DEVICE, DEVICE_BYTES, REGISTERS, Register};

use crate::diagnosis::DriverError;

/// Where an access to BAR 0 goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A register.
    Register(&'static Register),
    /// The device configuration, from this byte on.
    Identity(usize),
}

/// Widths of accesses to the device configuration: those of its fields (virtio 1.2, section 4.1.3.1).
const IDENTITY_WIDTHS: [usize; 3] = [1, 2, 4];

/// The width that an error names as the right one for the device configuration.
const IDENTITY_WIDTH: u32 = 4;

/// Finds the target of an access.
///
/// # Errors
/// [`Diagnosis::REGISTER_ACCESS`], when no register takes it.
pub(super) fn locate(offset: u64, width: usize) -> Result<Target, DriverError> {
    let offset = u32::try_from(offset).unwrap_or(u32::MAX);
    let error = |right: u32| {
        let got = u32::try_from(width).unwrap_or(u32::MAX);
        Err(DriverError::new(Diagnosis::REGISTER_ACCESS).at(offset).expected(right, got))
    };
    if let Some(at) = offset.checked_sub(DEVICE).filter(|at| *at < DEVICE_BYTES) {
        let at = at as usize;
        let end = at.checked_add(width).filter(|end| *end <= DEVICE_BYTES as usize);
        let fits = end.is_some() && IDENTITY_WIDTHS.contains(&width) && at.is_multiple_of(width);
        return if fits { Ok(Target::Identity(at)) } else { error(IDENTITY_WIDTH) };
    }
    let below = REGISTERS.partition_point(|register| register.offset <= offset).checked_sub(1);
    let Some(register) = below.and_then(|index| REGISTERS.get(index)) else { return error(0) };
    let inside = offset.wrapping_sub(register.offset);
    if inside >= u32::from(register.width) {
        error(0)
    } else if inside == 0 && usize::from(register.width) == width {
        Ok(Target::Register(register))
    } else {
        error(register.width.into())
    }
}

#[cfg(test)]
mod tests {
    use card_spec::registers::{BAR_BYTES, COMMON, FILE, common, file};

    use super::*;

    #[test]
    fn each_register_takes_its_own_width_and_no_other() {
        for register in REGISTERS {
            for width in [1, 2, 4, 8] {
                let found = locate(register.offset.into(), width);
                if width == usize::from(register.width) {
                    assert_eq!(found, Ok(Target::Register(register)));
                } else {
                    let error = found.unwrap_err();
                    assert_eq!((error.expected, error.got), (register.width.into(), width as u32), "{}", register.name);
                }
            }
        }
    }

    #[test]
    fn an_access_beside_a_register_names_its_width_and_one_between_registers_none() {
        let expected = |offset: u32, width| locate(offset.into(), width).unwrap_err().expected;
        assert_eq!(expected(COMMON + common::DEVICE_FEATURE + 2, 2), 4);
        assert_eq!(expected(COMMON + 60, 4), 0);
        assert_eq!(expected(FILE + file::DIAGNOSIS + 4, 4), 0);
        assert_eq!(expected(BAR_BYTES, 4), 0);
        assert_eq!(locate(u64::MAX, 4).unwrap_err().expected, 0);
    }

    #[test]
    fn the_device_configuration_takes_the_widths_of_its_fields() {
        assert_eq!(locate((DEVICE + 4).into(), 2), Ok(Target::Identity(4)));
        assert_eq!(locate((DEVICE + DEVICE_BYTES - 4).into(), 4), Ok(Target::Identity(DEVICE_BYTES as usize - 4)));
        for (at, width) in [(1, 2), (2, 4), (0, 8), (DEVICE_BYTES - 2, 4)] {
            assert!(locate((DEVICE + at).into(), width).is_err(), "{width} bytes at {at}");
        }
    }
}
