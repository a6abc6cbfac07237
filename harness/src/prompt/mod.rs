//! The prompt: steps typed one by one, and views of driver, guest, card and machine between them.
//!
//! A line is a step of a scenario in short form, carried out by the engine of `steps`, or a view. The verbs are one table
//! (`table`), from which help, completion, hints and the reference come. [`Prompt`] opens where steps pause: behind the last one,
//! before one that is named, or where one failed.

mod answer;
mod complete;
mod input;
mod lines;
mod log;
mod notes;
mod own;
mod properties;
mod table;
mod turn;
mod views;
mod words;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use answer::{Answer, Refusal, object};
use complete::Names;
use input::{Input, Line, NoLine, Origin};
use log::{Entry, Log};
use own::Flow;
use table::Run;
use turn::Turn;
use words::Words;

use crate::host::failure::Class;
use crate::host::interrupt;
use crate::machine::Health;
use crate::report::{error_line, out, out_json};
use crate::steps::plan::{Act, Plan, PlannedStep};
use crate::steps::{Interaction, Pause, Stepping};

pub use table::reference;

/// Where a prompt opens, and how it talks.
#[derive(Clone, Debug, Default)]
pub struct PromptOptions {
    /// Opens before the step of this number or name.
    pub stop_at: Option<String>,
    /// Opens where a step failed, and not behind steps that did what they say.
    pub on_failure_only: bool,
    /// One JSON object a line on standard output.
    pub json: bool,
    /// The file that keeps the lines that a person types.
    pub history: Option<PathBuf>,
    /// The driver, where one was named.
    pub driver: Option<PathBuf>,
}

/// A prompt.
#[derive(Debug)]
pub struct Prompt {
    options: PromptOptions,
    names: Names,
    state: Mutex<State>,
}

/// Everything is to be done again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// The driver to do it with, where it is another one.
    pub driver: Option<PathBuf>,
}

/// What changes.
#[derive(Debug)]
struct State {
    input: Option<Input>,
    log: Log,
    again: Option<Again>,
    /// Whether what is done again may fail.
    may_fail: bool,
    /// The class of the first line that failed, where no person types.
    failed: Option<Class>,
    opened: bool,
    stopped: bool,
    /// Whether the guest's end was told.
    told: bool,
}

