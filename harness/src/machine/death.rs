//! The first death among the processes of a machine: which process ended, how, and what followed.

use std::fmt::Write as _;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use signal_hook::consts::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};

use super::card_exit::{CARD_LEFT, CARD_LOST_CONNECTION};
use crate::host::ended::Ended;
use crate::host::limits;

/// The end of a QEMU that uses a card that has gone: it aborts.
const QEMU_LOST_CARD: Ended = Ended::Signal(SIGABRT);

/// The exit status of a QEMU whose card goes while it starts.
const QEMU_CANNOT_START: Ended = Ended::Exit(1);

/// The remedy for a process that was ended from outside.
pub(crate) const NOT_OURS: &str = "something outside the machine ended it: find what sends signals; `dmesg` says \
                                   whether it was the kernel, for want of memory";

/// Lines of each log that a message shows.
const LINES: usize = 4;

/// A process of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The card's process.
    Card,
    /// QEMU's process.
    Qemu,
}

impl Part {
    /// Returns its name, for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Card => "the card",
            Self::Qemu => "QEMU",
        }
    }
}

/// The first death among the processes of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// The process.
    pub part: Part,
    /// The name of the device that is in the card's place, if one is.
    pub device: Option<String>,
    /// Its exit status or signal.
    pub ended: Ended,
    /// The signal and its sender, where a signal had the process leave by itself.
    pub stopped_by: Option<String>,
    /// A debugger ended it.
    pub by_debugger: bool,
    /// The end of the other process after it, and the time between; `None` while it lives.
    pub followed: Option<(Ended, Duration)>,
    /// The last lines of the card's log, and of QEMU's.
    pub last_words: (String, String),
}

impl Death {
    /// Creates a death of which nothing else is known.
    #[must_use]
    pub const fn of(part: Part, ended: Ended) -> Self {
        Self {
            part,
            device: None,
            ended,
            stopped_by: None,
            by_debugger: false,
            followed: None,
            last_words: (String::new(), String::new()),
        }
    }

    /// Tells whether something outside the machine ended the process.
    #[must_use]
    pub fn from_outside(&self) -> bool {
        self.stopped_by.is_some() || matches!(self.ended, Ended::Signal(signal) if !is_own_fault(signal))
    }

    /// Returns the name of the process, for people.
    #[must_use]
    pub fn who(&self) -> &str {
        match (self.part, &self.device) {
            (Part::Card, Some(device)) => device,
            (part, _) => part.text(),
        }
    }

    /// Returns how it ended and what followed, without the logs.
    pub(super) fn first_line(&self) -> String {
        let other = match self.part {
            Part::Card => Part::Qemu.text(),
            Part::Qemu if self.device.is_some() => "the device",
            Part::Qemu => Part::Card.text(),
        };
        match self.followed {
            None => format!("{}; {other} was alive", self.how()),
            Some((ended, after)) => {
                format!("{}; {other} followed {} ms later with {ended}", self.how(), after.as_millis())
            }
        }
    }

    /// Returns how it ended, and whether by itself.
    pub(super) fn how(&self) -> String {
        match (&self.stopped_by, self.ended) {
            (Some(signal), ended) => format!("{signal}, from outside; it left with {ended}"),
            (None, ended) if limits::of_end(ended).is_some() => format!("{ended}, by which a limit is enforced"),
            (None, Ended::Signal(SIGABRT)) if self.said_why() => format!("{}, its own", self.ended),
            (None, Ended::Signal(signal)) if is_own_fault(signal) => {
                format!("{}, a fault of its own unless something sent the signal", self.ended)
            }
            (None, ended @ Ended::Signal(_)) => format!("{ended} from outside"),
            (None, ended @ Ended::Exit(_)) => format!("{ended}, by itself"),
        }
    }

    /// Tells whether the log of a program that aborted says why.
    fn said_why(&self) -> bool {
        let words = match self.part {
            Part::Card => &self.last_words.0,
            Part::Qemu => &self.last_words.1,
        };
        ["Assertion", "panicked at", "Unexpected error", "abort", "ERROR:"].iter().any(|sign| words.contains(sign))
    }
}

