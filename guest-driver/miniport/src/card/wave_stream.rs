//! The wave stream: PCM, and the clock that comes with it.

use core::sync::atomic::Ordering;

use card_spec::control::{ClockSync, Latency, RequestCode, StreamKind, StreamOpen, clock_sync};
use card_spec::status_page::StatusPage;
use portcls::ks::KsState;

use super::device::{Card, WAVE_STREAM};
use super::error::CardError;
use super::wave_state::WaveStream;
use crate::clock::Anchor;
use crate::control::ControlError;
use crate::format::PcmFormat;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::log::Part;
use crate::wave::{self, Rendered};

/// How long events may wait for the card, in milliseconds, before a request finds out whether it can take them. It
/// cannot only while it holds [`PENDING_EVENTS_MAX`](card_spec::limits::PENDING_EVENTS_MAX), and then only rendering
/// helps: the wave request is sent all the same.
const EVENTS_FIRST_MILLISECONDS: u32 = 50;

impl<K: Kernel> Card<K> {
    /// Opens the wave stream in state `STOP`.
    ///
    /// # Errors
    /// [`CardError::NoStream`] when it is open already; [`CardError::Control`] when the card does not open it; and why
    /// a card that needs a reset does not recover.
    pub fn open_wave(&self, level: Passive, format: PcmFormat) -> Result<(), CardError> {
        self.recover(level)?;
        let stream = WaveStream { format, state: KsState::STOP, anchor: None, next_frame: 0, quantum: 0 };
        self.without_recovery(level, || {
            self.wave_stream.with(level.into(), |place| match place {
                Some(_) => Err(CardError::NoStream),
                None => {
                    *place = Some(stream);
                    Ok(())
                }
            })?;
            self.open_wave_on_card(level, format).inspect_err(|_| {
                self.wave_stream.with(level.into(), |place| *place = None);
            })
        })
    }

    /// Opens the wave stream on the card.
    pub(super) fn open_wave_on_card(&self, level: Passive, format: PcmFormat) -> Result<(), CardError> {
        let request = StreamOpen {
            stream: WAVE_STREAM.into(),
            kind: StreamKind::WAVE.0.into(),
            sample_rate: format.sample_rate.into(),
            channels: format.channels.into(),
            bits: crate::format::BITS.into(),
        };
        self.open_on_card(level, &request)
    }

    /// Sends an anchor to the card.
    pub(super) fn anchor_on_card(&self, level: Passive, anchor: Anchor, flags: u32) -> Result<(), CardError> {
        let request = ClockSync {
            stream: WAVE_STREAM.into(),
            flags: flags.into(),
            master_time: anchor.time.into(),
            frame: anchor.frame.into(),
        };
        self.command(level, RequestCode::CLOCK_SYNC, &request)?;
        Ok(())
    }

    /// Closes the wave stream, and with it the sample clock.
    pub fn close_wave(&self, level: Passive) {
        self.close_stream(level, WAVE_STREAM);
        self.wave_stream.with(level.into(), |place| *place = None);
    }

    /// Sets the wave stream's state.
    ///
    /// # Errors
    /// [`CardError::State`] when the stream is not open; [`CardError::Control`] when the card does not take the state;
    /// and why a card that needs a reset does not recover.
    pub fn set_wave_state(&self, level: Passive, state: KsState) -> Result<(), CardError> {
        let recovered = self.recover(level);
        if state == KsState::RUN {
            recovered?;
        }
        self.with_wave(level.into(), |stream| {
            stream.state = state;
            if state == KsState::STOP {
                stream.anchor = None;
                stream.next_frame = 0;
            }
        })?;
        recovered?;
        match self.set_stream_state(level, WAVE_STREAM, state) {
            // The state is kept, and sent when the card is on again.
            Err(CardError::Control(ControlError::Off)) => Ok(()),
            result => result,
        }
    }

    /// Renders whole frames into the whole of `pcm`: frames that the card does not render are silence. Returns the
    /// first request that failed or followed an underrun.
    ///
    /// # Errors
    /// [`CardError::State`] when the wave stream is not open.
    pub fn render(&self, level: Passive, pcm: &mut [u8]) -> Result<Option<Rendered>, CardError> {
        self.recover_or_log(level);
        let WaveStream { format, state, .. } =
            self.with_wave(level.into(), |stream| *stream).inspect_err(|_| pcm.fill(0))?;
        if state != KsState::RUN || self.check_power().is_err() {
            pcm.fill(0);
            return Ok(Some(Rendered::Flushed));
        }
        let mut wrong = None;
        for chunk in pcm.chunks_mut(wave::PCM_BYTES) {
            // The card plays an event on time if it has it before the request for the event's frame.
            self.queues.midi_out.wait_until_sent(level, EVENTS_FIRST_MILLISECONDS, self, || {
                // The response follows the batches that were sent before the request; its content is not used.
                _ = self.query::<_, Latency>(level, RequestCode::LATENCY, &());
            });
            let frames = format.frames(chunk.len());
            let epoch = self.epoch();
            let rendered = self.queues.wave.render(level, self, WAVE_STREAM, format, chunk);
            if let Rendered::Frames { position, after_underrun } = rendered {
                _ = self.with_wave(level.into(), |stream| {
                    stream.next_frame = (position as i64).saturating_add(frames.into());
                    stream.quantum = frames;
                });
                if after_underrun {
                    wrong = wrong.or(Some(rendered));
                }
            } else {
                if let Rendered::Ring(fault) = rendered {
                    self.request_recovery(level.into(), epoch, Part::Reason(fault.into()));
                }
                wrong = wrong.or(Some(rendered));
            }
        }
        Ok(wrong)
    }

