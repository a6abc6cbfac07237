//! Spectrograms: how loud each frequency is at each time.

use realfft::RealFftPlanner;

use super::png::Grey;
use crate::sound::pcm::Pcm;

/// Columns of the picture.
const COLUMNS: usize = 600;

/// Rows of the picture, from the highest frequency down.
const ROWS: usize = 128;

/// Samples of a transform.
const WINDOW: usize = 2048;

/// The lowest frequency that is shown, in Hz: below a piano's lowest key.
const LOWEST: f64 = 25.0;

/// The level that is shown as black, in dB below full scale.
const FLOOR_DB: f64 = 96.0;

/// Draws a sound from 25 Hz to half its rate, in equal steps of pitch.
pub(super) fn spectrogram(pcm: &Pcm) -> Grey {
    let channels = usize::from(pcm.format.channels.max(1));
    let mono = pcm
        .samples
        .chunks_exact(channels)
        .map(|frame| frame.iter().map(|sample| f32::from(*sample)).sum::<f32>() / (channels as f32 * 32_768.0));
    // Silence before and after, so that every window is whole.
    let mut padded = vec![0.0; WINDOW / 2];
    padded.extend(mono);
    let frames = padded.len() - WINDOW / 2;
    padded.resize(frames + WINDOW, 0.0);
    let transform = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
    let (mut input, mut output) = (transform.make_input_vec(), transform.make_output_vec());
    let window: Vec<f32> = (0..WINDOW).map(hann).collect();
    let rows = rows(f64::from(pcm.format.sample_rate));
    let mut levels = vec![0; COLUMNS * ROWS];
    for column in 0..COLUMNS {
        let centre = frames * (2 * column + 1) / (2 * COLUMNS);
        for ((slot, sample), weight) in input.iter_mut().zip(&padded[centre..centre + WINDOW]).zip(&window) {
            *slot = sample * weight;
        }
        // Lengths are the transform's own.
        if transform.process(&mut input, &mut output).is_err() {
            continue;
        }
        for (row, (low, high)) in rows.iter().enumerate() {
            let bins = &output[*low..=*high];
            let loudest = bins.iter().map(|bin| f64::from(bin.norm_sqr())).fold(0.0, f64::max);
            // A sine of full scale has a quarter of the window's length after a Hann window.
            let db = 10.0 * (loudest / (WINDOW as f64 / 4.0).powi(2)).max(1e-12).log10();
            levels[row * COLUMNS + column] = (255.0 * (1.0 + db / FLOOR_DB)).clamp(0.0, 255.0) as u8;
        }
    }
    Grey { width: COLUMNS as u32, height: ROWS as u32, levels }
}

fn hann(index: usize) -> f32 {
    let phase = 2.0 * std::f32::consts::PI * index as f32 / WINDOW as f32;
    0.5 - 0.5 * phase.cos()
}

/// Returns the first and the last bin of each row, from the top.
fn rows(rate: f64) -> Vec<(usize, usize)> {
    let highest = rate / 2.0;
    let step = (highest / LOWEST).powf(1.0 / ROWS as f64);
    let bin = |frequency: f64| ((frequency / rate * WINDOW as f64).round() as usize).min(WINDOW / 2);
    (0..ROWS)
        .map(|row| {
            let top = highest / step.powi(row as i32);
            let (low, high) = (bin(top / step), bin(top));
            (low.min(high), high)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound::pcm::PcmFormat;

    /// Returns a second of a sine.
    fn sine(frequency: f64) -> Pcm {
        let sample = |index: usize| {
            let phase = 2.0 * std::f64::consts::PI * frequency * (index / 2) as f64 / 48_000.0;
            (phase.sin() * 32_000.0) as i16
        };
        Pcm { samples: (0..96_000).map(sample).collect(), format: PcmFormat::of_card(48_000) }
    }

    #[test]
    fn a_sine_is_bright_at_its_pitch_and_dark_elsewhere() {
        let picture = spectrogram(&sine(1000.0));
        let column: Vec<u8> = (0..ROWS).map(|row| picture.levels[row * COLUMNS + COLUMNS / 2]).collect();
        let brightest = (0..ROWS).max_by_key(|row| column[*row]).unwrap();
        let (low, high) = rows(48_000.0)[brightest];
        let hertz = |bin: usize| bin as f64 * 48_000.0 / WINDOW as f64;
        assert!(hertz(low) <= 1012.0 && hertz(high) >= 984.0, "{} to {} Hz", hertz(low), hertz(high));
        assert!(column[brightest] > 250 && column[5] < 60 && column[ROWS - 5] < 60, "{column:?}");
    }

    #[test]
    fn silence_and_nothing_are_black() {
        for samples in [vec![0; 9600], Vec::new()] {
            let pcm = Pcm { samples, format: PcmFormat::of_card(48_000) };
            assert!(spectrogram(&pcm).levels.iter().all(|level| *level == 0));
        }
    }
}
