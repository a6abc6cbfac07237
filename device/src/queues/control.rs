//! Control: requests and their answers ([`card_spec::control`]).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod outcome;
mod requests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use card_control::InjectedFault;
use card_control::fault::RequestName;
use card_spec::control::{Open, OpenResponse, RequestCode, RequestHeader, ResponseHeader, Status};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::{QUEUE_SIZE_MAX, REQUEST_BYTES_MAX};
use card_spec::queue::Queue;
use card_spec::{ABI_MAJOR, ABI_MINOR};
use dls_synth::Bank;
use zerocopy::{FromBytes, IntoBytes};

use self::outcome::{Answer, HEADER_BYTES, Outcome, Refusal, Request, response_bytes};
use self::requests::Requests;
use super::midi_out::MidiOut;
use super::wave::Wave;
use crate::bus::{Chain, SharedBus};
use crate::diagnosis::{DriverError, Registers};
use crate::log_limited;
use crate::options::Options;
use crate::session::slice::Slice;
use crate::session::{DeviceState, Parameters, Session};

/// Consumes the control queue.
#[derive(Clone)]
pub struct Control {
    /// The card's fixed configuration.
    pub options: Options,
    /// The bank that sessions play from.
    pub bank: Arc<Bank>,
    /// Memory and rings.
    pub bus: SharedBus,
    /// Counters and diagnosis.
    pub registers: Arc<Registers>,
    /// Takes the batches that precede a request.
    pub midi_out: MidiOut,
    /// Returns wave buffers when their stream stops.
    pub wave: Wave,
}

impl Control {
    /// Answers the requests that are there: no more than a ring holds, and none after `slice` is over. True when there may be
    /// more.
    pub fn serve(&self, state: &mut DeviceState, slice: &Slice) -> bool {
        let is_filling =
            |state: &DeviceState| state.session.as_ref().is_some_and(|session| session.is_filling(self.options.clock));
        let mut any = false;
        for _ in 0..QUEUE_SIZE_MAX {
            // In lockstep, requests take effect between wave buffers, as long as time passes within one.
            if is_filling(state) {
                return false;
            }
            if any && slice.is_over() {
                return true;
            }
            let Some(chain) = self.bus.lock().take(Queue::CONTROL, REQUEST_BYTES_MAX) else { return false };
            any = true;
            // Batches that were available when the request was kicked come first.
            self.midi_out.serve(&mut state.session);
            let Some(chain) = self.without_fault(chain) else { continue };
            // Not under the lock: the driver waits for its request, and the transport must not.
            self.answer(state, chain);
        }
        true
    }

    /// Returns the request, unless an injected fault has it: stuck, or answered with a failure.
    fn without_fault(&self, chain: Chain) -> Option<Chain> {
        let (header, _) = match RequestHeader::read_from_prefix(chain.request()) {
            Ok(read) if chain.writable_bytes() >= HEADER_BYTES as u64 => read,
            _ => return Some(chain),
        };
        let code = RequestCode(header.code.get());
        let of = |request: &Option<RequestName>| request.is_none_or(|request| request.code() == code);
        let mut bus = self.bus.lock();
        let failure = bus.strike(|fault| match fault {
            InjectedFault::StuckCommand { request } if of(request) => Some(None),
            InjectedFault::FailingCommand { status, request } if of(request) => Some(Some(status.status())),
            _ => None,
        });
        match failure {
            None => return Some(chain),
            Some(None) => bus.abandon(&chain),
            Some(Some(status)) => {
                let answer = ResponseHeader { status: status.0.into(), length: 0.into(), tag: header.tag };
                bus.complete(chain, &[answer.as_bytes()]);
            }
        }
        None
    }

    fn answer(&self, state: &mut DeviceState, chain: Chain) {
        let room = usize::try_from(chain.writable_bytes()).unwrap_or(usize::MAX);
        if room < HEADER_BYTES {
            if chain.error().is_none() {
                let error = chain.diagnose(Diagnosis::WRITABLE_TOO_SHORT);
                self.registers.report(error.expected(HEADER_BYTES as u32, room as u32));
            }
            self.bus.lock().complete(chain, &[]);
            return;
        }
        let tag = RequestHeader::read_from_prefix(chain.request()).map_or(0, |(header, _)| header.tag.get());
        let outcome = catch_unwind(AssertUnwindSafe(|| self.carry_out(state, &chain, room)));
        let (status, payload) = match outcome {
            Ok(Ok(answer)) => (answer.status, answer.payload),
            Ok(Err(refusal)) => {
                if let Some(error) = refusal.error {
                    self.registers.report(error);
                }
                (refusal.status, refusal.payload)
            }
            Err(_) => {
                log_limited!(
                    log::Level::Error,
                    "the card failed at a request and drops the session; this is a defect of the card, please report it"
                );
                state.reset();
                (Status::CARD_FAILED, Vec::new())
            }
        };
        let header = ResponseHeader { status: status.0.into(), length: (payload.len() as u32).into(), tag: tag.into() };
        self.bus.lock().complete(chain, &[header.as_bytes(), &payload]);
    }

