//! Makes numbers less, while what has them fails: frames of faults and of steps of time, times of events, lengths of messages.

use std::rc::Rc;

use card_control::Command;
use card_control::fault::Trigger;
use card_trace::Act;

use super::candidate::{EventPart, Part, PartKind};
use super::passes::Numbers;
use super::reducer::Reducer;
use crate::trace::replay::ReplayError;

/// A part of a number that is not worth a replay.
const NEAR: i64 = 64;

impl Reducer<'_> {
    /// Makes frames less: at which faults strike, and to which the card renders.
    pub(super) fn numbers(&mut self, parts: &mut Vec<Part>, which: Numbers) -> Result<(), ReplayError> {
        for at in 0..parts.len() {
            let Some(part) = parts.get(at) else { break };
            let Some((now, set)) = number(part, which) else { continue };
            let (mut low, mut high) = (-1, now);
            // The least first: it often is enough.
            let mut next = 0;
            while high.saturating_sub(low) > (now / NEAR).max(1) && high > 0 {
                let mut candidate = parts.clone();
                if let Some(changed) = candidate.get_mut(at) {
                    set(changed, next);
                }
                if self.fails(&candidate)? {
                    *parts = candidate;
                    high = next;
                } else {
                    low = next;
                }
                next = low.saturating_add(high.saturating_sub(low) / 2);
            }
        }
        Ok(())
    }

    /// Cuts messages that are longer than they need be, and moves events to the time of the first.
    pub(super) fn bytes(&mut self, parts: &mut Vec<Part>) -> Result<(), ReplayError> {
        let time = |part: &Part| if let PartKind::Event(event) = &part.kind { Some(event.time) } else { None };
        let earliest = parts.iter().filter_map(time).min().unwrap_or(0);
        for at in 0..parts.len() {
            self.change_event(parts, at, |event| event.time = earliest)?;
            // The ends of a system-exclusive message stay.
            while self.change_event(parts, at, |event| {
                if event.data.len() > 3 {
                    let tail = event.data.pop();
                    event.data.truncate((event.data.len() / 2).max(1));
                    event.data.extend(tail);
                }
            })? {}
        }
        Ok(())
    }

    /// Changes an event, if what comes of it is another one and fails. Returns whether it has.
    fn change_event(
        &mut self,
        parts: &mut Vec<Part>,
        at: usize,
        change: impl Fn(&mut EventPart),
    ) -> Result<bool, ReplayError> {
        let mut candidate = parts.clone();
        let Some(Part { kind: PartKind::Event(event), .. }) = candidate.get_mut(at) else { return Ok(false) };
        let before = event.clone();
        change(event);
        if *event == before || !self.fails(&candidate)? {
            return Ok(false);
        }
        *parts = candidate;
        Ok(true)
    }
}

/// Sets a number of a part.
type SetNumber = fn(&mut Part, i64);

/// Returns the number of a part that can be less, and what sets it.
fn number(part: &Part, which: Numbers) -> Option<(i64, SetNumber)> {
    match part.record.act() {
        Act::Rendered { frame, .. } if which == Numbers::All => Some((frame, set_frame)),
        Act::Command { text } => match Command::from_line(text.as_bytes()).ok()? {
            Command::InjectFault { at: Some(Trigger::Frame(frame)), .. } => Some((frame, set_trigger)),
            Command::InjectFault { at: Some(Trigger::Event(event)), .. } => {
                Some((i64::try_from(event).ok()?, set_trigger))
            }
            _ => None,
        },
        _ => None,
    }
}

fn set_frame(part: &mut Part, frame: i64) {
    if let Some(record) = part.record.with_frame(frame) {
        part.record = Rc::new(record);
    }
}

fn set_trigger(part: &mut Part, frame: i64) {
    let Act::Command { text } = part.record.act() else { return };
    let Ok(Command::InjectFault { fault, at }) = Command::from_line(text.as_bytes()) else { return };
    let at = match at {
        // Events count from 1.
        Some(Trigger::Event(_)) => Trigger::Event(frame.max(1).unsigned_abs()),
        _ => Trigger::Frame(frame),
    };
    let command = Command::InjectFault { fault, at: Some(at) };
    if let Some(record) = part.record.with_payload(command.to_line().trim_end().as_bytes().to_vec()) {
        part.record = Rc::new(record);
    }
}
