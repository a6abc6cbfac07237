//! Replays a recording on the command line.

use card_trace::{SIZE_MAX, SIZE_MIN, Settings, Writer};
use dls_synth::Bank;
use serde_json::json;

use super::args::Replay;
use super::bank::{self, BankFile};
use super::commands::print;
use super::exit::Failure;
use super::serve::PROGRAM_AND_VERSION;
use crate::replay::{self, Options, Recording, RecordingError};
use crate::sandbox::{self, Role};

/// The room of the replay's own trace, in times of the recording's: its payloads are the same, and it may have more records of frames.
const ROOM: u64 = 2;

/// Replays a recording, and prints what was done.
///
/// # Errors
/// [`Failure::Recording`] when the recording cannot be replayed, [`Failure::BankFile`] and [`Failure::Bank`] for a bank that cannot be used,
/// [`Failure::Trace`] when the trace cannot be written, [`Failure::StandardOutput`] when the result cannot be printed.
pub fn replay(arguments: &Replay) -> Result<(), Failure> {
    let path = arguments.recording.display().to_string();
    let bytes =
        std::fs::read(&arguments.recording).map_err(|source| RecordingError::File { path: path.clone(), source })?;
    let bank = arguments.bank.as_deref().map(BankFile::read).transpose()?;
    let size = (bytes.len() as u64).saturating_mul(ROOM).clamp(SIZE_MIN, SIZE_MAX);
    let settings = Settings { size, pcm: false, program: PROGRAM_AND_VERSION };
    // Its file is made before anything of the recording is looked at.
    let writer = Writer::create(&arguments.out, settings)?;
    sandbox::enter(Role::Offline);
    let recording = Recording::read(bytes, &path)?;
    let identity = bank.as_ref().map_or_else(bank::built_in_identity, BankFile::identity);
    let name = bank.as_ref().map_or_else(|| bank::BUILT_IN.into(), BankFile::name);
    recording.check_bank(identity, &name)?;
    let bank = bank.map_or_else(|| Ok(Bank::builtin()), |bank| bank.to_play())?;
    let options = Options { without_faults: arguments.without_faults };
    let done = replay::replay(&recording, bank, writer, options)?;
    if arguments.json {
        return print(&format!("{}\n", json!(done)));
    }
    print(&format!("replayed    {} records\n", done.records))?;
    print(&format!("chains      {}\n", done.chains))?;
    print(&format!("commands    {}\n", done.commands))?;
    print(&format!("given       {} errors that the transport had found\n", done.given))?;
    print(&format!("left out    {} accesses to registers\n", done.accesses))
}
