//! Values by their names.

use card_control::Status;
use guest_protocol::Statistics;

use crate::steps::document::ValueName;

/// Returns a value that the card knows.
pub(super) fn of_card(name: ValueName, status: &Status) -> Option<i128> {
    let counters = &status.counters;
    let session = status.session.as_ref();
    let value = match name {
        ValueName::CardSession => session.map_or(0, |session| session.id),
        ValueName::CardStreams => session.map_or(0, |session| session.streams.len() as u64),
        ValueName::CardKicks => counters.kicks,
        ValueName::CardInterrupts => counters.interrupts,
        ValueName::CardFramesRendered => counters.frames_rendered,
        ValueName::CardEvents => counters.events,
        ValueName::CardEventsLate => counters.events_late,
        ValueName::CardNotesLost => counters.notes_lost,
        ValueName::CardUnderruns => counters.underruns,
        ValueName::CardWaveBuffers => counters.wave_buffers,
        ValueName::CardDiagnoses => status.diagnosis.count,
        ValueName::CardActiveVoices => session.map_or(0, |session| session.active_voices.into()),
        ValueName::CardDownloads => session.map_or(0, |session| session.downloads as u64),
        ValueName::CardFaultsArmed => status.faults.armed.len() as u64,
        ValueName::CardFaultsStruck => status.faults.struck_count,
        _ => return None,
    };
    Some(value.into())
}

/// Returns a value that the guest counts.
pub(super) const fn of_guest(name: ValueName, statistics: &Statistics) -> Option<i128> {
    let value = match name {
        ValueName::GuestInterrupts => statistics.interrupts,
        ValueName::GuestInterruptsNotClaimed => statistics.interrupts_not_claimed,
        ValueName::GuestDpcs => statistics.dpcs,
        ValueName::GuestNotifications => statistics.notifications,
        ValueName::GuestEventsPut => statistics.events_put,
        ValueName::GuestEventsReturned => statistics.events_returned,
        ValueName::GuestPoolAllocations => statistics.pool_allocations,
        ValueName::GuestPoolBytes => statistics.pool_bytes,
        _ => return None,
    };
    Some(value as i128)
}