    fn carry_out(&self, state: &mut DeviceState, chain: &Chain, room: usize) -> Outcome {
        if chain.error().is_some() {
            // It has been reported.
            return Err(Refusal { status: Status::MALFORMED, error: None, payload: Vec::new() });
        }
        let malformed = |error: DriverError| Refusal::new(Status::MALFORMED, error);
        let bytes = chain.request();
        let (header, payload) = RequestHeader::read_from_prefix(bytes).map_err(|_| {
            let error = chain.diagnose(Diagnosis::READABLE_TOO_SHORT);
            malformed(error.expected(size_of::<RequestHeader>() as u32, bytes.len() as u32))
        })?;
        let payload = payload.get(..header.length.get() as usize).ok_or_else(|| {
            malformed(chain.diagnose(Diagnosis::LENGTH).expected(payload.len() as u32, header.length.get()))
        })?;
        let code = RequestCode(header.code.get());
        let needed = HEADER_BYTES.saturating_add(response_bytes(code));
        if room < needed {
            let error = chain.diagnose(Diagnosis::WRITABLE_TOO_SHORT);
            return Err(malformed(error.expected(needed as u32, room as u32)));
        }
        log::trace!("request {code}, {} bytes of payload", payload.len());
        let request = Request { chain, payload };
        match code {
            RequestCode::OPEN => self.open(state, &request.read()?),
            _ if code.name().is_none() => {
                let error = chain.diagnose(Diagnosis::UNKNOWN_REQUEST).got(code.0);
                Err(Refusal::new(Status::UNSUPPORTED, error))
            }
            _ => {
                let Some(session) = &mut state.session else {
                    return Err(Refusal::new(Status::NO_SESSION, chain.diagnose(Diagnosis::NO_SESSION)));
                };
                if code == RequestCode::CLOSE {
                    self.wave.flush_buffers(Some(session));
                    log_limited!(log::Level::Info, "the driver closed its session");
                    state.session = None;
                    return Ok(Answer::DONE);
                }
                let mut requests = Requests { session, bus: &self.bus, wave: &self.wave, options: self.options };
                requests.carry_out(code, &request)
            }
        }
    }

    fn open(&self, state: &mut DeviceState, open: &Open) -> Outcome {
        let major = open.abi_major.get();
        if major != ABI_MAJOR {
            let error = DriverError::new(Diagnosis::ABI_MISMATCH).expected(ABI_MAJOR.into(), major.into());
            return Err(Refusal::new(Status::ABI_MISMATCH, error));
        }
        self.wave.flush_buffers(state.session.as_mut());
        state.reset();
        self.registers.clear();
        let sizes = {
            let bus = self.bus.lock();
            bus.report_standing();
            Queue::ALL.map(|queue| bus.ring_size(queue))
        };
        for ((queue, declared), working) in Queue::ALL.into_iter().zip(open.queue_sizes).zip(sizes) {
            let declared = declared.get();
            if working != declared {
                let error = DriverError::new(Diagnosis::QUEUE_SIZE_DECLARED).on(Queue::CONTROL).at(queue.0.into());
                self.registers.report(error.expected(working.into(), declared.into()));
            }
        }
        let id = open.session.get();
        let minor = open.abi_minor.get();
        log_limited!(
            log::Level::Info,
            "session {id:#x} opened by a driver of ABI {major}.{minor} (the card's is {ABI_MAJOR}.{ABI_MINOR})"
        );
        let parameters = Parameters::defaults(self.options.voices);
        let session = Session::new(id, parameters, Arc::clone(&self.bank)).map_err(|error| {
            log_limited!(
                log::Level::Error,
                "the synthesizer refuses the default settings: {error}; this is a defect of the card"
            );
            Refusal { status: Status::CARD_FAILED, error: None, payload: Vec::new() }
        })?;
        state.session = Some(session);
        let response = OpenResponse { session: id.into(), parameters: parameters.to_spec(), reserved: 0.into() };
        Ok(Answer::with(Status::OK, &response))
    }
}
