//! `vhost-device-dmus`: the DirectMusic card as a process.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use card_control::PROGRAM;
use card_control::log::{FRONT_END_DISCONNECTED, STOPPED_BY_SIGNAL};
use card_spec::limits::SAMPLE_RATE_DEFAULT;
use clap::Parser;
use dmus_card::card::line_out::LineOut;
use dmus_card::card::{Engine, NoAnswer};
use dmus_card::cli::args::{Arguments, BankCommand, Command, Render, Serve};
use dmus_card::cli::exit::Failure;
use dmus_card::cli::signal_exit::{ExitDeadline, abandon_files_on_signals};
use dmus_card::cli::stems::DEVIATION_DBFS_MAX;
use dmus_card::cli::{bank, offline};
use dmus_card::control_socket::{self, ControlSocket};
use dmus_card::log_limited;
use dmus_card::options::Options;
use dmus_card::stop::Stop;
use dmus_card::transport;
use dmus_card::transport::Endpoint;
use dmus_card::transport::vhost_user::{Ended, VhostUser};
use log::Level;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::signal_name;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let done = match &arguments.command {
        Some(Command::Render(render)) => {
            abandon_files_on_signals().map_err(host_is_out_of).and_then(|()| render_offline(render))
        }
        Some(Command::Bank(command)) => {
            abandon_files_on_signals().map_err(host_is_out_of).and_then(|()| with_bank(command))
        }
        None => serve(&arguments.serve),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{PROGRAM}: {failure}");
            failure.code().into()
        }
    }
}

/// The features of this back-end, by the convention for vhost-user programs (QEMU, "Backend program conventions"). It has
/// none of those that the convention defines.
const CAPABILITIES: &str = r#"{"type": "dmus", "features": []}"#;

fn render_offline(arguments: &Render) -> Result<(), Failure> {
    let bank = bank::to_play(arguments.bank.as_deref())?;
    let rendered = offline::run(arguments, bank)?;
    let deviation = rendered.stems.as_ref().and_then(|stems| stems.deviation_dbfs);
    if let Some(deviation) = deviation.filter(|deviation| *deviation > DEVIATION_DBFS_MAX) {
        log::warn!(
            "the stems' sum differs from the mix by {deviation:.1} dBFS: the mix lost {} notes because it ran out of \
             voices, and the stems have them; allow more with --voices",
            rendered.notes_lost
        );
    }
    if arguments.json {
        let json = serde_json::to_string(&rendered).map_err(|error| Failure::Internal(error.to_string()))?;
        say(&format!("{json}\n"));
        return Ok(());
    }
    let peak = rendered.peak_dbfs.map_or_else(|| "silence".into(), |peak| format!("{peak:.2} dBFS"));
    say(&format!("frames      {} at {} Hz\n", rendered.frames, rendered.sample_rate));
    say(&format!("events      {}, {} notes lost\n", rendered.events, rendered.notes_lost));
    say(&format!("peak        {peak}\n"));
    say(&format!("pcm_sha256  {}\n", rendered.pcm_sha256));
    for stem in rendered.stems.iter().flat_map(|stems| &stems.stems) {
        let peak = stem.peak_dbfs.map_or_else(|| "silence".into(), |peak| format!("{peak:.2} dBFS"));
        say(&format!("stem        {}: {peak}\n", stem.file));
    }
    Ok(())
}

fn with_bank(command: &BankCommand) -> Result<(), Failure> {
    let text = match command {
        BankCommand::Info { file, brief, json } => bank::info(file, *brief, *json)?,
        BankCommand::Convert { from, to, json } => bank::convert(from, to, *json)?,
        BankCommand::Build { to, json } => bank::build(to, *json)?,
    };
    say(&text);
    Ok(())
}

