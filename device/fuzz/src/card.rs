//! Starts a card in this process, behind a socket. Everything else here reaches the card through the socket and through
//! guest memory.

use std::io;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use card_control::Clock;
use dls_synth::Bank;
use dmus_card::card::Engine;
use dmus_card::options::Options;
use dmus_card::session::render::RENDER_BLOCK_DEFAULT;
use dmus_card::stop::Stop;
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
