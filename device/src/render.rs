//! Frames: events take effect at their exact frame, whatever the size of the blocks in between.

use std::time::Instant;

use card_spec::control::StreamState;
use sha2::Digest;

use crate::output::Frame;
use crate::session::Session;
use crate::timeline::Group;

/// Largest number of frames rendered at a time (`--render-block`). It bounds how long the card does not look at
/// anything else: 4096 frames are 85 ms of sound at 48 kHz, and a few milliseconds of work.
pub const RENDER_BLOCK_MAX: usize = 4096;

/// Frames rendered at a time when nothing else is asked for: small enough to stay in a processor's first cache.
pub const RENDER_BLOCK_DEFAULT: usize = 256;

/// What rendering needs beside the session.
pub struct Renderer {
    block: Box<[Frame]>,
}

impl Renderer {
    /// Renders at most `block` frames at a time, at least one and at most [`RENDER_BLOCK_MAX`].
    #[must_use]
    pub fn new(block: usize) -> Self {
        Self { block: vec![[0; 2]; block.clamp(1, RENDER_BLOCK_MAX)].into_boxed_slice() }
    }

    /// Plays what is due, then renders up to the next event, at most `frames` and one block. The frames rendered; empty
    /// when events have played that made room for batches which wait, so that these can be taken first.
    ///
    /// That place is the same whatever the block size: room is only made where events play.
    pub fn render(&mut self, session: &mut Session, frames: usize) -> &[Frame] {
        let had_room = session.timeline.has_room();
        play_due(session);
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

/// Gives the synthesizer what is due at the frame to be rendered.
fn play_due(session: &mut Session) {
    while let Some(event) = session.timeline.take_due() {
        match session.render_state(event.stream) {
            Some(StreamState::RUN) => {
                let groups = match event.group {
                    Group::Every => 0..session.parameters.channel_groups,
                    Group::One(group) => group..group.saturating_add(1),
                };
                for group in groups {
                    session.synth.synth().midi(group, event.message.bytes());
                }
            }
            Some(_) => session.timeline.hold(event),
            None => {}
        }
    }
}

/// Samples as they are written to files, hashed and given to guests: interleaved, little-endian.
#[must_use]
pub fn little_endian(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flatten().flat_map(|sample| sample.to_le_bytes()).collect()
}
