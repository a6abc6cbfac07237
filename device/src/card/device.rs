//! The card itself: serves the queues and renders, without knowing any socket.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use card_control::Clock;
use card_control::answer::TakenEvents;
use card_spec::control::StreamState;
use card_spec::limits::WAVE_FIFO_MS;
use card_spec::notice::NoticeKind;
use card_spec::status_page::StatusPage;
use dls_synth::Bank;

use super::activity::{Activity, Task};
use super::line_out::LineOut;
use crate::bus::SharedBus;
use crate::diagnosis::{Counter, Registers};
use crate::log_limited;
use crate::options::Options;
use crate::queues::control::Control;
use crate::queues::event::Event;
use crate::queues::midi_in::MidiIn;
use crate::queues::midi_out::MidiOut;
use crate::queues::wave::Wave;
use crate::session::clock::{CATCH_UP, QUANTUM};
use crate::session::output::Lost;
use crate::session::render::Renderer;
use crate::session::slice::Slice;
use crate::session::voices::VoiceWatch;
use crate::session::{CaptureError, DeviceState, Session};

/// The frames that a thread renders which serves a kick: it takes no other kick meanwhile, for a fraction of the
/// [`SLICE`](crate::session::slice::SLICE) that ends its work in any case.
const FILLED_AT_ONCE: u64 = 1024;

/// The card.
pub struct Card {
    // Fixed configuration: chosen on the command line; survives every reset.
    pub(super) options: Options,

    // Runtime glue: how the card reaches its host. No guest sees it.
    pub(super) bus: SharedBus,
    registers: Arc<Registers>,
    pub(super) control: Control,
    pub(super) midi_out: MidiOut,
    pub(super) midi_in: MidiIn,
    pub(super) wave: Wave,
    pub(super) event: Event,
    renderer: Renderer,
    /// The voices that the trace knows.
    voices: VoiceWatch,
    line_out: Option<LineOut>,
    /// The current task of the card's thread, for other threads to read.
    pub activity: Arc<Activity>,
    /// Set to have the slice that is under way end, because queues were kicked.
    pub kicked: Arc<AtomicBool>,
    /// The bus's count of resets when the state was last reset.
    resets: u64,

    // Guest-visible volatile state: gone at every reset.
    pub(super) state: DeviceState,
}

impl Card {
    /// Returns a card without a session, whose sessions play from `bank`.
    #[must_use]
    pub fn new(options: Options, bank: Arc<Bank>, bus: SharedBus, registers: Arc<Registers>) -> Self {
        let midi_out = MidiOut::new(Arc::clone(&bus), Arc::clone(&registers));
        let wave = Wave::new(Arc::clone(&bus), Arc::clone(&registers));
        let control = Control {
            options,
            bank,
            bus: Arc::clone(&bus),
            registers: Arc::clone(&registers),
            midi_out: midi_out.clone(),
            wave: wave.clone(),
        };
        Self {
            options,
            control,
            midi_out,
            midi_in: MidiIn::new(Arc::clone(&bus), Arc::clone(&registers)),
            wave,
            event: Event::new(Arc::clone(&bus), Arc::clone(&registers)),
            bus,
            registers,
            renderer: Renderer::new(options.render_block),
            voices: VoiceWatch::default(),
            line_out: None,
            activity: Arc::default(),
            kicked: Arc::default(),
            resets: 0,
            state: DeviceState::default(),
        }
    }

    /// Writes everything that is rendered from now on to `line_out` too.
    pub fn set_line_out(&mut self, line_out: LineOut) {
        self.line_out = Some(line_out);
    }

    /// Takes the line out away, to be finished.
    pub fn take_line_out(&mut self) -> Option<LineOut> {
        self.line_out.take()
    }

    /// Returns the fixed configuration.
    #[must_use]
    pub const fn options(&self) -> Options {
        self.options
    }

    /// Returns the diagnosis registers.
    #[must_use]
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// Takes the events that the card took from the driver and no client has taken: as many as an answer holds.
    #[must_use]
    pub fn take_events(&self) -> TakenEvents {
        self.midi_out.take_events()
    }

