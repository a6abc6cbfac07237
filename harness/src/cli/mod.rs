//! The command line: options to calls, results to text, JSON and exit codes.

mod args;
mod bench;
mod boot;
mod check_inf;
mod clean;
mod debugger;
mod demo;
mod device;
mod dist;
mod doctor;
mod driver;
mod error;
mod guest;
mod hostile;
mod image;
mod list;
mod package;
mod play;
mod reports;
mod run;
mod run_arguments;
mod scenarios;
mod schema;
mod setup;
mod sound;
mod test;
mod trace;
mod trace_reduce;
mod trace_replay;
mod verbs;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use dmus::host::failure::{Class, Diagnosed};
use dmus::host::interrupt;
use dmus::host::invocation;
use dmus::host::leftovers::{self, Watcher};
use dmus::report::{error_line, error_object, keep, lost_output, out_json};

use error::{Error, Outcome};
use verbs::{Arguments, Verb};

/// Runs the command line; a panic is a bug of the harness and has an exit code of its own.
pub(crate) fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == leftovers::WATCH) {
        leftovers::watch();
        return ExitCode::SUCCESS;
    }
    let arguments = match parse() {
        Ok(arguments) => arguments,
        // Help, the version, or what is wrong with the command line.
        Err(error) => {
            let stream = if error.use_stderr() { "standard error" } else { "standard output" };
            keep(stream, error.print());
            return with_output(u8::try_from(error.exit_code()).unwrap_or(Class::Usage.exit_code()));
        }
    };
    if let Err(error) = interrupt::listen() {
        error_line(&format!("cannot handle signals: {error}"));
        return Class::Host.exit_code().into();
    }
    let watcher = Watcher::start();
    let code = with_output(run_to_code(&arguments));
    watcher.leave();
    code
}

/// Parses the command line, under the name by which the user started this program.
fn parse() -> Result<Arguments, clap::Error> {
    Arguments::from_arg_matches(&Arguments::command().bin_name(invocation::program()).try_get_matches()?)
}

/// Returns the exit code of a verb, or that of lost output where the verb succeeded.
fn with_output(code: u8) -> ExitCode {
    let Some(lost) = lost_output() else { return code.into() };
    error_line(&format!("error ({}): {lost}", lost.class().name()));
    if let Some(remedy) = lost.remedy() {
        error_line(&format!("remedy: {remedy}"));
    }
    if code == 0 { lost.class().exit_code().into() } else { code.into() }
}

/// Runs a verb, prints what failed, and returns its exit code.
fn run_to_code(arguments: &Arguments) -> u8 {
    match panic::catch_unwind(AssertUnwindSafe(|| run_verb(&arguments.verb))) {
        Ok(Ok(None)) => 0,
        Ok(Ok(Some(class))) => class.exit_code(),
        // What failed after the user's signal failed because of it.
        Ok(Err(error)) if interrupt::requested() && error.class() != Class::Interrupted => {
            error_line(&format!(
                "error ({}): interrupted{}: {error}",
                Class::Interrupted.name(),
                interrupt::by_signal()
            ));
            Class::Interrupted.exit_code()
        }
        Ok(Err(error)) => {
            report(&error, arguments.verb.json());
            error.class().exit_code()
        }
        // The panic hook has printed the place.
        Err(_) => {
            error_line("this is a bug of the harness: please report it with the lines above");
            Class::HarnessBug.exit_code()
        }
    }
}

fn run_verb(verb: &Verb) -> Outcome {
    match verb {
        Verb::Demo(arguments) => demo::demo(arguments),
        Verb::Run(arguments) => run::run(arguments),
        Verb::List(arguments) => list::list(arguments),
        Verb::Test(arguments) => test::test(arguments),
        Verb::Play(arguments) => play::play(arguments),
        Verb::Render(arguments) => sound::render(arguments),
        Verb::Bank(verb) => sound::bank(verb),
        Verb::Bench(arguments) => bench::bench(arguments),
        Verb::Trace(verb) => trace::trace(verb),
        Verb::Driver(arguments) => driver::driver(arguments),
        Verb::Dist(arguments) => dist::dist(arguments),
        Verb::Package(arguments) => package::package(arguments),
        Verb::Cat(verb) => package::cat(verb),
        Verb::Image(verb) => image::image(verb),
        Verb::CheckInf(arguments) => check_inf::check_inf(arguments),
        Verb::Schema(arguments) => Ok(schema::print(arguments)),
        Verb::Completions(arguments) => dist::completions(arguments),
        Verb::LowResources(arguments) => run::low_resources(arguments),
        Verb::Boot(arguments) => boot::boot(arguments),
        Verb::Doctor(arguments) => doctor::doctor(arguments),
        Verb::Clean(arguments) => clean::clean(arguments),
    }
}

/// Prints an error that ended a verb, and its remedy.
fn report(error: &Error, json: bool) {
    error_line(&format!("error ({}): {error}", error.class().name()));
    if let Some(remedy) = error.remedy() {
        error_line(&format!("remedy: {remedy}"));
    }
    if json {
        out_json(&error_object(error));
    }
}
