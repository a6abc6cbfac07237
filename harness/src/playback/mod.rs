//! Playback tests: a song is streamed through the driver, and a [judge](judge::Judge) decides whether it was played right: most
//! of all by comparing the PCM that arrives in guest memory with the offline render of the same song, bit for bit.

mod capture;
mod device;
mod error;
pub mod judge;
pub mod live;
mod options;
mod record;
mod run;
mod stream;
mod verdict;

pub use capture::{bring_in, open_capture};
pub use device::receive;
pub use error::{PlaybackError, PlaybackFailure};
pub use options::{Kill, LEAD_MS_DEFAULT, PlaybackTest, StreamOptions, TAIL_MS_DEFAULT};
pub(crate) use run::failure;
pub use run::run_playback;
pub use stream::{Recording, stream_song, while_streaming};
pub use verdict::{CardReport, Counters, DeviceReport, DiagnosisReport, DriverReport, StepTime, Verdict};
