//! The suite's command line: builds the files, runs the cases, sets results side by side, compares two synthesizers.

use std::fmt;
use std::io::{self, ErrorKind, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use dls_conformance::case::Files;
use dls_conformance::compare;
use dls_conformance::expect::Format;
use dls_conformance::judge::Verdict;
use dls_conformance::render::Renderer;
use dls_conformance::report;
use dls_conformance::run::{Place, run};
use dls_conformance::store;

/// Not every case that ran holds.
const SOME_FAILED: u8 = 1;
/// Nothing was judged.
const NOT_RUN: u8 = 2;

/// A conformance suite for DLS synthesizers.
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 all cases hold, 1 some do not, 2 nothing could be judged.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write all files of the suite into a folder
    Build {
        /// The folder
        folder: PathBuf,
    },
    /// List the cases and their rules
    List {
        #[command(flatten)]
        choice: Choice,
    },
    /// Render and judge cases with a synthesizer
    Run {
        #[command(flatten)]
        choice: Choice,
        /// Which synthesizer: "own", "fluidsynth", "fluidsynth:PATH", "sonivox", "sonivox:PATH", or a command line with
        /// {dls}, {mid}, {wav}, {rate} and {voices}
        #[arg(long, default_value = "own")]
        synth: String,
        /// Print the results as JSON
        #[arg(long)]
        json: bool,
        /// Keep files and recordings in this folder
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
        /// Print each measurement, not only those that do not hold
        #[arg(long)]
        all: bool,
    },
    /// Judge several synthesizers and print a Markdown table
    Table {
        #[command(flatten)]
        choice: Choice,
        /// A synthesizer as NAME=SYNTH; may be given several times
        #[arg(long = "synth", value_name = "NAME=SYNTH", required = true)]
        synths: Vec<String>,
    },
    /// Play one song with two synthesizers and compare onset and pitch of every note
    Compare {
        /// The other synthesizer, as for run
        #[arg(long)]
        synth: String,
        /// The one synthesizer, as for run
        #[arg(long, default_value = "own")]
        with: String,
        /// Print the notes as JSON
        #[arg(long)]
        json: bool,
        /// Keep files and recordings in this folder
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Choice {
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Only cases of this form of instruments
    #[arg(long, value_enum)]
    format: Option<FormatChoice>,
    /// Cases of a folder, in place of the suite's own
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
}

/// A form of instruments.
#[derive(Clone, Copy, clap::ValueEnum)]
enum FormatChoice {
    /// DLS files
    Dls,
    /// SoundFonts
    Sf2,
}

impl From<FormatChoice> for Format {
    fn from(choice: FormatChoice) -> Self {
        match choice {
            FormatChoice::Dls => Self::Dls,
            FormatChoice::Sf2 => Self::Sf2,
        }
    }
}

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

impl Choice {
    fn files(&self) -> Fallible<Vec<Files>> {
        let mut files = match &self.cases {
            Some(folder) => store::read(folder)?,
            None => store::built(),
        };
        if let Some(text) = &self.filter {
            files.retain(|files| files.expectations.id.contains(text));
        }
        if let Some(format) = self.format {
            files.retain(|files| files.expectations.format == format.into());
        }
        if files.is_empty() {
            return Err("no case has such a name; `list` shows all".into());
        }
        Ok(files)
    }
}

fn main() -> ExitCode {
    match command(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(SOME_FAILED),
        Err(error) => {
            // Where standard error is lost too, the exit code says it.
            let _ = writeln!(stderr(), "dls-conformance: {error}");
            ExitCode::from(NOT_RUN)
        }
    }
}

/// Writes a line to standard output. A reader that has gone away is no failure.
fn say(line: fmt::Arguments<'_>) -> io::Result<()> {
    say_part(format_args!("{line}\n"))
}

/// Writes lines to standard output as they are.
fn say_part(text: fmt::Arguments<'_>) -> io::Result<()> {
    let mut output = stdout().lock();
    match output.write_fmt(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(io::Error::new(error.kind(), format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

fn command(command: Command) -> Fallible<bool> {
    match command {
        Command::Build { folder } => {
            let (files, bytes) = store::write(&folder)?;
            say(format_args!("{files} files, {bytes} bytes, in {}", folder.display()))?;
            Ok(true)
        }
        Command::List { choice } => {
            for files in choice.files()? {
                let e = &files.expectations;
                say(format_args!("{}\n    {}\n    {} (level {}, {:?})", e.id, e.rule, e.source, e.level, e.basis))?;
            }
            Ok(true)
        }
        Command::Run { choice, synth, json, keep, all } => {
            let files = choice.files()?;
            let verdicts = judged(&synth, &files, keep.as_deref(), |files, verdict| {
                if json {
                    return Ok(());
                }
                say_part(format_args!("{}", report::case(&files.expectations, verdict)))?;
                for outcome in verdict.outcomes.iter().filter(|outcome| all && outcome.passed) {
                    say(format_args!("      {}", report::outcome_line(outcome)))?;
                }
                Ok(())
            })?;
            let pairs: Vec<_> = files.iter().map(|files| &files.expectations).zip(&verdicts).collect();
            if json {
                say(format_args!("{}", serde_json::to_string_pretty(&verdicts)?))?;
            } else {
                say(format_args!("{}: {}", Renderer::of(&synth)?.describe(), report::summary(&pairs)))?;
            }
            Ok(verdicts.iter().all(|verdict| verdict.passed))
        }
        Command::Table { choice, synths } => {
            let files = choice.files()?;
            let mut columns = Vec::new();
            for synth in &synths {
                let (name, synth) = synth.split_once('=').ok_or("--synth of a table is NAME=SYNTH")?;
                columns.push((name.to_owned(), judged(synth, &files, None, |_, _| Ok(()))?));
            }
            let expectations: Vec<_> = files.iter().map(|files| &files.expectations).collect();
            for (name, verdicts) in &columns {
                let pairs: Vec<_> = expectations.iter().copied().zip(verdicts).collect();
                say(format_args!("* {name}: {}", report::summary(&pairs)))?;
            }
            say(format_args!("\n{}", report::table(&expectations, &columns)))?;
            Ok(columns.iter().flat_map(|(_, verdicts)| verdicts).all(|verdict| verdict.passed))
        }
        Command::Compare { synth, with, json, keep } => {
            let renderers = [Renderer::of(&with)?, Renderer::of(&synth)?];
            let place = Place::new(keep.as_deref())?;
            let comparison = compare::compare([&renderers[0], &renderers[1]], &place)?;
            if json {
                say(format_args!("{}", serde_json::to_string_pretty(&comparison)?))?;
            } else {
                say_part(format_args!("{}", comparison.table([&with, &synth])))?;
            }
            Ok(comparison.agrees())
        }
    }
}

fn judged(
    synth: &str,
    files: &[Files],
    keep: Option<&Path>,
    mut each: impl FnMut(&Files, &Verdict) -> io::Result<()>,
) -> Fallible<Vec<Verdict>> {
    let renderer = Renderer::of(synth)?;
    let place = Place::new(keep)?;
    let mut verdicts = Vec::new();
    for files in files {
        let verdict = run(&renderer, files, &place)?;
        each(files, &verdict)?;
        verdicts.push(verdict);
    }
    Ok(verdicts)
}
