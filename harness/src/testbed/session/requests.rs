//! The requests that a guest serves, a method each.

use guest_protocol::{
    Bulk, Caller, CapturedEvent, DriverInfo, Figure, Handle, PinFactory, Play, PlayMidi, Probe, PropertyRequest,
    RegisteredInterface, Reply, Request, RuleState, Statistics, StreamFormat, VERSION,
};

use super::conversation::Session;
use super::error::SessionError;
use crate::event::Event;
use crate::machine::Health;

/// A device that the guest has started.
#[derive(Clone, Debug)]
pub struct StartedDevice {
    /// Its place on the bus, and its ids.
    pub device: String,
    /// Its resources.
    pub resources: Vec<String>,
    /// The subdevices that the driver registered.
    pub subdevices: Vec<String>,
    /// The device interfaces that the driver registered.
    pub interfaces: Vec<RegisteredInterface>,
    /// The index of what the INF installs for it.
    pub install: Option<u16>,
}

/// A filter that the guest has opened.
#[derive(Clone, Debug)]
pub struct OpenedFilter {
    /// Its handle.
    pub handle: Handle,
    /// Its pin factories, by number.
    pub pins: Vec<PinFactory>,
    /// The types of its nodes, GUIDs in memory order.
    pub nodes: Vec<[u8; 16]>,
    /// Whether its pins open: the guest has a data path for their streams.
    pub data_path: bool,
}

/// The result of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Played {
    /// Frames of PCM that were collected.
    pub frames: u64,
    /// Events given to the miniport.
    pub events: u64,
    /// The guest's counters since its boot.
    pub statistics: Statistics,
}

/// A guest that has answered.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Its name and version.
    pub guest: String,
    /// Its memory in bytes.
    pub memory: u64,
}

