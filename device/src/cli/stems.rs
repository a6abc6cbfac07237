//! Renders stems: one file for each channel of a song, so that it can be mixed again.
//!
//! The stem of a channel is the sound of the channel's notes before reverb and chorus: the song rendered once more with
//! every message, but without the notes of all other channels. One more file holds what reverb and chorus add to the
//! mix. All are stereo in 32-bit floating point, neither rounded nor clipped, so that the sum of the files, sample by
//! sample, is the mix before it is rounded to 16 bits; the difference is measured and reported. It is large only where the
//! mix ran out of voices: a channel by itself keeps the notes that the mix lost.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use card_control::event_list::Event;
use card_control::render::{Stem, Stems};
use dls_synth::{Bank, Synth, SynthConfig};

use super::exit::Failure;
use super::whole_file::{Unfinished, WholeFileError, WholeWav};

/// Frames rendered at a time.
const BLOCK: usize = 1024;

/// The greatest difference between the sum of the stems and the mix that needs no warning: 20 dB below the last bit of 16.
pub const DEVIATION_DBFS_MAX: f64 = -116.0;

/// The options of a render of stems.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The synthesizer of the mix.
    pub config: SynthConfig,
    /// Threads that it may use.
    pub threads: NonZeroUsize,
    /// The number of frames.
    pub frames: u64,
}

/// The folder for the files.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// It was made for them, and is removed when it stays empty.
    made: Option<Unfinished>,
}

