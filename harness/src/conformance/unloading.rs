//! Unloads instruments that sound: a driver may keep such a request until the last voice has ended, and must complete
//! it when anything else ends first.

use std::time::Duration;

use guest_protocol::{Caller, DevicePower, Handle, KsState, Request};

use super::download::{self, Synthesizer, download_these};
use super::error::{ConformanceError, ProbeError};
use super::phrase::{Phrase, takes_downloads};
use super::probe::ProbeContext;
use crate::testbed::TestBedError;
use crate::testbed::session::StartedDevice;

/// Frames that are played before the unload: the instrument's first note sounds by then, and for most of a second more.
const BEFORE_FRAMES: u64 = 4800;

/// Frames after which it still sounds, and after which it does not.
const STILL_FRAMES: u64 = BEFORE_FRAMES;
const ENOUGH_FRAMES: u64 = 96_000;

/// The longest time for the notice of a voice's end to reach a client, and the number of requests that must find the
/// unload pending before that is over: on a host so busy that requests take long, the notice takes longer.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOKS: u32 = 1000;

/// The interval at which the probe polls the guest for the status of the request.
const POLL: Duration = Duration::from_millis(2);

/// The event that ends a pending unload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The sound ends.
    Sound,
    /// The wave stream is stopped, and every voice with it.
    Stop,
    /// The client goes away: the system cancels its requests.
    Cancellation,
    /// The device loses its power.
    Power,
    /// The pin is closed.
    Close,
    /// The device is removed. The last one: there is no device afterwards.
    Removal,
}

/// All ends, each from one kind of caller.
const ENDS: [(End, Caller); 6] = [
    (End::Sound, Caller::User32),
    (End::Stop, Caller::User64),
    (End::Cancellation, Caller::User64),
    (End::Power, Caller::User64),
    (End::Close, Caller::User64),
    (End::Removal, Caller::User64),
];

/// Probes each end.
pub(super) fn run(probe: &mut ProbeContext<'_, '_>, device: &StartedDevice) -> Result<(), ProbeError> {
    let mut kept = 0;
    for (end, caller) in ENDS {
        match check_end(probe, device, caller, end)? {
            Some(requests) => kept += requests,
            None => {
                probe
                    .findings
                    .inapplicable(76, "the driver answers each UNLOAD at once, and never with STATUS_PENDING");
                return Ok(());
            }
        }
    }
    probe.findings.figures.push(("unloads that waited for their sound".into(), kept));
    Ok(())
}

/// Has an instrument sound, unloads it and its wave, and expects both requests to end. Returns how many stayed pending;
/// `None` if the driver kept none pending, or makes no sound.
fn check_end(
    probe: &mut ProbeContext<'_, '_>,
    device: &StartedDevice,
    caller: Caller,
    end: End,
) -> Result<Option<u64>, ProbeError> {
    let phrase = match Phrase::prepare(probe, device) {
        Err(ProbeError::Failed(ConformanceError::TestBed(TestBedError::NoPins { .. }))) => return Ok(None),
        phrase => phrase?,
    };
    let (opened, _, _) = probe.open_music_filter(device)?;
    let Some(synthesizer) = takes_downloads(probe, &opened, phrase.pins.render)? else { return Ok(None) };
    let handles = download_these(probe, &synthesizer, caller, &download::one_shot())?;
    let sound = phrase.play_on(probe, BEFORE_FRAMES)?;
    if sound.iter().all(|byte| *byte == 0) {
        return Err(ProbeError::Violated { rule: 74, what: "an instrument that was downloaded is silent".into() });
    }
    let mut kept = Vec::new();
    for handle in handles.into_iter().rev() {
        match synthesizer.begin_unload(probe, caller, handle)? {
            Ok(0) => {}
            Ok(status) => return Err(broken(74, end, format!("UNLOAD of what sounds fails with {status:#010x}"))),
            Err(request) => kept.push(request),
        }
        refuse_again(probe, &synthesizer, caller, handle)?;
    }
    if !kept.is_empty() {
        advance(probe, STILL_FRAMES)?;
        for request in &kept {
            if take(probe, *request)?.is_some() {
                return Err(broken(74, end, "UNLOAD was pending, and is answered while it still sounds".into()));
            }
        }
    }
    happen(probe, &phrase, end, &kept)?;
    let at_once = expect_ends(probe, end, &kept)?;
    if matches!(end, End::Cancellation | End::Power) {
        probe.findings.figures.push((format!("unloads that ended when {}", end.text()), at_once));
    }
    tidy(probe, &phrase, end, opened.handle)?;
    Ok((!kept.is_empty()).then_some(kept.len() as u64))
}