/// The requests, one by one.
impl<H: Health> Session<'_, H> {
    /// Sends [`Request::Hello`].
    ///
    /// # Errors
    /// [`SessionError::Protocol`] for a guest of another version; otherwise as for [`Session::call`].
    pub fn hello(&mut self) -> Result<Hello, SessionError> {
        let reply = match self.simple("say hello", Request::Hello { version: VERSION }) {
            Err(SessionError::Timeout { seconds, .. }) if self.is_agent() => {
                return Err(SessionError::SilentAgent { seconds });
            }
            other => other?,
        };
        match reply {
            Reply::Hello { version: VERSION, guest, memory, bulk } => {
                self.bulk_access = bulk;
                Ok(Hello { guest, memory })
            }
            Reply::Hello { version, guest, .. } if self.is_agent() => {
                Err(SessionError::OtherAgent { guest, theirs: version, ours: VERSION })
            }
            Reply::Hello { version, guest, .. } => Err(SessionError::Protocol {
                step: "say hello".into(),
                what: format!("{guest} speaks version {version}, the harness version {VERSION}"),
            }),
            other => Err(unexpected("say hello", &other)),
        }
    }

    /// Sends [`Request::LoadDriver`].
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn load_driver(&mut self) -> Result<DriverInfo, SessionError> {
        match self.simple("load the driver", Request::LoadDriver)? {
            Reply::DriverLoaded(info) => Ok(info),
            other => Err(unexpected("load the driver", &other)),
        }
    }

    /// Sends [`Request::StartDevice`].
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn start_device(&mut self) -> Result<StartedDevice, SessionError> {
        match self.simple("start the device", Request::StartDevice)? {
            Reply::DeviceStarted { device, resources, subdevices, interfaces, install } => {
                Ok(StartedDevice { device, resources, subdevices, interfaces, install })
            }
            other => Err(unexpected("start the device", &other)),
        }
    }

    /// Sends [`Request::RestartDevice`].
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn restart_device(&mut self) -> Result<StartedDevice, SessionError> {
        match self.simple("stop the device and start it again", Request::RestartDevice)? {
            Reply::DeviceStarted { device, resources, subdevices, interfaces, install } => {
                Ok(StartedDevice { device, resources, subdevices, interfaces, install })
            }
            other => Err(unexpected("stop the device and start it again", &other)),
        }
    }

    /// Sends [`Request::OpenFilter`].
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn open_filter(&mut self, subdevice: &str) -> Result<OpenedFilter, SessionError> {
        let step = format!("open filter {subdevice}");
        match self.simple(&step, Request::OpenFilter { subdevice: subdevice.into() })? {
            Reply::FilterOpened { handle, pins, nodes, data_path } => {
                Ok(OpenedFilter { handle, pins, nodes, data_path })
            }
            other => Err(unexpected(&step, &other)),
        }
    }

    /// Sends [`Request::CreatePin`]. Returns the pin's handle.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn create_pin(&mut self, filter: Handle, pin: u32, format: StreamFormat) -> Result<Handle, SessionError> {
        let step = format!("create pin {pin}");
        match self.simple(&step, Request::CreatePin { filter, pin, format })? {
            Reply::PinCreated { handle, .. } => Ok(handle),
            other => Err(unexpected(&step, &other)),
        }
    }

    /// Sends [`Request::AllocateBulk`]. Returns a range of at least so many bytes of guest memory.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn allocate(&mut self, bytes: u64) -> Result<Bulk, SessionError> {
        let step = format!("reserve {bytes} bytes of guest memory");
        match self.simple(&step, Request::AllocateBulk { bytes })? {
            Reply::Bulk(bulk) if bulk.length >= bytes => Ok(bulk),
            other => Err(unexpected(&step, &other)),
        }
    }

    /// Sends [`Request::Play`].
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn play(&mut self, play: Play) -> Result<Played, SessionError> {
        let of_frames = play.frames;
        self.stream(of_frames, Request::Play(play))
    }

    /// Sends [`Request::PlayOn`], which leaves the pins in `RUN`.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn play_on(&mut self, play: Play) -> Result<Played, SessionError> {
        let of_frames = play.frames;
        self.stream(of_frames, Request::PlayOn(play))
    }

    /// Sends [`Request::PlayMidi`], which leaves the pin in `RUN`.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn play_midi(&mut self, play: PlayMidi) -> Result<Played, SessionError> {
        self.stream(0, Request::PlayMidi(play))
    }

    fn stream(&mut self, of_frames: u64, request: Request) -> Result<Played, SessionError> {
        let observer = self.observer();
        let report = |frames, events| observer.event(&Event::Progress { frames, of_frames, events });
        match self.call("stream the song", request, report)? {
            Reply::Played { frames, events, statistics } => Ok(Played { frames, events, statistics }),
            other => Err(unexpected("stream the song", &other)),
        }
    }

    /// Sends a request whose reply is [`Reply::Done`].
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn done(&mut self, step: &str, request: Request) -> Result<(), SessionError> {
        match self.simple(step, request)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(step, &other)),
        }
    }

    /// Sends [`Request::UnloadDriver`].
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn unload_driver(&mut self) -> Result<(), SessionError> {
        match self.simple("unload the driver", Request::UnloadDriver)? {
            Reply::DriverUnloaded => Ok(()),
            other => Err(unexpected("unload the driver", &other)),
        }
    }

    /// Sends [`Request::Contract`]. Returns the state of each rule.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn contract(&mut self) -> Result<Vec<RuleState>, SessionError> {
        match self.simple("read the contract", Request::Contract)? {
            Reply::Contract(rules) => Ok(rules),
            other => Err(unexpected("read the contract", &other)),
        }
    }

    /// Sends [`Request::RunProbe`]. Returns what the guest counted.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn run_probe(&mut self, probe: Probe) -> Result<Vec<Figure>, SessionError> {
        let step = format!("run probe {probe:?}");
        match self.simple(&step, Request::RunProbe(probe))? {
            Reply::ProbePassed { figures } => Ok(figures),
            other => Err(unexpected(&step, &other)),
        }
    }

    /// Sends [`Request::TakeCaptured`]. Returns the events, and how many were dropped since the pin was opened.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn take_captured(&mut self, pin: Handle) -> Result<(Vec<CapturedEvent>, u64), SessionError> {
        match self.simple("take what was captured", Request::TakeCaptured { pin })? {
            Reply::Captured { events, discarded } => Ok((events, discarded)),
            other => Err(unexpected("take what was captured", &other)),
        }
    }

    /// Sends [`Request::Property`]. Returns the status and the value.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn property(&mut self, step: &str, request: PropertyRequest) -> Result<(u32, Vec<u8>), SessionError> {
        match self.simple(step, Request::Property(request))? {
            Reply::Property { status, value, .. } => Ok((status, value)),
            other => Err(unexpected(step, &other)),
        }
    }

    /// Sends [`Request::BeginProperty`] or [`Request::TakeProperty`]. Returns the status and the value, or the handle
    /// of a request that is still pending.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn kept_property(
        &mut self,
        step: &str,
        request: Request,
    ) -> Result<Result<(u32, Vec<u8>), Handle>, SessionError> {
        match self.simple(step, request)? {
            Reply::Property { status, value, .. } => Ok(Ok((status, value))),
            Reply::PropertyPending(handle) => Ok(Err(handle)),
            other => Err(unexpected(step, &other)),
        }
    }

    /// Sends [`Request::MapUser`]. Returns the address in the caller's process.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn map_user(&mut self, bulk: Bulk, caller: Caller) -> Result<u64, SessionError> {
        match self.simple("map memory for a process", Request::MapUser { bulk, caller })? {
            Reply::UserMapping { address } => Ok(address),
            other => Err(unexpected("map memory for a process", &other)),
        }
    }

    /// Sends [`Request::Statistics`].
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn statistics(&mut self) -> Result<Statistics, SessionError> {
        match self.simple("read the counters", Request::Statistics)? {
            Reply::Statistics(statistics) => Ok(statistics),
            other => Err(unexpected("read the counters", &other)),
        }
    }

    fn simple(&mut self, step: &str, request: Request) -> Result<Reply, SessionError> {
        self.call(step, request, |_, _| {})
    }
}

/// Returns the error of a reply that does not belong to its request.
pub(super) fn unexpected(step: &str, reply: &Reply) -> SessionError {
    SessionError::Protocol { step: step.into(), what: format!("the answer is {reply:?}") }
}
