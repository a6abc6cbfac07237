//! Tries a download where nothing else is.

use std::fs;
use std::path::Path;

use super::bare_root::BareRoot;
use super::error::DistError;
use super::made::Made;
use super::team::{self, Team};
use crate::host::failure::Class;
use crate::host::file_error::FileError;

/// The bytes that the program lacks which is cut short.
const CUT: u64 = 1 << 20;

/// What was tried in a bare root.
#[derive(Debug, PartialEq, Eq)]
pub struct Played {
    /// The command lines that ended as they should, in order.
    pub commands: Vec<String>,
}

/// Tries a download in a root of its own: it must find itself whole, and play a song as the offline render has it, from the tarball
/// and from the program; a program that was cut short says so; and the suite of a driver's team passes with a good driver, and fails
/// with a broken one as it should. The team's reports are left in a folder.
///
/// # Errors
/// [`DistError::Failed`] when a command ends otherwise there, [`DistError::NoNamespaces`] when the kernel lets this user make none,
/// [`DistError::Unexpected`] when the team's reports say something else, and [`DistError`] of files.
pub fn play_in_bare_root(made: &Made, team: &Team, reports: &Path) -> Result<Played, DistError> {
    if reports.exists() {
        fs::remove_dir_all(reports).map_err(FileError::own("remove", reports))?;
    }
    let mut root = BareRoot::unpack(&made.tarball.path)?;
    let dmus = root.prefix().join("bin/dmus");
    for line in ["doctor", "demo", "demo --transport vfio-user"] {
        root.expect(&dmus, &line.split(' ').collect::<Vec<_>>(), &[], None)?;
    }
    let program = root.place(&made.program.path, "home/alone/dmus")?;
    for line in ["demo", "doctor"] {
        root.expect(&program, &[line], &[], None)?;
    }
    let cut = root.outside(&program);
    // Of a program that lacks a part of itself, and not of its bundle, the kernel makes a fault.
    let shorter = made.program.bytes - CUT;
    fs::File::options()
        .write(true)
        .open(&cut)
        .and_then(|file| file.set_len(shorter))
        .map_err(FileError::own("cut", &cut))?;
    let said = root.expect(&program, &["demo"], &[], Some(Class::MissingArtefact))?;
    if !said.stderr.contains("cut short") {
        let reason = format!("the program says of itself, cut short: {}", said.stderr.trim());
        return Err(DistError::Unexpected { path: program, reason });
    }
    team::view(&mut root, team, reports)?;
    Ok(Played { commands: root.into_commands() })
}
