//! `vhost-device-dmus`: the DirectMusic card as a process.

use std::io::{Write, stderr};
use std::process::ExitCode;

use card_control::PROGRAM;
use clap::Parser;
use dmus_card::cli::args::{Arguments, Command};
use dmus_card::cli::exit::Failure;
use dmus_card::cli::serve::serve;
use dmus_card::cli::signal_exit::abandon_files_on_signals;
use dmus_card::cli::{commands, confine, replay};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let abandon_files = || abandon_files_on_signals().map_err(Failure::out_of_resources);
    let done = confine::begin(&arguments).and_then(|()| match &arguments.command {
        Some(Command::Render(render)) => abandon_files().and_then(|()| commands::render(render)),
        Some(Command::Replay(arguments)) => replay::replay(arguments),
        Some(Command::Bank(command)) => abandon_files().and_then(|()| commands::with_bank(command)),
        None => serve(&arguments.serve),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where standard error is lost too, the exit code says it.
            let _ = writeln!(stderr(), "{PROGRAM}: {failure}");
            failure.code().into()
        }
    }
}
