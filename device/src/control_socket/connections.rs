//! The connections of the control socket: how one is accepted, served, and closed for another.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use card_control::answer::refused;
use card_control::limits::{ANSWER_TIME_MAX, CONNECTIONS_MAX, LINE_BYTES_MAX, LINE_TIME_MAX};
use log::Level;
use parking_lot::Mutex;

use super::commands::answer;
use super::lines::{Line, Lines, drop_sent, send_all, send_some};
use crate::card::Link;
use crate::log_limited;
use crate::sandbox::{self, Role};
use crate::stop::Stop;
use crate::transport::Endpoint;

/// The idle time after which a connection can be closed for another: time to send a command after it has
/// been made, on a busy machine.
const IDLE_TIME_MIN: Duration = Duration::from_millis(250);

/// The time that an answer is unread after which its connection can be closed for another. A client that reads, reads
/// within this on a busy machine.
const UNREAD_TIME_MAX: Duration = Duration::from_secs(1);

/// The interval of the search for a connection to close, while some can soon be closed.
const PLACE_PAUSE: Duration = Duration::from_millis(10);

/// The control socket, served until it is dropped.
pub struct ControlSocket {
    closing: Stop,
    thread: Option<JoinHandle<()>>,
}

impl ControlSocket {
    /// Serves `endpoint`. `shutdown` requests `stop`.
    ///
    /// # Errors
    /// The host's error, when it has no more descriptors or threads.
    pub fn start(endpoint: Endpoint, link: Link, stop: Stop) -> io::Result<Self> {
        let closing = Stop::new()?;
        let service = Service { link, stop, closing: closing.clone() };
        let builder = std::thread::Builder::new().name("control".into());
        let thread = builder.spawn(move || {
            sandbox::enter(Role::Control);
            accept_all(endpoint, &service);
        })?;
        Ok(Self { closing, thread: Some(thread) })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.closing.request();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The parts that every connection needs.
#[derive(Clone)]
struct Service {
    link: Link,
    /// Requests the end of the process.
    stop: Stop,
    /// Requests the end of the control socket.
    closing: Stop,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A line is not complete yet. Since the last answer.
    Idle(Instant),
    /// A command is being carried out.
    Answering,
    /// The client does not read an answer.
    Unread(Instant),
    /// It is being closed for another connection.
    Evicted,
}

/// A client's connection.
struct Connection {
    stream: UnixStream,
    state: Mutex<State>,
}

impl Connection {
    /// Changes to another state. False when the connection is being closed for another.
    fn enter(&self, next: State) -> bool {
        let mut state = self.state.lock();
        let mine = *state != State::Evicted;
        if mine {
            *state = next;
        }
        mine
    }

    /// Returns the order in which connections are closed for others, and whether this one can be now. `None` when it
    /// cannot.
    fn readiness(state: State) -> Option<(bool, Instant, bool)> {
        match state {
            State::Idle(since) => Some((false, since, since.elapsed() >= IDLE_TIME_MIN)),
            State::Unread(since) => Some((true, since, since.elapsed() >= UNREAD_TIME_MAX)),
            State::Answering | State::Evicted => None,
        }
    }

    /// Closes the connection for another, if it can be.
    fn evict(&self) -> bool {
        let mut state = self.state.lock();
        let Some((unread, _, true)) = Self::readiness(*state) else { return false };
        *state = State::Evicted;
        // Its thread wakes up. One that waits for its client to read sends no more.
        let _ = self.stream.shutdown(if unread { Shutdown::Both } else { Shutdown::Read });
        true
    }

    /// Answers a client until it disconnects, or exceeds a limit.
    ///
    /// # Errors
    /// The host's error, when the connection fails.
    fn serve(&self, service: &Service) -> io::Result<()> {
        let mut lines = Lines::default();
        loop {
            let line = lines.next(&self.stream, &service.closing)?;
            if !self.enter(State::Answering) {
                return self.refuse(
                    "another client has needed the connection, and this one was idle for the longest time; connect again",
                );
            }
            match line {
                Line::Whole(line) => self.answer(service, &line)?,
                Line::End => return Ok(()),
                Line::TooSlow => {
                    let seconds = LINE_TIME_MAX.as_secs();
                    return self
                        .refuse(&format!("the line was not complete within {seconds} s; the connection is closed"));
                }
                Line::TooLong => {
                    let why = format!("the line is longer than {LINE_BYTES_MAX} bytes; the connection is closed");
                    self.send(service, &refused(&why)?)?;
                    self.stream.shutdown(Shutdown::Write)?;
                    // It counts as idle: other clients need not wait for the rest of the line.
                    return lines.drop_rest(&self.stream, &service.closing);
                }
            }
        }
    }

    fn answer(&self, service: &Service, line: &[u8]) -> io::Result<()> {
        let mut shutdown = false;
        let stopping = || service.closing.is_requested() || service.stop.is_requested();
        let answer = match answer(&service.link, line, stopping, &mut shutdown) {
            Ok(answer) => answer,
            Err(error) => refused(&error)?,
        };
        let sent = self.send(service, &answer);
        if shutdown {
            // Not before the answer is sent: this connection ends with the process.
            service.stop.request();
        }
        sent
    }

    /// Sends an answer, and is idle from then on.
    ///
    /// # Errors
    /// The host's error, when the connection fails or the client does not read in time.
    fn send(&self, service: &Service, answer: &[u8]) -> io::Result<()> {
        let rest = {
            // A client that has its answer must find the connection idle: sending does not block.
            let mut state = self.state.lock();
            let rest = send_some(&self.stream, answer)?;
            let next = if rest.is_empty() { State::Idle(Instant::now()) } else { State::Unread(Instant::now()) };
            if *state != State::Evicted {
                *state = next;
            }
            rest
        };
        if !rest.is_empty() {
            send_all(&self.stream, &service.closing, rest, ANSWER_TIME_MAX)?;
            self.enter(State::Idle(Instant::now()));
        }
        Ok(())
    }

    /// Answers with the reason for which the connection ends, if its socket has room for that.
    fn refuse(&self, why: &str) -> io::Result<()> {
        refuse(&self.stream, why)
    }
}

fn refuse(stream: &UnixStream, why: &str) -> io::Result<()> {
    send_some(stream, &refused(why)?)?;
    drop_sent(stream);
    Ok(())
}

/// A connection and the thread that serves it.
type Served = (Arc<Connection>, JoinHandle<()>);

/// Accepts and serves connections, until the control socket is to end.
fn accept_all(mut endpoint: Endpoint, service: &Service) {
    let mut served: Vec<Served> = Vec::new();
    loop {
        let stream = match endpoint.next(&service.closing) {
            Ok(Some(stream)) => stream,
            Ok(None) => break,
            Err(error) => {
                log::error!("control socket: {error}; it is not served any more");
                break;
            }
        };
        if !make_place(&mut served, &service.closing) {
            log_limited!(
                Level::Warn,
                "control socket: all {CONNECTIONS_MAX} connections are being answered; another one is refused"
            );
            let all = format!("all {CONNECTIONS_MAX} connections are being answered; try again");
            let _ = refuse(&stream, &all);
            continue;
        }
        match serve_connection(stream, service) {
            Ok(connection) => served.push(connection),
            Err(error) => {
                log_limited!(
                    Level::Error,
                    "control socket: no thread for a connection: {error}; raise the limit (ulimit -u)"
                );
            }
        }
    }
    for (_, thread) in served {
        let _ = thread.join();
    }
}

/// Makes sure that one more connection can be served: in place of one that has ended, or else of the one that has been
/// idle for the longest time, or else of one whose client does not read its answer. False when all are being answered.
fn make_place(served: &mut Vec<Served>, closing: &Stop) -> bool {
    loop {
        served.retain(|(_, thread)| !thread.is_finished());
        if served.len() < CONNECTIONS_MAX {
            return true;
        }
        let mut candidates: Vec<_> = served
            .iter()
            .enumerate()
            .filter_map(|(index, (connection, _))| {
                let (unread, since, _) = Connection::readiness(*connection.state.lock())?;
                Some((unread, since, index))
            })
            .collect();
        candidates.sort_unstable();
        if let Some((.., index)) = candidates.iter().find(|(.., index)| served[*index].0.evict()) {
            log_limited!(
                Level::Info,
                "control socket: the connection that was idle for the longest time is closed for another"
            );
            // It has nothing to wait for, so there are never more threads than connections.
            let (_, thread) = served.swap_remove(*index);
            let _ = thread.join();
        } else if candidates.is_empty() || closing.pause(PLACE_PAUSE) {
            return false;
        }
    }
}

fn serve_connection(stream: UnixStream, service: &Service) -> io::Result<Served> {
    let connection = Arc::new(Connection { stream, state: Mutex::new(State::Idle(Instant::now())) });
    let thread = {
        let (connection, service) = (Arc::clone(&connection), service.clone());
        std::thread::Builder::new().name("control-line".into()).spawn(move || {
            sandbox::enter(Role::ControlLine);
            if let Err(error) = connection.serve(&service) {
                log::debug!("control socket: {error}");
            }
            // Others may hold the connection a little longer than its thread.
            let _ = connection.stream.shutdown(Shutdown::Both);
        })?
    };
    Ok((connection, thread))
}