impl Folder {
    /// Opens a folder. It is made if it does not exist.
    ///
    /// # Errors
    /// [`WholeFileError`], when it cannot be made, or when something else than a file is in it where a file would be written.
    pub fn open(path: &Path) -> Result<Self, WholeFileError> {
        let failed = |path: &Path, source| WholeFileError { path: path.to_owned(), source };
        let made = match path.is_dir() {
            true => None,
            false => Some(Unfinished::folder(path).map_err(|source| failed(path, source))?),
        };
        // The process has no current folder any more when the files are made.
        let folder = Self { path: path.canonicalize().map_err(|source| failed(path, source))?, made };
        // A pipe or a device would have to be opened, and what is a file's place is known when nothing is opened any more.
        for entry in fs::read_dir(path).map_err(|source| failed(path, source))? {
            let place = entry.map_err(|source| failed(path, source))?.path();
            let is_place = place.extension().is_some_and(|extension| extension == "wav");
            if is_place && fs::metadata(&place).is_ok_and(|found| !found.is_file()) {
                return Err(failed(&place, io::Error::new(io::ErrorKind::InvalidInput, "no file is there")));
            }
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.made.is_some() {
            // Only when it is empty, as it is without a file.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// A synthesizer that receives the notes of one channel, or of all.
struct Part {
    synth: Synth,
    only: Option<(u16, u8)>,
    block: Vec<[f32; 2]>,
}

impl Part {
    fn new(config: SynthConfig, options: &Options, bank: &Arc<Bank>, only: Option<(u16, u8)>) -> Result<Self, Failure> {
        let synth = Synth::new(config, Arc::clone(bank)).map_err(|error| Failure::Arguments(error.to_string()));
        let mut part = Self { synth: synth?, only, block: vec![[0.0; 2]; BLOCK] };
        part.synth.set_threads(options.threads);
        Ok(part)
    }

    fn midi(&mut self, group: u16, message: &[u8]) {
        let silent = match (self.only, starts_note(message)) {
            (Some(only), Some(channel)) => only != (group, channel),
            _ => false,
        };
        if !silent {
            self.synth.midi(group, message);
        }
    }
}

/// Returns the channel on which a message starts a note, if it does.
fn starts_note(message: &[u8]) -> Option<u8> {
    match message {
        [status, _, 1..=127] if status >> 4 == 9 => Some(status & 15),
        _ => None,
    }
}

/// Returns the groups that an event is for, from 0.
fn groups(event: &Event, config: SynthConfig) -> std::ops::Range<u16> {
    match event.group {
        0 => 0..config.channel_groups,
        group => group - 1..group,
    }
}

struct File {
    stem: Stem,
    part: Option<Part>,
    wav: WholeWav,
    peak: f32,
}

/// Renders the stems of a list of events. `progress` is called with how many frames have been rendered.
///
/// # Errors
/// [`Failure::WholeFile`] when a file cannot be written, [`Failure::Arguments`] when the synthesizer does not
/// take the options, and the errors of `progress`. No file is left then.
pub fn render(
    events: &[Event],
    bank: &Arc<Bank>,
    options: &Options,
    folder: Folder,
    mut progress: impl FnMut(u64) -> Result<(), Failure>,
) -> Result<Stems, Failure> {
    let dry_config = SynthConfig { reverb: false, chorus: false, ..options.config };
    let mut mix = Part::new(options.config, options, bank, None)?;
    let mut dry = Part::new(dry_config, options, bank, None)?;
    let mut files = Vec::new();
    for (group, channel) in channels(events, options.config) {
        let part = Part::new(dry_config, options, bank, Some((group, channel)))?;
        let name = format!("group-{}-channel-{:02}.wav", group + 1, channel + 1);
        files.push(file(options, &folder, name, Some((group + 1, channel + 1)), Some(part))?);
    }
    files.push(file(options, &folder, "effects.wav".into(), None, None)?);

    let frame_of = |event: &Event| card_spec::event_frame(event.time, 0, 0, options.config.sample_rate).unsigned_abs();
    let mut waiting = events.iter().peekable();
    let (mut frame, mut deviation) = (0_u64, 0.0_f64);
    while frame < options.frames {
        while let Some(event) = waiting.next_if(|event| frame_of(event) <= frame) {
            for group in groups(event, options.config) {
                let parts = files.iter_mut().filter_map(|file| file.part.as_mut());
                for part in parts.chain([&mut mix, &mut dry]) {
                    part.midi(group, &event.message);
                }
            }
        }
        let next = waiting.peek().map_or(options.frames, |event| frame_of(event)).min(options.frames);
        let count = (next - frame).min(BLOCK as u64) as usize;
        for part in files.iter_mut().filter_map(|file| file.part.as_mut()).chain([&mut mix, &mut dry]) {
            part.synth.render(&mut part.block[..count]);
        }
        for index in 0..count {
            for side in 0..2 {
                let mixed = mix.block[index][side];
                let mut sum = 0.0_f64;
                for file in &mut files {
                    let sample = match &file.part {
                        Some(part) => part.block[index][side],
                        None => mixed - dry.block[index][side],
                    };
                    sum += f64::from(sample);
                    file.peak = file.peak.max(sample.abs());
                    file.wav.write(sample)?;
                }
                deviation = deviation.max((sum - f64::from(mixed)).abs());
            }
        }
        frame += count as u64;
        progress(frame)?;
    }
    finish(files, deviation)
}

/// Returns which channels start notes.
fn channels(events: &[Event], config: SynthConfig) -> BTreeSet<(u16, u8)> {
    events
        .iter()
        .filter_map(|event| starts_note(&event.message).map(|channel| (event, channel)))
        .flat_map(|(event, channel)| groups(event, config).map(move |group| (group, channel)))
        .collect()
}

fn file(
    options: &Options,
    folder: &Folder,
    name: String,
    place: Option<(u16, u8)>,
    part: Option<Part>,
) -> Result<File, WholeFileError> {
    let path: PathBuf = folder.path.join(&name);
    let wav = WholeWav::create(&path, options.config.sample_rate, true)?;
    let (group, channel) = place.unzip();
    Ok(File { stem: Stem { file: name, group, channel, peak_dbfs: None }, part, wav, peak: 0.0 })
}

fn decibels(amplitude: f64) -> Option<f64> {
    // To hundredths of a decibel.
    (amplitude > 0.0).then(|| (2000.0 * amplitude.log10()).round() / 100.0)
}

fn finish(files: Vec<File>, deviation: f64) -> Result<Stems, Failure> {
    let mut stems = Vec::new();
    for File { mut stem, wav, peak, .. } in files {
        wav.finish()?;
        stem.peak_dbfs = decibels(f64::from(peak));
        stems.push(stem);
    }
    Ok(Stems { stems, deviation_dbfs: decibels(deviation) })
}

#[cfg(test)]
mod tests {
    use super::super::offline;
    use super::*;
    use crate::session::Parameters;

    fn song() -> Vec<Event> {
        let event = |time, message: &[u8]| Event { time, group: 1, message: message.to_vec() };
        vec![
            event(0, &[0xC1, 48]),
            event(0, &[0xB1, 91, 127]),
            event(0, &[0xB0, 93, 127]),
            event(0, &[0x90, 60, 100]),
            event(300_000, &[0x91, 67, 110]),
            event(500_000, &[0x99, 38, 120]),
            event(900_000, &[0x80, 60, 0]),
            event(1_200_000, &[0xE1, 0, 80]),
            event(1_500_000, &[0x81, 67, 0]),
        ]
    }

    const FRAMES: u64 = 12_000;

    fn take_apart(voices: u16, folder: &Path) -> Stems {
        let config = SynthConfig { voices, ..SynthConfig::default() };
        let options = Options { config, threads: NonZeroUsize::MIN, frames: FRAMES };
        render(&song(), &Bank::builtin(), &options, Folder::open(folder).unwrap(), |_| Ok(())).unwrap()
    }

    fn read(path: &Path) -> Vec<f32> {
        hound::WavReader::open(path).unwrap().samples().map(Result::unwrap).collect()
    }

    #[test]
    fn the_stems_and_the_effects_add_up_to_what_the_card_renders() {
        let folder = tempfile::tempdir().unwrap();
        let stems = take_apart(128, folder.path());
        let names: Vec<&str> = stems.stems.iter().map(|stem| stem.file.as_str()).collect();
        let channel = |number| format!("group-1-channel-{number}.wav");
        assert_eq!(names, [&channel("01"), &channel("02"), &channel("10"), "effects.wav"]);
        assert!(stems.stems.iter().all(|stem| stem.peak_dbfs.is_some()), "{stems:?}");
        assert!(stems.deviation_dbfs.is_none_or(|deviation| deviation < DEVIATION_DBFS_MAX), "{stems:?}");

        let mut mix = Vec::new();
        let parameters = Parameters::defaults(128);
        offline::render(&song(), parameters, Bank::builtin(), FRAMES, 256, |block| mix.extend_from_slice(block))
            .unwrap();
        let files: Vec<Vec<f32>> = names.iter().map(|name| read(&folder.path().join(name))).collect();
        for (index, sample) in mix.as_flattened().iter().enumerate() {
            let sum: f64 = files.iter().map(|file| f64::from(file[index])).sum();
            let rounded = (sum * 32_768.0).clamp(-32_768.0, 32_767.0);
            // Half a step for the rounding, and a little for the sum's own.
            assert!((rounded - f64::from(*sample)).abs() <= 0.51, "sample {index}: {rounded} and {sample}");
        }
    }

    #[test]
    fn a_mix_that_ran_out_of_voices_differs_from_its_stems() {
        let folder = tempfile::tempdir().unwrap();
        let stems = take_apart(1, folder.path());
        assert!(stems.deviation_dbfs.unwrap() > DEVIATION_DBFS_MAX);
    }

    #[test]
    fn an_interrupted_render_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("stems");
        let config = SynthConfig::default();
        let options = Options { config, threads: NonZeroUsize::MIN, frames: FRAMES };
        let interrupt = |_| Err(Failure::Interrupted { complete: 0 });
        let folder = Folder::open(&inner).unwrap();
        let rendered = render(&song(), &Bank::builtin(), &options, folder, interrupt);
        assert!(matches!(rendered, Err(Failure::Interrupted { .. })));
        assert!(!inner.exists());
    }
}
