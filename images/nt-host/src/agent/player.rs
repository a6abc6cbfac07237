//! Plays events into a render pin and frames out of a wave pin.
//!
//! Both pins go up the state ladder; the wave stream is anchored to one moment of master time right after it runs, and
//! every event is stamped from that moment on. In lockstep, the events before the end of a quantum are handed over,
//! then the quantum is rendered. In real time, the master clock says when.

use alloc::vec::Vec;

use guest_protocol::{Delivery, Pace};

use crate::contract::rules;
use crate::nt::NTSTATUS;
use crate::portcls::com::abi::KsState;
use crate::portcls::kernel::deadline::Deadline;
use crate::portcls::pin::unpack::{Malformed, Message};
use crate::portcls::pin::{Pin, RENDER_GUARD_BYTES, clock};

/// How long a stream may keep any event in STOP. 100 ns units.
const RETURN_LIMIT: i64 = 50_000_000;

/// How long a stream may keep every event that there is: a device that takes none for so long will take none. 100 ns
/// units.
const STUCK_LIMIT: i64 = 200_000_000;

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
    /// Every event is out.
    #[error(
        "the render stream has kept all {0} events of its allocator for 20 s; it must give events back when it has sent them"
    )]
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
    check_records(render, piece)?;
    let result = run(render, wave).and_then(|start| {
        Playback {
            render,
            wave,
            rate,
            block,
            start,
            reported: start,
            events: 0,
            frames: 0,
            progress: &mut progress,
            wait: &mut wait,
        }
        .perform(piece)
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
fn check_records(render: &Pin, piece: &Piece<'_>) -> Result<(), PlayError> {
    let mut found = 0;
    let mut previous = i64::MIN;
    for record in render.records(piece.events).take(piece.event_count as usize) {
        let message = record.map_err(|malformed| PlayError::Malformed { index: found, malformed })?;
        if message.delta < previous {
            return Err(PlayError::Order { index: found, time: message.delta, previous });
        }
        previous = message.delta;
        found += 1;
    }
    if found == u64::from(piece.event_count) {
        Ok(())
    } else {
        Err(PlayError::Count { says: piece.event_count, found })
    }
}

/// A piece being played.
struct Playback<'a, P: FnMut(Played), W: FnMut()> {
    render: &'a Pin,
    wave: &'a mut Pin,
    rate: u32,
    block: u32,
    start: i64,
    reported: i64,
    events: u64,
    frames: u64,
    progress: &'a mut P,
    wait: &'a mut W,
}

impl<P: FnMut(Played), W: FnMut()> Playback<'_, P, W> {
    fn perform(mut self, piece: &mut Piece<'_>) -> Result<Played, PlayError> {
        let total = piece.frames;
        let mut records = self.render.records(piece.events).take(piece.event_count as usize).peekable();
        if matches!(piece.pace, Pace::Realtime { .. }) {
            self.render.follow_clock(true);
        }
        while self.frames < total {
            let end = (self.frames + u64::from(piece.quantum)).min(total);
            let horizon = match piece.pace {
                Pace::Lockstep => frame_time(end, self.rate),
                Pace::Realtime { lead_ms } => {
                    (clock::now() - self.start).saturating_add(i64::from(lead_ms).saturating_mul(MILLISECOND))
                }
            };
            let mut stretch = Vec::new();
            while let Some(Ok(message)) =
                records.next_if(|record| record.as_ref().is_ok_and(|message| message.delta < horizon))
            {
                match piece.delivery {
                    Delivery::InOrder => self.send(&message)?,
                    Delivery::Reversed | Delivery::Packages => stretch.push(message),
                }
            }
            self.send_stretch(stretch, piece.delivery)?;
            self.render.flush();
            if let Some(status) = self.render.refused() {
                return Err(PlayError::Refused(status));
            }
            match piece.pace {
                Pace::Lockstep => self.render.deliver_until(self.start.saturating_add(horizon)),
                Pace::Realtime { .. } if clock::now() - self.start < frame_time(end, self.rate) => {
                    (self.wait)();
                    continue;
                }
                Pace::Realtime { .. } => {}
            }
            let place = self.frames as usize * self.block as usize;
            self.wave.render(&mut piece.pcm[place..], (end - self.frames) as u32);
            self.frames = end;
            self.report_progress();
        }
        Ok(self.played())
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
