//! The card itself: it takes what the driver has put into the queues, and renders. It knows no socket.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;
use std::time::{Duration, Instant};

use card_control::Clock;
use card_spec::control::{StreamKind, StreamState};
use card_spec::limits::WAVE_FIFO_MS;
use card_spec::notice::NoticeKind;
use card_spec::status_page::StatusPage;
use dls_synth::Bank;

use crate::activity::{Activity, Stage};
use crate::bus::SharedBus;
use crate::clock::{CATCH_UP, QUANTUM};
use crate::diagnosis::{Counter, Registers};
use crate::line_out::LineOut;
use crate::log_limited;
use crate::notices::Notices;
use crate::output::Lost;
use crate::render::Renderer;
use crate::session::Session;
use crate::slice::Slice;

/// What the command line says about the card.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What moves time.
    pub clock: Clock,
    /// Most voices that a driver can have.
    pub voices: u16,
    /// Frames rendered at a time. It changes nothing that can be heard or measured but speed.
    pub render_block: usize,
}

/// The card.
pub struct Card {
    // Fixed configuration: chosen on the command line; survives every reset.
    pub(crate) options: Options,
    pub(crate) bank: Arc<Bank>,

    // Runtime glue: how the card reaches its host. No guest sees it.
    pub(crate) bus: SharedBus,
    pub(crate) registers: Arc<Registers>,
    pub(crate) renderer: Renderer,
    pub(crate) line_out: Option<LineOut>,
    /// What the card's thread is doing, for others to read.
    pub activity: Arc<Activity>,
    life: u64,

    // Guest-visible volatile state: gone at every reset.
    pub(crate) session: Option<Session>,
    pub(crate) notices: Notices,
}

impl Card {
    /// A card without a session.
    #[must_use]
    pub fn new(options: Options, bank: Arc<Bank>, bus: SharedBus, registers: Arc<Registers>) -> Self {
        Self {
            renderer: Renderer::new(options.render_block),
            options,
            bank,
            bus,
            registers,
            line_out: None,
            activity: Arc::default(),
            life: 0,
            session: None,
            notices: Notices::default(),
        }
    }

    /// Where everything that is rendered goes too.
    pub fn set_line_out(&mut self, line_out: LineOut) {
        self.line_out = Some(line_out);
    }

    /// The line out, to be finished.
    pub fn take_line_out(&mut self) -> Option<LineOut> {
        self.line_out.take()
    }

    /// The session, if the driver has opened one.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Drops all guest-visible state.
    pub fn reset(&mut self) {
        self.session = None;
        self.notices.clear();
    }

    /// Does what there is to do, for one slice at most. Call it after every kick, and at [`deadline`](Self::deadline).
    /// True when there is more: a driver that gives work without end must not keep others from being heard.
    pub fn service(&mut self) -> bool {
        let slice = Slice::begin();
        self.observe_device();
        let mut more = true;
        while more && !slice.is_over() {
            self.activity.enter(Stage::Requests);
            more = self.serve_control(&slice);
            self.activity.enter(Stage::WaveBuffers);
            more |= self.take_wave_buffer();
            // After the buffer was taken: whatever was available when it was kicked is seen now.
            self.activity.enter(Stage::Batches);
            more |= self.serve_midi_out();
            self.activity.enter(Stage::Rendering);
            more |= self.move_time(&slice);
        }
        self.activity.enter(Stage::Records);
        self.collect_notices();
        more |= self.serve_midi_in();
        more |= self.serve_event();
        self.write_status_page();
        more
    }

