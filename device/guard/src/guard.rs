//! A guard, as it is built and served.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::connector::Connector;
use crate::finding::Finding;
use crate::limits::{CONFIG_BYTES_MAX, Limits};
use crate::log_limit::log_limited;
use crate::loss::BackendChange;
use crate::session::Session;
use crate::settings::{Ended, LossMark, Settings};
use crate::snapshot::ConfigSnapshot;
use crate::wire::wait_for;

/// The pause after the host had no descriptor or no memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Returns whether the host has no descriptor or no memory for one more connection now, and may have later.
fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Stands between front-ends and a back-end, one connection at a time.
///
/// ```no_run
/// use std::os::unix::net::UnixListener;
/// use vhost_user_guard::{Connector, Guard};
///
/// # fn main() -> std::io::Result<()> {
/// let guard = Guard::builder(Connector::path("/run/card.sock")?)
///     .on_finding(|finding| eprintln!("{finding}"))
///     .build();
/// let (stop, _request_stop) = std::io::pipe()?;
/// guard.serve(&UnixListener::bind("/run/qemu.sock")?, &stop)
/// # }
/// ```
pub struct Guard(Settings);

/// Builds a [`Guard`].
#[must_use]
pub struct Builder(Guard);

impl Guard {
    /// Begins a guard in front of the back-end that `connector` finds.
    pub fn builder(connector: Connector) -> Builder {
        Builder(Self(Settings {
            connector,
            limits: Limits::default(),
            config: None,
            loss_mark: None,
            in_order: false,
            reads_kicks: false,
            on_finding: None,
            on_backend: None,
        }))
    }

    /// Serves the connections of a listener, one after the other, until `stop` becomes readable. What is written to `stop` is
    /// not read.
    ///
    /// # Errors
    /// The host's error, when no connection can be accepted any more. A connection that fails is logged, and the next one is
    /// waited for.
    pub fn serve(&self, listener: &UnixListener, stop: impl AsFd) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let stop = stop.as_fd();
        loop {
            let mut watched = [
                PollFd::from_borrowed_fd(stop, PollFlags::IN),
                PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
            ];
            wait_for(&mut watched, None)?;
            if watched.first().is_some_and(|stop| !stop.revents().is_empty()) {
                return Ok(());
            }
            let front_end = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) =>
                {
                    continue;
                }
                Err(error) if is_out_of_resources(&error) => {
                    log_limited!(
                        log::Level::Warn,
                        "a connection waits, because it cannot be accepted: {error}; raise the host's limits (ulimit -n) or end \
                         what uses them"
                    );
                    let mut stop = [PollFd::from_borrowed_fd(stop, PollFlags::IN)];
                    wait_for(&mut stop, Instant::now().checked_add(ACCEPT_PAUSE))?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match self.serve_connection(front_end, stop) {
                Ok(Ended::Stopped) => return Ok(()),
                Ok(Ended::Disconnected) => log::info!("the front-end has disconnected"),
                Err(error) => log::error!("the connection to the front-end has failed: {error}"),
            }
        }
    }

    /// Serves one connection until the front-end disconnects or `stop` becomes readable. The back-end gets a connection of its
    /// own, which ends with this one. Until a back-end has been reached the front-end waits for its first answer.
    ///
    /// # Errors
    /// The host's error, when the front-end's socket or the wait for it fails.
    pub fn serve_connection(&self, front_end: UnixStream, stop: impl AsFd) -> io::Result<Ended> {
        front_end.set_nonblocking(true)?;
        Session::new(&self.0, front_end, stop.as_fd()).run()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { connector, limits, loss_mark, in_order, .. } = &self.0;
        f.debug_struct("Guard")
            .field("connector", connector)
            .field("limits", limits)
            .field("loss_mark", loss_mark)
            .field("in_order", in_order)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// Replaces the [`Limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.0.0.limits = limits;
        self
    }

    /// Calls `callback` for each [`Finding`], in the thread that serves. It must return soon, because the front-end waits.
    pub fn on_finding(mut self, callback: impl Fn(&Finding) + Send + Sync + 'static) -> Self {
        self.0.0.on_finding = Some(Box::new(callback));
        self
    }

    /// Calls `callback` when a back-end is reached and when it is lost, in the thread that serves.
    pub fn on_backend(mut self, callback: impl Fn(&BackendChange) + Send + Sync + 'static) -> Self {
        self.0.0.on_backend = Some(Box::new(callback));
        self
    }

    /// Answers GET_CONFIG from a snapshot that a back-end in this process publishes. Without one, and without a
    /// [`config_source`](Self::config_source), reads are relayed, and answered from the last answers while there is no back-end.
    pub fn config_snapshot(self, snapshot: Arc<ConfigSnapshot>) -> Self {
        self.config_source(move || snapshot.read())
    }

    /// Answers GET_CONFIG from what `source` returns at each read, for a back-end in this process that puts its configuration
    /// together from values that change often. It must return at once, because QEMU stands still meanwhile.
    pub fn config_source(mut self, source: impl Fn() -> [u8; CONFIG_BYTES_MAX] + Send + Sync + 'static) -> Self {
        self.0.0.config = Some(Box::new(source));
        self
    }

    /// Shows the loss of a back-end in a byte of the configuration, from the loss to the driver's reset. An offset at or past
    /// [`CONFIG_BYTES_MAX`] cannot be given.
    pub fn loss_mark(mut self, mark: LossMark) -> Self {
        const { assert!(u8::MAX as usize == CONFIG_BYTES_MAX - 1) };
        self.0.0.loss_mark = Some(mark);
        self
    }

    /// Declares that the back-end completes the buffers of a ring in the order in which they were made available. Then a new
    /// back-end continues rings of a lost one where the used ring ends. Otherwise they wait for a reset by the driver, because
    /// nothing says which buffers the lost back-end has completed.
    pub fn completes_in_order(mut self, in_order: bool) -> Self {
        self.0.0.in_order = in_order;
        self
    }

    /// Declares that the back-end empties the kick of each ring that it serves, as the framework's workers do. Then one that it
    /// leaves unread for [`Limits::kick`] is noticed from the first on; otherwise only after the guard has seen it empty one,
    /// because a back-end that polls its rings empties none.
    pub fn reads_kicks(mut self, reads_kicks: bool) -> Self {
        self.0.0.reads_kicks = reads_kicks;
        self
    }

    /// Returns the guard.
    #[must_use]
    pub fn build(self) -> Guard {
        self.0
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Builder").field(&self.0).finish()
    }
}
