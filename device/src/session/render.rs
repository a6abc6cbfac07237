//! Renders frames: events take effect at their exact frame, whatever the size of the blocks in between.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::time::Instant;

use card_spec::control::StreamState;
use sha2::Digest;

use super::output::Frame;
use super::slice::Slice;
use super::state::{Playing, Session};
use super::timeline::{Group, Pending};

/// Largest number of frames rendered at a time (`--render-block`). It bounds how long the card does not look at
/// anything else: 4096 frames are 85 ms of sound at 48 kHz, and a few milliseconds of work.
pub const RENDER_BLOCK_MAX: usize = 4096;

/// Frames rendered at a time by default: few enough to stay in a processor's first cache.
pub const RENDER_BLOCK_DEFAULT: usize = 256;

/// Renders sessions, a block at a time.
pub struct Renderer {
    block: Box<[Frame]>,
}

impl Renderer {
    /// Returns a renderer of at most `block` frames at a time, at least one and at most [`RENDER_BLOCK_MAX`].
    #[must_use]
    pub fn new(block: usize) -> Self {
        Self { block: vec![[0; 2]; block.clamp(1, RENDER_BLOCK_MAX)].into_boxed_slice() }
    }

    /// Plays what is due, then renders up to the next event, at most `frames` and one block. Returns the frames
    /// rendered; none when events have played that made room for batches which wait, so that these can be taken first,
    /// and none when `slice` is over before all events of the frame have played.
    ///
    /// The first of these places is the same whatever the block size, since room is only made where events play; after
    /// the second, rendering goes on with the very next event.
    pub fn render(&mut self, session: &mut Session, frames: usize, slice: &Slice) -> &[Frame] {
        let had_room = session.timeline.has_room();
        if !play_due(session, slice) {
            return &[];
        }
        if session.backlog && !had_room && session.timeline.has_room() {
            return &[];
        }
        let position = session.timeline.position();
        let to_next = session.timeline.next_frame().map_or(u64::MAX, |next| next.abs_diff(position));
        let count = frames.min(self.block.len()).min(usize::try_from(to_next).unwrap_or(usize::MAX));
        let block = &mut self.block[..count];
        let begun = Instant::now();
        session.synth.synth().render_i16(block);
        let busy = begun.elapsed();
        session.timeline.advance(count as i64);
        session.hash.update(little_endian(block));
        let voices = session.synth.active_voices();
        let rate = session.parameters.sample_rate;
        session.statistics.rendered(block, voices, busy, session.synth.notes_lost(), rate);
        block
    }
}

/// Sends the events that are due at the frame to be rendered to the synthesizer. Returns whether that was all of them: a slice may end between
/// two messages, for even one message may be for every channel group.
fn play_due(session: &mut Session, slice: &Slice) -> bool {
    loop {
        let playing = match session.playing.take() {
            Some(playing) => playing,
            None => {
                let Some(event) = session.timeline.take_due() else { return true };
                match session.render_state(event.stream) {
                    Some(StreamState::RUN) => Playing::new(event, session.parameters.channel_groups),
                    Some(_) => {
                        session.timeline.hold(event);
                        continue;
                    }
                    None => continue,
                }
            }
        };
        let Playing { event, mut groups } = playing;
        while let Some(group) = groups.next() {
            session.synth.synth().midi(group, event.message.bytes());
            if slice.is_over() {
                if !groups.is_empty() {
                    session.playing = Some(Playing { event, groups });
                }
                return session.playing.is_none() && !session.timeline.is_due();
            }
        }
    }
}

impl Playing {
    fn new(event: Pending, channel_groups: u16) -> Self {
        let groups = match event.group {
            Group::Every => 0..channel_groups,
            Group::One(group) => group..group.saturating_add(1),
        };
        Self { event, groups }
    }
}

/// Returns samples as they are written to files, hashed and given to guests: interleaved, little-endian.
#[must_use]
pub fn little_endian(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flatten().flat_map(|sample| sample.to_le_bytes()).collect()
}
