//! Starts, stops and parks rings.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use vhost::vhost_user::message::{FrontendReq, VhostUserVringAddr, VhostUserVringAddrFlags, VhostUserVringState};
use vm_memory::ByteValued;

use super::Session;
use crate::backend::{Backend, Broken, Patience};
use crate::event_counter::EventCounter;
use crate::finding::{Fault, Field, Outcome};
use crate::judge::{self, Wrong};
use crate::loss::Loss;
use crate::ring::{Kick, Part, Ring, State, VhostUserAddresses, check_apart};
use crate::wire::{Gone, Message, is_readable};

/// In a request about a ring's descriptor: there is none.
const NO_FILE: u64 = 0x100;

/// SET_VRING_NUM, at which the framework ends when it takes no ring of that size.
const SIZE: u32 = FrontendReq::SET_VRING_NUM as u32;

/// Why a ring was not started.
enum Failed {
    /// The back-end is gone, or the guard is to end.
    Broken(Broken),
    /// The back-end has refused a message.
    Refused(Wrong),
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// Returns the request that carries a field of a ring.
const fn carrier(field: Field) -> FrontendReq {
    match field {
        Field::Size => FrontendReq::SET_VRING_NUM,
        Field::Base => FrontendReq::SET_VRING_BASE,
        Field::Features => FrontendReq::SET_FEATURES,
        Field::Kick => FrontendReq::SET_VRING_KICK,
        Field::Call => FrontendReq::SET_VRING_CALL,
        Field::Error => FrontendReq::SET_VRING_ERR,
        Field::Enable => FrontendReq::SET_VRING_ENABLE,
        _ => FrontendReq::SET_VRING_ADDR,
    }
}

/// Something that a front-end says about a ring before it starts it.
#[derive(Clone, Copy)]
enum Setting {
    Size(u32),
    Base(u16),
    Addresses(VhostUserAddresses),
}

impl Session<'_> {
    /// SET_VRING_NUM.
    pub(super) fn set_ring_size(&mut self, message: &Message) -> Result<Result<(), Wrong>, Gone> {
        match judge::ring_number(message, self.rings.len()) {
            Ok((index, size)) => self.set(index, message, Setting::Size(size)),
            Err(wrong) => Ok(Err(wrong)),
        }
    }

    /// SET_VRING_BASE. A base of 0 is the first life of a ring after a reset.
    pub(super) fn set_ring_base(&mut self, message: &Message) -> Result<Result<(), Wrong>, Gone> {
        match judge::ring_number(message, self.rings.len()) {
            Ok((index, base)) => match u16::try_from(base) {
                Ok(base) => self.set(index, message, Setting::Base(base)),
                Err(_) => Ok(Err(Wrong::new(Field::Base, Fault::TooLarge, u16::MAX.into(), base.into()))),
            },
            Err(wrong) => Ok(Err(wrong)),
        }
    }

    /// SET_VRING_ADDR.
    pub(super) fn set_ring_addresses(&mut self, message: &Message) -> Result<Result<(), Wrong>, Gone> {
        match judge::ring_addresses(message, self.rings.len()) {
            Ok((index, addresses)) => {
                if let Err(wrong) = judge::address_flags(&addresses) {
                    self.report(message.code, Some(index), wrong, Outcome::Corrected);
                }
                self.set(index, message, Setting::Addresses(VhostUserAddresses::from(&addresses)))
            }
            Err(wrong) => Ok(Err(wrong)),
        }
    }

