//! The command line: words to calls, results to words and exit codes.

mod args;
mod boot;
mod driver;
mod error;
mod hostile;
mod print;
mod sound;
mod terminal;
mod verbs;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::Parser;
use dmus::host::failure::{Class, Diagnosed};
use dmus::host::interrupt;

use args::{Arguments, Verb};
use error::Error;
use print::{error_line, out};

/// Runs the command line; a panic is the harness's own fault and has an exit code of its own.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = interrupt::listen() {
        error_line(&format!("cannot listen for signals: {error}"));
        return Class::Host.exit_code().into();
    }
    match panic::catch_unwind(AssertUnwindSafe(|| run(&arguments.verb))) {
        Ok(Ok(None)) => ExitCode::SUCCESS,
        Ok(Ok(Some(class))) => class.exit_code().into(),
        // Whatever did not come to its end did not because the user wanted to leave.
        Ok(Err(error)) if interrupt::asked() && error.class() != Class::Interrupted => {
            error_line(&format!(
                "error ({}): interrupted{}: {error}",
                Class::Interrupted.name(),
                interrupt::by_signal()
            ));
            Class::Interrupted.exit_code().into()
        }
        Ok(Err(error)) => {
            report(&error, arguments.verb.json());
            error.class().exit_code().into()
        }
        // The panic hook has said where.
        Err(_) => {
            error_line("this is a bug of the harness: please report it with the lines above");
            Class::HarnessBug.exit_code().into()
        }
    }
}

/// A verb's result: the class of what failed, if something did.
type Outcome = Result<Option<Class>, Error>;

fn run(verb: &Verb) -> Outcome {
    match verb {
        Verb::Demo(arguments) => verbs::demo(arguments),
        Verb::Run(arguments) => verbs::run(arguments),
        Verb::Test(arguments) => verbs::test(arguments),
        Verb::Render(arguments) => sound::render(arguments),
        Verb::Bank(verb) => sound::bank(verb),
        Verb::Bench(arguments) => verbs::bench(arguments),
        Verb::Driver(arguments) => driver::driver(arguments),
        Verb::Shortage(arguments) => verbs::shortage(arguments),
        Verb::Boot(arguments) => boot::boot(arguments),
        Verb::Doctor(arguments) => verbs::doctor(arguments),
    }
}

/// What happened, and what to do.
fn report(error: &Error, json: bool) {
    error_line(&format!("error ({}): {error}", error.class().name()));
    if let Some(remedy) = error.remedy() {
        error_line(&format!("remedy: {remedy}"));
    }
    if json {
        out(&serde_json::json!({
            "passed": 0,
            "failed": 1,
            "skipped": 0,
            "artefacts": [],
            "class": error.class(),
            "error": error.to_string(),
            "remedy": error.remedy(),
        })
        .to_string());
    }
}
