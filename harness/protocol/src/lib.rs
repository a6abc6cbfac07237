//! What harness and guest say to each other over a serial line.
//!
//! Both sides send frames: a [postcard](https://postcard.jamesmunns.com/wire-format) message, COBS-encoded, ended by a
//! zero byte. The harness sends [`ToGuest`], the guest [`ToHost`]. Anything between two zero bytes that is no frame is
//! console text (firmware prints before the guest runs). Requests are answered in order, each exactly once; a guest
//! may send [`ToHost::Event`] at any time.
//!
//! Large data does not pass through the line: the guest names ranges of its own physical memory ([`Bulk`]), and the
//! harness, which maps the guest's memory, reads and writes them.
//!
//! A session with the NT host: `Hello`, `LoadDriver`, `StartDevice`, `OpenFilter`, `CreatePin` for the render pin and
//! the wave pin, `AllocateBulk` for events and PCM, `Play`, `Close` each, `StopDevice`, `UnloadDriver`, `Shutdown`.

#![no_std]

extern crate alloc;

mod frame;

pub use frame::{Deframer, FrameError, Received, encode};

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Version of this protocol; both sides must say the same.
pub const VERSION: u16 = 3;

/// The `fw_cfg` file that holds the driver image for the NT host.
pub const DRIVER_FILE: &str = "opt/dmus/driver.sys";

/// The `fw_cfg` file that holds the guest's options: UTF-8 text, one `name=value` a line. The NT host knows
/// `probe=N` (instead of serving, run a loop of N million iterations and leave with [`exit::COMPLETED`]) and
/// `log=error|warn|info|debug|trace`, `device=vvvv:dddd` (the driver's PCI function, in hexadecimal, where several could be
/// meant), `allocations=report` ([`Event::Allocation`] for each stack that allocates), `refuse=HASH` (that stack's
/// allocation fails), `seed=HEX` (what delays of interrupts, DPCs and calls are drawn from; none without), `verifier=on|off`
/// (off: the driver is not watched, to measure what watching costs).
pub const OPTIONS_FILE: &str = "opt/dmus/options";

/// Values that a guest writes to QEMU's `isa-debug-exit` port; QEMU's exit status is twice the value plus one.
pub mod exit {
    /// The I/O port of `isa-debug-exit`.
    pub const PORT: u16 = 0xf4;
    /// `Shutdown` was asked for and answered. QEMU exits with 33.
    pub const COMPLETED: u8 = 0x10;
    /// A bug check, after its report was sent. QEMU exits with 35.
    pub const BUG_CHECK: u8 = 0x11;
    /// The guest itself failed, where no report could be sent. QEMU exits with 37.
    pub const GUEST_FAILED: u8 = 0x12;
}

/// From harness to guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToGuest {
    /// The harness's mark, returned with the answer.
    pub id: u32,
    /// What to do.
    pub request: Request,
}

/// From guest to harness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToHost {
    /// The answer to the request with this mark.
    Answer {
        /// The request's mark.
        id: u32,
        /// What came of it.
        result: Result<Reply, Failure>,
    },
    /// Something happened.
    Event(Event),
}

/// A range of guest-physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    /// Guest-physical address of the first byte.
    pub address: u64,
    /// Length in bytes.
    pub length: u64,
}

/// An open filter or pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Handle(pub u32);

