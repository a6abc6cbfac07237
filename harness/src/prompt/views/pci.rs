//! The functions of the PCI bus, with their capabilities (PCI Local Bus 3.0, chapter 6; virtio 1.2, section 4.1.4).

use guest_protocol::{Book, Inspection, PciFunction};
use serde_json::{Value, json};

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;
use super::guest::{book, other_book};
use crate::document::nearest;

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const CAPABILITIES: usize = 0x34;
/// The status register's bit that says that there is a list of capabilities.
const HAS_CAPABILITIES: u16 = 1 << 4;
/// Most capabilities of a function: its 192 bytes behind the header, four each.
const CAPABILITIES_MAX: usize = 48;

const COMMAND_BITS: [(u16, &str); 6] =
    [(1, "io"), (2, "memory"), (4, "bus-master"), (0x40, "parity"), (0x100, "serr"), (0x400, "intx-off")];

fn byte(config: &[u8], at: usize) -> u8 {
    config.get(at).copied().unwrap_or(0xff)
}

/// Returns 16 bits of configuration space.
pub(super) fn word(config: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([byte(config, at), byte(config, at + 1)])
}

/// Returns 32 bits of configuration space.
pub(super) fn dword(config: &[u8], at: usize) -> u32 {
    u32::from(word(config, at)) | u32::from(word(config, at + 2)) << 16
}

/// Returns the capabilities: the place of each.
pub(super) fn capabilities(config: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    if word(config, STATUS) & HAS_CAPABILITIES == 0 {
        return found;
    }
    let mut at = usize::from(byte(config, CAPABILITIES) & !3);
    while (0x40..0x100).contains(&at) && found.len() < CAPABILITIES_MAX && !found.contains(&at) {
        found.push(at);
        at = usize::from(byte(config, at + 1) & !3);
    }
    found
}

/// A structure of virtio in a BAR.
pub(super) struct VirtioStructure {
    /// Its type.
    pub(super) kind: u8,
    /// The BAR.
    pub(super) bar: u8,
    /// Where it begins.
    pub(super) offset: u32,
    /// Bytes.
    pub(super) bytes: u32,
}

/// Reads a vendor capability as virtio has it.
pub(super) fn virtio(config: &[u8], at: usize) -> Option<VirtioStructure> {
    let is = byte(config, at) == 0x09 && byte(config, at + 2) >= 16 && word(config, 0) == 0x1af4;
    is.then(|| VirtioStructure {
        kind: byte(config, at + 3),
        bar: byte(config, at + 4),
        offset: dword(config, at + 8),
        bytes: dword(config, at + 12),
    })
}

const fn virtio_name(kind: u8) -> &'static str {
    match kind {
        1 => "common configuration",
        2 => "notifications",
        3 => "interrupt status",
        4 => "device configuration",
        5 => "configuration access",
        8 => "shared memory",
        _ => "another structure",
    }
}

/// Puts a capability into words.
fn capability(config: &[u8], at: usize) -> String {
    let control = word(config, at + 2);
    let on = |bit: u16| if control & bit != 0 { "on" } else { "off" };
    match byte(config, at) {
        0x01 => {
            let state = word(config, at + 4) & 3;
            format!("power management: version {}, D{state}{}", control & 7, if state == 3 { "hot" } else { "" })
        }
        0x05 => format!(
            "MSI: {}, {} of {} vectors, {} bits",
            on(1),
            1 << (control >> 4 & 7),
            1 << (control >> 1 & 7),
            if control & 0x80 == 0 { 32 } else { 64 }
        ),
        0x09 => match virtio(config, at) {
            Some(VirtioStructure { kind, bar, offset, bytes }) => {
                format!("virtio: {}, BAR {bar}+{offset:#x}, {bytes:#x} bytes", virtio_name(kind))
            }
            None => format!("vendor specific, {} bytes", byte(config, at + 2)),
        },
        0x0d => format!("subsystem {:04x}:{:04x}", word(config, at + 4), word(config, at + 6)),
        0x10 => format!("PCI Express: version {}, port type {}", control & 15, control >> 4 & 15),
        0x11 => {
            let (table, pending) = (dword(config, at + 4), dword(config, at + 8));
            format!(
                "MSI-X: {}{}, {} vectors, table in BAR {}+{:#x}, pending bits in BAR {}+{:#x}",
                on(0x8000),
                if control & 0x4000 != 0 { ", all masked" } else { "" },
                (control & 0x7ff) + 1,
                table & 7,
                table & !7,
                pending & 7,
                pending & !7
            )
        }
        0x13 => "advanced features: function-level reset".into(),
        other => format!("capability {other:#04x}"),
    }
}