impl Prompt {
    /// Creates a prompt. Nothing is read before it opens.
    #[must_use]
    pub fn new(options: PromptOptions) -> Self {
        let log = Log { driver: options.driver.clone(), ..Log::default() };
        let state = State {
            input: None,
            log,
            again: None,
            may_fail: false,
            failed: None,
            opened: false,
            stopped: false,
            told: false,
        };
        Self { options, names: Names::default(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether everything is to be done again, with the driver where another one was named. What was done comes first when
    /// the prompt opens the next time.
    #[must_use]
    pub fn begin_again(&self) -> Option<Again> {
        let mut state = self.state();
        let again = state.again.take()?;
        let done = std::mem::take(&mut state.log.entries);
        let may_fail = std::mem::take(&mut state.may_fail);
        state.log.scenario = None;
        (state.stopped, state.told) = (false, false);
        if let Some(driver) = &again.driver {
            state.log.driver = Some(driver.clone());
        }
        let lines = done.into_iter().map(|entry| Line {
            place: "again".into(),
            text: entry.line,
            origin: Origin::Again,
            may_fail: may_fail || entry.may_fail,
        });
        if let Some(input) = &mut state.input {
            input.before(lines);
        }
        Some(again)
    }

    /// Returns whether everything is to be done again.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.state().again.is_some()
    }

    /// Returns the class of the first line that failed, where no person types.
    #[must_use]
    pub fn failed(&self) -> Option<Class> {
        self.state().failed
    }

    /// Returns whether the guest ended while it was open, and that was told.
    #[must_use]
    pub fn has_told_the_end(&self) -> bool {
        self.state().told
    }

    /// Returns whether it has opened.
    #[must_use]
    pub fn has_opened(&self) -> bool {
        self.state().opened
    }

    /// Reads and executes lines until the prompt is left. Returns whether the steps go on.
    fn serve(&self, turn: &mut Turn<'_, '_>, input: &mut Input, state: &mut State) -> bool {
        loop {
            self.names.set(turn.steps.streams());
            let mut told = turn.is_lost();
            // A person looks at what is left. Who writes lines into a pipe waits for the end.
            let (stays, mut died) = (input.is_terminal, None);
            let line = input.next(|| {
                if !told
                    && turn.steps.bed().session.health.death().is_some()
                    && let Some(error) = turn.steps.bed().session.post_mortem("wait for a line")
                {
                    told = true;
                    let failure = turn.steps.explain("wait for a line", error.into());
                    died = (!stays).then_some(failure.class);
                    error_line(&Refusal(failure).text());
                }
                died.is_none() && !interrupt::requested()
            });
            state.told |= told;
            let line = match line {
                Ok(line) => line,
                Err(NoLine::End) => return false,
                Err(NoLine::Gone) => {
                    state.failed.get_or_insert(died.unwrap_or(Class::Interrupted));
                    return false;
                }
                Err(NoLine::NotText(line)) => {
                    let why = "the line is not UTF-8, and nothing of it was done: save the lines as UTF-8";
                    self.refuse_input(&line.place, line.text.trim(), Refusal::usage(why), state);
                    return false;
                }
                Err(NoLine::Unreadable(error)) => {
                    let refusal = Refusal::of(Class::Host, format!("standard input cannot be read: {error}"));
                    self.refuse_input("standard input", "", refusal, state);
                    return false;
                }
            };
            let text = line.text.trim();
            let (may_fail, text) = match text.strip_prefix('-') {
                Some(rest) => (true, rest.trim_start()),
                None => (line.may_fail, text),
            };
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if line.origin != Origin::Typed {
                self.say(&format!("dmus> {text}"));
            }
            let before = turn.log.entries.len();
            let result = execute(turn, text, &line.origin);
            turn.log.entries.iter_mut().skip(before).for_each(|entry| entry.may_fail = may_fail);
            if self.options.json {
                out_json(&object(text, &result.as_ref().map(Flow::answer).map_err(Clone::clone)));
            }
            match result {
                Ok(flow) => {
                    self.say(&flow.answer().text);
                    match flow {
                        Flow::Next(_) => {}
                        Flow::Lines(lines, _) => {
                            input.before(lines.into_iter().map(|line| Line { may_fail, ..line }));
                        }
                        Flow::Continue => {
                            turn.log.entries.push(Entry { line: text.into(), may_fail, step: None, failed: None });
                            return true;
                        }
                        Flow::Leave => return false,
                        Flow::Again(driver) => {
                            state.again = Some(Again { driver });
                            state.may_fail = may_fail;
                            return false;
                        }
                    }
                }
                Err(refusal) => {
                    state.told |= refusal.0.report.is_some();
                    let place = if input.is_terminal && !matches!(line.origin, Origin::Files(_)) {
                        String::new()
                    } else {
                        format!("{}: `{text}`: ", line.place)
                    };
                    error_line(&format!("{place}{}", refusal.text()));
                    // A person sees what fails of what is done again, and has the prompt behind it.
                    if may_fail || (input.is_terminal && line.origin == Origin::Again) {
                        continue;
                    }
                    input.forget();
                    if !input.is_terminal {
                        state.failed.get_or_insert(refusal.0.class);
                        return false;
                    }
                }
            }
        }
    }

    /// Says why there is no line to execute, where no later one is executed.
    fn refuse_input(&self, place: &str, text: &str, refusal: Refusal, state: &mut State) {
        error_line(&format!("{place}: {}", refusal.text()));
        state.failed.get_or_insert(refusal.0.class);
        if self.options.json {
            out_json(&object(text, &Err(refusal)));
        }
    }

    /// Prints lines for people.
    fn say(&self, text: &str) {
        if !self.options.json && !text.is_empty() {
            out(text);
        }
    }
}

/// Returns how many of a scenario's steps were reached.
fn reached(steps: &dyn Stepping<'_>, pause: &Pause) -> usize {
    let last = steps.done().last().and_then(|step| step.number.split('.').next()?.parse::<usize>().ok());
    last.unwrap_or_default() + usize::from(matches!(pause, Pause::Failed(_)))
}

/// Executes one line.
fn execute(turn: &mut Turn<'_, '_>, line: &str, origin: &Origin) -> Result<Flow, Refusal> {
    let mut words = Words::split(line)?;
    if words.0.is_empty() {
        return Ok(Flow::Next(Answer::default()));
    }
    let name = words.0.remove(0);
    match table::find(&name)?.run {
        Run::Own(act) => own::run(act, turn, &words, origin),
        Run::View(run) => {
            let found = run(turn, &words);
            if views::changes(&name) {
                let failed = found.as_ref().err().map(|refusal| refusal.0.text.clone());
                turn.log.entries.push(Entry {
                    line: line.into(),
                    may_fail: false,
                    step: views::step_of(&name, &words),
                    failed,
                });
            }
            found.map(Flow::Next)
        }
        Run::Step(make) => {
            let step = make(&words)?;
            carry_out(turn, line, &step).map(Flow::Next)
        }
    }
}

/// Carries a step out.
fn carry_out(turn: &mut Turn<'_, '_>, line: &str, step: &str) -> Result<Answer, Refusal> {
    if turn.is_lost() {
        return Err(turn::lost());
    }
    let text = format!("title = \"\"\n[[step]]\n{step}\n");
    let planned = Plan::next(turn.steps.done(), turn.steps.loads(), "prompt", &text);
    let planned = planned.map_err(|error| Refusal::usage(error.to_string()))?;
    let done = turn.steps.carry_out(&planned);
    let failed = done.as_ref().err().map(|failure| failure.text.clone());
    turn.log.entries.push(Entry { line: line.into(), may_fail: false, step: Some(step.into()), failed });
    let found = done?;
    Ok(views::after(turn, &planned.act, found))
}

impl Flow {
    /// Returns what is printed of a line that was executed.
    fn answer(&self) -> Answer {
        match self {
            Self::Next(answer) | Self::Lines(_, answer) => answer.clone(),
            Self::Continue => Answer::of_text("the scenario goes on"),
            Self::Leave => Answer::default(),
            Self::Again(None) => Answer::of_text("again, from the beginning"),
            Self::Again(Some(driver)) => Answer::of_text(format!("again, with {}", driver.display())),
        }
    }
}

impl Interaction for Prompt {
    fn stops_before(&self, step: &PlannedStep) -> bool {
        let Some(wanted) = &self.options.stop_at else { return false };
        let found = step.number == *wanted || step.name.as_ref() == Some(wanted);
        found && !matches!(step.act, Act::Include(_)) && !std::mem::replace(&mut self.state().stopped, true)
    }

    fn stops_at(&self, pause: &Pause) -> bool {
        match pause {
            Pause::Before(_) => true,
            Pause::Failed(failure) => failure.class != Class::Interrupted,
            Pause::End => !self.options.on_failure_only,
        }
    }

    fn take_over(&self, steps: &mut dyn Stepping<'_>, pause: &Pause) -> bool {
        let mut state = self.state();
        state.opened = true;
        let mut input =
            state.input.take().unwrap_or_else(|| Input::new(self.options.history.clone(), self.names.clone()));
        let mut log = std::mem::take(&mut state.log);
        if let Some(path) = steps.file() {
            log.scenario.get_or_insert_with(|| (path.to_path_buf(), reached(steps, pause)));
        }
        let gone = match pause {
            Pause::Before(step) => {
                self.say(&format!("the prompt is before {step}; `continue` goes on, `help` lists the verbs"));
                false
            }
            Pause::End if steps.file().is_some() => {
                self.say("the steps are done; `help` lists the verbs, `quit` leaves");
                false
            }
            Pause::End => {
                let guest =
                    steps.bed().guest().map(|hello| format!("{} with {} MiB; ", hello.guest, hello.memory >> 20));
                self.say(&format!("{}`help` lists the verbs", guest.unwrap_or_default()));
                false
            }
            Pause::Failed(failure) => {
                error_line(&Refusal(failure.clone()).text());
                self.say("the prompt is where that happened; `help` lists the verbs, `quit` leaves");
                failure.lost
            }
        };
        let has_more = matches!(pause, Pause::Before(_));
        let goes_on = self.serve(&mut Turn { steps, log: &mut log, gone, has_more }, &mut input, &mut state);
        state.log = log;
        state.input = Some(input);
        goes_on
    }
}
