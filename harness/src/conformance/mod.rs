//! The contract between a driver and PortCls, put to the test rule by rule.
//!
//! The guest checks most rules whenever they apply; some only show when a driver is asked for what no song asks, when the
//! device loses power or is pulled out, or when something comes in from outside. So a driver is examined in several
//! sittings, each in a guest of its own, and the guest counts for each rule how often it was really put to the test. A rule
//! that never was is not green.

mod capture;
mod delivery;
mod download;
mod probe;
mod probes;
mod recovery;
mod repeats;
mod stress;
mod unloading;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use guest_protocol::{HowChecked, RuleState};
use serde::Serialize;

pub use download::{Downloadable, instrument};
pub use probe::{ProbeContext, ProbeError};
pub use repeats::{Repeats, Tally};

pub(crate) use probe::with_guest;
pub(crate) use stress::Dice;

use probes::Script;

use crate::event::{Event, Observer};
use crate::failure::Error;
use crate::host::failure::{Class, Diagnosed};
use crate::machine::conditions::Conditions;
use crate::playback::Provisioned;
use crate::provision::Workspace;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::SessionError;

/// How a rule fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was put to the test and held, each time.
    Pass,
    /// It was broken.
    Violated,
    /// It was never put to the test.
    NotExercised,
    /// It cannot apply to this driver, or to any.
    NotApplicable,
}

impl Verdict {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Violated => "VIOLATED",
            Self::NotExercised => "not exercised",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// A rule and its verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its number.
    pub number: u16,
    /// What it demands.
    pub title: String,
    /// Where it is written.
    pub source: String,
    /// How it fared.
    pub verdict: Verdict,
    /// How often it was put to the test and held.
    pub held: u64,
    /// Why it is violated, or not applicable.
    pub message: Option<String>,
}

/// What an examination counted.
#[derive(Clone, Debug, Serialize)]
pub struct Counted {
    /// The examination.
    pub examination: &'static str,
    /// What.
    pub name: String,
    /// How many.
    pub value: u64,
}

/// The contract, as one driver keeps it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Contract {
    /// How many rules there are.
    pub rules: usize,
    /// Rules that held.
    pub pass: usize,
    /// Rules that were broken.
    pub violated: usize,
    /// Rules that were never put to the test.
    pub not_exercised: usize,
    /// Rules that cannot apply.
    pub not_applicable: usize,
    /// Each of them.
    pub rows: Vec<Row>,
    /// Examinations that ended for another reason than a rule.
    pub failures: Vec<String>,
    /// What was counted.
    pub figures: Vec<Counted>,
    /// What the guests ran under.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// How long it all took.
    pub milliseconds: f64,
    /// Where everything is.
    pub artefacts: Vec<PathBuf>,
    /// The class of the worst failure.
    #[serde(skip)]
    pub class: Option<Class>,
}

impl Contract {
    /// Nothing is broken, and nothing stayed untried.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.violated == 0 && self.not_exercised == 0 && self.failures.is_empty()
    }

    /// The rows that are not as they should be, one a line.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let rows = self.rows.iter().filter(|row| matches!(row.verdict, Verdict::Violated | Verdict::NotExercised));
        let line = |row: &Row| {
            let message = row.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            format!("rule {} {} ({}){message}", row.number, row.verdict.name(), row.title)
        };
        rows.map(line).chain(self.failures.iter().cloned()).collect()
    }

    /// Rules that were broken, and examinations that failed, one a line.
    #[must_use]
    pub fn breaches(&self) -> Vec<String> {
        let rows = self.rows.iter().filter(|row| row.verdict == Verdict::Violated);
        let line = |row: &Row| {
            format!("rule {} is broken ({}): {}", row.number, row.title, row.message.as_deref().unwrap_or_default())
        };
        rows.map(line).chain(self.failures.iter().cloned()).collect()
    }

    /// The table, for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let held = if row.held > 0 { format!("{}x", row.held) } else { String::new() };
            let _ = writeln!(text, "{:>3}  {:<14} {held:>9}  {}", row.number, row.verdict.name(), row.title);
            if let Some(message) = &row.message {
                let _ = writeln!(text, "     {message}");
            }
        }
        for failure in &self.failures {
            let _ = writeln!(text, "     {failure}");
        }
        let _ = write!(
            text,
            "{} rules: {} pass, {} violated, {} not exercised, {} not applicable",
            self.rules, self.pass, self.violated, self.not_exercised, self.not_applicable
        );
        text
    }
}

