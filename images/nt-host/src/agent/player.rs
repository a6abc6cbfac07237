//! Plays events into a render pin and frames out of a wave pin.
//!
//! Both pins go up the state ladder; the wave stream is anchored to one moment of master time right after it runs, and
//! every event is stamped from that moment on. In lockstep, the events before the end of a quantum are handed over,
//! then the quantum is rendered. In real time, the master clock says when.

use alloc::vec::Vec;
use core::iter::{Peekable, Take};

use guest_protocol::{Delivery, Pace};

use crate::contract::rules;
use crate::nt::NTSTATUS;
use crate::portcls::com::abi::KsState;
use crate::portcls::kernel::deadline::Deadline;
use crate::portcls::pin::unpack::{Malformed, Message, Records};
use crate::portcls::pin::{Pin, RENDER_GUARD_BYTES, clock};

/// How long a stream may keep any event in STOP. 100 ns units.
const RETURN_LIMIT: i64 = 50_000_000;

/// How long a stream may keep every event that there is: a device that takes none for so long will take none. 100 ns
/// units.
const STUCK_LIMIT: i64 = 200_000_000;

/// What is handed over at a time without a wave stream: 10 ms, in 100 ns units.
const MIDI_QUANTUM: i64 = 100_000;

/// How often progress is reported. 100 ns units.
const PROGRESS_EVERY: i64 = 2_500_000;

/// 100 ns units in a second, and in a millisecond.
const SECOND: i128 = 10_000_000;
const MILLISECOND: i64 = 10_000;

/// What to play.
pub(crate) struct Piece<'a> {
    /// Records in the format of the render pin: DirectMusic buffer records, or `KSMUSICFORMAT` on a MIDI pin.
    pub(crate) events: &'a [u8],
    /// How many there are.
    pub(crate) event_count: u32,
    /// How many frames to render.
    pub(crate) frames: u64,
    /// Where they go, and [`RENDER_GUARD_BYTES`] behind them.
    pub(crate) pcm: &'a mut [u8],
    /// Frames to ask for at a time.
    pub(crate) quantum: u32,
    /// How fast.
    pub(crate) pace: Pace,
    /// In which order events are handed over, and how wrapped.
    pub(crate) delivery: Delivery,
}

/// What to play on a pin whose filter gives no PCM.
pub(crate) struct MidiPiece<'a> {
    /// Records, as of a [`Piece`].
    pub(crate) events: &'a [u8],
    /// How many there are.
    pub(crate) event_count: u32,
    /// The end, in 100 ns units from the start.
    pub(crate) duration: u64,
    /// How fast.
    pub(crate) pace: Pace,
    /// In which order events are handed over, and how wrapped.
    pub(crate) delivery: Delivery,
}

/// What has been played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Played {
    /// Frames rendered.
    pub(crate) frames: u64,
    /// Records handed over.
    pub(crate) events: u64,
}

/// Why it could not be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlayError {
    /// The pins are no render pin and wave pin.
    #[error("Play takes a music render pin and a wave pin, both in STOP")]
    Pins,
    /// The pin is no render pin.
    #[error("PlayMidi takes a music render pin in STOP")]
    Render,
    /// The frames do not fit the range, or there are none, or the quantum is none.
    #[error("{frames} frames of {block} bytes do not fit the PCM range, or frames or quantum are 0")]
    Frames { frames: u64, block: u32 },
    /// The records are none.
    #[error("record {index} of the events: {malformed}")]
    Malformed { index: u64, malformed: Malformed },
    /// The records do not ascend in time.
    #[error("record {index} of the events is at {time}, before the one at {previous}: records ascend in time")]
    Order { index: u64, time: i64, previous: i64 },
    /// There are more or fewer than said.
    #[error("{says} records were announced and {found} are in the range")]
    Count { says: u32, found: u64 },
    /// A state was refused.
    #[error("the {pin} pin's stream answered SetState towards {state} with status {status:#010x}")]
    State { pin: &'static str, state: &'static str, status: NTSTATUS },
    /// The anchor was refused.
    #[error("ISynthSinkDMus::SyncToMaster(time, TRUE) answered status {0:#010x}")]
    Sync(NTSTATUS),
    /// `PutMessage` failed.
    #[error("IMXF::PutMessage answered status {0:#010x} in RUN: a render stream takes every event")]
    Refused(NTSTATUS),
    /// Events are out, and none or too few came back.
    #[error("the render stream has kept {0} events for 20 s; it must give events back when it has sent them")]
    Stuck(usize),
}

