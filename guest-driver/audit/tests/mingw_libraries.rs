//! The list of exports agrees with mingw-w64's import libraries, for both widths: names, modules, and how many bytes of
//! arguments each function takes on x86.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use driver_audit::exports::{Call, EXPORTS, On};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};

/// The libraries that mingw-w64 has; it has none of `portcls.sys`.
const LIBRARIES: [(&str, &str); 2] = [("ntoskrnl.exe", "libntoskrnl.a"), ("hal.dll", "libhal.a")];

/// Where a compiler keeps a library; `None`, after saying why, when the compiler is not there and need not be.
fn library(compiler: &str, name: &str) -> Option<PathBuf> {
    let Ok(output) = Command::new(compiler).arg(format!("-print-file-name={name}")).output() else {
        let remedy = format!("{compiler} not found: install mingw-w64 (Debian: apt-get install mingw-w64)");
        let required = std::env::var_os("CI").is_some() || std::env::var("DMUS_REQUIRE_ALL").is_ok_and(|v| v == "1");
        assert!(!required, "{remedy}");
        println!("skipped: {remedy}");
        return None;
    };
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Returns the decorated names that a library exports.
fn symbols(path: &PathBuf) -> BTreeSet<String> {
    let bytes = std::fs::read(path).unwrap();
    let archive = ArchiveFile::parse(&*bytes).unwrap();
    let mut names = BTreeSet::new();
    for member in archive.members() {
        let Ok(file) = object::File::parse(member.unwrap().data(&*bytes).unwrap()) else { continue };
        let imports = file.symbols().filter_map(|symbol| Some(symbol.name().ok()?.strip_prefix("__imp_")?.to_owned()));
        names.extend(imports);
    }
    names
}

#[test]
fn every_export_is_in_the_import_libraries_with_the_same_arguments() {
    for (compiler, on) in [("x86_64-w64-mingw32-gcc", On::X64), ("i686-w64-mingw32-gcc", On::X86)] {
        for (module, file) in LIBRARIES {
            let Some(path) = library(compiler, file) else { return };
            let names = symbols(&path);
            assert!(names.len() > 50, "{} names no imports: {names:?}", path.display());
            let wanted = EXPORTS.iter().filter(|export| export.0 == module && (export.3 == On::Both || export.3 == on));
            for (_, name, call, ..) in wanted {
                let decorated = if on == On::X86 { Call::in_library(*call, name) } else { (*name).to_owned() };
                assert!(names.contains(&decorated), "{} has no {decorated}", path.display());
            }
        }
    }
}