/// What to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// First of all. → [`Reply::Hello`]
    Hello {
        /// [`VERSION`] of the harness.
        version: u16,
    },
    /// Load the driver image, resolve its imports, run `DriverEntry`. → [`Reply::DriverLoaded`]
    LoadDriver,
    /// Find the driver's device, `AddDevice`, `IRP_MN_START_DEVICE`. → [`Reply::DeviceStarted`]
    StartDevice,
    /// Open a filter by the name of its subdevice. → [`Reply::FilterOpened`]
    OpenFilter {
        /// The name given to `PcRegisterSubdevice`.
        subdevice: String,
    },
    /// Create a pin. → [`Reply::PinCreated`]
    CreatePin {
        /// The filter.
        filter: Handle,
        /// The pin factory.
        pin: u32,
        /// The data format to connect with.
        format: StreamFormat,
    },
    /// Set a pin's state: `KSPROPERTY_CONNECTION_STATE`. The states on the way are passed through.
    /// → [`Reply::Done`]
    SetState {
        /// The pin.
        pin: Handle,
        /// The state.
        state: KsState,
    },
    /// A KS property request. → [`Reply::Property`]
    Property {
        /// The filter or pin.
        target: Handle,
        /// The node, for a node property.
        node: Option<u32>,
        /// The property set, as a GUID lies in memory.
        set: [u8; 16],
        /// The property's id in its set.
        id: u32,
        /// Get, set or basic support.
        verb: PropertyVerb,
        /// What follows the property's header.
        instance: Vec<u8>,
        /// The value: what is set, or as many bytes as there is room for.
        value: Vec<u8>,
    },
    /// Reserve physically contiguous guest memory, zeroed. → [`Reply::Bulk`]
    AllocateBulk {
        /// How much.
        bytes: u64,
    },
    /// Give it back. → [`Reply::Done`]
    FreeBulk(Bulk),
    /// Stream events into a render pin and PCM out of a wave pin, both brought to `RUN` and back to `STOP`.
    /// [`Event::Progress`] comes a few times a second. → [`Reply::Played`]
    Play(Play),
    /// Close a pin or filter. → [`Reply::Done`]
    Close(Handle),
    /// Close everything, `IRP_MN_REMOVE_DEVICE`. → [`Reply::Done`]
    StopDevice,
    /// The driver's `DriverUnload`; then checks for what it left behind. → [`Reply::DriverUnloaded`]
    UnloadDriver,
    /// → [`Reply::Statistics`]
    Statistics,
    /// Leave by `isa-debug-exit` after answering. → [`Reply::Done`]
    Shutdown,
    /// The rules of the contract, and how often each was put to the test since boot. → [`Reply::Contract`]
    Contract,
    /// Ask the driver for what no song asks, to see that it keeps the contract there too. → [`Reply::Examined`]
    Examine(Examination),
    /// How long a piece of a message goes into one event of pins that are opened from now on: longer messages go in
    /// fragments, and allocators' buffers are as long where that is longer than an event holds by itself.
    /// → [`Reply::Done`]
    Allocators {
        /// Bytes, at least 1; 0 for the guest's own choice.
        piece_bytes: u16,
    },
    /// Take what a capture pin has captured since the last time. → [`Reply::Captured`]
    TakeCaptured {
        /// The pin.
        pin: Handle,
    },
    /// Connect the port's sink to a capture stream, or disconnect it: opening connects, closing disconnects.
    /// → [`Reply::Done`]
    ConnectCapture {
        /// The pin.
        pin: Handle,
        /// Connect, not disconnect.
        connected: bool,
    },
    /// Take everything out of a pin's allocator, or put it back. → [`Reply::Done`]
    Starve {
        /// The pin.
        pin: Handle,
        /// What is taken out.
        what: Starvation,
    },
    /// Set the device's power state as the system does: streams pause on the way down and resume on the way up.
    /// → [`Reply::Done`]
    SetPower(DevicePower),
    /// `IRP_MN_STOP_DEVICE`, then `IRP_MN_START_DEVICE` with the same resources, without a removal between.
    /// → [`Reply::DeviceStarted`]
    RestartDevice,
    /// The device is gone: its registers read all ones from now on. `IRP_MN_SURPRISE_REMOVAL`; what is open stays open.
    /// → [`Reply::Done`]
    SurpriseRemoval,
    /// Map a part of a range where a user-mode caller of this width would have it. → [`Reply::UserMapping`]
    MapUser {
        /// The part, within a range of [`Request::AllocateBulk`].
        bulk: Bulk,
        /// Whose process it would be.
        caller: Caller,
    },
    /// As [`Request::Property`], from a user-mode caller. → [`Reply::Property`]
    UserProperty {
        /// Who asks.
        caller: Caller,
        /// The filter or pin.
        target: Handle,
        /// The node, for a node property.
        node: Option<u32>,
        /// The property set, as a GUID lies in memory.
        set: [u8; 16],
        /// The property's id in its set.
        id: u32,
        /// Get, set or basic support.
        verb: PropertyVerb,
        /// What follows the property's header.
        instance: Vec<u8>,
        /// The value: what is set, or as many bytes as there is room for.
        value: Vec<u8>,
    },
    /// As [`Request::UserProperty`], without waiting for a driver that keeps the request.
    /// → [`Reply::Property`] or [`Reply::PropertyPending`]
    BeginProperty {
        /// Who asks.
        caller: Caller,
        /// The filter or pin.
        target: Handle,
        /// The node, for a node property.
        node: Option<u32>,
        /// The property set, as a GUID lies in memory.
        set: [u8; 16],
        /// The property's id in its set.
        id: u32,
        /// Get, set or basic support.
        verb: PropertyVerb,
        /// What follows the property's header.
        instance: Vec<u8>,
        /// The value: what is set, or as many bytes as there is room for.
        value: Vec<u8>,
    },
    /// Take the answer of a request that the driver kept, if it is there.
    /// → [`Reply::Property`] or [`Reply::PropertyPending`]
    TakeProperty(Handle),
    /// Cancel a request that the driver keeps, as the system does for a client that goes away. → [`Reply::Done`]
    CancelProperty(Handle),
    /// As [`Request::Play`], but both pins are left in `RUN`. → [`Reply::Played`]
    PlayOn(Play),
}