/// In which state pins are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// In STOP, with every event back.
    Stopped,
    /// In RUN, unless something went wrong.
    Running,
}

/// Plays a piece; both pins are in STOP before. `progress` gets frames and events a few times a second; `wait` sleeps
/// until something happens, for a millisecond at most.
///
/// # Errors
/// The [`PlayError`] of the first step that failed; both pins are then in STOP.
pub(crate) fn play(
    render: &mut Pin,
    wave: &mut Pin,
    piece: &mut Piece<'_>,
    leave: Leave,
    mut progress: impl FnMut(Played),
    mut wait: impl FnMut(),
) -> Result<Played, PlayError> {
    let (Some((rate, block)), true) = (wave.wave_format(), render.is_render()) else { return Err(PlayError::Pins) };
    if render.state() != KsState::Stop || wave.state() != KsState::Stop {
        return Err(PlayError::Pins);
    }
    let bytes = piece.frames.saturating_mul(u64::from(block)).saturating_add(RENDER_GUARD_BYTES as u64);
    if piece.quantum == 0 || piece.frames == 0 || bytes > piece.pcm.len() as u64 {
        return Err(PlayError::Frames { frames: piece.frames, block });
    }
    check_records(render, piece.events, piece.event_count)?;
    let result = run(render, wave).and_then(|start| {
        let mut playback =
            Playback { render, start, reported: start, events: 0, frames: 0, progress: &mut progress, wait: &mut wait };
        playback.perform(wave, (rate, block), piece)
    });
    if leave == Leave::Running && result.is_ok() {
        return result;
    }
    // Down again whatever happened, and the render stream first: what it still holds is then not late for anything.
    let stopped = set_state(render, "render", KsState::Stop).and_then(|()| set_state(wave, "wave", KsState::Stop));
    let played = result?;
    stopped?;
    render.expect_returned(rules::CONSERVATION, RETURN_LIMIT, wait);
    Ok(played)
}

/// Plays a piece on a pin whose filter gives no PCM; the pin is in STOP before, and in RUN afterwards. `progress` and `wait`
/// are as for [`play`].
///
/// # Errors
/// The [`PlayError`] of the first step that failed; the pin is then in STOP.
pub(crate) fn play_midi(
    render: &mut Pin,
    piece: &MidiPiece<'_>,
    mut progress: impl FnMut(Played),
    mut wait: impl FnMut(),
) -> Result<Played, PlayError> {
    if !render.is_render() || render.state() != KsState::Stop {
        return Err(PlayError::Render);
    }
    check_records(render, piece.events, piece.event_count)?;
    let result = set_state(render, "render", KsState::Run).and_then(|()| {
        let start = clock::now();
        let mut playback =
            Playback { render, start, reported: start, events: 0, frames: 0, progress: &mut progress, wait: &mut wait };
        playback.perform_midi(piece)
    });
    if result.is_err() {
        set_state(render, "render", KsState::Stop)?;
    }
    result
}

/// Takes both pins to RUN. Returns the master time of the first frame.
fn run(render: &mut Pin, wave: &mut Pin) -> Result<i64, PlayError> {
    set_state(render, "render", KsState::Pause)?;
    set_state(wave, "wave", KsState::Run)?;
    let start = clock::now();
    wave.sync_to_master(start).map_err(PlayError::Sync)?;
    set_state(render, "render", KsState::Run)?;
    Ok(start)
}

