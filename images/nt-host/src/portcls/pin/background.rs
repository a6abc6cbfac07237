//! What `Render` has done with a buffer: it gets a known background, in which samples that were written over, mixed into
//! and left alone are distinguished.
//!
//! The background is noise of a sixteenth of full scale. What was mixed into it is what the stream added, once the
//! background is subtracted, so that a client gets the same samples as from a buffer of silence; a sum beyond full scale
//! alone would be clipped earlier than without it.

/// The noise in a sample of 16 bits; wider ones have it in their upper 16 bits.
const LEVEL: i64 = 2048;

/// The noise in a sample of 8 bits: more of full scale, which has few steps.
const LEVEL_OF_BYTES: i64 = 32;

/// Widest samples, in bytes.
const SAMPLE_BYTES_MAX: u32 = 4;

/// Least bits that are the background's by no chance.
const CERTAIN_BITS: usize = 64;

/// Least frames in which the noise of the background is distinguished from music.
const FRAMES_MIN: usize = 16;

/// How samples lie in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    sample_bytes: usize,
    frame_bytes: usize,
}

/// What a stream has done with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It has added silence, or done nothing.
    Nothing,
    /// It has added sound.
    Mixed,
    /// It has written over the first of its frames, and left the rest alone.
    Over { frames: u32 },
    /// Too little of it has changed to tell.
    Unclear,
}

impl Layout {
    /// Returns the layout of PCM with frames of this length and samples of so many bits. `None` for what is no PCM of 8, 16,
    /// 24 or 32 bits.
    pub(super) fn of(frame_bytes: u32, bits: u32) -> Option<Self> {
        let sample_bytes = bits.div_ceil(8);
        let fits = (1..=SAMPLE_BYTES_MAX).contains(&sample_bytes) && frame_bytes.checked_rem(sample_bytes) == Some(0);
        (fits && frame_bytes > 0)
            .then_some(Self { sample_bytes: sample_bytes as usize, frame_bytes: frame_bytes as usize })
    }

    /// Returns the byte of which silence is made: samples of 8 bits have no sign.
    pub(super) fn silence(self) -> u8 {
        if self.sample_bytes == 1 { 0x80 } else { 0 }
    }

    /// Returns the frames of a buffer.
    fn frames(self, pcm: &[u8]) -> impl ExactSizeIterator<Item = &[u8]> + DoubleEndedIterator {
        pcm.chunks_exact(self.frame_bytes)
    }

    fn level(self) -> i64 {
        if self.sample_bytes == 1 { LEVEL_OF_BYTES } else { LEVEL << (8 * (self.sample_bytes - 2)) }
    }

    /// Returns the background's value of a sample.
    fn noise(self, index: usize) -> i64 {
        // The upper bit of a multiplicative hash (Knuth 6.4), as a sign.
        let hash = (index as u32).wrapping_add(1).wrapping_mul(0x9e37_79b1);
        if hash >> 16 & 1 == 0 { self.level() } else { -self.level() }
    }

    fn read(self, sample: &[u8]) -> i64 {
        if let [byte] = sample {
            return i64::from(*byte) - 0x80;
        }
        let mut bytes = [0; 8];
        bytes[8 - sample.len()..].copy_from_slice(sample);
        i64::from_le_bytes(bytes) >> (64 - 8 * sample.len())
    }

    fn write(self, sample: &mut [u8], value: i64) {
        let most = 1_i64 << (8 * self.sample_bytes - 1);
        let value = value.clamp(-most, most - 1);
        let value = if self.sample_bytes == 1 { value + 0x80 } else { value };
        sample.copy_from_slice(&value.to_le_bytes()[..self.sample_bytes]);
    }
}

/// Fills a buffer with the background.
pub(super) fn fill(pcm: &mut [u8], layout: Layout) {
    for (index, sample) in pcm.chunks_exact_mut(layout.sample_bytes).enumerate() {
        layout.write(sample, layout.noise(index));
    }
}

/// Tells what a stream has done with a buffer that was [filled](fill).
pub(super) fn judge(pcm: &[u8], layout: Layout) -> Written {
    let channels = layout.frame_bytes / layout.sample_bytes;
    let is_background = |(frame, bytes): &(usize, &[u8])| {
        bytes
            .chunks_exact(layout.sample_bytes)
            .enumerate()
            .all(|(channel, sample)| layout.read(sample) == layout.noise(frame * channels + channel))
    };
    let mut changed = layout.frames(pcm).enumerate().filter(|frame| !is_background(frame)).map(|(frame, _)| frame);
    let Some(first) = changed.next() else { return Written::Nothing };
    let end = changed.next_back().unwrap_or(first) + 1;
    // What is written over is written over from the beginning.
    if first * layout.frame_bytes * 8 >= CERTAIN_BITS {
        return Written::Mixed;
    }
    if end < FRAMES_MIN {
        return Written::Unclear;
    }
    if contains_background(&pcm[..end * layout.frame_bytes], layout) {
        Written::Mixed
    } else {
        Written::Over { frames: end as u32 }
    }
}