/// Expects every request to end. Returns how many have ended already. The close of a pin is the last moment; requests
/// that a driver does not complete on cancellation, or loss of power, it completes with the end of the sound.
fn expect_ends(probe: &mut ProbeContext<'_, '_>, end: End, kept: &[Handle]) -> Result<u64, ProbeError> {
    let rule = if matches!(end, End::Close | End::Removal) { 76 } else { 74 };
    let (mut at_once, mut left) = (0, Vec::new());
    for request in kept {
        match take(probe, *request)? {
            Some(status) => {
                ended(probe, rule, end, status)?;
                at_once += 1;
            }
            None => left.push(*request),
        }
    }
    if end == End::Power {
        probe.done("give the device its power back", Request::SetPower(DevicePower::D0))?;
    }
    if end == End::Cancellation && !left.is_empty() {
        advance(probe, ENOUGH_FRAMES)?;
    }
    for request in left {
        let patience = if rule == 76 { Duration::ZERO } else { PATIENCE };
        let Some(status) = wait_for(probe, request, patience)? else {
            return Err(broken(rule, end, "UNLOAD is still pending".into()));
        };
        ended(probe, rule, end, status)?;
    }
    Ok(at_once)
}

/// Judges the status of a request that has ended.
fn ended(probe: &mut ProbeContext<'_, '_>, rule: u16, end: End, status: u32) -> Result<(), ProbeError> {
    if matches!(end, End::Sound | End::Stop) && status != 0 {
        return Err(broken(rule, end, format!("UNLOAD ends with {status:#010x}")));
    }
    probe.findings.held(rule);
    Ok(())
}

/// Expects a handle that was unloaded to be refused, whether the unload is pending or not.
fn refuse_again(
    probe: &mut ProbeContext<'_, '_>,
    synthesizer: &Synthesizer,
    caller: Caller,
    handle: u64,
) -> Result<(), ProbeError> {
    match synthesizer.begin_unload(probe, caller, handle)? {
        Ok(status) if status != 0 => Ok(()),
        _ => Err(ProbeError::Violated { rule: 74, what: "UNLOAD is taken a second time for one handle".into() }),
    }
}

/// Brings an end about.
fn happen(probe: &mut ProbeContext<'_, '_>, phrase: &Phrase, end: End, kept: &[Handle]) -> Result<(), ProbeError> {
    match end {
        End::Sound => advance(probe, ENOUGH_FRAMES),
        End::Stop => set_state(probe, phrase.pins.wave, KsState::Stop),
        End::Cancellation => {
            kept.iter().try_for_each(|request| probe.done("cancel a request", Request::CancelProperty(*request)))
        }
        End::Power => probe.done("take the device's power away", Request::SetPower(DevicePower::D3)),
        End::Close => probe.close(phrase.pins.render),
        End::Removal => {
            probe.done("pull the card out", Request::SurpriseRemoval)?;
            probe.close(phrase.pins.render)
        }
    }
}

/// Closes what is open.
fn tidy(probe: &mut ProbeContext<'_, '_>, phrase: &Phrase, end: End, filter: Handle) -> Result<(), ProbeError> {
    if !matches!(end, End::Close | End::Removal) {
        set_state(probe, phrase.pins.render, KsState::Stop)?;
        probe.close(phrase.pins.render)?;
    }
    probe.close(phrase.pins.wave)?;
    probe.close(filter)?;
    probe.close(phrase.pins.filter)
}

fn set_state(probe: &mut ProbeContext<'_, '_>, pin: Handle, state: KsState) -> Result<(), ProbeError> {
    probe.done("set a pin's state", Request::SetState { pin, state })
}

/// Has the card render frames that no wave request asks for.
fn advance(probe: &mut ProbeContext<'_, '_>, frames: u64) -> Result<(), ProbeError> {
    probe.bed.card_control()?.advance(frames).map_err(TestBedError::Control)?;
    Ok(())
}

/// Returns the status of a pending request, if it has one.
fn take(probe: &mut ProbeContext<'_, '_>, request: Handle) -> Result<Option<u32>, ProbeError> {
    let taken = probe.bed.session.kept_property("look at a request", Request::TakeProperty(request))?;
    Ok(taken.ok().map(|(status, _)| status))
}

fn wait_for(probe: &mut ProbeContext<'_, '_>, request: Handle, patience: Duration) -> Result<Option<u32>, ProbeError> {
    let limit = probe.patience(patience);
    let mut looks = if patience.is_zero() { 0 } else { LOOKS };
    loop {
        let status = take(probe, request)?;
        if status.is_some() || (looks == 0 && limit.has_ended(probe)) {
            return Ok(status);
        }
        looks = looks.saturating_sub(1);
        std::thread::sleep(POLL);
    }
}

fn broken(rule: u16, end: End, what: String) -> ProbeError {
    let what = format!("{what}, when {}: complete it with PcCompletePendingPropertyRequest, once", end.text());
    ProbeError::Violated { rule, what }
}

impl End {
    /// Describes it.
    const fn text(self) -> &'static str {
        match self {
            Self::Sound => "the sound ends",
            Self::Stop => "the wave stream is stopped",
            Self::Cancellation => "the client is cancelled",
            Self::Power => "the device loses its power",
            Self::Close => "the pin is closed",
            Self::Removal => "the device is pulled out and the pin closed",
        }
    }
}
