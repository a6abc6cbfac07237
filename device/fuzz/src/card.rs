//! Starts a card in this process, behind a socket. Everything else here reaches the card through the socket and through
//! guest memory.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use card_control::Clock;
use dls_synth::Bank;
use dmus_card::card::{Engine, Link};
use dmus_card::options::Options;
use dmus_card::session::render::RENDER_BLOCK_DEFAULT;
use dmus_card::stop::Stop;
use dmus_card::transport::vfio_user;
use dmus_card::transport::vhost_user::{Ended, VhostUser};

use super::waiting::wait_for;

/// A card that outlives its connections, as with `--persistent`.
pub(super) struct Card(Engine);

impl Card {
    /// Starts a card.
    pub(super) fn start(clock: Clock) -> Self {
        let options = Options { clock, voices: 1000, render_block: RENDER_BLOCK_DEFAULT };
        Self(Engine::start(options, Bank::builtin(), None).expect("a thread for the card"))
    }

    /// Returns the card's registers and threads, for what is asserted of them.
    pub(super) fn link(&self) -> &Link {
        self.0.link()
    }

    /// Serves the card over vfio-user.
    pub(super) fn serve_vfio_user(&self) -> Served {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // No file is left of an abstract name.
        let name = format!("dmus-fuzz-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from_abstract_name(name).expect("a name");
        let listener = UnixListener::bind_addr(&address).expect("a socket");
        let (link, stop) = (self.0.link().clone(), Stop::new().expect("a pipe"));
        std::thread::Builder::new()
            .name("vfio-user".into())
            .spawn(move || {
                let served = vfio_user::serve(&link, listener, true, &stop);
                panic!("nothing ends the server, and it has ended: {served:?}");
            })
            .expect("a thread for the server");
        Served(address)
    }

    /// Connects a front-end to the card.
    pub(super) fn connect(&self) -> (UnixStream, Connection) {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        let stop = Stop::new().expect("a pipe");
        let connection = VhostUser::new(self.0.link().clone()).expect("descriptors");
        let served = {
            let stop = stop.clone();
            std::thread::Builder::new().name("connection".into()).spawn(move || connection.serve(far, &stop))
        };
        (near, Connection { stop, served: served.expect("a thread for the connection") })
    }
}

/// A card that is served over vfio-user, to one machine after the other, for as long as the process runs.
pub(super) struct Served(SocketAddr);

impl Served {
    /// Connects a machine.
    ///
    /// # Panics
    /// When the card does not listen.
    pub(super) fn connect(&self) -> UnixStream {
        UnixStream::connect_addr(&self.0).expect("the card listens")
    }
}

/// The card's end of a connection.
pub(super) struct Connection {
    stop: Stop,
    served: JoinHandle<io::Result<Ended>>,
}

impl Connection {
    /// Requests the card's stop, as a signal does.
    pub(super) fn request_stop(&self) {
        self.stop.request();
    }

    /// Waits until the card has noticed the disconnection, or the request to stop.
    ///
    /// # Panics
    /// When it does not, or when the connection failed.
    pub(super) fn end(self) {
        wait_for("the connection's end", || self.served.is_finished().then_some(()));
        self.served.join().expect("the connection's thread did not panic").expect("the socket did not fail");
    }
}
