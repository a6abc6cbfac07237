//! The virtqueues, drawn from the guest's memory (virtio 1.2, section 2.7). Where each is comes from the card's trace.

use std::collections::BTreeMap;

use card_trace::{Act, Queue, Setup, queue_name};
use guest_protocol::Bulk;
use serde_json::{Value, json};

use super::super::answer::{Answer, Refusal};
use super::super::turn::Turn;
use super::super::words::Words;
use super::trace;
use crate::document::nearest;
use crate::machine::GuestMemory;

/// Most entries of a ring that are drawn: the virtio limit is 32768.
const ENTRIES_MAX: u32 = 32_768;
/// Most descriptors of a chain that are shown.
const CHAIN_MAX: usize = 8;
/// Chains of a queue that are listed.
const CHAINS_SHOWN: u16 = 4;
/// Entries of a line of the drawing.
const LINE: usize = 64;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

fn read<const N: usize>(memory: &GuestMemory, address: u64) -> Option<[u8; N]> {
    memory.read(Bulk { address, length: N as u64 }).ok()?.try_into().ok()
}

fn half(memory: &GuestMemory, address: u64) -> Option<u16> {
    read(memory, address).map(u16::from_le_bytes)
}

/// A ring as it is now.
struct Ring {
    size: u16,
    available: u16,
    used: u16,
    /// Heads that are with the device, oldest first.
    with_device: Vec<u16>,
}

/// Reads a ring; `None` where it is not in the guest's memory.
fn ring(memory: &GuestMemory, setup: &Setup) -> Option<Ring> {
    let size = u16::try_from(setup.size.min(ENTRIES_MAX)).ok().filter(|size| *size > 0)?;
    let available = half(memory, setup.available.checked_add(2)?)?;
    let used = half(memory, setup.used.checked_add(2)?)?;
    let count = available.wrapping_sub(used).min(size);
    let head = |index: u16| half(memory, setup.available + 4 + 2 * u64::from(index % size));
    let with_device = (0..count).filter_map(|at| head(used.wrapping_add(at))).collect();
    Some(Ring { size, available, used, with_device })
}

/// Puts the descriptors of a chain into words.
fn chain(memory: &GuestMemory, setup: &Setup, size: u16, head: u16) -> Vec<String> {
    let (mut table, mut length, mut at) = (setup.descriptors, size, head);
    let mut found = Vec::new();
    while found.len() < CHAIN_MAX {
        if at >= length {
            found.push(format!("{at}: beyond the table"));
            break;
        }
        let Some(bytes) = read::<16>(memory, table.saturating_add(16 * u64::from(at))) else {
            found.push(format!("{at}: not in memory"));
            break;
        };
        let part = |from: usize, count: usize| {
            bytes[from..from + count].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
        };
        let (address, bytes_long, flags, next) = (part(0, 8), part(8, 4), part(12, 2) as u16, part(14, 2) as u16);
        if flags & INDIRECT != 0 {
            found.push(format!("{at}: indirect {address:#x}"));
            (table, length, at) = (address, u16::try_from(bytes_long / 16).unwrap_or(u16::MAX), 0);
            continue;
        }
        found.push(format!("{address:#x}+{bytes_long:#x}{}", if flags & WRITE != 0 { "w" } else { "r" }));
        if flags & NEXT == 0 {
            break;
        }
        at = next;
    }
    found
}

/// Draws a ring: `#` with the device, `.` with the driver.
fn draw(ring: &Ring) -> String {
    let mut entries = vec!['.'; ring.size.into()];
    for at in 0..ring.with_device.len() {
        let index = usize::from(ring.used.wrapping_add(at as u16)) % entries.len();
        entries[index] = '#';
    }
    entries.chunks(LINE).map(|line| format!("\n    [{}]", line.iter().collect::<String>())).collect()
}

/// What the card was told of a queue last.
#[derive(Clone, Copy)]
enum State {
    Runs(Setup),
    Parked(u16),
    Stopped(u16),
}