fn details(function: &PciFunction) -> (String, Value) {
    let config = &function.config;
    let command = word(config, COMMAND);
    let set: Vec<&str> = COMMAND_BITS.iter().filter(|(bit, _)| command & bit != 0).map(|(_, name)| *name).collect();
    let mut lines = vec![
        summary(function),
        format!("  command {command:#06x} ({}), status {:#06x}", set.join(" "), word(config, STATUS)),
        format!(
            "  subsystem {:04x}:{:04x}, revision {:02x}",
            word(config, 0x2c),
            word(config, 0x2e),
            byte(config, 0x08)
        ),
    ];
    let pin = byte(config, 0x3d);
    if (1..=4).contains(&pin) {
        lines.push(format!("  interrupts by INT{}, line {}", char::from(b'A' + pin - 1), byte(config, 0x3c)));
    }
    lines.extend(function.bars.iter().map(|bar| {
        let kind = if bar.io { "ports" } else { "memory" };
        format!("  BAR {}: {kind} {:#x}, {:#x} bytes", bar.index, bar.base, bar.bytes)
    }));
    let found: Vec<(usize, String)> = capabilities(config).into_iter().map(|at| (at, capability(config, at))).collect();
    lines.extend(found.iter().map(|(at, text)| format!("  [{at:02x}] {text}")));
    let bars: Vec<_> = function
        .bars
        .iter()
        .map(|bar| json!({ "index": bar.index, "io": bar.io, "base": bar.base, "bytes": bar.bytes }))
        .collect();
    let capabilities: Vec<_> = found.iter().map(|(at, text)| json!({ "offset": at, "text": text })).collect();
    let data = json!({
        "address": function.address, "of_driver": function.of_driver, "vendor": word(config, 0), "device": word(config, 2),
        "command": command, "bars": bars, "capabilities": capabilities, "config": hex::encode(config),
    });
    (lines.join("\n"), data)
}

fn summary(function: &PciFunction) -> String {
    let config = &function.config;
    let class = dword(config, 0x08) >> 8;
    let own = if function.of_driver { ", the driver's device" } else { "" };
    format!("{} {:04x}:{:04x} class {class:06x}{own}", function.address, word(config, 0), word(config, 2))
}

/// Reads the functions of the bus.
pub(super) fn functions(turn: &mut Turn<'_, '_>) -> Result<Vec<PciFunction>, Refusal> {
    match book(turn, &Words::default(), Book::Functions)? {
        Inspection::Functions(found) => Ok(found),
        _ => Err(other_book()),
    }
}

/// Shows the bus, and the driver's device with its capabilities; or a function by its address.
pub(in super::super) fn show(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    words.at_most(1)?;
    let found = functions(turn)?;
    let wanted = words.get(0);
    if let Some(address) = wanted.as_deref()
        && !found.iter().any(|function| function.address == address)
    {
        let names = found.iter().map(|function| function.address.as_str());
        let hint = nearest(address, names.clone())
            .map_or_else(|| names.collect::<Vec<_>>().join(", "), |word| format!("did you mean `{word}`?"));
        return Err(Refusal::usage(format!("no function is at {address}: {hint}")));
    }
    let (mut lines, mut data) = (Vec::new(), Vec::new());
    for function in &found {
        let is_wanted = wanted.as_ref().map_or(function.of_driver, |address| *address == function.address);
        let (text, value) = details(function);
        if is_wanted {
            lines.push(text);
        } else if wanted.is_none() {
            lines.push(summary(function));
        }
        if is_wanted || wanted.is_none() {
            data.push(value);
        }
    }
    Ok(Answer::new(lines.join("\n"), json!({ "functions": data })))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Configuration space with a chain of capabilities that ends in itself.
    fn config() -> Vec<u8> {
        let mut config = vec![0; 256];
        config[0..4].copy_from_slice(&[0xf4, 0x1a, 0xf0, 0x10]);
        config[STATUS] = 0x10;
        config[CAPABILITIES] = 0x40;
        config[0x40..0x4c].copy_from_slice(&[0x11, 0x60, 0x04, 0x80, 0x02, 0, 0, 0, 0x02, 0x08, 0, 0]);
        config[0x60..0x70].copy_from_slice(&[0x09, 0x40, 16, 1, 0, 0, 0, 0, 0, 0x10, 0, 0, 0x38, 0, 0, 0]);
        config
    }

    #[test]
    fn capabilities_are_put_into_words_and_a_circle_ends() {
        let config = config();
        assert_eq!(capabilities(&config), [0x40, 0x60]);
        assert_eq!(capability(&config, 0x40), "MSI-X: on, 5 vectors, table in BAR 2+0x0, pending bits in BAR 2+0x800");
        assert_eq!(capability(&config, 0x60), "virtio: common configuration, BAR 0+0x1000, 0x38 bytes");
    }
}
