//! The started card: its parts, its session, its deferred procedure call.

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use card_spec::control::{
    Open, OpenResponse, PortParameters, RequestCode, Status, StatusPageLoan, StreamId, StreamOpen, StreamStateChange,
};
use card_spec::diagnosis::Diagnosis;
use card_spec::identity::IdentityBlock;
use card_spec::limits::STREAMS_MAX;
use card_spec::notice::{Notice, NoticeKind};
use card_spec::status_page::StatusPage;
use card_spec::{ABI_MAJOR, ABI_MINOR};
use portcls::NtStatus;
use portcls::ks::KsState;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::epoch::Epoch;
use super::error::CardError;
use super::queues::Queues;
use super::recovery_count::RecoveryCount;
use super::wave_state::WaveStream;
use crate::control::ControlError;
use crate::downloads::{self, Downloads};
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::lock::Spin;
use crate::log::Part;
use crate::midi_out;
use crate::pending::Pending;
use crate::rundown::Rundown;
use crate::transport::{Mapped, Transport};
use crate::unloads::Unloads;

/// The wave stream's number on the card; render streams have those below.
pub const WAVE_STREAM: u32 = STREAMS_MAX as u32 - 1;

/// The capture stream's number on the card.
pub const CAPTURE_STREAM: u32 = WAVE_STREAM - 1;

const _: () = assert!(CAPTURE_STREAM as usize >= midi_out::STREAMS);

/// A started card.
pub struct Card<K: Kernel> {
    pub(super) transport: Transport<K>,
    pub(super) queues: Queues<K>,
    pub(super) wave_stream: Spin<K, Option<WaveStream>>,
    pub(super) volume: [AtomicI32; 2],
    pub(super) downloads: Downloads<K>,
    pub(super) unloads: Unloads<K>,
    /// The last state of each stream that was sent to the card.
    pub(super) card_states: [AtomicU32; STREAMS_MAX],
    /// The port parameters in force, once a client has set some.
    pub(super) parameters: Spin<K, Option<PortParameters>>,
    /// The card has been switched off: it gets no request.
    pub(super) off: AtomicBool,
    /// The card was removed.
    pub(super) gone: AtomicBool,
    /// The device is in a power state below D0: there is no recovery until it is in D0 again.
    pub(super) without_power: AtomicBool,
    /// The card needs a reset: it says so, has lost its session, or has broken a ring.
    pub(super) needs_reset: AtomicBool,
    /// The number of times that the card was switched on.
    pub(super) epoch: AtomicU32,
    pub(super) recoveries: Spin<K, RecoveryCount>,
    /// Protects the card's registers.
    pub(super) rundown: Rundown,
    /// Interrupt causes that the deferred procedure call has not taken.
    pub(super) pending: Pending,
    /// The number that the next notice should have.
    next_notice: AtomicU32,
    /// Dropped last: the common buffers came from it.
    pub(super) kernel: K,
}

impl<K: Kernel> Card<K> {
    /// Starts the card: from here on it may interrupt. [`open`](Self::open) comes next.
    ///
    /// # Errors
    /// [`CardError::Transport`] when the function is not the card or does not come up; [`CardError::NoMemory`] when the
    /// kernel has none for the driver's part. The card is left reset.
    pub fn start(kernel: K, level: Passive, mapped: Mapped<K::Registers>) -> Result<Self, CardError> {
        let downloads = downloads::empty(&kernel, level).ok_or(CardError::NoMemory)?;
        let unloads = Unloads::new(&kernel).ok_or(CardError::NoMemory)?;
        let transport = Transport::negotiate(&kernel, level, mapped)?;
        let queues = match Queues::new(&kernel, level, &transport) {
            Ok(queues) => queues,
            Err(error) => {
                _ = transport.reset(&kernel, level);
                return Err(error);
            }
        };
        let wave_stream = Spin::new(&kernel, None);
        let parameters = Spin::new(&kernel, None);
        let recoveries = Spin::new(&kernel, RecoveryCount::default());
        transport.driver_ok();
        Ok(Self {
            transport,
            queues,
            wave_stream,
            volume: [const { AtomicI32::new(0) }; 2],
            downloads,
            unloads,
            card_states: [const { AtomicU32::new(0) }; STREAMS_MAX],
            parameters,
            off: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            without_power: AtomicBool::new(false),
            needs_reset: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
            recoveries,
            rundown: Rundown::new(),
            pending: Pending::new(),
            next_notice: AtomicU32::new(0),
            kernel,
        })
    }

