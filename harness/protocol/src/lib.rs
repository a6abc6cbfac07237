//! Messages between the harness and a guest over a serial line.
//!
//! Both sides send frames: a [postcard](https://postcard.jamesmunns.com/wire-format) message, COBS-encoded, ended by a
//! zero byte. The harness sends [`ToGuest`], the guest [`ToHost`]. Bytes between two zero bytes that are not a frame are
//! console text (firmware prints before the guest runs). Requests are answered in order, each exactly once; a guest
//! may send [`ToHost::Event`] at any time.
//!
//! Large data does not pass through the line: the guest names ranges of its own physical memory ([`Bulk`]), and the
//! harness, which maps the guest's memory, reads and writes them; where it cannot ([`BulkAccess::Line`]), bytes pass in requests.
//! A guest may lend [rings](RingPlace) in its memory, through
//! which frames pass from then on; both sides still take frames from the line. It may lend a ring of [marks](Mark), which the harness reads when
//! it wants to know what the guest did and when.
//!
//! A line that loses, repeats or mixes bytes carries [`line::ReliableLine`] instead of frames: its messages are those of [`encode_message`],
//! with length, sequence and CRC.
//!
//! A session with the NT host: `Hello`, `LoadDriver`, `StartDevice`, `OpenFilter`, `CreatePin` for the render pin and
//! the wave pin, `AllocateBulk` for events and PCM, `Play`, `Close` for each pin, `StopDevice`, `UnloadDriver`, `Shutdown`.

#![no_std]

extern crate alloc;

mod driver;
mod event;
pub mod exit;
mod frame;
mod handle;
mod inspection;
mod installation;
pub mod line;
mod marks;
mod memory;
pub mod options;
pub mod pause;
mod probe;
mod property;
mod reply;
mod request;
mod rings;
mod statistics;
mod stream;

pub use driver::{DataRange, DriverInfo, Import, PinFactory};
pub use event::{BugCheck, Event, Finding, FindingKind, Level, StackFrame};
pub use frame::{Deframer, FrameError, Received, decode_message, encode, encode_message};
pub use handle::Handle;
pub use inspection::{
    Book, ComObject, ConnectedInterrupt, Deferred, Holder, Inspection, PEEK_BYTES_MAX, PciBar, PciFunction, PendingIrp,
    PoolTag, Space, Thread,
};
pub use installation::{
    Install, Installation, InstallationError, InstalledInterface, Model, RegisteredInterface, RegistryKey,
    RegistryRoot, RegistryValue,
};
pub use marks::{
    MARK_BYTES, MARKS_ANSWERED, MARKS_ASKED, MARKS_HEADER_BYTES, MARKS_HOST_TICKS, MARKS_TAKEN, Mark, MarkKind,
    mark_count, pair_error, pair_number,
};
pub use memory::{Bulk, BulkAccess, LINE_BULK_BYTES_MAX};
pub use probe::{CheckMethod, Figure, Probe, RuleState, Wrapping};
pub use property::{Caller, PropertyRequest, PropertyVerb};
pub use reply::{CAME_WITH, Failure, FailureKind, Reply};
pub use request::{DevicePower, Request, Starvation};
pub use rings::{DOORBELL, RING_HEADER_BYTES, RING_READ, RING_WRITTEN, RingPlace};
pub use statistics::Statistics;
pub use stream::{CapturedEvent, Delivery, KsState, Pace, Play, PlayMidi, StreamFormat};

use serde::{Deserialize, Serialize};

/// Version of this protocol; harness and guest must have the same.
pub const VERSION: u16 = 8;

/// The `fw_cfg` file that holds the driver image for the NT host.
pub const DRIVER_FILE: &str = "opt/dmus/driver.sys";

/// The `fw_cfg` file that holds the guest's [`options`]: UTF-8 text, one `name=value` per line.
pub const OPTIONS_FILE: &str = "opt/dmus/options";

/// The `fw_cfg` file that holds the [`Installation`] of the driver, where one is given.
pub const INSTALLATION_FILE: &str = "opt/dmus/installation";

/// A message from the harness to the guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToGuest {
    /// The request's id, which the answer repeats.
    pub id: u32,
    /// The request.
    pub request: Request,
}

/// A message from the guest to the harness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToHost {
    /// The answer to a request.
    Answer {
        /// The request's id.
        id: u32,
        /// The reply, or why the request failed.
        result: Result<Reply, Failure>,
    },
    /// An event.
    Event(Event),
}
