//! Debuggers that leave as they should not: clients of the stub that let the guest go on, and are gone.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use dmus::host::failure::{Class, Diagnosed};

use crate::guest::{Guest, Wanted};

/// A connection to the stub.
pub(crate) struct Client(UnixStream);

impl Client {
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(crate::guest::LIMIT)).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        self.0.write_all(format!("+${packet}#{sum:02x}").as_bytes()).unwrap();
    }

    /// Reads until the end of the next packet.
    pub(crate) fn answer(&mut self) -> String {
        let mut text = String::new();
        let mut byte = [0];
        while !(text.contains('$') && text.rfind('#').is_some_and(|at| text.len() >= at + 3)) {
            self.0.read_exact(&mut byte).unwrap();
            text.push(byte[0] as char);
        }
        text
    }
}

#[test]
fn a_guest_goes_on_without_the_breakpoints_of_a_debugger_that_has_died_at_one() {
    let mut guest = Guest::boot(&Wanted::default());
    let Some(folder) = guest.waits() else { return };
    let session = std::fs::read_to_string(folder.join("session.json")).unwrap();
    assert!(session.contains("gdb.sock"), "{session}");
    let mut debugger = Client::connect(&guest.socket());
    debugger.send("?");
    debugger.answer();
    // The reset vector's first jump: the guest stops there, however often it is continued.
    debugger.send("Z0,fff0,1");
    assert!(debugger.answer().contains("$OK"));
    debugger.send("s");
    debugger.answer();
    drop(debugger);
    guest.wait_for("the debugger has gone without detaching; its breakpoints are removed").unwrap();
    guest.end().unwrap();
}

#[test]
fn a_run_ends_in_order_when_the_debugger_ends_the_guest() {
    let mut guest = Guest::boot(&Wanted::default());
    if guest.waits().is_none() {
        return;
    }
    Client::connect(&guest.socket()).send("k");
    let error = guest.end().unwrap_err();
    assert_eq!(error.class(), Class::Interrupted, "{error}");
    assert!(error.to_string().starts_with("the debugger ended the guest during \"boot the guest\""), "{error}");
    assert!(error.remedy().unwrap().contains("`process detach`"));
}

#[test]
fn a_place_that_the_driver_has_not_is_refused_before_anything_starts() {
    for (place, words) in
        [("adapter.rs:1", "line 1 of adapter.rs has no code in"), ("adaptor.rs:43", "the nearest name is adapter.rs")]
    {
        let mut guest = Guest::boot(&Wanted { break_at: &[place], ..Wanted::default() });
        let error = guest.end().unwrap_err();
        if error.class() == Class::MissingArtefact {
            println!("skipped: {error}");
            return;
        }
        assert_eq!(error.class(), Class::Usage, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