    /// Opens a session, which ends what an earlier one left on the card.
    ///
    /// # Errors
    /// [`CardError::Control`] when the card does not answer, refuses, or answers for another session.
    pub fn open(&self, level: Passive) -> Result<(), CardError> {
        let session = self.kernel.time();
        let request = Open {
            abi_major: ABI_MAJOR.into(),
            abi_minor: ABI_MINOR.into(),
            queue_sizes: self.queues.sizes.map(Into::into),
            reserved: 0.into(),
            session: session.into(),
        };
        let (_, answer): (_, OpenResponse) = self.query(level, RequestCode::OPEN, &request)?;
        if answer.session.get() != session {
            return Err(ControlError::BadAnswer.into());
        }
        self.next_notice.store(0, Ordering::Relaxed);
        self.queues.midi_in.start(level.into(), self);
        self.queues.event_queue.start(level.into(), self);
        self.queues.status_page.write(0, &StatusPage::default());
        let loan = StatusPageLoan { address: self.queues.status_page.address().into() };
        self.command(level, RequestCode::STATUS_PAGE, &loan)?;
        Ok(())
    }

    /// Ends the session and resets the card, which then accesses no memory any more.
    pub(super) fn stop(&self, level: Passive) {
        if self.check_power().is_ok() {
            _ = self.queues.control.command(level, self, RequestCode::CLOSE, &());
        }
        if let Err(error) = self.transport.reset(&self.kernel, level) {
            self.kernel.log(&[Part::Text("the card does not reset: "), Part::Reason(error.into())]);
        }
    }

    /// Returns the card's identity block.
    pub const fn identity(&self) -> &IdentityBlock {
        self.transport.identity()
    }

    /// Returns whether the card has all of some capabilities ([`card_spec::identity::capability`]).
    pub fn has(&self, capabilities: u32) -> bool {
        self.identity().capabilities.get() & capabilities == capabilities
    }

    /// Returns the kernel that the card was started with.
    pub const fn kernel(&self) -> &K {
        &self.kernel
    }

    /// Serves every queue, for they share one interrupt. Called from the deferred procedure call. True: the card needs
    /// [`recover_or_log`](Self::recover_or_log), from a thread that may wait.
    pub fn service(&self, level: AtMostDispatch) -> bool {
        let epoch = self.epoch();
        let queues = &self.queues;
        let served = [queues.control.service(level), queues.wave.service(level), queues.midi_out.service(level, self)];
        let has_cause = served.iter().any(|served| served.had_returned)
            || queues.midi_in.has_returned(level)
            || queues.event_queue.has_returned(level);
        if !has_cause {
            self.check_presence(level);
        }
        self.take_causes(level);
        while let Some(notice) = self.queues.event_queue.next(level, self) {
            self.handle_notice(level, epoch, &notice);
        }
        let [control, wave, midi_out] = served.map(|served| served.fault);
        let faults = [control, wave, midi_out, queues.midi_in.fault(level), queues.event_queue.fault(level)];
        if let Some(fault) = faults.into_iter().flatten().next() {
            self.request_recovery(level, epoch, Part::Reason(fault.into()));
        }
        self.needs_reset.load(Ordering::Acquire)
    }