/// Where and how a driver is examined.
pub struct Context<'a> {
    /// Where artefacts go.
    pub workspace: &'a Workspace,
    /// Programs, images, accelerator.
    pub provisioned: &'a Provisioned,
    /// How long a step may take.
    pub timeout: Duration,
    /// Only examinations whose name contains this.
    pub filter: Option<&'a str>,
    /// What the guests run under.
    pub conditions: Conditions,
    /// Of a stress trial: how many rounds of cycles.
    pub rounds: u32,
    /// The command that does all of it again.
    pub reproduce: String,
    /// Who listens.
    pub observer: &'a dyn Observer,
}

/// Rules about what a driver need not do at all, and what it means when it never did.
const ABOUT_CHOICES: [(u16, &str); 3] = [
    (15, "the driver registers no power management"),
    (16, "the driver registers no physical connection"),
    (61, "the driver has no interrupt sync object in Repeat mode"),
];

/// What became of the rules so far.
#[derive(Default)]
struct Ledger {
    states: BTreeMap<u16, RuleState>,
    held: BTreeMap<u16, u64>,
    violated: BTreeMap<u16, String>,
    inapplicable: BTreeMap<u16, String>,
    failures: Vec<String>,
    classes: Vec<Class>,
}

impl Ledger {
    fn count(&mut self, rules: &[RuleState]) {
        for rule in rules {
            self.states.entry(rule.number).or_insert_with(|| rule.clone());
            *self.held.entry(rule.number).or_default() += u64::from(rule.held);
        }
    }

    fn judge(&mut self, rule: u16) {
        *self.held.entry(rule).or_default() += 1;
    }

    fn rows(&self) -> Vec<Row> {
        let row = |(&number, state): (&u16, &RuleState)| {
            let held = self.held.get(&number).copied().unwrap_or(0);
            let reason = match &state.how {
                HowChecked::NotApplicable(reason) => Some(reason.clone()),
                _ => self.inapplicable.get(&number).filter(|_| held == 0).cloned(),
            };
            let (verdict, message) = match (self.violated.get(&number), reason) {
                (Some(message), _) => (Verdict::Violated, Some(message.clone())),
                (None, Some(reason)) => (Verdict::NotApplicable, Some(reason)),
                (None, None) if held > 0 => (Verdict::Pass, None),
                (None, None) => (Verdict::NotExercised, None),
            };
            Row { number, title: state.title.clone(), source: state.source.clone(), verdict, held, message }
        };
        // Beyond the contract: the guest's own checks and the rules of other services have a row when they are broken.
        let beyond = self.violated.iter().filter(|(number, _)| !self.states.contains_key(number));
        let beyond = beyond.map(|(&number, message)| Row {
            number,
            title: "beyond the contract, by the guest's own number".into(),
            source: String::new(),
            verdict: Verdict::Violated,
            held: 0,
            message: Some(message.clone()),
        });
        self.states.iter().map(row).chain(beyond).collect()
    }
}

/// The names of all examinations.
pub fn examinations() -> impl Iterator<Item = &'static str> {
    probes::ALL.iter().map(|script| script.name)
}

/// Examines the driver.
///
/// # Errors
/// An interruption, or a folder that cannot be made.
pub fn run_probes(context: &Context<'_>) -> Result<Contract, Error> {
    let wanted = |script: &&Script| context.filter.is_none_or(|part| script.name.contains(part));
    run_all(context, &probes::ALL.iter().filter(wanted).collect::<Vec<_>>())
}

/// Opens, runs, stops and closes streams of the driver over and over, with a card that stalls, an allocator that is
/// empty, and input that overflows; all that went in must have come back, or have been counted.
///
/// # Errors
/// An interruption, or a folder that cannot be made.
pub fn stress(context: &Context<'_>) -> Result<Contract, Error> {
    Ok(without_untried(run_all(context, &[&stress::SCRIPT])?))
}

/// Has the card lose its session and lie about its rings while the driver plays: the driver resets it and plays on,
/// or fails cleanly.
///
/// # Errors
/// An interruption, or a folder that cannot be made.
pub fn trouble(context: &Context<'_>) -> Result<Contract, Error> {
    Ok(without_untried(run_all(context, &[&recovery::SCRIPT])?))
}

/// What is about circumstances, not about which rules there are.
fn without_untried(mut contract: Contract) -> Contract {
    contract.rows.retain(|row| row.verdict != Verdict::NotExercised);
    contract.not_exercised = 0;
    contract
}

