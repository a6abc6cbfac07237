//! Writes the bytes of a chain that is returned: where they belong, or as an injected fault has it.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use card_control::InjectedFault;
use card_control::limits::MISPLACED_BYTES;
use vm_memory::{Bytes, GuestMemoryMmap};

use super::chain::Chain;

/// Where the bytes of a chain are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// Bytes of the buffer that are left as they are before the first that is written.
    skipped: u32,
    /// Bytes that are written at most.
    most: usize,
    /// What the used ring says, where that is not what was written.
    claimed: Option<u32>,
}

impl Placed {
    /// Returns the place of `length` bytes in a chain. `strike` strikes with a fault that is picked.
    pub(super) fn of(
        chain: &Chain,
        length: usize,
        strike: impl FnOnce(&dyn Fn(&InjectedFault) -> Option<Self>) -> Option<Self>,
    ) -> Self {
        let right = Self { skipped: 0, most: usize::MAX, claimed: None };
        if length == 0 {
            // There is nothing to be written wrongly.
            return right;
        }
        let claimed = u32::try_from(chain.writable_bytes().min(length as u64)).unwrap_or(u32::MAX);
        let wrong = strike(&|fault| match fault {
            InjectedFault::ShortDma { queue } if *queue == chain.queue.0 => Some(Self { most: length / 2, ..right }),
            InjectedFault::FailedDma { queue } if *queue == chain.queue.0 => Some(Self { most: 0, ..right }),
            InjectedFault::MisplacedDma { queue } if *queue == chain.queue.0 => {
                Some(Self { skipped: MISPLACED_BYTES, claimed: Some(claimed), ..right })
            }
            _ => None,
        });
        wrong.unwrap_or(right)
    }

    /// Writes `parts` one after the other into a chain, as far as there is room. Returns what the used ring is to say, and
    /// whether the memory was there.
    pub(super) fn write(self, memory: &GuestMemoryMmap, chain: &Chain, parts: &[&[u8]]) -> (u32, bool) {
        let mut written = 0_u32;
        let mut skip = self.skipped;
        let mut left = self.most;
        let mut segments = chain.writable.iter().copied().filter_map(|segment| {
            let skipped = skip.min(segment.length);
            skip = skip.saturating_sub(skipped);
            segment.after(skipped)
        });
        let mut room = segments.next();
        for part in parts {
            let mut part = part.get(..left).unwrap_or(part);
            left = left.saturating_sub(part.len());
            while !part.is_empty() {
                let Some(segment) = room else { return (self.claimed.unwrap_or(written), true) };
                let now = part.len().min(segment.length as usize);
                if memory.write_slice(&part[..now], segment.address).is_err() {
                    return (written, false);
                }
                part = &part[now..];
                written = written.saturating_add(now as u32);
                room = segment.after(now as u32).or_else(|| segments.next());
            }
        }
        (self.claimed.unwrap_or(written), true)
    }
}