/// Tells whether a process ended by a fault of its own.
pub(super) const fn is_crash(ended: Ended) -> bool {
    matches!(ended, Ended::Signal(signal) if is_own_fault(signal))
}

/// Tells whether a processor or a program's own check raises a signal.
const fn is_own_fault(signal: i32) -> bool {
    matches!(signal, SIGSEGV | SIGBUS | SIGILL | SIGFPE | SIGABRT | SIGSYS | SIGTRAP)
}

impl std::fmt::Display for Death {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = self.first_line();
        let (card, qemu) = &self.last_words;
        let of_card = if self.device.is_some() { "the device's" } else { "the card's" };
        for (name, words) in [(of_card, card), ("QEMU's", qemu)] {
            if !words.is_empty() {
                _ = write!(text, "\n{name} log ends with:\n{}", last_lines(words));
            }
        }
        f.write_str(&text)
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<String> =
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| format!("  {line}")).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Tells whether QEMU may have ended because its card had: after it has started a guest, or before.
pub(super) fn may_follow_card(qemu: Ended, started: bool) -> bool {
    qemu == QEMU_LOST_CARD || (!started && qemu == QEMU_CANNOT_START)
}

/// The exit statuses of two processes that have both ended, and their order, as far as they are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// The exit status or signal of QEMU.
    pub(super) qemu: Ended,
    /// The exit status or signal of the card.
    pub(super) card: Ended,
    /// The process that was seen to end while the other still lived.
    pub(super) first: Option<Part>,
    /// Whether the card logged that QEMU had disconnected before it ended itself; `None` where its log has another
    /// level.
    pub(super) card_saw_qemu_leave: Option<bool>,
    /// Whether QEMU logged that it had lost the card.
    pub(super) qemu_missed_card: bool,
    /// Whether QEMU had started a guest.
    pub(super) started: bool,
}

