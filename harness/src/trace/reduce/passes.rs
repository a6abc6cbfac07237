//! What is left out together: the groups of a pass, by what parts mean.

use std::collections::{BTreeMap, BTreeSet};

use card_trace::Act;

use super::candidate::{Part, PartKind};

/// Parts that are left out together, by their numbers.
pub(super) type Group = BTreeSet<u32>;

/// Which numbers get less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Frames at which faults strike: what leads to them need not be rendered then.
    OfFaults,
    /// Those to which the card renders too.
    All,
}

/// A pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// All of a stream: its events, its requests, its buffers.
    Streams,
    /// A note's begin and its end.
    Notes,
    /// All events of a channel.
    Channels,
    /// What happened between two steps of time.
    Times,
    /// One part after the other.
    Parts,
}

impl Pass {
    /// Every pass, those that leave most out first.
    pub const ALL: [Self; 5] = [Self::Streams, Self::Notes, Self::Channels, Self::Times, Self::Parts];

    /// Returns its name in progress.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Notes => "notes",
            Self::Channels => "channels",
            Self::Times => "times",
            Self::Parts => "records",
        }
    }

    /// Returns what it leaves out together.
    #[must_use]
    pub(super) fn groups(self, parts: &[Part]) -> Vec<Group> {
        let free = parts.iter().filter(|part| part.kind != PartKind::Fixed);
        match self {
            Self::Streams => by(free, Part::stream),
            Self::Channels => by(free, channel),
            Self::Notes => notes(parts),
            Self::Times => times(parts),
            Self::Parts => free.map(|part| Group::from([part.id])).collect(),
        }
    }
}

fn by<'p, K: Ord>(parts: impl Iterator<Item = &'p Part>, key: impl Fn(&Part) -> Option<K>) -> Vec<Group> {
    let mut groups = BTreeMap::<K, Group>::new();
    for part in parts {
        if let Some(key) = key(part) {
            groups.entry(key).or_default().insert(part.id);
        }
    }
    groups.into_values().collect()
}

fn channel(part: &Part) -> Option<(u16, u8)> {
    let PartKind::Event(event) = &part.kind else { return None };
    let status = *event.data.first()?;
    (0x80..0xf0).contains(&status).then_some((event.group, status & 0xf))
}

/// Returns the notes: of each its begin, and the next end of its key.
fn notes(parts: &[Part]) -> Vec<Group> {
    let mut notes: Vec<Group> = Vec::new();
    let mut sounding = BTreeMap::new();
    for part in parts {
        let PartKind::Event(event) = &part.kind else { continue };
        let [status, key, velocity] = *event.data else { continue };
        let place = (event.group, status & 0xf, key);
        match status & 0xf0 {
            0x90 if velocity > 0 => {
                sounding.insert(place, notes.len());
                notes.push(Group::from([part.id]));
            }
            0x80 | 0x90 => {
                if let Some(note) = sounding.remove(&place).and_then(|at: usize| notes.get_mut(at)) {
                    note.insert(part.id);
                }
            }
            _ => {}
        }
    }
    notes
}

/// Returns what lies between two steps of time, the second of them with it.
fn times(parts: &[Part]) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut now = Group::new();
    for part in parts.iter().filter(|part| part.kind != PartKind::Fixed) {
        now.insert(part.id);
        if matches!(part.record.act(), Act::Rendered { .. }) {
            groups.push(std::mem::take(&mut now));
        }
    }
    if !now.is_empty() {
        groups.push(now);
    }
    groups
}
