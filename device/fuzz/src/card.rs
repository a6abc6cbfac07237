//! A card in this process, behind a socket: the one file that knows how to make it. Everything else here reaches the card
//! through the socket and through guest memory.

use std::io;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use card_control::Clock;
use dls_synth::Bank;
use dmus_card::card::Options;
use dmus_card::engine::Engine;
use dmus_card::render::RENDER_BLOCK_DEFAULT;
use dmus_card::socket::vhost_user::{Ended, VhostUser};
use dmus_card::stop::Stop;

use super::patience::wait_for;

/// A card that outlives its connections, as with `--persistent`.
pub(super) struct Card(Engine);

impl Card {
    /// Starts one.
    pub(super) fn start(clock: Clock) -> Self {
        let options = Options { clock, voices: 1000, render_block: RENDER_BLOCK_DEFAULT };
        Self(Engine::start(options, Bank::builtin(), None).expect("a thread for the card"))
    }

    /// Connects to it.
    pub(super) fn connect(&self) -> (UnixStream, Connection) {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        let stop = Stop::new().expect("a pipe");
        let connection = VhostUser::new(self.0.link().clone());
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
    /// Asks the card to stop, as a signal does.
    pub(super) fn request_stop(&self) {
        self.stop.request();
    }

    /// Waits until the card has noticed that the front-end left, or that it is to stop.
    ///
    /// # Panics
    /// It does not, or it failed.
    pub(super) fn end(self) {
        wait_for("the connection's end", || self.served.is_finished().then_some(()));
        self.served.join().expect("the connection's thread did not panic").expect("the socket did not fail");
    }
}