    /// Returns the session, if the driver has opened one.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.state.session.as_ref()
    }

    /// Works for one slice at most: serves the queues and renders. Call it at [`deadline`](Self::deadline), and while
    /// there is more: then it returns true. A driver that gives work without end must not keep resets and commands
    /// waiting.
    pub fn service(&mut self) -> bool {
        self.work(true)
    }

    /// Serves the queues for one slice at most, and renders nothing. Call it after every kick. True when
    /// [`service`](Self::service) is to be called: there is more, or time is to be moved.
    pub fn serve_queues(&mut self) -> bool {
        self.work(false) || self.time_may_move()
    }

    fn work(&mut self, render: bool) -> bool {
        // What was kicked until now is served now; what is kicked from now on ends the slice.
        self.kicked.store(false, Ordering::SeqCst);
        let slice = Slice::until_kicked(&self.kicked);
        self.bus.lock().raise_scheduled(Instant::now());
        self.observe_device();
        let mut more;
        loop {
            self.activity.enter(Task::Requests);
            more = self.control.serve(&mut self.state, &slice);
            self.activity.enter(Task::WaveBuffers);
            more |= self.wave.take_buffer(&mut self.state.session);
            // After the buffer was taken: whatever was available when it was kicked is seen now.
            self.activity.enter(Task::Batches);
            more |= self.midi_out.serve(&mut self.state.session);
            self.meet_faults();
            if render {
                self.activity.enter(Task::Rendering);
                more |= self.move_time(&slice);
            }
            if !more || slice.is_over() {
                break;
            }
        }
        self.activity.enter(Task::Notices);
        self.collect_notices();
        more |= self.midi_in.serve(self.state.session.as_mut());
        more |= self.event.serve(&mut self.state.notices);
        self.write_status_page();
        more
    }

    /// Returns whether frames are to be rendered at once: in lockstep, when a wave buffer waits for them.
    fn time_may_move(&self) -> bool {
        let waits = |session: &Session| session.time_may_move() && session.wave_buffer.is_some();
        self.options.clock == Clock::Lockstep && self.state.session.as_ref().is_some_and(waits)
    }

    /// Returns whether a thread that serves a kick is to render what the wave buffer misses: in lockstep, up to
    /// [`FILLED_AT_ONCE`] frames that go nowhere else.
    pub(super) fn fills_at_once(&self) -> bool {
        let few = |session: &Session| session.missing_frames() <= FILLED_AT_ONCE;
        self.time_may_move() && self.line_out.is_none() && self.state.session.as_ref().is_some_and(few)
    }

    /// Captures a message for a group numbered from 1, at a master time in 100 ns units, or now.
    ///
    /// # Errors
    /// As for [`Session::capture`]; [`CaptureError::NotRunning`] without a session.
    pub fn capture(&mut self, group: u16, data: &[u8], time: Option<i64>) -> Result<(), CaptureError> {
        self.state.session.as_mut().ok_or(CaptureError::NotRunning)?.capture(group, data, time)
    }

    /// Returns when [`service`](Self::service) must be called next, if nothing happens before.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let interrupt = self.bus.lock().faults().next_interrupt();
        let frames = self.frames_deadline(now);
        interrupt.into_iter().chain(frames).min()
    }

    /// Returns when frames are to be rendered next.
    fn frames_deadline(&self, now: Instant) -> Option<Instant> {
        let session = self.state.session.as_ref().filter(|session| session.clock.is_running())?;
        let quantum = now.checked_add(QUANTUM)?;
        let buffer = session.wave_buffer.as_ref().and_then(|buffer| {
            let end = session.first_waiting_frame().saturating_add_unsigned(buffer.frames as u64);
            session.clock.when(end, session.parameters.sample_rate)
        });
        Some(buffer.map_or(quantum, |buffer| buffer.min(quantum)))
    }

    /// Acts on resets and pauses of the machine.
    pub(super) fn observe_device(&mut self) {
        let (resets, live) = {
            let mut bus = self.bus.lock();
            bus.retire_lost_memory();
            let resets = bus.resets();
            if resets != self.resets {
                bus.acknowledge_resets();
            }
            (resets, bus.is_live())
        };
        if resets != self.resets {
            self.resets = resets;
            if self.state.session.is_some() {
                log_limited!(log::Level::Info, "the device was reset: the session is gone");
            }
            self.state.reset();
        }
        if let Some(session) = &mut self.state.session {
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
        if live && let Some(session) = &mut self.state.session {
            session.run_clock(self.options.clock);
        }
    }

    /// Renders what is due, and fills the wave buffer if that is enough. True when a buffer was filled, and when
    /// `slice` was over before.
    fn move_time(&mut self, slice: &Slice) -> bool {
        let Some(session) = &mut self.state.session else { return false };
        let produced = match self.options.clock {
            Clock::Lockstep => {
                if session.time_may_move() && session.wave_buffer.is_some() {
                    session.filling = true;
                    let missing = session.missing_frames();
                    self.produce(missing, slice)
                } else {
                    Produced::All
                }
            }
            Clock::Realtime => self.follow_clock(slice),
        };
        // Before a buffer returns that they are missing from.
        self.count_lost_notes();
        self.wave.fill_buffer(&mut self.state) || produced == Produced::Some
    }

    /// Renders the frames that have fallen due.
    fn follow_clock(&mut self, slice: &Slice) -> Produced {
        let Some(session) = &mut self.state.session else { return Produced::All };
        let rate = session.parameters.sample_rate;
        let Some(due) = session.clock.due(Instant::now(), rate) else { return Produced::All };
        let behind = u64::try_from(due.saturating_sub(session.timeline.position())).unwrap_or(0);
        let catch_up = frames_in(CATCH_UP, rate);
        if let Some(lost) = behind.checked_sub(catch_up).filter(|lost| *lost > 0) {
            log_limited!(log::Level::Warn, "the host did not run the card in time: {lost} frames are not rendered");
            self.skip(lost);
        }
        // Up to the end of the buffer first: it is returned before more is rendered.
        let missing = self.state.session.as_ref().map_or(0, Session::missing_frames);
        self.produce(behind.min(catch_up).min(missing), slice)
    }

    /// Leaves frames out that are out of date.
    pub(super) fn skip(&mut self, frames: u64) {
        self.registers.trace().skipped(frames);
        let Some(session) = &mut self.state.session else { return };
        session.timeline.advance(i64::try_from(frames).unwrap_or(i64::MAX));
        let begun = session.output.skip(frames);
        self.underrun(begun);
    }

    /// Drops the session, because the card failed outside a request: streams stop, and a notice says so for each.
    pub fn give_up_session(&mut self) {
        self.state.give_up_session(self.registers.card_time());
    }

    /// Renders up to `frames` frames without a wave buffer (lockstep), for one slice at most. Returns the next frame, and
    /// how many frames were rendered.
    ///
    /// # Errors
    /// [`AdvanceError::Realtime`] on a card in real time, [`AdvanceError::NoSession`] without a session,
    /// [`AdvanceError::StandsStill`] while the wave stream does not run.
    pub fn advance(&mut self, frames: u64) -> Result<Advanced, AdvanceError> {
        if self.options.clock != Clock::Lockstep {
            return Err(AdvanceError::Realtime);
        }
        let session = self.state.session.as_ref().ok_or(AdvanceError::NoSession)?;
        if !session.time_may_move() {
            return Err(AdvanceError::StandsStill);
        }
        let before = session.timeline.position();
        self.produce(frames, &Slice::until_kicked(&self.kicked));
        let position = self.state.session.as_ref().ok_or(AdvanceError::NoSession)?.timeline.position();
        Ok(Advanced { position, frames: position.abs_diff(before) })
    }

    /// Renders `frames` frames into the output FIFO and the line out: fewer when `slice` is over before, and when the
    /// wave buffer that they are for is taken back meanwhile.
    pub(super) fn produce(&mut self, frames: u64, slice: &Slice) -> Produced {
        let mut left = frames;
        while left > 0 {
            let until_fault = self.meet_faults();
            let Some(session) = &mut self.state.session else { break };
            let most = usize::try_from(left.min(until_fault)).unwrap_or(usize::MAX);
            let rendered = self.renderer.render(session, most, slice);
            if rendered.is_empty() {
                if slice.is_over() {
                    return Produced::Some;
                }
                self.midi_out.serve(&mut self.state.session);
                continue;
            }
            left = left.saturating_sub(rendered.len() as u64);
            // What strikes with the buffer that these frames complete is recorded behind them.
            self.bus.lock().faults_mut().set_frame(session.timeline.position());
            self.registers.add(Counter::FramesRendered, rendered.len() as u64);
            let (trace, position) = (self.registers.trace(), session.timeline.position());
            trace.rendered(position, session.synth.active_voices());
            if trace.records() {
                self.voices.look(trace, session.id, &session.synth, position);
            }
            if let Some(line_out) = &mut self.line_out {
                line_out.write(rendered, session.parameters.sample_rate);
            }
            if session.streams.wave_state().is_some() {
                session.output.push(rendered);
                let fifo = frames_in(Duration::from_millis(WAVE_FIFO_MS.into()), session.parameters.sample_rate);
                let wanted = session.wave_buffer.as_ref().map_or(0, |buffer| buffer.frames);
                let begun = session.output.trim(wanted.max(usize::try_from(fifo).unwrap_or(usize::MAX)));
                let abandoned = {
                    let bus = self.bus.lock();
                    session.wave_buffer.as_ref().is_some_and(|buffer| !bus.holds(&buffer.chain))
                };
                self.underrun(begun);
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

    /// Counts an overflow of the output FIFO that has begun, and queues a notice of it.
    fn underrun(&mut self, lost: Option<Lost>) {
        let Some(lost) = lost else { return };
        self.registers.add(Counter::Underruns, 1);
        self.state.notify_underrun(lost, self.registers.card_time());
    }

    /// Collects what has happened in the session as notices for the driver.
    pub(super) fn collect_notices(&mut self) {
        for dated in self.registers.take_unreported() {
            self.state.notices.diagnosed(dated);
        }
        let now = self.registers.card_time();
        if let Some(session) = &mut self.state.session {
            while let Some(handle) = session.synth.take_unloaded() {
                self.state.notices.post(NoticeKind::UNLOADED, 0, handle.into(), now);
            }
            for (id, stream) in session.streams.iter_mut().filter(|(_, stream)| stream.lost > 0) {
                self.state.notices.post(NoticeKind::EVENT_LOST, id, std::mem::take(&mut stream.lost), now);
            }
        }
    }

    /// Counts the notes that have found no voice since the last call.
    pub(super) fn count_lost_notes(&mut self) {
        if let Some(session) = &mut self.state.session {
            let lost = session.synth.notes_lost();
            let more = lost.saturating_sub(session.notes_lost_counted);
            session.notes_lost_counted = lost;
            self.registers.add(Counter::NotesLost, more);
        }
    }

    /// Writes the status: to the page that the driver has lent, while the wave stream runs, and to what the transport has
    /// of its own.
    fn write_status_page(&mut self) {
        let published = self.bus.lock().has_status_sink();
        let Some(session) = &mut self.state.session else {
            if published {
                self.bus.lock().publish_status(&StatusPage::default());
            }
            return;
        };
        let runs = session.streams.wave_state() == Some(StreamState::RUN);
        let loan = session.status_page.as_mut().filter(|_| runs);
        if loan.is_none() && !published {
            return;
        }
        let loan = loan.map(|loan| {
            loan.sequence = loan.sequence.wrapping_add(2);
            (loan.address, loan.sequence)
        });
        let position = session.timeline.position();
        let master_time = session.timeline.master_time(position);
        let page = StatusPage {
            sequence: loan.map_or(0, |(_, sequence)| sequence).into(),
            voices: session.synth.active_voices().into(),
            frame: (position as u64).into(),
            master_time: master_time.into(),
            latency_time: master_time.into(),
            card_time: self.registers.card_time().into(),
            events_late: self.registers.get(Counter::EventsLate).into(),
            underruns: self.registers.get(Counter::Underruns).into(),
            pending_events: (session.timeline.pending() as u64).into(),
        };
        self.registers.trace().status_page(&page);
        let bus = self.bus.lock();
        if let Some((address, _)) = loan {
            bus.write_status_page(address, &page);
        }
        bus.publish_status(&page);
    }
}

/// The progress of rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Produced {
    /// As far as it can.
    All,
    /// As far as the slice lasted.
    Some,
}

/// The frames by which [`Card::advance`] moved time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advanced {
    /// The next frame to render.
    pub position: i64,
    /// Frames rendered: fewer than requested when a slice of work was over before.
    pub frames: u64,
}

/// The reason for which [`Card::advance`] did not move time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdvanceError {
    /// The host's clock moves time.
    #[error("the card runs in real time; start it with --clock lockstep")]
    Realtime,
    /// There is no session to render.
    #[error("there is no session")]
    NoSession,
    /// The wave stream is not in `RUN`.
    #[error("the wave stream is open and does not run")]
    StandsStill,
}

fn frames_in(time: Duration, sample_rate: u32) -> u64 {
    u64::try_from(time.as_nanos().saturating_mul(sample_rate.into()) / 1_000_000_000).unwrap_or(u64::MAX)
}
