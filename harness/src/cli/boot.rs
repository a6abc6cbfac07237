//! `dmus boot`: a prompt for a booted guest, or between the steps of a scenario.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dmus::document::nearest;
use dmus::event::{Event, Observer, TestResult};
use dmus::host::failure::{Class, Diagnosed};
use dmus::jobs::Slots;
use dmus::machine::CardOptions;
use dmus::machine::conditions::Conditions;
use dmus::prompt::{Prompt, PromptOptions};
use dmus::provision::Workspace;
use dmus::report::{Report, Terminal, error_line, out, report_text};
use dmus::scenario::{Context, Overrides, Scenario, run_each};
use dmus::steps::plan::{Act, Plan, PlannedStep};
use dmus::steps::{StepsTest, run_steps};
use dmus::testbed::Provisioned;
use dmus::testbed::run_folder::RunFolder;

use super::args::BootArguments;
use super::error::{Error, Outcome, UsageError};
use super::scenarios;
use super::setup::{provisioned_with, reproduce, workspace_of};

/// The file under the project's cache that keeps the lines that were typed.
pub(super) const HISTORY: &str = "prompt-history.txt";

/// Prints everything that the guest says, a line each: a prompt and a terminal's moving line do not go together.
#[derive(Debug)]
pub(super) struct Verbose;

impl Observer for Verbose {
    fn event(&self, event: &Event) {
        match event {
            Event::Guest { level, target, text } => error_line(&format!("[{level:5} {target}] {text}")),
            Event::Console { text } => error_line(text.trim_end()),
            Event::Warning { text } | Event::Note { text } => error_line(text),
            Event::Finding { kind, rule, function, irql, message } => {
                let rule = rule.map_or_else(String::new, |rule| format!(" rule {rule}"));
                error_line(&format!("{kind}{rule}: {message} (in {function}, at IRQL {irql})"));
            }
            // Why, where a prompt has nothing to open on.
            Event::TestEnded { name, result: TestResult::Failed, detail, .. } => {
                error_line(&format!("FAIL {name}\n{detail}"));
            }
            _ => {}
        }
    }
}

/// Boots the guest, and serves the prompt until it is left.
pub(super) fn boot(arguments: &BootArguments) -> Outcome {
    let terminal = Terminal::new();
    let workspace = workspace_of(&arguments.machine, &terminal)?;
    let scenario = match &arguments.scenario {
        Some(named) => Some(one_case(&workspace, named, arguments)?),
        None => None,
    };
    let image = arguments.guest.open(&workspace, &terminal)?;
    let device = arguments.device.device(arguments.driver.as_deref(), &terminal)?;
    let mut provisioned =
        provisioned_with(&workspace, &arguments.machine, &arguments.debugger, arguments.driver.as_deref(), &terminal)?;
    (provisioned.device, provisioned.image) = (device, image);
    drop(terminal);
    let prompt = Prompt::new(PromptOptions {
        stop_at: arguments.stop_at.clone(),
        on_failure_only: false,
        json: arguments.json,
        history: Some(workspace.cache().join(HISTORY)),
        driver: arguments.driver.clone(),
    });
    loop {
        let ended = match &scenario {
            Some(scenario) => steps_of(scenario, &workspace, &provisioned, arguments, &prompt),
            None => session(&workspace, &provisioned, arguments, &prompt),
        };
        let Some(again) = prompt.begin_again() else { return ended };
        if let Some(path) = again.driver {
            provisioned.artefacts.driver = path;
        }
    }
}

/// A session without a scenario: nothing is loaded when the prompt opens.
fn session(workspace: &Workspace, provisioned: &Provisioned, arguments: &BootArguments, prompt: &Prompt) -> Outcome {
    let plan = Plan::of_prompt();
    let folder = RunFolder::create(workspace, "boot", arguments.run_folder.as_deref())?;
    let card = CardOptions {
        transport: arguments.transport.map(Into::into).unwrap_or_default(),
        clock: arguments.clock.into(),
        bank: arguments.bank.clone(),
        trace: true,
        ..CardOptions::default()
    };
    let test = StepsTest {
        card,
        conditions: Conditions {
            windows: arguments.windows.unwrap_or_default(),
            marks: !arguments.no_marks,
            ..Conditions::default()
        },
        policy: arguments.violations.policy(),
        timeout: Duration::from_secs(arguments.machine.timeout),
        guest_log: arguments.guest_log.clone(),
        interaction: Some(prompt),
        ..StepsTest::of(&plan)?
    };
    let result = run_steps(&test, provisioned, &folder, &reproduce(), &Verbose);
    if let Some(class) = prompt.failed() {
        // The line has said why.
        say_folder(&folder, arguments);
        return Ok(Some(class));
    }
    match result {
        Ok(verdict) => {
            verdict.findings.lines().iter().for_each(|line| error_line(line));
            if !arguments.json {
                out("the guest has shut down");
            }
            say_folder(&folder, arguments);
            Ok((!verdict.findings.violations.is_empty()).then_some(Class::GuestCrashed))
        }
        Err(failure) => {
            if prompt.is_again() {
                return Ok(None);
            }
            say_folder(&folder, arguments);
            let told = prompt.has_told_the_end();
            if !told {
                error_line(failure.evidence.trim_end());
            }
            failure.findings.lines().iter().for_each(|line| error_line(line));
            if told { Ok(Some(failure.error.class())) } else { Err(failure.error.into()) }
        }
    }
}