    /// Notes a setting. A ring that runs with another one is parked, until it is started again.
    fn set(&mut self, index: usize, message: &Message, setting: Setting) -> Result<Result<(), Wrong>, Gone> {
        let Some(ring) = self.rings.get_mut(index) else { return Ok(Ok(())) };
        let running = ring.is_running();
        let changed = match setting {
            Setting::Size(size) if ring.size != Some(size) => {
                Some((Field::Size, ring.size.replace(size).unwrap_or(0).into(), size.into()))
            }
            Setting::Addresses(new) if ring.addresses != Some(new) => {
                let before = ring.addresses.replace(new).map_or(0, |before| before.descriptors);
                Some((Field::DescriptorTable, before, new.descriptors))
            }
            Setting::Base(base) => {
                ring.awaits_reset &= base != 0;
                // Where a ring that runs has come to is only known to the back-end.
                let before = std::mem::replace(&mut ring.base, base);
                (running || before != base).then_some((Field::Base, before.into(), base.into()))
            }
            Setting::Size(_) | Setting::Addresses(_) => None,
        };
        match changed {
            Some((field, expected, got)) if running => {
                let base = self.rings.get(index).map(|ring| ring.base);
                self.stop(index, State::Parked(None))?;
                if let (Some(ring), Some(base), Setting::Base(_)) = (self.rings.get_mut(index), base, setting) {
                    ring.base = base;
                }
                let wrong = Wrong::new(field, Fault::Running, expected, got);
                if let Some(ring) = self.rings.get_mut(index) {
                    ring.kick = Kick::None;
                    ring.state = State::Parked(Some(wrong));
                }
                self.report(message.code, Some(index), wrong, Outcome::Parked);
            }
            Some(_) => self.try_start(index, FrontendReq::try_from(message.code).ok())?,
            None => {}
        }
        Ok(Ok(()))
    }

    /// SET_VRING_KICK. The framework never listens to the new one of a ring that runs, so such a ring is started again.
    pub(super) fn set_ring_kick(&mut self, message: &mut Message) -> Result<Result<(), Wrong>, Gone> {
        let (index, file) = match judge::ring_file(message, self.rings.len()) {
            Ok(request) => request,
            Err(wrong) => return Ok(Err(wrong)),
        };
        self.stop(index, State::Parked(None))?;
        let kick = match file {
            None => Some(Kick::Polled),
            Some(file) => EventCounter::new(file).map(Kick::Counter),
        };
        let Some(ring) = self.rings.get_mut(index) else { return Ok(Ok(())) };
        let usable = kick.is_some();
        ring.kick = kick.unwrap_or(Kick::None);
        // Whatever was wrong before is judged anew.
        ring.state = State::Parked(None);
        if usable {
            self.try_start(index, Some(FrontendReq::SET_VRING_KICK))?;
        } else {
            self.park(index, Some(FrontendReq::SET_VRING_KICK), Wrong::new(Field::Kick, Fault::Unusable, 0, 0));
        }
        Ok(Ok(()))
    }