    /// When [`service`](Self::service) must be called next, if nothing happens before.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let session = self.session.as_ref().filter(|session| session.clock.is_running())?;
        let quantum = now.checked_add(QUANTUM)?;
        let buffer = session.wave_buffer.as_ref().and_then(|buffer| {
            let end = session.first_waiting_frame().saturating_add_unsigned(buffer.frames as u64);
            session.clock.when(end, session.parameters.sample_rate)
        });
        Some(buffer.map_or(quantum, |buffer| buffer.min(quantum)))
    }

    /// Notices resets and pauses of the machine.
    fn observe_device(&mut self) {
        let (life, live) = {
            let mut bus = self.bus.lock();
            bus.notice_lost_memory();
            let life = bus.life();
            if life != self.life {
                bus.acknowledge_life();
            }
            (life, bus.is_live())
        };
        if life != self.life {
            self.life = life;
            if self.session.is_some() {
                log_limited!(log::Level::Info, "the device was reset: the session is gone");
            }
            self.reset();
        }
        if let Some(session) = &mut self.session {
            let bus = self.bus.lock();
            // A buffer of a ring that was stopped belongs to the driver again, and comes back with the ring.
            if session.wave_buffer.as_ref().is_some_and(|buffer| !bus.holds(&buffer.chain)) {
                session.wave_buffer = None;
            }
            drop(bus);
            if !live {
                session.clock.stop();
            }
        }
        if live {
            self.run_clock();
        }
    }

    /// Lets the real-time clock run exactly when it should.
    pub(crate) fn run_clock(&mut self) {
        let Some(session) = &mut self.session else { return };
        let run = self.options.clock == Clock::Realtime
            && session.clock_started
            && session.streams.wave_state() == Some(StreamState::RUN);
        if run {
            session.clock.run(Instant::now(), session.timeline.position());
        } else {
            session.clock.stop();
        }
    }

    /// Whether the frames of a wave buffer are being rendered in lockstep, and time passes: not while a slice has ended
    /// among the events of one frame, of which there may be any number.
    pub(crate) fn is_filling(&self) -> bool {
        self.options.clock == Clock::Lockstep
            && self.session.as_ref().is_some_and(|session| {
                session.filling
                    && session.wave_buffer.is_some()
                    && session.playing.is_none()
                    && !session.timeline.is_due()
            })
    }

    /// Renders what is due, and fills the wave buffer if that is enough. True when a buffer was filled, and when `slice`
    /// was over before.
    fn move_time(&mut self, slice: &Slice) -> bool {
        let Some(session) = &mut self.session else { return false };
        let produced = match self.options.clock {
            Clock::Lockstep => {
                if session.time_may_move() && session.wave_buffer.is_some() {
                    session.filling = true;
                    let missing = missing_frames(session);
                    self.produce(missing, slice)
                } else {
                    Produced::All
                }
            }
            Clock::Realtime => self.follow_clock(slice),
        };
        self.fill_wave_buffer() || produced == Produced::Some
    }

    /// Renders the frames that have fallen due.
    fn follow_clock(&mut self, slice: &Slice) -> Produced {
        let Some(session) = &mut self.session else { return Produced::All };
        let rate = session.parameters.sample_rate;
        let Some(due) = session.clock.due(Instant::now(), rate) else { return Produced::All };
        let behind = u64::try_from(due.saturating_sub(session.timeline.position())).unwrap_or(0);
        let catch_up = frames_in(CATCH_UP, rate);
        if let Some(lost) = behind.checked_sub(catch_up).filter(|lost| *lost > 0) {
            log_limited!(log::Level::Warn, "the host held the card up: {lost} frames are not rendered");
            session.timeline.advance(i64::try_from(lost).unwrap_or(i64::MAX));
            let told = session.output.skip(lost);
            self.underrun(told);
        }
        // Up to the end of the buffer first: it is returned before more is rendered.
        let missing = self.session.as_ref().map_or(0, missing_frames);
        self.produce(behind.min(catch_up).min(missing), slice)
    }

    /// The card has failed at something that no request asked for. Streams stop; the driver is told.
    pub fn give_up_session(&mut self) {
        let Some(session) = self.session.take() else { return };
        let now = self.registers.card_time();
        for (id, _) in session.streams.iter() {
            self.notices.post(NoticeKind::STATE_CHANGED, id, StreamState::STOP.0.into(), now);
        }
    }

    /// Renders up to `frames` frames that no wave buffer has asked for (lockstep), for one slice at most. Returns the next
    /// frame, and how many frames were rendered.
    ///
    /// # Errors
    /// [`AdvanceError`]: why time cannot move.
    pub fn advance(&mut self, frames: u64) -> Result<Advanced, AdvanceError> {
        if self.options.clock != Clock::Lockstep {
            return Err(AdvanceError::Realtime);
        }
        let session = self.session.as_ref().ok_or(AdvanceError::NoSession)?;
        if !session.time_may_move() {
            return Err(AdvanceError::StandsStill);
        }
        let before = session.timeline.position();
        self.produce(frames, &Slice::begin());
        let position = self.session.as_ref().ok_or(AdvanceError::NoSession)?.timeline.position();
        Ok(Advanced { position, frames: position.abs_diff(before) })
    }

    /// Renders `frames` frames into the output FIFO and the line out: fewer when `slice` is over before, and when the wave
    /// buffer that they are for is taken back meanwhile.
    pub(crate) fn produce(&mut self, frames: u64, slice: &Slice) -> Produced {
        let mut left = frames;
        while left > 0 {
            let Some(session) = &mut self.session else { break };
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let rendered = self.renderer.render(session, most, slice);
            if rendered.is_empty() {
                if slice.is_over() {
                    return Produced::Some;
                }
                self.serve_midi_out();
                continue;
            }
            left = left.saturating_sub(rendered.len() as u64);
            self.registers.add(Counter::FramesRendered, rendered.len() as u64);
            if let Some(line_out) = &mut self.line_out {
                line_out.write(rendered, session.parameters.sample_rate);
            }
            if session.streams.wave_state().is_some() {
                session.output.push(rendered);
                let fifo = frames_in(Duration::from_millis(WAVE_FIFO_MS.into()), session.parameters.sample_rate);
                let wanted = session.wave_buffer.as_ref().map_or(0, |buffer| buffer.frames);
                let told = session.output.trim(wanted.max(usize::try_from(fifo).unwrap_or(usize::MAX)));
                let abandoned = {
                    let bus = self.bus.lock();
                    session.wave_buffer.as_ref().is_some_and(|buffer| !bus.holds(&buffer.chain))
                };
                self.underrun(told);
                if abandoned {
                    break;
                }
            }
            if left > 0 && slice.is_over() {
                return Produced::Some;
            }
        }
        Produced::All
    }

    /// An overflow of the output FIFO has begun.
    fn underrun(&mut self, told: Option<Lost>) {
        let Some(lost) = told else { return };
        self.registers.add(Counter::Underruns, 1);
        self.tell_underrun(lost);
    }

    pub(crate) fn tell_underrun(&mut self, lost: Lost) {
        let wave = self.session.as_ref().and_then(|session| session.streams.first(StreamKind::WAVE));
        let stream = wave.map_or(0, |(id, _)| id);
        self.notices.post(NoticeKind::UNDERRUN, stream, lost, self.registers.card_time());
    }

    /// Collects what has happened in the session as notices for the driver.
    fn collect_notices(&mut self) {
        for dated in self.registers.take_unreported() {
            self.notices.diagnosed(dated);
        }
        let now = self.registers.card_time();
        if let Some(session) = &mut self.session {
            while let Some(handle) = session.synth.take_unloaded() {
                self.notices.post(NoticeKind::UNLOADED, 0, handle.into(), now);
            }
            for (id, stream) in session.streams.iter_mut().filter(|(_, stream)| stream.lost > 0) {
                self.notices.post(NoticeKind::EVENT_LOST, id, std::mem::take(&mut stream.lost), now);
            }
            let lost = session.synth.notes_lost();
            let more = lost.saturating_sub(session.notes_lost_counted);
            session.notes_lost_counted = lost;
            self.registers.add(Counter::NotesLost, more);
        }
    }

    /// Writes the status page that the driver has lent, while the wave stream runs.
    fn write_status_page(&mut self) {
        let Some(session) = &mut self.session else { return };
        if session.streams.wave_state() != Some(StreamState::RUN) {
            return;
        }
        let Some(loan) = &mut session.status_page else { return };
        loan.sequence = loan.sequence.wrapping_add(2);
        let position = session.timeline.position();
        let master_time = session.timeline.master_time(position);
        let page = StatusPage {
            sequence: loan.sequence.into(),
            voices: session.synth.active_voices().into(),
            frame: (position as u64).into(),
            master_time: master_time.into(),
            latency_time: master_time.into(),
            card_time: self.registers.card_time().into(),
            events_late: self.registers.get(Counter::EventsLate).into(),
            underruns: self.registers.get(Counter::Underruns).into(),
            pending_events: (session.timeline.pending() as u64).into(),
        };
        self.bus.lock().write_status_page(loan.address, &page);
    }
}

/// How far rendering came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Produced {
    /// As far as it can.
    All,
    /// As far as the slice lasted.
    Some,
}

/// How far time was moved by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advanced {
    /// The next frame to render.
    pub position: i64,
    /// Frames rendered: fewer than were asked for when a slice of work was over before.
    pub frames: u64,
}

/// Why time was not moved by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdvanceError {
    /// The host's clock moves it.
    #[error("the card runs in real time; start it with --clock lockstep")]
    Realtime,
    /// There is nothing to render.
    #[error("there is no session")]
    NoSession,
    /// The driver has stopped it.
    #[error("the wave stream is open and does not run")]
    StandsStill,
}

/// Frames that the wave buffer still needs; no bound when there is none.
fn missing_frames(session: &Session) -> u64 {
    let buffer = session.wave_buffer.as_ref();
    buffer.map_or(u64::MAX, |buffer| buffer.frames.saturating_sub(session.output.len()) as u64)
}

fn frames_in(time: Duration, sample_rate: u32) -> u64 {
    u64::try_from(time.as_nanos().saturating_mul(sample_rate.into()) / 1_000_000_000).unwrap_or(u64::MAX)
}
