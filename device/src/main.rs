//! `vhost-device-dmus`: the DirectMusic card as a process.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use card_spec::limits::SAMPLE_RATE_DEFAULT;
use clap::Parser;
use dls_synth::Bank;
use dmus_card::args::{Arguments, Command, Render, Serve};
use dmus_card::card::Options;
use dmus_card::control_socket::ControlSocket;
use dmus_card::engine::Engine;
use dmus_card::exit::Failure;
use dmus_card::line_out::LineOut;
use dmus_card::socket::vhost_user::{Ended, VhostUser};
use dmus_card::stop::Stop;
use dmus_card::{offline, socket};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let done = match &arguments.command {
        Some(Command::Render(render)) => render_offline(render),
        None => serve(&arguments.serve),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("vhost-device-dmus: {failure}");
            failure.code()
        }
    }
}

/// What this back-end can do, by the convention for vhost-user programs (QEMU, "Backend program conventions"). No
/// feature of that convention applies to it.
const CAPABILITIES: &str = r#"{"type": "dmus", "features": []}"#;

fn render_offline(arguments: &Render) -> Result<(), Failure> {
    let bank = read_bank(arguments.bank.as_deref())?;
    let rendered = offline::run(arguments, bank)?;
    if arguments.json {
        let json = serde_json::to_string(&rendered).map_err(|error| Failure::Internal(error.to_string()))?;
        println!("{json}");
    } else {
        let peak = rendered.peak_dbfs.map_or_else(|| "silence".into(), |peak| format!("{peak:.2} dBFS"));
        println!("frames      {} at {} Hz", rendered.frames, rendered.sample_rate);
        println!("events      {}, {} notes lost", rendered.events, rendered.notes_lost);
        println!("peak        {peak}");
        println!("pcm_sha256  {}", rendered.pcm_sha256);
    }
    Ok(())
}

fn read_bank(path: Option<&Path>) -> Result<Arc<Bank>, Failure> {
    let Some(path) = path else { return Ok(Bank::builtin()) };
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| Failure::BankFile { path: name(), source })?;
    let bank = Bank::from_bytes(&bytes).map_err(|source| Failure::Bank { path: name(), source })?;
    Ok(Arc::new(bank))
}

fn serve(arguments: &Serve) -> Result<(), Failure> {
    if arguments.print_capabilities {
        println!("{CAPABILITIES}");
        return Ok(());
    }
    let place = arguments
        .place()
        .ok_or_else(|| Failure::Arguments("say where QEMU connects: --socket-path PATH, or --fd N".into()))?;
    let line_out = match &arguments.line_out {
        Some(text) => {
            let path = text.strip_prefix("wav:").ok_or_else(|| {
                Failure::Arguments(format!("--line-out {text}: expected wav: and the name of a file"))
            })?;
            Some(LineOut::create(Path::new(path), SAMPLE_RATE_DEFAULT)?)
        }
        None => None,
    };
    let bank = read_bank(arguments.sound.bank.as_deref())?;
    let mut endpoint = socket::open(&place)?;

    let stop = Stop::new().map_err(host_is_out_of)?;
    stop.on_signals().map_err(host_is_out_of)?;
    let options =
        Options { clock: arguments.clock, voices: arguments.sound.voices, render_block: arguments.sound.render_block };
    let engine = Engine::start(options, bank, line_out).map_err(host_is_out_of)?;
    let control = match &arguments.control {
        Some(path) => Some(ControlSocket::start(path, engine.link().clone(), stop.clone())?),
        None => None,
    };

    let mut served = Ok(());
    while let Some(stream) = endpoint.next(&stop)? {
        log::info!("a machine has connected");
        match VhostUser::new(engine.link().clone()).serve(stream, &stop) {
            Ok(Ended::Disconnected) => log::info!("the machine has left"),
            Ok(Ended::Stopped) => break,
            Err(error) if arguments.persistent => log::error!("the connection failed: {error}"),
            Err(error) => served = Err(Failure::Connection(error)),
        }
        if !arguments.persistent {
            break;
        }
    }

    drop(control);
    let line_out = engine.stop().map_err(|_| {
        Failure::Internal("the card's thread had ended; this is a defect of the card, please report it".into())
    })?;
    served?;
    line_out.map_or(Ok(()), |line_out| line_out.finish().map_err(Failure::from))
}

fn host_is_out_of(error: io::Error) -> Failure {
    Failure::Internal(format!("the host refuses a thread or a descriptor: {error}; raise its limits (ulimit -n, -u)"))
}