    fn handle_notice(&self, level: AtMostDispatch, epoch: Epoch, record: &Notice) {
        let number = record.sequence.get();
        if self.next_notice.swap(number.wrapping_add(1), Ordering::Relaxed) != number {
            // A lost notice may have been the end of an unload that a client waits for.
            self.kernel.log(&[Part::Text("notices were lost before number "), Part::Number(number.into())]);
            self.unloads.end_all(level, NtStatus::SUCCESS);
        }
        let kind = NoticeKind(record.kind.get());
        if kind == NoticeKind::UNLOADED {
            self.unloads.sound_ended(level, record.value.get() as u32);
        } else if kind == NoticeKind::DIAGNOSED {
            self.kernel.log(&[
                Part::Text("the card found a driver error: "),
                Part::Text(Diagnosis(record.code.get()).name().unwrap_or("unknown")),
                Part::Text(" on "),
                Part::Number(record.stream.get().into()),
                Part::Text(", expected "),
                Part::Hex(record.expected.get().into()),
                Part::Text(", got "),
                Part::Hex(record.got.get().into()),
            ]);
        } else {
            self.kernel.log(&[
                Part::Text("notice: "),
                Part::Text(kind.name().unwrap_or("unknown")),
                Part::Text(" on stream "),
                Part::Number(record.stream.get().into()),
                Part::Text(": "),
                Part::Number(record.value.get()),
            ]);
            if kind == NoticeKind::STATE_CHANGED {
                self.request_recovery(level, epoch, Part::Text("it has stopped a stream by itself"));
            }
        }
    }

    /// Closes a stream on the card, with its downloads. A failure is logged: the driver's stream goes all the same.
    pub(super) fn close_stream(&self, level: Passive, id: u32) {
        self.unloads.end_stream(&self.kernel, level, id, NtStatus::CANCELLED);
        self.unload_all_of(level, id);
        let request = StreamId { stream: id.into(), reserved: 0.into() };
        if let Err(error) = self.command(level, RequestCode::STREAM_CLOSE, &request) {
            self.kernel.log(&[
                Part::Text("the card does not close stream "),
                Part::Number(id.into()),
                Part::Text(": "),
                Part::Reason(error.into()),
            ]);
        }
    }

    /// Sends a stream's state to the card, if it makes a difference there: below `RUN` nothing moves, and only a stream
    /// that ran has anything to discard. A stream goes to `RUN` and back by steps, and each request takes time.
    pub(super) fn set_stream_state(&self, level: Passive, id: u32, state: KsState) -> Result<(), CardError> {
        let Some(on_card) = self.card_states.get(id as usize) else { return Err(CardError::NoStream) };
        let before = KsState(on_card.load(Ordering::Relaxed));
        let matters = before == KsState::RUN || state == KsState::RUN || (state == KsState::STOP && before != state);
        if matters || self.check_power().is_err() {
            let request = StreamStateChange { stream: id.into(), state: state.0.into() };
            self.command(level, RequestCode::STREAM_STATE, &request)?;
            on_card.store(state.0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Opens a stream on the card, in state `STOP`.
    pub(super) fn open_on_card(&self, level: Passive, request: &StreamOpen) -> Result<(), CardError> {
        self.command(level, RequestCode::STREAM_OPEN, request)?;
        if let Some(on_card) = self.card_states.get(request.stream.get() as usize) {
            on_card.store(KsState::STOP.0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Sends a request whose response has no payload, and requests recovery if only a reset ends its failure.
    pub(super) fn command<Q: IntoBytes + Immutable>(
        &self,
        level: Passive,
        code: RequestCode,
        request: &Q,
    ) -> Result<Status, ControlError> {
        let epoch = self.epoch();
        self.check_power()?;
        let answer = self.queues.control.command(level, self, code, request);
        answer.inspect_err(|error| self.check_failure(level, epoch, *error))
    }

    /// Sends a request whose response has a payload, and requests recovery if only a reset ends its failure.
    pub(super) fn query<Q: IntoBytes + Immutable, A: FromBytes + IntoBytes>(
        &self,
        level: Passive,
        code: RequestCode,
        request: &Q,
    ) -> Result<(Status, A), ControlError> {
        let epoch = self.epoch();
        self.check_power()?;
        let answer = self.queues.control.query(level, self, code, request);
        answer.inspect_err(|error| self.check_failure(level, epoch, *error))
    }

    /// Returns whether the card takes requests.
    ///
    /// # Errors
    /// [`ControlError::Gone`] when the card was removed; [`ControlError::Off`] when it is switched off.
    pub(super) fn check_power(&self) -> Result<(), ControlError> {
        if self.gone.load(Ordering::Acquire) {
            Err(ControlError::Gone)
        } else if self.off.load(Ordering::Acquire) {
            Err(ControlError::Off)
        } else {
            Ok(())
        }
    }
}