/// [`Request::Examine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Examination {
    /// Starts that must fail, and starts that need not: before the device is started.
    Start,
    /// Streams: events, states, limits, interrupts. Opens pins of its own.
    Streams {
        /// The filter.
        filter: Handle,
    },
    /// Every property of the filter's pins and nodes, with every size and verb.
    Properties {
        /// The filter.
        filter: Handle,
        /// A render pin of it.
        pin: Handle,
    },
    /// Power states told out of turn, and streams asked for without power.
    Power {
        /// The filter.
        filter: Handle,
    },
    /// Send events to an open render pin as fast as it goes, until they are sent or its allocator stays empty.
    Burst {
        /// The pin, in any state.
        pin: Handle,
        /// How many.
        events: u32,
    },
    /// Open, run, stop and close a render pin, sending events.
    Cycles {
        /// The filter.
        filter: Handle,
        /// The pin factory.
        pin: u32,
        /// The data format to connect with.
        format: StreamFormat,
        /// How often.
        cycles: u32,
        /// Events to send each time.
        events: u32,
    },
    /// Every event of the filter, its nodes and a pin: enabled, generated at every level, disabled; and what the driver
    /// generates by itself while the pin runs.
    Events {
        /// The filter.
        filter: Handle,
        /// A pin of it, stopped.
        pin: Handle,
    },
    /// Put events to an open render pin in RUN as fast as it takes them, and time it. Nothing of it sounds.
    Put {
        /// The pin.
        pin: Handle,
        /// How many.
        events: u32,
        /// How many with each call.
        each: u16,
        /// How they go together.
        together: Together,
        /// A range of [`Request::AllocateBulk`] whose first 8 bytes are incremented, as a little-endian number, right
        /// before the first call: for somebody outside who times what becomes of the events.
        begun: Bulk,
    },
    /// Time interrupts on their way through service routine, DPC and service group to an open capture pin in RUN, while
    /// somebody outside has messages come in.
    Interrupts {
        /// The pin.
        pin: Handle,
        /// How many.
        laps: u32,
    },
}

/// How events go together in one call of `PutMessage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Together {
    /// Linked by `pNextEvt`.
    Chain,
    /// Wrapped in a package.
    Package,
}

/// What [`Request::Starve`] takes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Starvation {
    /// Nothing; what was taken out is put back.
    Nothing,
    /// All buffers.
    Buffers,
    /// All events.
    Events,
}

/// A device power state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DevicePower {
    /// On.
    D0,
    /// Light sleep.
    D1,
    /// Deeper sleep.
    D2,
    /// Off.
    D3,
}

/// Who makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Caller {
    /// A 64-bit process.
    Wide,
    /// A 32-bit process.
    Narrow,
}

/// How [`Play`] hands events over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    /// In order of time.
    #[default]
    InOrder,
    /// Of each stretch that is handed over together, the later ones first; what has one time keeps its order.
    Reversed,
    /// Wrapped in packages, each with what has one time.
    Packages,
}

/// [`Request::Play`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Play {
    /// The DirectMusic render pin.
    pub render: Handle,
    /// The wave pin.
    pub wave: Handle,
    /// DirectMusic buffer records (`DMUS_EVENTHEADER` and data, padded to 8 bytes), ascending in time; `rtDelta` counts
    /// from the moment when both pins run.
    pub events: Bulk,
    /// How many records there are.
    pub event_count: u32,
    /// Where the PCM goes.
    pub pcm: Bulk,
    /// How many frames to render.
    pub frames: u64,
    /// How many frames to ask the wave stream for at a time.
    pub quantum_frames: u32,
    /// How fast.
    pub pace: Pace,
    /// In which order, and how wrapped.
    pub manner: Manner,
}

/// How fast [`Play`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pace {
    /// As fast as card and driver go: the wave stream is pulled whenever the events before the next quantum's end have
    /// been delivered.
    Lockstep,
    /// By the master clock: events are handed over this long before their time, the wave stream is pulled as frames
    /// fall due.
    Realtime {
        /// How long, in milliseconds.
        lead_ms: u32,
    },
}

