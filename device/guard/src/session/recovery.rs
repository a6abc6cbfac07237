//! Reaches a back-end, watches it, and goes on without it.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use log::Level;
use vhost::vhost_user::message::FrontendReq;

use super::{CHANNELS, RECONNECT_MIN, Ready, Session};
use crate::backend::{Broken, Candidate};
use crate::log_limit::log_limited;
use crate::loss::{BackendChange, Loss};
use crate::offer::{PROTOCOL_FEATURES, is_in_order};
use crate::ring::{Kick, Ring, State};
use crate::wire::{Gone, is_readable};

/// The longest interval between two looks at the kicks.
const LOOK_MAX: Duration = Duration::from_millis(500);

/// Looks in a row that have to find a kick unread before a back-end counts as lost, and the pause between them: a driver that
/// kicks in a loop makes some find one.
const CONFIRMING_LOOKS: u32 = 50;
const CONFIRMING_PAUSE: Duration = Duration::from_millis(1);

impl Session<'_> {
    /// Does what is due about the back-end.
    pub(super) fn tend(&mut self, ready: Ready) -> Result<(), Gone> {
        if self.backend.is_some() {
            self.watch(ready)
        } else if let Some(candidate) = self.candidate.take() {
            if ready.backend {
                self.take_up(candidate)
            } else if Instant::now() >= candidate.deadline {
                log_limited!(Level::Warn, "a back-end has accepted the connection and does not answer; trying again");
                self.retry_later();
                Ok(())
            } else {
                self.candidate = Some(candidate);
                Ok(())
            }
        } else if ready.newcomer || self.settings.connector.announces().is_none() && Instant::now() >= self.retry_at {
            self.reach()
        } else {
            Ok(())
        }
    }

    fn watch(&mut self, ready: Ready) -> Result<(), Gone> {
        let now = Instant::now();
        let heartbeat = self.settings.limits.heartbeat;
        self.with_backend(|backend, patience| {
            if ready.backend {
                return backend.hear(patience);
            }
            match backend.beat_deadline() {
                Some(deadline) if now >= deadline => {
                    Err(Broken::Lost(Loss::Silent { request: FrontendReq::GET_FEATURES.into() }))
                }
                None if now.saturating_duration_since(backend.heard) >= heartbeat => backend.beat(patience),
                _ => Ok(()),
            }
        })?;
        if now >= self.look_at {
            self.look_at_kicks(now);
            let interval = self.settings.limits.kick.div_f64(20.0).min(LOOK_MAX);
            self.look_at = now.checked_add(interval).unwrap_or(now);
        }
        Ok(())
    }

    /// Finds rings whose kicks are not read any more.
    fn look_at_kicks(&mut self, now: Instant) {
        let limit = self.settings.limits.kick;
        let memory = &self.memory;
        let mut suspect = None;
        for (index, ring) in self.rings.iter_mut().enumerate() {
            let Kick::Counter(kick) = &ring.kick else { continue };
            if ring.state != State::Running || !ring.enabled {
                ring.unread = None;
                continue;
            }
            if !is_readable(kick.as_fd()) {
                self.reads_kicks |= ring.unread.is_some();
                ring.unread = None;
                continue;
            }
            let used = ring.used_index(memory);
            match ring.unread {
                Some((since, before)) if before == used => {
                    if now.saturating_duration_since(since) >= limit && suspect.is_none() {
                        suspect = Some(index);
                    }
                }
                _ => ring.unread = Some((now, used)),
            }
        }
        if !self.reads_kicks {
            return;
        }
        let Some(ring) = suspect.and_then(|index| self.rings.get_mut(index)) else { return };
        if is_ignored(ring) && ring.used_index(memory) == ring.unread.and_then(|unread| unread.1) {
            self.lose(Loss::IgnoresKicks { ring: suspect.unwrap_or(0) as u32 });
        } else {
            ring.unread = None;
        }
    }

    /// Tries to reach a back-end.
    fn reach(&mut self) -> Result<(), Gone> {
        let connected = self.settings.connector.connect().unwrap_or_else(|error| {
            log_limited!(Level::Warn, "no back-end can be reached: {error}");
            None
        });
        let greeted = connected.map(|socket| Candidate::greet(socket, self.patience()));
        match greeted {
            Some(Ok(candidate)) => self.candidate = Some(candidate),
            Some(Err(Broken::Stopped)) => return Err(Gone::Stopped),
            Some(Err(Broken::Lost(_))) | None => {
                if self.offer.is_none() && self.retry_pause == RECONNECT_MIN {
                    log::warn!("no back-end listens yet at {:?}; the front-end waits for one", self.settings.connector);
                }
                self.retry_later();
            }
        }
        Ok(())
    }

    fn retry_later(&mut self) {
        let now = Instant::now();
        self.retry_at = now.checked_add(self.retry_pause).unwrap_or(now);
        self.retry_pause = self.retry_pause.saturating_mul(2).min(self.settings.limits.reconnect);
    }

    /// Makes a candidate the back-end, and tells it what the front-end has said so far.
    fn take_up(&mut self, candidate: Candidate) -> Result<(), Gone> {
        let (backend, offer) = match candidate.take_up(self.patience(), self.protocol) {
            Ok(taken) => taken,
            Err(Broken::Stopped) => return Err(Gone::Stopped),
            Err(Broken::Lost(loss)) => {
                log_limited!(Level::Warn, "a new back-end is not used: {loss}");
                self.retry_later();
                return Ok(());
            }
        };
        match &self.offer {
            None => {
                self.offer = Some(offer);
                self.rings.resize_with(usize::try_from(offer.rings).unwrap_or(0), Ring::default);
            }
            Some(first) => {
                if let Err(unfit) = first.check(&offer) {
                    log_limited!(Level::Error, "{unfit}");
                    self.settings.report_backend(&BackendChange::Unfit(unfit));
                    self.retry_pause = self.settings.limits.reconnect;
                    self.retry_later();
                    return Ok(());
                }
            }
        }
        self.current = offer;
        self.backend = Some(backend);
        for ring in &mut self.rings {
            ring.settled = false;
        }
        self.replay()?;
        if self.backend.is_some() {
            self.retry_pause = RECONNECT_MIN;
            log::info!("a back-end is there: features {:#x}, {} rings", offer.features, offer.rings);
            self.settings.report_backend(&BackendChange::Reached);
        }
        Ok(())
    }

    fn replay(&mut self) -> Result<(), Gone> {
        self.give_features()?;
        for (index, code) in CHANNELS.into_iter().enumerate() {
            self.give_channel(index, code)?;
        }
        self.give_memory()?;
        for index in 0..self.rings.len() {
            self.try_start(index, None)?;
        }
        Ok(())
    }

    /// Gives the back-end the features that the driver has chosen, if it does not have them. The bit by which rings can be
    /// disabled is always among them.
    pub(super) fn give_features(&mut self) -> Result<Option<u64>, Gone> {
        let Some(chosen) = self.features else { return Ok(None) };
        let features = (chosen | PROTOCOL_FEATURES) & self.current.features;
        if self.backend.as_ref().is_some_and(|backend| backend.features == Some(features)) {
            return Ok(Some(0));
        }
        self.with_backend(|backend, patience| {
            let refused = backend.tell(patience, FrontendReq::SET_FEATURES, &features.to_ne_bytes(), &[])?;
            backend.features = Some(features);
            Ok(refused)
        })
    }

    /// Gives the back-end one of the sockets for its own requests.
    pub(super) fn give_channel(&mut self, index: usize, code: FrontendReq) -> Result<Option<u64>, Gone> {
        if self.fatal.contains(&code.into()) {
            return Ok(None);
        }
        let Some(channel) = self.channels.get(index).and_then(Option::as_ref) else { return Ok(None) };
        let Ok(channel) = channel.try_clone() else { return Ok(None) };
        self.tell_at(code, &[], &[channel.as_fd()])
    }

    /// Goes on without the back-end: parks the rings and interrupts their drivers once.
    pub(super) fn lose(&mut self, loss: Loss) {
        let Some(backend) = self.backend.take() else { return };
        let in_order = self.settings.in_order || self.features.is_some_and(is_in_order);
        for ring in self.rings.iter_mut().filter(|ring| ring.is_running()) {
            ring.state = State::Parked(None);
            ring.unread = None;
            match ring.used_index(&self.memory) {
                Some(used) if in_order => ring.base = used,
                _ => ring.awaits_reset = true,
            }
            if let Some(call) = &ring.call {
                call.signal();
            }
        }
        log_limited!(Level::Error, "{loss}; its rings are parked until a new one is there and the driver resets");
        // One that lives shortly is not tried in a loop.
        let lived = backend.heard.elapsed() < self.settings.limits.heartbeat;
        drop(backend);
        if !lived {
            self.retry_pause = RECONNECT_MIN;
        }
        self.retry_later();
        self.settings.report_backend(&BackendChange::Lost(loss));
    }

    /// Returns whether a read of the configuration is to show a loss.
    pub(super) fn shows_loss(&self) -> bool {
        self.backend.is_none() || self.rings.iter().any(|ring| ring.awaits_reset)
    }
}

/// Returns whether a kick stays unread for a while.
fn is_ignored(ring: &Ring) -> bool {
    let Kick::Counter(kick) = &ring.kick else { return false };
    (0..CONFIRMING_LOOKS).all(|_| {
        std::thread::sleep(CONFIRMING_PAUSE);
        is_readable(kick.as_fd())
    })
}