fn say_folder(folder: &RunFolder, arguments: &BootArguments) {
    if !arguments.json {
        out(&format!("run folder: {}", folder.path().display()));
    }
}

/// A session between the steps of a scenario.
fn steps_of(
    scenario: &Scenario,
    workspace: &Workspace,
    provisioned: &Provisioned,
    arguments: &BootArguments,
    prompt: &Prompt,
) -> Outcome {
    let slots = Slots::new(NonZeroUsize::MIN);
    let context = Context {
        workspace,
        provisioned,
        timeout: Duration::from_secs(arguments.machine.timeout),
        filter: None,
        overrides: Overrides {
            driver: Some(provisioned.artefacts.driver.clone()).filter(|_| arguments.driver.is_some()),
            policy: arguments.violations.policy(),
            transport: arguments.transport.map(Into::into),
            windows: arguments.windows,
            no_marks: arguments.no_marks,
            ..Overrides::default()
        },
        slots: &slots,
        retries: 0,
        fail_fast: false,
        strict: false,
        keep: true,
        guest_log: Some(&arguments.guest_log),
        interaction: Some(prompt),
        observer: &Verbose,
    };
    let mut report = Report::default();
    run_each(std::slice::from_ref(scenario), &context, |_, one| {
        report.append(one);
        Ok(())
    })?;
    if prompt.is_again() {
        return Ok(None);
    }
    if !arguments.json {
        out(&report_text(&report));
    }
    // What the scenario itself brought is told; a prompt that opened has been told of it, and has its own end.
    Ok(if prompt.has_opened() { prompt.failed() } else { report.class() })
}

/// Reads the scenario of a name, with one of its cases, and checks that it has the step at which the prompt opens.
fn one_case(workspace: &Workspace, named: &Path, arguments: &BootArguments) -> Result<Scenario, Error> {
    let mut loaded = scenarios::load(workspace, &[PathBuf::from(named)])?;
    let usage = |text: String| Error::from(UsageError(text));
    if loaded.len() != 1 {
        return Err(usage(format!("{} has {} scenarios: name one of them", named.display(), loaded.len())));
    }
    let scenario = loaded.remove(0);
    if scenario.plan.is_empty() {
        return Err(usage(format!("{} has no steps, between which a prompt could open", scenario.path.display())));
    }
    if let Some(wanted) = &arguments.stop_at {
        let mut known = Vec::new();
        steps(&scenario.plan.steps, &mut known);
        if !known.contains(wanted) {
            let hint = nearest(wanted, known.iter().map(String::as_str))
                .map_or_else(|| format!("there is {}", known.join(", ")), |word| format!("did you mean `{word}`?"));
            return Err(usage(format!("{} has no step `{wanted}`: {hint}", scenario.path.display())));
        }
    }
    let wanted = arguments.case.as_deref().unwrap_or_default();
    let Some(case) = scenario.cases.iter().find(|case| case.name.contains(wanted)) else {
        return Err(usage(format!("no case's name contains \"{wanted}\": {}", scenario.names().join(", "))));
    };
    let name = case.name.clone();
    if scenario.cases.len() > 1 {
        error_line(&format!("of {} cases this is {name}: --case chooses another", scenario.cases.len()));
    }
    let mut is_first = true;
    let one = scenario.narrowed(|case| case.name == name && std::mem::take(&mut is_first));
    one.ok_or_else(|| usage(format!("{} has no case {name}", scenario.path.display())))
}

/// Collects numbers and names of steps before which a prompt can open.
fn steps(of: &[PlannedStep], known: &mut Vec<String>) {
    for step in of {
        if let Act::Include(included) = &step.act {
            steps(included, known);
        } else {
            known.push(step.number.clone());
            known.extend(step.name.clone());
        }
    }
}
