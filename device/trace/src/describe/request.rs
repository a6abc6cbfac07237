//! Requests of the control queue.

use card_spec::control::{
    ClockSync, DownloadHandle, Open, PortParameters, RequestCode, StatusPageLoan, StreamId, StreamKind, StreamOpen,
    StreamState, StreamStateChange, VoicePriority, Volume,
};
use zerocopy::FromBytes;

use super::Detail;
use crate::contents::request_header;

/// Describes a request: its code and what it is about; with [`Detail::Full`] its members and its tag.
pub(super) fn describe(bytes: &[u8], detail: Detail) -> String {
    let Some((header, payload)) = request_header(bytes) else {
        return format!("{} bytes, too few for a request", bytes.len());
    };
    let code = RequestCode(header.code.get());
    let mut text = code.to_string();
    if let Some(members) = members(code, payload) {
        text += &format!(" {members}");
    } else if header.length.get() > 0 {
        text += &format!(" of {} bytes", header.length);
    }
    if detail == Detail::Full {
        text += &format!("\ntag {:#x}, {} bytes of payload", header.tag, header.length);
    }
    text
}

/// Returns the members of a request's payload, in words; `None` where it has none, or does not hold them.
fn members(code: RequestCode, payload: &[u8]) -> Option<String> {
    Some(match code {
        RequestCode::OPEN => {
            let open: Open = read(payload)?;
            format!("session {:#x}, ABI {}.{}", open.session, open.abi_major, open.abi_minor)
        }
        RequestCode::STATUS_PAGE => format!("at {:#x}", read::<StatusPageLoan>(payload)?.address),
        RequestCode::PARAMETERS => {
            let wanted: PortParameters = read(payload)?;
            format!(
                "valid {:#x}: {} voices, {} groups, {} channels, {} Hz, effects {:#x}",
                wanted.valid,
                wanted.voices,
                wanted.channel_groups,
                wanted.audio_channels,
                wanted.sample_rate,
                wanted.effects
            )
        }
        RequestCode::STREAM_OPEN => {
            let open: StreamOpen = read(payload)?;
            let kind = StreamKind(open.kind.get());
            let mut text = format!("{} {kind}", open.stream);
            if kind == StreamKind::WAVE {
                text += &format!(" {} Hz, {} channels, {} bits", open.sample_rate, open.channels, open.bits);
            }
            text
        }
        RequestCode::STREAM_CLOSE => read::<StreamId>(payload)?.stream.to_string(),
        RequestCode::STREAM_STATE => {
            let change: StreamStateChange = read(payload)?;
            format!("{} {}", change.stream, StreamState(change.state.get()))
        }
        RequestCode::CLOCK_SYNC => {
            let sync: ClockSync = read(payload)?;
            format!("{} flags {:#x}: master time {} is frame {}", sync.stream, sync.flags, sync.master_time, sync.frame)
        }
        RequestCode::VOLUME => {
            let volume: Volume = read(payload)?;
            format!("item {}: {} hundredths of a dB", volume.item, volume.hundredths_db)
        }
        RequestCode::VOICE_PRIORITY => {
            let priority: VoicePriority = read(payload)?;
            let verb = if priority.set.get() == 0 { "read" } else { "set" };
            format!(
                "{verb} group {} channel {} priority {:#x}",
                priority.channel_group, priority.channel, priority.priority
            )
        }
        RequestCode::DLS_UNLOAD => format!("handle {}", read::<DownloadHandle>(payload)?.handle),
        _ => return None,
    })
}

fn read<T: FromBytes>(payload: &[u8]) -> Option<T> {
    T::read_from_prefix(payload).ok().map(|(value, _)| value)
}
