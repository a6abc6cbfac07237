//! Serves QEMU until it disconnects, or until the process is to end.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use card_control::log::{FRONT_END_DISCONNECTED, STOPPED_BY_SIGNAL};
use card_control::{Clock, Transport};
use card_spec::limits::SAMPLE_RATE_DEFAULT;
use card_trace::{CardStart, Settings, TraceOption, Writer};
use dls_synth::Bank;
use log::Level;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::signal_name;
use vhost_user_guard::descriptor_info;

use super::args::Serve;
use super::bank::{self, BankFile};
use super::commands::print;
use super::exit::Failure;
use super::signal_exit::ExitDeadline;
use crate::card::line_out::LineOut;
use crate::card::{Engine, Link, NoAnswer};
use crate::control_socket::{self, ControlSocket};
use crate::log_limited;
use crate::options::Options;
use crate::sandbox::{self, Role};
use crate::stop::Stop;
use crate::trace::Trace;
use crate::transport::vhost_user::{Ended, VhostUser, serve_guard};
use crate::transport::{self, Endpoint, vfio_user};

/// The features of this back-end, by the convention for vhost-user programs (QEMU, "Backend program conventions"). It has
/// none of those that the convention defines.
const CAPABILITIES: &str = r#"{"type": "dmus", "features": []}"#;

/// The program, as a trace names it.
pub(super) const PROGRAM_AND_VERSION: &str = concat!("vhost-device-dmus ", env!("CARGO_PKG_VERSION"));