fn run_all(context: &Context<'_>, scripts: &[&Script]) -> Result<Contract, Error> {
    let begun = Instant::now();
    let mut ledger = Ledger::default();
    let mut contract = Contract { conditions: context.conditions, ..Contract::default() };
    for script in scripts {
        context.observer.event(&Event::Note { text: format!("examination {}: {}", script.name, script.text) });
        let folder = RunFolder::create(context.workspace, &format!("contract-{}", script.name), None)?;
        let mut findings = Findings::default();
        let ended = (script.run)(context, &folder, &mut findings);
        contract.artefacts.push(folder.path().into());
        ledger.count(&findings.rules);
        findings.held.iter().for_each(|rule| ledger.judge(*rule));
        ledger.inapplicable.extend(findings.inapplicable);
        contract.figures.extend(findings.figures.into_iter().map(|(name, value)| Counted {
            examination: script.name,
            name,
            value,
        }));
        match ended {
            Ok(()) => {}
            Err(ProbeError::Violated { rule, what }) => {
                _ = ledger.violated.entry(rule).or_insert(what);
                ledger.classes.push(Class::TestFailed);
            }
            Err(ProbeError::Inapplicable(reason)) => {
                for rule in script.rules {
                    ledger.inapplicable.entry(*rule).or_insert_with(|| reason.clone());
                }
            }
            Err(ProbeError::Failed(error)) => {
                if error.class() == Class::Interrupted {
                    return Err(error);
                }
                match &error {
                    Error::Session(SessionError::BugCheck(found)) if found.rule.is_some() => {
                        let rule = found.rule.unwrap_or(0);
                        _ = ledger.violated.entry(rule).or_insert_with(|| found.message.clone());
                    }
                    _ => ledger.failures.push(format!(
                        "examination {} ended with: {error} ({})",
                        script.name,
                        folder.path().display()
                    )),
                }
                ledger.classes.push(error.class());
            }
        }
    }
    if context.filter.is_none() {
        for (rule, reason) in ABOUT_CHOICES {
            ledger.inapplicable.entry(rule).or_insert_with(|| reason.to_owned());
        }
    }
    contract.rows = ledger.rows();
    contract.rules = contract.rows.len();
    for row in &contract.rows {
        *match row.verdict {
            Verdict::Pass => &mut contract.pass,
            Verdict::Violated => &mut contract.violated,
            Verdict::NotExercised => &mut contract.not_exercised,
            Verdict::NotApplicable => &mut contract.not_applicable,
        } += 1;
    }
    contract.failures = ledger.failures;
    contract.class = ledger.classes.first().copied();
    contract.milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
    Ok(contract)
}

/// What an examination found out.
#[derive(Default)]
pub struct Findings {
    /// What the guest counted.
    rules: Vec<RuleState>,
    /// Rules that the harness itself saw hold, once an entry.
    held: Vec<u16>,
    /// Rules that cannot apply to this driver, and why.
    inapplicable: BTreeMap<u16, String>,
    /// What was counted.
    figures: Vec<(String, u64)>,
}

impl Findings {
    /// The harness itself has seen a rule hold.
    pub fn held(&mut self, rule: u16) {
        self.held.push(rule);
    }

    /// A rule cannot apply to this driver.
    pub fn inapplicable(&mut self, rule: u16, reason: &str) {
        self.inapplicable.insert(rule, reason.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(number: u16, how: HowChecked, held: u32) -> RuleState {
        RuleState { number, title: format!("t{number}"), source: "D x".into(), how, held }
    }

    #[test]
    fn a_rule_is_green_only_if_it_was_put_to_the_test() {
        let mut ledger = Ledger::default();
        ledger.count(&[
            state(1, HowChecked::Always, 3),
            state(2, HowChecked::Always, 0),
            state(3, HowChecked::NotApplicable("why".into()), 0),
            state(4, HowChecked::Examined("x".into()), 0),
        ]);
        ledger.count(&[state(1, HowChecked::Always, 2)]);
        ledger.judge(4);
        let verdicts: Vec<_> = ledger.rows().iter().map(|row| (row.verdict, row.held)).collect();
        assert_eq!(
            verdicts,
            [(Verdict::Pass, 5), (Verdict::NotExercised, 0), (Verdict::NotApplicable, 0), (Verdict::Pass, 1)]
        );
    }

    #[test]
    fn a_broken_rule_stays_broken_however_often_it_held() {
        let mut ledger = Ledger::default();
        ledger.count(&[state(7, HowChecked::Always, 100)]);
        ledger.violated.insert(7, "a leak".into());
        let rows = ledger.rows();
        assert_eq!((rows[0].verdict, rows[0].message.as_deref()), (Verdict::Violated, Some("a leak")));
    }

    #[test]
    fn a_broken_check_that_is_no_rule_of_the_contract_has_a_row_of_its_own() {
        let mut ledger = Ledger::default();
        ledger.count(&[state(1, HowChecked::Always, 1)]);
        ledger.violated.insert(203, "an entry".into());
        let rows: Vec<_> = ledger.rows().iter().map(|row| (row.number, row.verdict)).collect();
        assert_eq!(rows, [(1, Verdict::Pass), (203, Verdict::Violated)]);
    }
}
