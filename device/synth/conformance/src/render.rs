//! How a case becomes sound: through this project's synthesizer, or through any other program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dls_synth::{Bank, Synth, SynthConfig, VolumeItem};
use midly::{MetaMessage, Smf, Timing, TrackEventKind};
use thiserror::Error;

use crate::expect::Format;
use crate::signal::Recording;

/// What DirectMusic adds to every voice, in 1/100 dB: taken back, so that levels are those of DLS.
const DIRECT_MUSIC_GAIN: i32 = 1200;

/// Oscillators when a case does not set their number.
pub const VOICES: u16 = 256;

/// Longest time that a program may take for a file of some seconds.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// How often a running program is looked after.
const POLL: Duration = Duration::from_millis(2);

/// What is to be rendered.
pub struct Job<'a> {
    /// The instruments.
    pub dls: &'a [u8],
    /// Their form.
    pub format: Format,
    /// The notes.
    pub midi: &'a [u8],
    /// Frames a second.
    pub rate: u32,
    /// Oscillators.
    pub voices: u16,
    /// Path of the files without their extensions.
    pub stem: &'a Path,
    /// Whether the files are wanted for themselves.
    pub keep: bool,
}

/// Why there is no sound.
#[derive(Debug, Error)]
pub enum RenderError {
    /// The synthesizer does not take the file.
    #[error("the file is refused: {0}")]
    Refused(String),
    /// A command line lacks what it needs.
    #[error(
        "{0:?} is neither a preset (own, fluidsynth, sonivox, the latter two with :PATH if need be) nor a command line \
         with {{dls}}, {{mid}} and {{wav}}"
    )]
    Template(String),
    /// The shell finds no such program.
    #[error("the shell cannot run the synthesizer: {command}\n{tail}")]
    NoProgram {
        /// What was tried.
        command: String,
        /// The shell's error.
        tail: String,
    },
    /// The program ran, and failed.
    #[error("the synthesizer's command failed ({status}): {command}\n{tail}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its output.
        tail: String,
    },
    /// The program did not end.
    #[error("the synthesizer's command did not end within {} s and was ended: {command}", COMMAND_LIMIT.as_secs())]
    TooLong {
        /// What was run.
        command: String,
    },
    /// The program left no recording.
    #[error("the synthesizer's command succeeded but wrote no {path}: {command}\n{tail}")]
    NoWav {
        /// What was run.
        command: String,
        /// What was expected.
        path: PathBuf,
        /// The end of its output.
        tail: String,
    },
    /// The recording is not one that can be judged.
    #[error("{path} has {found}; it must have {wanted}")]
    Format {
        /// The recording.
        path: PathBuf,
        /// What it has.
        found: String,
        /// What it must have.
        wanted: String,
    },
    /// The recording cannot be read.
    #[error("{path} cannot be read: {source}")]
    Wav {
        /// The recording.
        path: PathBuf,
        /// Why.
        source: hound::Error,
    },
    /// A file cannot be written, or the shell not be started.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The MIDI file is none of the suite's.
    #[error("the MIDI file cannot be played: {0}")]
    Midi(String),
}

/// A way to make sound.
#[derive(Clone, Debug)]
pub enum Renderer {
    /// This project's synthesizer, in this process.
    Own,
    /// A command line with `{dls}`, `{mid}`, `{wav}`, `{rate}` and `{voices}`, for the shell.
    Command(String),
}

impl Renderer {
    /// Returns the renderer of a command-line argument: a preset's name, with a program's path after a colon if it is
    /// not on the path, or a command line.
    ///
    /// # Errors
    /// [`RenderError::Template`], when it is none of these.
    pub fn of(argument: &str) -> Result<Self, RenderError> {
        let (name, program) = argument.split_once(':').unwrap_or((argument, ""));
        let program = |default: &str| quoted(Path::new(if program.is_empty() { default } else { program }));
        Ok(match name {
            "own" => Self::Own,
            "fluidsynth" => Self::Command(format!("{} {FLUIDSYNTH}", program("fluidsynth"))),
            "sonivox" => Self::Command(format!("{} {SONIVOX}", program("sonivoxrender"))),
            _ if PLACEHOLDERS.iter().all(|placeholder| argument.contains(placeholder)) => {
                Self::Command(argument.to_owned())
            }
            _ => return Err(RenderError::Template(argument.to_owned())),
        })
    }