/// Serves QEMU as the command line says.
///
/// # Errors
/// [`Failure::Arguments`] when the command line is incomplete, [`Failure::BankFile`] or [`Failure::Bank`] when the bank
/// cannot be used, [`Failure::Socket`], [`Failure::Control`] or [`Failure::Connection`] when a socket cannot be used,
/// [`Failure::Output`] or [`Failure::Trace`] when the sound file or the trace cannot be written, [`Failure::Internal`] when the host is out of threads or the
/// card has failed.
pub fn serve(arguments: &Serve) -> Result<(), Failure> {
    if arguments.print_capabilities {
        return print(&format!("{CAPABILITIES}\n"));
    }
    let place = arguments.place();
    if place.is_none() && arguments.guard.is_none() {
        return Err(Failure::Arguments(
            "the command line does not say where QEMU connects; add --socket-path PATH, or --fd N, or --guard PATH"
                .into(),
        ));
    }
    if arguments.guard.is_some() && arguments.transport == Transport::VfioUser {
        return Err(Failure::Arguments(
            "--guard stands before vhost-user's socket; over vfio-user QEMU outlives the card without one".into(),
        ));
    }
    let line_out = arguments.line_out.as_deref().map(sound_file).transpose()?;
    let bank_file = arguments.sound.bank.as_deref().map(BankFile::read).transpose()?;
    let (bank_bytes, bank_sha256) = bank_file.as_ref().map_or_else(bank::built_in_identity, BankFile::identity);
    let bank_name = bank_file.as_ref().map_or_else(|| bank::BUILT_IN.into(), BankFile::name);
    let bank = match bank_file {
        None => Bank::builtin(),
        Some(file) => sandbox::on_a_thread(Role::Parse, || file.to_play()).map_err(Failure::out_of_resources)??,
    };

    let stop = Stop::new().map_err(Failure::out_of_resources)?;
    // Before the stop is registered: then the signal is known where the stop is seen.
    let signal = remember_signals().map_err(Failure::out_of_resources)?;
    stop.on_signals().map_err(Failure::out_of_resources)?;
    let deadline = ExitDeadline::watch(&stop, &signal).map_err(Failure::out_of_resources)?;
    // The sockets before the files: another card at the same sockets is found before its files are written over.
    let mut endpoint = place.map(|place| transport::open(&place, &stop)).transpose()?;
    let control = match &arguments.control {
        Some(path) => Some(control_socket::listen(path, &stop)?),
        None => None,
    };
    for path in [endpoint.as_ref(), control.as_ref()].into_iter().flatten().filter_map(Endpoint::path) {
        deadline.removes(path);
    }
    let line_out = match line_out {
        Some(path) => Some(LineOut::create(path, SAMPLE_RATE_DEFAULT)?),
        None => None,
    };
    if let Some(line_out) = &line_out {
        deadline.completes(line_out);
    }
    // Mapped before anything is confined; later it needs no descriptor.
    let trace = match &arguments.trace {
        Some(TraceOption { path, size, pcm }) => {
            Trace::with(Writer::create(path, Settings { size: *size, pcm: *pcm, program: PROGRAM_AND_VERSION })?)
        }
        None => Trace::default(),
    };
    let options =
        Options { clock: arguments.clock, voices: arguments.sound.voices, render_block: arguments.sound.render_block };
    trace.card(&CardStart {
        lockstep: options.clock == Clock::Lockstep,
        vfio_user: arguments.transport == Transport::VfioUser,
        voices: options.voices,
        render_block: u32::try_from(options.render_block).unwrap_or(u32::MAX),
        bank_bytes,
        bank_sha256,
        bank: &bank_name,
    });
    // A panic is a defect, costs a session, and can be caused again: it must not fill a disk either.
    std::panic::set_hook(Box::new(|panic| log_limited!(Level::Error, "{panic}")));
    descriptor_info::prepare().map_err(Failure::out_of_resources)?;
    let engine = Engine::start_traced(options, bank, line_out.clone(), trace).map_err(Failure::out_of_resources)?;
    let control = match control {
        Some(control) => Some(
            ControlSocket::start(control, engine.link().clone(), stop.clone()).map_err(Failure::out_of_resources)?,
        ),
        None => None,
    };

    sandbox::enter(match arguments.transport {
        Transport::VhostUser => Role::Serve,
        Transport::VfioUser => Role::Function,
    });
    let served = match (&mut endpoint, &arguments.guard) {
        (Some(endpoint), _) if arguments.transport == Transport::VfioUser => {
            serve_vfio_user(endpoint, engine.link(), &stop, arguments.persistent)
        }
        (Some(endpoint), _) => serve_front_ends(endpoint, engine.link(), &stop, arguments.persistent),
        (None, Some(path)) => {
            let served = serve_guard(engine.link(), path, &stop).map_err(Failure::Connection);
            served.map(log_end)
        }
        (None, None) => Ok(()),
    };

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

/// Serves front-ends: one, or one after the other.
fn serve_front_ends(endpoint: &mut Endpoint, link: &Link, stop: &Stop, persistent: bool) -> Result<(), Failure> {
    while let Some(stream) = endpoint.next(stop)? {
        log_limited!(Level::Info, "a front-end has connected");
        match VhostUser::new(link.clone()).and_then(|connection| connection.serve(stream, stop)) {
            Ok(ended) => log_end(ended),
            Err(error) if persistent => log_limited!(Level::Error, "the connection failed: {error}"),
            Err(error) => return Err(Failure::Connection(error)),
        }
        if !persistent {
            break;
        }
    }
    Ok(())
}

fn log_end(ended: Ended) {
    if ended == Ended::Disconnected {
        log_limited!(Level::Info, "{FRONT_END_DISCONNECTED}");
    }
}

/// Serves one QEMU, or one after the other, as a PCI function of its own.
fn serve_vfio_user(endpoint: &Endpoint, link: &Link, stop: &Stop, persistent: bool) -> Result<(), Failure> {
    let listener = endpoint.listener().map_err(Failure::out_of_resources)?;
    let listener = listener.ok_or_else(|| {
        Failure::Arguments("--transport vfio-user takes a listening socket: pass one by --fd, or name a path".into())
    })?;
    vfio_user::serve(link, listener, persistent, stop).map_err(|error| Failure::Connection(io::Error::other(error)))
}

/// Returns the file that `--line-out` names.
///
/// # Errors
/// [`Failure::Arguments`], when the text does not begin with `wav:`.
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
