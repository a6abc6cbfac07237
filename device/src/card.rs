//! The card itself: it takes what the driver has put into the queues, and renders. It knows no socket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use card_spec::control::{StreamKind, StreamState};
use card_spec::limits::WAVE_FIFO_MS;
use card_spec::news::NewsKind;
use card_spec::status_page::StatusPage;
use dls_synth::Bank;

use crate::bus::SharedBus;
use crate::clock::{CATCH_UP, Mode, QUANTUM};
use crate::diagnosis::{Counter, Registers};
use crate::line_out::LineOut;
use crate::news::News;
use crate::output::Lost;
use crate::render::Renderer;
use crate::session::Session;

/// Rounds over the queues before others are heard. Each takes a ring of requests and a wave buffer at most.
const ROUNDS_MAX: usize = 16;

/// What the command line says about the card.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What moves time.
    pub clock: Mode,
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
    life: u64,

    // Guest-visible volatile state: gone at every reset.
    pub(crate) session: Option<Session>,
    pub(crate) news: News,
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
            life: 0,
            session: None,
            news: News::default(),
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
        self.news.clear();
    }

    /// Does what there is to do, except wait. Call it after every kick, and at [`deadline`](Self::deadline). True when
    /// there is more: a driver that gives work without end must not keep others from being heard.
    pub fn service(&mut self) -> bool {
        self.observe_device();
        let mut progress = true;
        for _ in 0..ROUNDS_MAX {
            progress = self.serve_control();
            progress |= self.take_wave_buffer();
            // After the buffer was taken: whatever was available when it was kicked is seen now.
            progress |= self.serve_midi_out();
            progress |= self.move_time();
            if !progress {
                break;
            }
        }
        self.collect_news();
        self.serve_midi_in();
        self.serve_news();
        self.write_status_page();
        progress
    }

    /// When [`service`](Self::service) must be called next, if nothing happens before.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let session = self.session.as_ref().filter(|session| session.clock.is_running())?;
        let quantum = now + QUANTUM;
        let buffer = session.wave_buffer.as_ref().and_then(|buffer| {
            let first = session.timeline.position() - session.output.len() as i64;
            session.clock.when(first + buffer.frames as i64, session.parameters.sample_rate)
        });
        Some(buffer.map_or(quantum, |buffer| buffer.min(quantum)))
    }

    /// Notices resets and pauses of the machine.
    fn observe_device(&mut self) {
        let (life, live) = {
            let mut bus = self.bus.lock();
            let life = bus.life();
            if life != self.life {
                bus.acknowledge_life();
            }
            (life, bus.is_live())
        };
        if life != self.life {
            self.life = life;
            if self.session.is_some() {
                log::info!("the device was reset: the session is gone");
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
        let run = self.options.clock == Mode::Realtime
            && session.clock_started
            && session.streams.wave_state() == Some(StreamState::RUN);
        if run {
            session.clock.run(Instant::now(), session.timeline.position());
        } else {
            session.clock.stop();
        }
    }

    /// Renders what is due, and fills the wave buffer if that is enough. True when a buffer was filled.
    fn move_time(&mut self) -> bool {
        let Some(session) = &self.session else { return false };
        match self.options.clock {
            Mode::Lockstep => {
                if session.time_may_move() && session.wave_buffer.is_some() {
                    let missing = missing_frames(session);
                    self.produce(missing);
                }
            }
            Mode::Realtime => self.follow_clock(),
        }
        self.fill_wave_buffer()
    }

    /// Renders the frames that have fallen due.
    fn follow_clock(&mut self) {
        let Some(session) = &mut self.session else { return };
        let rate = session.parameters.sample_rate;
        let Some(due) = session.clock.due(Instant::now(), rate) else { return };
        let behind = u64::try_from(due.saturating_sub(session.timeline.position())).unwrap_or(0);
        let catch_up = frames_in(CATCH_UP, rate);
        if behind > catch_up {
            let lost = behind - catch_up;
            log::warn!("the host held the card up: {lost} frames are not rendered");
            session.timeline.advance(i64::try_from(lost).unwrap_or(i64::MAX));
            let told = session.output.skip(lost);
            self.underrun(told);
        }
        // Up to the end of the buffer first: it is returned before more is rendered.
        let missing = self.session.as_ref().map_or(0, missing_frames);
        self.produce(behind.min(catch_up).min(missing));
    }

    /// The card has failed at something that no request asked for. Streams stop; the driver is told.
    pub fn give_up_session(&mut self) {
        let Some(session) = self.session.take() else { return };
        let now = self.registers.card_time();
        for (id, _) in session.streams.iter() {
            self.news.post(NewsKind::STATE_CHANGED, id, StreamState::STOP.0.into(), now);
        }
    }

    /// Renders `frames` frames that no wave buffer has asked for (lockstep).
    ///
    /// # Errors
    /// Why time cannot move.
    pub fn advance(&mut self, frames: u64) -> Result<i64, AdvanceError> {
        if self.options.clock != Mode::Lockstep {
            return Err(AdvanceError::Realtime);
        }
        let session = self.session.as_ref().ok_or(AdvanceError::NoSession)?;
        if !session.time_may_move() {
            return Err(AdvanceError::StandsStill);
        }
        self.produce(frames);
        self.session.as_ref().map(|session| session.timeline.position()).ok_or(AdvanceError::NoSession)
    }

    /// Renders `frames` frames into the output FIFO and the line out. Fewer when the wave buffer that they are for is
    /// taken back meanwhile.
    pub(crate) fn produce(&mut self, frames: u64) {
        let mut left = frames;
        while left > 0 {
            let Some(session) = &mut self.session else { return };
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let rendered = self.renderer.render(session, most);
            if rendered.is_empty() {
                self.serve_midi_out();
                continue;
            }
            left -= rendered.len() as u64;
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
                    return;
                }
            }
        }
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
        self.news.post(NewsKind::UNDERRUN, stream, lost, self.registers.card_time());
    }

    /// What has happened in the session that the driver should hear of.
    fn collect_news(&mut self) {
        for dated in self.registers.take_unreported() {
            self.news.diagnosed(dated);
        }
        let now = self.registers.card_time();
        if let Some(session) = &mut self.session {
            while let Some(handle) = session.synth.take_unloaded() {
                self.news.post(NewsKind::UNLOADED, 0, handle.into(), now);
            }
            for (id, stream) in session.streams.iter_mut().filter(|(_, stream)| stream.lost > 0) {
                self.news.post(NewsKind::EVENT_LOST, id, std::mem::take(&mut stream.lost), now);
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
    u64::try_from(time.as_nanos() * u128::from(sample_rate) / 1_000_000_000).unwrap_or(u64::MAX)
}
