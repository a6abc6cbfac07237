//! Serves a function to one vfio-user client after the other.
//!
//! The messages are read here, not by [`vfio_user::Server`], whose words and client this crate uses: that server panics
//! at a malformed version message, takes a part of a header for a whole one, leaves the payload of commands that it does
//! not know in the stream, allocates what a client says, serves one connection, and cannot be stopped. A card has to
//! outlive its clients.

mod connection;
mod messages;
mod requests;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::PollFlags;

use crate::card::Card;
use crate::clock;
use crate::control;
use crate::description::{Description, DescriptionError};
use crate::function::{Function, Shared};
use crate::handle::Handle;
use crate::listener::{Listener, SocketError, Sockets};
use crate::stop::{Stop, wait};
use crate::tap::{Tap, Taps};
use crate::waker::Waker;
use connection::{Connection, ConnectionError};
use messages::{Header, flags};
use requests::{Client, Reply};

/// Errors of a client that are logged; a hostile one must not fill the log.
const LOGGED_ERRORS_MAX: u32 = 100;

/// The pause after a connection could not be accepted, such as for too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a card cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The description cannot be a PCI function.
    #[error("the description of the card: {0}")]
    Description(#[from] DescriptionError),
    /// A socket cannot be opened.
    #[error("{0}")]
    Socket(#[from] SocketError),
    /// The host refuses something else.
    #[error("{0}")]
    Host(#[from] io::Error),
}

/// A card's sockets, which are listened on, and its function.
#[derive(Debug)]
pub struct Server {
    shared: Shared,
    listener: Listener,
    control: Option<Listener>,
    stop: Stop,
}

impl Server {
    /// Listens on both sockets. Clients can connect from now on; they are served by [`run`](Self::run).
    ///
    /// # Errors
    /// [`ServeError`], when the description cannot be a PCI function or a socket cannot be opened.
    pub fn bind(description: Description, sockets: &Sockets) -> Result<Self, ServeError> {
        description.check()?;
        let listener = Listener::bind(&sockets.socket)?;
        let control = sockets.control.as_deref().map(Listener::bind).transpose()?;
        Self::new(description, listener, control)
    }

    /// Serves clients of a socket that listens already, such as one that a parent process has passed, without a control
    /// socket.
    ///
    /// # Errors
    /// [`ServeError`], when the description cannot be a PCI function or the host refuses.
    pub fn listening(description: Description, listener: UnixListener) -> Result<Self, ServeError> {
        description.check()?;
        Self::new(description, Listener::adopt(listener)?, None)
    }

    fn new(description: Description, listener: Listener, control: Option<Listener>) -> Result<Self, ServeError> {
        let shared = Shared::new(description, Some(Waker::new()?), Taps::default())?;
        Ok(Self { shared, listener, control, stop: Stop::new()? })
    }

    /// Lets a recorder listen to every act of the card.
    #[must_use]
    pub fn recorded(mut self, tap: Arc<dyn Tap>) -> Self {
        self.shared.journal.taps = Taps::new(Some(tap));
        self
    }

    /// Returns what ends [`run`](Self::run).
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Serves the card that `make` makes, until the stop is requested. The calling thread serves vfio-user; the control
    /// socket and [`Card::tick`] have threads of their own.
    ///
    /// # Errors
    /// [`ServeError::Host`], when the host has no more threads or descriptors.
    ///
    /// # Panics
    /// When the card panics, in whichever thread.
    pub fn run<C: Card + 'static>(self, make: impl FnOnce(Handle) -> C) -> Result<(), ServeError> {
        let Self { shared, listener, control, stop } = self;
        let shared = Arc::new(shared);
        let card = Box::new(make(Handle::new(Arc::clone(&shared))));
        let function = Function { shared, card: Mutex::new(card) };
        let (function, stop, start) = (&function, &stop, Instant::now());
        std::thread::scope(|scope| {
            let _guard = stop.on_panic();
            let served = (|| {
                std::thread::Builder::new()
                    .name("clock".into())
                    .spawn_scoped(scope, move || clock::run(function, start, stop))?;
                if let Some(control) = control {
                    std::thread::Builder::new()
                        .name("control".into())
                        .spawn_scoped(scope, move || control::run(scope, control, function, stop))?;
                }
                serve_all(function, &listener, stop)
            })();
            stop.request();
            served
        })?;
        Ok(())
    }
}

/// Serves one client after the other until the stop is requested.
fn serve_all(function: &Function, listener: &Listener, stop: &Stop) -> io::Result<()> {
    loop {
        let [stopped, _] = wait(&[(stop.as_fd(), PollFlags::IN), (listener.as_fd(), PollFlags::IN)], None)?;
        if stopped {
            return Ok(());
        }
        match listener.accept() {
            Ok(Some(stream)) => serve_one(function, stream, listener, stop),
            Ok(None) => {}
            Err(error) => {
                function.shared.journal.log(&format!("no machine can connect: {error}"));
                wait(&[(stop.as_fd(), PollFlags::IN)], Some(Instant::now() + ACCEPT_PAUSE))?;
            }
        }
    }
}

fn serve_one(function: &Function, stream: UnixStream, listener: &Listener, stop: &Stop) {
    let shared = &function.shared;
    shared.connections.fetch_add(1, Ordering::Relaxed);
    shared.journal.log("a machine has connected");
    let end = Connection::new(stream, stop, listener).map_err(ConnectionError::from).and_then(|mut connection| {
        let end = serve_messages(function, &mut connection);
        connection.close();
        end
    });
    function.disconnect();
    match end {
        Ok(()) | Err(ConnectionError::Stopped) => shared.journal.log("the machine has disconnected"),
        Err(error) => shared.journal.log(&format!("the machine is disconnected: {error}")),
    }
}

fn serve_messages(function: &Function, connection: &mut Connection<'_>) -> Result<(), ConnectionError> {
    let mut client = Client::default();
    let mut errors = 0;
    while let Some(message) = connection.next()? {
        let Header { id, command, flags: asked, .. } = message.header;
        if asked & flags::KIND != flags::COMMAND {
            // A reply to nothing: this server sends no commands.
            continue;
        }
        let silent = asked & flags::NO_REPLY != 0;
        let reply = Header { id, command, flags: flags::REPLY, ..Header::default() };
        match client.carry_out(function, message) {
            Ok(_) if silent => {}
            Ok(Reply { payload, file }) => connection.send(reply, &payload, file.as_ref().map(AsFd::as_fd))?,
            Err(error) => {
                errors += 1;
                if errors <= LOGGED_ERRORS_MAX {
                    function.shared.journal.log(&format!("vfio-user command {command} is refused: {error}"));
                }
                if !silent {
                    let error = error.errno().raw_os_error() as u32;
                    connection.send(Header { flags: reply.flags | flags::ERROR, error, ..reply }, &[], None)?;
                }
            }
        }
    }
    Ok(())
}
