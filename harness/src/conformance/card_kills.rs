//! Kills the card at random instants: while the driver starts, rests, streams or stops.
//!
//! Over vhost-user a guard stands before it, and another card takes its place: QEMU lives, the driver resets the new card by itself, and
//! the same phrase sounds as before. Over vfio-user no card can take its place in a running QEMU: QEMU lives, the driver fails cleanly,
//! and stops and unloads as if its device had been pulled out.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use card_control::Transport;
use guest_protocol::{Caller, Request};

use super::context::Context;
use super::dice::Dice;
use super::download::download_both;
use super::error::{ConformanceError, ProbeError};
use super::findings::Findings;
use super::kill_report::{CardKill, CardKillsReport, KillPhase};
use super::phrase::{Phrase, takes_downloads};
use super::probe::{ProbeContext, with_guest};
use super::recovery::unless_refused;
use crate::event::{Event, Observer};
use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};
use crate::jobs::in_order;
use crate::machine::CardOptions;
use crate::testbed::TestBedError;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::{Consequence, SessionError};

/// Cards that are killed in one machine behind a guard. The driver gives a card up that fails eight times in a minute, and tries more
/// than once while there is none.
const KILLS_PER_MACHINE: usize = 3;

/// The number of tries of the phrase after a kill: the driver's recovery may begin with one.
const TRIES: usize = 5;

/// The longest time for a driver to open a session with a new card by itself. It takes milliseconds; only a busy host makes it take
/// seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The interval at which the new card is polled for it.
const POLL: Duration = Duration::from_millis(2);

/// What comes of a kill over vfio-user that finds messages of QEMU's in the card's socket: QEMU 11.1 reports the reset of its connection
/// twice, and aborts. The table of QEMU's limits says so too, and its test notices when it is no longer so.
const KNOWN_ABORT: &str = "QEMU aborts: its messages were unread (known)";

/// QEMU's words of that.
const KNOWN_ABORT_WORDS: &str = "error_setv: Assertion `*errp == NULL' failed";

/// Tells whether QEMU has aborted as it is known to.
fn is_known_abort(error: &ConformanceError) -> bool {
    match error.session_error() {
        Some(SessionError::QemuFailed { death, .. }) => {
            death.ended == Ended::Signal(ABORT) && death.last_words.1.contains(KNOWN_ABORT_WORDS)
        }
        _ => false,
    }
}

/// The number of the signal that aborts.
const ABORT: i32 = 6;

/// A kill that is to be: when.
#[derive(Clone, Copy, Debug)]
struct Planned {
    number: u32,
    phase: KillPhase,
    after: Duration,
}

/// The phases in their order, and the milliseconds within which a kill comes: a part of what each takes.
const PHASES: [(KillPhase, u64); 4] =
    [(KillPhase::Streaming, 150), (KillPhase::Idle, 50), (KillPhase::Start, 60), (KillPhase::Stop, 20)];

/// Draws kills: each phase as often as the others, at instants of a seed.
fn plan(count: u32, seed: u64) -> Vec<Planned> {
    let mut dice = Dice::new(seed);
    let first = dice.below(PHASES.len() as u64) as usize;
    let kill = |number: u32| {
        let (phase, milliseconds) = PHASES[(first + number as usize) % PHASES.len()];
        Planned { number, phase, after: Duration::from_micros(dice.below(milliseconds * 1000)) }
    };
    (1..=count).map(kill).collect()
}

