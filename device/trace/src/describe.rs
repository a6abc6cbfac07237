//! Puts records into words.

mod batch;
mod request;

use card_spec::control::{ResponseHeader, Status};
use card_spec::diagnosis::Diagnosis;
use card_spec::notice::{Notice, NoticeKind};
use card_spec::queue::Queue;
use card_spec::wave::{WaveHeader, WaveRequest, WaveStatus};
use zerocopy::FromBytes;

use crate::act::Act;
use crate::contents::queue_name;
use crate::registers;

/// How much of a record is put into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Numbers: queue, head, offset, lengths.
    Raw,
    /// Names of registers, requests and states.
    Names,
    /// The members of requests and notices, and each event of a batch, on lines of their own.
    Full,
}

/// Describes an act. With [`Detail::Full`] lines may follow the first.
#[must_use]
pub fn describe(act: &Act<'_>, detail: Detail) -> String {
    let names = detail > Detail::Raw;
    match *act {
        Act::Clock { nanoseconds, error } => format!("clock {nanoseconds} ns, read in {error} ticks"),
        Act::Rendered { frame, voices } => format!("rendered to frame {frame}, {voices} voices"),
        Act::VoiceStarted(voice) => voice.describe(),
        Act::VoiceEnded { lane, frame } => format!("voice {lane} has ended before frame {frame}"),
        Act::Recording { on: true } => "recording goes on".into(),
        Act::Recording { on: false } => "recording stops".into(),
        Act::StatusPage { frame, sequence } => format!("status page: frame {frame}, sequence {sequence}"),
        Act::RegisterRead { offset, width, value, taken } => register("read ", offset, width, value, taken, names),
        Act::RegisterWrite { offset, width, value, taken } => register("write", offset, width, value, taken, names),
        Act::ConfigRead { offset, width, value } => {
            format!("read  configuration space+{offset:#05x} = {}", hex(value, width))
        }
        Act::ConfigWrite { offset, width, value } => {
            format!("write configuration space+{offset:#05x} = {}", hex(value, width))
        }
        Act::IdentityRead { offset, bytes } => format!("read  identity block+{offset:#04x}, {bytes} bytes"),
        Act::Features { features } => {
            format!("features {features:#x}{}", if names { features_text(features) } else { String::new() })
        }
        Act::QueueStarted { queue, error, setup } => {
            let end = match error {
                0 => String::new(),
                code => format!(": parked, {}", Diagnosis(code)),
            };
            format!(
                "queue {} starts: {} entries from index {}, descriptors {:#x}, available {:#x}, used {:#x}{end}",
                name_of(queue, names),
                setup.size,
                setup.base,
                setup.descriptors,
                setup.available,
                setup.used
            )
        }
        Act::QueueStopped { queue, next } => format!("queue {} stops at index {next}", name_of(queue, names)),
        Act::Kicked { queue, kicks: 1 } => format!("kick of {}", name_of(queue, names)),
        Act::Kicked { queue, kicks } => format!("{kicks} kicks of {}", name_of(queue, names)),
        Act::Reset { resets } => format!("reset number {resets}"),
        Act::Disconnected => "the transport disconnects".into(),
        Act::ChainTaken { queue, head, writable, malformed, request, cut } => {
            let mut text = format!("{} takes chain {head}: ", name_of(queue, names));
            match (malformed, detail) {
                (true, _) => text += "malformed",
                (false, Detail::Raw) => text += &format!("{} bytes to read, {writable} to write", request.len()),
                (false, _) => text += &taken(queue, request, writable, detail),
            }
            text + if cut { " (cut)" } else { "" }
        }
        Act::ChainReturned { queue, head, written, answer, cut } => {
            let mut text = format!("{} returns chain {head}", name_of(queue, names));
            let words = if names { returned(queue, answer, detail) } else { None };
            match (words, written) {
                (Some(words), _) => text += &format!(": {words}"),
                (None, 0) => {}
                (None, _) => text += &format!(": {written} bytes"),
            }
            text + if cut { " (cut)" } else { "" }
        }
        Act::WaveReturned { queue, head, written, header, hash, pcm, cut } => {
            let mut text = format!("{} returns chain {head}: ", name_of(queue, names));
            text += &if names { wave(header) } else { format!("{written} bytes") };
            text += &format!(", PCM {hash:016x}");
            if !pcm.is_empty() {
                text += &format!(" ({} bytes recorded{})", pcm.len(), if cut { ", cut" } else { "" });
            }
            text
        }
        Act::Interrupt { queue, raised: true } => format!("interrupt of {}", name_of(queue, names)),
        Act::Interrupt { queue, raised: false } => {
            format!("no interrupt of {}: the driver takes none", name_of(queue, names))
        }
        Act::FaultStruck { text } => format!("injected fault: {text}"),
        Act::DriverError { code, queue, place, expected, got } => {
            let queue = queue.map_or_else(String::new, |queue| format!(" on {}", name_of(queue, names)));
            let code = if names { Diagnosis(code).to_string() } else { format!("{code:#x}") };
            format!("driver error {code}{queue}: at {place:#x}, expected {expected:#x}, got {got:#x}")
        }
        Act::Mark { text } => format!("mark: {text}"),
        Act::Command { text } => format!("command {text}"),
        Act::Skipped { frames } => format!("{frames} frames are not rendered: the host did not run the card in time"),
        Act::Memory { regions } => {
            let regions = crate::regions(regions).map(|(address, length)| format!(" {address:#x}+{length:#x}"));
            format!("guest memory:{}", regions.collect::<String>())
        }
        Act::Card(start) => {
            let [a, b, c, d, ..] = start.bank_sha256;
            format!(
                "card: {}, {}, {} voices, blocks of {} frames, bank {} ({a:02x}{b:02x}{c:02x}{d:02x}..., {} bytes)",
                if start.vfio_user { "vfio-user" } else { "vhost-user" },
                if start.lockstep { "lockstep" } else { "real time" },
                start.voices,
                start.render_block,
                start.bank,
                start.bank_bytes
            )
        }
        Act::Device(act) => act.describe(names),
        Act::Guest(act) => act.describe(),
        Act::Unknown { kind, number, value, payload } => {
            let kind = kind.0;
            format!("kind {kind:#04x}: number {number}, value {value:#x}, payload of {} bytes", payload.len())
        }
    }
}

