//! MIDI ports of a song as channel groups: each has sixteen channels of its own.

use std::collections::{BTreeMap, BTreeSet};

use card_control::limits::CHANNEL_GROUPS_MAX;

use super::event::CHANNEL_GROUP;
use super::notices::Notices;
use super::track::{Message, Track};

/// Gives each port that a message is for a channel group, in the order of their numbers. The error is the number of
/// ports, when a card has not as many groups.
pub(super) fn channel_groups(messages: &[Message], notices: &mut Notices) -> Result<BTreeMap<u8, u32>, usize> {
    let ports: BTreeSet<u8> = messages.iter().map(|message| message.port).collect();
    if ports.len() > usize::from(CHANNEL_GROUPS_MAX) {
        return Err(ports.len());
    }
    let groups: BTreeMap<u8, u32> = ports.into_iter().zip(CHANNEL_GROUP..).collect();
    if groups.len() > 1 {
        let list: Vec<String> = groups.iter().map(|(port, group)| format!("{port} on group {group}")).collect();
        notices.add(format!("the song is for {} MIDI ports (FF 21): port {}", groups.len(), list.join(", port ")));
    }
    Ok(groups)
}

/// Says that tracks name several devices, where no port numbers tell them apart.
pub(super) fn note_devices(tracks: &[Track], ports: usize, notices: &mut Notices) {
    let played = tracks.iter().filter(|track| !track.messages.is_empty());
    let names: BTreeSet<&str> = played.filter_map(|track| track.device.as_deref()).collect();
    if names.len() > 1 && ports == 1 {
        let names: Vec<_> = names.into_iter().map(|name| format!("{name:?}")).collect();
        notices
            .add(format!("tracks name several devices (FF 09): {}; all play on one channel group", names.join(", ")));
    }
}
