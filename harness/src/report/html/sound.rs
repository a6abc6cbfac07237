//! Waveforms as paths, and excerpts that can be played.

use std::fmt::Write;
use std::io::Cursor;

use super::png::data_uri;
use crate::sound::pcm::Pcm;

/// Columns of a waveform.
pub(super) const COLUMNS: usize = 600;

/// Half the height of a waveform.
pub(super) const HALF: f64 = 40.0;

/// Seconds of an excerpt.
const EXCERPT_SECONDS: u64 = 4;

/// Those of them that come before the place that it is about.
const BEFORE_SECONDS: u64 = 1;

/// Returns the path of a waveform: from the highest to the lowest sample of each column.
pub(super) fn waveform(pcm: &Pcm) -> String {
    path(pcm.frames() as usize, usize::from(pcm.format.channels.max(1)), |index| f64::from(pcm.samples[index]))
}

/// Returns the path of the difference of two sounds, in the scale of either; what only one has differs by all of it.
pub(super) fn difference(one: &Pcm, other: &Pcm) -> String {
    let channels = usize::from(one.format.channels.max(1));
    let at = |pcm: &Pcm, index: usize| pcm.samples.get(index).copied().map_or(0.0, f64::from);
    path(one.frames().max(other.frames()) as usize, channels, |index| at(one, index) - at(other, index))
}

fn path(frames: usize, channels: usize, sample: impl Fn(usize) -> f64) -> String {
    let mut text = String::new();
    for column in 0..COLUMNS.min(frames) {
        let count = COLUMNS.min(frames);
        let (from, to) = (frames * column / count, (frames * (column + 1) / count).max(frames * column / count + 1));
        let values = (from * channels..to * channels).map(&sample);
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let y = |value: f64| HALF - (value / 32_768.0).clamp(-1.0, 1.0) * HALF;
        // A silent column is a dot, which a path of no length would not show.
        let _ = write!(text, "M{column} {:.1}V{:.1}", y(high) - 0.3, y(low) + 0.3);
    }
    text
}

/// Returns the seconds at which an excerpt begins, and the excerpt as a WAV file's address.
pub(super) fn excerpt(pcm: &Pcm, frame: u64) -> Option<(f64, String)> {
    let rate = u64::from(pcm.format.sample_rate.max(1));
    let from = frame.saturating_sub(BEFORE_SECONDS * rate).min(pcm.frames().saturating_sub(EXCERPT_SECONDS * rate));
    let channels = u64::from(pcm.format.channels.max(1));
    let to = (from + EXCERPT_SECONDS * rate).min(pcm.frames());
    let samples = pcm.samples.get((from * channels) as usize..(to * channels) as usize)?;
    let mut file = Cursor::new(Vec::new());
    let spec = hound::WavSpec {
        channels: pcm.format.channels,
        sample_rate: pcm.format.sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::new(&mut file, spec).ok()?;
    samples.iter().try_for_each(|sample| writer.write_sample(*sample)).ok()?;
    writer.finalize().ok()?;
    Some((from as f64 / rate as f64, data_uri("audio/wav", file.get_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound::pcm::PcmFormat;

    fn pcm(samples: Vec<i16>) -> Pcm {
        Pcm { samples, format: PcmFormat::of_card(48_000) }
    }

    #[test]
    fn a_waveform_reaches_from_the_highest_to_the_lowest_sample() {
        assert_eq!(waveform(&pcm(vec![i16::MIN, 0])), "M0 39.7V80.3");
        assert_eq!(waveform(&pcm(vec![0; 4])), "M0 39.7V40.3M1 39.7V40.3");
        assert_eq!(waveform(&pcm(Vec::new())), "");
        assert_eq!(waveform(&pcm(vec![1; 480_000])).matches('M').count(), COLUMNS);
    }

    #[test]
    fn what_only_one_sound_has_differs_by_all_of_it() {
        let (one, other) = (pcm(vec![5, 5]), pcm(vec![5, 5, 16_384, 0]));
        assert_eq!(difference(&one, &one), "M0 39.7V40.3");
        assert_eq!(difference(&one, &other), "M0 39.7V40.3M1 39.7V60.3");
    }

    #[test]
    fn an_excerpt_is_about_its_frame_and_ends_with_the_sound() {
        let sound = pcm(vec![3; 2 * 48_000 * 10]);
        assert_eq!(excerpt(&sound, 0).unwrap().0, 0.0);
        assert_eq!(excerpt(&sound, 48_000 * 3).unwrap().0, 2.0);
        assert_eq!(excerpt(&sound, 48_000 * 9).unwrap().0, 6.0);
        assert!(excerpt(&pcm(vec![3; 8]), 2).unwrap().1.starts_with("data:audio/wav;base64,UklGR"));
    }
}
