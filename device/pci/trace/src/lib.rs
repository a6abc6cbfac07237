//! Records a card of the crate [`vfio_user_card`] into a trace file: every act that its driver can see, with the registers named by
//! the card's table. `dmus trace show`, `stats`, `diff` and `export` read it.
//!
//! `vfio-user-card` has the place where a recorder listens ([`Tap`]) and no file format; `card-trace` has the format and knows no card. This
//! crate ties one to the other. A card uses [`run`] in place of [`vfio_user_card::run`], and has the option `--trace FILE[,size=BYTES]`.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use card_trace::{CreateError, DeviceAct, Head, Kind, Settings, Source, TraceOption, TraceOptionError, Writer};
use vfio_user_card::{Act, Card, Description, Handle, Reset, Tap};

/// Why an option names no trace that can be written.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not understood.
    #[error("{0}")]
    Option(#[from] TraceOptionError),
    /// It wants PCM.
    #[error("`pcm` is for wave buffers of the DirectMusic card; leave it out")]
    Pcm,
    /// The file cannot be made.
    #[error("{0}")]
    Create(#[from] CreateError),
}

/// A card's trace.
#[derive(Debug)]
pub struct Recorder(Writer);

impl Recorder {
    /// Makes the file that an option names, `FILE[,size=BYTES]`, for a card of this name.
    ///
    /// # Errors
    /// [`OpenError::Option`] and [`OpenError::Pcm`] for what the option says, [`OpenError::Create`] for what the host refuses.
    pub fn open(option: &str, card: &str) -> Result<Self, OpenError> {
        let TraceOption { path, size, pcm } = option.parse()?;
        if pcm {
            return Err(OpenError::Pcm);
        }
        let program = format!("{card}, vfio-user-card {}", env!("CARGO_PKG_VERSION"));
        Ok(Self(Writer::create(&path, Settings { size, pcm, program: &program })?))
    }

    fn device(&self, act: &DeviceAct<'_>) {
        self.0.record_device(Source::CARD, act);
    }

    fn config(&self, kind: Kind, offset: usize, data: &[u8]) {
        let mut value = [0; 4];
        value.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        let value = u32::from_le_bytes(value).into();
        self.0.record(Source::CARD, Head::access(kind, offset as u64, data.len(), value, true));
    }
}

impl Tap for Recorder {
    fn act(&self, act: &Act<'_>) {
        match *act {
            Act::Register { access, write, value, register, taken } => {
                let words = register.map_or_else(String::new, |register| register.decode(value));
                let (bar, width) = (access.bar as u8, u8::try_from(access.width).unwrap_or(u8::MAX));
                self.device(&DeviceAct::Register {
                    write,
                    bar,
                    offset: access.offset,
                    width,
                    value,
                    taken,
                    words: &words,
                });
            }
            Act::ConfigRead { offset, data } => self.config(Kind::CONFIG_READ, offset, data),
            Act::ConfigWrite { offset, data } => self.config(Kind::CONFIG_WRITE, offset, data),
            Act::Line { asserted } => {
                let words = if asserted { "line asserted" } else { "line deasserted" };
                self.device(&DeviceAct::Interrupt { words });
            }
            Act::Message { vector } => self.device(&DeviceAct::Interrupt { words: &format!("vector {vector}") }),
            Act::MemoryRead { address, data, error } => {
                let (bytes, failed) = (data.len() as u64, error.is_some());
                let data = if failed { &[] } else { data };
                self.device(&DeviceAct::Dma { write: false, address, bytes, data, failed });
            }
            Act::MemoryWrite { address, data, error } => {
                let (bytes, failed) = (data.len() as u64, error.is_some());
                self.device(&DeviceAct::Dma { write: true, address, bytes, data, failed });
            }
            Act::Reset { reset, resets } => {
                let by = match reset {
                    Reset::Machine => "by the machine",
                    Reset::Function => "function-level",
                    Reset::Power => "on the return from D3hot",
                    Reset::Disconnected => "at the end of the machine",
                };
                self.device(&DeviceAct::Reset { resets: u32::try_from(resets).unwrap_or(u32::MAX), by });
            }
            Act::Sent(data) => self.device(&DeviceAct::Midi { sent: true, data }),
            Act::Received(data) => self.device(&DeviceAct::Midi { sent: false, data }),
            Act::DriverError { code, detail } => {
                self.device(&DeviceAct::DriverError { words: &format!("{code}: {detail}") });
            }
            Act::Log(line) => self.device(&DeviceAct::Log { line }),
            Act::Mark(text) => self.0.record_with(Source::HARNESS, Head::mark(), &[text.as_bytes()]),
            // A newer crate beside this one.
            _ => {}
        }
    }
}

/// Runs a card as a program, as [`vfio_user_card::run`] does, with the option `--trace FILE[,size=BYTES]`.
pub fn run<C: Card + 'static>(description: Description, make: impl FnOnce(Handle) -> C) -> ExitCode {
    vfio_user_card::run_recorded(description, open, make)
}

fn open(option: &str, card: &str) -> Result<Arc<dyn Tap>, Box<dyn Error + Send + Sync>> {
    Ok(Arc::new(Recorder::open(option, card)?))
}