fn set_state(pin: &mut Pin, name: &'static str, state: KsState) -> Result<(), PlayError> {
    let text = match state {
        KsState::Stop => "STOP",
        KsState::Acquire => "ACQUIRE",
        KsState::Pause => "PAUSE",
        KsState::Run => "RUN",
    };
    pin.set_state(state).map_err(|status| PlayError::State { pin: name, state: text, status })
}

/// Reads all records once, so that nothing is wrong with them when the music plays.
fn check_records(render: &Pin, events: &[u8], event_count: u32) -> Result<(), PlayError> {
    let mut found = 0;
    let mut previous = i64::MIN;
    for record in render.records(events).take(event_count as usize) {
        let message = record.map_err(|malformed| PlayError::Malformed { index: found, malformed })?;
        if message.delta < previous {
            return Err(PlayError::Order { index: found, time: message.delta, previous });
        }
        previous = message.delta;
        found += 1;
    }
    if found == u64::from(event_count) { Ok(()) } else { Err(PlayError::Count { says: event_count, found }) }
}

/// A piece being played.
struct Playback<'a, P: FnMut(Played), W: FnMut()> {
    render: &'a Pin,
    start: i64,
    reported: i64,
    events: u64,
    frames: u64,
    progress: &'a mut P,
    wait: &'a mut W,
}

/// The records of a piece that have not been handed over.
type Waiting<'a> = Peekable<Take<Records<'a>>>;