    /// SET_VRING_CALL, which may come while the ring runs.
    pub(super) fn set_ring_call(&mut self, message: &mut Message) -> Result<Result<(), Wrong>, Gone> {
        let (index, file) = match judge::ring_file(message, self.rings.len()) {
            Ok(request) => request,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let given = file.is_some();
        let call = file.and_then(EventCounter::new);
        if given && call.is_none() {
            let wrong = Wrong::new(Field::Call, Fault::Unusable, 0, 0);
            self.report(message.code, Some(index), wrong, Outcome::Corrected);
        }
        let Some(ring) = self.rings.get_mut(index) else { return Ok(Ok(())) };
        let before = std::mem::replace(&mut ring.call, call);
        if ring.is_running() {
            self.give_file(index, FrontendReq::SET_VRING_CALL)?;
        }
        // The back-end may have used it until now.
        drop(before);
        Ok(Ok(()))
    }

    /// SET_VRING_ERR.
    pub(super) fn set_ring_error(&mut self, message: &mut Message) -> Result<Result<(), Wrong>, Gone> {
        let (index, file) = match judge::ring_file(message, self.rings.len()) {
            Ok(request) => request,
            Err(wrong) => return Ok(Err(wrong)),
        };
        let given = file.is_some();
        let error = file.and_then(EventCounter::new);
        if given && error.is_none() {
            let wrong = Wrong::new(Field::Error, Fault::Unusable, 0, 0);
            self.report(message.code, Some(index), wrong, Outcome::Corrected);
        }
        let Some(ring) = self.rings.get_mut(index) else { return Ok(Ok(())) };
        ring.error = error;
        if ring.is_running() {
            self.give_file(index, FrontendReq::SET_VRING_ERR)?;
        }
        Ok(Ok(()))
    }

    /// Gives the back-end a descriptor of a ring that runs, or that there is none.
    fn give_file(&mut self, index: usize, code: FrontendReq) -> Result<(), Gone> {
        let Some(ring) = self.rings.get(index) else { return Ok(()) };
        let counter = if code == FrontendReq::SET_VRING_CALL { &ring.call } else { &ring.error };
        let Ok(file) = counter.as_ref().map(|counter| counter.as_fd().try_clone_to_owned()).transpose() else {
            return Ok(());
        };
        self.with_backend(|backend, patience| {
            tell_file(backend, patience, code, index, file.as_ref().map(AsFd::as_fd))
        })?;
        Ok(())
    }

    /// SET_VRING_ENABLE.
    pub(super) fn enable_ring(&mut self, message: &Message) -> Result<Result<(), Wrong>, Gone> {
        let (index, value) = match judge::ring_number(message, self.rings.len()) {
            Ok(request) => request,
            Err(wrong) => return Ok(Err(wrong)),
        };
        if value > 1 {
            return Ok(Err(Wrong::new(Field::Enable, Fault::TooLarge, 1, value.into())));
        }
        self.note_kick(index);
        let Some(ring) = self.rings.get_mut(index) else { return Ok(Ok(())) };
        ring.enabled = value == 1;
        // Its kick was signalled when it was started.
        ring.unread = (ring.enabled && ring.is_running()).then(|| (Instant::now(), ring.used_index(&self.memory)));
        if ring.is_running() {
            if self.current.can_disable() {
                let body = VhostUserVringState::new(index as u32, value);
                let code = FrontendReq::SET_VRING_ENABLE;
                self.with_backend(|backend, patience| backend.tell(patience, code, body.as_slice(), &[]))?;
            } else if value == 0 {
                self.stop(index, State::Parked(None))?;
            }
        } else if ring.enabled {
            self.try_start(index, Some(FrontendReq::SET_VRING_ENABLE))?;
        }
        Ok(Ok(()))
    }

    /// GET_VRING_BASE: stops a ring, and returns where it goes on.
    pub(super) fn end_ring(&mut self, index: usize) -> Result<u16, Gone> {
        self.note_kick(index);
        if self.rings.get(index).is_some_and(Ring::is_running) {
            // The framework's worker may fail at a ring that is stopped while it is enabled.
            let disable = self.current.can_disable() && self.rings.get(index).is_some_and(|ring| ring.enabled);
            let asked = self.with_backend(|backend, patience| backend.stop_ring(patience, index as u32, disable))?;
            if let (Some(base), Some(ring)) = (asked, self.rings.get_mut(index)) {
                ring.base = base;
            }
        }
        let memory = &self.memory;
        let Some(ring) = self.rings.get_mut(index) else { return Ok(0) };
        if ring.awaits_reset {
            ring.base = ring.used_index(memory).unwrap_or(ring.base);
        }
        ring.state = State::Stopped;
        ring.kick = Kick::None;
        ring.unread = None;
        Ok(ring.base)
    }

    /// Stops a ring that runs, and keeps what the front-end has said about it.
    pub(super) fn stop(&mut self, index: usize, state: State) -> Result<(), Gone> {
        self.note_kick(index);
        let Some(ring) = self.rings.get_mut(index).filter(|ring| ring.is_running()) else { return Ok(()) };
        ring.state = state;
        ring.unread = None;
        let can_disable = self.current.can_disable();
        let base = self.with_backend(|backend, patience| backend.stop_ring(patience, index as u32, can_disable))?;
        if let Some(ring) = self.rings.get_mut(index) {
            match base {
                Some(base) => ring.base = base,
                // It was lost meanwhile, like those that still ran.
                None => {
                    ring.awaits_reset = true;
                    if let Some(call) = &ring.call {
                        call.signal();
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes that the back-end empties kicks, if it has emptied that of a ring that is about to stop.
    fn note_kick(&mut self, index: usize) {
        if let Some(Ring { state: State::Running, enabled: true, kick: Kick::Counter(kick), unread: Some(_), .. }) =
            self.rings.get(index)
        {
            self.reads_kicks |= !is_readable(kick.as_fd());
        }
    }

    /// Stops all rings.
    pub(super) fn stop_all(&mut self) -> Result<(), Gone> {
        (0..self.rings.len()).try_for_each(|index| self.stop(index, State::Stopped))
    }

    /// Takes a ring out of use and reports why, unless that was reported before. Without a request nothing is reported.
    pub(super) fn park(&mut self, index: usize, request: Option<FrontendReq>, wrong: Wrong) {
        let Some(ring) = self.rings.get_mut(index) else { return };
        let before = std::mem::replace(&mut ring.state, State::Parked(Some(wrong)));
        if request.is_some() && before != State::Parked(Some(wrong)) {
            self.report(carrier(wrong.field).into(), Some(index), wrong, Outcome::Parked);
        }
    }

    /// Starts a ring that the front-end has started, if it does not run and can work. `request` is what has brought this about.
    pub(super) fn try_start(&mut self, index: usize, request: Option<FrontendReq>) -> Result<(), Gone> {
        let Some(ring) = self.rings.get(index) else { return Ok(()) };
        // A back-end that cannot disable a ring gets it when it is enabled.
        let is_due = ring.enabled || self.current.can_disable();
        if ring.is_running() || matches!(ring.kick, Kick::None) || !is_due {
            return Ok(());
        }
        match self.judge_ring(index) {
            Ok((size, parts)) => self.start(index, request, size, parts),
            Err(wrong) => {
                // What is missing may come until the ring is enabled.
                let may_come = wrong.fault == Fault::Missing && request != Some(FrontendReq::SET_VRING_ENABLE);
                self.park(index, request.filter(|_| !may_come), wrong);
                if may_come && let Some(ring) = self.rings.get_mut(index) {
                    ring.state = State::Parked(None);
                }
                Ok(())
            }
        }
    }

    /// Judges whether a ring can be started.
    fn judge_ring(&self, index: usize) -> Result<(u32, [Part; 3]), Wrong> {
        let missing = Wrong::new(Field::Features, Fault::Missing, 0, 0);
        let ring = self.rings.get(index).ok_or(missing)?;
        let features = self.features.ok_or(missing)?;
        let (size, parts) = ring.layout(index, &self.memory, features, self.ring_size)?;
        check_apart(&parts, &self.rings)?;
        if let Kick::Counter(kick) = &ring.kick {
            for (other, taken) in self.rings.iter().enumerate() {
                if let Kick::Counter(taken) = &taken.kick
                    && other != index
                    && kick.is(taken)
                {
                    return Err(Wrong::new(Field::Kick, Fault::Shared, other as u64, index as u64));
                }
            }
        }
        if ring.ends_backend.is_some_and(|least| size >= least) {
            return Err(Wrong::new(Field::Size, Fault::EndsBackend, 0, size.into()));
        }
        if ring.awaits_reset {
            return Err(Wrong::new(Field::Base, Fault::AwaitsReset, 0, ring.base.into()));
        }
        Ok((size, parts))
    }

    fn start(&mut self, index: usize, request: Option<FrontendReq>, size: u32, parts: [Part; 3]) -> Result<(), Gone> {
        self.give_features()?;
        let patience = self.patience();
        let can_disable = self.current.can_disable();
        let (Some(backend), Some(ring)) = (&mut self.backend, self.rings.get_mut(index)) else { return Ok(()) };
        match start_ring(backend, patience, index as u32, ring, size, can_disable) {
            Ok(()) => {
                ring.parts = parts;
                ring.state = State::Running;
                ring.unread = ring.enabled.then(|| (Instant::now(), ring.used_index(&self.memory)));
                let taken = self.taken.entry(index).or_default();
                *taken = size.max(*taken);
                Ok(())
            }
            Err(Failed::Broken(Broken::Stopped)) => Err(Gone::Stopped),
            Err(Failed::Refused(wrong)) => {
                self.park(index, request.or(Some(carrier(wrong.field))), wrong);
                self.with_backend(|backend, patience| backend.stop_ring(patience, index as u32, can_disable))?;
                // The framework refuses, and ends the connection then.
                if self.backend.is_none() {
                    self.learn(index, size, wrong.field == Field::Size);
                }
                Ok(())
            }
            Err(Failed::Broken(Broken::Lost(loss))) => {
                let at_size = matches!(&loss, Loss::Disconnected { request } if *request == Some(SIZE));
                self.lose(loss);
                self.learn(index, size, at_size);
                Ok(())
            }
        }
    }

    /// Remembers a ring that has ended a back-end, so that the next one does not get it; not one that a back-end has taken before: then
    /// something else has ended this one, most likely a signal.
    fn learn(&mut self, index: usize, size: u32, at_size: bool) {
        if self.taken.get(&index).is_some_and(|taken| *taken >= size) {
            return;
        }
        if at_size {
            self.ring_size = size.div_euclid(2);
        } else if let Some(ring) = self.rings.get_mut(index) {
            ring.ends_backend = Some(size);
        }
        let wrong = Wrong::new(Field::Size, Fault::EndsBackend, 0, size.into());
        self.park(index, Some(FrontendReq::SET_VRING_NUM), wrong);
    }
}

/// Sends a whole ring.
fn start_ring(
    backend: &mut Backend,
    patience: Patience<'_>,
    index: u32,
    ring: &mut Ring,
    size: u32,
    can_disable: bool,
) -> Result<(), Failed> {
    let refused = |field, answer: u64| match answer {
        0 => Ok(()),
        got => Err(Failed::Refused(Wrong::new(field, Fault::Refused, 0, got))),
    };
    if !ring.settled {
        // An earlier connection may have left it running.
        backend.stop_ring(patience, index, can_disable)?;
        ring.settled = true;
    }
    let state = |value| VhostUserVringState::new(index, value);
    let answer = backend.tell(patience, FrontendReq::SET_VRING_NUM, state(size).as_slice(), &[])?;
    refused(Field::Size, answer)?;
    let answer = backend.tell(patience, FrontendReq::SET_VRING_BASE, state(ring.base.into()).as_slice(), &[])?;
    refused(Field::Base, answer)?;
    if let Some(VhostUserAddresses { descriptors, available, used }) = ring.addresses {
        let flags = VhostUserVringAddrFlags::empty();
        let addresses = VhostUserVringAddr::new(index, flags, descriptors, used, available, 0);
        let answer = backend.tell(patience, FrontendReq::SET_VRING_ADDR, addresses.as_slice(), &[])?;
        refused(Field::DescriptorTable, answer)?;
    }
    let index = index as usize;
    let call = ring.call.as_ref().map(AsFd::as_fd);
    refused(Field::Call, tell_file(backend, patience, FrontendReq::SET_VRING_CALL, index, call)?)?;
    if let Some(error) = &ring.error {
        refused(Field::Error, tell_file(backend, patience, FrontendReq::SET_VRING_ERR, index, Some(error.as_fd()))?)?;
    }
    let kick = match &ring.kick {
        Kick::Counter(kick) => Some(kick.as_fd()),
        Kick::None | Kick::Polled => None,
    };
    refused(Field::Kick, tell_file(backend, patience, FrontendReq::SET_VRING_KICK, index, kick)?)?;
    // The back-end has to look for what was made available before; QEMU's kicks come signalled too.
    if let Kick::Counter(kick) = &ring.kick {
        kick.signal();
    }
    if can_disable && ring.enabled {
        let answer = backend.tell(patience, FrontendReq::SET_VRING_ENABLE, state(1).as_slice(), &[])?;
        refused(Field::Enable, answer)?;
    }
    Ok(())
}

fn tell_file(
    backend: &mut Backend,
    patience: Patience<'_>,
    code: FrontendReq,
    index: usize,
    file: Option<BorrowedFd<'_>>,
) -> Result<u64, Broken> {
    let value = index as u64 | if file.is_some() { 0 } else { NO_FILE };
    backend.tell(patience, code, &value.to_ne_bytes(), file.as_slice())
}
