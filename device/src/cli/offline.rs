//! Renders an event list to a WAV file without a machine, through the same scheduling and the same synthesizer as for a
//! guest.

use std::io::{BufRead, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;

use card_control::event_list::{self, Event};
use card_control::render::{Progress, ProgressLine, RenderSummary};
use card_spec::control::{StreamKind, StreamState};
use card_spec::event::EventHeader;
use dls_synth::{Bank, Kernel, SynthConfig};
use sha2::Digest;

use super::args::Render;
use super::exit::Failure;
use super::stems::{self, Folder};
use super::whole_file::WholeWav;
use crate::session::render::Renderer;
use crate::session::slice::Slice;
use crate::session::statistics::{hundredths_db, peak};
use crate::session::streams::Stream;
use crate::session::{Parameters, Session};

/// The stream that the events come on.
const STREAM: u32 = 0;

/// Frames between two progress lines.
const PROGRESS_FRAMES: u64 = 1 << 16;

/// Options that change how fast a song is rendered, and no sample of it.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Frames rendered at a time.
    pub block: usize,
    /// The instruction set of the inner loops.
    pub kernel: Kernel,
    /// The number of threads.
    pub threads: NonZeroUsize,
}

/// The inputs and outputs of a render, opened.
pub struct Opened {
    events: Box<dyn BufRead>,
    wav: WholeWav,
    stems: Option<Folder>,
}

impl Opened {
    /// Opens what the command line names. Nothing is read yet.
    ///
    /// # Errors
    /// [`Failure::EventList`] when the list cannot be opened, [`Failure::WholeFile`] when a file or a folder cannot be made.
    pub fn open(arguments: &Render) -> Result<Self, Failure> {
        Ok(Self {
            events: event_list::open(&arguments.events)?,
            wav: WholeWav::create(&arguments.out, arguments.rate, false)?,
            stems: arguments.stems.as_deref().map(Folder::open).transpose()?,
        })
    }
}

/// Renders as the command line says.
///
/// # Errors
/// [`Failure::EventList`] when the list cannot be read or is malformed, [`Failure::WholeFile`] when a file cannot be
/// written, [`Failure::Arguments`] when the synthesizer does not take the options.
pub fn run(arguments: &Render, opened: Opened, bank: Arc<Bank>) -> Result<RenderSummary, Failure> {
    let Opened { events, mut wav, stems } = opened;
    let events = event_list::parse(events, &arguments.events, arguments.channel_groups)?;
    let parameters = Parameters {
        voices: arguments.voices,
        channel_groups: arguments.channel_groups,
        sample_rate: arguments.rate,
        ..Parameters::defaults(arguments.voices)
    };
    let frames = arguments.frames.unwrap_or_else(|| {
        let last = events.last().map_or(0, |event| event.time);
        let last = card_spec::event_frame(last, 0, 0, arguments.rate).unsigned_abs();
        last.saturating_add((arguments.tail * f64::from(arguments.rate)).round() as u64)
    });
    let tuning = Tuning { block: arguments.render_block, kernel: arguments.kernel, threads: arguments.threads };
    // With stems, a song is rendered twice.
    let passes = if stems.is_some() { 2 } else { 1 };
    let mut progress = ProgressDisplay::new(frames * passes, arguments.progress);
    let mut done = 0;
    let mut rendered = render_tuned(&events, parameters, Arc::clone(&bank), frames, tuning, |block| {
        for sample in block.as_flattened() {
            wav.write(*sample)?;
        }
        done += block.len() as u64;
        progress.at(done);
        Ok(())
    })?;
    if let Some(folder) = stems {
        let config = SynthConfig {
            sample_rate: arguments.rate,
            voices: arguments.voices,
            channel_groups: arguments.channel_groups,
            reverb: parameters.reverb,
            chorus: parameters.chorus,
            kernel: tuning.kernel,
        };
        let options = stems::Options { config, threads: tuning.threads, frames };
        rendered.stems = Some(stems::render(&events, &bank, &options, folder, |done| {
            progress.at(frames + done);
            Ok(())
        })?);
    }
    progress.finish();
    wav.finish()?;
    Ok(rendered)
}

/// Renders `frames` frames of a list of events, and passes them to `sink` in blocks.
///
/// # Errors
/// [`Failure::Arguments`] when the synthesizer does not take the parameters, [`Failure::Internal`] when an event is
/// malformed, which [`event_list`] does not let through.
pub fn render(
    events: &[Event],
    parameters: Parameters,
    bank: Arc<Bank>,
    frames: u64,
    block: usize,
    mut sink: impl FnMut(&[crate::session::output::Frame]),
) -> Result<RenderSummary, Failure> {
    let tuning = Tuning { block, kernel: Kernel::Auto, threads: NonZeroUsize::MIN };
    render_tuned(events, parameters, bank, frames, tuning, |block| {
        sink(block);
        Ok(())
    })
}