    /// Returns a description for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Own => format!("dls-synth {}", env!("CARGO_PKG_VERSION")),
            Self::Command(line) => line.clone(),
        }
    }

    /// Renders.
    ///
    /// # Errors
    /// [`RenderError`], when there is nothing to measure.
    pub fn render(&self, job: &Job<'_>) -> Result<Recording, RenderError> {
        let [dls, midi, wav] =
            [job.format.extension(), "mid", "wav"].map(|extension| job.stem.with_extension(extension));
        if job.keep || matches!(self, Self::Command(_)) {
            for (path, bytes) in [(&dls, job.dls), (&midi, job.midi)] {
                fs::write(path, bytes).map_err(|source| io_error("write", path, source))?;
            }
        }
        match self {
            Self::Own => {
                let recording = own(job)?;
                if job.keep {
                    write_wav(&wav, &recording)?;
                }
                Ok(recording)
            }
            Self::Command(template) => command(template, job, &dls, &midi, &wav),
        }
    }
}

/// What every command line must name.
const PLACEHOLDERS: [&str; 3] = ["{dls}", "{mid}", "{wav}"];

/// What a shell returns for a program that it cannot run or find (POSIX, Shell Command Language, 2.8.2).
const SHELL_CANNOT: std::ops::RangeInclusive<i32> = 126..=127;

/// FluidSynth's arguments. Effects stay on: cases that do not want them send nothing there.
const FLUIDSYNTH: &str = "-q -n -i -g 0.5 -r {rate} -o synth.polyphony={voices} -o synth.midi-bank-select={select} \
                          -T wav -O float -F {wav} {dls} {mid}";

/// Sonivox' arguments, and SoX to put a header before the bare samples.
const SONIVOX: &str = "-d {dls} -r 4 -c 1 {mid} | sox -t raw -r {rate} -e signed -b 16 -c 2 - {wav}";