/// The data format of a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamFormat {
    /// `KSDATAFORMAT_TYPE_MUSIC`, `KSDATAFORMAT_SUBTYPE_DIRECTMUSIC`.
    DirectMusic,
    /// `KSDATAFORMAT_TYPE_MUSIC`, `KSDATAFORMAT_SUBTYPE_MIDI`.
    Midi,
    /// `KSDATAFORMAT_TYPE_AUDIO`, PCM, `WAVEFORMATEX`.
    Pcm {
        /// Hz.
        sample_rate: u32,
        /// Channels.
        channels: u16,
        /// Bits a sample.
        bits: u16,
    },
}

/// `KSSTATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KsState {
    /// `KSSTATE_STOP`.
    Stop,
    /// `KSSTATE_ACQUIRE`.
    Acquire,
    /// `KSSTATE_PAUSE`.
    Pause,
    /// `KSSTATE_RUN`.
    Run,
}

/// What a property request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PropertyVerb {
    /// `KSPROPERTY_TYPE_GET`.
    Get,
    /// `KSPROPERTY_TYPE_SET`.
    Set,
    /// `KSPROPERTY_TYPE_BASICSUPPORT`.
    BasicSupport,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// It is done; there is nothing to say.
    Done,
    /// Who the guest is.
    Hello {
        /// [`VERSION`] of the guest.
        version: u16,
        /// What kind of guest, for people: `nt-host 0.1.0`.
        guest: String,
        /// Guest-physical memory in bytes.
        memory: u64,
    },
    /// The driver runs.
    DriverLoaded(DriverInfo),
    /// The device runs.
    DeviceStarted {
        /// Where it is, and its ids, for people: `00:03.0 1af4:1067`.
        device: String,
        /// The resources that it was given, one a line, for people.
        resources: Vec<String>,
        /// The subdevices that the driver registered.
        subdevices: Vec<String>,
    },
    /// The filter is open.
    FilterOpened {
        /// Its handle.
        handle: Handle,
        /// Its pin factories, in order of id.
        pins: Vec<PinFactory>,
        /// Its nodes' types, as GUIDs lie in memory.
        nodes: Vec<[u8; 16]>,
    },
    /// The pin is open.
    PinCreated {
        /// Its handle.
        handle: Handle,
        /// The `SchedulePreFetch` that the miniport asked for, in 100 ns units.
        schedule_prefetch: u64,
    },
    /// The property's answer.
    Property {
        /// `NTSTATUS`.
        status: u32,
        /// The value, as long as the driver says.
        value: Vec<u8>,
        /// The length that the driver says, which with `STATUS_BUFFER_OVERFLOW` is the length needed.
        length: u32,
    },
    /// The memory.
    Bulk(Bulk),
    /// The stream has been played.
    Played {
        /// Frames in the PCM range.
        frames: u64,
        /// Events given to the miniport.
        events: u64,
        /// What was counted while it played.
        statistics: Statistics,
    },
    /// The driver is gone and left nothing behind.
    DriverUnloaded,
    /// Counters since boot.
    Statistics(Statistics),
    /// The contract, in order of rules.
    Contract(Vec<RuleState>),
    /// The driver has been examined, and did nothing wrong.
    Examined {
        /// What was counted, by name.
        figures: Vec<Figure>,
    },
    /// What was captured.
    Captured {
        /// Events that reached the port's sink, in order.
        events: Vec<CapturedEvent>,
        /// Events that went to the allocator instead of a sink since the pin was opened.
        discarded: u64,
    },
    /// Where the process would have it.
    UserMapping {
        /// Its address.
        address: u64,
    },
    /// The driver keeps the property request; this is its handle until it has been taken.
    PropertyPending(Handle),
}

/// A rule of the contract, and how it fared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleState {
    /// Its number.
    pub number: u16,
    /// What it demands.
    pub title: String,
    /// Where it is written.
    pub source: String,
    /// How the guest checks it.
    pub how: HowChecked,
    /// How often it was put to the test, and held, since boot.
    pub held: u32,
}

/// How a guest checks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HowChecked {
    /// Whenever it applies.
    Always,
    /// By an examination of this name.
    Examined(String),
    /// Not at all, because.
    NotApplicable(String),
}

/// Something counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// What.
    pub name: String,
    /// How many.
    pub value: u64,
}

/// An event that came out of a capture stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedEvent {
    /// Master time, in 100 ns units.
    pub time: i64,
    /// `usChannelGroup`.
    pub channel_group: u16,
    /// `usFlags`.
    pub flags: u16,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// The driver image as loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriverInfo {
    /// Its length in bytes as a file.
    pub file_bytes: u32,
    /// SHA-256 of the file as the guest read it: proof of what runs.
    pub sha256: [u8; 32],
    /// Where it was loaded.
    pub base: u64,
    /// `SizeOfImage`.
    pub image_bytes: u32,
    /// The functions that it imports.
    pub imports: Vec<Import>,
}