/// Draws all virtqueues, or one with all of its chains.
///
/// # Errors
/// [`Refusal`] with what is wrong.
pub(in super::super) fn show(turn: &mut Turn<'_, '_>, words: &Words) -> Result<Answer, Refusal> {
    words.at_most(1)?;
    let wanted = words.get(0);
    let recorded = trace::read(turn)?;
    let mut states: BTreeMap<u16, State> = BTreeMap::new();
    for record in &recorded.records {
        match record.act() {
            Act::QueueStarted { queue, error: 0, setup } => _ = states.insert(queue.0, State::Runs(setup)),
            Act::QueueStarted { queue, error, .. } => _ = states.insert(queue.0, State::Parked(error)),
            Act::QueueStopped { queue, next } => _ = states.insert(queue.0, State::Stopped(next)),
            Act::Reset { .. } => states.clear(),
            _ => {}
        }
    }
    let names: Vec<String> = states.keys().map(|queue| queue_name(Queue(*queue))).collect();
    if let Some(name) = wanted.as_ref().filter(|name| !names.contains(name)) {
        let hint = nearest(name, names.iter().map(String::as_str)).map_or_else(
            || if names.is_empty() { "no queue runs".to_owned() } else { format!("there is {}", names.join(", ")) },
            |word| format!("did you mean `{word}`?"),
        );
        return Err(Refusal::usage(format!("no queue is called `{name}`: {hint}")));
    }
    let memory = turn.bed().memory();
    let (mut lines, mut data) = (Vec::new(), Vec::new());
    for ((_, state), name) in states.iter().zip(&names) {
        if wanted.as_ref().is_none_or(|wanted| wanted == name) {
            let (text, value) = one(memory, name, *state, wanted.is_some());
            lines.push(text);
            data.push(value);
        }
    }
    if lines.is_empty() {
        lines.push("no queue runs: the driver has set none up".into());
    }
    Ok(Answer::new(lines.join("\n"), json!({ "queues": data })))
}

/// Shows one queue; all of its chains where it was named.
fn one(memory: &GuestMemory, name: &str, state: State, all: bool) -> (String, Value) {
    let setup = match state {
        State::Runs(setup) => setup,
        State::Parked(code) => {
            let text = format!("{name:<9} parked: the card cannot use the ring (code {code}; `diag` says why)");
            return (text, json!({ "name": name, "state": "parked", "code": code }));
        }
        State::Stopped(next) => {
            return (format!("{name:<9} stopped at {next}"), json!({ "name": name, "state": "stopped", "next": next }));
        }
    };
    let Some(ring) = ring(memory, &setup) else {
        let text = format!("{name:<9} its ring is not in the guest's memory: {:#x}", setup.descriptors);
        return (text, json!({ "name": name, "state": "outside" }));
    };
    let mut text = format!(
        "{name:<9} {} entries, available {}, used {}: {} chains with the device{}",
        ring.size,
        ring.available,
        ring.used,
        ring.with_device.len(),
        draw(&ring)
    );
    let shown = if all { ring.size } else { CHAINS_SHOWN };
    let mut chains = Vec::new();
    for head in ring.with_device.iter().take(shown.into()) {
        let found = chain(memory, &setup, ring.size, *head);
        text += &format!("\n    head {head}: {}", found.join(" -> "));
        chains.push(json!({ "head": head, "descriptors": found }));
    }
    if ring.with_device.len() > usize::from(shown) {
        text += &format!("\n    ... and {} more: queues {name}", ring.with_device.len() - usize::from(shown));
    }
    let data = json!({
        "name": name, "state": "runs", "size": ring.size, "available": ring.available, "used": ring.used,
        "descriptors": setup.descriptors, "available_ring": setup.available, "used_ring": setup.used,
        "with_device": ring.with_device, "chains": chains,
    });
    (text, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guest memory with a ring of four entries, of which two are with the device.
    fn memory() -> (GuestMemory, Setup) {
        let memory = GuestMemory::new(1 << 20).unwrap();
        let setup = Setup { size: 4, base: 0, descriptors: 0x1000, available: 0x2000, used: 0x3000 };
        let write = |address: u64, bytes: &[u8]| {
            memory.write(Bulk { address, length: bytes.len() as u64 }, bytes).unwrap();
        };
        // Descriptor 1: 0x8000, 16 bytes, next 2; descriptor 2: 0x9000, 32 bytes, for the device to write.
        write(0x1010, &[0, 0x80, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 1, 0, 2, 0]);
        write(0x1020, &[0, 0x90, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 2, 0, 0, 0]);
        write(0x2000, &[0, 0, 5, 0, 9, 0, 9, 0, 9, 0, 1, 0]);
        write(0x2004, &[7, 0]);
        write(0x3002, &[3, 0]);
        (memory, setup)
    }

    #[test]
    fn a_ring_is_drawn_with_the_chains_that_the_device_has() {
        let (memory, setup) = memory();
        let (text, data) = one(&memory, "wave", State::Runs(setup), false);
        assert_eq!(
            text,
            "wave      4 entries, available 5, used 3: 2 chains with the device\n    [#..#]\n    head 1: 0x8000+0x10r -> 0x9000+0x20w\n    \
             head 7: 7: beyond the table"
        );
        assert_eq!(data["with_device"], json!([1, 7]));
    }

    #[test]
    fn a_ring_outside_of_memory_is_said_to_be() {
        let (memory, setup) = memory();
        let (text, _) = one(&memory, "wave", State::Runs(Setup { available: u64::MAX - 8, ..setup }), false);
        assert!(text.contains("not in the guest's memory"), "{text}");
        let (text, _) = one(&memory, "wave", State::Parked(7), false);
        assert!(text.contains("parked"), "{text}");
    }
}