fn io_error(what: &str, path: &Path, source: io::Error) -> RenderError {
    RenderError::Io { what: format!("cannot {what} {}", path.display()), source }
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn own(job: &Job<'_>) -> Result<Recording, RenderError> {
    let bank = Bank::from_bytes(job.dls).map_err(|error| RenderError::Refused(error.to_string()))?;
    let config = SynthConfig { sample_rate: job.rate, voices: job.voices, ..SynthConfig::default() };
    let mut synth = Synth::new(config, Arc::new(bank)).map_err(|error| RenderError::Refused(error.to_string()))?;
    synth.set_volume(VolumeItem::Volume, -DIRECT_MUSIC_GAIN);
    let smf = Smf::parse(job.midi).map_err(|error| RenderError::Midi(error.to_string()))?;
    let Timing::Metrical(division) = smf.header.timing else {
        return Err(RenderError::Midi("time codes are not the suite's".into()));
    };
    let mut events: Vec<(u64, TrackEventKind<'_>)> = Vec::new();
    for track in &smf.tracks {
        let mut tick = 0;
        for event in track {
            tick += u64::from(event.delta.as_int());
            events.push((tick, event.kind));
        }
    }
    events.sort_by_key(|(tick, _)| *tick);
    let mut frames = Vec::new();
    let (mut tick, mut seconds, mut seconds_a_tick) = (0, 0.0, 0.5 / f64::from(division.as_int()));
    for (at, kind) in events {
        seconds += (at - tick) as f64 * seconds_a_tick;
        tick = at;
        let from = frames.len();
        let until = ((seconds * f64::from(job.rate)) as usize).max(from);
        frames.resize(until, [0.0; 2]);
        synth.render(&mut frames[from..]);
        match kind {
            TrackEventKind::Meta(MetaMessage::Tempo(tempo)) => {
                seconds_a_tick = f64::from(tempo.as_int()) * 1e-6 / f64::from(division.as_int());
            }
            TrackEventKind::SysEx(data) => synth.midi(0, &[&[0xF0], data].concat()),
            TrackEventKind::Midi { .. } => {
                let mut bytes = Vec::new();
                if let Some(event) = kind.as_live_event() {
                    // Memory takes all.
                    let _ = event.write_std(&mut bytes);
                }
                synth.midi(0, &bytes);
            }
            _ => {}
        }
    }
    Ok(Recording { rate: job.rate, frames })
}

fn command(template: &str, job: &Job<'_>, dls: &Path, midi: &Path, wav: &Path) -> Result<Recording, RenderError> {
    let line = template
        .replace("{dls}", &quoted(dls))
        // A SoundFont's bank is one number (7.2), which FluidSynth's default takes from controller 0.
        .replace("{select}", if job.format == Format::Sf2 { "gs" } else { "mma" })
        .replace("{mid}", &quoted(midi))
        .replace("{wav}", &quoted(wav))
        .replace("{rate}", &job.rate.to_string())
        .replace("{voices}", &job.voices.to_string());
    match fs::remove_file(wav) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", wav, error)),
        _ => {}
    }
    let log = job.stem.with_extension("log");
    let output = fs::File::create(&log).map_err(|source| io_error("create", &log, source))?;
    let also = output.try_clone().map_err(|source| io_error("use", &log, source))?;
    let shell_error = |source| RenderError::Io { what: format!("cannot run the shell for {line}"), source };
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(&line)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(also)
        .spawn()
        .map_err(shell_error)?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(shell_error)? {
            break status;
        }
        if begun.elapsed() > COMMAND_LIMIT {
            // It may have ended just now; then there is nothing to end.
            let _ = child.kill();
            let _ = child.wait();
            return Err(RenderError::TooLong { command: line });
        }
        thread::sleep(POLL);
    };
    let tail = || tail_of(&log);
    if status.code().is_some_and(|code| SHELL_CANNOT.contains(&code)) {
        return Err(RenderError::NoProgram { command: line, tail: tail() });
    }
    if !status.success() {
        return Err(RenderError::Failed { command: line, status, tail: tail() });
    }
    if !wav.exists() {
        return Err(RenderError::NoWav { command: line, path: wav.to_owned(), tail: tail() });
    }
    read_wav(wav, job.rate)
}

/// Lines of a failed program's output that are shown.
const TAIL_LINES: usize = 8;

fn tail_of(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Reads a recording of one or two channels.
///
/// # Errors
/// [`RenderError::Wav`] when it is no WAV file; [`RenderError::Format`] when its format cannot be measured.
pub fn read_wav(path: &Path, rate: u32) -> Result<Recording, RenderError> {
    let wav = |source| RenderError::Wav { path: path.to_owned(), source };
    let format = |found, wanted| RenderError::Format { path: path.to_owned(), found, wanted };
    let mut reader = hound::WavReader::open(path).map_err(wav)?;
    let spec = reader.spec();
    if spec.sample_rate != rate {
        return Err(format(format!("{} frames a second", spec.sample_rate), format!("{rate}: pass {{rate}} on")));
    }
    let samples: Vec<f32> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>(),
        hound::SampleFormat::Int => {
            let full = f64::from(spec.bits_per_sample - 1).exp2();
            reader.samples::<i32>().map(|s| s.map(|s| (f64::from(s) / full) as f32)).collect::<Result<_, _>>()
        }
    }
    .map_err(wav)?;
    let frames = match spec.channels {
        1 => samples.iter().map(|s| [*s, *s]).collect(),
        2 => samples.as_chunks::<2>().0.to_vec(),
        other => return Err(format(format!("{other} channels"), "one or two".into())),
    };
    Ok(Recording { rate, frames })
}

fn write_wav(path: &Path, recording: &Recording) -> Result<(), RenderError> {
    let wav = |source| RenderError::Wav { path: path.to_owned(), source };
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: recording.rate,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).map_err(wav)?;
    for sample in recording.frames.as_flattened() {
        writer.write_sample(*sample).map_err(wav)?;
    }
    writer.finalize().map_err(wav)
}
