//! Answers requests.
//!
//! QEMU waits for answers without a limit, and gives a device up that refuses what a guest has chosen. So everything is answered,
//! and what is wrong with rings, memory and features is answered as a success.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::SocketType;
use rustix::net::sockopt::{socket_domain, socket_type};
use vhost::vhost_user::message::{FrontendReq, VhostUserConfig, VhostUserProtocolFeatures, VhostUserVringState};
use vm_memory::ByteValued;

use super::{CHANNELS, Session};
use crate::backend::{Backend, Broken, Patience};
use crate::finding::{Fault, Field, Outcome};
use crate::judge::{self, Wrong};
use crate::limits::CONFIG_BYTES_MAX;
use crate::loss::Loss;
use crate::offer::{PROTOCOL_FEATURES, has_event_index};
use crate::ring::{Kick, Ring, State};
use crate::wire::{Gone, Message, REPLY, VERSION_1, transmit};

/// Bytes of the table of shared memory regions: their number, padding, and a size for each.
const SHARED_MEMORY_BYTES: usize = 8 + 256 * 8;

/// The answer to a message.
pub(super) enum Answer {
    /// It has none of its own; when one is requested, it says whether it was done.
    Done(bool),
    /// It has this one.
    Body(Vec<u8>, Vec<OwnedFd>),
}

impl Answer {
    fn number(value: u64) -> Self {
        Self::Body(value.to_ne_bytes().to_vec(), Vec::new())
    }

    /// Returns the answer to a request that is not carried out. A front-end that waits for one of its own gets it in that shape.
    fn declined(code: FrontendReq, message: &Message) -> Self {
        match code {
            FrontendReq::GET_FEATURES
            | FrontendReq::GET_PROTOCOL_FEATURES
            | FrontendReq::GET_QUEUE_NUM
            | FrontendReq::GET_MAX_MEM_SLOTS
            | FrontendReq::GET_STATUS
            | FrontendReq::CREATE_CRYPTO_SESSION => Self::number(0),
            FrontendReq::CHECK_DEVICE_STATE => Self::number(1),
            FrontendReq::SET_DEVICE_STATE_FD => Self::number(0x101),
            FrontendReq::GET_SHARED_OBJECT | FrontendReq::POSTCOPY_ADVISE => Self::Body(Vec::new(), Vec::new()),
            FrontendReq::GET_INFLIGHT_FD => Self::Body(vec![0; 24], Vec::new()),
            FrontendReq::GET_SHMEM_CONFIG => Self::Body(vec![0; SHARED_MEMORY_BYTES], Vec::new()),
            FrontendReq::SET_LOG_BASE => Self::Body(message.body.clone(), Vec::new()),
            FrontendReq::GET_VRING_BASE => {
                let state: VhostUserVringState = message.split().map(|(state, _)| state).unwrap_or_default();
                Self::Body(VhostUserVringState::new(state.index, 0).as_slice().to_vec(), Vec::new())
            }
            FrontendReq::GET_CONFIG => {
                let asked: VhostUserConfig = message.split().map(|(config, _)| config).unwrap_or_default();
                // No payload means failure to a front-end; it keeps what it had.
                let nothing = VhostUserConfig { size: 0, ..asked };
                Self::Body(nothing.as_slice().to_vec(), Vec::new())
            }
            FrontendReq::SET_FEATURES
            | FrontendReq::SET_OWNER
            | FrontendReq::RESET_OWNER
            | FrontendReq::SET_MEM_TABLE
            | FrontendReq::ADD_MEM_REG
            | FrontendReq::REM_MEM_REG
            | FrontendReq::SET_VRING_NUM
            | FrontendReq::SET_VRING_ADDR
            | FrontendReq::SET_VRING_BASE
            | FrontendReq::SET_VRING_KICK
            | FrontendReq::SET_VRING_CALL
            | FrontendReq::SET_VRING_ERR
            | FrontendReq::SET_VRING_ENABLE
            | FrontendReq::SET_PROTOCOL_FEATURES
            | FrontendReq::SET_CONFIG
            | FrontendReq::RESET_DEVICE => Self::Done(true),
            _ => Self::Done(false),
        }
    }
}

