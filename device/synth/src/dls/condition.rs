//! Conditional chunks (`cdl `, DLS-1 v1.1b and DLS-2.2): a small stack machine that decides whether the list around it
//! counts.

use super::bytes::{u16_at, u32_at};

/// A DLS identifier, in the byte order of the file.
pub(crate) type Guid = [u8; 16];

/// Most entries of the stack. The specification requires eight.
const STACK_MAX: usize = 32;

const TRUE: u32 = u32::MAX;

/// `DLSID_*` in file order: the same identifiers as DirectMusic's `GUID_DMUS_PROP_*`.
pub(crate) mod property {
    use super::Guid;

    const fn roland(first: u8) -> Guid {
        [first, 0x2F, 0x8F, 0x17, 0x64, 0xC3, 0xD1, 0x11, 0xA7, 0x60, 0x00, 0x00, 0xF8, 0x75, 0xAC, 0x12]
    }

    const fn makers(first: u8) -> Guid {
        [first, 0x11, 0x3E, 0xB0, 0x95, 0x80, 0xD2, 0x11, 0xA1, 0xEF, 0x00, 0x60, 0x08, 0x33, 0xDB, 0xD8]
    }

    /// `DLSID_GMInHardware`.
    pub(crate) const GM_IN_HARDWARE: Guid = roland(0x24);
    /// `DLSID_GSInHardware`.
    pub(crate) const GS_IN_HARDWARE: Guid = roland(0x25);
    /// `DLSID_XGInHardware`.
    pub(crate) const XG_IN_HARDWARE: Guid = roland(0x26);
    /// `DLSID_SupportsDLS1`.
    pub(crate) const SUPPORTS_DLS1: Guid = roland(0x27);
    /// `DLSID_SampleMemorySize`.
    pub(crate) const SAMPLE_MEMORY_SIZE: Guid = roland(0x28);
    /// `DLSID_SupportsDLS2`.
    pub(crate) const SUPPORTS_DLS2: Guid =
        [0xE5, 0x99, 0x45, 0xF1, 0x89, 0x46, 0xD2, 0x11, 0xAF, 0xA6, 0x00, 0xAA, 0x00, 0x24, 0xD8, 0xB6];
    /// `DLSID_ManufacturersID`.
    pub(crate) const MANUFACTURERS_ID: Guid = makers(0x81);
    /// `DLSID_ProductID`.
    pub(crate) const PRODUCT_ID: Guid = makers(0x82);
    /// `DLSID_SamplePlaybackRate`.
    pub(crate) const SAMPLE_PLAYBACK_RATE: Guid =
        [0x13, 0xF7, 0x91, 0x2A, 0xBF, 0xA4, 0xD2, 0x11, 0xBB, 0xDF, 0x00, 0x60, 0x08, 0x33, 0xDB, 0xD8];
}

/// Returns the synthesizer's answer to a query. `None`: it does not know the property.
///
/// The playback rate is queried when a collection is read, which may be long before a synthesizer with a rate exists:
/// it is answered with the default rate.
pub(crate) fn query(id: &Guid) -> Option<u32> {
    Some(match *id {
        property::SUPPORTS_DLS1 | property::SUPPORTS_DLS2 => TRUE,
        property::GM_IN_HARDWARE | property::GS_IN_HARDWARE | property::XG_IN_HARDWARE => 0,
        property::SAMPLE_MEMORY_SIZE => crate::limits::DOWNLOAD_MEMORY_DEFAULT,
        property::MANUFACTURERS_ID | property::PRODUCT_ID => 0,
        property::SAMPLE_PLAYBACK_RATE => crate::SynthConfig::default().sample_rate,
        _ => return None,
    })
}

/// Runs a `cdl ` chunk. `None` for a program that cannot be run (unknown opcode, empty stack, a stack too deep, cut
/// short): it counts as false, since what it guards is for another device.
pub(crate) fn holds(program: &[u8]) -> Option<bool> {
    run(program).map(|top| top != 0)
}

fn run(program: &[u8]) -> Option<u32> {
    let mut stack: Vec<u32> = Vec::with_capacity(STACK_MAX);
    let mut at = 0;
    while at + 2 <= program.len() {
        let opcode = u16_at(program, at)?;
        at += 2;
        let value = match opcode {
            0x01..=0x0E => {
                let x = stack.pop()?;
                let y = stack.pop()?;
                binary(opcode, x, y)
            }
            0x0F => truth(stack.pop()? == 0),
            0x10 => {
                at += 4;
                u32_at(program, at - 4)?
            }
            0x11 | 0x12 => {
                let id = program.get(at..)?.first_chunk::<16>()?;
                at += 16;
                if opcode == 0x11 { query(id).unwrap_or(0) } else { truth(query(id).is_some()) }
            }
            _ => return None,
        };
        if stack.len() == STACK_MAX {
            return None;
        }
        stack.push(value);
    }
    stack.pop()
}

fn truth(condition: bool) -> u32 {
    if condition { TRUE } else { 0 }
}

/// Applies an operator: `x` is the top of the stack, `y` the value below it; the result is `x op y`.
fn binary(opcode: u16, x: u32, y: u32) -> u32 {
    match opcode {
        0x01 => x & y,
        0x02 => x | y,
        0x03 => x ^ y,
        0x04 => x.wrapping_add(y),
        0x05 => x.wrapping_sub(y),
        0x06 => x.wrapping_mul(y),
        0x07 => x.checked_div(y).unwrap_or(0),
        0x08 => truth(x != 0 && y != 0),
        0x09 => truth(x != 0 || y != 0),
        0x0A => truth(x < y),
        0x0B => truth(x <= y),
        0x0C => truth(x > y),
        0x0D => truth(x >= y),
        _ => truth(x == y),
    }
}
