//! Serves the card by the framework's daemon, behind a guard in this process or in another.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use log::Level;
use rustix::event::PollFlags;
use vhost::vhost_user::{Error as ProtocolError, Listener};
use vhost_user_backend::{Error, VhostUserDaemon};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

use super::backend::Backend;
use crate::card::Link;
use crate::log_limited;
use crate::sandbox::{self, Role};
use crate::stop::{Stop, Waited};
use crate::transport::interrupts::LOOK_PERIOD;

/// The pause after a failure, which mostly is that of a host without descriptors: the connection waits meanwhile.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Serves the connections that come in on `listener`, one after the other, until `stop` is requested.
pub(super) fn serve(link: &Link, listener: UnixListener, stop: &Stop) {
    let watched = match listener.as_fd().try_clone_to_owned() {
        Ok(watched) => watched,
        Err(error) => {
            log::error!("the private socket cannot be watched: {error}; raise the limit (ulimit -n)");
            return;
        }
    };
    let mut listener = Listener::from(listener);
    while matches!(stop.wait(&watched, PollFlags::IN, None), Ok(Waited::Ready)) {
        if let Err(error) = serve_one(link, stop, |daemon| daemon.start(&mut listener)) {
            log_limited!(Level::Error, "the vhost-user framework has failed: {error}");
            if stop.pause(RETRY_PAUSE) {
                break;
            }
        }
    }
}

/// Serves a guard that listens on `path`, until it disconnects or `stop` is requested.
///
/// # Errors
/// The host's error, when no guard listens there, or when the connection fails.
pub(super) fn serve_guard(link: &Link, path: &Path, stop: &Stop) -> io::Result<()> {
    let path = path.to_str().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path is not in UTF-8"))?;
    serve_one(link, stop, |daemon| daemon.start_client(path)).map_err(|error| match error {
        Failed::Host(error)
        | Failed::Framework(Error::CreateBackendReqHandler(ProtocolError::SocketConnect(error))) => error,
        error @ Failed::Framework(_) => io::Error::other(error.to_string()),
    })
}

/// Why a connection is not served.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// The host has no descriptor for it.
    #[error("{0}; raise the limit of descriptors (ulimit -n)")]
    Host(#[from] io::Error),
    /// The framework cannot serve it.
    #[error("{0}")]
    Framework(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Framework(error)
    }
}

/// Serves the connection that `start` makes, by a daemon of its own, so that nothing of it is left for the next one. Then all
/// rings are taken out of use.
fn serve_one(
    link: &Link,
    stop: &Stop,
    start: impl FnOnce(&mut VhostUserDaemon<Arc<Backend>>) -> Result<(), Error>,
) -> Result<(), Failed> {
    let backend = Arc::new(Backend::new(link.clone())?);
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let mut daemon = VhostUserDaemon::new("vhost-user".into(), Arc::clone(&backend), memory)?;
    start(&mut daemon)?;
    let shutdown = daemon.shutdown_handle();
    let ended = std::thread::scope(|scope| {
        let (served, serving) = mpsc::channel::<()>();
        let look_after = {
            let backend = &backend;
            move || {
                sandbox::enter(Role::Calls);
                let mut last = Default::default();
                while serving.recv_timeout(LOOK_PERIOD) == Err(RecvTimeoutError::Timeout) {
                    backend.look_after_calls(&mut last);
                    if let Some(shutdown) = shutdown.as_ref().filter(|_| stop.is_requested()) {
                        shutdown.shutdown();
                    }
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("calls".into()).spawn_scoped(scope, look_after) {
            log_limited!(
                Level::Warn,
                "no thread looks after the call descriptors: {error}; raise the host's limits (ulimit -u)"
            );
        }
        let ended = daemon.wait();
        link.bus.lock().disconnect();
        // The worker ends here.
        drop(daemon);
        // What it has started since.
        link.bus.lock().disconnect();
        link.wake();
        drop(served);
        ended
    });
    match ended {
        Err(Error::HandleRequest(ProtocolError::Disconnected | ProtocolError::PartialMessage)) => Ok(()),
        ended => Ok(ended?),
    }
}