impl Ends {
    /// Returns which process ended first. Neither survives the other for long, and a process that was killed may become
    /// waitable only after the other has noticed and ended too: so their logs count before the order in which their
    /// ends were seen.
    pub(super) fn first_death(&self) -> Part {
        let card_may_follow = matches!(self.card, CARD_LEFT | CARD_LOST_CONNECTION);
        let qemu_may_follow = may_follow_card(self.qemu, self.started);
        match (card_may_follow, qemu_may_follow) {
            (true, false) if self.card_saw_qemu_leave == Some(false) && self.first != Some(Part::Qemu) => Part::Card,
            (true, false) => Part::Qemu,
            (false, true) if self.first == Some(Part::Qemu) && !self.qemu_missed_card => Part::Qemu,
            (false, true) => Part::Card,
            (true, true) => match self.card_saw_qemu_leave {
                Some(true) => Part::Qemu,
                Some(false) => Part::Card,
                None if self.qemu_missed_card => Part::Card,
                None => self.first.unwrap_or(Part::Card),
            },
            (false, false) => self.first.unwrap_or(Part::Card),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILLED: Ended = Ended::Signal(9);
    const ASKED: Ended = Ended::Exit(0);

    fn ends(qemu: Ended, card: Ended) -> Ends {
        Ends { qemu, card, first: None, card_saw_qemu_leave: None, qemu_missed_card: false, started: true }
    }

    #[test]
    fn blames_a_killed_card_for_the_abort_of_qemu_whichever_was_seen_first() {
        for first in [None, Some(Part::Card), Some(Part::Qemu)] {
            let found = Ends { first, qemu_missed_card: true, ..ends(QEMU_LOST_CARD, KILLED) };
            assert_eq!(found.first_death(), Part::Card, "{first:?}");
        }
        assert_eq!(ends(QEMU_LOST_CARD, KILLED).first_death(), Part::Card);
    }

    #[test]
    fn blames_a_card_that_a_signal_stopped_for_the_abort_of_qemu() {
        let found = ends(QEMU_LOST_CARD, CARD_LEFT);
        assert_eq!(Ends { card_saw_qemu_leave: Some(false), ..found }.first_death(), Part::Card);
        assert_eq!(Ends { qemu_missed_card: true, ..found }.first_death(), Part::Card);
        assert_eq!(Ends { first: Some(Part::Card), ..found }.first_death(), Part::Card);
    }

    #[test]
    fn blames_a_card_that_closed_the_connection() {
        assert_eq!(ends(QEMU_LOST_CARD, CARD_LOST_CONNECTION).first_death(), Part::Card);
    }

    #[test]
    fn blames_a_qemu_that_aborts_by_itself_although_the_card_follows() {
        let found = ends(QEMU_LOST_CARD, CARD_LEFT);
        assert_eq!(Ends { card_saw_qemu_leave: Some(true), ..found }.first_death(), Part::Qemu);
        assert_eq!(Ends { first: Some(Part::Qemu), ..found }.first_death(), Part::Qemu);
        // A card that does not survive QEMU's end either.
        let crashed = Ends { first: Some(Part::Qemu), ..ends(QEMU_LOST_CARD, Ended::Signal(11)) };
        assert_eq!(crashed.first_death(), Part::Qemu);
    }

    #[test]
    fn does_not_blame_a_card_that_only_followed_qemu() {
        for qemu in [KILLED, ASKED, Ended::Exit(35), Ended::Signal(15)] {
            for card in [CARD_LEFT, CARD_LOST_CONNECTION] {
                for (first, card_saw_qemu_leave) in
                    [(None, None), (Some(Part::Qemu), None), (Some(Part::Card), Some(true)), (Some(Part::Card), None)]
                {
                    let found = Ends { first, card_saw_qemu_leave, ..ends(qemu, card) };
                    assert_eq!(found.first_death(), Part::Qemu, "{found:?}");
                }
            }
        }
    }

    #[test]
    fn blames_a_card_that_a_signal_stopped_before_qemu_was_killed() {
        let found = Ends { first: Some(Part::Card), card_saw_qemu_leave: Some(false), ..ends(KILLED, CARD_LEFT) };
        assert_eq!(found.first_death(), Part::Card);
    }

    #[test]
    fn does_not_blame_a_qemu_that_cannot_start_without_its_card() {
        let found = Ends { started: false, ..ends(QEMU_CANNOT_START, KILLED) };
        assert_eq!(found.first_death(), Part::Card);
        let asked = Ends { card_saw_qemu_leave: Some(false), ..Ends { card: CARD_LEFT, ..found } };
        assert_eq!(asked.first_death(), Part::Card);
        let own = Ends { card_saw_qemu_leave: Some(true), ..Ends { card: CARD_LEFT, ..found } };
        assert_eq!(own.first_death(), Part::Qemu);
    }

    #[test]
    fn blames_the_first_of_two_that_were_killed() {
        for first in [Part::Card, Part::Qemu] {
            assert_eq!(Ends { first: Some(first), ..ends(KILLED, Ended::Signal(11)) }.first_death(), first);
        }
    }

    #[test]
    fn names_the_signal_its_origin_and_what_followed() {
        let death = Death {
            followed: Some((QEMU_LOST_CARD, Duration::from_millis(7))),
            last_words: ("one\ntwo".into(), String::new()),
            ..Death::of(Part::Card, KILLED)
        };
        let text = death.to_string();
        assert!(text.starts_with("SIGKILL from outside; QEMU followed 7 ms later with SIGABRT\n"), "{text}");
        assert!(text.ends_with("the card's log ends with:\n  one\n  two"), "{text}");
        assert!(death.from_outside());
        let asked = Death { stopped_by: Some("SIGTERM (pid 7)".into()), ..Death::of(Part::Qemu, ASKED) };
        assert!(
            asked.to_string().starts_with("SIGTERM (pid 7), from outside; it left with exit status 0; the card was")
        );
        let crashed = Death::of(Part::Qemu, Ended::Signal(11)).to_string();
        assert!(crashed.starts_with("SIGSEGV, a fault of its own unless something sent the signal"), "{crashed}");
        assert!(!Death::of(Part::Qemu, Ended::Signal(11)).from_outside());
    }
}
