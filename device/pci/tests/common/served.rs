//! An example's card, served in this process, with a client for QEMU and one of the control socket.

use std::sync::Arc;
use std::thread::JoinHandle;

use tempfile::TempDir;
use vfio_user_card::{Card, Description, Handle, ServeError, Server, Sockets, Stop, Tap};

use super::client::Raw;
use super::control::Control;

/// A card that is served until this is dropped.
pub(crate) struct Served {
    pub(crate) client: Raw,
    pub(crate) control: Control,
    stop: Stop,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
    _folder: TempDir,
}

impl Served {
    /// Serves a card and connects both clients; the driver has set these bits of the command register.
    pub(crate) fn new<C: Card + 'static>(
        description: Description,
        make: impl FnOnce(Handle) -> C + Send + 'static,
        command: u16,
    ) -> Self {
        Self::recorded(description, make, command, None)
    }

    /// As [`new`](Self::new), with a recorder.
    pub(crate) fn recorded<C: Card + 'static>(
        description: Description,
        make: impl FnOnce(Handle) -> C + Send + 'static,
        command: u16,
        tap: Option<Arc<dyn Tap>>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (socket, control) = (folder.path().join("vfio"), folder.path().join("control"));
        let sockets = Sockets { socket: socket.clone(), control: Some(control.clone()) };
        let mut server = Server::bind(description, &sockets).unwrap();
        if let Some(tap) = tap {
            server = server.recorded(tap);
        }
        let stop = server.stop();
        let thread = Some(std::thread::spawn(move || server.run(make)));
        let mut client = Raw::greeted(&socket);
        client.command(command);
        Self { client, control: Control::connect(&control), stop, thread, _folder: folder }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.request();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(Ok(())))), "{ended:?}");
    }
}