impl Session<'_> {
    /// Reads a message and answers it.
    pub(super) fn answer_next(&mut self) -> Result<(), Gone> {
        let mut message = Message::receive(&self.front_end, self.unhurried())?;
        log::trace!("vhost-user request {}, {} bytes", message.code, message.length);
        let answer = self.judge(&mut message)?;
        let acknowledges = self.protocol & VhostUserProtocolFeatures::REPLY_ACK.bits() != 0;
        let (body, files) = match answer {
            Answer::Body(body, files) => (body, files),
            Answer::Done(done) if acknowledges && message.wants_acknowledgement() => {
                (u64::from(!done).to_ne_bytes().to_vec(), Vec::new())
            }
            Answer::Done(_) => return Ok(()),
        };
        let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        transmit(&self.front_end, self.unhurried(), (message.code, VERSION_1 | REPLY), &body, &files)
    }

    fn judge(&mut self, message: &mut Message) -> Result<Answer, Gone> {
        let code = match judge::header(message) {
            Ok(code) => code,
            Err(wrong) => {
                self.report(message.code, None, wrong, Outcome::Withheld);
                return Ok(match FrontendReq::try_from(message.code) {
                    Ok(code) => Answer::declined(code, message),
                    Err(_) => Answer::Done(false),
                });
            }
        };
        let offered = self.offer.map_or(0, |offer| offer.passed_protocol());
        if let Err(wrong) = judge::negotiated(code, self.protocol, offered) {
            self.report(message.code, None, wrong, Outcome::Withheld);
            return Ok(match Answer::declined(code, message) {
                Answer::Done(_) => Answer::Done(false),
                body @ Answer::Body(..) => body,
            });
        }
        if let Err(wrong) = judge::attached(code, message) {
            self.report(message.code, None, wrong, Outcome::Corrected);
            message.files.clear();
        }
        match self.act(code, message)? {
            Ok(answer) => Ok(answer),
            Err(wrong) => {
                self.withhold(code, message, wrong)?;
                Ok(Answer::declined(code, message))
            }
        }
    }

    /// Reports a request that is not carried out, and parks the ring that it is about.
    fn withhold(&mut self, code: FrontendReq, message: &Message, wrong: Wrong) -> Result<(), Gone> {
        let about_ring = matches!(
            code,
            FrontendReq::SET_VRING_NUM
                | FrontendReq::SET_VRING_ADDR
                | FrontendReq::SET_VRING_BASE
                | FrontendReq::SET_VRING_KICK
                | FrontendReq::SET_VRING_CALL
                | FrontendReq::SET_VRING_ERR
                | FrontendReq::SET_VRING_ENABLE
        );
        let named = message.body.first().map(|index| usize::from(*index));
        let ring = named.filter(|index| about_ring && wrong.field != Field::Index && *index < self.rings.len());
        let Some(index) = ring else {
            let refused = wrong.fault == Fault::Refused;
            self.report(message.code, None, wrong, if refused { Outcome::Relayed } else { Outcome::Withheld });
            return Ok(());
        };
        self.stop(index, State::Parked(None))?;
        if let Some(ring) = self.rings.get_mut(index) {
            ring.state = State::Parked(Some(wrong));
            ring.kick = Kick::None;
        }
        self.report(message.code, Some(index), wrong, Outcome::Parked);
        Ok(())
    }

    fn act(&mut self, code: FrontendReq, message: &mut Message) -> Result<Result<Answer, Wrong>, Gone> {
        let Some(offer) = self.offer else { return Ok(Ok(Answer::declined(code, message))) };
        let number = |value: u64| judge::empty(message).map(|()| Answer::number(value));
        let done = match code {
            FrontendReq::GET_FEATURES => return Ok(number(offer.passed_features())),
            FrontendReq::GET_PROTOCOL_FEATURES => return Ok(number(offer.passed_protocol())),
            FrontendReq::GET_QUEUE_NUM => return Ok(number(offer.rings)),
            FrontendReq::GET_MAX_MEM_SLOTS => return Ok(number(offer.slots.min(self.settings.limits.regions as u64))),
            FrontendReq::GET_VRING_BASE => {
                return Ok(match judge::ring_number(message, self.rings.len()) {
                    Ok((index, _)) => {
                        let base = self.end_ring(index)?;
                        let state = VhostUserVringState::new(index as u32, base.into());
                        Ok(Answer::Body(state.as_slice().to_vec(), Vec::new()))
                    }
                    Err(wrong) => Err(wrong),
                });
            }
            FrontendReq::GET_CONFIG => return self.read_config(message),
            FrontendReq::GET_SHARED_OBJECT => return self.shared_object(message),
            FrontendReq::GET_SHMEM_CONFIG => return self.shared_memory(),
            // Deprecated: "should be ignored" (QEMU, "Vhost-user Protocol", VHOST_USER_RESET_OWNER).
            FrontendReq::RESET_OWNER => judge::empty(message),
            FrontendReq::SET_OWNER => self.set_owner(message),
            FrontendReq::SET_FEATURES => self.set_features(message)?,
            FrontendReq::SET_PROTOCOL_FEATURES => self.set_protocol_features(message)?,
            FrontendReq::SET_MEM_TABLE => self.set_memory(message)?,
            FrontendReq::ADD_MEM_REG => self.add_memory(message)?,
            FrontendReq::REM_MEM_REG => self.remove_memory(message)?,
            FrontendReq::SET_VRING_NUM => self.set_ring_size(message)?,
            FrontendReq::SET_VRING_ADDR => self.set_ring_addresses(message)?,
            FrontendReq::SET_VRING_BASE => self.set_ring_base(message)?,
            FrontendReq::SET_VRING_KICK => self.set_ring_kick(message)?,
            FrontendReq::SET_VRING_CALL => self.set_ring_call(message)?,
            FrontendReq::SET_VRING_ERR => self.set_ring_error(message)?,
            FrontendReq::SET_VRING_ENABLE => self.enable_ring(message)?,
            FrontendReq::SET_CONFIG => self.write_config(message)?,
            FrontendReq::SET_BACKEND_REQ_FD | FrontendReq::GPU_SET_SOCKET => self.set_channel(code, message)?,
            FrontendReq::RESET_DEVICE => self.reset_device(message)?,
            _ => {
                let wrong = Wrong::new(Field::Code, Fault::NotOffered, offer.passed_protocol(), 0);
                self.report(message.code, None, wrong, Outcome::Withheld);
                return Ok(Ok(Answer::Done(false)));
            }
        };
        Ok(done.map(|()| Answer::Done(true)))
    }

    fn set_owner(&mut self, message: &Message) -> Result<(), Wrong> {
        judge::empty(message)?;
        if std::mem::replace(&mut self.owned, true) {
            return Err(Wrong::new(Field::Code, Fault::Repeated, 1, 2));
        }
        Ok(())
    }

    fn set_features(&mut self, message: &Message) -> Result<Result<(), Wrong>, Gone> {
        let features = match judge::number(message) {
            Ok(features) => features,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let offered = self.offer.map_or(0, |offer| offer.passed_features());
        if features & !offered != 0 {
            let wrong = Wrong::new(Field::Features, Fault::NotOffered, offered, features);
            self.report(message.code, None, wrong, Outcome::Corrected);
        }
        let features = features & offered;
        let before = self.features.replace(features);
        let changed = before.is_some_and(|before| before != features);
        for index in 0..self.rings.len() {
            if changed && self.rings.get(index).is_some_and(Ring::is_running) {
                self.stop(index, State::Parked(None))?;
                let [expected, got] = [before.unwrap_or(0), features];
                self.park(
                    index,
                    Some(FrontendReq::SET_FEATURES),
                    Wrong::new(Field::Features, Fault::Running, expected, got),
                );
            }
        }
        if features & PROTOCOL_FEATURES == 0 {
            // Without protocol features there is no request to enable a ring: it is enabled from the start.
            for ring in &mut self.rings {
                ring.enabled = true;
            }
        }
        log::debug!("the driver has chosen features {features:#x}, event indices: {}", has_event_index(features));
        if let Some(got @ 1..) = self.give_features()? {
            let wrong = Wrong::new(Field::Features, Fault::Refused, 0, got);
            self.report(message.code, None, wrong, Outcome::Relayed);
        }
        for index in 0..self.rings.len() {
            if !changed {
                self.try_start(index, Some(FrontendReq::SET_FEATURES))?;
            }
        }
        Ok(Ok(()))
    }

    fn set_protocol_features(&mut self, message: &Message) -> Result<Result<(), Wrong>, Gone> {
        let features = match judge::number(message) {
            Ok(features) => features,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let offered = self.offer.map_or(0, |offer| offer.passed_protocol());
        if features & !offered != 0 {
            let wrong = Wrong::new(Field::Features, Fault::NotOffered, offered, features);
            self.report(message.code, None, wrong, Outcome::Corrected);
        }
        self.protocol = features & offered;
        let (protocol, current) = (self.protocol, self.current);
        if current.can_disable() {
            self.with_backend(|backend, patience| backend.acknowledge_protocol(patience, &current, protocol))?;
        }
        Ok(Ok(()))
    }

    fn read_config(&mut self, message: &Message) -> Result<Result<Answer, Wrong>, Gone> {
        let (asked, _) = match judge::config(message) {
            Ok(config) => config,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let range = asked.offset as usize..(asked.offset as usize).saturating_add(asked.size as usize);
        if let Some(source) = &self.settings.config {
            *self.config = source();
        } else if let Some(answer) =
            self.with_backend(|backend, patience| backend.ask(patience, FrontendReq::GET_CONFIG, &message.body))?
        {
            let payload = answer.split::<VhostUserConfig>().map(|(_, payload)| payload).unwrap_or_default();
            if payload.len() != asked.size as usize {
                // Its refusal, or a defect that QEMU bears.
                return Ok(Ok(Answer::declined(FrontendReq::GET_CONFIG, message)));
            }
            match self.config.get_mut(range.clone()) {
                Some(known) => known.copy_from_slice(payload),
                // Longer than QEMU reads: passed on, and not remembered.
                None => return Ok(Ok(Answer::Body([asked.as_slice(), payload].concat(), Vec::new()))),
            }
        }
        let mut image = *self.config;
        if let Some(mark) = self.settings.loss_mark
            && self.shows_loss()
            && let Some(byte) = image.get_mut(usize::from(mark.offset))
        {
            *byte = mark.value;
        }
        let most = CONFIG_BYTES_MAX as u64;
        match image.get(range.clone()) {
            Some(payload) => Ok(Ok(Answer::Body([asked.as_slice(), payload].concat(), Vec::new()))),
            None => Ok(Err(Wrong::new(Field::Config, Fault::TooLarge, most, range.end as u64))),
        }
    }

    fn write_config(&mut self, message: &Message) -> Result<Result<(), Wrong>, Gone> {
        if let Err(wrong) = judge::config(message) {
            return Ok(Err(wrong));
        }
        self.relay(FrontendReq::SET_CONFIG, message)
    }

    /// Passes a request on that has no answer of its own, unless a back-end has ended at one.
    fn relay(&mut self, code: FrontendReq, message: &Message) -> Result<Result<(), Wrong>, Gone> {
        if self.fatal.contains(&code.into()) {
            return Ok(Err(Wrong::new(Field::Code, Fault::EndsBackend, 0, 0)));
        }
        let answered = self.tell_at(code, &message.body, &[])?;
        Ok(match answered {
            Some(got @ 1..) => Err(Wrong::new(Field::Code, Fault::Refused, 0, got)),
            _ => Ok(()),
        })
    }

    /// As [`with_backend`](Self::with_backend), and remembers the request at which the back-end ends.
    pub(super) fn with_backend_at<T>(
        &mut self,
        code: FrontendReq,
        act: impl FnOnce(&mut Backend, Patience<'_>) -> Result<T, Broken>,
    ) -> Result<Option<T>, Gone> {
        let mut fatal = false;
        let done = self.with_backend(|backend, patience| {
            act(backend, patience).inspect_err(|broken| {
                // A thread that has panicked may leave the connection open.
                fatal = match broken {
                    Broken::Lost(Loss::Disconnected { request }) => *request == Some(code.into()),
                    Broken::Lost(Loss::Silent { request }) => *request == u32::from(code),
                    _ => false,
                };
            })
        })?;
        if fatal {
            self.fatal.insert(code.into());
        }
        Ok(done)
    }

    /// Passes a request on, and remembers it if the back-end ends at it. The framework refuses first, and ends then.
    pub(super) fn tell_at(
        &mut self,
        code: FrontendReq,
        body: &[u8],
        files: &[BorrowedFd<'_>],
    ) -> Result<Option<u64>, Gone> {
        let answered = self.with_backend_at(code, |backend, patience| backend.tell(patience, code, body, files))?;
        if let Some(1..) = answered {
            self.with_backend(|backend, patience| backend.ask(patience, FrontendReq::GET_FEATURES, &[]))?;
            if self.backend.is_none() {
                self.fatal.insert(code.into());
            }
        }
        Ok(answered)
    }

    fn set_channel(&mut self, code: FrontendReq, message: &mut Message) -> Result<Result<(), Wrong>, Gone> {
        let Some(channel) = message.files.pop() else {
            return Ok(Err(Wrong::new(Field::Descriptors, Fault::Mismatch, 1, 0)));
        };
        let is_unix_stream = socket_domain(&channel) == Ok(rustix::net::AddressFamily::UNIX)
            && socket_type(&channel) == Ok(SocketType::STREAM);
        if !is_unix_stream {
            return Ok(Err(Wrong::new(Field::BackendChannel, Fault::Unusable, 0, 0)));
        }
        if self.fatal.contains(&code.into()) {
            return Ok(Err(Wrong::new(Field::Code, Fault::EndsBackend, 0, 0)));
        }
        let index = CHANNELS.iter().position(|channel| *channel == code).unwrap_or(0);
        if let Some(place) = self.channels.get_mut(index) {
            *place = Some(channel);
        }
        let answered = self.give_channel(index, code)?;
        // One that is of no use is closed, or its peer would not see its end.
        if (matches!(answered, Some(1..)) || self.fatal.contains(&code.into()))
            && let Some(place) = self.channels.get_mut(index)
        {
            *place = None;
        }
        Ok(match answered {
            Some(got @ 1..) => Err(Wrong::new(Field::BackendChannel, Fault::Refused, 0, got)),
            _ => Ok(()),
        })
    }

    fn shared_object(&mut self, message: &Message) -> Result<Result<Answer, Wrong>, Gone> {
        const BYTES: usize = 16;
        let code = FrontendReq::GET_SHARED_OBJECT;
        let is_object = message.length == BYTES
            && message.body.iter().any(|byte| *byte != 0)
            && message.body.iter().any(|byte| *byte != 0xff);
        if !is_object {
            return Ok(Err(Wrong::new(Field::Length, Fault::Mismatch, BYTES as u64, message.length as u64)));
        }
        let answer = self.with_backend_at(code, |backend, patience| backend.ask(patience, code, &message.body))?;
        Ok(Ok(match answer {
            Some(Message { body, files, .. }) => Answer::Body(body, files),
            None => Answer::declined(code, message),
        }))
    }

    fn shared_memory(&mut self) -> Result<Result<Answer, Wrong>, Gone> {
        let code = FrontendReq::GET_SHMEM_CONFIG;
        if self.shared_memory.is_none() && !self.fatal.contains(&code.into()) {
            let answer = self.with_backend_at(code, |backend, patience| backend.ask(patience, code, &[]))?;
            self.shared_memory = answer.map(|answer| answer.body);
        }
        let body = self.shared_memory.clone().unwrap_or_else(|| vec![0; SHARED_MEMORY_BYTES]);
        Ok(Ok(Answer::Body(body, Vec::new())))
    }

    fn reset_device(&mut self, message: &Message) -> Result<Result<(), Wrong>, Gone> {
        if let Err(wrong) = judge::empty(message) {
            return Ok(Err(wrong));
        }
        self.stop_all()?;
        for ring in &mut self.rings {
            // The call descriptors stay: front-ends set them once.
            let call = ring.call.take();
            let (settled, ends_backend) = (ring.settled, ring.ends_backend);
            *ring = Ring { call, settled, ends_backend, ..Ring::default() };
        }
        let relayed = self.relay(FrontendReq::RESET_DEVICE, message)?;
        if let Some(backend) = &mut self.backend {
            // The framework forgets them.
            backend.features = None;
        }
        Ok(relayed)
    }
}