    /// Returns how many bytes a frame of the wave stream has.
    ///
    /// # Errors
    /// [`CardError::State`] when the wave stream is not open.
    pub fn frame_bytes(&self, level: AtMostDispatch) -> Result<usize, CardError> {
        self.with_wave(level, |stream| stream.format.frame_bytes())
    }

    /// Anchors the sample clock to master time, in 100 ns units. With `start`, frame 0 is at `master_time`. Without it,
    /// drift between the sample clock and master time is corrected.
    ///
    /// # Errors
    /// [`CardError::State`] when the wave stream is not open; [`CardError::Control`] when the card does not take the
    /// anchor.
    pub fn sync(&self, level: Passive, master_time: i64, start: bool) -> Result<(), CardError> {
        let stream = self.with_wave(level.into(), |stream| *stream)?;
        let rate = stream.format.sample_rate;
        let (anchor, flags) = match stream.anchor {
            Some(anchor) if !start => match anchor.corrected(master_time, stream.next_frame, rate, stream.quantum) {
                Some(anchor) => (anchor, 0),
                None => return Ok(()),
            },
            _ => (Anchor { time: master_time, frame: 0 }, clock_sync::START),
        };
        self.anchor_on_card(level, anchor, flags)?;
        self.with_wave(level.into(), |stream| {
            stream.anchor = Some(anchor);
            if flags & clock_sync::START != 0 {
                stream.next_frame = anchor.frame;
            }
        })
    }

    /// Returns the anchor in force and the sample rate.
    ///
    /// # Errors
    /// [`CardError::State`] when the wave stream is not open, or has not been synchronised.
    pub fn anchor(&self, level: AtMostDispatch) -> Result<(Anchor, u32), CardError> {
        let (anchor, rate) = self.with_wave(level, |stream| (stream.anchor, stream.format.sample_rate))?;
        Ok((anchor.ok_or(CardError::State)?, rate))
    }

    /// Returns the earliest master time, in 100 ns units, at which an event is not late, at master time `now`. While
    /// the wave stream runs it is read from the status page, without a request.
    ///
    /// # Errors
    /// [`CardError::State`] when the wave stream is not open and [`CardError::Control`] when the request fails.
    pub fn latency_time(&self, level: Passive, now: i64) -> Result<i64, CardError> {
        let running = self.with_wave(level.into(), |stream| stream.state == KsState::RUN && stream.anchor.is_some());
        if running == Ok(true)
            && let Some(page) = self.status_page()
        {
            return Ok(page.latency_time.get().max(now));
        }
        let (_, latency): (_, Latency) = self.query(level, RequestCode::LATENCY, &())?;
        Ok(now.saturating_add(latency.minimum.get().max(0)))
    }

    /// Returns a consistent copy of the status page. `None`: the card has not written it.
    pub fn status_page(&self) -> Option<StatusPage> {
        /// The card holds the sequence lock for a few stores; more tries than this mean that it keeps it.
        const TRIES: usize = 16;
        for _ in 0..TRIES {
            let before: u32 = self.queues.status_page.read(0);
            core::sync::atomic::fence(Ordering::Acquire);
            let page: StatusPage = self.queues.status_page.read(0);
            core::sync::atomic::fence(Ordering::Acquire);
            let after: u32 = self.queues.status_page.read(0);
            if before == after && before.is_multiple_of(2) {
                return (before != 0).then_some(page);
            }
        }
        None
    }

    /// Calls `work` with the open wave stream.
    ///
    /// # Errors
    /// [`CardError::State`] when the wave stream is not open.
    pub(super) fn with_wave<R>(
        &self,
        level: AtMostDispatch,
        work: impl FnOnce(&mut WaveStream) -> R,
    ) -> Result<R, CardError> {
        self.wave_stream.with(level, |stream| stream.as_mut().map(work)).ok_or(CardError::State)
    }
}
