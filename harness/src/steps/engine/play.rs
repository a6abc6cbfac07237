//! Plays on a stream, and keeps what came of it.

use guest_protocol::{Delivery, Pace, Request};

use super::side::StepError;
use super::state::{Engine, Recording, Stream, StreamPins};
use crate::host::leftovers::Scratch;
use crate::machine::Received;
use crate::playback::PlaybackError;
use crate::sound::midi::{CHANNEL_GROUP, Song, TICKS_A_SECOND};
use crate::sound::pcm::{Pcm, PcmFormat};
use crate::sound::render::{self, RenderOptions};
use crate::sound::song_file::SongFile;
use crate::steps::document::{DeliveryOrder, OpenStep, PlayStep};
use crate::steps::plan::{Music, STREAM};
use crate::testbed::{Clock, MusicFormat, StreamMemory};

impl Engine<'_, '_> {
    /// Plays on a stream, which is opened for this step alone where none is open.
    pub(super) fn play(&mut self, play: &PlayStep, music: &Music) -> Result<String, StepError> {
        if self.streams.is_empty() {
            self.open(&OpenStep::default())?;
            let played = self.play_on(STREAM, play, music);
            let closed = self.close(STREAM);
            let found = played?;
            closed?;
            return Ok(found);
        }
        let name = self.stream_name(play.stream.as_ref(), Some(false))?;
        self.play_on(&name, play, music)
    }

    /// Returns what a step plays.
    fn song(&mut self, play: &PlayStep, music: &Music) -> Result<Song, StepError> {
        let card = &self.bed.provisioned().artefacts.card;
        let song = match music {
            Music::OfScenario => self.test.song.clone(),
            Music::Events(song) => song.clone(),
            Music::Song(source) => {
                let SongFile { song, .. } = source.read(card)?;
                self.warnings.extend(song.notices.iter().map(|notice| format!("{}: {notice}", song.name)));
                song
            }
        };
        let song = song.part(play.from_ms.unwrap_or(0), play.to_ms.as_ref().map(|ms| *ms.get_ref()));
        let song =
            play.tempo_percent.as_ref().map_or_else(|| song.clone(), |percent| song.at_tempo(*percent.get_ref()));
        let group = play.group.unwrap_or(CHANNEL_GROUP);
        Ok(if group > CHANNEL_GROUP { song.on_group(group) } else { song })
    }

    fn play_on(&mut self, name: &str, play: &PlayStep, music: &Music) -> Result<String, StepError> {
        let song = self.song(play, music)?;
        let song = match self.bed.card_options().clock {
            Clock::Lockstep => song,
            // The first events have as much time to reach the card as all others, and as much again.
            Clock::Realtime => song.delayed(2 * self.test.lead_ms),
        };
        let Some(Stream { pins: StreamPins::Song(pins), memory, .. }) = self.streams.get_mut(name) else {
            return Err(StepError::Unexpected(format!("stream `{name}` takes no music")));
        };
        let pins = *pins;
        if let Some(memory) = memory.take() {
            memory.free(self.bed)?;
        }
        if let Some(piece_bytes) = play.piece_bytes {
            self.bed.session.done("say how messages are cut", Request::Allocators { piece_bytes })?;
        }
        let song = pins.music.song(&song);
        let tail_ms = play.tail_ms.unwrap_or(self.test.tail_ms);
        let frames = pins.wave.map(|(_, format)| (song.frames(format.sample_rate, tail_ms), format));
        let of_events = song.events.len() as u32;
        let memory = StreamMemory::prepare(self.bed, &pins.music.records(&song.events), of_events, frames)?;
        let pace = match self.bed.card_options().clock {
            Clock::Lockstep => Pace::Lockstep,
            Clock::Realtime => Pace::Realtime { lead_ms: self.test.lead_ms },
        };
        let delivery = match play.delivery {
            DeliveryOrder::InOrder => Delivery::InOrder,
            DeliveryOrder::Reversed => Delivery::Reversed,
            DeliveryOrder::Packages => Delivery::Packages,
        };
        let quantum = play.quantum.unwrap_or(self.test.quantum_frames);
        // What the playback before has brought. The playback finds it out where a device does not answer.
        let _ = self.take_received();
        let begun = self.side.status().map(|status| self.side.card_ms(&status));
        let session = &mut self.bed.session;
        let played = match pins.sounding() {
            Some(pins) if play.keep_running => session.play_on(memory.play(&pins, quantum, pace, delivery))?,
            Some(pins) => session.play(memory.play(&pins, quantum, pace, delivery))?,
            None => {
                let duration = song.end.saturating_add(u64::from(tail_ms) * TICKS_A_SECOND / 1000);
                session.play_midi(memory.play_midi(pins.render, duration, pace, delivery))?
            }
        };
        let ended = self.side.status().map(|status| self.side.card_ms(&status));
        let (of_frames, of_events) = (frames.map_or(0, |(frames, _)| frames), u64::from(of_events));
        if (played.frames, played.events) != (of_frames, of_events) {
            let (frames, events) = (played.frames, played.events);
            return Err(PlaybackError::Short { frames, of_frames, events, of_events }.into());
        }
        let pcm = match frames {
            Some((_, format)) => Some(Pcm::from_bytes(&memory.read_pcm(self.bed)?, format)),
            None => None,
        };
        if play.keep_running {
            if let Some(stream) = self.streams.get_mut(name) {
                stream.memory = Some(memory);
            }
        } else {
            memory.free(self.bed)?;
        }
        let card_ms = begun.zip(ended).map(|(begun, ended)| (ended - begun).round() as u64);
        let found = format!("{} events, {of_frames} frames", played.events);
        if let Some(pcm) = &pcm {
            let number = self.recordings.len() + 1;
            let file = if number == 1 { "guest.wav".to_owned() } else { format!("guest-{number}.wav") };
            pcm.write_wav(&self.side.run_folder.join(file))?;
        }
        let recording = Recording { song, pcm, received: Received::default(), tail_ms, events: played.events, card_ms };
        self.recordings.insert(name.to_owned(), recording);
        self.last = Some(name.to_owned());
        Ok(found)
    }

    /// Renders what was played offline.
    pub(super) fn render_offline(&self, recording: &Recording, format: PcmFormat) -> Result<Pcm, StepError> {
        if format != PcmFormat::of_card(format.sample_rate) {
            return Err(PlaybackError::OfflineFormat(format).into());
        }
        let scratch = Scratch::new()?;
        let (events, wav) = (scratch.path().join("events.txt"), scratch.path().join("offline.wav"));
        render::write_events(&recording.song.events, &events)?;
        let rendering = render::start(&RenderOptions {
            card: self.bed.provisioned().artefacts.card.clone(),
            events,
            out: wav.clone(),
            sample_rate: format.sample_rate,
            frames: recording.song.frames(format.sample_rate, recording.tail_ms),
            channel_groups: recording.song.channel_groups(),
            bank: self.bed.card_options().bank.clone(),
        })?;
        rendering.finish()?;
        Ok(Pcm::read_wav(&wav)?)
    }
}

/// Returns how much guest memory a song takes, with its records and its PCM at the highest rate that pins have by themselves.
pub(super) fn memory_of(song: &Song, sample_rate: u32, tail_ms: u32) -> u64 {
    let records = MusicFormat::DirectMusic.records(&song.events).len() as u64;
    records + song.frames(sample_rate, tail_ms) * crate::sound::pcm::FRAME_BYTES
}