/// Renders as [`render`] does, with these options.
///
/// # Errors
/// As for [`render`]; [`Failure::Arguments`] for a kernel that this processor cannot run; the errors of `sink`.
pub fn render_tuned(
    events: &[Event],
    parameters: Parameters,
    bank: Arc<Bank>,
    frames: u64,
    tuning: Tuning,
    mut sink: impl FnMut(&[crate::session::output::Frame]) -> Result<(), Failure>,
) -> Result<RenderSummary, Failure> {
    let wrong = |error: dls_synth::ConfigError| Failure::Arguments(error.to_string());
    let mut session = Session::new(0, parameters, bank).map_err(wrong)?;
    let config = session.synth.config();
    session.synth.reconfigure(SynthConfig { kernel: tuning.kernel, ..config }).map_err(wrong)?;
    session.synth.synth().set_threads(tuning.threads);
    session.streams.insert(STREAM, Stream { state: StreamState::RUN, ..Stream::new(StreamKind::RENDER, 2) });
    let mut renderer = Renderer::new(tuning.block);
    let mut waiting = events.iter();
    let (mut done, mut highest, mut events_late) = (0, 0, 0);
    while done < frames {
        // As a driver does: as many events ahead as the card takes.
        while session.timeline.has_room()
            && let Some(event) = waiting.next()
        {
            let header = EventHeader {
                time: event.time.into(),
                channel_group: event.group.into(),
                flags: 0.into(),
                length: 0.into(),
                reserved: 0.into(),
            };
            let late = session
                .accept_event(STREAM, &header, &event.message)
                .map_err(|error| Failure::Internal(format!("an event of the list was refused: {error}")))?;
            events_late += u64::from(late);
        }
        session.backlog = waiting.len() > 0;
        let left = usize::try_from(frames - done).unwrap_or(usize::MAX);
        let rendered = renderer.render(&mut session, left, &Slice::begin());
        highest = highest.max(peak(rendered));
        done += rendered.len() as u64;
        sink(rendered)?;
    }
    Ok(RenderSummary {
        frames,
        sample_rate: parameters.sample_rate,
        events: (events.len() - waiting.len() - session.timeline.pending()) as u64,
        events_late,
        notes_lost: session.synth.notes_lost(),
        peak_dbfs: (highest > 0).then(|| f64::from(hundredths_db(highest)) / 100.0),
        pcm_sha256: hex::encode(session.hash.finalize()),
        stems: None,
    })
}

/// Shows how far the render is: a line that changes on a terminal, or JSON lines for a program.
struct ProgressDisplay {
    terminal: bool,
    json: bool,
    total: u64,
    next: u64,
}

impl ProgressDisplay {
    fn new(total: u64, json: bool) -> Self {
        Self { terminal: !json && std::io::stderr().is_terminal(), json, total, next: PROGRESS_FRAMES }
    }

    fn at(&mut self, frames: u64) {
        if frames < self.next {
            return;
        }
        self.next = frames + PROGRESS_FRAMES;
        if self.terminal {
            let percent = frames * 100 / self.total.max(1);
            let _ = write!(std::io::stderr(), "\rrendering: {percent:3} %");
        }
        if self.json {
            let line = ProgressLine { progress: Progress { frames, of: self.total } };
            // A reader that has gone away misses nothing but this.
            let line = serde_json::to_string(&line).unwrap_or_default();
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }

    fn finish(&self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes() -> Vec<Event> {
        let note = |time, message: [u8; 3]| Event { time, group: 1, message: message.to_vec() };
        vec![
            note(0, [0x90, 60, 100]),
            note(1_234_567, [0x90, 64, 90]),
            note(1_234_567, [0x90, 67, 80]),
            note(2_000_003, [0x80, 60, 0]),
        ]
    }

    fn hash(events: &[Event], block: usize) -> RenderSummary {
        let parameters = Parameters::defaults(128);
        render(events, parameters, Bank::builtin(), 24_000, block, |_| {}).unwrap()
    }

    #[test]
    fn the_block_size_changes_no_sample() {
        let whole = hash(&notes(), 4096);
        assert!(whole.peak_dbfs.is_some());
        for block in [1, 7, 64, 441] {
            assert_eq!(hash(&notes(), block), whole);
        }
    }

    #[test]
    fn kernel_and_threads_change_no_sample() {
        let parameters = Parameters::defaults(128);
        let whole = hash(&notes(), 256);
        for (kernel, threads) in [(Kernel::Scalar, 1), (Kernel::Auto, 2)] {
            let tuning = Tuning { block: 256, kernel, threads: NonZeroUsize::new(threads).unwrap() };
            let rendered = render_tuned(&notes(), parameters, Bank::builtin(), 24_000, tuning, |_| Ok(())).unwrap();
            assert_eq!(rendered, whole);
        }
    }

    #[test]
    fn an_event_sounds_from_exactly_its_frame_on() {
        let note = Event { time: 1_000_000, group: 1, message: vec![0x90, 60, 127] };
        let mut pcm = Vec::new();
        let parameters = Parameters::defaults(128);
        render(&[note], parameters, Bank::builtin(), 9_600, 1000, |block| pcm.extend_from_slice(block)).unwrap();
        assert!(pcm[..4800].iter().all(|frame| *frame == [0, 0]));
        assert!(pcm[4800..].iter().any(|frame| *frame != [0, 0]));
    }

    #[test]
    fn more_events_than_the_card_keeps_ahead_all_play_on_time_at_any_block_size() {
        let mut events = Vec::new();
        for index in 0..70_000_i64 {
            let message = vec![0xB0, 7, (index % 128) as u8];
            events.push(Event { time: index * 50, group: 1, message });
        }
        events.extend(notes().into_iter().map(|event| Event { time: event.time + 3_500_000, ..event }));
        let parameters = Parameters::defaults(128);
        let run = |block| render(&events, parameters, Bank::builtin(), 48_000, block, |_| {}).unwrap();
        let whole = run(4096);
        assert_eq!((whole.events, whole.events_late), (events.len() as u64, 0));
        assert_eq!(run(333), whole);
    }
}