fn name_of(queue: Queue, names: bool) -> String {
    if names { queue_name(queue) } else { queue.0.to_string() }
}

fn hex(value: u32, width: u8) -> String {
    let digits = usize::from(width.clamp(1, 4)).saturating_mul(2).saturating_add(2);
    format!("{value:#0digits$x}")
}

fn register(verb: &str, offset: u16, width: u8, value: u32, taken: bool, names: bool) -> String {
    let offset = u32::from(offset);
    if !taken {
        return format!("{verb} BAR 0+{offset:#06x}, {width} bytes, {value:#x}: no register takes it");
    }
    let value_text = hex(value, width);
    let name = registers::name(offset).filter(|_| names);
    let mut text = match name {
        Some(name) => format!("{verb} {name} = {value_text}"),
        None => format!("{verb} BAR 0+{offset:#06x} = {value_text}"),
    };
    let fields = if names { registers::fields(offset, value) } else { String::new() };
    if !fields.is_empty() {
        text += &format!(" ({fields})");
    }
    text
}

fn features_text(features: u64) -> String {
    use card_spec::feature::{EVENT_IDX, INDIRECT_DESC, VERSION_1};
    let names = [(VERSION_1, "VERSION_1"), (EVENT_IDX, "EVENT_IDX"), (INDIRECT_DESC, "INDIRECT_DESC")];
    let set: Vec<&str> = names.iter().filter(|(bit, _)| features & bit != 0).map(|(_, name)| *name).collect();
    format!(" ({})", set.join(" "))
}

/// Describes the readable part of a chain.
fn taken(queue: Queue, bytes: &[u8], writable: u32, detail: Detail) -> String {
    match queue {
        Queue::CONTROL => request::describe(bytes, detail),
        Queue::MIDI_OUT => batch::describe(bytes, detail),
        Queue::WAVE => match WaveRequest::read_from_prefix(bytes) {
            Ok((wave, _)) => format!("{} frames of stream {} wanted", wave.frames, wave.stream),
            Err(_) => format!("{} bytes, too few for a request", bytes.len()),
        },
        _ => format!("{writable} bytes to write"),
    }
}

/// Describes what was written to a chain; `None` for nothing.
fn returned(queue: Queue, bytes: &[u8], detail: Detail) -> Option<String> {
    Some(match queue {
        _ if bytes.is_empty() => return None,
        Queue::CONTROL => match ResponseHeader::read_from_prefix(bytes) {
            Ok((header, _)) => {
                let length = header.length.get();
                let payload = if length == 0 { String::new() } else { format!(", {length} bytes") };
                format!("{}{payload}, tag {:#x}", Status(header.status.get()), header.tag)
            }
            Err(_) => format!("{} bytes, too few for an answer", bytes.len()),
        },
        Queue::MIDI_IN => batch::describe(bytes, detail),
        Queue::WAVE => wave(bytes),
        Queue::EVENT => match Notice::read_from_prefix(bytes) {
            Ok((notice, _)) => {
                let kind = NoticeKind(notice.kind.get());
                let mut text =
                    format!("notice {} {kind}, stream {}, value {}", notice.sequence, notice.stream, notice.value);
                if kind == NoticeKind::DIAGNOSED {
                    text += &format!(", {}", Diagnosis(notice.code.get()));
                }
                text
            }
            Err(_) => format!("{} bytes, too few for a notice", bytes.len()),
        },
        _ => format!("{} bytes", bytes.len()),
    })
}

fn wave(bytes: &[u8]) -> String {
    match WaveHeader::read_from_prefix(bytes) {
        Ok((header, _)) => {
            let status = WaveStatus(header.status.get());
            format!("{status}, {} frames from {}, master time {}", header.frames, header.position, header.master_time)
        }
        Err(_) => format!("{} bytes, too few for a header", bytes.len()),
    }
}