impl<P: FnMut(Played), W: FnMut()> Playback<'_, P, W> {
    fn perform(
        &mut self,
        wave: &mut Pin,
        (rate, block): (u32, u32),
        piece: &mut Piece<'_>,
    ) -> Result<Played, PlayError> {
        let total = piece.frames;
        let mut records = self.begin(piece.events, piece.event_count, piece.pace);
        while self.frames < total {
            let end = (self.frames + u64::from(piece.quantum)).min(total);
            let horizon = self.horizon(frame_time(end, rate), piece.pace);
            self.send_due(&mut records, horizon, piece.delivery)?;
            match piece.pace {
                Pace::Lockstep => self.render.deliver_until(self.start.saturating_add(horizon)),
                Pace::Realtime { .. } if clock::now() - self.start < frame_time(end, rate) => {
                    (self.wait)();
                    continue;
                }
                Pace::Realtime { .. } => {}
            }
            let place = self.frames as usize * block as usize;
            wave.render(&mut piece.pcm[place..], (end - self.frames) as u32);
            self.frames = end;
            self.report_progress();
        }
        Ok(self.played())
    }

    /// Plays without a wave stream. In lockstep, each quantum's events are handed over, and the next quantum waits until the
    /// driver has given them back, for as long as a stream may keep every event.
    fn perform_midi(&mut self, piece: &MidiPiece<'_>) -> Result<Played, PlayError> {
        let total = i64::try_from(piece.duration).unwrap_or(i64::MAX);
        let mut records = self.begin(piece.events, piece.event_count, piece.pace);
        let mut end = 0;
        while end < total {
            end = end.saturating_add(MIDI_QUANTUM).min(total);
            let horizon = self.horizon(end, piece.pace);
            self.send_due(&mut records, horizon, piece.delivery)?;
            match piece.pace {
                Pace::Lockstep => {
                    self.render.deliver_until(self.start.saturating_add(horizon));
                    self.await_returned()?;
                }
                Pace::Realtime { .. } => {
                    while clock::now() - self.start < end {
                        (self.wait)();
                    }
                }
            }
            self.report_progress();
        }
        self.await_returned()?;
        Ok(self.played())
    }

    /// Returns the records to hand over; in real time, the port's timer delivers what the sequencer holds.
    fn begin<'e>(&self, events: &'e [u8], event_count: u32, pace: Pace) -> Waiting<'e> {
        if matches!(pace, Pace::Realtime { .. }) {
            self.render.follow_clock(true);
        }
        self.render.records(events).take(event_count as usize).peekable()
    }

    /// Returns the time before which events are handed over, for a quantum that ends at `end`.
    fn horizon(&self, end: i64, pace: Pace) -> i64 {
        match pace {
            Pace::Lockstep => end,
            Pace::Realtime { lead_ms } => {
                (clock::now() - self.start).saturating_add(i64::from(lead_ms).saturating_mul(MILLISECOND))
            }
        }
    }

    /// Hands over what is before `horizon`.
    fn send_due(&mut self, records: &mut Waiting<'_>, horizon: i64, delivery: Delivery) -> Result<(), PlayError> {
        let mut stretch = Vec::new();
        while let Some(Ok(message)) =
            records.next_if(|record| record.as_ref().is_ok_and(|message| message.delta < horizon))
        {
            match delivery {
                Delivery::InOrder => self.send(&message)?,
                Delivery::Reversed | Delivery::Packages => stretch.push(message),
            }
        }
        self.send_stretch(stretch, delivery)?;
        self.render.flush();
        self.render.refused().map_or(Ok(()), |status| Err(PlayError::Refused(status)))
    }

    /// Waits until the driver has given every event back.
    fn await_returned(&mut self) -> Result<(), PlayError> {
        let deadline = Deadline::after(STUCK_LIMIT);
        while self.render.allocator().events_out() > 0 {
            if deadline.has_passed() {
                return Err(PlayError::Stuck(self.render.allocator().events_out()));
            }
            (self.wait)();
        }
        Ok(())
    }

    /// Sends what becomes due together: the latest times first, or what has one time as a package. Messages of one time
    /// keep their order, which is all that orders them.
    fn send_stretch(&mut self, stretch: Vec<Message<'_>>, delivery: Delivery) -> Result<(), PlayError> {
        let together: Vec<_> = stretch.chunk_by(|one, next| one.delta == next.delta).collect();
        match delivery {
            Delivery::InOrder => {}
            Delivery::Reversed => {
                let out_of_order = together.len() > 1 && self.render.passes_at_once();
                for message in together.into_iter().rev().flatten() {
                    self.send(message)?;
                    // What has another time than the one before must not wait for it.
                    self.render.flush();
                }
                if out_of_order {
                    rules::PRESENTATION_TIMES.held();
                }
            }
            Delivery::Packages => {
                for messages in together {
                    self.send_package(messages)?;
                }
            }
        }
        Ok(())
    }

    fn send_package(&mut self, messages: &[Message<'_>]) -> Result<(), PlayError> {
        let (render, wait) = (self.render, &mut *self.wait);
        let deadline = Deadline::after(STUCK_LIMIT);
        render
            .send_package(messages, self.start, || {
                wait();
                !deadline.has_passed()
            })
            .map_err(PlayError::Stuck)?;
        self.events += messages.len() as u64;
        Ok(())
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), PlayError> {
        let (render, wait) = (self.render, &mut *self.wait);
        let deadline = Deadline::after(STUCK_LIMIT);
        render
            .send(message, self.start, || {
                wait();
                !deadline.has_passed()
            })
            .map_err(PlayError::Stuck)?;
        self.events += 1;
        Ok(())
    }

    fn report_progress(&mut self) {
        let now = clock::now();
        if now - self.reported >= PROGRESS_EVERY {
            self.reported = now;
            let played = self.played();
            (self.progress)(played);
        }
    }

    fn played(&self) -> Played {
        Played { frames: self.frames, events: self.events }
    }
}

/// Returns the earliest time after the start, in 100 ns units, that is not before a frame.
fn frame_time(frame: u64, rate: u32) -> i64 {
    let time = (i128::from(frame) * SECOND + i128::from(rate) - 1) / i128::from(rate);
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_before_the_horizon_plays_before_the_quantums_end() {
        for (rate, frame) in [(48_000_u32, 480_u64), (44_100, 441), (22_050, 1), (96_000, 12_345_678)] {
            let horizon = i128::from(frame_time(frame, rate));
            let frame_of = |time: i128| time * i128::from(rate) / SECOND;
            assert!(frame_of(horizon) >= i128::from(frame));
            assert!(frame_of(horizon - 1) < i128::from(frame));
        }
    }
}