/// Kills the card so many times, at instants of a seed, in as many machines as that takes.
///
/// # Errors
/// [`ConformanceError`] for an interruption, or a run folder that cannot be created. What else fails is in the report.
pub fn kill_cards(context: &Context<'_>, count: u32, seed: u64) -> Result<CardKillsReport, ConformanceError> {
    let begun = Instant::now();
    let guarded = context.transport == Transport::VhostUser;
    let planned = plan(count, seed);
    let machines: Vec<&[Planned]> = planned.chunks(if guarded { KILLS_PER_MACHINE } else { 1 }).collect();
    let mut report = CardKillsReport::new(context.transport, seed, machines.len());
    let job = |kills: &&[Planned], observer: &dyn Observer| {
        let folder = RunFolder::create(context.workspace, "card-kills", None)?;
        let reproduce = context.reproduce.clone();
        let context = Context { observer, reproduce, ..*context };
        let mut rows: Vec<CardKill> =
            kills.iter().map(|kill| CardKill::new(kill.number, kill.phase, kill.after)).collect();
        let options = CardOptions { guard: guarded, ..CardOptions::default() };
        let mut findings = Findings::default();
        let mut keepers = Vec::new();
        let ended = with_guest(&context, &folder, &mut findings, &options, |probe| {
            let machine = Machine { probe, guarded, keepers: &mut keepers, playing: None, before: Vec::new() };
            machine.run(kills, &mut rows)
        });
        Ok::<_, ConformanceError>((folder, rows, ended))
    };
    in_order(context.jobs, &machines, context.observer, job, |_, ran| {
        let (folder, mut rows, ended) = ran?;
        let problem = match ended {
            Ok(()) => None,
            Err(ProbeError::Failed(error)) if is_known_abort(&error) => {
                // It is a machine of one kill.
                rows[0].outcome = Some(KNOWN_ABORT);
                rows[0].qemu_aborted = true;
                None
            }
            Err(ProbeError::Failed(error)) if error.class() == Class::Interrupted => return Err(error),
            Err(ProbeError::Failed(error)) => Some(error.to_string()),
            Err(
                ProbeError::Violated { what, .. } | ProbeError::Inapplicable(what) | ProbeError::NotExercised(what),
            ) => Some(what),
        };
        if let Some(problem) = problem {
            // The first that has no outcome is the one that it is about; those after it were not carried out.
            let about = rows.iter().position(|row| row.outcome.is_none()).unwrap_or(rows.len() - 1);
            rows[about].problem = Some(format!("{problem} ({})", folder.path().display()));
            for row in &mut rows[about + 1..] {
                row.problem = Some("not carried out, after the one before".into());
            }
        }
        for row in &rows {
            context.observer.event(&Event::Note { text: row.line() });
        }
        report.run_folders.push(folder.path().into());
        report.rows.extend(rows);
        Ok(())
    })?;
    report.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    Ok(report)
}

/// One machine, and the kills in it.
struct Machine<'a, 'b, 'c> {
    probe: &'a mut ProbeContext<'b, 'c>,
    guarded: bool,
    /// Hold the threads that have started cards.
    keepers: &'a mut Vec<mpsc::Sender<()>>,
    /// The open pins of a started device.
    playing: Option<Phrase>,
    /// The phrase before anything happened.
    before: Vec<u8>,
}

