//! `dls-synth-bench`: the same bank and the same notes through `dls-synth`, FluidSynth, RustySynth and OxiSynth, in one
//! run and in turn. One JSON object a line on standard output; notes about them on standard error.
//!
//! It is fair in these ways. All render 44.1 kHz stereo in 32-bit floating point on one thread, the notes are there
//! from the first moment to the last, the filter of every voice is at work and its pitch moves, and the voices of
//! each are counted: by the synthesizer where it can, and by the power of the sound. RustySynth interpolates linearly,
//! which is all that it can; OxiSynth by 4 points; FluidSynth by 4 and by `interp 7`; `dls-synth` by 8.

mod blocks;
mod clock;
mod comparison;
mod engines;
mod fluidsynth;
mod font;
mod plots;
mod profile;
mod record;
mod score;
mod songs;
mod steps;

use std::io::{Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use comparison::{Banks, Effort, Reference};
use dls_synth::Kernel;
use engines::Setting;
use fluidsynth::FluidSynth;
use font::{Work, sound_font};
use record::Record;

/// Measures dls-synth beside other synthesizers.
#[derive(Debug, Parser)]
#[command(name = "dls-synth-bench", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// FluidSynth's program; without it, only the built-in synthesizers are compared.
    #[arg(long, value_name = "PATH")]
    fluidsynth: Option<PathBuf>,
    /// How many voices.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [32, 256, 1000],
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    voices: Vec<u16>,
    /// How many turns each synthesizer has; the median counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// How much is rendered each time: seconds of sound times voices.
    #[arg(long, value_name = "N", default_value_t = 800.0)]
    voice_seconds: f64,
    /// The instruction set of dls-synth's inner loops: auto, scalar, sse4.1, avx2, avx512 or neon.
    #[arg(long, value_name = "NAME", default_value_t = Kernel::Auto)]
    kernel: Kernel,
    /// A bank for the songs.
    #[arg(long, value_name = "SF2", requires = "song")]
    font: Option<PathBuf>,
    /// Songs to play from it.
    #[arg(long, value_name = "MID", requires = "font")]
    song: Vec<PathBuf>,
    /// Also profile dls-synth's own sections of rendering, its voices by their step, and its time for single blocks.
    #[arg(long)]
    profile: bool,
}

/// What is done instead of measuring time.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Draws SINAD and aliases over the pitch, for each synthesizer, as PNG, and prints their points.
    Plots {
        /// The folder for sinad.png and alias.png.
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
        /// FluidSynth's program; without it, only the built-in synthesizers are drawn.
        #[arg(long, value_name = "PATH")]
        fluidsynth: Option<PathBuf>,
        /// The instruction set of dls-synth's inner loops.
        #[arg(long, value_name = "NAME", default_value_t = Kernel::Auto)]
        kernel: Kernel,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.verb {
        Some(Verb::Plots { out, fluidsynth, kernel }) => draw(out, fluidsynth.as_deref(), *kernel),
        None => run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is lost too, the exit code says it.
            let _ = writeln!(stderr(), "dls-synth-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn draw(
    out: &std::path::Path,
    fluidsynth: Option<&std::path::Path>,
    kernel: Kernel,
) -> Result<(), Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let (paths, records) = plots::draw(out, fluidsynth, kernel, scratch.path())?;
    records.iter().try_for_each(Record::print)?;
    for path in paths {
        writeln!(stderr(), "{}", path.display())?;
    }
    Ok(())
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let kernel = arguments.kernel;
    let effort = Effort { rounds: arguments.rounds.into(), voice_seconds: arguments.voice_seconds };
    let folder = tempfile::tempdir()?;
    let file = sound_font(Work::ALL);
    let path = folder.path().join("comparison.sf2");
    std::fs::write(&path, &file)?;
    let fluidsynth = match &arguments.fluidsynth {
        Some(program) => {
            let fluidsynth = FluidSynth::new(program, &path, folder.path())?;
            writeln!(stderr(), "FluidSynth {} ({})", fluidsynth.version, program.display())?;
            Some(fluidsynth)
        }
        None => None,
    };
    let banks = Banks::new(&file)?;
    let mut reference = Reference::default();
    // The few voices first: their power is what the others' is held against.
    let mut counts = arguments.voices.clone();
    counts.sort_unstable();
    for voices in counts {
        for effects in [false, true] {
            let setting = Setting { voices, effects };
            let records = comparison::run(&banks, fluidsynth.as_ref(), setting, effort, kernel, &mut reference)?;
            print(records, fluidsynth.as_ref())?;
        }
    }
    if arguments.profile {
        let most = arguments.voices.iter().copied().max().unwrap_or_default();
        profile::profile(most, effort, kernel)?.iter().try_for_each(Record::print)?;
        steps::run(effort, kernel)?.iter().try_for_each(Record::print)?;
        blocks::run(most, kernel)?.iter().try_for_each(Record::print)?;
    }
    if let Some(path) = &arguments.font {
        let file = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let banks = Banks::new(&file)?;
        let fluidsynth = match &arguments.fluidsynth {
            Some(program) => Some(FluidSynth::new(program, path, folder.path())?),
            None => None,
        };
        for path in &arguments.song {
            let song = songs::Song::read(path)?;
            let records = songs::run(&song, path, &banks, fluidsynth.as_ref(), effort.rounds, kernel)?;
            print(records, fluidsynth.as_ref())?;
        }
    }
    Ok(())
}

fn print(records: Vec<Record>, fluidsynth: Option<&FluidSynth>) -> std::io::Result<()> {
    let version = fluidsynth.map(|fluidsynth| fluidsynth.version.as_str());
    records.into_iter().try_for_each(|record| record.of_version(version).print())
}