/// An imported function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Import {
    /// The module, in lower case.
    pub module: String,
    /// The name, or `#n` for an ordinal.
    pub name: String,
}

/// A pin factory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinFactory {
    /// Data flows into the filter, not out of it.
    pub flow_in: bool,
    /// `KSPIN_COMMUNICATION`.
    pub communication: u32,
    /// Most instances.
    pub instances: u32,
    /// What it can carry.
    pub carries: Vec<Carries>,
}

/// What a data range says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carries {
    /// DirectMusic events.
    DirectMusic,
    /// MIDI messages.
    Midi,
    /// PCM.
    Pcm {
        /// Lowest sample rate in Hz.
        sample_rate_min: u32,
        /// Highest sample rate in Hz.
        sample_rate_max: u32,
        /// Most channels.
        channels: u32,
        /// Most bits a sample.
        bits: u32,
    },
    /// Something else, such as a bridge pin's.
    Other,
}

/// What the guest counted since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Interrupts that the device raised.
    pub interrupts: u64,
    /// Of those, how many the driver said were not its own.
    pub interrupts_not_claimed: u64,
    /// Deferred procedure calls run.
    pub dpcs: u64,
    /// Calls of `IPortDMus::Notify`.
    pub notifications: u64,
    /// Events given to render streams.
    pub events_put: u64,
    /// Events that came back to their allocator.
    pub events_returned: u64,
    /// Pool allocations outstanding.
    pub pool_allocations: u64,
    /// Bytes of pool outstanding.
    pub pool_bytes: u64,
    /// Most bytes of pool at any time.
    pub pool_bytes_peak: u64,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What happened, to what, and what to do, for people.
    pub message: String,
}

/// What kind of failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The request makes no sense here: a wrong handle, a wrong order.
    Request,
    /// The driver image is no image that can be loaded.
    Image,
    /// The driver imports what this guest does not have. All of them.
    MissingImports(Vec<Import>),
    /// No device matches.
    NoDevice,
    /// The driver answered with this `NTSTATUS`.
    Status(u32),
    /// The guest has not enough memory.
    Memory,
    /// Something did not happen in time.
    Timeout,
}

/// What happened without being asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The guest's first instructions run.
    Entered,
    /// The guest is ready for requests.
    Ready,
    /// A line for the log: the guest's own or the driver's `DbgPrint`.
    Log {
        /// How bad.
        level: Level,
        /// Who says it: a module name.
        target: String,
        /// The text.
        text: String,
    },
    /// How far [`Request::Play`] has got.
    Progress {
        /// Frames done.
        frames: u64,
        /// Events delivered.
        events: u64,
    },
    /// The system has stopped. Nothing follows.
    BugCheck(BugCheck),
    /// The driver allocates something, by a stack that has not been seen since boot; only with the options
    /// `allocations=report` or `refuse=HASH`.
    Allocation {
        /// Tells the stack and the function from all others, in every boot of the same image.
        hash: u64,
        /// What allocates: `ExAllocatePoolWithTag`, `PcNewPort`.
        function: String,
        /// The driver's part of the stack, innermost first.
        stack: Vec<StackFrame>,
        /// It was made to fail.
        refused: bool,
    },
}

/// How bad a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something looks wrong.
    Warn,
    /// Something worth knowing.
    Info,
    /// For debugging.
    Debug,
    /// Everything.
    Trace,
}

/// A bug check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BugCheck {
    /// The bug-check code, as Windows numbers them.
    pub code: u32,
    /// Its name, such as `DRIVER_IRQL_NOT_LESS_OR_EQUAL`.
    pub name: String,
    /// Its parameters.
    pub parameters: [u64; 4],
    /// The rule that was broken, if it was a check of the guest: its number in the contract's list.
    pub rule: Option<u16>,
    /// For how many milliseconds the driver was waited for, if that is how it was found: a device that did not run
    /// meanwhile may be the cause.
    pub waited_ms: u32,
    /// What happened and what to do, for the driver's author.
    pub message: String,
    /// The kernel function that found it, or that was running.
    pub function: String,
    /// IRQL at that moment.
    pub irql: u8,
    /// Return addresses, innermost first.
    pub stack: Vec<StackFrame>,
}

/// One return address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFrame {
    /// The address.
    pub address: u64,
    /// The module that it lies in: the driver's file name or `nt-host`.
    pub module: Option<String>,
    /// Offset from the module's base.
    pub offset: u64,
}
