//! Carries out the commands that need no machine, and prints their results.

//!
//! Each opens its inputs and outputs, enters the sandbox, and parses and renders then.

use std::io::{self, Write};
use std::path::Path;

use dls_synth::Bank;

use super::args::{BankCommand, Render};
use super::bank::BankFile;
use super::exit::Failure;
use super::offline::Opened;
use super::stems::DEVIATION_DBFS_MAX;
use super::whole_file::WholeFile;
use super::{bank, offline};
use crate::sandbox::{self, Role};

/// Renders an event list, and prints the summary.
///
/// # Errors
/// As for [`BankFile::read`], [`Opened::open`], [`BankFile::to_play`] and [`offline::run`]; [`Failure::Internal`] when the summary cannot be encoded;
/// [`Failure::StandardOutput`] when it cannot be printed.
pub fn render(arguments: &Render) -> Result<(), Failure> {
    let bank = arguments.bank.as_deref().map(BankFile::read).transpose()?;
    let opened = Opened::open(arguments)?;
    sandbox::enter(if arguments.stems.is_some() { Role::OfflineStems } else { Role::Offline });
    let bank = bank.map_or_else(|| Ok(Bank::builtin()), |bank| bank.to_play())?;
    let rendered = offline::run(arguments, opened, bank)?;
    let deviation = rendered.stems.as_ref().and_then(|stems| stems.deviation_dbfs);
    if let Some(deviation) = deviation.filter(|deviation| *deviation > DEVIATION_DBFS_MAX) {
        log::warn!(
            "the stems' sum differs from the mix by {deviation:.1} dBFS: the mix lost {} notes because it ran out of \
             voices, and the stems have them; allow more with --voices",
            rendered.notes_lost
        );
    }
    if arguments.json {
        let json = serde_json::to_string(&rendered).map_err(|error| Failure::Internal(error.to_string()))?;
        return print(&format!("{json}\n"));
    }
    let peak = rendered.peak_dbfs.map_or_else(|| "silence".into(), |peak| format!("{peak:.2} dBFS"));
    print(&format!("frames      {} at {} Hz\n", rendered.frames, rendered.sample_rate))?;
    print(&format!("events      {}, {} notes lost\n", rendered.events, rendered.notes_lost))?;
    print(&format!("peak        {peak}\n"))?;
    print(&format!("pcm_sha256  {}\n", rendered.pcm_sha256))?;
    for stem in rendered.stems.iter().flat_map(|stems| &stems.stems) {
        let peak = stem.peak_dbfs.map_or_else(|| "silence".into(), |peak| format!("{peak:.2} dBFS"));
        print(&format!("stem        {}: {peak}\n", stem.file))?;
    }
    Ok(())
}

/// Carries out a command for banks, and prints its result.
///
/// # Errors
/// As for [`BankFile::read`], [`WholeFile::create`], [`bank::info`], [`bank::convert`], [`bank::song`] and [`bank::build`].
pub fn with_bank(command: &BankCommand) -> Result<(), Failure> {
    // What opens files, and what only parses and writes.
    let open = |from: &Path, to: &Path| Ok::<_, Failure>((BankFile::read(from)?, WholeFile::create(to)?));
    let text = match command {
        BankCommand::Info { file, brief, json } => {
            let file = BankFile::read(file)?;
            sandbox::enter(Role::Offline);
            bank::info(&file, *brief, *json)?
        }
        BankCommand::Convert { from, to, json } => {
            let (from, to) = open(from, to)?;
            sandbox::enter(Role::Offline);
            bank::convert(&from, to, *json)?
        }
        BankCommand::Song { from, to, json } => {
            let (from, to) = open(from, to)?;
            sandbox::enter(Role::Offline);
            bank::song(&from, to, *json)?
        }
        BankCommand::Build { to, json } => {
            let to = WholeFile::create(to)?;
            sandbox::enter(Role::Offline);
            bank::build(to, *json)?
        }
    };
    print(&text)
}

/// Prints a result. A reader that has gone away is no reason to fail.
///
/// # Errors
/// [`Failure::StandardOutput`] when standard output cannot be written for another reason.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::StandardOutput(error)),
        _ => Ok(()),
    }
}
