//! The registers of the driver's device by name: virtio's common configuration, the card's own register file.

use card_trace::{REGISTER_FILE, REGISTER_FILE_BYTES, register_fields, register_name};
use guest_protocol::Space;
use serde_json::json;

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;
use super::memory::read;
use super::pci::{capabilities, functions, virtio, word};
use crate::host::failure::Diagnosed;
use crate::machine::{DeviceRegister, Offer};

/// Fields of virtio's common configuration (virtio 1.2, section 4.1.4.3): offset, bytes, name. Each reads without effect.
const COMMON: [(u64, u8, &str); 16] = [
    (0x00, 4, "device_feature_select"),
    (0x04, 4, "device_feature"),
    (0x08, 4, "driver_feature_select"),
    (0x0c, 4, "driver_feature"),
    (0x10, 2, "config_msix_vector"),
    (0x12, 2, "num_queues"),
    (0x14, 1, "device_status"),
    (0x15, 1, "config_generation"),
    (0x16, 2, "queue_select"),
    (0x18, 2, "queue_size"),
    (0x1a, 2, "queue_msix_vector"),
    (0x1c, 2, "queue_enable"),
    (0x1e, 2, "queue_notify_off"),
    (0x20, 8, "queue_desc"),
    (0x28, 8, "queue_driver"),
    (0x30, 8, "queue_device"),
];

/// The type of virtio's common configuration.
const COMMON_KIND: u8 = 1;

/// The card over vfio-user: vendor and device.
const CARD: (u16, u16) = (0x1af4, 0x10f0);

/// Names bits of the device status.
fn status(value: u64) -> String {
    let bits =
        [(1, "ACKNOWLEDGE"), (2, "DRIVER"), (8, "FEATURES_OK"), (4, "DRIVER_OK"), (64, "NEEDS_RESET"), (128, "FAILED")];
    bits.iter().filter(|(bit, _)| value & bit != 0).map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Shows the registers that have names.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn show(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    words.at_most(0)?;
    let device = functions(turn)?.into_iter().find(|function| function.of_driver);
    let device =
        device.ok_or_else(|| Refusal::usage("the driver's device is not started, or is no function of the bus"))?;
    let config = &device.config;
    let is_card = (word(config, 0), word(config, 2)) == CARD;
    let (mut lines, mut data) = (Vec::new(), Vec::new());
    let mut add = |place: String, name: &str, value: u64, bytes: u8, decoded: String| {
        let width = 2 + 2 * usize::from(bytes);
        let words = if decoded.is_empty() { String::new() } else { format!(" ({decoded})") };
        lines.push(format!("{place:<12} {name:<24} {value:#0width$x}{words}"));
        data.push(json!({ "place": place, "name": name, "value": value, "decoded": decoded }));
    };
    let common = capabilities(config).into_iter().filter_map(|at| virtio(config, at)).find(|it| it.kind == COMMON_KIND);
    if let Some(common) = common {
        for (offset, bytes, name) in COMMON {
            let at = u64::from(common.offset) + offset;
            let mut value = Vec::new();
            // A 64-bit field is two accesses of 32 bits (virtio 1.2, section 4.1.3.1).
            for part in (0..bytes).step_by(4) {
                value.extend(read(
                    turn,
                    Space::Bar(common.bar),
                    at + u64::from(part),
                    bytes.min(4).into(),
                    bytes.min(4),
                )?);
            }
            let value = number(&value);
            let decoded = if name == "device_status" { status(value) } else { String::new() };
            add(format!("BAR {}+{at:#x}", common.bar), name, value, bytes, decoded);
        }
    }
    if is_card {
        for offset in (REGISTER_FILE..REGISTER_FILE + REGISTER_FILE_BYTES).step_by(4) {
            let at = u64::from(offset);
            let Some(name) = register_name(offset) else { continue };
            let value = number(&read(turn, Space::Bar(0), at, 4, 4)?);
            let fields = register_fields(offset, u32::try_from(value).unwrap_or_default());
            add(format!("BAR 0+{at:#x}"), &name, value, 4, fields);
        }
    }
    if data.is_empty()
        && let Some(control) = turn.bed().device_control().filter(|control| control.offers(Offer::Registers))
    {
        // The device has a table of them, and its own view has no effect.
        let registers = control.registers().map_err(|error| Refusal::of(error.class(), error.to_string()))?;
        let line = |it: &DeviceRegister| format!("{:<12} {}", format!("BAR {}+{:#x}", it.bar, it.offset), it.decoded);
        let lines: Vec<String> = registers.iter().map(line).collect();
        return Ok(Answer::new(lines.join("\n"), json!({ "registers": registers })));
    }
    if data.is_empty() {
        let bars: Vec<String> = device.bars.iter().map(|bar| format!("bar {}", bar.index)).collect();
        return Err(Refusal::usage(format!(
            "no register of {} is known by name here: read them with peek {}+0x0",
            device.address,
            bars.first().map_or("bar 0", String::as_str)
        )));
    }
    Ok(Answer::new(lines.join("\n"), json!({ "registers": data })))
}