/// Prints a result. A reader that has gone away is no reason to fail.
fn say(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn serve(arguments: &Serve) -> Result<(), Failure> {
    if arguments.print_capabilities {
        println!("{CAPABILITIES}");
        return Ok(());
    }
    let place = arguments.place().ok_or_else(|| {
        Failure::Arguments(
            "the command line does not say where QEMU connects; add --socket-path PATH, or --fd N".into(),
        )
    })?;
    let line_out = arguments.line_out.as_deref().map(sound_file).transpose()?;
    let bank = bank::to_play(arguments.sound.bank.as_deref())?;

    let stop = Stop::new().map_err(host_is_out_of)?;
    // Before the stop is registered: then the signal is known where the stop is seen.
    let signal = remember_signals().map_err(host_is_out_of)?;
    stop.on_signals().map_err(host_is_out_of)?;
    let deadline = ExitDeadline::watch(&stop).map_err(host_is_out_of)?;
    // The sockets before the files: another card at the same sockets is found before its files are written over.
    let mut endpoint = transport::open(&place, &stop)?;
    let control = match &arguments.control {
        Some(path) => Some(control_socket::listen(path, &stop)?),
        None => None,
    };
    for path in [Some(&endpoint), control.as_ref()].into_iter().flatten().filter_map(Endpoint::path) {
        deadline.removes(path);
    }
    let line_out = match line_out {
        Some(path) => Some(LineOut::create(path, SAMPLE_RATE_DEFAULT)?),
        None => None,
    };
    if let Some(line_out) = &line_out {
        deadline.completes(line_out);
    }
    let options =
        Options { clock: arguments.clock, voices: arguments.sound.voices, render_block: arguments.sound.render_block };
    // A panic is a defect, costs a session, and can be caused again: it must not fill a disk either.
    std::panic::set_hook(Box::new(|panic| log_limited!(Level::Error, "{panic}")));
    let engine = Engine::start(options, bank, line_out.clone()).map_err(host_is_out_of)?;
    let control = match control {
        Some(control) => {
            Some(ControlSocket::start(control, engine.link().clone(), stop.clone()).map_err(host_is_out_of)?)
        }
        None => None,
    };

    let mut served = Ok(());
    loop {
        let stream = match endpoint.next(&stop) {
            Ok(Some(stream)) => stream,
            Ok(None) => break,
            Err(error) => {
                served = Err(Failure::from(error));
                break;
            }
        };
        log_limited!(Level::Info, "a front-end has connected");
        match VhostUser::new(engine.link().clone()).serve(stream, &stop) {
            Ok(Ended::Disconnected) => log_limited!(Level::Info, "{FRONT_END_DISCONNECTED}"),
            Ok(Ended::Stopped) => break,
            Err(error) if arguments.persistent => {
                log_limited!(Level::Error, "the connection failed: {error}");
            }
            Err(error) => served = Err(Failure::Connection(error)),
        }
        if !arguments.persistent {
            break;
        }
    }

    // The exit status does not say why this process has ended; its log does.
    if let Some(name) = i32::try_from(signal.load(Ordering::Relaxed)).ok().and_then(signal_name) {
        log::info!("{STOPPED_BY_SIGNAL}{name}");
    }
    drop(control);
    let stopped = engine.stop().map_err(|error| match error {
        NoAnswer::Gone => {
            Failure::Internal("the card's thread had ended; this is a defect of the card, please report it".into())
        }
        stalled @ NoAnswer::Stalled { .. } => Failure::Internal(stalled.to_string()),
    });
    // Whether or not the card's thread has ended.
    let finished = line_out.map_or(Ok(()), |line_out| line_out.finish());
    stopped.map(drop).and(served).and(finished.map_err(Failure::from))
}

/// The file that `--line-out` names.
fn sound_file(text: &str) -> Result<&Path, Failure> {
    let path = text.strip_prefix("wav:").map(Path::new);
    path.ok_or_else(|| Failure::Arguments(format!("--line-out {text}: expected wav: and the name of a file")))
}

/// Returns where the number of the last SIGTERM or SIGINT is kept; 0 before the first.
fn remember_signals() -> io::Result<Arc<AtomicUsize>> {
    let last = Arc::new(AtomicUsize::new(0));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_usize(signal, last.clone(), signal as usize)?;
    }
    Ok(last)
}

fn host_is_out_of(error: io::Error) -> Failure {
    Failure::Internal(format!("the host refuses a thread or a descriptor: {error}; raise its limits (ulimit -n, -u)"))
}
