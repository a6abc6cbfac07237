//! Serves the control socket: the device control contract of [CONTROL.md](../CONTROL.md), protocol 1.

mod commands;
mod lines;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::function::Function;
use crate::listener::Listener;
use crate::stop::{Stop, wait};
use commands::{Outcome, carry_out, refusal};
use lines::{Line, LineError, Lines, send_line};

/// Bytes of a line, with its end: a command, or an answer.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 10;
/// Clients at a time: a harness, a person who looks on, and some to spare.
const CLIENTS_MAX: usize = 8;
/// How long a client may take from a line's first byte to its end, or to read an answer.
const LINE_TIME_MAX: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted, such as for too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves clients until the stop is requested, each in a thread of its own.
pub(crate) fn run<'scope>(
    scope: &'scope Scope<'scope, '_>,
    listener: Listener,
    function: &'scope Function,
    stop: &'scope Stop,
) {
    let _guard = stop.on_panic();
    let clients = Arc::new(AtomicUsize::new(0));
    loop {
        match wait(&[(stop.as_fd(), PollFlags::IN), (listener.as_fd(), PollFlags::IN)], None) {
            Ok([false, _]) => {}
            Ok([true, _]) | Err(_) => return,
        }
        let stream = match listener.accept() {
            Ok(Some(stream)) => stream,
            Ok(None) => continue,
            Err(error) => {
                function.shared.journal.log(&format!("control socket: no client can connect: {error}"));
                let _ = wait(&[(stop.as_fd(), PollFlags::IN)], Some(Instant::now() + ACCEPT_PAUSE));
                continue;
            }
        };
        if clients.load(Ordering::SeqCst) >= CLIENTS_MAX {
            let answer = refusal("failed", &format!("{CLIENTS_MAX} clients are connected; disconnect one"));
            let _ = send_line(&stream, stop, &answer, Instant::now());
            continue;
        }
        clients.fetch_add(1, Ordering::SeqCst);
        let counted = Arc::clone(&clients);
        let served = std::thread::Builder::new().name("control-client".into()).spawn_scoped(scope, move || {
            let _guard = stop.on_panic();
            if let Err(error) = serve(&stream, function, stop) {
                log::debug!("control socket: {error}");
            }
            counted.fetch_sub(1, Ordering::SeqCst);
        });
        if let Err(error) = served {
            clients.fetch_sub(1, Ordering::SeqCst);
            function.shared.journal.log(&format!("control socket: no thread for a client: {error}"));
        }
    }
}

/// Answers a client until it disconnects or exceeds a limit.
fn serve(stream: &UnixStream, function: &Function, stop: &Stop) -> Result<(), LineError> {
    let mut lines = Lines::default();
    loop {
        let (answer, outcome) = match lines.next(stream, stop, LINE_TIME_MAX)? {
            Line::Whole(line) => carry_out(function, &line),
            Line::End => return Ok(()),
            Line::TooLong => {
                let why = format!("the line is longer than {LINE_BYTES_MAX} bytes; the connection is closed");
                (refusal("malformed", &why), Outcome::Disconnect)
            }
            Line::TooSlow => {
                let seconds = LINE_TIME_MAX.as_secs();
                let why = format!("the line was not complete within {seconds} s; the connection is closed");
                (refusal("malformed", &why), Outcome::Disconnect)
            }
        };
        let sent = send_line(stream, stop, &answer, Instant::now() + LINE_TIME_MAX);
        if outcome == Outcome::Shutdown {
            // After its answer: this connection ends with the process.
            stop.request();
        }
        sent?;
        if outcome != Outcome::Go {
            lines::drop_rest(stream);
            return Ok(());
        }
    }
}