/// Returns whether samples have the background's noise in them: by how alike they are.
fn contains_background(pcm: &[u8], layout: Layout) -> bool {
    let samples = pcm.chunks_exact(layout.sample_bytes).enumerate();
    let alike: i64 = samples.map(|(index, sample)| layout.read(sample) * layout.noise(index).signum()).sum();
    alike * 2 > layout.level() * (pcm.len() / layout.sample_bytes) as i64
}

/// Takes the background out of a buffer that was [filled](fill) with it and mixed into.
pub(super) fn subtract(pcm: &mut [u8], layout: Layout) {
    for (index, sample) in pcm.chunks_exact_mut(layout.sample_bytes).enumerate() {
        layout.write(sample, layout.read(sample) - layout.noise(index));
    }
}

/// Takes the background out of a buffer of which too little has changed to tell how: what changed by less than the
/// background was mixed into.
pub(super) fn clear(pcm: &mut [u8], layout: Layout) {
    for (index, sample) in pcm.chunks_exact_mut(layout.sample_bytes).enumerate() {
        let (value, noise) = (layout.read(sample), layout.noise(index));
        if (value - noise).abs() < value.abs() {
            layout.write(sample, value - noise);
        }
    }
}

/// Returns whether frames that were left alone in so many buffers in a row were so by no chance.
pub(super) fn is_certain(untouched_frames: u32, buffers: u32, layout: Layout) -> bool {
    untouched_frames as usize * buffers as usize * layout.frame_bytes * 8 >= CERTAIN_BITS
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    const LAYOUTS: [(u32, u32); 5] = [(4, 16), (2, 16), (1, 8), (6, 24), (8, 32)];

    fn layouts() -> impl Iterator<Item = Layout> {
        LAYOUTS.into_iter().map(|(frame_bytes, bits)| Layout::of(frame_bytes, bits).unwrap())
    }

    fn filled(layout: Layout) -> Vec<u8> {
        let mut pcm = vec![0; 480 * layout.frame_bytes];
        fill(&mut pcm, layout);
        pcm
    }

    /// A loud tone with noise in it, as of drums: a third of full scale.
    fn music(layout: Layout, index: usize) -> i64 {
        let full = (1_i64 << (8 * layout.sample_bytes - 1)) as f64;
        let noise = f64::from((index as u32).wrapping_mul(2_654_435_769) >> 8) / f64::from(1 << 24) - 0.5;
        (((index as f64 / 17.0).sin() * 0.2 + noise * 0.2) * full) as i64
    }

    fn add_music(pcm: &mut [u8], layout: Layout) {
        for (index, sample) in pcm.chunks_exact_mut(layout.sample_bytes).enumerate() {
            layout.write(sample, layout.read(sample) + music(layout, index));
        }
    }

    #[test]
    fn tells_silence_that_is_written_from_silence_that_is_mixed() {
        for layout in layouts() {
            let mut pcm = filled(layout);
            assert_eq!(judge(&pcm, layout), Written::Nothing);
            pcm.fill(layout.silence());
            assert_eq!(judge(&pcm, layout), Written::Over { frames: 480 });
        }
    }

    #[test]
    fn tells_music_that_is_written_from_music_that_is_mixed() {
        for layout in layouts() {
            let mut pcm = filled(layout);
            pcm.fill(layout.silence());
            add_music(&mut pcm, layout);
            let written = pcm.clone();
            assert_eq!(judge(&pcm, layout), Written::Over { frames: 480 }, "{layout:?}");
            pcm = filled(layout);
            add_music(&mut pcm, layout);
            assert_eq!(judge(&pcm, layout), Written::Mixed, "{layout:?}");
            subtract(&mut pcm, layout);
            assert_eq!(pcm, written, "{layout:?}");
        }
    }

    #[test]
    fn says_how_many_frames_were_written() {
        for layout in layouts() {
            for frames in [16, 120, 479] {
                let mut pcm = filled(layout);
                pcm[..frames * layout.frame_bytes].fill(layout.silence());
                assert_eq!(judge(&pcm, layout), Written::Over { frames: frames as u32 });
            }
        }
        let layout = Layout::of(1, 8).unwrap();
        assert!(!is_certain(1, 7, layout) && is_certain(1, 8, layout));
    }

    #[test]
    fn says_nothing_of_a_few_frames() {
        for layout in layouts() {
            let mut pcm = filled(layout);
            let silence = vec![layout.silence(); pcm.len()];
            pcm[..8 * layout.frame_bytes].fill(layout.silence());
            assert_eq!(judge(&pcm, layout), Written::Unclear);
            clear(&mut pcm, layout);
            assert_eq!(pcm, silence);
        }
    }

    #[test]
    fn knows_sound_that_begins_late_for_mixed() {
        for layout in layouts() {
            let mut pcm = filled(layout);
            let late = 470 * layout.frame_bytes;
            add_music(&mut pcm[late..], layout);
            assert_eq!(judge(&pcm, layout), Written::Mixed);
        }
    }

    #[test]
    fn takes_pcm_of_whole_samples_only() {
        assert_eq!(Layout::of(4, 0), None);
        assert_eq!(Layout::of(0, 16), None);
        assert_eq!(Layout::of(5, 16), None);
        assert_eq!(Layout::of(16, 64), None);
    }
}
