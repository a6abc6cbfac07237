//! The last stage: a guest without firmware, whose agent answers on COM1.
#![allow(unsafe_code, reason = "boot services end")]

use alloc::string::ToString;

use guest_protocol::{
    Deframer, Event, Failure, FailureKind, Received, Reply, Request, ToGuest, ToHost, VERSION, encode,
};
use uefi::mem::memory_map::{MemoryMap, MemoryType};
use uefi::runtime::{self, ResetType};
use uefi::{Status, boot};

use super::line;

fn send(message: &ToHost) {
    if let Ok(frame) = encode(message) {
        line::send(&frame);
    }
}

/// Leaves the firmware and serves; does not answer where the agent is to be silent.
pub(super) fn serve(silent: bool) -> ! {
    // SAFETY: nothing that the firmware lent is used from here on.
    let map = unsafe { boot::exit_boot_services(None) };
    let memory = map
        .entries()
        .filter(|entry| entry.ty == MemoryType::CONVENTIONAL)
        .map(|entry| entry.page_count * 4096)
        .sum::<u64>();
    line::init();
    send(&ToHost::Event(Event::Entered));
    send(&ToHost::Event(Event::Ready));
    let mut deframer = Deframer::new();
    let mut buffer = [0; 64];
    loop {
        let count = line::receive(&mut buffer);
        for received in deframer.push::<ToGuest>(&buffer[..count]) {
            if let Received::Message(message) = received
                && !silent
            {
                answer(&message, memory);
            }
        }
    }
}

fn answer(message: &ToGuest, memory: u64) {
    let result = match message.request {
        Request::Hello { .. } => {
            let guest = concat!("stand-in ", env!("CARGO_PKG_VERSION")).to_string();
            Ok(Reply::Hello { version: VERSION, guest, memory })
        }
        Request::Shutdown => Ok(Reply::Done),
        _ => Err(Failure { kind: FailureKind::Request, message: "the stand-in installs, and does no more".into() }),
    };
    send(&ToHost::Answer { id: message.id, result });
    if message.request == Request::Shutdown {
        runtime::reset(ResetType::SHUTDOWN, Status::SUCCESS, None);
    }
}
