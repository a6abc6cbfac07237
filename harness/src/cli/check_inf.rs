//! `dmus check-inf`: what Windows, and Microsoft's signing, would find in an INF.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dmus::host::failure::{Class, Diagnosed};
use dmus::host::file_error::FileError;
use dmus::host::lossy;
use dmus::report::{error_line, out, out_json};
use driver_package::inf::check::{Finding, Level, Mode, RULES, check};
use serde_json::{Value, json};

use super::error::Outcome;

/// What `--help` says of the numbers.
pub(super) const NUMBERS: &str = "The numbers are InfVerif's: Microsoft's page \"INF Validation Errors and Warnings\" describes them. `--rules` prints those that
are checked; InfVerif has more. Exit code 1 when an error was found, or with --strict a warning.";

/// Options of `check-inf`.
#[derive(Debug, Args)]
pub(crate) struct CheckInfArguments {
    /// The INF files
    #[arg(required_unless_present = "rules")]
    files: Vec<PathBuf>,
    /// What is asked: of any driver (infverif /u), of Windows drivers (/w), for signing by Microsoft (/h)
    #[arg(long, value_enum, default_value_t = Asked::Universal)]
    mode: Asked,
    /// Let warnings fail, too
    #[arg(long)]
    strict: bool,
    /// Print the rules that are checked, and their levels
    #[arg(long)]
    rules: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A mode, as the option has it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Asked {
    #[value(name = "universal", alias = "u")]
    Universal,
    #[value(name = "windows", alias = "w")]
    Windows,
    #[value(name = "hardware", alias = "h")]
    Hardware,
}

impl Asked {
    const fn mode(self) -> Mode {
        match self {
            Self::Universal => Mode::Universal,
            Self::Windows => Mode::Windows,
            Self::Hardware => Mode::Hardware,
        }
    }
}

/// Checks INF files, and prints what is wrong with file, line, column and number.
///
/// A file that cannot be read fails at the end; the others are checked and printed.
///
/// # Errors
/// None: what cannot be read is printed.
pub(super) fn check_inf(arguments: &CheckInfArguments) -> Outcome {
    let mode = arguments.mode.mode();
    if arguments.rules {
        print_rules(mode, arguments.json);
        return Ok(None);
    }
    let (mut unread, mut objects) = (Vec::new(), Vec::new());
    let (mut errors, mut warnings) = (0, 0);
    for path in &arguments.files {
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                unread.push(error);
                continue;
            }
        };
        for finding in check(&bytes, mode) {
            match finding.level {
                Level::Error => errors += 1,
                Level::Warning => warnings += 1,
            }
            if arguments.json {
                objects.push(object(&lossy::text(path), &finding));
            } else {
                let Finding { code, level, line, column, what } = finding;
                out(&format!("{}:{line}:{column}: {} {code}: {what}", path.display(), level_name(level)));
            }
        }
    }
    let failed = errors > 0 || arguments.strict && warnings > 0;
    let class = unread.first().map(Diagnosed::class).or(failed.then_some(Class::TestFailed));
    if arguments.json {
        let unread: Vec<String> = unread.iter().map(ToString::to_string).collect();
        let failed = class.is_some();
        out_json(&json!({
            "findings": objects, "errors": errors, "warnings": warnings, "unread": unread, "failed": failed,
        }));
    } else {
        out(&format!("{errors} errors, {warnings} warnings"));
    }
    for error in &unread {
        error_line(&format!("error ({}): {error}", error.class().name()));
    }
    Ok(class)
}

/// Reads a regular file: a pipe may never end.
fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let about = fs::metadata(path).map_err(FileError::input(path))?;
    if !about.is_file() {
        return Err(FileError::input(path)(std::io::Error::other("it is no regular file")));
    }
    fs::read(path).map_err(FileError::input(path))
}

fn print_rules(mode: Mode, json: bool) {
    let level = |level: Option<Level>| level.map(level_name);
    if json {
        let rules: Vec<Value> = RULES
            .iter()
            .map(|rule| json!({ "code": rule.code, "rule": rule.text, "level": level(rule.level(mode)) }))
            .collect();
        out_json(&json!({ "rules": rules }));
        return;
    }
    for rule in RULES {
        out(&format!("{}  {:<8} {}", rule.code, level(rule.level(mode)).unwrap_or("-"), rule.text));
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
    }
}

fn object(path: &str, finding: &Finding) -> Value {
    json!({
        "file": path, "line": finding.line, "column": finding.column, "code": finding.code,
        "level": level_name(finding.level), "what": finding.what,
    })
}
