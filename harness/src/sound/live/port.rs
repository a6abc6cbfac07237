//! Live MIDI from a port that has a name and no file: the feature `midir`.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use midir::{Ignore, MidiInput, MidiInputConnection};

/// Messages that wait for the harness. One that finds no room is lost, and is counted.
const WAITING_MAX: usize = 4096;

/// The name of this program among the clients of the host's MIDI.
const CLIENT: &str = "dmus";

/// Why there is no such port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// The host has no MIDI ports at all.
    #[error("the host has no MIDI ports: {0}")]
    NoMidi(String),
    /// No port, or more than one, has this in its name.
    #[error("{matching} of the host's MIDI ports have `{name}` in their names; there are: {}", Listed(there))]
    Name {
        /// What was asked for.
        name: String,
        /// How many have it.
        matching: usize,
        /// The names of all.
        there: Vec<String>,
    },
    /// It cannot be connected to.
    #[error("the MIDI port {name} cannot be connected to: {said}")]
    Connect {
        /// The port.
        name: String,
        /// What the host says.
        said: String,
    },
}

struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("none") } else { f.write_str(&self.0.join(", ")) }
    }
}

/// A port that is connected to.
pub(super) struct Port {
    // It is disconnected when this is dropped.
    _connection: MidiInputConnection<Sender>,
    messages: Receiver<Vec<u8>>,
    lost: Receiver<()>,
}

struct Sender {
    messages: SyncSender<Vec<u8>>,
    lost: SyncSender<()>,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").finish_non_exhaustive()
    }
}

/// What a port has brought.
pub(super) enum Brought {
    /// Bytes of a message, or none.
    Bytes(Vec<u8>),
    /// The port has gone.
    Gone,
}

impl Port {
    /// Returns the whole name of the port that has `name` in it.
    ///
    /// # Errors
    /// [`PortError::NoMidi`] when the host has no ports at all, [`PortError::Name`] when none or several have it.
    pub(super) fn find(name: &str) -> Result<String, PortError> {
        Ok(find(&input()?, name)?.1)
    }

    /// Connects to the port that has `name` in its name.
    ///
    /// # Errors
    /// Those of [`find`](Self::find), and [`PortError::Connect`] when the host refuses the connection.
    pub(super) fn open(name: &str) -> Result<Self, PortError> {
        let input = input()?;
        let (port, name) = find(&input, name)?;
        let (messages, brought) = sync_channel(WAITING_MAX);
        let (lost, missed) = sync_channel(1);
        let take = |_time: u64, message: &[u8], sender: &mut Sender| {
            if let Err(TrySendError::Full(_)) = sender.messages.try_send(message.to_vec()) {
                let _ = sender.lost.try_send(());
            }
        };
        let connection = input
            .connect(&port, CLIENT, take, Sender { messages, lost })
            .map_err(|error| PortError::Connect { name, said: error.to_string() })?;
        Ok(Self { _connection: connection, messages: brought, lost: missed })
    }

    /// Waits for a message, at most as long as `wait`.
    pub(super) fn poll(&self, wait: Duration) -> Brought {
        match self.messages.recv_timeout(wait) {
            Ok(bytes) => Brought::Bytes(bytes),
            Err(RecvTimeoutError::Timeout) => Brought::Bytes(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => Brought::Gone,
        }
    }

    /// Returns whether messages were lost since the last call.
    pub(super) fn has_lost(&self) -> bool {
        self.lost.try_recv().is_ok()
    }
}

fn input() -> Result<MidiInput, PortError> {
    let mut input = MidiInput::new(CLIENT).map_err(|error| PortError::NoMidi(error.to_string()))?;
    // The parser leaves out what a cable sends to show that it is there.
    input.ignore(Ignore::None);
    Ok(input)
}

fn find(input: &MidiInput, name: &str) -> Result<(midir::MidiInputPort, String), PortError> {
    let ports: Vec<_> =
        input.ports().into_iter().filter_map(|port| Some((input.port_name(&port).ok()?, port))).collect();
    let there: Vec<String> = ports.iter().map(|(name, _)| name.clone()).collect();
    let exact = |(is, _): &(String, midir::MidiInputPort)| is == name;
    let (mut chosen, rest): (Vec<_>, Vec<_>) = ports.into_iter().partition(exact);
    if chosen.is_empty() {
        chosen = rest.into_iter().filter(|(is, _)| is.contains(name)).collect();
    }
    let matching = chosen.len();
    match (chosen.pop(), matching) {
        (Some((name, port)), 1) => Ok((port, name)),
        _ => Err(PortError::Name { name: name.into(), matching, there }),
    }
}
