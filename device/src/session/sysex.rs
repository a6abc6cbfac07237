//! Assembles system-exclusive messages that arrive in fragments.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::HashMap;

use card_spec::limits::{SYSEX_ASSEMBLY_BYTES_MAX, SYSEX_BYTES_MAX};

/// The fragments of a message so far.
#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    /// It has grown beyond a limit: the rest of it is dropped.
    oversized: bool,
}

/// The result of adding a fragment.
#[derive(Debug, PartialEq, Eq)]
pub enum Assembled {
    /// Nothing: more must follow.
    Incomplete,
    /// The whole message.
    Whole(Vec<u8>),
    /// Nothing: the message has just become too long, and is dropped. Returned once for each message.
    TooLong,
    /// Nothing: the fragment belongs to a message that was dropped.
    Dropped,
}

/// The fragments of each stream and group, in order, until the last one arrives.
#[derive(Debug, Default)]
pub struct Assembly {
    partial: HashMap<(u32, u16), Partial>,
    bytes: usize,
}

impl Assembly {
    /// Takes the next piece of data of a stream and group; `complete` when no more follows.
    ///
    /// It is only for data that continues ([`expects`](Self::expects)) or begins a fragmented message.
    pub fn push(&mut self, stream: u32, group: u16, data: &[u8], complete: bool) -> Assembled {
        let partial = self.partial.entry((stream, group)).or_default();
        let reported = partial.oversized;
        if !partial.oversized {
            let fits = partial.bytes.len().saturating_add(data.len()) <= SYSEX_BYTES_MAX
                && self.bytes.saturating_add(data.len()) <= SYSEX_ASSEMBLY_BYTES_MAX;
            if fits {
                partial.bytes.extend_from_slice(data);
                self.bytes = self.bytes.saturating_add(data.len());
            } else {
                self.bytes = self.bytes.saturating_sub(partial.bytes.len());
                *partial = Partial { bytes: Vec::new(), oversized: true };
            }
        }
        let oversized = partial.oversized;
        let whole = if complete { self.partial.remove(&(stream, group)) } else { None };
        self.bytes = self.bytes.saturating_sub(whole.as_ref().map_or(0, |whole| whole.bytes.len()));
        match (oversized, reported, whole) {
            (true, false, _) => Assembled::TooLong,
            (true, true, _) => Assembled::Dropped,
            (false, _, Some(whole)) => Assembled::Whole(whole.bytes),
            (false, _, None) => Assembled::Incomplete,
        }
    }

    /// Returns whether a message of this stream and group has begun and not ended.
    #[must_use]
    pub fn expects(&self, stream: u32, group: u16) -> bool {
        self.partial.contains_key(&(stream, group))
    }

    /// Drops the messages that a stream has begun.
    pub fn discard(&mut self, stream: u32) {
        self.partial.retain(|&(of, _), _| of != stream);
        self.bytes = self.partial.values().map(|partial| partial.bytes.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_of_two_groups_do_not_mix() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.push(0, 1, &[0xF0, 1], false), Assembled::Incomplete);
        assert_eq!(assembly.push(0, 2, &[0xF0, 2], false), Assembled::Incomplete);
        assert_eq!(assembly.push(0, 1, &[0xF7], true), Assembled::Whole(vec![0xF0, 1, 0xF7]));
        assert_eq!(assembly.push(0, 2, &[0xF7], true), Assembled::Whole(vec![0xF0, 2, 0xF7]));
        assert_eq!(assembly.bytes, 0);
    }

    #[test]
    fn drops_a_message_without_end_once_and_takes_the_next_one() {
        let mut assembly = Assembly::default();
        let mut dropped = 0;
        for _ in 0..100 {
            dropped += usize::from(assembly.push(0, 1, &[0xF0; 4000], false) == Assembled::TooLong);
        }
        assert_eq!(dropped, 1);
        assert_eq!(assembly.push(0, 1, &[0xF7], true), Assembled::Dropped);
        assert_eq!(assembly.push(0, 1, &[0xF0, 0xF7], true), Assembled::Whole(vec![0xF0, 0xF7]));
    }

    #[test]
    fn many_groups_together_stay_within_the_bound() {
        let mut assembly = Assembly::default();
        for group in 0..64 {
            for _ in 0..20 {
                assembly.push(0, group, &[0xF0; 4000], false);
            }
        }
        assert!(assembly.bytes <= SYSEX_ASSEMBLY_BYTES_MAX);
        assembly.discard(0);
        assert_eq!(assembly.bytes, 0);
    }
}