impl Machine<'_, '_, '_> {
    fn run(mut self, kills: &[Planned], rows: &mut [CardKill]) -> Result<(), ProbeError> {
        self.start()?;
        self.before = self.play()?.unwrap_or_default();
        if self.before.iter().all(|byte| *byte == 0) {
            return Err(ProbeError::Inapplicable("the phrase is silent before any card is killed".into()));
        }
        for (kill, row) in kills.iter().zip(rows) {
            let begun = Instant::now();
            self.kill(*kill)?;
            // QEMU answers for the guest, which answers for the driver.
            self.probe.bed.session.statistics()?;
            let outcome = if self.guarded { self.go_on_with_another()? } else { self.go_on_without()? };
            row.outcome = Some(outcome);
            row.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
        }
        Ok(())
    }

    /// Starts the device, opens its pins, and downloads instruments where it takes some.
    fn start(&mut self) -> Result<(), ProbeError> {
        let device = self.probe.start()?;
        self.probe.stopped = false;
        let phrase = Phrase::prepare(self.probe, &device)?;
        let (opened, _, _) = self.probe.open_music_filter(&device)?;
        let synthesizer = takes_downloads(self.probe, &opened, phrase.pins.render)?;
        if let Some(synthesizer) = &synthesizer {
            download_both(self.probe, synthesizer, Caller::User64)?;
        }
        self.playing = Some(phrase);
        Ok(())
    }

    /// Stops the device. Every handle is closed.
    fn stop(&mut self) -> Result<(), ProbeError> {
        self.playing = None;
        self.probe.stopped = true;
        self.probe.done("stop the device", Request::StopDevice)
    }

    /// Plays the phrase, unless the driver refuses.
    fn play(&mut self) -> Result<Option<Vec<u8>>, ProbeError> {
        match &self.playing {
            Some(phrase) => unless_refused(phrase.play(self.probe)),
            None => Ok(None),
        }
    }

    /// Kills the card in a phase, so long after its beginning, and waits for the end of the phase.
    fn kill(&mut self, kill: Planned) -> Result<(), ProbeError> {
        if kill.phase == KillPhase::Start {
            self.stop()?;
        }
        let (sent, started) = mpsc::channel();
        let act: Box<dyn FnOnce() + Send> = if self.guarded {
            let replacer = self.probe.bed.card_replacer()?;
            // A card ends with the thread that has started it.
            let (keeper, kept) = mpsc::channel::<()>();
            self.keepers.push(keeper);
            Box::new(move || {
                let _ = sent.send(Some(replacer.replace()));
                let _ = kept.recv();
            })
        } else {
            let killer = self.probe.bed.card_killer()?;
            Box::new(move || {
                killer.kill();
                let _ = sent.send(None);
            })
        };
        std::thread::spawn(move || {
            std::thread::sleep(kill.after);
            act();
        });
        let phase = match kill.phase {
            KillPhase::Idle => Ok(()),
            KillPhase::Start => unless_refused(self.start()).map(drop),
            KillPhase::Streaming => self.play().map(drop),
            KillPhase::Stop => self.stop(),
        };
        // Whatever became of the phase, the card is dead from here on.
        match started.recv() {
            Ok(Some(replacement)) => self.probe.bed.adopt_card(replacement.map_err(TestBedError::from)?)?,
            Ok(None) => {}
            Err(_) => return Err(violated("the thread that kills the card panicked".into())),
        }
        phase
    }

    /// Waits until the driver has the card that has taken the dead one's place. Returns what came of it.
    fn go_on_with_another(&mut self) -> Result<&'static str, ProbeError> {
        let began_again = self.playing.is_none();
        if began_again {
            if !self.probe.stopped {
                // The device started, and its pins did not open.
                self.stop()?;
            }
            self.start()?;
        } else {
            self.until_session()?;
        }
        self.expect_same_sound()?;
        Ok(if began_again { "starts again, sounds as before" } else { "recovers by itself, sounds as before" })
    }

    /// Has the driver do without the card: what it is asked is refused, or silent.
    fn go_on_without(&mut self) -> Result<&'static str, ProbeError> {
        if self.play()?.is_some_and(|pcm| pcm == self.before) {
            return Err(violated("the phrase sounds as before without a card: none was killed".into()));
        }
        Ok("fails cleanly, stops and unloads")
    }

    fn until_session(&mut self) -> Result<(), ProbeError> {
        let patience = self.probe.patience(PATIENCE);
        loop {
            self.probe.bed.session.statistics()?;
            let status = self.probe.bed.the_card()?.status().map_err(TestBedError::Control)?;
            if status.session.is_some() {
                return Ok(());
            }
            if patience.has_ended(self.probe) {
                return Err(violated("the driver opens no session with a new card by itself".into()));
            }
            std::thread::sleep(POLL);
        }
    }

    fn expect_same_sound(&mut self) -> Result<(), ProbeError> {
        for _ in 0..TRIES {
            if let Some(phrase) = &self.playing {
                for pin in [phrase.pins.render, phrase.pins.wave] {
                    let request = Request::SetState { pin, state: guest_protocol::KsState::Stop };
                    self.probe.done("stop a pin", request)?;
                }
            }
            if self.play()?.is_some_and(|pcm| pcm == self.before) {
                return Ok(());
            }
        }
        Err(violated(format!("the same phrase does not sound as before, {TRIES} times")))
    }
}

/// Returns a violation of rule 77, which says how a device has to come back.
const fn violated(what: String) -> ProbeError {
    ProbeError::Violated { rule: 77, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_in_each_phase_as_often_at_instants_of_the_seed() {
        let planned = plan(200, 7);
        for (phase, milliseconds) in PHASES {
            let of_phase: Vec<_> = planned.iter().filter(|kill| kill.phase == phase).collect();
            assert_eq!(of_phase.len(), 50, "{phase:?}");
            assert!(of_phase.iter().all(|kill| kill.after < Duration::from_millis(milliseconds)));
        }
        let instants = |seed| plan(200, seed).iter().map(|kill| kill.after).collect::<Vec<_>>();
        assert_eq!(instants(7), instants(7));
        assert_ne!(instants(7), instants(8));
    }
}
