//! The libraries that a program loads, and the oldest C library that it runs with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::DistError;
use crate::host::file_error::FileError;
use crate::provision::capture;

/// Lists the libraries that a program loads by a loader, without the loader itself. `search` is where it looks, in the form of
/// the loader's `--library-path`; without, the system's folders.
///
/// # Errors
/// [`DistError::Malformed`] when the loader does not run, or does not find one.
pub(super) fn closure(loader: &Path, search: Option<&Path>, program: &Path) -> Result<Vec<PathBuf>, DistError> {
    let mut command = Command::new(loader);
    if let Some(search) = search {
        command.arg("--library-path").arg(search);
    }
    let malformed = |reason: String| DistError::Malformed { path: program.into(), reason };
    let said = capture(command.arg("--list").arg(program))
        .filter(|said| said.status.success())
        .ok_or_else(|| malformed(format!("its libraries cannot be listed by {}", loader.display())))?;
    listed(&said.stdout).map_err(|library| malformed(format!("its library {library} is not found")))
}

/// Reads lines like `libz.so.1 => /lib/libz.so.1 (0x7f80d204c000)`.
///
/// # Errors
/// The name of the first library that the loader did not find.
fn listed(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let Some((name, place)) = line.trim().split_once(" => ") else { continue };
        if place.trim() == "not found" {
            return Err(name.into());
        }
        // The loader is listed by the path that programs have for it.
        if !name.starts_with('/') {
            found.push(place.rsplit_once(" (").map_or(place, |(path, _)| path).into());
        }
    }
    Ok(found)
}

/// Returns the newest version of the C library that programs name in their symbols' versions: they run with no older one.
///
/// # Errors
/// [`DistError::File`] when a program cannot be read, [`DistError::Malformed`] when it names none.
pub(super) fn glibc(programs: &[PathBuf]) -> Result<String, DistError> {
    let mut newest = None;
    for program in programs {
        let image = fs::read(program).map_err(FileError::own("read", program))?;
        let found = versions(&image).max();
        let reason = "it names no version of the C library".to_owned();
        let found = found.ok_or_else(|| DistError::Malformed { path: program.clone(), reason })?;
        newest = newest.max(Some(found));
    }
    let (major, minor) = newest.unwrap_or_default();
    Ok(format!("{major}.{minor}"))
}

/// Finds the names of versions, like `GLIBC_2.34`, among the strings of an image.
fn versions(image: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    const PREFIX: &str = "GLIBC_";
    image.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok()).filter_map(|text| {
        let mut numbers = text.strip_prefix(PREFIX)?.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_loader_lists() {
        let text =
            "\tlinux-vdso.so.1 (0x1)\n\tlibz.so.1 => /a b/libz.so.1 (0x7f80)\n\t/lib64/ld.so => /x/ld.so (0x2)\n";
        assert_eq!(listed(text), Ok(vec![PathBuf::from("/a b/libz.so.1")]));
        assert_eq!(listed("\tlibz.so.1 => not found\n"), Err("libz.so.1".into()));
    }

    #[test]
    fn finds_the_newest_version_by_number() {
        let found = versions(b"x\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_PRIVATE\0GLIBC_2.2.5\0");
        assert_eq!(found.max(), Some((2, 34)));
    }

    #[test]
    fn this_program_names_a_version() {
        let program = std::env::current_exe().unwrap();
        assert!(glibc(&[program]).unwrap().starts_with("2."));
    }
}
